//! Which of the peer's packets came, and whether it is owed word of them. Must never know what they held.

use netcode_wire::Time;

use super::body::{AckBlock, DELAY_UNIT_US, DELAY_UNKNOWN};
use super::span::{after, since_us};
use super::window::{WINDOW, Window};

/// The receiving side of acknowledgements.
#[derive(Debug, Default)]
pub(super) struct Received {
    newest: Option<Newest>,
    before: Window,
    /// Everything up to here the peer is known to have been told.
    settled: u64,
    owed_since: Option<Time>,
    owed_packets: u32,
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    seq: u64,
    at: Time,
}

impl Received {
    /// Whether packet `seq` is neither known nor older than the window.
    pub(super) fn is_fresh(&self, seq: u64) -> bool {
        let Some(newest) = self.newest else { return true };
        match newest.seq.checked_sub(seq) {
            None => true,
            Some(0) => false,
            Some(behind) => behind <= WINDOW && !self.before.get(behind - 1),
        }
    }

    /// Books a fresh packet. Only an eliciting one obliges to an answer.
    pub(super) fn record(&mut self, now: Time, seq: u64, eliciting: bool) {
        match self.newest {
            Some(newest) if seq < newest.seq => self.before.set(newest.seq - seq - 1),
            Some(newest) => {
                let by = seq - newest.seq;
                self.before.age(by);
                self.before.set(by - 1);
                self.newest = Some(Newest { seq, at: now });
            }
            None => self.newest = Some(Newest { seq, at: now }),
        }
        if eliciting {
            self.owed_since.get_or_insert(now);
            self.owed_packets += 1;
        }
    }

    /// The peer has our word on everything up to `newest`.
    pub(super) fn settle(&mut self, newest: u64) {
        self.settled = self.settled.max(newest);
    }

    /// What a body composed now should say: the block, and how far back it should reach. `None` when the
    /// peer knows all.
    pub(super) fn block(&self, now: Time) -> Option<(AckBlock, u64, u64)> {
        let Newest { seq, at } = self.newest?;
        if self.owed_since.is_none() && seq <= self.settled {
            return None;
        }
        let delay_us = since_us(now, at) / DELAY_UNIT_US;
        let delay = u8::try_from(delay_us).unwrap_or(DELAY_UNKNOWN);
        let reach = seq.saturating_sub(self.settled).saturating_add(REACH_SPARE).clamp(REACH_MIN, WINDOW);
        Some((AckBlock { newest: seq as u16, delay, before: self.before }, reach, seq))
    }

    /// A block was sent.
    pub(super) fn answered(&mut self) {
        self.owed_since = None;
        self.owed_packets = 0;
    }

    /// When an acknowledgement must leave even if nothing else does.
    pub(super) fn deadline(&self, max_delay_us: u64) -> Option<Time> {
        let since = self.owed_since?;
        Some(if self.owed_packets >= OWED_PACKETS_MAX { since } else { after(since, max_delay_us) })
    }
}

/// A block reaches this much farther back than the peer needs, for packets that came late.
const REACH_SPARE: u64 = 16;
/// A block always reaches this far: it costs nothing where nothing was lost.
const REACH_MIN: u64 = 32;
/// So many eliciting packets are acknowledged at once: bulk is under way and waits for room.
const OWED_PACKETS_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_against_a_set() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut received = Received::default();
        let (mut known, mut newest) = (std::collections::HashSet::new(), 0_u64);
        for _ in 0..20_000 {
            let seq = (newest + rng.u64(0..40)).saturating_sub(rng.u64(0..320));
            let too_old = !known.is_empty() && seq + WINDOW < newest;
            assert_eq!(received.is_fresh(seq), !too_old && !known.contains(&seq), "{seq} of {newest}");
            if received.is_fresh(seq) {
                received.record(Time::ZERO, seq, true);
                known.insert(seq);
                newest = newest.max(seq);
            }
        }
    }

    #[test]
    fn only_eliciting_packets_oblige() {
        let ms = Time::from_millis;
        let delay = 25_000;
        let mut received = Received::default();
        received.record(ms(1), 0, false);
        assert_eq!(received.deadline(delay), None);
        received.record(ms(2), 1, true);
        received.record(ms(9), 2, true);
        assert_eq!(received.deadline(delay), Some(ms(27)));
        let (block, _, newest) = received.block(ms(12)).expect("owed");
        assert_eq!((block.newest, block.delay, newest), (2, 11, 2), "3 ms are 11 × 256 µs");
        received.answered();
        assert_eq!(received.deadline(delay), None);
        assert!(received.block(ms(13)).is_some(), "the first word may have been lost");
        received.settle(2);
        assert!(received.block(ms(13)).is_none());
    }
}
