//! What a match did to its players, and what they have to show for all of theirs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Rating;
use crate::progression::rules::{Over, Statistic};

/// Where a match stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutcomeStatus {
    /// It is played, or its result is on the way.
    Pending,
    /// It counted.
    Counted,
    /// Its server is gone. Should its result turn up after all, it will count.
    Lost,
    /// Its server gave it up: it has no result.
    Void,
}

/// `GET /v1/matches/{id}/outcome`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MatchOutcome {
    /// A UUID.
    pub match_id: String,
    /// Where it stands.
    pub status: OutcomeStatus,
    /// What it did to the caller, once it counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<PlayerOutcome>,
    /// Where the caller stands now on the boards that it wrote to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boards: Vec<BoardRank>,
}

/// What a match did to a player.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlayerOutcome {
    /// Which game.
    pub mode: String,
    /// 1 is first; equal ones drew.
    pub placement: u32,
    /// Points.
    pub score: i64,
    /// Skill in this mode before and after; absent where nobody was rated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<RatingChange>,
    /// Experience that it gave, that for achievements included.
    pub experience: u64,
    /// Level before it.
    pub level_before: u32,
    /// Level after it.
    pub level_after: u32,
    /// Achievements that it reached, by name.
    pub achievements: Vec<String>,
    /// Boards that it wrote to, by name.
    #[serde(default)]
    pub boards: Vec<String>,
}

/// How a skill moved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RatingChange {
    /// As it was.
    pub before: Rating,
    /// As it is.
    pub after: Rating,
}

/// Where a player stands on a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BoardRank {
    /// Its name.
    #[schema(example = "arena-score")]
    pub board: String,
    /// 1 is first.
    pub rank: u64,
    /// In the board's own unit.
    pub score: i64,
}

/// `GET /v1/me/progression` and `GET /v1/players/{id}/progression`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progression {
    /// Whose.
    pub player_id: String,
    /// From 1.
    pub level: u32,
    /// All that was earned.
    pub experience: u64,
    /// Where this level began.
    pub level_begins: u64,
    /// Where the next begins; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_level_begins: Option<u64>,
    /// Matches that counted.
    pub matches: u64,
}

/// `GET /v1/me/achievements` and `GET /v1/players/{id}/achievements`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Achievements {
    /// Whose.
    pub player_id: String,
    /// In the order of the rules: of oneself all there are, of others those that are reached.
    pub achievements: Vec<AchievementProgress>,
}

/// How far an achievement is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AchievementProgress {
    /// Its name for ever.
    #[schema(example = "hat-trick")]
    pub name: String,
    /// What players read.
    pub title: String,
    /// What is counted.
    pub counts: Statistic,
    /// Over what.
    pub over: Over,
    /// Only in this mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// How much of it is needed; of a streak, how many matches.
    pub goal: u64,
    /// How much of it there is.
    pub value: u64,
    /// When the goal was reached, milliseconds since 1970; absent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlocked_unix_ms: Option<i64>,
    /// Experience for reaching it.
    pub experience: u64,
}
