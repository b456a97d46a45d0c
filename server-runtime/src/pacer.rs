//! When the next tick is due. Owns the absolute deadlines and the overrun policy; must never read a clock
//! (time is an argument) and never know what a tick does.

use std::time::Duration;

use netcode_wire::Time;

/// Ticks that may be run back to back to catch up, unless an operator says otherwise. More than this many missed deadlines are skipped: a server
/// that is late by a tenth of a second should drop time, not spiral.
pub const CATCH_UP_TICKS_MAX: u64 = 4;

/// Absolute deadlines of a fixed-rate tick. Deadline `n` is `start + n / hz`, computed afresh from `n`, so
/// rounding never accumulates and a late tick does not move the following ones.
#[derive(Clone, Debug)]
pub struct Pacer {
    hz: u64,
    start: Time,
    next: u64,
    catch_up: u64,
    overruns: u64,
    skipped: u64,
}

/// What is due now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Ticks to run now, back to back. Zero: too early.
    pub ticks: u64,
    /// How late the first of them starts.
    pub lateness: Duration,
}

impl Pacer {
    /// First deadline at `start`.
    ///
    /// # Panics
    /// If `hz` is zero.
    pub fn new(hz: u16, start: Time) -> Self {
        assert!(hz > 0, "tick rate must not be zero");
        Self { hz: u64::from(hz), start, next: 0, catch_up: CATCH_UP_TICKS_MAX, overruns: 0, skipped: 0 }
    }

    /// The same, catching up to `ticks` at a time before it skips; at least one.
    #[must_use]
    pub fn catching_up(mut self, ticks: u64) -> Self {
        self.catch_up = ticks.max(1);
        self
    }

    /// Forgets missed deadlines as [`Pacer::restart`] does, but keeps its place among others: the first deadline is the
    /// next moment that lies `phase` (0 to 1 ticks) after a whole number of ticks.
    pub fn restart_in_phase(&mut self, now: Time, phase: f64) {
        let period_us = 1_000_000.0 / self.hz as f64;
        let ticks = (now.as_micros() as f64 / period_us - phase).ceil().max(0.0);
        // Saturates: a `f64` out of range becomes the range's end.
        let at_us = ((ticks + phase) * period_us).ceil() as u64;
        self.restart(Time::from_micros(at_us.max(now.as_micros())));
    }

    /// Claims one of the ticks that are due at `now`: when it was due, and how late it starts. What is too far behind to
    /// be caught up is skipped. For who has other things to do between the ticks that it is behind.
    pub fn claim(&mut self, now: Time) -> Option<(Time, Duration)> {
        if now < self.deadline() {
            return None;
        }
        let behind = self.behind(now);
        // Counted once, when it is passed over or when it starts with others behind it.
        let skipped = behind.saturating_sub(self.catch_up);
        self.overruns += skipped + u64::from(behind - skipped > 1);
        self.skipped += skipped;
        self.next += skipped;
        let due_at = self.deadline();
        self.next += 1;
        Some((due_at, now.since(due_at)))
    }

    /// Forgets missed deadlines without counting them: the first is now (after an idle pause).
    pub fn restart(&mut self, now: Time) {
        self.start = now;
        self.next = 0;
    }

    /// Claims the ticks that are due at `now`.
    pub fn due(&mut self, now: Time) -> Due {
        let first = self.deadline();
        if now < first {
            return Due { ticks: 0, lateness: Duration::ZERO };
        }
        let behind = self.behind(now);
        let ticks = behind.min(self.catch_up);
        self.overruns += behind - 1;
        self.skipped += behind - ticks;
        self.next += behind;
        Due { ticks, lateness: now.since(first) }
    }

    /// Deadlines that have come by `now`, one at least.
    fn behind(&self, now: Time) -> u64 {
        let elapsed_us = u128::from(now.as_micros() - self.start.as_micros());
        let last = u64::try_from(elapsed_us * u128::from(self.hz) / 1_000_000).unwrap_or(u64::MAX);
        (last + 1).saturating_sub(self.next).max(1)
    }

