//! Accounts and refresh families. Which token may be refreshed is `accounts::rules`' to say.

use super::StoreError;
use super::db::{Db, Row, Tx, args};
use crate::clock::UnixMs;
use crate::crypto::SecretHash;
use crate::ids::{PlayerId, SessionId};

/// A player's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// For ever.
    pub player: PlayerId,
    /// What others see.
    pub display_name: String,
    /// When it was made.
    pub created: UnixMs,
}

/// An account that is about to be.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The account.
    pub account: Account,
    /// The hash of its device secret.
    pub secret: SecretHash,
}

/// A session: all the refresh tokens that descend from one log-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its id, the `sid` of its access tokens.
    pub session: SessionId,
    /// Whose.
    pub player: PlayerId,
    /// Number of the newest token; the first is 1.
    pub generation: i64,
    /// When the newest was made.
    pub rotated: UnixMs,
    /// When the newest stops working.
    pub expires: UnixMs,
    /// It was ended on purpose (log-out, reuse).
    pub ended: bool,
}

impl Db {
    /// Makes an account.
    ///
    /// # Errors
    /// `Conflict` if its secret (or, by a very small chance, its id) is taken.
    pub async fn create_account(&self, new: &NewAccount) -> Result<(), StoreError> {
        let sql = "INSERT INTO accounts (player_id, display_name, secret_hash, created_unix_ms)
            VALUES ($1, $2, $3, $4)";
        let account = &new.account;
        self.execute(sql, args![account.player, &account.display_name[..], new.secret, account.created])
            .await?;
        Ok(())
    }

    /// The account with this secret.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn account_by_secret(&self, secret: SecretHash) -> Result<Option<Account>, StoreError> {
        let sql = "SELECT player_id, display_name, created_unix_ms FROM accounts WHERE secret_hash = $1";
        self.row(sql, args![secret]).await?.as_ref().map(account).transpose()
    }

    /// The account of this player.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn account(&self, player: PlayerId) -> Result<Option<Account>, StoreError> {
        let sql = "SELECT player_id, display_name, created_unix_ms FROM accounts WHERE player_id = $1";
        self.row(sql, args![player]).await?.as_ref().map(account).transpose()
    }

    /// Starts a session with its first token.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn start_family(&self, family: &Family, token: SecretHash) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let sql = "INSERT INTO refresh_families
            (family_id, player_id, generation, rotated_unix_ms, expires_unix_ms) VALUES ($1, $2, $3, $4, $5)";
        let row = args![family.session, family.player, family.generation, family.rotated, family.expires];
        tx.execute(sql, row).await?;
        add_token(&mut tx, family.session, family.generation, token).await?;
        tx.commit().await
    }

    /// The family that this token belongs to, and the token's own generation.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn family_of(&self, token: SecretHash) -> Result<Option<(Family, i64)>, StoreError> {
        let sql = "SELECT f.family_id, f.player_id, f.generation, f.rotated_unix_ms, f.expires_unix_ms,
                f.ended_reason, t.generation
            FROM refresh_tokens t JOIN refresh_families f ON f.family_id = t.family_id
            WHERE t.token_hash = $1";
        let Some(row) = self.row(sql, args![token]).await? else { return Ok(None) };
        Ok(Some((family(&row)?, row.int(6)?)))
    }

    /// Makes `next` the family's newest token, if generation `from` still is and the family lives: one
    /// step, so that of racing callers exactly one succeeds.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn rotate_family(
        &self,
        from: &Family,
        next: SecretHash,
        now: UnixMs,
        expires: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE refresh_families
            SET generation = generation + 1, rotated_unix_ms = $3, expires_unix_ms = $4
            WHERE family_id = $1 AND generation = $2 AND ended_reason IS NULL";
        if tx.execute(sql, args![from.session, from.generation, now, expires]).await? == 0 {
            return Ok(false);
        }
        add_token(&mut tx, from.session, from.generation + 1, next).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Ends a session: none of its tokens works again. False if it had ended before.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn end_family(&self, session: SessionId, reason: &'static str) -> Result<bool, StoreError> {
        let sql = "UPDATE refresh_families SET ended_reason = $2
            WHERE family_id = $1 AND ended_reason IS NULL";
        Ok(self.execute(sql, args![session, reason]).await? > 0)
    }

    /// Forgets sessions that expired before `before`; how many.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn purge_families(&self, before: UnixMs) -> Result<u64, StoreError> {
        self.execute("DELETE FROM refresh_families WHERE expires_unix_ms < $1", args![before]).await
    }
}

async fn add_token(
    tx: &mut Tx,
    session: SessionId,
    generation: i64,
    token: SecretHash,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO refresh_tokens (token_hash, family_id, generation) VALUES ($1, $2, $3)";
    tx.execute(sql, args![token, session, generation]).await?;
    Ok(())
}

fn account(row: &Row) -> Result<Account, StoreError> {
    Ok(Account { player: player(row, 0)?, display_name: row.text(1)?, created: UnixMs(row.int(2)?) })
}

fn family(row: &Row) -> Result<Family, StoreError> {
    Ok(Family {
        session: row.text(0)?.parse().map_err(|_| StoreError::Malformed("session id"))?,
        player: player(row, 1)?,
        generation: row.int(2)?,
        rotated: UnixMs(row.int(3)?),
        expires: UnixMs(row.int(4)?),
        ended: row.text_or_null(5)?.is_some(),
    })
}

pub(super) fn player(row: &Row, column: usize) -> Result<PlayerId, StoreError> {
    let number = u64::try_from(row.int(column)?).ok();
    number.and_then(PlayerId::new).ok_or(StoreError::Malformed("player id"))
}
