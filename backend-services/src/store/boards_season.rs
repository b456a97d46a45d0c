//! Seasons as they are kept: closing one, and what is left of it; who joined, and who is compared with whom.

use super::StoreError;
use super::accounts::player;
use super::boards::{BoardId, EntryRow, entry, signed, unsigned};
use super::db::{Db, Engine, Row, args};
use crate::clock::UnixMs;
use crate::ids::PlayerId;

/// In place of the moment at which a season was closed: it takes no more scores and is not archived yet.
pub(super) const CLOSING: i64 = -1;

/// A season that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedSeason {
    /// When it began.
    pub season: i64,
    /// When it was closed.
    pub closed: UnixMs,
    /// How many took part.
    pub members: u64,
}

impl Db {
    /// Closes a season: it takes no more scores, its final order is archived, its entries are given up. A process that
    /// dies half-way leaves it closing, and whoever closes it next goes on. False if it was closed before or never began.
    ///
    /// # Errors
    /// The engine failed: it may be closing.
    pub async fn close_season(&self, board: &BoardId, now: UnixMs) -> Result<bool, StoreError> {
        let (name, season) = (&*board.name, board.season);
        self.stop_season(board).await?;
        let mut tx = self.begin().await?;
        let close = "UPDATE board_seasons SET closed_unix_ms = $3,
                members = (SELECT COUNT(*) FROM board_entries WHERE board = $1 AND season = $2)
            WHERE board = $1 AND season = $2 AND closed_unix_ms = $4";
        if tx.execute(close, args![name, season, now, CLOSING]).await? == 0 {
            return Ok(false);
        }
        let archive = "INSERT INTO board_archive (board, season, rank, player_id, score, reached_unix_ms)
            SELECT board, season,
                ROW_NUMBER() OVER (ORDER BY score DESC, reached_unix_ms, player_id),
                player_id, score, reached_unix_ms
            FROM board_entries WHERE board = $1 AND season = $2";
        tx.execute(archive, args![name, season]).await?;
        tx.execute("DELETE FROM board_entries WHERE board = $1 AND season = $2", args![name, season]).await?;
        // Nobody needs to be told of what is gone.
        tx.execute("DELETE FROM board_outbox WHERE board = $1 AND season = $2", args![name, season]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// From when this returns, no score of the season counts any more, and none that counted is on its way.
    ///
    /// Deliberate: a lock on the whole of the small table, for a moment. Each statement that writes scores holds it in a
    /// weaker mode to its end, so those under way are waited for; and those that wait read the table after it.
    async fn stop_season(&self, board: &BoardId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        if matches!(self.engine(), Engine::Postgres(_)) {
            tx.execute("LOCK TABLE board_seasons IN SHARE ROW EXCLUSIVE MODE", &[]).await?;
        }
        let stop = "UPDATE board_seasons SET closed_unix_ms = $3
            WHERE board = $1 AND season = $2 AND closed_unix_ms IS NULL";
        tx.execute(stop, args![&*board.name, board.season, CLOSING]).await?;
        tx.commit().await
    }

    /// The final order of a closed season after the first `skip`.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn archived_page(
        &self,
        board: &BoardId,
        skip: u64,
        limit: u64,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let sql = "SELECT e.player_id, e.score, e.reached_unix_ms, a.display_name, e.rank
            FROM board_archive e JOIN accounts a ON a.player_id = e.player_id
            WHERE e.board = $1 AND e.season = $2 AND e.rank > $3 ORDER BY e.rank LIMIT $4";
        let rows = self.rows(sql, args![&*board.name, board.season, signed(skip), signed(limit)]).await?;
        rows.iter().map(|row| entry(unsigned(row.int(4)?), row)).collect()
    }

    /// A board's closed seasons before `before`, newest first.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn closed_seasons(
        &self,
        board: &str,
        before: i64,
        limit: u64,
    ) -> Result<Vec<ClosedSeason>, StoreError> {
        let sql = "SELECT season, closed_unix_ms, COALESCE(members, 0) FROM board_seasons
            WHERE board = $1 AND season < $2 AND closed_unix_ms >= 0 ORDER BY season DESC LIMIT $3";
        let read = |row: &Row| {
            let (season, closed) = (row.int(0)?, UnixMs(row.int(1)?));
            Ok(ClosedSeason { season, closed, members: unsigned(row.int(2)?) })
        };
        self.rows(sql, args![board, before, signed(limit)]).await?.iter().map(read).collect()
    }

    /// The player takes part in this season. False if it did before.
    ///
    /// # Errors
    /// The engine failed, or nobody has this id.
    pub async fn join_board(&self, board: &BoardId, of: PlayerId) -> Result<bool, StoreError> {
        let sql = "INSERT INTO board_joins (board, season, player_id) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING";
        Ok(self.execute(sql, args![&*board.name, board.season, of]).await? > 0)
    }

    /// The cohort that the player belongs to, and its members. Whoever asks for the first time gets the next free
    /// seat: cohorts fill to `size` in the order in which players ask, and nobody changes cohort in a season.
    ///
    /// # Errors
    /// The engine failed, or nobody has this id.
    pub async fn cohort_of(
        &self,
        board: &BoardId,
        of: PlayerId,
        size: u64,
    ) -> Result<(u64, Vec<PlayerId>), StoreError> {
        let (name, season) = (&*board.name, board.season);
        let find = "SELECT cohort FROM board_cohorts WHERE board = $1 AND season = $2 AND player_id = $3";
        let found = self.row(find, args![name, season, of]).await?;
        let cohort = match found {
            Some(row) => row.int(0)?,
            None => {
                let mut tx = self.begin().await?;
                // The counter's row is the lock: seats are taken one after the other.
                let take = "INSERT INTO board_cohort_seats (board, season, taken) VALUES ($1, $2, 1)
                    ON CONFLICT (board, season) DO UPDATE SET taken = board_cohort_seats.taken + 1
                    RETURNING taken";
                let taken =
                    tx.row(take, args![name, season]).await?.ok_or(StoreError::Malformed("cohort"))?;
                if let Some(row) = tx.row(find, args![name, season, of]).await? {
                    // Another request of the same player was faster; the seat is given back.
                    row.int(0)?
                } else {
                    let cohort = (taken.int(0)? - 1) / signed(size.max(1));
                    let sit = "INSERT INTO board_cohorts (board, season, player_id, cohort)
                        VALUES ($1, $2, $3, $4)";
                    tx.execute(sit, args![name, season, of, cohort]).await?;
                    tx.commit().await?;
                    cohort
                }
            }
        };
        let members = "SELECT player_id FROM board_cohorts WHERE board = $1 AND season = $2 AND cohort = $3
            ORDER BY player_id";
        let rows = self.rows(members, args![name, season, cohort]).await?;
        let players = rows.iter().map(|row| player(row, 0)).collect::<Result<_, _>>()?;
        Ok((unsigned(cohort), players))
    }
}
