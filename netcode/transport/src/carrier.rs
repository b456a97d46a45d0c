//! What every carrier can do. Owns the trait; must never know a protocol.

use std::net::SocketAddr;

use crate::CarrierCounters;

/// Moves datagrams. Nothing here blocks: what cannot be sent or held at once is dropped and counted, as a network
/// would.
pub trait Carrier {
    /// Hands every datagram that has arrived to `accept`, with its sender, in order of arrival, and returns how many
    /// there were. The bytes may be changed in place (decryption) and are valid only during the call.
    fn receive(&mut self, accept: &mut dyn FnMut(SocketAddr, &mut [u8])) -> usize;

    /// Sends one datagram. Failure is not reported here, since a sent datagram promises nothing; it is counted.
    fn send(&mut self, to: SocketAddr, datagram: &[u8]);

    /// Pushes out what [`Carrier::send`] gathered, for carriers that batch. Call it once after each burst.
    fn flush(&mut self) {}

    /// The address that peers reach this carrier at, as far as this machine knows.
    fn local_addr(&self) -> SocketAddr;

    /// What was moved and what was dropped since the carrier opened.
    fn counters(&self) -> CarrierCounters;
}
