//! A UDP socket without threads: what a client or a bot drives from its own loop.
//! Owns: one nonblocking socket and its buffer. Must never know: packets, sessions.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, UdpSocket},
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{Carrier, CarrierCounters, DATAGRAM_BYTES_MAX};

/// Datagrams that one call of [`Carrier::receive`] takes at most, so that a flood cannot hold the caller for ever.
const RECEIVE_BATCH_MAX: usize = 4096;

/// Why a socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The address is taken, not ours, or not allowed to us.
    #[error("cannot bind udp socket to {addr}: {source}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The socket exists but could not be set up.
    #[error("cannot configure udp socket: {0}")]
    Configure(#[source] io::Error),
    /// The system gave no thread.
    #[error("cannot start an i/o thread: {0}")]
    Thread(#[source] io::Error),
}

/// How a socket is set up.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    /// Kernel receive buffer asked for, in bytes. The kernel may give less; that is not an error.
    pub receive_buffer_bytes: usize,
    /// Kernel send buffer asked for, in bytes.
    pub send_buffer_bytes: usize,
}

impl Default for SocketOptions {
    fn default() -> Self {
        // 1 MiB holds one 60 Hz tick of 512 clients, at some 1.3 kB of kernel memory for a small datagram.
        Self { receive_buffer_bytes: 1 << 20, send_buffer_bytes: 1 << 20 }
    }
}

impl SocketOptions {
    /// Opens, sets up and binds a socket. `[::]` takes IPv4 too where the system can.
    pub(crate) fn bind(&self, addr: SocketAddr) -> Result<UdpSocket, TransportError> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))
            .map_err(TransportError::Configure)?;
        if addr.is_ipv6() {
            // Not every system allows both families on one socket: then it is IPv6 alone.
            let _ = socket.set_only_v6(!addr.ip().is_unspecified());
        }
        // Deliberate: a smaller buffer than asked for is worse, not wrong.
        let _ = socket.set_recv_buffer_size(self.receive_buffer_bytes);
        let _ = socket.set_send_buffer_size(self.send_buffer_bytes);
        socket.bind(&addr.into()).map_err(|source| TransportError::Bind { addr, source })?;
        Ok(socket.into())
    }
}

/// A nonblocking UDP socket.
#[derive(Debug)]
pub struct UdpCarrier {
    socket: UdpSocket,
    local_addr: SocketAddr,
    buffer: Box<[u8]>,
    counters: CarrierCounters,
}

impl UdpCarrier {
    /// Binds `addr` (port 0: any free one) with the default [`SocketOptions`].
    ///
    /// # Errors
    /// The address cannot be bound, or the socket cannot be set up.
    pub fn open(addr: SocketAddr) -> Result<Self, TransportError> {
        Self::open_with(addr, SocketOptions::default())
    }

    /// Binds `addr` with `options`.
    ///
    /// # Errors
    /// As [`UdpCarrier::open`].
    pub fn open_with(addr: SocketAddr, options: SocketOptions) -> Result<Self, TransportError> {
        let socket = options.bind(addr)?;
        socket.set_nonblocking(true).map_err(TransportError::Configure)?;
        let local_addr = socket.local_addr().map_err(TransportError::Configure)?;
        let buffer = vec![0; DATAGRAM_BYTES_MAX + 1].into();
        Ok(Self { socket, local_addr, buffer, counters: CarrierCounters::default() })
    }

    /// The socket itself, for a caller that waits on many at once (poll, epoll, tokio's `AsyncFd`).
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }
}

impl Carrier for UdpCarrier {
    fn receive(&mut self, accept: &mut dyn FnMut(SocketAddr, &mut [u8])) -> usize {
        let mut received = 0;
        for _ in 0..RECEIVE_BATCH_MAX {
            match self.socket.recv_from(&mut self.buffer) {
                Ok((len, _)) if len > DATAGRAM_BYTES_MAX => self.counters.dropped_oversize += 1,
                Ok((len, from)) => {
                    self.counters.datagrams_received += 1;
                    self.counters.bytes_received += len as u64;
                    accept(from, &mut self.buffer[..len]);
                    received += 1;
                }
                Err(error) => match Failure::of(&error) {
                    Failure::WouldBlock => break,
                    Failure::Passing => {}
                    Failure::Other => {
                        self.counters.errors += 1;
                        break;
                    }
                },
            }
        }
        received
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        match self.socket.send_to(datagram, to) {
            Ok(_) => {
                self.counters.datagrams_sent += 1;
                self.counters.bytes_sent += datagram.len() as u64;
            }
            Err(error) if matches!(Failure::of(&error), Failure::WouldBlock) => {
                self.counters.dropped_send_full += 1;
            }
            Err(_) => self.counters.errors += 1,
        }
    }

    fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    fn counters(&self) -> CarrierCounters {
        self.counters
    }
}

/// What a socket error means to a datagram carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing to read, or no room to write.
    WouldBlock,
    /// Says nothing of this socket: an interrupted call, or Windows reporting that some earlier datagram found
    /// nobody (as a connection reset). Go on.
    Passing,
    /// Anything else.
    Other,
}

impl Failure {
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::WouldBlock,
            ErrorKind::Interrupted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused => {
                Self::Passing
            }
            _ => Self::Other,
        }
    }
}
