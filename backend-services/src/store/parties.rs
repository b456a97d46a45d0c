//! Parties as rows: the body is the rules' own, a revision keeps two changes from overwriting each other, and a key
//! keeps a player out of two parties.

use super::StoreError;
use super::db::{Db, args};
use crate::ids::PlayerId;

/// A party as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyRow {
    /// Its id.
    pub id: String,
    /// Whoever knows it may join.
    pub code: String,
    /// What the rules know.
    pub body: String,
    /// Grows by one with each change.
    pub revision: i64,
}

impl Db {
    /// The party that this player is in.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn party_of(&self, player: PlayerId) -> Result<Option<PartyRow>, StoreError> {
        let sql = "SELECT p.party_id, p.code, p.body, p.revision FROM party_members m
            JOIN parties p ON p.party_id = m.party_id WHERE m.player_id = $1";
        self.party_row(sql, args![player]).await
    }

    /// The party of this id.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn party(&self, id: &str) -> Result<Option<PartyRow>, StoreError> {
        self.party_row("SELECT party_id, code, body, revision FROM parties WHERE party_id = $1", args![id])
            .await
    }

    /// The party of this code.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn party_by_code(&self, code: &str) -> Result<Option<PartyRow>, StoreError> {
        self.party_row("SELECT party_id, code, body, revision FROM parties WHERE code = $1", args![code])
            .await
    }

    /// Writes a party with these members: a new one at revision 0, else the next after `row.revision`. One without
    /// members is deleted. False: somebody changed it meanwhile, nothing was written.
    ///
    /// # Errors
    /// `Conflict`: a member is in another party, or the code is taken. Or the engine failed.
    pub async fn write_party(
        &self,
        row: &PartyRow,
        members: &[PlayerId],
        new: bool,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let (id, code, body) = (row.id.as_str(), row.code.as_str(), row.body.as_str());
        if new {
            let sql = "INSERT INTO parties (party_id, code, body, revision) VALUES ($1, $2, $3, 0)";
            tx.execute(sql, args![id, code, body]).await?;
        } else {
            let sql =
                "UPDATE parties SET body = $2, revision = revision + 1 WHERE party_id = $1 AND revision = $3";
            if tx.execute(sql, args![id, body, row.revision]).await? == 0 {
                return Ok(false);
            }
        }
        tx.execute("DELETE FROM party_members WHERE party_id = $1", args![id]).await?;
        for player in members {
            let sql = "INSERT INTO party_members (player_id, party_id) VALUES ($1, $2)";
            tx.execute(sql, args![*player, id]).await?;
        }
        if members.is_empty() {
            tx.execute("DELETE FROM parties WHERE party_id = $1", args![id]).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn party_row(
        &self,
        sql: &'static str,
        args: &[super::db::Value],
    ) -> Result<Option<PartyRow>, StoreError> {
        let Some(row) = self.row(sql, args).await? else { return Ok(None) };
        Ok(Some(PartyRow { id: row.text(0)?, code: row.text(1)?, body: row.text(2)?, revision: row.int(3)? }))
    }
}
