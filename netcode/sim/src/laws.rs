//! The laws that every run must keep, and the ledger of messages that shows whether it did. Knows channels and
//! promises; must never know how they are kept.

use std::collections::HashSet;
use std::time::Duration;

use netcode_proto::{ChannelId, ChannelKind, ChannelSet};
use netcode_snapshot::SnapshotError;
use netcode_wire::Time;

/// A law that a run broke. With the run's seed it is a bug report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A message came that was never sent, or came changed.
    #[error("channel {0} delivered bytes that were never sent")]
    Forged(u8),
    /// A message came twice.
    #[error("channel {0} delivered message {1} twice")]
    Twice(u8, u32),
    /// A reliable-ordered channel skipped or went back.
    #[error("channel {channel} delivered message {got} where {expected} was due")]
    OutOfOrder {
        /// The channel.
        channel: u8,
        /// The message due.
        expected: u32,
        /// The message that came.
        got: u32,
    },
    /// A sequenced channel delivered something stale.
    #[error("sequenced channel {channel} went back from message {newest} to {got}")]
    WentBack {
        /// The channel.
        channel: u8,
        /// The newest delivered before.
        newest: u32,
        /// The message that came.
        got: u32,
    },
    /// A reliable message did not come although the path was well for long enough.
    #[error("channel {channel} has {missing} reliable messages undelivered {after:?} after the path healed")]
    Undelivered {
        /// The channel.
        channel: u8,
        /// How many are missing.
        missing: usize,
        /// How long the path was well.
        after: Duration,
    },
    /// A queue grew beyond its bound.
    #[error("{what} holds {bytes} bytes, bound {bound}")]
    MemoryUnbounded {
        /// Which queue.
        what: &'static str,
        /// What it holds.
        bytes: usize,
        /// What it may hold.
        bound: usize,
    },
    /// An end with nothing to say spoke.
    #[error("an idle end sent {packets} packets in {span:?}")]
    NotSilent {
        /// How many packets.
        packets: u64,
        /// In which time.
        span: Duration,
    },
    /// More bodies without messages than packets that ask for an answer.
    #[error("{pure} pure acknowledgements for {eliciting} eliciting packets")]
    AcksBreedAcks {
        /// Bodies without messages.
        pure: u64,
        /// Packets received that held messages.
        eliciting: u64,
    },
    /// An end that has all the time it needs to notice keeps a queue standing at the bottleneck.
    #[error("a bottleneck of {bps} bit/s keeps a queue of {queue_ms} ms, bound {bound_ms}")]
    QueueStands {
        /// The bottleneck.
        bps: u64,
        /// The mean wait there, milliseconds.
        queue_ms: u64,
        /// What is allowed.
        bound_ms: u64,
    },
    /// Traffic that has a guaranteed share does not get it.
    #[error("{what} got {bytes_per_s} bytes/s of a bottleneck of {bps} bit/s, bound {bound}")]
    Starved {
        /// The bottleneck.
        bps: u64,
        /// Which traffic.
        what: &'static str,
        /// What it got.
        bytes_per_s: u64,
        /// What it should get at least.
        bound: u64,
    },
    /// The byte ledger does not add up to what left.
    #[error("ledger accounts for {booked} bytes, {sent} left")]
    LedgerOff {
        /// What the ledger says.
        booked: u64,
        /// What left.
        sent: u64,
    },
    /// An honest end was accused of lying.
    #[error("an honest end was refused: {0}")]
    Accused(String),
    /// A connection ended without a reason that the scenario gave it.
    #[error("a connection closed without cause: {0}")]
    ClosedWithoutCause(String),
    /// A session stands on a path that is well, and its offer of the extended form was never heard.
    #[error("the session of seat {seat} is not extended")]
    NeverExtended {
        /// The seat.
        seat: usize,
    },
    /// A stranger got back more than it sent, or changed a server's memory.
    #[error("a stranger sent {sent} bytes and got {got} back")]
    Amplified {
        /// What the stranger sent.
        sent: u64,
        /// What came back.
        got: u64,
    },
    /// A client could not take an honest snapshot.
    #[error("an honest snapshot was refused: {0}")]
    Unreadable(SnapshotError),
    /// An input packet's acknowledgement did not return as it was.
    #[error("an acknowledgement was lost in its encoding")]
    AckLost,
    /// A client shows an entity otherwise than it was on the server.
    #[error("entity {entity} is shown at tick {tick} otherwise than it was at {stamp}")]
    Diverged {
        /// The entity.
        entity: u32,
        /// The snapshot's tick.
        tick: u32,
        /// The tick whose state the client says it shows.
        stamp: u32,
    },
    /// A client was told of what it may not see.
    #[error("entity {entity} is shown at tick {tick} as of {stamp}, when it was not in view")]
    Leaked {
        /// The entity.
        entity: u32,
        /// The snapshot's tick.
        tick: u32,
        /// The tick whose state the client shows.
        stamp: u32,
    },
    /// Something in view was not told of for too long.
    #[error("entity {entity} was shown otherwise than it is for {ticks} ticks")]
    Forgotten {
        /// The entity.
        entity: u32,
        /// For how long.
        ticks: i32,
    },
    /// A snapshot is longer than it may be.
    #[error("a snapshot of {bytes} bytes where {bound} were allowed")]
    OverBudget {
        /// Its length.
        bytes: usize,
        /// What was allowed.
        bound: usize,
    },
    /// A client does not come to show a world that stands still on a path that is well.
    #[error("viewer {viewer} does not come to show a world that stands still")]
    NeverSettled {
        /// Which client.
        viewer: usize,
    },
}

