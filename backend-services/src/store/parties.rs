//! Parties as rows: the body is the rules' own, a revision keeps two changes from overwriting each other, and a key
//! keeps a player out of two parties. Must never know what a party may do.

use super::StoreError;
use super::db::{Db, Row, args};
use crate::clock::UnixMs;
use crate::ids::PlayerId;

/// A party as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyRow {
    /// Its id.
    pub id: String,
    /// Whoever knows it may join, while the rules let it.
    pub code: String,
    /// What the rules know.
    pub body: String,
    /// Grows by one with each change.
    pub revision: i64,
    /// The ticket that it queued with last.
    pub ticket: Option<String>,
    /// Who is in it, and when each was last heard of.
    pub members: Vec<(PlayerId, UnixMs)>,
}

/// A change of a party.
#[derive(Clone, Debug)]
pub struct PartyWrite<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its code from now on.
    pub code: &'a str,
    /// What the rules know from now on.
    pub body: &'a str,
    /// The revision that was read; `None`: the party is new.
    pub revision: Option<i64>,
    /// Who comes, heard of now.
    pub joined: &'a [PlayerId],
    /// Who goes.
    pub gone: &'a [PlayerId],
    /// Who may come, if that has changed.
    pub invited: Option<&'a [PlayerId]>,
    /// Nobody is left: the party goes too.
    pub ends: bool,
    /// When.
    pub now: UnixMs,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT p.party_id, p.code, p.body, p.revision, p.ticket_id, m.player_id, m.seen_unix_ms ",
            "FROM parties p JOIN party_members m ON m.party_id = p.party_id ",
            $rest
        )
    };
}

impl Db {
    /// The party that this player is in.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn party_of(&self, player: PlayerId) -> Result<Option<PartyRow>, StoreError> {
        let sql = select!("WHERE p.party_id = (SELECT party_id FROM party_members WHERE player_id = $1)");
        read(&self.rows(sql, args![player]).await?)
    }

    /// The party of this id.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn party(&self, id: &str) -> Result<Option<PartyRow>, StoreError> {
        read(&self.rows(select!("WHERE p.party_id = $1"), args![id]).await?)
    }

    /// The party of this code.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn party_by_code(&self, code: &str) -> Result<Option<PartyRow>, StoreError> {
        read(&self.rows(select!("WHERE p.code = $1"), args![code]).await?)
    }

    /// Everybody in the player's party, the player too; nobody if there is none.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn party_mates(&self, player: PlayerId) -> Result<Vec<PlayerId>, StoreError> {
        let sql = "SELECT player_id FROM party_members
            WHERE party_id = (SELECT party_id FROM party_members WHERE player_id = $1)";
        self.rows(sql, args![player]).await?.iter().map(|row| player_id(row, 0)).collect()
    }

    /// Ids of parties that have invited this player, at most `limit`.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn parties_inviting(&self, player: PlayerId, limit: i64) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT party_id FROM party_invites WHERE player_id = $1 ORDER BY party_id LIMIT $2";
        self.rows(sql, args![player, limit]).await?.iter().map(|row| row.text(0)).collect()
    }

    /// Ids of parties with a member who has not been heard of since `before`, at most `limit`.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn silent_parties(&self, before: UnixMs, limit: i64) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT party_id FROM party_members WHERE seen_unix_ms < $1 LIMIT $2";
        self.rows(sql, args![before, limit]).await?.iter().map(|row| row.text(0)).collect()
    }

    /// The player is there now; not written if that was known at `since` or later. No change of the party.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn party_heard(&self, player: PlayerId, now: UnixMs, since: UnixMs) -> Result<(), StoreError> {
        let sql = "UPDATE party_members SET seen_unix_ms = $2 WHERE player_id = $1 AND seen_unix_ms < $3";
        self.execute(sql, args![player, now, since]).await.map(drop)
    }

    /// The party has queued with this ticket. No change of the party.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn set_party_ticket(&self, id: &str, ticket: &str) -> Result<(), StoreError> {
        let sql = "UPDATE parties SET ticket_id = $2 WHERE party_id = $1";
        self.execute(sql, args![id, ticket]).await.map(drop)
    }

    /// Changes a party, or founds one. False: somebody changed it meanwhile, nothing was written.
    ///
    /// # Errors
    /// `Conflict`: who comes is in another party, or the code is taken. Or the engine failed.
    pub async fn write_party(&self, write: &PartyWrite<'_>) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if let Some(revision) = write.revision {
            let sql = "UPDATE parties SET code = $2, body = $3, revision = revision + 1
                WHERE party_id = $1 AND revision = $4";
            if tx.execute(sql, args![write.id, write.code, write.body, revision]).await? == 0 {
                return Ok(false);
            }
        } else {
            let sql = "INSERT INTO parties (party_id, code, body, revision) VALUES ($1, $2, $3, 0)";
            tx.execute(sql, args![write.id, write.code, write.body]).await?;
        }
        if write.ends {
            // Members and invitations go with it.
            tx.execute("DELETE FROM parties WHERE party_id = $1", args![write.id]).await?;
            return tx.commit().await.map(|()| true);
        }
        for player in write.gone {
            let sql = "DELETE FROM party_members WHERE player_id = $1 AND party_id = $2";
            tx.execute(sql, args![*player, write.id]).await?;
        }
        for player in write.joined {
            let sql = "INSERT INTO party_members (player_id, party_id, seen_unix_ms) VALUES ($1, $2, $3)";
            tx.execute(sql, args![*player, write.id, write.now]).await?;
        }
        if let Some(invited) = write.invited {
            tx.execute("DELETE FROM party_invites WHERE party_id = $1", args![write.id]).await?;
            for player in invited {
                let sql = "INSERT INTO party_invites (player_id, party_id) VALUES ($1, $2)";
                tx.execute(sql, args![*player, write.id]).await?;
            }
        }
        tx.commit().await.map(|()| true)
    }
}

/// One party from a row for each of its members.
fn read(rows: &[Row]) -> Result<Option<PartyRow>, StoreError> {
    let Some(row) = rows.first() else { return Ok(None) };
    let member = |row: &Row| Ok((player_id(row, 5)?, UnixMs(row.int(6)?)));
    Ok(Some(PartyRow {
        id: row.text(0)?,
        code: row.text(1)?,
        body: row.text(2)?,
        revision: row.int(3)?,
        ticket: row.text_or_null(4)?,
        members: rows.iter().map(member).collect::<Result<_, StoreError>>()?,
    }))
}

fn player_id(row: &Row, column: usize) -> Result<PlayerId, StoreError> {
    let number = u64::try_from(row.int(column)?).ok().and_then(PlayerId::new);
    number.ok_or(StoreError::Malformed("player id"))
}
