//! Token buckets: how often one address may ask. Pure: the time is an argument.
//!
//! One process's view; several nodes admit as many times more. The table is bounded: when it is full,
//! buckets that have refilled are forgotten (they say nothing), and if none has, newcomers share one.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How much and how fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests at once from a full bucket.
    pub burst: f64,
    /// Requests that flow back each second.
    pub refill_per_s: f64,
}

/// Whether a request may pass, and what to tell the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Zero: it may pass. Otherwise: try again after this.
    pub wait: Duration,
    /// Whole requests left in the bucket.
    pub remaining: u64,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// Buckets by key.
pub struct Limiter<K> {
    rate: Rate,
    buckets_max: usize,
    buckets: HashMap<K, Bucket>,
    overflow: Bucket,
}

impl<K: Eq + Hash> Limiter<K> {
    /// Empty, with room for `buckets_max` keys.
    pub fn new(rate: Rate, buckets_max: usize, now: Instant) -> Self {
        let overflow = Bucket { tokens: rate.burst, filled: now };
        Self { rate, buckets_max, buckets: HashMap::new(), overflow }
    }

    /// Takes one token from the key's bucket if it has one.
    pub fn take(&mut self, key: K, now: Instant) -> Verdict {
        let rate = self.rate;
        if self.buckets.len() >= self.buckets_max && !self.buckets.contains_key(&key) {
            self.buckets.retain(|_, bucket| bucket.level(rate, now) < rate.burst);
            if self.buckets.len() >= self.buckets_max {
                return self.overflow.take(rate, now);
            }
        }
        self.buckets.entry(key).or_insert(Bucket { tokens: rate.burst, filled: now }).take(rate, now)
    }
}

impl Bucket {
    fn level(&self, rate: Rate, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * rate.refill_per_s;
        (self.tokens + gained).min(rate.burst)
    }

    fn take(&mut self, rate: Rate, now: Instant) -> Verdict {
        self.tokens = self.level(rate, now);
        self.filled = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Verdict { wait: Duration::ZERO, remaining: self.tokens as u64 };
        }
        Verdict { wait: Duration::from_secs_f64((1.0 - self.tokens) / rate.refill_per_s), remaining: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3.0, refill_per_s: 2.0 };

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut limiter = Limiter::new(RATE, 10, start);
        for left in [2, 1, 0] {
            assert_eq!(limiter.take("a", start), Verdict { wait: Duration::ZERO, remaining: left });
        }
        assert_eq!(limiter.take("a", start).wait, Duration::from_millis(500));
        assert_eq!(limiter.take("b", start).wait, Duration::ZERO);
        assert_eq!(limiter.take("a", start + Duration::from_millis(500)).wait, Duration::ZERO);
        assert!(limiter.take("a", start + Duration::from_millis(501)).wait > Duration::ZERO);
    }

    #[test]
    fn over_ten_seconds_it_admits_the_burst_and_what_flowed_back() {
        let start = Instant::now();
        let mut limiter = Limiter::new(RATE, 10, start);
        let times = (0..10_000).map(|ms| start + Duration::from_millis(ms));
        let admitted = times.filter(|now| limiter.take((), *now).wait.is_zero()).count();
        assert!((22..=23).contains(&admitted), "{admitted}");
    }

    #[test]
    fn a_full_table_forgets_full_buckets_and_then_shares_one() {
        let start = Instant::now();
        let mut limiter = Limiter::new(RATE, 100, start);
        for key in 0..1000 {
            limiter.take(key, start);
        }
        assert_eq!(limiter.buckets.len(), 100);
        assert!(limiter.take(5000, start).wait > Duration::ZERO, "the shared bucket is empty");
        limiter.take(5000, start + Duration::from_secs(10));
        assert_eq!(limiter.buckets.len(), 1);
    }
}