/// Everything that one end sent to the other, and what of it came.
#[derive(Debug)]
pub struct Ledger {
    channels: Vec<Channel>,
    seed: u64,
    latencies_us: Vec<u32>,
}

#[derive(Debug)]
struct Channel {
    kind: ChannelKind,
    sent: Vec<SentMessage>,
    delivered: HashSet<u32>,
    /// Ordered: the next due. Sequenced: one past the newest.
    next: u32,
    delivered_bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct SentMessage {
    at: Time,
    len: u32,
}

impl Ledger {
    /// An empty ledger; `seed` salts the messages' bytes.
    #[must_use]
    pub fn new(channels: &ChannelSet, seed: u64) -> Self {
        let empty = |kind: &ChannelKind| Channel {
            kind: *kind,
            sent: Vec::new(),
            delivered: HashSet::new(),
            next: 0,
            delivered_bytes: 0,
        };
        Self { channels: channels.kinds().iter().map(empty).collect(), seed, latencies_us: Vec::new() }
    }

    /// The bytes of the next message on `channel`: its number and a pattern that only it has. `len` is raised
    /// to four, the number's own.
    pub fn compose(&self, channel: ChannelId, len: usize, out: &mut Vec<u8>) {
        let number = self.channels[channel.index()].sent.len() as u32;
        fill(self.seed, channel, number, len.max(4), out);
    }

    /// Books the message that `compose` gave as sent.
    pub fn sent(&mut self, now: Time, channel: ChannelId, len: usize) {
        self.channels[channel.index()].sent.push(SentMessage { at: now, len: len as u32 });
    }

    /// Books a message as delivered.
    ///
    /// # Errors
    /// The law that it broke.
    pub fn delivered(
        &mut self,
        now: Time,
        channel: ChannelId,
        bytes: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let forged = Violation::Forged(channel.0);
        let state = self.channels.get_mut(channel.index()).ok_or(forged.clone())?;
        let number = bytes.first_chunk::<4>().copied().map(u32::from_le_bytes).ok_or(forged.clone())?;
        let message = *state.sent.get(number as usize).ok_or(forged.clone())?;
        fill(self.seed, channel, number, message.len as usize, scratch);
        if scratch != bytes {
            return Err(forged);
        }
        state.take(channel, number)?;
        state.delivered_bytes += u64::from(message.len);
        if state.kind.is_reliable() {
            self.latencies_us.push(now.since(message.at).as_micros() as u32);
        }
        Ok(())
    }

    /// Whether everything reliable has come; the first channel where it has not, and how much is missing.
    ///
    /// # Errors
    /// [`Violation::Undelivered`].
    pub fn all_delivered(&self, after: Duration) -> Result<(), Violation> {
        for (channel, state) in (0..).zip(&self.channels) {
            let missing = state.missing();
            if missing > 0 {
                return Err(Violation::Undelivered { channel, missing, after });
            }
        }
        Ok(())
    }

