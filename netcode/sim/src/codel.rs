//! CoDel: when a queue has stood for too long. Owns the control law; must never know what becomes of a packet.
//!
//! After RFC 8289 §5, with its default target and interval. The RFC's "dropping" is our judging a packet congested.

use std::time::Duration;

use netcode_wire::Time;

/// The state of one queue.
#[derive(Debug, Default)]
pub(crate) struct CoDel {
    /// When the wait will have been above the target for a whole interval; `None`: it is below.
    first_above: Option<Time>,
    is_acting: bool,
    /// When the next packet is due while acting.
    next: Time,
    /// Packets since acting began, and when it ended last.
    count: u32,
    last_count: u32,
}

/// What is to happen to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passes,
    /// To be marked, or dropped.
    Congested,
}

impl CoDel {
    /// Judges the packet that leaves the queue at `now` after it has waited for `waited_us`.
    pub(crate) fn judge(&mut self, now: Time, waited_us: u64) -> Verdict {
        let stands = self.stands(now, waited_us);
        if !stands {
            self.is_acting = false;
            return Verdict::Passes;
        }
        if self.is_acting {
            if now < self.next {
                return Verdict::Passes;
            }
            self.count += 1;
        } else {
            self.is_acting = true;
            // Soon after the last time the rate goes on from where it was.
            let recent = now.since(self.next) < INTERVAL * 16;
            let grown = self.count.saturating_sub(self.last_count);
            self.count = if recent && grown > 1 { grown } else { 1 };
            self.last_count = self.count;
            self.next = now;
        }
        self.next += INTERVAL.div_f64(f64::from(self.count).sqrt());
        Verdict::Congested
    }

    fn stands(&mut self, now: Time, waited_us: u64) -> bool {
        if waited_us < TARGET_US {
            self.first_above = None;
            return false;
        }
        let since = *self.first_above.get_or_insert(now + INTERVAL);
        now >= since
    }
}

const TARGET_US: u64 = 5_000;
const INTERVAL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    /// Verdicts of a packet a millisecond that each waits for `waited_us`.
    fn congested(codel: &mut CoDel, from_ms: u64, count: u64, waited_us: u64) -> Vec<u64> {
        let judged = |ms: &u64| codel.judge(Time::from_millis(*ms), waited_us) == Verdict::Congested;
        (from_ms..from_ms + count).filter(judged).collect()
    }

    #[test]
    fn a_short_queue_and_a_short_time_are_let_be() {
        let mut codel = CoDel::default();
        assert!(congested(&mut codel, 0, 1000, 4_999).is_empty());
        assert!(congested(&mut codel, 1000, 99, 50_000).is_empty());
    }

    #[test]
    fn a_standing_queue_is_answered_faster_and_faster() {
        let mut codel = CoDel::default();
        let at = congested(&mut codel, 0, 1000, 6_000);
        // 100 ms of grace, then one after 100/√1, 100/√2 … ms (RFC 8289 §5.5).
        assert_eq!(at[..4], [100, 200, 271, 329]);
        assert!(congested(&mut codel, 1000, 100, 1000).is_empty());
        assert!(congested(&mut codel, 1200, 100, 6_000).is_empty(), "another interval of grace");
        let again = congested(&mut codel, 1300, 100, 6_000);
        assert!(again.len() > 3, "the rate is remembered: {again:?}");
    }
}
