//! What is believed of a player: one normal, and the richer state that lasts between matches. Data only; how
//! it moves is `dynamics` and `model`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A skill estimate: a normal distribution with mean `mu` and standard deviation `sigma`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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

    pub(crate) fn variance(self) -> f64 {
        self.sigma * self.sigma
    }

    /// A distribution, and no further out than arithmetic holds.
    pub(crate) fn is_sound(self) -> bool {
        self.mu.abs() <= POINTS_MAX && (SIGMA_MIN..=POINTS_MAX).contains(&self.sigma)
    }
}

/// No mean and no deviation is larger, in points.
const POINTS_MAX: f64 = 1e9;
/// No skill is known better, in points.
const SIGMA_MIN: f64 = 1e-9;

/// Everything that lasts of a player between matches. Skill in a mode is `base` plus the mode's offset, so a
/// match in one mode says something about all (TrueSkill 2, "multiple modes").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skill {
    /// The part that all modes share.
    pub base: Rating,
    /// Matches counted, in all modes.
    #[serde(default)]
    pub matches: u32,
    /// When the last counted match ended, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub played_unix_ms: Option<i64>,
    /// How the player differs from `base` in each mode played, for models that keep modes apart.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub offsets: BTreeMap<String, Rating>,
}

impl Skill {
    /// A player of whom only this rating is known.
    pub fn of(rating: Rating) -> Self {
        Self { base: rating, matches: 0, played_unix_ms: None, offsets: BTreeMap::new() }
    }

    /// The rating in a mode: base and offset together. The base alone in a mode that was never played.
    pub fn in_mode(&self, mode: &str) -> Rating {
        let Some(offset) = self.offsets.get(mode) else { return self.base };
        let variance = self.base.variance() + offset.variance();
        Rating { mu: self.base.mu + offset.mu, sigma: variance.sqrt() }
    }
}
