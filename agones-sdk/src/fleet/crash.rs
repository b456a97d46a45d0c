//! Owns: how long a fleet waits before it replaces servers that die young. Must never know: a clock, a process.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;

/// A server that has been Ready for this long is no sign of a crash loop.
const YOUNG: Duration = Duration::from_secs(5);

/// A loop that has been still for this long is over.
const CALM: Duration = Duration::from_secs(60);

/// The waits of a crash loop: 100 ms to 10 s. A loop must not eat the machine, a single crash must not be felt.
pub(super) const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(100), max: Duration::from_secs(10) };

/// Servers that died young, one after another.
#[derive(Debug, Default)]
pub(super) struct CrashLoop {
    streak: u32,
    last: Option<Instant>,
}

impl CrashLoop {
    /// A server that was started at `started` has died at `now`, after having been Ready for `ready_for`.
    /// Of servers that ran side by side only the first death counts: they are one mishap, not a loop.
    pub(super) fn handle_crash(&mut self, started: Instant, ready_for: Duration, now: Instant) {
        let calm = self.last.is_some_and(|last| now.duration_since(last) >= CALM);
        if ready_for >= YOUNG || calm {
            self.streak = 0;
        }
        if ready_for >= YOUNG {
            return;
        }
        if self.last.is_none_or(|last| started >= last) {
            self.streak = self.streak.saturating_add(1);
            self.last = Some(now);
        }
    }

    /// When the next server may be started.
    pub(super) fn open_at(&self) -> Option<Instant> {
        self.last.filter(|_| self.streak > 0).map(|last| last + BACKOFF.wait(self.streak))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_massacre_is_one_crash_and_a_loop_is_many() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut crashes = CrashLoop::default();
        assert_eq!(crashes.open_at(), None);
        for _ in 0..8 {
            crashes.handle_crash(start, second, start + second);
        }
        assert_eq!(crashes.open_at(), Some(start + second + Duration::from_millis(100)));
        crashes.handle_crash(start + 2 * second, second, start + 3 * second);
        assert_eq!(crashes.open_at(), Some(start + 3 * second + Duration::from_millis(200)));
        crashes.handle_crash(start + 4 * second, 60 * second, start + 20 * second);
        assert_eq!(crashes.open_at(), None);
        for at in [30, 40, 101] {
            crashes.handle_crash(start + at * second, second, start + at * second);
        }
        assert_eq!(crashes.open_at(), Some(start + 101 * second + Duration::from_millis(100)));
    }
}
