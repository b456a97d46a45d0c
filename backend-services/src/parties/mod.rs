//! Parties: who plays together. `rules` say what may happen, the store keeps it, this file does one change after the
//! other; a party queues as one ticket.

pub mod routes;
pub mod rules;

use std::collections::BTreeMap;

use self::rules::{Party, PartyFault};
use crate::clock::UnixMs;
use crate::crypto::random_u64;
use crate::http::problem::ApiError;
use crate::ids::{MatchId, PlayerId};
use crate::store::{Db, PartyRow, StoreError};

/// A change that others keep overtaking is given up.
const TRIES_MAX: usize = 16;
/// Letters and digits that are not mistaken for each other.
const CODE_LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// 32^8 codes: a guess in a million parties hits one in a million times.
const CODE_LENGTH: usize = 8;

/// All parties; cloning shares them.
#[derive(Clone)]
pub struct Parties {
    db: Db,
}

impl Parties {
    /// In this store.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// A party of the caller alone; whoever is in one gets that.
    ///
    /// # Errors
    /// The store failed.
    pub async fn create(&self, caller: PlayerId) -> Result<(Party, bool), ApiError> {
        if let Some(row) = self.db.party_of(caller).await? {
            return Ok((read(&row)?, false));
        }
        let name = self.name(caller).await?;
        let party = Party::new(MatchId::random().to_string(), fresh_code(), caller, name, UnixMs::now());
        self.write(&party, 0, true).await.map_err(in_another)?;
        Ok((party, true))
    }

    /// The caller's party. The caller is heard of, and who is not is let go.
    ///
    /// # Errors
    /// The caller is in none, or the store failed.
    pub async fn mine(
        &self,
        caller: PlayerId,
        measured: Option<(BTreeMap<String, u16>, Vec<String>)>,
    ) -> Result<(Party, Vec<PlayerId>), ApiError> {
        self.change(caller, |party, now| {
            let member = party.heard(caller, now)?;
            if let Some((latencies, roles)) = measured.clone() {
                (member.latencies, member.roles) = (latencies, roles);
            }
            Ok(party.sweep(now))
        })
        .await
    }

    /// Joins a party by its code, or by its id if the caller is invited.
    ///
    /// # Errors
    /// There is none, it does not want the caller, the caller is in another one, or the store failed.
    pub async fn join(
        &self,
        caller: PlayerId,
        code: Option<&str>,
        id: Option<&str>,
    ) -> Result<Party, ApiError> {
        let name = self.name(caller).await?;
        for _ in 0..TRIES_MAX {
            let row = match (code, id) {
                (Some(code), _) => self.db.party_by_code(code).await?,
                (None, Some(id)) => self.db.party(id).await?,
                (None, None) => None,
            };
            let row = row.ok_or_else(|| ApiError::not_found("party_not_found", "there is no such party"))?;
            let mut party = read(&row)?;
            party.join(caller, name.clone(), code, UnixMs::now()).map_err(refused)?;
            if self.write(&party, row.revision, false).await.map_err(in_another)? {
                return Ok(party);
            }
        }
        Err(ApiError::unavailable("store_busy", "the party changes too often; try again"))
    }

    /// Changes the caller's party. What the change says comes back with it.
    ///
    /// # Errors
    /// The caller is in none, the rules refuse, or the store failed.
    pub async fn change<T>(
        &self,
        caller: PlayerId,
        mut change: impl FnMut(&mut Party, UnixMs) -> Result<T, PartyFault>,
    ) -> Result<(Party, T), ApiError> {
        for _ in 0..TRIES_MAX {
            let row = self.db.party_of(caller).await?;
            let row = row.ok_or_else(|| ApiError::not_found("no_party", "you are in no party"))?;
            let mut party = read(&row)?;
            let said = change(&mut party, UnixMs::now()).map_err(refused)?;
            if self.write(&party, row.revision, false).await? {
                return Ok((party, said));
            }
        }
        Err(ApiError::unavailable("store_busy", "the party changes too often; try again"))
    }

    async fn write(&self, party: &Party, revision: i64, new: bool) -> Result<bool, StoreError> {
        let body = serde_json::to_string(party).map_err(|_| StoreError::Malformed("party"))?;
        let row = PartyRow { id: party.id.clone(), code: party.code.clone(), body, revision };
        let members: Vec<PlayerId> = party.members.iter().filter_map(|m| PlayerId::new(m.player)).collect();
        self.db.write_party(&row, &members, new).await
    }

    async fn name(&self, player: PlayerId) -> Result<String, ApiError> {
        let account = self.db.account(player).await?;
        let account = account.ok_or_else(|| ApiError::unauthorized("account_gone", "the account is gone"))?;
        Ok(account.display_name)
    }
}

fn read(row: &PartyRow) -> Result<Party, ApiError> {
    Ok(serde_json::from_str(&row.body).map_err(|_| StoreError::Malformed("party"))?)
}

fn fresh_code() -> String {
    let bits = random_u64();
    (0..CODE_LENGTH).map(|place| char::from(CODE_LETTERS[(bits >> (5 * place)) as usize & 31])).collect()
}

fn in_another(error: StoreError) -> ApiError {
    match error {
        StoreError::Conflict => {
            ApiError::conflict("in_another_party", "the player is in another party; leave it first")
        }
        error => error.into(),
    }
}

fn refused(fault: PartyFault) -> ApiError {
    match fault {
        PartyFault::Full => ApiError::conflict("party_full", fault.to_string()),
        PartyFault::TooManyInvites => ApiError::conflict("too_many_invites", fault.to_string()),
        PartyFault::NotMember => ApiError::not_found("not_a_member", fault.to_string()),
        PartyFault::NotLeader => ApiError::forbidden("not_the_leader", fault.to_string()),
        PartyFault::NotInvited => ApiError::forbidden("not_invited", fault.to_string()),
    }
}
