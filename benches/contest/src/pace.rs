//! When the next step of a loop is due. Owns the deadline; must never know what a step does.

use std::time::{Duration, Instant};

/// 60 Hz.
pub const TICK: Duration = Duration::from_nanos(16_666_667);

/// A steady beat that never tries to catch up: a step that takes too long moves all later ones.
#[derive(Debug)]
pub(crate) struct Pace {
    period: Duration,
    due: Instant,
}

impl Pace {
    pub(crate) fn new(period: Duration) -> Self {
        Self { period, due: Instant::now() + period }
    }

    /// When the coming step is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// The coming step has begun.
    pub(crate) fn step(&mut self) {
        self.due = (self.due + self.period).max(Instant::now());
    }
}
