//! Skills of many players, moved by matches that count once each: the log replayed. In memory only.

use std::collections::{BTreeMap, BTreeSet};

use crate::game::{Match, RatingError};
use crate::model::TrueSkill2;
use crate::skill::Skill;

/// Everybody's skill after the matches counted so far. Ordered maps throughout: the same log gives the same
/// bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    model: TrueSkill2,
    skills: BTreeMap<u64, Skill>,
    counted: BTreeSet<String>,
}

impl Ledger {
    /// Nobody has played yet.
    pub fn new(model: TrueSkill2) -> Self {
        Self { model, skills: BTreeMap::new(), counted: BTreeSet::new() }
    }

    /// Counts a match. False if it was counted before: then nothing changes.
    ///
    /// # Errors
    /// The match makes no sense: nothing changed.
    pub fn count(&mut self, game: &Match) -> Result<bool, RatingError> {
        if self.counted.contains(&game.id) {
            return Ok(false);
        }
        let after = self.model.rate(game, &self.before(game))?;
        for (appearance, skill) in game.appearances().zip(after.into_iter().flatten()) {
            self.skills.insert(appearance.player, skill);
        }
        self.counted.insert(game.id.clone());
        Ok(true)
    }

    /// The model in use.
    pub fn model(&self) -> &TrueSkill2 {
        &self.model
    }

    /// The skills of a match's players as they are now, in its shape.
    pub fn before(&self, game: &Match) -> Vec<Vec<Skill>> {
        let skill = |player: u64| self.skill(player);
        game.teams.iter().map(|team| team.players.iter().map(|seat| skill(seat.player)).collect()).collect()
    }

    /// A player's skill; a newcomer's if there is none.
    pub fn skill(&self, player: u64) -> Skill {
        self.skills.get(&player).cloned().unwrap_or_else(|| self.model.newcomer())
    }

    /// All who have played, by their number.
    pub fn skills(&self) -> impl Iterator<Item = (u64, &Skill)> {
        self.skills.iter().map(|(player, skill)| (*player, skill))
    }
}
