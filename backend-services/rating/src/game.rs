//! One finished match as the model and the log see it, and why it may not be rated. Data and its checks only.

use serde::{Deserialize, Serialize};

/// A finished match. Serialised as JSON, one a line, it is the log that parameters are learned from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Names it; a match counts once.
    pub id: String,
    /// Which game was played.
    #[serde(default)]
    pub mode: String,
    /// When it ended, milliseconds since 1970; 0 if unknown.
    #[serde(default)]
    pub ended_unix_ms: i64,
    /// How long it lasted; 0 if unknown: then everybody played all of it, and counts are per match.
    #[serde(default)]
    pub seconds: f64,
    /// Who played; two teams at least.
    pub teams: Vec<Team>,
}

/// A side of a match; in a free-for-all, a player.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// 1 is first; equal placements are draws.
    pub placement: u32,
    /// Its members; one at least.
    pub players: Vec<Appearance>,
}

/// A player's part in a match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appearance {
    /// Who.
    pub player: u64,
    /// How long this player took part. Counts only if the match's length is known.
    #[serde(default)]
    pub seconds: f64,
    /// How many of the team came as one party with this player, this one included; 0 and 1 mean alone.
    #[serde(default)]
    pub squad: u8,
    /// Opponents put out, where the game counts that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kills: Option<u32>,
    /// How often this player was put out, where the game counts that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deaths: Option<u32>,
    /// Left before the end on purpose.
    #[serde(default)]
    pub quit: bool,
}

/// Why a match cannot be rated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    /// There is nobody to compare with.
    #[error("a match needs at least two teams, not {0}")]
    TooFewTeams(usize),
    /// More players than [`PLAYERS_MAX`].
    #[error("a match has at most {PLAYERS_MAX} players, not {0}")]
    TooManyPlayers(usize),
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
    /// The skills handed in are not those of the match's players.
    #[error("the skills have another shape than the teams")]
    SkillsDiffer,
    /// A rating that is no distribution, or a share outside (0, 1].
    #[error("player {player} of team {team} has a rating or a share of play that is out of range")]
    OutOfRange {
        /// Index of the team.
        team: usize,
        /// Index within the team.
        player: usize,
    },
    /// A time that is no number, or negative.
    #[error("the match's length is not a time")]
    Length,
    /// One player in two seats.
    #[error("player {0} is in the match twice")]
    Twice(u64),
}

/// More players than any match has. The work grows with the square of it.
pub const PLAYERS_MAX: usize = 256;

impl Match {
    /// Refuses what makes no sense whatever the model.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), RatingError> {
        if self.teams.len() < 2 {
            return Err(RatingError::TooFewTeams(self.teams.len()));
        }
        let players: usize = self.teams.iter().map(|team| team.players.len()).sum();
        if players > PLAYERS_MAX {
            return Err(RatingError::TooManyPlayers(players));
        }
        if let Some(empty) = self.teams.iter().position(|team| team.players.is_empty()) {
            return Err(RatingError::EmptyTeam(empty));
        }
        if !is_time(self.seconds) || !self.appearances().all(|appearance| is_time(appearance.seconds)) {
            return Err(RatingError::Length);
        }
        let mut names: Vec<u64> = self.appearances().map(|appearance| appearance.player).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(RatingError::Twice(pair[0])),
            None => Ok(()),
        }
    }

    /// Everybody who took part, team by team.
    pub fn appearances(&self) -> impl Iterator<Item = &Appearance> {
        self.teams.iter().flat_map(|team| &team.players)
    }

    /// The part of the match that this player was there for, in (0, 1].
    pub(crate) fn share(&self, appearance: &Appearance) -> f64 {
        if self.seconds > 0.0 { (appearance.seconds / self.seconds).clamp(SHARE_MIN, 1.0) } else { 1.0 }
    }

    /// The unit that counts are per: minutes played, or the match where its length is unknown.
    pub(crate) fn minutes(&self, appearance: &Appearance) -> f64 {
        if self.seconds > 0.0 { self.share(appearance) * self.seconds / 60.0 } else { 1.0 }
    }
}

/// Whoever played less than this share of a match is taken to have played this share.
const SHARE_MIN: f64 = 0.01;
/// A match takes no longer: a year.
const SECONDS_MAX: f64 = 366.0 * 86_400.0;

fn is_time(seconds: f64) -> bool {
    (0.0..=SECONDS_MAX).contains(&seconds)
}