    /// When the next tick is due.
    pub fn deadline(&self) -> Time {
        let micros = u128::from(self.next) * 1_000_000;
        let offset = micros.div_ceil(u128::from(self.hz));
        Time::from_micros(self.start.as_micros() + u64::try_from(offset).unwrap_or(u64::MAX / 2))
    }

    /// Deadlines that passed before their tick could start, ever.
    pub fn overruns(&self) -> u64 {
        self.overruns
    }

    /// Of those, the ones given up rather than caught up, ever.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(us: u64) -> Time {
        Time::from_micros(us)
    }

    #[test]
    fn deadlines_do_not_drift() {
        let mut pacer = Pacer::new(60, at(5));
        let mut ticks = 0;
        for _ in 0..60 * 3600 {
            let deadline = pacer.deadline();
            // Every tick starts up to 300 µs late; the schedule must not care.
            ticks += pacer.due(at(deadline.as_micros() + 300)).ticks;
        }
        assert_eq!(ticks, 60 * 3600);
        assert_eq!(pacer.deadline(), at(5 + 3600 * 1_000_000));
        assert_eq!(pacer.overruns(), 0);
    }

    #[test]
    fn too_early_is_not_due() {
        let mut pacer = Pacer::new(10, at(0));
        assert_eq!(pacer.due(at(0)).ticks, 1);
        assert_eq!(pacer.due(at(99_999)).ticks, 0);
        assert_eq!(pacer.due(at(100_000)), Due { ticks: 1, lateness: Duration::ZERO });
    }

    #[test]
    fn short_overruns_are_caught_up_and_counted() {
        let mut pacer = Pacer::new(10, at(0));
        assert_eq!(pacer.due(at(0)).ticks, 1);
        let due = pacer.due(at(350_000));
        assert_eq!(due, Due { ticks: 3, lateness: Duration::from_millis(250) });
        assert_eq!((pacer.overruns(), pacer.skipped()), (2, 0));
        assert_eq!(pacer.deadline(), at(400_000));
    }

    #[test]
    fn long_overruns_are_skipped_and_counted() {
        let mut pacer = Pacer::new(10, at(0));
        assert_eq!(pacer.due(at(0)).ticks, 1);
        assert_eq!(pacer.due(at(2_000_000)).ticks, CATCH_UP_TICKS_MAX);
        assert_eq!((pacer.overruns(), pacer.skipped()), (19, 16));
        assert_eq!(pacer.deadline(), at(2_100_000));
    }

    #[test]
    fn claimed_one_by_one_it_counts_the_same() {
        let mut pacer = Pacer::new(10, at(0)).catching_up(2);
        assert_eq!(pacer.claim(at(0)), Some((at(0), Duration::ZERO)));
        assert_eq!(pacer.claim(at(99_999)), None);
        // Five are due (100 to 500 ms), two of which are caught up.
        let claimed: Vec<_> = std::iter::from_fn(|| pacer.claim(at(500_000))).collect();
        let expected = [(at(400_000), Duration::from_millis(100)), (at(500_000), Duration::ZERO)];
        assert_eq!((claimed.as_slice(), pacer.overruns(), pacer.skipped()), (&expected[..], 4, 3));
        assert_eq!(pacer.deadline(), at(600_000));
    }

    #[test]
    fn a_phase_is_kept_over_a_restart() {
        let mut pacer = Pacer::new(10, at(0));
        for (now_us, first_us) in [(0, 25_000), (25_000, 25_000), (25_001, 125_000), (1_000_000, 1_025_000)] {
            pacer.restart_in_phase(at(now_us), 0.25);
            assert_eq!(pacer.deadline(), at(first_us), "from {now_us}");
        }
    }

    #[test]
    fn a_restart_counts_nothing() {
        let mut pacer = Pacer::new(10, at(0));
        pacer.restart(at(10_000_000));
        assert_eq!(pacer.due(at(10_000_000)), Due { ticks: 1, lateness: Duration::ZERO });
        assert_eq!(pacer.overruns(), 0);
    }
}
