//! How a UDP socket is set up, and why it could not be. Owns the options, the bind and its errors; must never know
//! how datagrams are moved.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Why a carrier could not be opened.
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

/// Which system calls a socket is served by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoMode {
    /// Batches, offloads and arrival marks where the system has them; otherwise, or once it refuses them, as
    /// [`IoMode::Plain`].
    #[default]
    Auto,
    /// One `recvfrom` and one `sendto` a datagram, and "don't fragment" where the system lets us: works wherever UDP does.
    Plain,
}

/// How a socket is set up.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    /// Kernel receive buffer asked for, in bytes. The kernel may give less; that is not an error.
    pub receive_buffer_bytes: usize,
    /// Kernel send buffer asked for, in bytes.
    pub send_buffer_bytes: usize,
    /// Datagrams that one call of a [`UdpCarrier`](super::UdpCarrier) receives at most, where the system has such calls:
    /// 1 to 32. A client reads a few datagrams a frame, all of one peer, and most of them coalesced: more would only cost
    /// it memory. A server reads hundreds, of as many peers, and every call that it spares keeps its own code in the
    /// processor's caches.
    pub receive_batch: usize,
    /// Which system calls to use.
    pub io: IoMode,
    /// Marks as ECN-capable what its sender asks to have marked ([`Carrier::send_marked`](crate::Carrier::send_marked)).
    /// Off: nothing is ever marked, for a network that drops what is.
    pub mark_ecn: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        // 1 MiB holds one 60 Hz tick of 512 clients, at some 1.3 kB of kernel memory for a small datagram.
        Self {
            receive_buffer_bytes: 1 << 20,
            send_buffer_bytes: 1 << 20,
            receive_batch: 4,
            io: IoMode::Auto,
            mark_ecn: true,
        }
    }
}

impl SocketOptions {
    /// Opens, sets up and binds a nonblocking socket. `[::]` takes IPv4 too where the system can.
    pub(super) fn bind(&self, addr: SocketAddr) -> Result<UdpSocket, TransportError> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))
            .map_err(TransportError::Configure)?;
        if addr.is_ipv6() {
            // Not every system allows both families on one socket: then it is IPv6 alone.
            let _ = socket.set_only_v6(!addr.ip().is_unspecified());
        }
        // Deliberate: a smaller buffer than asked for is worse, not wrong.
        let _ = socket.set_recv_buffer_size(self.receive_buffer_bytes);
        let _ = socket.set_send_buffer_size(self.send_buffer_bytes);
        socket.set_nonblocking(true).map_err(TransportError::Configure)?;
        socket.bind(&addr.into()).map_err(|source| TransportError::Bind { addr, source })?;
        Ok(socket.into())
    }
}
