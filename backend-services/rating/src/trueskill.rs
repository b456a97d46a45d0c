//! The first TrueSkill, for whoever has ratings and placements and nothing else: the same graph with every
//! extra off.

use crate::game::{PLAYERS_MAX, RatingError};
use crate::graph::results;
use crate::model::draw_margin;
use crate::normal::distribution;
use crate::parameters::Mode;
use crate::propagation::{Rest, propagate};
use crate::skill::Rating;

/// The model's parameters. The default is the published one: β = 25/6, τ = 25/300, 10 % draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrueSkill {
    /// Standard deviation of a performance around the skill, in points.
    pub beta: f64,
    /// Standard deviation of a skill's drift between matches, in points.
    pub tau: f64,
    /// How often two equal players draw, in [0, 1).
    pub draw_probability: f64,
    /// Messages that move less than this, in standard deviations, end the iteration.
    pub tolerance: f64,
    /// The iteration ends after this many sweeps in any case.
    pub sweeps_max: u32,
}

impl Default for TrueSkill {
    fn default() -> Self {
        let draw_probability = 0.10;
        Self { beta: 25.0 / 6.0, tau: 25.0 / 300.0, draw_probability, tolerance: 1e-11, sweeps_max: 100 }
    }
}

impl TrueSkill {
    /// The players' new ratings after a match, in the order given. A player is a rating and the share of the
    /// match that it took part in, in (0, 1]. `placements[t]` is team `t`'s place: lower is better, equal is
    /// a draw.
    ///
    /// # Errors
    /// Fewer than two teams, an empty team, as many placements as teams not given, or numbers out of range.
    pub fn rate(
        &self,
        teams: &[Vec<(Rating, f64)>],
        placements: &[u32],
    ) -> Result<Vec<Vec<Rating>>, RatingError> {
        check(teams, placements)?;
        let drifted = |rating: &Rating| rating.variance() + self.tau * self.tau;
        let prior: Vec<(f64, f64)> =
            teams.iter().flatten().map(|(r, _)| (r.mu, drifted(r) + self.beta * self.beta)).collect();
        let shares: Vec<Vec<f64>> =
            teams.iter().map(|team| team.iter().map(|(_, share)| *share).collect()).collect();
        let sites = results(&shares, placements, self.draw_margin());
        let rest = Rest { tolerance: self.tolerance, sweeps_max: self.sweeps_max };
        let belief = propagate(&prior, &sites, rest);
        let mut index = 0;
        let mut after = |(rating, _): &(Rating, f64)| {
            let ((mean, variance), (mean_now, variance_now)) = (prior[index], belief.marginal(index));
            index += 1;
            let gain = drifted(rating) / variance;
            let kept = drifted(rating) - gain * gain * (variance - variance_now);
            Rating { mu: rating.mu + gain * (mean_now - mean), sigma: kept.sqrt() }
        };
        Ok(teams.iter().map(|team| team.iter().map(&mut after).collect()).collect())
    }

    /// The probability that the first team performs better than the second (draws count as neither).
    pub fn win_probability(&self, first: &[Rating], second: &[Rating]) -> f64 {
        let everyone = || first.iter().chain(second);
        let variance: f64 = everyone().map(|r| r.variance() + self.beta * self.beta).sum();
        let ahead = first.iter().map(|r| r.mu).sum::<f64>() - second.iter().map(|r| r.mu).sum::<f64>();
        distribution((ahead - self.draw_margin()(everyone().count())) / variance.sqrt())
    }

    /// How even a match of two players is, in (0, 1]: the probability of a draw relative to that of two
    /// players of equal and known skill (Herbrich et al. 2006, §4).
    pub fn quality_of_pair(&self, first: Rating, second: Rating) -> f64 {
        let noise = 2.0 * self.beta * self.beta;
        let total = noise + first.variance() + second.variance();
        let ahead = first.mu - second.mu;
        (noise / total).sqrt() * (-ahead * ahead / (2.0 * total)).exp()
    }

    fn draw_margin(&self) -> impl Fn(usize) -> f64 + use<> {
        let mode = Mode { draw_probability: self.draw_probability, ..Mode::default() };
        draw_margin(&mode, self.beta)
    }
}

fn check(teams: &[Vec<(Rating, f64)>], placements: &[u32]) -> Result<(), RatingError> {
    if teams.len() < 2 {
        return Err(RatingError::TooFewTeams(teams.len()));
    }
    if teams.len() != placements.len() {
        return Err(RatingError::PlacementsDiffer { teams: teams.len(), placements: placements.len() });
    }
    let everyone = teams.iter().map(Vec::len).sum();
    if everyone > PLAYERS_MAX {
        return Err(RatingError::TooManyPlayers(everyone));
    }
    for (team, players) in teams.iter().enumerate() {
        if players.is_empty() {
            return Err(RatingError::EmptyTeam(team));
        }
        for (player, (rating, share)) in players.iter().enumerate() {
            if !(rating.is_sound() && *share > 0.0 && *share <= 1.0) {
                return Err(RatingError::OutOfRange { team, player });
            }
        }
    }
    Ok(())
}
