//! Owns: how long to wait before the next try. Must never know: what is tried, or a clock.

use std::time::Duration;

/// Exponential waiting times: `first`, then twice as long each time, up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// No wait is longer.
    pub max: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row; none after none.
    pub fn wait(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        // 2^20 × 1 ms is already 17 minutes: more doublings only risk overflow.
        self.first.saturating_mul(1 << doublings.min(20)).min(self.max)
    }

    /// As [`Backoff::wait`], shortened by up to a half, so that many clients do not return together.
    pub fn jittered(&self, failures: u32) -> Duration {
        self.wait(failures).mul_f32(1.0 - 0.5 * fastrand::f32())
    }
}

impl Default for Backoff {
    /// 50 ms to 2 s.
    fn default() -> Self {
        Self { first: Duration::from_millis(50), max: Duration::from_secs(2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum() {
        let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(1) };
        let millis: Vec<_> = [0, 1, 2, 3, 4, 5, u32::MAX].map(|n| backoff.wait(n).as_millis()).into();
        assert_eq!(millis, [0, 100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn jitter_keeps_at_least_half() {
        let backoff = Backoff::default();
        for failures in 1..10 {
            let wait = backoff.jittered(failures);
            assert!(wait <= backoff.wait(failures) && wait >= backoff.wait(failures) / 2);
        }
    }
}
