//! Scores that wait for a human: held once, decided once. What is held counts nowhere until it is decided.

use super::StoreError;
use super::accounts::player;
use super::boards::{BoardId, Change, Operator, ScoreWrite, signed};
use super::boards_write::Written;
use super::db::{Db, Row, Tx, args};
use crate::clock::UnixMs;
use crate::ids::PlayerId;

/// A score that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldScore {
    /// What will count if it is found good.
    pub write: ScoreWrite,
    /// Why it waits.
    pub reason: String,
}

impl HeldScore {
    /// Holds these.
    pub fn of(writes: Vec<ScoreWrite>, reason: &str) -> impl Iterator<Item = Self> {
        writes.into_iter().map(move |write| Self { write, reason: reason.to_owned() })
    }
}

impl Tx {
    /// Holds scores. The same source again changes nothing.
    pub(super) async fn hold_scores(&mut self, held: &[HeldScore], now: UnixMs) -> Result<(), StoreError> {
        for HeldScore { write, reason } in held {
            let sql = "INSERT INTO board_reviews
                    (source, board, player_id, season, operator, value, reason, at_unix_ms)
                SELECT $1, $2, a.player_id, $4, $5, $6, $7, $8 FROM accounts a WHERE a.player_id = $3
                ON CONFLICT DO NOTHING";
            let (name, season) = (&*write.board.name, write.board.season);
            let row = args![
                &*write.source,
                name,
                write.player,
                season,
                write.operator.name(),
                write.value,
                &**reason,
                now
            ];
            self.execute(sql, row).await?;
        }
        Ok(())
    }
}

impl Db {
    /// Holds scores. The same source again changes nothing.
    ///
    /// # Errors
    /// The engine failed; none is held.
    pub async fn hold_scores(&self, held: &[HeldScore], now: UnixMs) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.hold_scores(held, now).await?;
        tx.commit().await
    }

    /// Scores that wait, oldest first, and since when. Their copies for regions are not listed.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn held_scores(&self, limit: u64) -> Result<Vec<(HeldScore, UnixMs)>, StoreError> {
        let sql = "SELECT player_id, board, season, operator, value, source, reason, at_unix_ms
            FROM board_reviews WHERE verdict IS NULL AND board NOT LIKE '%@%'
            ORDER BY at_unix_ms, source, player_id LIMIT $1";
        let rows = self.rows(sql, args![signed(limit)]).await?;
        let read =
            |row: &Row| Ok((HeldScore { write: write(row)?, reason: row.text(6)? }, UnixMs(row.int(7)?)));
        rows.iter().map(read).collect()
    }

    /// Decides about a score and its copies for regions: `None` if none waits. A counted one counts from when it
    /// came, whatever became of attempts and windows since; in a closed season it no longer can.
    ///
    /// # Errors
    /// The engine failed; it still waits.
    pub async fn decide_review(
        &self,
        source: &str,
        board: &str,
        of: PlayerId,
        count: bool,
    ) -> Result<Option<Vec<Change>>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE board_reviews SET verdict = $4
            WHERE source = $1 AND player_id = $3 AND (board = $2 OR board LIKE $2 || '@%') AND verdict IS NULL
            RETURNING player_id, board, season, operator, value, source, reason, at_unix_ms";
        let verdict = if count { "counted" } else { "refused" };
        let rows = tx.rows(sql, args![source, board, of, verdict]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut changes = Vec::new();
        if count {
            let (came, writes) =
                (UnixMs(first.int(7)?), rows.iter().map(write).collect::<Result<Vec<_>, _>>()?);
            let written = tx.write_scores(&writes, came).await?;
            changes.extend(written.iter().filter_map(Written::change).cloned());
        }
        tx.commit().await?;
        Ok(Some(changes))
    }
}

/// `player_id, board, season, operator, value, source`, in this order.
fn write(row: &Row) -> Result<ScoreWrite, StoreError> {
    let board = BoardId::new(&row.text(1)?, row.int(2)?);
    let (operator, source) = (Operator::parse(&row.text(3)?)?, row.text(5)?);
    Ok(ScoreWrite::new(board, player(row, 0)?, row.int(4)?, operator, source.into()))
}
