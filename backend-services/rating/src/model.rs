//! TrueSkill 2: what a match does to its players' skills. It must never know where skills are kept.
//!
//! Minka, Cleven & Zaykov, "TrueSkill 2: An improved Bayesian skill rating system" (MSR-TR-2018-8, 2018).

use crate::game::{Match, RatingError};
use crate::graph::{gave_up, individual, results};
use crate::normal::quantile;
use crate::parameters::{Mode, ParameterFault, Parameters};
use crate::propagation::{Rest, propagate};
use crate::skill::{Rating, Skill};

/// The model with its parameters. Pure: equal arguments give equal bits.
#[derive(Clone, Debug, PartialEq)]
pub struct TrueSkill2 {
    parameters: Parameters,
}

/// A player at the start of a match, time and experience since the last one counted in.
#[derive(Clone, Copy, Debug)]
struct Entering {
    base: Rating,
    /// Absent where the mode has no skill of its own.
    offset: Option<Rating>,
    /// What the party adds to the performance.
    squad: f64,
}

impl Entering {
    fn mean(self) -> f64 {
        self.base.mu + self.offset.map_or(0.0, |offset| offset.mu)
    }

    fn variance(self) -> f64 {
        self.base.variance() + self.offset.map_or(0.0, Rating::variance)
    }
}

impl TrueSkill2 {
    /// With these parameters.
    ///
    /// # Errors
    /// A parameter is out of range.
    pub fn new(parameters: Parameters) -> Result<Self, ParameterFault> {
        parameters.check()?;
        Ok(Self { parameters })
    }

    /// Its parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Who has played nothing yet.
    pub fn newcomer(&self) -> Skill {
        Skill::of(self.parameters.newcomer)
    }

    /// The players' skills after the match, in the shape of its teams, from those before it.
    ///
    /// # Errors
    /// The match makes no sense, or `before` has another shape or holds what is no distribution.
    pub fn rate(&self, game: &Match, before: &[Vec<Skill>]) -> Result<Vec<Vec<Skill>>, RatingError> {
        game.check()?;
        let entering = self.entering(game, before)?;
        let mode = self.parameters.mode(&game.mode);
        let noise = self.parameters.beta * self.parameters.beta;
        let prior: Vec<(f64, f64)> = entering
            .iter()
            .flatten()
            .map(|player| (player.mean() + player.squad, player.variance() + noise))
            .collect();

        let placements: Vec<u32> = game.teams.iter().map(|team| team.placement).collect();
        let mut sites = results(&self.shares(game), &placements, draw_margin(mode, self.parameters.beta));
        sites.extend(individual(game, &self.parameters, mode));
        let rest = Rest { tolerance: self.parameters.tolerance, sweeps_max: self.parameters.sweeps_max };
        let belief = propagate(&prior, &sites, rest);

        let mut index = 0;
        let mut after = Vec::with_capacity(before.len());
        for (players, team) in before.iter().zip(&entering) {
            let mut skills = Vec::with_capacity(players.len());
            for (skill, player) in players.iter().zip(team) {
                skills.push(settle(game, skill, *player, prior[index], belief.marginal(index)));
                index += 1;
            }
            after.push(skills);
        }
        Ok(after)
    }

    /// The ratings with which the players enter the match: the time since their last one, experience and
    /// parties counted in. What predictions rest on; neither placements nor counts of `game` are looked at.
    ///
    /// # Errors
    /// `before` has another shape than the match, or holds what is no distribution.
    pub fn outlook(&self, game: &Match, before: &[Vec<Skill>]) -> Result<Vec<Vec<Rating>>, RatingError> {
        let rating =
            |player: &Entering| Rating { mu: player.mean() + player.squad, sigma: player.variance().sqrt() };
        let entering = self.entering(game, before)?;
        Ok(entering.iter().map(|team| team.iter().map(rating).collect()).collect())
    }

