//! What the players of a run were told of their matches: how ratings moved, what was earned, and how soon they heard.
//! Owns the sums; knows neither players nor matches.

use std::time::Duration;

use backend_services::api::PlayerOutcome;
use serde::Serialize;

use crate::report::{Distribution, distribution};

/// Sums over all results that players heard of.
#[derive(Debug, Clone)]
pub struct Outcomes {
    heard: u64,
    rated: u64,
    moved: f64,
    steepest: f64,
    experience: u64,
    levels: u64,
    level_max: u32,
    achievements: u64,
    waited_ms: Distribution,
}

/// The same as figures. `None` means that nothing was measured.
#[derive(Debug, Clone, Serialize)]
pub struct OutcomeFigures {
    /// Results that players heard of, each once for each of its players.
    pub results_heard: u64,
    /// How far a rating moved in a match, points, mean over all that were rated.
    pub rating_change_mean: Option<f64>,
    /// How far the one that moved most did, points.
    pub rating_change_max: Option<f64>,
    /// Experience that was earned.
    pub experience: u64,
    /// Levels that were gained.
    pub levels_gained: u64,
    /// The highest level that anybody heard of.
    pub level_max: u32,
    /// Achievements that were reached.
    pub achievements: u64,
    /// From the end of the match to hearing of its result, median.
    pub outcome_wait_p50_ms: Option<f64>,
    /// Likewise, 99th percentile.
    pub outcome_wait_p99_ms: Option<f64>,
}

impl Outcomes {
    /// Nobody has heard anything yet.
    pub fn new() -> Self {
        Self {
            heard: 0,
            rated: 0,
            moved: 0.0,
            steepest: 0.0,
            experience: 0,
            levels: 0,
            level_max: 0,
            achievements: 0,
            waited_ms: distribution(),
        }
    }

    /// Adds what one player was told, and how long that took.
    pub fn add(&mut self, result: &PlayerOutcome, waited: Duration) {
        self.heard += 1;
        if let Some(rating) = result.rating {
            let moved = (rating.after.mu - rating.before.mu).abs();
            self.rated += 1;
            self.moved += moved;
            self.steepest = self.steepest.max(moved);
        }
        self.experience += result.experience;
        self.levels += u64::from(result.level_after.saturating_sub(result.level_before));
        self.level_max = self.level_max.max(result.level_after);
        self.achievements += result.achievements.len() as u64;
        let millis = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        if self.waited_ms.record(millis).is_err() {
            tracing::warn!(millis, "wait for a result beyond the histogram's range");
        }
    }

    /// Turns the sums into figures.
    pub fn figures(&self) -> OutcomeFigures {
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        let rated = |value: f64| (self.rated > 0).then(|| round(value));
        let waited =
            |q: f64| (!self.waited_ms.is_empty()).then(|| self.waited_ms.value_at_quantile(q) as f64);
        OutcomeFigures {
            results_heard: self.heard,
            rating_change_mean: rated(self.moved / self.rated.max(1) as f64),
            rating_change_max: rated(self.steepest),
            experience: self.experience,
            levels_gained: self.levels,
            level_max: self.level_max,
            achievements: self.achievements,
            outcome_wait_p50_ms: waited(0.50),
            outcome_wait_p99_ms: waited(0.99),
        }
    }
}

impl Default for Outcomes {
    fn default() -> Self {
        Self::new()
    }
}

impl OutcomeFigures {
    /// Their rows in the table that ends a run.
    pub fn rows(&self) -> [(&'static str, String); 4] {
        let points = |v: Option<f64>| v.map_or_else(|| "-".into(), |v| format!("{v:.2}"));
        let ms = |v: Option<f64>| v.map_or_else(|| "-".into(), |v| format!("{v:.0} ms"));
        let (mean, most) = (points(self.rating_change_mean), points(self.rating_change_max));
        let levels = format!(
            "{} experience, {} levels, the highest {}",
            self.experience, self.levels_gained, self.level_max
        );
        [
            ("rating change mean / max", format!("{mean} / {most} points")),
            ("earned", levels),
            ("achievements", self.achievements.to_string()),
            (
                "result heard p50 / p99",
                format!(
                    "{} / {} after the match, {} times",
                    ms(self.outcome_wait_p50_ms),
                    ms(self.outcome_wait_p99_ms),
                    self.results_heard
                ),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use backend_services::api::{Rating, RatingChange};

    use super::*;

    #[test]
    fn what_was_heard_is_summed_and_silence_is_no_zero() {
        let mut outcomes = Outcomes::new();
        assert!(outcomes.figures().rating_change_mean.is_none());
        assert!(outcomes.figures().rows()[0].1.starts_with("- / -"));
        let rating = |mu| Rating { mu, sigma: 5.0, matches: 3 };
        let result = PlayerOutcome {
            rating: Some(RatingChange { before: rating(25.0), after: rating(22.0) }),
            experience: 150,
            level_before: 1,
            level_after: 3,
            achievements: vec!["a".to_owned(), "b".to_owned()],
            ..PlayerOutcome::default()
        };
        outcomes.add(&result, Duration::from_millis(20));
        outcomes.add(
            &PlayerOutcome { level_before: 2, level_after: 2, ..PlayerOutcome::default() },
            Duration::ZERO,
        );
        let figures = outcomes.figures();
        assert_eq!((figures.results_heard, figures.rating_change_mean), (2, Some(3.0)));
        assert_eq!((figures.levels_gained, figures.level_max, figures.achievements), (2, 3, 2));
    }
}
