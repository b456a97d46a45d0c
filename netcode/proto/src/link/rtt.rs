//! How long the path takes. Pure arithmetic over samples.

use std::time::Duration;

use netcode_wire::Time;

/// Round-trip time after RFC 6298 §2 (smoothed mean and deviation), with the minimum of a moving window.
#[derive(Debug, Default)]
pub(super) struct Rtt {
    estimate: Option<Estimate>,
    /// Minimum of the current and of the previous [`MIN_SPAN`].
    min: [Option<Duration>; 2],
    min_since: Time,
}

#[derive(Debug, Clone, Copy)]
struct Estimate {
    smoothed: Duration,
    deviation: Duration,
    latest: Duration,
}

impl Rtt {
    /// Takes a sample, the peer's own delay already subtracted.
    pub(super) fn sample(&mut self, now: Time, sample: Duration) {
        self.estimate = Some(match self.estimate {
            None => Estimate { smoothed: sample, deviation: sample / 2, latest: sample },
            Some(Estimate { smoothed, deviation, .. }) => Estimate {
                deviation: (deviation * 3 + smoothed.abs_diff(sample)) / 4,
                smoothed: (smoothed * 7 + sample) / 8,
                latest: sample,
            },
        });
        if now.since(self.min_since) >= MIN_SPAN {
            self.min = [None, self.min[0]];
            self.min_since = now;
        }
        self.min[0] = Some(self.min[0].map_or(sample, |min| min.min(sample)));
    }

    /// Whether there was a sample yet.
    pub(super) fn is_known(&self) -> bool {
        self.estimate.is_some()
    }

    pub(super) fn smoothed(&self) -> Duration {
        self.estimate.map_or(INITIAL, |estimate| estimate.smoothed)
    }

    pub(super) fn deviation(&self) -> Duration {
        self.estimate.map_or(INITIAL / 4, |estimate| estimate.deviation)
    }

    /// The least of the last ten to twenty seconds.
    pub(super) fn min(&self) -> Duration {
        self.min.into_iter().flatten().min().unwrap_or(INITIAL)
    }

    /// How much later than a packet sent after it a packet may still be acknowledged: the reordering window
    /// of RACK (RFC 8985 §6.2 step 4), widened by the jitter that was really seen.
    pub(super) fn reordering(&self) -> Duration {
        (self.min() / 4).max(self.deviation() * 2).clamp(GRANULARITY, self.smoothed().max(GRANULARITY))
    }

    /// After this long a packet is late although nothing sent later was acknowledged either (RFC 9002 §6.1.2,
    /// with the deviation instead of a fixed eighth).
    pub(super) fn overdue(&self, max_ack_delay: Duration) -> Duration {
        let latest = self.estimate.map_or(INITIAL, |estimate| estimate.latest);
        self.smoothed().max(latest) + self.reordering() + max_ack_delay
    }

    /// Probe timeout (RFC 9002 §6.2.1), `count` times doubled, at most [`PROBE_MAX`].
    pub(super) fn probe(&self, max_ack_delay: Duration, count: u32) -> Duration {
        let once = self.smoothed() + (self.deviation() * 4).max(GRANULARITY) + max_ack_delay;
        (once * (1 << count.min(6))).min(PROBE_MAX.max(once))
    }
}

/// Assumed before the first sample.
const INITIAL: Duration = Duration::from_millis(100);
/// No timer is finer than this.
const GRANULARITY: Duration = Duration::from_millis(1);
/// A dead path is probed this often: a session that comes back should notice soon.
const PROBE_MAX: Duration = Duration::from_millis(500);
/// Half of the minimum's memory.
const MIN_SPAN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_follows_the_rfc() {
        let ms = Duration::from_millis;
        let mut rtt = Rtt::default();
        rtt.sample(Time::ZERO, ms(80));
        assert_eq!((rtt.smoothed(), rtt.deviation(), rtt.min()), (ms(80), ms(40), ms(80)));
        rtt.sample(Time::ZERO, ms(40));
        assert_eq!((rtt.smoothed(), rtt.deviation(), rtt.min()), (ms(75), ms(40), ms(40)));
        for _ in 0..100 {
            rtt.sample(Time::ZERO, ms(60));
        }
        assert!(rtt.smoothed().abs_diff(ms(60)) < ms(1) && rtt.deviation() < ms(1));
    }

    #[test]
    fn the_minimum_forgets() {
        let ms = Duration::from_millis;
        let mut rtt = Rtt::default();
        for second in 0..60 {
            rtt.sample(Time::from_secs(second), ms(if second < 5 { 20 } else { 50 }));
        }
        assert_eq!(rtt.min(), ms(50));
    }

    #[test]
    fn probes_back_off_and_stop_growing() {
        let mut rtt = Rtt::default();
        rtt.sample(Time::ZERO, Duration::from_millis(50));
        let delay = Duration::from_millis(25);
        assert_eq!(rtt.probe(delay, 0), Duration::from_millis(175));
        assert_eq!(rtt.probe(delay, 1), Duration::from_millis(350));
        assert_eq!(rtt.probe(delay, 40), PROBE_MAX);
    }
}
