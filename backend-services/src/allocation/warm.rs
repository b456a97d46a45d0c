//! How many matches may look for a server at once: as many as are known to be ready, and where nobody says how many
//! those are, a window that doubles with success and halves with refusals. Pure: clock and dice are arguments.
//!
//! A server that is not ready yet is not asked for: the match's tickets wait in the pool, where they may still find
//! better opponents, and the fleet is not held up with requests that it must refuse.

use std::time::{Duration, Instant};

/// Never more allocations at once than this, in one place.
const WINDOW_MAX: u32 = 64;
/// Where a window begins.
const WINDOW_FIRST: u32 = 16;
/// What was counted longer ago is not known any more.
const KNOWN_FOR: Duration = Duration::from_secs(2);
/// The pause after a refusal; it doubles with each, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How an allocation ended, as far as the next ones care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A server was taken.
    Taken,
    /// There is none right now.
    NoneReady,
    /// The place could not be asked, or answered something else.
    Failed,
}

/// What is known of one place's warm servers.
#[derive(Debug)]
pub struct Gate {
    window: u32,
    /// Allocations that are under way.
    under_way: u32,
    failures: u32,
    paused_until: Option<Instant>,
    known: Option<Known>,
    /// Allocations begun since the count that is under way was asked for, those before it that had not ended included.
    since_asked: u32,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    ready: u32,
    at: Instant,
    /// Allocations that may have taken from `ready`.
    spent: u32,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            window: WINDOW_FIRST,
            under_way: 0,
            failures: 0,
            paused_until: None,
            known: None,
            since_asked: 0,
        }
    }
}

impl Gate {
    /// So many more allocations may begin.
    pub fn room(&self, now: Instant) -> u32 {
        if self.paused_until.is_some_and(|until| now < until) {
            return 0;
        }
        match self.fresh(now) {
            // Those who know are believed: a window would only slow down.
            Some(known) => {
                known.ready.saturating_sub(known.spent).min(WINDOW_MAX.saturating_sub(self.under_way))
            }
            None => self.window.saturating_sub(self.under_way),
        }
    }

    /// An allocation begins.
    pub fn begin(&mut self) {
        self.under_way += 1;
        self.since_asked += 1;
        if let Some(known) = &mut self.known {
            known.spent += 1;
        }
    }

    /// An allocation ended; `unit` is random in 0..1.
    pub fn end(&mut self, outcome: Outcome, now: Instant, unit: f64) {
        self.under_way = self.under_way.saturating_sub(1);
        if outcome == Outcome::Taken {
            self.failures = 0;
            self.window = self.window.saturating_add(1).min(WINDOW_MAX);
            return;
        }
        // The refusals of one round count once.
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.window = (self.window / 2).max(1);
        if let (Outcome::NoneReady, Some(_)) = (outcome, self.fresh(now)) {
            // The next count says when to go on; until then there is none.
            self.known = Some(Known { ready: 0, at: now, spent: 0 });
            return;
        }
        let longest = PAUSE_MIN.saturating_mul(1 << self.failures.min(8)).min(PAUSE_MAX);
        // Jitter, so that several matchmakers do not come back together.
        self.paused_until = Some(now + longest.mul_f64(0.5 + 0.5 * unit));
        self.failures += 1;
    }

    /// The ready servers are being counted.
    pub fn ask(&mut self) {
        self.since_asked = self.under_way;
    }

    /// So many were ready when they were counted. Whatever was under way meanwhile may or may not be in the count:
    /// it is taken off, so that the error is on the side of waiting for the next count.
    pub fn learn(&mut self, ready: u32, now: Instant) {
        self.known = Some(Known { ready, at: now, spent: self.since_asked });
    }

    fn fresh(&self, now: Instant) -> Option<Known> {
        self.known.filter(|known| now.saturating_duration_since(known.at) < KNOWN_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_servers_are_never_asked_for_twice() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.ask();
        gate.begin();
        gate.learn(3, now);
        assert_eq!(gate.room(now), 2, "the one that began during the count may have taken one of the three");
        gate.begin();
        gate.begin();
        assert_eq!(gate.room(now), 0);
        (0..3).for_each(|_| gate.end(Outcome::Taken, now, 0.5));
        assert_eq!(gate.room(now), 0, "an end brings no server back");
        gate.ask();
        gate.learn(4, now);
        assert_eq!(gate.room(now), 4);
    }

    #[test]
    fn a_refusal_waits_for_the_next_count() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.learn(3, now);
        gate.begin();
        gate.end(Outcome::NoneReady, now, 0.5);
        assert_eq!(gate.room(now), 0);
        gate.ask();
        gate.learn(1, now);
        assert_eq!(gate.room(now), 1);
    }

    #[test]
    fn without_a_count_a_window_halves_and_grows() {
        let (mut gate, mut now) = (Gate::default(), Instant::now());
        assert_eq!(gate.room(now), WINDOW_FIRST);
        for (failures, window) in [8, 4, 2, 1, 1, 1, 1].into_iter().enumerate() {
            gate.begin();
            gate.end(Outcome::NoneReady, now, 1.0);
            // The second refusal of a round changes nothing.
            gate.begin();
            gate.end(Outcome::NoneReady, now, 1.0);
            assert_eq!(gate.room(now), 0);
            let pause = PAUSE_MIN.saturating_mul(1 << failures).min(PAUSE_MAX);
            now += pause;
            assert_eq!(gate.room(now), window, "{failures}");
        }
        for window in 2..200 {
            gate.begin();
            gate.end(Outcome::Taken, now, 0.0);
            assert_eq!(gate.room(now), window.min(WINDOW_MAX));
        }
    }

    #[test]
    fn an_old_count_is_forgotten() {
        let (mut gate, now) = (Gate::default(), Instant::now());
        gate.learn(0, now);
        assert_eq!(gate.room(now), 0);
        assert_eq!(gate.room(now + KNOWN_FOR), WINDOW_FIRST);
    }
}
