//! Who will win: probabilities from ratings, for any set of teams. Pure.

use crate::model::{TrueSkill2, draw_margin};
use crate::normal::{density, distribution};
use crate::skill::Rating;

/// How a match of two teams may end; the three sum to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Odds {
    /// The first team wins.
    pub win: f64,
    /// Neither wins.
    pub draw: f64,
    /// The second team wins.
    pub loss: f64,
}

/// Points of the integral over the best team's performance: the trapezium rule on ±8 standard deviations is
/// exact to 1e-6 for teams whose spreads differ by a factor of ten.
const POINTS: i32 = 256;
const REACH: f64 = 8.0;

impl TrueSkill2 {
    /// The probability that the first team performs better than the second: of its victory, given that there
    /// is no draw. Ratings are those of [`TrueSkill2::outlook`], or any.
    pub fn ahead(&self, first: &[Rating], second: &[Rating]) -> f64 {
        let ((a, va), (b, vb)) = (self.performance(first), self.performance(second));
        distribution((a - b) / (va + vb).sqrt())
    }

    /// Win, draw and loss of the first team against the second in a mode.
    pub fn odds(&self, mode: &str, first: &[Rating], second: &[Rating]) -> Odds {
        let ((a, va), (b, vb)) = (self.performance(first), self.performance(second));
        let parameters = self.parameters();
        let margin = draw_margin(parameters.mode(mode), parameters.beta)(first.len() + second.len());
        let deviation = (va + vb).sqrt();
        let win = distribution((a - b - margin) / deviation);
        let loss = distribution((b - a - margin) / deviation);
        Odds { win, draw: (1.0 - win - loss).max(0.0), loss }
    }

    /// Each team's probability to perform best of all; they sum to 1. One number a team; empty for none.
    pub fn win_probabilities(&self, teams: &[Vec<Rating>]) -> Vec<f64> {
        let performances: Vec<(f64, f64)> = teams
            .iter()
            .map(|team| self.performance(team))
            .map(|(mean, variance)| (mean, variance.sqrt()))
            .collect();
        let mut best: Vec<f64> = (0..teams.len()).map(|team| best_of(&performances, team)).collect();
        let total: f64 = best.iter().sum();
        if total > 0.0 {
            best.iter_mut().for_each(|probability| *probability /= total);
        }
        best
    }

    /// Mean and variance of a team's performance.
    fn performance(&self, team: &[Rating]) -> (f64, f64) {
        let noise = self.parameters().beta * self.parameters().beta;
        team.iter().fold((0.0, 0.0), |(mean, variance), rating| {
            (mean + rating.mu, variance + rating.variance() + noise)
        })
    }
}

/// ∫ φ(z) Π Φ over the others of what team `own` performs at z standard deviations.
fn best_of(performances: &[(f64, f64)], own: usize) -> f64 {
    let (mean, deviation) = performances[own];
    let step = 2.0 * REACH / f64::from(POINTS);
    let mut total = 0.0;
    for point in 0..=POINTS {
        let z = f64::from(point) * step - REACH;
        let mut product = density(z) * step;
        for (index, (other, spread)) in performances.iter().enumerate() {
            if index != own {
                product *= distribution((mean + z * deviation - other) / spread);
            }
            if product < 1e-18 {
                break;
            }
        }
        total += product;
    }
    total
}
