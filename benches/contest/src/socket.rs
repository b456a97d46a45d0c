//! Sockets that are set up alike for everybody, and counted. Must never know a protocol.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use rustix::net::sockopt;

use crate::Traffic;

/// What a tick of 1024 clients needs several times over; a system may grant less.
const BUFFER_BYTES: usize = 4 << 20;

/// A nonblocking socket on a free port of the loopback, its buffers as large as the system grants.
///
/// # Errors
/// The system has no port.
pub fn open() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    let _ = sockopt::set_socket_recv_buffer_size(&socket, BUFFER_BYTES);
    let _ = sockopt::set_socket_send_buffer_size(&socket, BUFFER_BYTES);
    Ok(socket)
}

/// A socket that counts what goes through it.
#[derive(Debug)]
pub struct Counted {
    socket: UdpSocket,
    traffic: Cell<Traffic>,
}

impl Counted {
    /// Opens one, see [`open`].
    ///
    /// # Errors
    /// The system has no port.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: open()?, traffic: Cell::default() })
    }

    /// As the socket's own.
    ///
    /// # Errors
    /// As the socket's own.
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        let sent = self.socket.send_to(bytes, to)?;
        let mut traffic = self.traffic.get();
        traffic.datagrams_out += 1;
        traffic.bytes_out += sent as u64;
        self.traffic.set(traffic);
        Ok(sent)
    }

    /// As the socket's own.
    ///
    /// # Errors
    /// As the socket's own: `WouldBlock` when nothing is there.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (received, from) = self.socket.recv_from(buffer)?;
        let mut traffic = self.traffic.get();
        traffic.datagrams_in += 1;
        traffic.bytes_in += received as u64;
        self.traffic.set(traffic);
        Ok((received, from))
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// As the socket's own.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What went through so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.traffic.get()
    }
}
