//! A UDP socket without threads: what a client, a bot or a small server drives from its own loop.
//! Owns: one nonblocking socket and its buffers. Must never know: packets, sessions.

use std::net::{SocketAddr, UdpSocket};

use netcode_wire::Ecn;

use super::{
    Abilities, SocketOptions, TransportError,
    socket::{Failure, NativeSocket, ReceiveBuffers},
};
use crate::{
    Arrival, Carrier, CarrierCounters,
    counters::{SharedCounters, count},
};

/// Datagrams that one call of [`Carrier::receive`] takes at most, so that a flood cannot hold the caller for ever.
const RECEIVE_DATAGRAMS_MAX: usize = 4096;

/// A nonblocking UDP socket.
#[derive(Debug)]
pub struct UdpCarrier {
    socket: NativeSocket,
    local_addr: SocketAddr,
    buffers: ReceiveBuffers,
    counters: SharedCounters,
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
        let socket = NativeSocket::open(addr, &options)?;
        let local_addr = socket.local_addr()?;
        let buffers = socket.buffers(options.receive_batch);
        Ok(Self { socket, local_addr, buffers, counters: SharedCounters::default() })
    }

    /// The socket itself, for a caller that waits on many at once (poll, epoll, tokio's `AsyncFd`).
    pub fn socket(&self) -> &UdpSocket {
        self.socket.udp()
    }

    /// What the socket can do on this system.
    pub fn abilities(&self) -> Abilities {
        self.socket.abilities()
    }
}

impl Carrier for UdpCarrier {
    fn receive_arrivals(&mut self, accept: &mut dyn FnMut(&Arrival, &mut [u8])) -> usize {
        let (mut received, mut bytes) = (0, 0);
        while received < RECEIVE_DATAGRAMS_MAX {
            let batch =
                self.socket.receive_batch(&mut self.buffers, &self.counters, &mut |arrival, datagram| {
                    received += 1;
                    bytes += datagram.len();
                    accept(arrival, datagram);
                });
            match batch.map_err(|error| Failure::of(&error)) {
                Ok(()) | Err(Failure::Passing) => {}
                Err(Failure::WouldBlock) => break,
                Err(Failure::PathMtu | Failure::Other) => {
                    count(&self.counters.errors);
                    break;
                }
            }
        }
        self.counters.received(received, bytes);
        received
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.send_marked(to, Ecn::NotCapable, datagram);
    }

    fn send_marked(&mut self, to: SocketAddr, ecn: Ecn, datagram: &[u8]) {
        match self.socket.send((to, ecn), datagram) {
            Ok(()) => self.counters.sent(1, datagram.len()),
            Err(error) => Failure::of(&error).count_unsent(&self.counters),
        }
    }

    fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    fn counters(&self) -> CarrierCounters {
        self.counters.read()
    }
}
