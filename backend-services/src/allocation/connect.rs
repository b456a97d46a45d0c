//! What a player connects with: a connect token for one seat on one server. Pure but for the token's random keys.

use std::net::SocketAddr;
use std::time::Duration;

use data_encoding::BASE64;
use netcode_token::{Key, Seat, TokenError, TokenSpec, USER_DATA_LEN, mint};

use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId};

/// A player who is silent for this long is disconnected.
const SESSION_TIMEOUT_S: i32 = 10;

/// Who sits where.
pub struct Sitting<'a> {
    /// In which match.
    pub id: MatchId,
    /// Who.
    pub player: PlayerId,
    /// What others see.
    pub display_name: &'a str,
    /// Whom the player plays with, from 0.
    pub team: u8,
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
            team: sitting.team,
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
