//! What a game server is told of its match. Owns the annotation and its JSON; must never know how a match was made.

use serde::{Deserialize, Serialize};

/// The annotation that carries a [`MatchSheet`].
pub const MATCH_ANNOTATION: &str = "tickwright.dev/match";

/// What the game server is told of its match, as JSON in the annotation [`MATCH_ANNOTATION`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MatchSheet {
    /// A UUID.
    pub match_id: String,
    /// Which game.
    pub mode: String,
    /// How long.
    pub seconds: u32,
    /// For the world's randomness; below 2^53.
    pub seed: u64,
    /// Who will come.
    pub players: Vec<SheetPlayer>,
    /// By which terms it gets other players when some leave: the server reads `left_s`, the seconds that must be left, and
    /// hands the whole back when it asks. Absent: it gets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<serde_json::Value>,
}

/// A player on a [`MatchSheet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SheetPlayer {
    /// The id in the player's connect token.
    pub player: u64,
    /// What others see.
    pub name: String,
    /// Whom it plays with; where everybody plays for themselves, the seat.
    pub team: u8,
    /// The same number for those who came as one party; 0 for who came alone.
    #[serde(default, skip_serializing_if = "is_alone")]
    pub party: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_alone(party: &u32) -> bool {
    *party == 0
}
