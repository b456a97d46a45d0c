//! A token bucket: bytes that may leave, filling with time. Must never know what fills it or what empties it.

use netcode_wire::Time;

use super::span::since_us;

/// A token bucket. It may go below zero by its depth: what cannot wait is booked too.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: i64,
    at: Time,
}

/// How a bucket fills: bytes a second, and how many it holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    pub(super) rate: u64,
    pub(super) depth: u64,
}

impl Bucket {
    pub(super) fn full(tokens: u64) -> Self {
        Self { tokens: tokens.cast_signed(), at: Time::ZERO }
    }

    pub(super) fn level(&self, now: Time, flow: Flow) -> i64 {
        // Beyond a minute a bucket is full at any rate; the cap keeps the product small.
        let gained = flow.rate * since_us(now, self.at).min(60_000_000) / 1_000_000;
        self.tokens.saturating_add(gained.cast_signed()).min(flow.depth.cast_signed())
    }

    pub(super) fn take(&mut self, now: Time, flow: Flow, bytes: u64) {
        let left = self.level(now, flow) - bytes.cast_signed();
        self.tokens = left.max(-flow.depth.cast_signed());
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_to_its_depth_and_owes_no_more_than_that() {
        let flow = Flow { rate: 1000, depth: 500 };
        let mut bucket = Bucket::full(500);
        bucket.take(Time::ZERO, flow, 300);
        assert_eq!(bucket.level(Time::ZERO, flow), 200);
        assert_eq!(bucket.level(Time::from_millis(100), flow), 300);
        assert_eq!(bucket.level(Time::from_secs(9), flow), 500);
        bucket.take(Time::from_secs(9), flow, 9000);
        assert_eq!(bucket.level(Time::from_secs(9), flow), -500);
        assert_eq!(bucket.level(Time::MAX, flow), 500);
    }
}
