//! The boards' entries: one row a board and player, ordered by score, then by who reached it first, then by
//! player. What a score is worth is `leaderboards::rules`' to say.

use super::StoreError;
use super::accounts::player;
use super::db::{Db, Row, Tx, args};
use crate::clock::UnixMs;
use crate::ids::PlayerId;

/// How a new score meets the one that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The higher stays.
    Best,
    /// The newer stays; the same score again keeps the time at which it was first reached.
    Set,
}

/// A score on its way to a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreWrite {
    /// Which board.
    pub board: &'static str,
    /// Whose.
    pub player: PlayerId,
    /// In the board's unit; within ±2^53, which a Redis score holds exactly.
    pub score: i64,
    /// How it meets the old one.
    pub operator: Operator,
}

/// A row of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// 1 is first.
    pub rank: u64,
    /// Whose.
    pub player: PlayerId,
    /// What others see.
    pub display_name: String,
    /// In the board's unit.
    pub score: i64,
}

/// An entry as the mirror copies it.
#[derive(Clone, Debug)]
pub(super) struct EntryCopy {
    pub(super) player: PlayerId,
    pub(super) display_name: String,
    pub(super) score: i64,
    pub(super) reached: UnixMs,
    /// Grows with each change of this entry.
    pub(super) revision: i64,
}

/// A change that the mirror has not been told of.
pub(super) struct OutboxRow {
    pub(super) id: i64,
    pub(super) board: String,
    pub(super) player: PlayerId,
}

impl Tx {
    pub(super) async fn write_score(&mut self, write: &ScoreWrite, now: UnixMs) -> Result<(), StoreError> {
        let best = "INSERT INTO board_entries (board, player_id, score, reached_unix_ms, revision)
            VALUES ($1, $2, $3, $4, 1) ON CONFLICT (board, player_id) DO UPDATE SET score = excluded.score,
                reached_unix_ms = excluded.reached_unix_ms, revision = board_entries.revision + 1
            WHERE excluded.score > board_entries.score";
        let set = "INSERT INTO board_entries (board, player_id, score, reached_unix_ms, revision)
            VALUES ($1, $2, $3, $4, 1) ON CONFLICT (board, player_id) DO UPDATE SET score = excluded.score,
                reached_unix_ms = excluded.reached_unix_ms, revision = board_entries.revision + 1
            WHERE excluded.score <> board_entries.score";
        let sql = match write.operator {
            Operator::Best => best,
            Operator::Set => set,
        };
        let changed = self.execute(sql, args![write.board, write.player, write.score, now]).await? > 0;
        // Only production has a mirror to tell.
        if changed && matches!(self, Self::Postgres(_)) {
            let outbox = "INSERT INTO board_outbox (board, player_id) VALUES ($1, $2)";
            self.execute(outbox, args![write.board, write.player]).await?;
        }
        Ok(())
    }
}

impl Db {
    /// The first `limit` entries after `skip`.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn board_page(&self, board: &str, skip: u64, limit: u64) -> Result<Vec<EntryRow>, StoreError> {
        let sql = "SELECT e.player_id, a.display_name, e.score
            FROM board_entries e JOIN accounts a ON a.player_id = e.player_id
            WHERE e.board = $1 ORDER BY e.score DESC, e.reached_unix_ms, e.player_id LIMIT $2 OFFSET $3";
        let rows = self.rows(sql, args![board, signed(limit), signed(skip)]).await?;
        let entry = |(rank, row): (u64, &Row)| {
            Ok(EntryRow { rank, player: player(row, 0)?, display_name: row.text(1)?, score: row.int(2)? })
        };
        (skip + 1..).zip(&rows).map(entry).collect()
    }

    /// The player's rank, 1 being first; `None` if it has no entry.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn board_rank(&self, board: &str, of: PlayerId) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT (SELECT COUNT(*) FROM board_entries e WHERE e.board = m.board AND
                (e.score > m.score OR (e.score = m.score AND (e.reached_unix_ms < m.reached_unix_ms OR
                    (e.reached_unix_ms = m.reached_unix_ms AND e.player_id < m.player_id)))))
            FROM board_entries m WHERE m.board = $1 AND m.player_id = $2";
        let Some(row) = self.row(sql, args![board, of]).await? else { return Ok(None) };
        Ok(Some(u64::try_from(row.int(0)?).unwrap_or(0) + 1))
    }

    /// Entries of a board by player id, after `after`: how the mirror is rebuilt.
    pub(super) async fn board_copy(
        &self,
        board: &str,
        after: i64,
        limit: u64,
    ) -> Result<Vec<EntryCopy>, StoreError> {
        let sql = "SELECT e.player_id, a.display_name, e.score, e.reached_unix_ms, e.revision
            FROM board_entries e JOIN accounts a ON a.player_id = e.player_id
            WHERE e.board = $1 AND e.player_id > $2 ORDER BY e.player_id LIMIT $3";
        self.rows(sql, args![board, after, signed(limit)]).await?.iter().map(copy).collect()
    }

    pub(super) async fn board_entry(
        &self,
        board: &str,
        of: PlayerId,
    ) -> Result<Option<EntryCopy>, StoreError> {
        let sql = "SELECT e.player_id, a.display_name, e.score, e.reached_unix_ms, e.revision
            FROM board_entries e JOIN accounts a ON a.player_id = e.player_id
            WHERE e.board = $1 AND e.player_id = $2";
        self.row(sql, args![board, of]).await?.as_ref().map(copy).transpose()
    }

    pub(super) async fn boards(&self) -> Result<Vec<String>, StoreError> {
        self.rows("SELECT DISTINCT board FROM board_entries", &[])
            .await?
            .iter()
            .map(|row| row.text(0))
            .collect()
    }

    pub(super) async fn outbox(&self, limit: u64) -> Result<Vec<OutboxRow>, StoreError> {
        let sql = "SELECT id, board, player_id FROM board_outbox ORDER BY id LIMIT $1";
        let row = |row: &Row| Ok(OutboxRow { id: row.int(0)?, board: row.text(1)?, player: player(row, 2)? });
        self.rows(sql, args![signed(limit)]).await?.iter().map(row).collect()
    }

    /// Deliberate: by id, one at a time. A range would also delete rows that committed after they were read.
    pub(super) async fn outbox_done(&self, ids: &[i64]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for id in ids {
            tx.execute("DELETE FROM board_outbox WHERE id = $1", args![*id]).await?;
        }
        tx.commit().await
    }
}

fn copy(row: &Row) -> Result<EntryCopy, StoreError> {
    Ok(EntryCopy {
        player: player(row, 0)?,
        display_name: row.text(1)?,
        score: row.int(2)?,
        reached: UnixMs(row.int(3)?),
        revision: row.int(4)?,
    })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
