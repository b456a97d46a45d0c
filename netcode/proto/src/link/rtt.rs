//! How long the path takes. Pure arithmetic over samples, in microseconds: plain numbers, because this is asked
//! several times a packet.

use netcode_wire::Time;

use super::span::{GRANULARITY_US, since_us};

/// Round-trip time after RFC 6298 §2 (smoothed mean and deviation), with the minimum of a moving window.
#[derive(Debug)]
pub(super) struct Rtt {
    is_known: bool,
    smoothed_us: u32,
    deviation_us: u32,
    latest_us: u32,
    /// Minimum of the current and of the previous [`MIN_SPAN_US`].
    min_us: [u32; 2],
    min_since: Time,
}

impl Default for Rtt {
    fn default() -> Self {
        Self {
            is_known: false,
            smoothed_us: INITIAL_US,
            deviation_us: INITIAL_US / 4,
            latest_us: INITIAL_US,
            min_us: [NONE; 2],
            min_since: Time::ZERO,
        }
    }
}

impl Rtt {
    /// Takes a sample, the peer's own delay already subtracted.
    pub(super) fn sample(&mut self, now: Time, sample_us: u64) {
        let sample = sample_us.min(SAMPLE_MAX_US) as u32;
        if self.is_known {
            self.deviation_us = (self.deviation_us * 3 + self.smoothed_us.abs_diff(sample)) / 4;
            self.smoothed_us = (self.smoothed_us * 7 + sample) / 8;
        } else {
            (self.smoothed_us, self.deviation_us, self.is_known) = (sample, sample / 2, true);
        }
        self.latest_us = sample;
        if since_us(now, self.min_since) >= MIN_SPAN_US {
            self.min_us = [NONE, self.min_us[0]];
            self.min_since = now;
        }
        self.min_us[0] = self.min_us[0].min(sample);
    }

    /// Whether there was a sample yet.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    pub(super) fn smoothed_us(&self) -> u64 {
        u64::from(self.smoothed_us)
    }

    pub(super) fn deviation_us(&self) -> u64 {
        u64::from(self.deviation_us)
    }

    /// The least of the last ten to twenty seconds.
    pub(super) fn min_us(&self) -> u64 {
        let min = self.min_us[0].min(self.min_us[1]);
        u64::from(if min == NONE { INITIAL_US } else { min })
    }

    /// Takes `min_us` for the least from now on: the path itself has changed.
    pub(super) fn rebase(&mut self, min_us: u64) {
        self.min_us = [min_us.min(SAMPLE_MAX_US) as u32, NONE];
    }

    /// How much later than a packet sent after it a packet may still be acknowledged: the reordering window
    /// of RACK (RFC 8985 §6.2 step 4), widened by the jitter that was really seen.
    pub(super) fn reordering_us(&self) -> u64 {
        let ceiling = self.smoothed_us().max(GRANULARITY_US);
        (self.min_us() / 4).max(self.deviation_us() * 2).clamp(GRANULARITY_US, ceiling)
    }

    /// After this long a packet is late although nothing sent later was acknowledged either (RFC 9002 §6.1.2,
    /// with the deviation instead of a fixed eighth).
    pub(super) fn overdue_us(&self, max_ack_delay_us: u64) -> u64 {
        self.smoothed_us().max(u64::from(self.latest_us)) + self.reordering_us() + max_ack_delay_us
    }

    /// Probe timeout (RFC 9002 §6.2.1), `count` times doubled, at most [`PROBE_MAX_US`].
    pub(super) fn probe_us(&self, max_ack_delay_us: u64, count: u32) -> u64 {
        let once = self.smoothed_us() + (self.deviation_us() * 4).max(GRANULARITY_US) + max_ack_delay_us;
        (once << count.min(6)).min(PROBE_MAX_US.max(once))
    }
}

/// Assumed before the first sample.
const INITIAL_US: u32 = 100_000;
/// No sample.
const NONE: u32 = u32::MAX;
/// A longer round trip is taken for this one: eight of them still fit a `u32`.
const SAMPLE_MAX_US: u64 = 60_000_000;
/// A dead path is probed this often: a session that comes back should notice soon.
const PROBE_MAX_US: u64 = 500_000;
/// Half of the minimum's memory.
const MIN_SPAN_US: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_follows_the_rfc() {
        let mut rtt = Rtt::default();
        rtt.sample(Time::ZERO, 80_000);
        assert_eq!((rtt.smoothed_us(), rtt.deviation_us(), rtt.min_us()), (80_000, 40_000, 80_000));
        rtt.sample(Time::ZERO, 40_000);
        assert_eq!((rtt.smoothed_us(), rtt.deviation_us(), rtt.min_us()), (75_000, 40_000, 40_000));
        for _ in 0..100 {
            rtt.sample(Time::ZERO, 60_000);
        }
        assert!(rtt.smoothed_us().abs_diff(60_000) < 1000 && rtt.deviation_us() < 1000);
        rtt.sample(Time::ZERO, u64::MAX);
        assert_eq!(rtt.smoothed_us() / 1_000_000, 7, "no sample overflows");
    }

    #[test]
    fn the_minimum_forgets() {
        let mut rtt = Rtt::default();
        for second in 0..60 {
            rtt.sample(Time::from_secs(second), if second < 5 { 20_000 } else { 50_000 });
        }
        assert_eq!(rtt.min_us(), 50_000);
    }

    #[test]
    fn probes_back_off_and_stop_growing() {
        let mut rtt = Rtt::default();
        rtt.sample(Time::ZERO, 50_000);
        assert_eq!(rtt.probe_us(25_000, 0), 175_000);
        assert_eq!(rtt.probe_us(25_000, 1), 350_000);
        assert_eq!(rtt.probe_us(25_000, 40), PROBE_MAX_US);
    }
}
