//! Sanctions as rows: who is banned, and everything that was ever decided, in one order. What a sanction means is not known
//! here.

use super::StoreError;
use super::db::{Db, Row, args};
use crate::clock::UnixMs;
use crate::ids::PlayerId;

/// A ban as it stands; it may be over by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanRow {
    /// Until then; `None`: for ever.
    pub until: Option<UnixMs>,
    /// For the player and for support.
    pub reason: String,
    /// Since then.
    pub at: UnixMs,
}

/// What a sanction does to the ban there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanChange {
    /// It stays as it is, or is not.
    Keep,
    /// This one from now on; `None`: for ever.
    Set(Option<UnixMs>),
    /// There is none any more.
    Lift,
}

/// A sanction to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSanction<'a> {
    /// Whose.
    pub player: PlayerId,
    /// Its kind, as it is told to game servers.
    pub kind: &'a str,
    /// What it does.
    pub change: BanChange,
    /// Why.
    pub reason: &'a str,
    /// Who decided.
    pub actor: &'a str,
    /// When.
    pub now: UnixMs,
}

/// A sanction that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SanctionRow {
    /// Its place in the order of all.
    pub number: u64,
    /// Whose.
    pub player: u64,
    /// Its kind.
    pub kind: String,
    /// A ban's end; `None`: for ever, or no ban.
    pub until: Option<UnixMs>,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub actor: String,
    /// When.
    pub at: UnixMs,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, player_id, kind, until_unix_ms, reason, actor, at_unix_ms FROM sanctions ",
            $rest
        )
    };
}

impl Db {
    /// The ban that the player has, or had.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn ban_of(&self, player: PlayerId) -> Result<Option<BanRow>, StoreError> {
        let sql = "SELECT until_unix_ms, reason, at_unix_ms FROM bans WHERE player_id = $1";
        let row = self.row(sql, args![player]).await?;
        let read = |row: Row| {
            let until = row.int_or_null(0)?.map(UnixMs);
            Ok(BanRow { until, reason: row.text(1)?, at: UnixMs(row.int(2)?) })
        };
        row.map(read).transpose()
    }

    /// Keeps a sanction and does to the ban what it does; its number. `None`: there is no such player.
    ///
    /// # Errors
    /// The engine failed; nothing was changed.
    pub async fn sanction(&self, new: &NewSanction<'_>) -> Result<Option<u64>, StoreError> {
        let mut tx = self.begin().await?;
        if tx.row("SELECT 1 FROM accounts WHERE player_id = $1", args![new.player]).await?.is_none() {
            return Ok(None);
        }
        let until = match new.change {
            BanChange::Set(until) => until.map(|until| until.0),
            BanChange::Keep | BanChange::Lift => None,
        };
        match new.change {
            BanChange::Keep => {}
            BanChange::Set(_) => {
                let sql =
                    "INSERT INTO bans (player_id, until_unix_ms, reason, at_unix_ms) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (player_id) DO UPDATE SET until_unix_ms = excluded.until_unix_ms,
                    reason = excluded.reason, at_unix_ms = excluded.at_unix_ms";
                tx.execute(sql, args![new.player, until, new.reason, new.now]).await?;
            }
            BanChange::Lift => {
                tx.execute("DELETE FROM bans WHERE player_id = $1", args![new.player]).await?;
            }
        }
        // Last, so that the others wait as shortly as can be.
        let sql = "UPDATE sanction_counter SET last = last + 1 WHERE slot = 1 RETURNING last";
        let row = tx.row(sql, args![]).await?.ok_or(StoreError::Malformed("sanction counter"))?;
        let number = row.int(0)?;
        let sql = "INSERT INTO sanctions (number, player_id, kind, until_unix_ms, reason, actor, at_unix_ms)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        tx.execute(sql, args![number, new.player, new.kind, until, new.reason, new.actor, new.now]).await?;
        tx.commit().await?;
        number_of(number).map(Some)
    }

    /// The number of the last sanction; 0: there is none.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn last_sanction(&self) -> Result<u64, StoreError> {
        let row = self.row("SELECT last FROM sanction_counter WHERE slot = 1", args![]).await?;
        number_of(row.ok_or(StoreError::Malformed("sanction counter"))?.int(0)?)
    }

    /// Sanctions of higher numbers, in their order, at most `limit`.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn sanctions_after(&self, number: u64, limit: i64) -> Result<Vec<SanctionRow>, StoreError> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let sql = select!("WHERE number > $1 ORDER BY number LIMIT $2");
        self.rows(sql, args![number, limit]).await?.iter().map(read).collect()
    }

    /// One player's, the newest first, at most `limit`.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn sanctions_of(&self, player: PlayerId, limit: i64) -> Result<Vec<SanctionRow>, StoreError> {
        let sql = select!("WHERE player_id = $1 ORDER BY number DESC LIMIT $2");
        self.rows(sql, args![player, limit]).await?.iter().map(read).collect()
    }

    /// Up to `limit` of the newest that were decided at `since` or later, in their order, none beyond `last`.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn sanctions_since(
        &self,
        since: UnixMs,
        last: u64,
        limit: i64,
    ) -> Result<Vec<SanctionRow>, StoreError> {
        let last = i64::try_from(last).unwrap_or(i64::MAX);
        let sql = select!("WHERE number <= $1 AND at_unix_ms >= $2 ORDER BY number DESC LIMIT $3");
        let rows = self.rows(sql, args![last, since, limit]).await?;
        rows.iter().rev().map(read).collect()
    }
}

fn read(row: &Row) -> Result<SanctionRow, StoreError> {
    Ok(SanctionRow {
        number: number_of(row.int(0)?)?,
        player: number_of(row.int(1)?)?,
        kind: row.text(2)?,
        until: row.int_or_null(3)?.map(UnixMs),
        reason: row.text(4)?,
        actor: row.text(5)?,
        at: UnixMs(row.int(6)?),
    })
}

fn number_of(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Malformed("sanction"))
}
