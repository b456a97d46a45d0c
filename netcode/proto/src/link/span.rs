//! Microseconds as plain numbers, for what is computed several times a packet. Knows nothing else.

use std::time::Duration;

use netcode_wire::Time;

/// How long after `earlier` it is, 0 when that lies ahead.
pub(super) const fn since_us(now: Time, earlier: Time) -> u64 {
    now.as_micros().saturating_sub(earlier.as_micros())
}

/// `us` after `at`.
pub(super) const fn after(at: Time, us: u64) -> Time {
    Time::from_micros(at.as_micros().saturating_add(us))
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// No timer is finer than this.
pub(super) const GRANULARITY_US: u64 = 1000;
