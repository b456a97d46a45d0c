//! What a day looks like: arrivals a second by the time of day (UTC), learned over days. Newer days weigh more.

use serde::{Deserialize, Serialize};

/// Seconds of one bin; a day has 288.
const BIN_S: u64 = 300;
const DAY_S: u64 = 86_400;
const BINS: usize = 288;
/// How much of a bin the newest day is: yesterday counts as much as all days before it.
const NEWEST: f64 = 0.5;
/// A bin that was watched for less than this says nothing.
const WATCHED_MIN_S: f64 = 150.0;

/// The shape of the days so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Day {
    /// Arrivals a second in each bin; `None` until a day has shown it.
    bins: Vec<Option<f64>>,
    /// The bin that is being watched, by its number since the epoch.
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    number: u64,
    arrivals: f64,
    watched_s: f64,
}

impl Default for Day {
    fn default() -> Self {
        Self { bins: vec![None; BINS], open: None }
    }
}

impl Day {
    /// So many arrivals came in the `seconds` before `now_s`.
    pub fn note(&mut self, arrivals: f64, seconds: f64, now_s: u64) {
        let number = now_s / BIN_S;
        let open = self.open.get_or_insert(Open { number, arrivals: 0.0, watched_s: 0.0 });
        if open.number != number {
            let done = std::mem::replace(open, Open { number, arrivals: 0.0, watched_s: 0.0 });
            if done.watched_s >= WATCHED_MIN_S {
                let rate = done.arrivals / done.watched_s;
                let bin = &mut self.bins[place(done.number)];
                *bin = Some(bin.map_or(rate, |known| known + NEWEST * (rate - known)));
            }
        }
        if let Some(open) = &mut self.open {
            open.arrivals += arrivals;
            open.watched_s += seconds;
        }
    }

    /// Arrivals a second at this time of day, between the middles of two bins; `None` where no day has shown it.
    pub fn rate(&self, at_s: u64) -> Option<f64> {
        // The middles lie half a bin after the beginnings.
        let from_middle = at_s.saturating_sub(BIN_S / 2);
        let (left, right) =
            (self.bins[place(from_middle / BIN_S)]?, self.bins[place(from_middle / BIN_S + 1)]?);
        let between = (from_middle % BIN_S) as f64 / BIN_S as f64;
        Some(left + between * (right - left))
    }

    /// By how much arrivals grow (or shrink) from `now_s` to their highest until `now_s + ahead_s`; 1 where no day has
    /// shown it, and never beyond `limits`: one strange day must not fill or empty a fleet.
    pub fn growth(&self, now_s: u64, ahead_s: u64, limits: (f64, f64)) -> f64 {
        /// Rarer than this is too rare to be divided by: one in a thousand seconds.
        const RATE_MIN: f64 = 1e-3;
        let Some(now) = self.rate(now_s).filter(|rate| *rate >= RATE_MIN) else { return 1.0 };
        let steps = (0..=ahead_s / 30).map(|step| now_s + step * 30).chain([now_s + ahead_s]);
        let highest = steps.skip(1).filter_map(|at| self.rate(at)).fold(f64::NAN, f64::max);
        if highest.is_nan() { 1.0 } else { (highest / now).clamp(limits.0, limits.1) }
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number % (DAY_S / BIN_S)).expect("below 288")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day with this rate at this hour, reported every 30 s.
    fn learn(day: &mut Day, from_s: u64, rate: impl Fn(u64) -> f64) {
        for step in 0..=DAY_S / 30 {
            let now_s = from_s + step * 30;
            day.note(rate(now_s % DAY_S) * 30.0, 30.0, now_s);
        }
    }

    #[test]
    fn a_day_is_learned_and_newer_days_weigh_more() {
        let mut day = Day::default();
        assert_eq!(day.rate(40_000), None);
        assert!((day.growth(40_000, 60, (0.5, 3.0)) - 1.0).abs() < 1e-9);
        learn(&mut day, 0, |at| if at < 43_200 { 1.0 } else { 3.0 });
        assert!((day.rate(20_000).expect("learned") - 1.0).abs() < 0.05);
        assert!((day.rate(60_000).expect("learned") - 3.0).abs() < 0.05);
        learn(&mut day, DAY_S, |_| 2.0);
        assert!((day.rate(20_000).expect("learned") - 1.5).abs() < 0.1);
    }

    #[test]
    fn growth_looks_ahead_within_its_limits() {
        let mut day = Day::default();
        learn(&mut day, 0, |at| if at < 43_200 { 1.0 } else { 30.0 });
        let noon = 2 * DAY_S + 43_200;
        assert!((day.growth(noon - 3000, 300, (0.5, 3.0)) - 1.0).abs() < 0.05);
        assert!((day.growth(noon - 200, 300, (0.5, 3.0)) - 3.0).abs() < 1e-9, "the limit");
        assert!(day.growth(noon - 200, 300, (0.5, 100.0)) > 5.0);
        assert!((day.growth(3 * DAY_S - 60, 300, (0.5, 3.0)) - 1.0).abs() < 0.8, "round midnight");
    }
}
