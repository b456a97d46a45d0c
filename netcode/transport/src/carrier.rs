//! What every carrier can do. Owns the trait and what is known of an arrival; must never know a protocol.

use std::{net::SocketAddr, time::Instant};

use netcode_wire::Ecn;

use crate::CarrierCounters;

/// Moves datagrams. Nothing here blocks: what cannot be sent or held at once is dropped and counted, as a network
/// would.
pub trait Carrier {
    /// Hands every datagram that has arrived to `accept`, with what is known of its arrival, in order of arrival, and
    /// returns how many there were. The bytes may be changed in place (decryption) and are valid only during the
    /// call. Empty datagrams carry nothing and are not handed on.
    fn receive_arrivals(&mut self, accept: &mut dyn FnMut(&Arrival, &mut [u8])) -> usize;

    /// [`Carrier::receive_arrivals`] for a caller that wants nothing but the sender.
    fn receive(&mut self, accept: &mut dyn FnMut(SocketAddr, &mut [u8])) -> usize {
        self.receive_arrivals(&mut |arrival, bytes| accept(arrival.from, bytes))
    }

    /// Sends one datagram. Failure is not reported here, since a sent datagram promises nothing; it is counted.
    fn send(&mut self, to: SocketAddr, datagram: &[u8]);

    /// [`Carrier::send`] with a mark for the routers on the way; a carrier that cannot set it sends without. Only
    /// [`Ecn::Ect0`] is ever asked for, and only by a sender that answers the marks that come back (RFC 8311 §4).
    fn send_marked(&mut self, to: SocketAddr, ecn: Ecn, datagram: &[u8]) {
        let _ = ecn;
        self.send(to, datagram);
    }

    /// Pushes out what [`Carrier::send`] gathered, for carriers that batch. Call it once after each burst.
    fn flush(&mut self) {}

    /// The address that peers reach this carrier at, as far as this machine knows.
    fn local_addr(&self) -> SocketAddr;

    /// What was moved and what was dropped since the carrier opened.
    fn counters(&self) -> CarrierCounters;
}

/// What is known of a datagram that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Who sent it.
    pub from: SocketAddr,
    /// When it arrived: the kernel's own stamp where the socket gives one, otherwise when the carrier read it. Round
    /// trips and input margins are measured by this, since a tick reads a datagram up to a tick late.
    pub at: Instant,
    /// What routers on the way said of congestion; [`Ecn::NotCapable`] where the carrier cannot tell.
    pub ecn: Ecn,
}
