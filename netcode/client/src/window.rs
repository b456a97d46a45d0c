//! What was measured lately: the smallest sample of the last seconds, and a quantile of the last samples.
//! Owns the bookkeeping; must never know what is measured.

use netcode_wire::Time;

/// The smallest sample of the last [`Lowest::span_us`], kept as one minimum a bucket: constant memory, and old
/// samples leave a bucket at a time.
#[derive(Clone, Debug)]
pub(crate) struct Lowest {
    buckets: [f64; BUCKETS],
    bucket_us: u64,
    newest: u64,
}

impl Lowest {
    /// Looks back over `span_us` microseconds.
    pub(crate) fn new(span_us: u64) -> Self {
        assert!(span_us >= BUCKETS as u64, "a window needs a span");
        Self { buckets: [f64::INFINITY; BUCKETS], bucket_us: span_us / BUCKETS as u64, newest: 0 }
    }

    /// Takes a sample in.
    pub(crate) fn push(&mut self, now: Time, sample: f64) {
        self.turn(now);
        let bucket = &mut self.buckets[(self.newest % BUCKETS as u64) as usize];
        *bucket = bucket.min(sample);
    }

    /// Forgets what is too old by `now`.
    pub(crate) fn turn(&mut self, now: Time) {
        let number = now.as_micros() / self.bucket_us;
        let passed = number.saturating_sub(self.newest).min(BUCKETS as u64);
        for step in 0..passed {
            self.buckets[((number - step) % BUCKETS as u64) as usize] = f64::INFINITY;
        }
        self.newest = self.newest.max(number);
    }

    /// The smallest sample, or `None` where the window is empty.
    pub(crate) fn value(&self) -> Option<f64> {
        let lowest = self.buckets.iter().copied().fold(f64::INFINITY, f64::min);
        lowest.is_finite().then_some(lowest)
    }
}

/// A quantile of the last [`SAMPLES`] samples.
#[derive(Clone, Debug)]
pub(crate) struct Quantile {
    samples: [f64; SAMPLES],
    len: usize,
    next: usize,
}

impl Quantile {
    pub(crate) const fn new() -> Self {
        Self { samples: [0.0; SAMPLES], len: 0, next: 0 }
    }

    /// Takes a sample in; the oldest leaves.
    pub(crate) fn push(&mut self, sample: f64) {
        self.samples[self.next] = sample;
        self.next = (self.next + 1) % SAMPLES;
        self.len = (self.len + 1).min(SAMPLES);
    }

    /// The sample that `share` (0..=1) of all samples do not exceed, or `None` where there is none.
    pub(crate) fn value(&self, share: f64) -> Option<f64> {
        let last = self.len.checked_sub(1)?;
        let mut sorted = self.samples;
        let rank = ((last as f64 * share).ceil() as usize).min(last);
        let (_, value, _) = sorted[..self.len].select_nth_unstable_by(rank, f64::total_cmp);
        Some(*value)
    }
}

const BUCKETS: usize = 8;
/// Two seconds of 60 Hz snapshots.
const SAMPLES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_sample_is_forgotten_after_the_span() {
        let mut lowest = Lowest::new(8_000_000);
        assert_eq!(lowest.value(), None);
        lowest.push(Time::from_secs(1), -3.0);
        lowest.push(Time::from_secs(2), 5.0);
        assert_eq!(lowest.value(), Some(-3.0));
        lowest.turn(Time::from_secs(8));
        assert_eq!(lowest.value(), Some(-3.0));
        lowest.turn(Time::from_secs(9));
        assert_eq!(lowest.value(), Some(5.0));
        lowest.turn(Time::from_secs(1000));
        assert_eq!(lowest.value(), None);
    }

    #[test]
    fn quantiles_are_samples() {
        let mut quantile = Quantile::new();
        assert_eq!(quantile.value(0.5), None);
        for n in 0..300 {
            quantile.push(f64::from(n));
        }
        // The last 128 are 172..=299.
        assert_eq!(quantile.value(0.0), Some(172.0));
        assert_eq!(quantile.value(1.0), Some(299.0));
        assert_eq!(quantile.value(0.5), Some(236.0));
    }
}
