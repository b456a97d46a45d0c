//! What a match's server and its players are told: the annotation on the game server and the connect tokens.
//! Pure but for the token's random keys.

use std::net::SocketAddr;
use std::time::Duration;

use data_encoding::BASE64;
use netcode_token::{Key, Seat, TokenError, TokenSpec, USER_DATA_LEN, mint};
use serde::Serialize;

use super::pool::Match;
use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId};

/// The annotation that carries a [`MatchSheet`].
pub const MATCH_ANNOTATION: &str = "tickwright.dev/match";
/// A player who is silent for this long is disconnected.
const SESSION_TIMEOUT_S: i32 = 10;

/// What the game server is told of its match, as JSON in the annotation [`MATCH_ANNOTATION`].
#[derive(Debug, Serialize)]
pub struct MatchSheet {
    /// A UUID.
    pub match_id: String,
    /// Which game.
    pub mode: &'static str,
    /// How long.
    pub seconds: u32,
    /// For the world's randomness; below 2^53.
    pub seed: u64,
    /// Who will come.
    pub players: Vec<SheetPlayer>,
}

/// A player on a [`MatchSheet`].
#[derive(Debug, Serialize)]
pub struct SheetPlayer {
    /// The id in the player's connect token.
    pub player: u64,
    /// What others see.
    pub name: String,
    /// Everybody plays for themselves: the seat.
    pub team: u8,
}

/// The sheet of a match.
pub fn sheet(id: MatchId, found: &Match, seconds: u32, seed: u64) -> MatchSheet {
    let player = |(seat, ticket): (u8, &super::pool::PoolTicket)| SheetPlayer {
        player: ticket.player.as_u64(),
        name: ticket.display_name.clone(),
        team: seat,
    };
    let players = (0..).zip(&found.tickets).map(player).collect();
    MatchSheet { match_id: id.to_string(), mode: found.mode, seconds, seed: seed % PlayerId::LIMIT, players }
}

/// Who sits where.
pub struct Sitting<'a> {
    /// In which match.
    pub id: MatchId,
    /// Who.
    pub player: PlayerId,
    /// What others see.
    pub display_name: &'a str,
    /// From 0.
    pub seat: u8,
    /// The player's mean rating.
    pub mu: f64,
}

/// Mints connect tokens for game servers that hold the same key.
pub struct Minter {
    /// The game's wire version.
    pub protocol_id: u64,
    /// Shared with the game servers.
    pub key: Key,
    /// How long a token opens a connection.
    pub lifetime: Duration,
}

impl Minter {
    /// The connect token for this player at this server, in base64.
    ///
    /// # Errors
    /// The operating system has no randomness, or the address cannot be written.
    pub fn mint(&self, sitting: &Sitting<'_>, server: SocketAddr, now: UnixMs) -> Result<String, TokenError> {
        let seat = Seat {
            match_id: sitting.id.as_u128(),
            player: sitting.player.as_u64(),
            team: sitting.seat,
            rating_milli: (sitting.mu * 1000.0) as i32,
            name: sitting.display_name.to_owned(),
        };
        let user_data: [u8; USER_DATA_LEN] = seat.encode();
        let spec = TokenSpec {
            protocol_id: self.protocol_id,
            create_unix_s: now.as_secs(),
            expire_unix_s: now.plus(self.lifetime).as_secs(),
            timeout_s: SESSION_TIMEOUT_S,
            client_id: sitting.player.as_u64(),
            servers: vec![server],
            user_data,
        };
        Ok(BASE64.encode(&mint(&spec, &self.key)?[..]))
    }
}
