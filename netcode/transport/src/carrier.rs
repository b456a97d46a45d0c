//! What every carrier can do. Owns the trait and what is known of an arrival; must never know a protocol.

use std::{net::SocketAddr, time::Instant};

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

/// The two ECN bits of the IP header (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// 00: the sender does not take part, or the carrier cannot read the bits.
    #[default]
    NotCapable,
    /// 01: capable; with L4S (RFC 9331) the sender reacts to each mark.
    Ect1,
    /// 10: capable.
    Ect0,
    /// 11: a router on the way is congested. Where the sender was capable, the receiver tells it.
    CongestionExperienced,
}
