//! One peer's acknowledgements and channels. Knows bodies and packet numbers; must never know a key, an
//! address, a socket or a clock.
//!
//! The caller numbers packets (the session's sequence), seals what `poll_body` composes and opens what
//! `handle_body` is given. Time is an argument everywhere.

mod config;
mod error;
mod stats;

use bytes::Bytes;
use netcode_wire::Time;

pub use self::config::{BODY_BYTES_MIN, BODY_MARGIN_BYTES, LinkConfig};
pub use self::error::{LinkError, SendError};
pub use self::stats::{Ledger, LinkStats};
use crate::channels::{ChannelId, ChannelSet};

/// Acks, channels and send budget towards one peer.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
}

#[allow(missing_docs, clippy::unimplemented, reason = "the shape, published first")]
impl Link {
    #[must_use]
    pub fn new(_channels: &ChannelSet, config: LinkConfig) -> Self {
        Self { config }
    }

    /// Queues `message`.
    pub fn send(&mut self, _now: Time, _channel: ChannelId, _message: &[u8]) -> Result<(), SendError> {
        unimplemented!()
    }

    /// The next received message.
    pub fn receive(&mut self) -> Option<(ChannelId, Bytes)> {
        unimplemented!()
    }

    /// Takes in the body of packet `seq` of the peer. An error means: close the connection.
    pub fn handle_body(&mut self, _now: Time, _seq: u64, _body: &[u8]) -> Result<(), LinkError> {
        unimplemented!()
    }

    /// Composes the body of our packet `seq` (strictly greater than in any earlier call that returned true)
    /// into `out`, which is cleared first. False: nothing to send, `seq` is not used. Call it in a loop with
    /// rising `seq` until it returns false; it stops by itself at the send budget.
    pub fn poll_body(&mut self, _now: Time, _seq: u64, _budget_bytes: usize, _out: &mut Vec<u8>) -> bool {
        unimplemented!()
    }

    /// Whether something should leave before the next regular flush: an overdue ack, a resend, a probe.
    #[must_use]
    pub fn has_urgent(&self, _now: Time) -> bool {
        unimplemented!()
    }

    /// When `has_urgent` may become true next, if nothing happens until then.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        unimplemented!()
    }

    /// Books `bytes` that the session put around a body (prefix, sequence, tag) into the ledger's header.
    pub fn note_overhead(&mut self, _bytes: usize) {
        unimplemented!()
    }

    #[must_use]
    pub fn stats(&self) -> LinkStats {
        let _ = &self.config;
        unimplemented!()
    }

    /// Bytes of `STATE` that fit into the next body beside what is already queued, for one packet of
    /// `budget_bytes`.
    #[must_use]
    pub fn room_bytes(&self, _now: Time, _budget_bytes: usize) -> usize {
        unimplemented!()
    }
}
