//! A game server's wish for players, from the wire to the matchmaker and back. Pure.

use std::time::Duration;

use backend_proto::{BackfillSeat, RequestBackfillReply, RequestBackfillRequest};

use super::rules::PLAYERS_MAX;
use crate::ids::PlayerId;
use crate::matchmaking::backfill::{Told, WAIT_MAX, Wish};

/// Longer than any terms of ours.
const TERMS_BYTES_MAX: usize = 16 * 1024;

/// Why a wish makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WishFault {
    /// No UUID.
    #[error("match_id is not a UUID")]
    MatchId,
    /// Not what a match sheet has.
    #[error("terms are not those of a match sheet")]
    Terms,
    /// Too many players.
    #[error("at most {PLAYERS_MAX} players can be listed")]
    Players,
    /// Not a player's number.
    #[error("{0} is not a player's id")]
    PlayerId(u64),
}

/// Reads a wish.
///
/// # Errors
/// What is wrong with it.
pub fn wish(request: &RequestBackfillRequest) -> Result<Wish, WishFault> {
    let players = |ids: &[u64]| -> Result<Vec<PlayerId>, WishFault> {
        if ids.len() > PLAYERS_MAX {
            return Err(WishFault::Players);
        }
        ids.iter().map(|id| PlayerId::new(*id).ok_or(WishFault::PlayerId(*id))).collect()
    };
    if request.terms.len() > TERMS_BYTES_MAX {
        return Err(WishFault::Terms);
    }
    Ok(Wish {
        id: request.match_id.parse().map_err(|_| WishFault::MatchId)?,
        terms: serde_json::from_str(&request.terms).map_err(|_| WishFault::Terms)?,
        gone: players(&request.gone)?,
        seated: players(&request.seated)?,
        wait: Duration::from_millis(u64::from(request.wait_ms)).min(WAIT_MAX),
    })
}

/// Renders what the server is told.
pub fn reply(told: Told) -> RequestBackfillReply {
    let seat = |seat: crate::store::MatchSeat| BackfillSeat {
        player_id: seat.player.as_u64(),
        name: seat.name,
        team: u32::from(seat.team),
    };
    RequestBackfillReply {
        running: told.running,
        fills: told.fills,
        open: u32::try_from(told.open).unwrap_or(u32::MAX),
        seats: told.seats.into_iter().map(seat).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_whole_or_refused() {
        let request = RequestBackfillRequest {
            match_id: crate::ids::MatchId::random().to_string(),
            terms: r#"{"left_s":20.0,"build":"7"}"#.to_owned(),
            gone: vec![3],
            seated: vec![1, 2],
            wait_ms: 60_000,
        };
        let read = wish(&request).expect("sound");
        assert_eq!((read.wait, read.terms.build.as_str(), read.gone.len()), (WAIT_MAX, "7", 1));
        type Change = fn(&mut RequestBackfillRequest);
        let cases: [(Change, WishFault); 5] = [
            (|r| r.match_id.clear(), WishFault::MatchId),
            (|r| r.terms.clear(), WishFault::Terms),
            (|r| r.terms = " ".repeat(TERMS_BYTES_MAX + 1), WishFault::Terms),
            (|r| r.gone = vec![1; 256], WishFault::Players),
            (|r| r.seated = vec![u64::MAX], WishFault::PlayerId(u64::MAX)),
        ];
        for (change, expected) in cases {
            let mut request = request.clone();
            change(&mut request);
            assert_eq!(wish(&request).expect_err("a fault"), expected);
        }
    }
}
