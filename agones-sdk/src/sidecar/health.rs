//! Owns: when missing signs of life make a server unhealthy. Must never know: a clock, or what follows.

use std::time::{Duration, Instant};

/// How signs of life are judged (Agones `spec.health`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// No judgement at all.
    pub disabled: bool,
    /// A sign of life is due in each period.
    pub period: Duration,
    /// So many periods missed in a row are the end.
    pub failure_threshold: u32,
    /// The first period starts this long after the start.
    pub initial_delay: Duration,
}

impl Default for HealthPolicy {
    /// Agones' own: 5 s, 3 times, after 5 s.
    fn default() -> Self {
        Self {
            disabled: false,
            period: Duration::from_secs(5),
            failure_threshold: 3,
            initial_delay: Duration::from_secs(5),
        }
    }
}

/// Counts missed periods.
#[derive(Debug)]
pub(super) struct HealthMonitor {
    policy: HealthPolicy,
    /// End of the running period.
    due: Instant,
    seen: bool,
    missed: u32,
}

impl HealthMonitor {
    /// Starts judging; the first period ends at `now` + initial delay + period.
    pub(super) fn new(policy: HealthPolicy, now: Instant) -> Self {
        assert!(!policy.period.is_zero(), "a health period has a length");
        Self { policy, due: now + policy.initial_delay + policy.period, seen: false, missed: 0 }
    }

    /// A sign of life.
    pub(super) fn handle_ping(&mut self) {
        self.seen = true;
        self.missed = 0;
    }

    /// Closes the periods that have ended; true once too many in a row were missed.
    pub(super) fn step(&mut self, now: Instant) -> bool {
        while !self.policy.disabled && now >= self.due && self.missed < self.policy.failure_threshold {
            self.missed = if self.seen { 0 } else { self.missed + 1 };
            self.seen = false;
            self.due += self.policy.period;
        }
        !self.policy.disabled && self.missed >= self.policy.failure_threshold
    }

    /// When [`HealthMonitor::step`] has something to do next.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.policy.disabled).then_some(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps at each whole second; pings at the seconds given; returns the second at which it is unhealthy.
    fn check(policy: HealthPolicy, pings: &[u64], expected: Option<u64>) {
        let start = Instant::now();
        let mut monitor = HealthMonitor::new(policy, start);
        let mut found = None;
        for second in 0..=60 {
            if pings.contains(&second) {
                monitor.handle_ping();
            }
            if found.is_none() && monitor.step(start + Duration::from_secs(second)) {
                found = Some(second);
            }
        }
        assert_eq!(found, expected, "pings at {pings:?}");
    }

    #[test]
    fn three_missed_periods_are_the_end() {
        let policy = HealthPolicy::default();
        // 5 s delay, then the periods end at 10, 15, 20.
        check(policy, &[], Some(20));
        check(policy, &[1], Some(25));
        check(policy, &[17], Some(35));
        let steady: Vec<u64> = (0..=60).step_by(4).collect();
        check(policy, &steady, None);
        check(HealthPolicy { disabled: true, ..policy }, &[], None);
        check(HealthPolicy { failure_threshold: 1, ..policy }, &[], Some(10));
    }
}
