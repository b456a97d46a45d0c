//! Skills as they are kept: one row a player for the part that all modes share, one a player and mode for what is
//! the mode's own. How a match moves them is not known here.

use super::StoreError;
use super::db::{Db, Row, Tx, args};
use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId};

/// A player's rating as it is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatingRow {
    /// Mean of the part that all modes share.
    pub mu: f64,
    /// Its standard deviation.
    pub sigma: f64,
    /// Matches that counted, in all modes.
    pub matches: i64,
    /// When the last of them ended; zero before the first.
    pub played: UnixMs,
    /// How the player differs from that in the mode that the row was read for; `None` where nothing is known.
    pub offset: Option<OffsetRow>,
}

/// What is a mode's own of a player's rating.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OffsetRow {
    /// Mean of the difference from the shared part.
    pub mu: f64,
    /// Its standard deviation.
    pub sigma: f64,
    /// Matches that counted in this mode.
    pub matches: i64,
}

impl Db {
    /// The part of the player's rating that all modes share; `None` before the first match.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn rating(&self, player: PlayerId) -> Result<Option<RatingRow>, StoreError> {
        let sql = "SELECT mu, sigma, matches, played_unix_ms FROM ratings WHERE player_id = $1";
        self.row(sql, args![player]).await?.as_ref().map(rating).transpose()
    }

    /// The player's rating for a mode; `None` before the first match in any.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn rating_in(&self, player: PlayerId, mode: &str) -> Result<Option<RatingRow>, StoreError> {
        let sql = "SELECT r.mu, r.sigma, r.matches, r.played_unix_ms, m.mu, m.sigma, m.matches FROM ratings r
            LEFT JOIN rating_modes m ON m.player_id = r.player_id AND m.mode = $2 WHERE r.player_id = $1";
        let Some(row) = self.row(sql, args![player, mode]).await? else { return Ok(None) };
        let offset = match (row.float_or_null(4)?, row.float_or_null(5)?, row.int_or_null(6)?) {
            (Some(mu), Some(sigma), Some(matches)) => Some(OffsetRow { mu, sigma, matches }),
            _ => None,
        };
        Ok(Some(RatingRow { offset, ..rating(&row)? }))
    }
}

impl Tx {
    /// The players' ratings for the mode, held until the transaction ends; `newcomer` for who has none.
    pub(super) async fn lock_ratings(
        &mut self,
        id: MatchId,
        mode: &str,
        players: &[PlayerId],
        newcomer: RatingRow,
    ) -> Result<Vec<RatingRow>, StoreError> {
        let mut order: Vec<usize> = (0..players.len()).collect();
        // In one order everywhere, so that two transactions never wait for each other.
        order.sort_unstable_by_key(|&index| players[index]);
        let mut before = vec![newcomer; players.len()];
        for index in order {
            // The update changes nothing but takes the row's lock.
            let sql = "INSERT INTO ratings (player_id, mu, sigma, matches, played_unix_ms)
                VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (player_id) DO UPDATE SET matches = ratings.matches
                RETURNING mu, sigma, matches, played_unix_ms";
            let RatingRow { mu, sigma, matches, played, .. } = newcomer;
            let row = args![players[index], mu, sigma, matches, played];
            let row = self.row(sql, row).await?.ok_or(StoreError::Malformed("rating"))?;
            before[index] = rating(&row)?;
        }
        // The rows above are the lock: nobody else writes these meanwhile.
        let sql = "SELECT player_id, mu, sigma, matches FROM rating_modes WHERE mode = $2
            AND player_id IN (SELECT player_id FROM match_players WHERE match_id = $1)";
        for row in self.rows(sql, args![id, mode]).await? {
            let player = super::accounts::player(&row, 0)?;
            let offset = OffsetRow { mu: row.float(1)?, sigma: row.float(2)?, matches: row.int(3)? };
            if let Some(index) = players.iter().position(|other| *other == player) {
                before[index].offset = Some(offset);
            }
        }
        Ok(before)
    }

    /// Writes ratings for a mode over the rows that [`lock_ratings`](Self::lock_ratings) holds.
    pub(super) async fn write_ratings(
        &mut self,
        mode: &str,
        ratings: &[(PlayerId, RatingRow)],
    ) -> Result<(), StoreError> {
        for (player, after) in ratings {
            let sql = "UPDATE ratings SET mu = $2, sigma = $3, matches = $4, played_unix_ms = $5
                WHERE player_id = $1";
            self.execute(sql, args![*player, after.mu, after.sigma, after.matches, after.played]).await?;
            let Some(offset) = after.offset else { continue };
            let sql =
                "INSERT INTO rating_modes (player_id, mode, mu, sigma, matches) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (player_id, mode) DO UPDATE
                SET mu = excluded.mu, sigma = excluded.sigma, matches = excluded.matches";
            self.execute(sql, args![*player, mode, offset.mu, offset.sigma, offset.matches]).await?;
        }
        Ok(())
    }
}

fn rating(row: &Row) -> Result<RatingRow, StoreError> {
    let (mu, sigma) = (row.float(0)?, row.float(1)?);
    Ok(RatingRow { mu, sigma, matches: row.int(2)?, played: UnixMs(row.int(3)?), offset: None })
}
