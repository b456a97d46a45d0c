//! When the next tick is due. Owns the absolute deadlines and the overrun policy; must never read a clock
//! (time is an argument) and never know what a tick does.

use std::time::Duration;

use netcode_wire::Time;

/// Ticks that may be run back to back to catch up. More than this many missed deadlines are skipped: a server
/// that is late by a tenth of a second should drop time, not spiral.
pub const CATCH_UP_TICKS_MAX: u64 = 4;

/// Absolute deadlines of a fixed-rate tick. Deadline `n` is `start + n / hz`, computed afresh from `n`, so
/// rounding never accumulates and a late tick does not move the following ones.
#[derive(Clone, Debug)]
pub struct Pacer {
    hz: u64,
    start: Time,
    next: u64,
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
        Self { hz: u64::from(hz), start, next: 0, overruns: 0, skipped: 0 }
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
        let elapsed_us = u128::from(now.as_micros() - self.start.as_micros());
        let last = u64::try_from(elapsed_us * u128::from(self.hz) / 1_000_000).unwrap_or(u64::MAX);
        let behind = (last + 1).saturating_sub(self.next).max(1);
        let ticks = behind.min(CATCH_UP_TICKS_MAX);
        self.overruns += behind - 1;
        self.skipped += behind - ticks;
        self.next += behind;
        Due { ticks, lateness: now.since(first) }
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
    fn a_restart_counts_nothing() {
        let mut pacer = Pacer::new(10, at(0));
        pacer.restart(at(10_000_000));
        assert_eq!(pacer.due(at(10_000_000)), Due { ticks: 1, lateness: Duration::ZERO });
        assert_eq!(pacer.overruns(), 0);
    }
}