    /// Messages sent, of every kind.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.channels.iter().map(|channel| channel.sent.len() as u64).sum()
    }

    /// Bytes of messages that came on a channel.
    #[must_use]
    pub fn delivered_bytes(&self, channel: ChannelId) -> u64 {
        self.channels[channel.index()].delivered_bytes
    }

    /// How long reliable messages took, microseconds, in the order of delivery.
    #[must_use]
    pub fn latencies_us(&self) -> &[u32] {
        &self.latencies_us
    }
}

impl Channel {
    fn take(&mut self, channel: ChannelId, number: u32) -> Result<(), Violation> {
        match self.kind {
            ChannelKind::ReliableOrdered if number != self.next => {
                return Err(Violation::OutOfOrder { channel: channel.0, expected: self.next, got: number });
            }
            ChannelKind::UnreliableSequenced if number < self.next => {
                return Err(Violation::WentBack { channel: channel.0, newest: self.next - 1, got: number });
            }
            ChannelKind::ReliableOrdered | ChannelKind::UnreliableSequenced => self.next = number + 1,
            ChannelKind::Unreliable | ChannelKind::ReliableUnordered => {
                if !self.delivered.insert(number) {
                    return Err(Violation::Twice(channel.0, number));
                }
            }
        }
        Ok(())
    }

    fn missing(&self) -> usize {
        match self.kind {
            ChannelKind::ReliableOrdered => self.sent.len() - self.next as usize,
            ChannelKind::ReliableUnordered => self.sent.len() - self.delivered.len(),
            ChannelKind::Unreliable | ChannelKind::UnreliableSequenced => 0,
        }
    }
}

/// The bytes of one message: its number, then eight-byte words that depend on everything that names it.
fn fill(seed: u64, channel: ChannelId, number: u32, len: usize, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&number.to_le_bytes());
    let mut word =
        (seed ^ u64::from(channel.0) << 56 ^ u64::from(number) << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while out.len() < len {
        word = word.wrapping_mul(0xd129_0d3d_7a81_4a55).rotate_left(23);
        let bytes = word.to_le_bytes();
        out.extend_from_slice(&bytes[..bytes.len().min(len - out.len())]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> (Ledger, Vec<Vec<u8>>) {
        let mut ledger = Ledger::new(&ChannelSet::standard(), 9);
        let mut messages = Vec::new();
        for number in 0..3 {
            let mut message = Vec::new();
            ledger.compose(ChannelId(1), 20, &mut message);
            ledger.sent(Time::from_millis(number), ChannelId(1), 20);
            messages.push(message);
        }
        (ledger, messages)
    }

    #[test]
    fn each_law_has_its_breach() {
        let (mut ledger, messages) = ledger();
        let mut scratch = Vec::new();
        let now = Time::from_millis(40);
        let mut deliver =
            |ledger: &mut Ledger, bytes: &[u8]| ledger.delivered(now, ChannelId(1), bytes, &mut scratch);
        assert_eq!(
            deliver(&mut ledger, &messages[1]),
            Err(Violation::OutOfOrder { channel: 1, expected: 0, got: 1 })
        );
        assert_eq!(deliver(&mut ledger, &messages[0]), Ok(()));
        assert_eq!(
            deliver(&mut ledger, &messages[0]),
            Err(Violation::OutOfOrder { channel: 1, expected: 1, got: 0 })
        );
        let mut changed = messages[1].clone();
        changed[19] ^= 1;
        assert_eq!(deliver(&mut ledger, &changed), Err(Violation::Forged(1)));
        assert_eq!(deliver(&mut ledger, &messages[1][..19]), Err(Violation::Forged(1)));
        assert_eq!(deliver(&mut ledger, b"abc"), Err(Violation::Forged(1)));
        let after = Duration::from_secs(1);
        assert_eq!(
            ledger.all_delivered(after),
            Err(Violation::Undelivered { channel: 1, missing: 2, after })
        );
        assert_eq!(ledger.latencies_us(), [40_000]);
    }
}