    fn entering(&self, game: &Match, before: &[Vec<Skill>]) -> Result<Vec<Vec<Entering>>, RatingError> {
        let same = game.teams.len() == before.len()
            && game.teams.iter().zip(before).all(|(team, skills)| team.players.len() == skills.len());
        if !same {
            return Err(RatingError::SkillsDiffer);
        }
        let mode = self.parameters.mode(&game.mode);
        let mut teams = Vec::with_capacity(before.len());
        for (team, (side, skills)) in game.teams.iter().zip(before).enumerate() {
            let mut players = Vec::with_capacity(skills.len());
            for (player, (appearance, skill)) in side.players.iter().zip(skills).enumerate() {
                if !skill.base.is_sound() || !skill.offsets.values().all(|offset| offset.is_sound()) {
                    return Err(RatingError::OutOfRange { team, player });
                }
                players.push(Entering {
                    base: self.base(skill, game.ended_unix_ms),
                    offset: offset(mode, skill.offsets.get(&game.mode)),
                    squad: self.parameters.squad_offset(appearance.squad),
                });
            }
            teams.push(players);
        }
        Ok(teams)
    }

    /// The shared skill's random walk and its growth with experience (TrueSkill 2, "skill dynamics").
    fn base(&self, skill: &Skill, now_unix_ms: i64) -> Rating {
        let parameters = &self.parameters;
        let mut variance = skill.base.variance();
        if let Some(played) = skill.played_unix_ms.filter(|_| parameters.drift_per_minute > 0.0) {
            let minutes = now_unix_ms.saturating_sub(played).max(0) as f64 / 60_000.0;
            let grown = variance + parameters.drift_per_minute * parameters.drift_per_minute * minutes;
            // Nobody is less known than a newcomer for having stayed away.
            variance = grown.min(variance.max(parameters.newcomer.variance()));
        }
        variance += parameters.drift * parameters.drift;
        Rating { mu: skill.base.mu + parameters.experience.offset(skill.matches), sigma: variance.sqrt() }
    }

    /// Each player's weight in the team's performance.
    fn shares(&self, game: &Match) -> Vec<Vec<f64>> {
        let share = |team: usize, appearance: &crate::game::Appearance| {
            let evidence_of_its_own = self.parameters.quit_margin.is_some();
            if appearance.quit && !(evidence_of_its_own && gave_up(game, team, true)) {
                return 1.0;
            }
            game.share(appearance)
        };
        let sides = game.teams.iter().enumerate();
        sides.map(|(team, side)| side.players.iter().map(|player| share(team, player)).collect()).collect()
    }
}

/// How far apart two teams' performances may be and still draw, for this many players in both together
/// (Herbrich, Minka & Graepel 2006, §3.3).
pub(crate) fn draw_margin(mode: &Mode, beta: f64) -> impl Fn(usize) -> f64 + use<> {
    let one = quantile(f64::midpoint(mode.draw_probability, 1.0)) * beta;
    move |players| one * (players as f64).sqrt()
}

/// A player's own offset in a mode at the start of a match.
fn offset(mode: &Mode, kept: Option<&Rating>) -> Option<Rating> {
    if mode.offset_sigma <= 0.0 {
        return None;
    }
    let kept = kept.copied().unwrap_or(Rating { mu: 0.0, sigma: mode.offset_sigma });
    let variance = kept.variance() + mode.offset_drift * mode.offset_drift;
    Some(Rating { mu: kept.mu, sigma: variance.sqrt() })
}

/// From what is now believed of a performance back to the skill behind it, and from that to its parts. All are
/// sums of independent normals, so each part takes its share of the shift and of the variance (the backward
/// step of a Kalman smoother).
fn settle(game: &Match, before: &Skill, entering: Entering, prior: (f64, f64), now: (f64, f64)) -> Skill {
    let (shift, gone) = (now.0 - prior.0, prior.1 - now.1);
    let part = |rating: Rating| {
        let gain = rating.variance() / prior.1;
        // Rounding must not take more than all.
        let kept = (rating.variance() - gain * gain * gone).max(rating.variance() * KEPT_MIN);
        Rating { mu: rating.mu + gain * shift, sigma: kept.sqrt() }
    };
    let mut after = before.clone();
    after.base = part(entering.base);
    if let Some(offset) = entering.offset {
        after.offsets.insert(game.mode.clone(), part(offset));
    }
    after.matches = before.matches.saturating_add(1);
    if game.ended_unix_ms != 0 {
        let latest = before.played_unix_ms.map_or(game.ended_unix_ms, |last| last.max(game.ended_unix_ms));
        after.played_unix_ms = Some(latest);
    }
    after
}

/// The least share of a variance that one match leaves.
const KEPT_MIN: f64 = 1e-12;
