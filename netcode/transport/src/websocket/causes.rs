//! Why connections were refused or closed. Owns the numbers; must never know who reads them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::connection::Ending;
use crate::counters::count;

/// A reading of what became of connections, all since the carrier opened. Each of them but
/// [`WebSocketCounters::opened`] is in [`crate::CarrierCounters::errors`] too, and what was too long in
/// [`crate::CarrierCounters::dropped_oversize`] instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WebSocketCounters {
    /// Connections that were let in.
    pub opened: u64,
    /// Asked for something else than our protocol, or at more length than a request needs.
    pub refused_request: u64,
    /// Did not ask in time.
    pub refused_slow: u64,
    /// Had to give way to a newer stranger while it had not asked yet.
    pub refused_crowded: u64,
    /// Came when all places were taken.
    pub refused_full: u64,
    /// Sent text, too long a message, or broke the WebSocket protocol.
    pub closed_misuse: u64,
    /// Sent nothing for too long.
    pub closed_idle: u64,
    /// The protocol above had nothing to say to it for too long: a stranger, or a player whose session is over.
    pub closed_unanswered: u64,
}

/// The same numbers, shared with the carrier's thread.
#[derive(Debug, Default)]
pub(super) struct Causes {
    pub(super) opened: AtomicU64,
    pub(super) refused_request: AtomicU64,
    pub(super) refused_slow: AtomicU64,
    pub(super) refused_crowded: AtomicU64,
    pub(super) refused_full: AtomicU64,
    closed_misuse: AtomicU64,
    closed_idle: AtomicU64,
    closed_unanswered: AtomicU64,
}

impl Causes {
    pub(super) fn count_ending(&self, ending: Ending) {
        match ending {
            Ending::Peer => {}
            Ending::Misuse(_) => count(&self.closed_misuse),
            Ending::Idle => count(&self.closed_idle),
            Ending::Unanswered => count(&self.closed_unanswered),
        }
    }

    pub(super) fn read(&self) -> WebSocketCounters {
        WebSocketCounters {
            opened: self.opened.load(Relaxed),
            refused_request: self.refused_request.load(Relaxed),
            refused_slow: self.refused_slow.load(Relaxed),
            refused_crowded: self.refused_crowded.load(Relaxed),
            refused_full: self.refused_full.load(Relaxed),
            closed_misuse: self.closed_misuse.load(Relaxed),
            closed_idle: self.closed_idle.load(Relaxed),
            closed_unanswered: self.closed_unanswered.load(Relaxed),
        }
    }
}
