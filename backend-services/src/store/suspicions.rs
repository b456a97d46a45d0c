//! What game servers found suspicious, as rows: written with the result that says it. What it means is not known here.

use super::StoreError;
use super::db::{Db, Row, Tx, args};
use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId};

/// What a player did in a match, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspicionRow {
    /// Whose.
    pub player: u64,
    /// In which match.
    pub match_id: String,
    /// As the game server named it.
    pub kind: String,
    /// How often.
    pub count: u64,
    /// When the result was counted.
    pub at: UnixMs,
}

impl Db {
    /// The newest, one player's or everybody's, at most `limit`.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn suspicions(
        &self,
        player: Option<PlayerId>,
        limit: i64,
    ) -> Result<Vec<SuspicionRow>, StoreError> {
        let rows = match player {
            Some(player) => {
                let sql = "SELECT player_id, match_id, kind, count, at_unix_ms FROM suspicions
                    WHERE player_id = $1 ORDER BY at_unix_ms DESC, match_id, kind LIMIT $2";
                self.rows(sql, args![player, limit]).await?
            }
            None => {
                let sql = "SELECT player_id, match_id, kind, count, at_unix_ms FROM suspicions
                    ORDER BY at_unix_ms DESC, match_id, player_id, kind LIMIT $1";
                self.rows(sql, args![limit]).await?
            }
        };
        rows.iter().map(read).collect()
    }
}

impl Tx {
    /// Keeps what a match's result says.
    pub(super) async fn write_suspicions(
        &mut self,
        id: MatchId,
        suspicions: &[(PlayerId, String, u64)],
        now: UnixMs,
    ) -> Result<(), StoreError> {
        for (player, kind, count) in suspicions {
            let sql = "INSERT INTO suspicions (match_id, player_id, kind, count, at_unix_ms)
                VALUES ($1, $2, $3, $4, $5) ON CONFLICT (match_id, player_id, kind) DO NOTHING";
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.execute(sql, args![id, *player, kind.as_str(), count, now]).await?;
        }
        Ok(())
    }
}

fn read(row: &Row) -> Result<SuspicionRow, StoreError> {
    let number = |column| u64::try_from(row.int(column)?).map_err(|_| StoreError::Malformed("suspicion"));
    Ok(SuspicionRow {
        player: number(0)?,
        match_id: row.text(1)?,
        kind: row.text(2)?,
        count: number(3)?,
        at: UnixMs(row.int(4)?),
    })
}
