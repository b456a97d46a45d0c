//! Skill rating: TrueSkill by expectation propagation, for any number of teams of any size, with draws and
//! partial play. Pure: no clock, no store, no randomness; the base for TrueSkill 2.
//!
//! Model (Herbrich, Minka & Graepel 2006): a player's skill is N(μ, σ² + τ²), a performance is
//! N(skill, β²), a team's performance is the sum of its players' performances weighted by how much of the
//! match they played, and teams finish in the order of their performances, a draw being a difference
//! within the draw margin.
//!
//! ```
//! use rating::{Rating, TrueSkill};
//! let model = TrueSkill::default();
//! let teams = [vec![(Rating::NEWCOMER, 1.0)], vec![(Rating::NEWCOMER, 1.0)]];
//! let updated = model.rate(&teams, &[1, 2])?;
//! assert!(updated[0][0].mu > 29.0 && updated[1][0].mu < 21.0);
//! # Ok::<(), rating::RatingError>(())
//! ```

mod gaussian;
mod match_graph;
mod truncation;

use gaussian::{distribution, quantile};

/// A skill estimate: a normal distribution with mean `mu` and standard deviation `sigma`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// Mean, in points.
    pub mu: f64,
    /// Standard deviation, in points; positive.
    pub sigma: f64,
}

impl Rating {
    /// Before the first match: 25 ± 25/3.
    pub const NEWCOMER: Self = Self { mu: 25.0, sigma: 25.0 / 3.0 };

    /// The skill that the player has with about 99.9 % probability: μ − 3σ. What boards show.
    pub fn conservative(self) -> f64 {
        self.mu - 3.0 * self.sigma
    }
}

/// Why a match cannot be rated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    /// There is nobody to compare with.
    #[error("a match needs at least two teams, not {0}")]
    TooFewTeams(usize),
    /// A team without players has no performance.
    #[error("team {0} has no players")]
    EmptyTeam(usize),
    /// One placement belongs to each team.
    #[error("{teams} teams but {placements} placements")]
    PlacementsDiffer {
        /// Teams given.
        teams: usize,
        /// Placements given.
        placements: usize,
    },
    /// A rating that is no distribution, or a share outside (0, 1].
    #[error("player {player} of team {team} has a rating or a share of play that is out of range")]
    OutOfRange {
        /// Index of the team.
        team: usize,
        /// Index within the team.
        player: usize,
    },
}

/// The model's parameters. The default is the published one: β = 25/6, τ = 25/300, 10 % draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrueSkill {
    /// Standard deviation of a performance around the skill, in points.
    pub beta: f64,
    /// Standard deviation of a skill's drift between matches, in points.
    pub tau: f64,
    /// How often two equal players draw, in [0, 1).
    pub draw_probability: f64,
    /// Messages that move less than this end the iteration.
    pub tolerance: f64,
    /// The iteration ends after this many sweeps in any case.
    pub sweeps_max: u32,
}

impl Default for TrueSkill {
    fn default() -> Self {
        let draw_probability = 0.10;
        Self { beta: 25.0 / 6.0, tau: 25.0 / 300.0, draw_probability, tolerance: 1e-8, sweeps_max: 64 }
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
        Ok(match_graph::rate(self, teams, placements))
    }

    /// The probability that the first team performs better than the second (draws count as neither).
    pub fn win_probability(&self, first: &[Rating], second: &[Rating]) -> f64 {
        let everyone = || first.iter().chain(second);
        let variance: f64 = everyone().map(|r| r.sigma * r.sigma + self.beta * self.beta).sum();
        let ahead = first.iter().map(|r| r.mu).sum::<f64>() - second.iter().map(|r| r.mu).sum::<f64>();
        distribution((ahead - self.draw_margin(everyone().count())) / variance.sqrt())
    }

    /// How even a match of two players is, in (0, 1]: the probability of a draw relative to that of two
    /// players of equal and known skill (Herbrich et al. 2006, §4).
    pub fn quality_of_pair(&self, first: Rating, second: Rating) -> f64 {
        let noise = 2.0 * self.beta * self.beta;
        let total = noise + first.sigma * first.sigma + second.sigma * second.sigma;
        let ahead = first.mu - second.mu;
        (noise / total).sqrt() * (-ahead * ahead / (2.0 * total)).exp()
    }

    /// How far apart two performances may be and still draw, for this many players in both teams together.
    pub(crate) fn draw_margin(&self, players: usize) -> f64 {
        quantile((self.draw_probability + 1.0) / 2.0) * (players as f64).sqrt() * self.beta
    }
}

fn check(teams: &[Vec<(Rating, f64)>], placements: &[u32]) -> Result<(), RatingError> {
    if teams.len() < 2 {
        return Err(RatingError::TooFewTeams(teams.len()));
    }
    if teams.len() != placements.len() {
        return Err(RatingError::PlacementsDiffer { teams: teams.len(), placements: placements.len() });
    }
    for (team, players) in teams.iter().enumerate() {
        if players.is_empty() {
            return Err(RatingError::EmptyTeam(team));
        }
        for (player, (rating, share)) in players.iter().enumerate() {
            let estimate = rating.mu.is_finite() && rating.sigma.is_finite() && rating.sigma > 0.0;
            let sound = estimate && *share > 0.0 && *share <= 1.0;
            if !sound {
                return Err(RatingError::OutOfRange { team, player });
            }
        }
    }
    Ok(())
}
