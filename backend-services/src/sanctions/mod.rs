//! Kicks and bans: `rules` say what can be one and who is banned now, `hub` keeps them and wakes who waits for them, `rpc`
//! hears operators and game servers. Who is banned gets no session, no ticket and no seat; what cannot be looked up counts
//! as a failure, never as no ban.

pub mod hub;
pub mod rpc;
pub mod rules;

use crate::clock::UnixMs;
use crate::http::problem::ApiError;
use crate::ids::PlayerId;
use crate::store::Db;

/// Refuses a player who is banned.
///
/// # Errors
/// 403 `player_banned`, with the reason and the end; or the store failed.
pub async fn admit(db: &Db, player: PlayerId, now: UnixMs) -> Result<(), ApiError> {
    match rules::ban_now(db.ban_of(player).await?, now) {
        None => Ok(()),
        Some(ban) => Err(ApiError::forbidden("player_banned", rules::sentence(&ban))),
    }
}
