//! Parties: who plays together. `rules` say what may happen, the store keeps it, this file does one change after the
//! other. Must never know a ticket; what a change means for one is the matchmaker's.

pub mod routes;
pub mod rules;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::rules::{Limits, Party, PartyFault};
use crate::clock::UnixMs;
use crate::crypto::random_u64;
use crate::http::limit::{Limiter, Rate};
use crate::http::problem::ApiError;
use crate::ids::{MatchId, PlayerId};
use crate::store::{Db, PartyRow, PartyWrite, StoreError};

/// A change that others keep overtaking is given up; 64 racing joins need no more.
const TRIES_MAX: usize = 96;
/// Letters and digits that are not mistaken for each other.
const CODE_LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// 32^8 codes: with a million parties at a time, one guess in a million hits one.
const CODE_LENGTH: usize = 8;
/// Codes that one player tries: ten at once, then one every 5 s. One process's view, as all its limits.
const GUESSES: Rate = Rate { burst: 10.0, refill_per_s: 0.2 };
/// Players who are told apart there; newcomers beyond share one allowance.
const GUESSERS_MAX: usize = 65_536;
/// Parties that a player sees its invitations to.
const INVITING_MAX: i64 = 32;

/// How parties last.
#[derive(Clone, Debug, clap::Args)]
pub struct Flags {
    /// A party member who is silent for so many seconds is away, and leads no more.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS", value_parser = lasting)]
    party_away: f64,
    /// A party member who is silent for so many seconds is out.
    #[arg(long, default_value_t = 120.0, value_name = "SECONDS", value_parser = lasting)]
    party_gone: f64,
    /// A party's code works for so many seconds.
    #[arg(long, default_value_t = 900.0, value_name = "SECONDS", value_parser = lasting)]
    party_code: f64,
}

impl Flags {
    /// As the rules take it.
    pub fn limits(&self) -> Limits {
        Limits {
            away: Duration::from_secs_f64(self.party_away),
            gone: Duration::from_secs_f64(self.party_gone.max(self.party_away)),
            code_life: Duration::from_secs_f64(self.party_code),
        }
    }
}

fn lasting(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.1..=86_400.0).contains(&seconds) { Ok(seconds) } else { Err("must be 0.1 to 86400".to_owned()) }
}

/// A party before and after a change.
#[derive(Clone, Debug)]
pub struct Changed {
    /// As it was read; `None` for a new one.
    pub before: Option<Party>,
    /// As it is now. Without members: it is no more.
    pub after: Party,
}

impl Changed {
    /// Whether somebody has gone.
    pub fn shrank(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.player_ids().any(|who| !self.after.has(who)))
    }

    /// Whether somebody has come.
    pub fn grew(&self) -> bool {
        self.before.as_ref().is_some_and(|before| self.after.player_ids().any(|who| !before.has(who)))
    }

    /// Who was or is in it.
    pub fn everybody(&self) -> Vec<PlayerId> {
        let before = self.before.iter().flat_map(Party::player_ids);
        let mut all: Vec<PlayerId> = before.chain(self.after.player_ids()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// All parties; cloning shares them.
#[derive(Clone)]
pub struct Parties {
    db: Db,
    limits: Limits,
    guesses: Arc<Mutex<Limiter<PlayerId>>>,
}

impl Parties {
    /// In this store.
    pub fn new(db: Db, limits: Limits) -> Self {
        let guesses = Limiter::new(GUESSES, GUESSERS_MAX, Instant::now());
        Self { db, limits, guesses: Arc::new(Mutex::new(guesses)) }
    }

    /// How long things last.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A party of the caller alone; whoever is in one gets that. The flag says whether it is new.
    ///
    /// # Errors
    /// The store failed.
    pub async fn create(&self, caller: PlayerId, members_max: usize) -> Result<(Party, bool), ApiError> {
        let name = self.name(caller).await?;
        for _ in 0..TRIES_MAX {
            if let Some(row) = self.db.party_of(caller).await? {
                return Ok((read(row)?, false));
            }
            let (id, now) = (MatchId::random().to_string(), UnixMs::now());
            let mut party = Party::new(id, caller, name.clone(), members_max, now);
            party.renew_code(fresh_code(), now.plus(self.limits.code_life));
            match self.write(None, &party, None, now).await {
                Ok(_) => return Ok((party, true)),
                // The code is taken, or the caller founded one meanwhile: the next look tells.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(overtaken())
    }

    /// The caller's party as it is kept.
    ///
    /// # Errors
    /// The store failed.
    pub async fn of(&self, caller: PlayerId) -> Result<Option<Party>, ApiError> {
        self.db.party_of(caller).await?.map(read).transpose().map_err(Into::into)
    }

    /// Everybody in the player's party, the player too; nobody if there is none.
    ///
    /// # Errors
    /// The store failed.
    pub async fn mates(&self, player: PlayerId) -> Result<Vec<PlayerId>, StoreError> {
        self.db.party_mates(player).await
    }

    /// The player is there. Writes no more often than it takes.
    ///
    /// # Errors
    /// The store failed.
    pub async fn heard(&self, player: PlayerId) -> Result<(), StoreError> {
        let now = UnixMs::now();
        let fresh = i64::try_from((self.limits.away / 10).as_millis()).unwrap_or(i64::MAX);
        self.db.party_heard(player, now, UnixMs(now.0.saturating_sub(fresh))).await
    }

    /// Joins a party by its code, or by its id if the caller is invited.
    ///
    /// # Errors
    /// There is none, it does not want the caller, the caller is in another one or tries too often, or the store
    /// failed.
    pub async fn join(
        &self,
        caller: PlayerId,
        code: Option<&str>,
        id: Option<&str>,
    ) -> Result<Changed, ApiError> {
        let code = code.map(|code| code.trim().to_ascii_uppercase());
        if code.is_some() {
            self.guess(caller)?;
        }
        let name = self.name(caller).await?;
        for _ in 0..TRIES_MAX {
            let row = match (&code, id) {
                (Some(code), _) => self.db.party_by_code(code).await?,
                (None, Some(id)) => self.db.party(id).await?,
                (None, None) => None,
            };
            let row = row.ok_or_else(party_not_found)?;
            let revision = row.revision;
            let before = read(row)?;
            let (mut after, now) = (before.clone(), UnixMs::now());
            after.sweep(&self.limits, now);
            if after.members.is_empty() {
                return Err(party_not_found());
            }
            after.join(caller, name.clone(), code.as_deref(), now).map_err(|fault| match fault {
                // Whether an old code was one is nobody's business.
                PartyFault::NotInvited if code.is_some() => party_not_found(),
                fault => refused(fault),
            })?;
            if self.write(Some(&before), &after, Some(revision), now).await.map_err(in_another)? {
                return Ok(Changed { before: Some(before), after });
            }
        }
        Err(overtaken())
    }

    /// Changes the caller's party, in which the caller is heard of; who was silent for too long goes at the same time.
    ///
    /// # Errors
    /// The caller is in none, the rules refuse, or the store failed.
    pub async fn change(
        &self,
        caller: PlayerId,
        mut change: impl FnMut(&mut Party, UnixMs) -> Result<(), PartyFault>,
    ) -> Result<Changed, ApiError> {
        self.heard(caller).await?;
        for _ in 0..TRIES_MAX {
            let row = self.db.party_of(caller).await?;
            let row = row.ok_or_else(|| ApiError::not_found("no_party", "you are in no party"))?;
            if let Some(changed) = self.try_change(row, &mut change).await? {
                return Ok(changed);
            }
        }
        Err(overtaken())
    }

    /// Changes a party that the caller may not be in.
    ///
    /// # Errors
    /// There is none, the rules refuse, or the store failed.
    pub async fn change_of(
        &self,
        id: &str,
        mut change: impl FnMut(&mut Party, UnixMs) -> Result<(), PartyFault>,
    ) -> Result<Changed, ApiError> {
        for _ in 0..TRIES_MAX {
            let row = self.db.party(id).await?.ok_or_else(party_not_found)?;
            if let Some(changed) = self.try_change(row, &mut change).await? {
                return Ok(changed);
            }
        }
        Err(overtaken())
    }

    /// Parties that have invited this player.
    ///
    /// # Errors
    /// The store failed.
    pub async fn inviting(&self, player: PlayerId) -> Result<Vec<Party>, ApiError> {
        let (mut found, now) = (Vec::new(), UnixMs::now());
        for id in self.db.parties_inviting(player, INVITING_MAX).await? {
            let Some(row) = self.db.party(&id).await? else { continue };
            let party = read(row)?;
            if party.invites(player, now) {
                found.push(party);
            }
        }
        Ok(found)
    }

    /// Whether there is such a player.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub async fn known(&self, player: PlayerId) -> Result<(), ApiError> {
        let account = self.db.account(player).await?;
        account.map(drop).ok_or_else(|| ApiError::not_found("unknown_player", "there is no such player"))
    }

    /// Ids of parties with a member who has been silent for too long.
    ///
    /// # Errors
    /// The store failed.
    pub async fn silent(&self, limit: i64) -> Result<Vec<String>, StoreError> {
        let gone = i64::try_from(self.limits.gone.as_millis()).unwrap_or(i64::MAX);
        self.db.silent_parties(UnixMs(UnixMs::now().0.saturating_sub(gone)), limit).await
    }

    /// The party has queued with this ticket: its members find it there.
    ///
    /// # Errors
    /// The store failed.
    pub async fn queued(&self, party: &Party, ticket: &str) -> Result<(), StoreError> {
        self.db.set_party_ticket(&party.id, ticket).await
    }

    async fn try_change(
        &self,
        row: PartyRow,
        change: &mut impl FnMut(&mut Party, UnixMs) -> Result<(), PartyFault>,
    ) -> Result<Option<Changed>, ApiError> {
        let revision = row.revision;
        let before = read(row)?;
        let (mut after, now) = (before.clone(), UnixMs::now());
        after.sweep(&self.limits, now);
        change(&mut after, now).map_err(refused)?;
        let written = after == before || self.write(Some(&before), &after, Some(revision), now).await?;
        Ok(written.then_some(Changed { before: Some(before), after }))
    }

    async fn write(
        &self,
        before: Option<&Party>,
        after: &Party,
        revision: Option<i64>,
        now: UnixMs,
    ) -> Result<bool, StoreError> {
        let body = serde_json::to_string(after).map_err(|_| StoreError::Malformed("party"))?;
        let was = |who: &PlayerId| before.is_some_and(|before| before.has(*who));
        let joined: Vec<PlayerId> = after.player_ids().filter(|who| !was(who)).collect();
        let gone: Vec<PlayerId> =
            before.into_iter().flat_map(Party::player_ids).filter(|who| !after.has(*who)).collect();
        let invited: Vec<PlayerId> =
            after.invited.iter().filter_map(|invite| PlayerId::new(invite.player)).collect();
        let same = before.map_or(invited.is_empty(), |before| before.invited == after.invited);
        let write = PartyWrite {
            id: &after.id,
            code: &after.code,
            body: &body,
            revision,
            joined: &joined,
            gone: &gone,
            invited: (!same).then_some(&invited),
            ends: after.members.is_empty(),
            now,
        };
        self.db.write_party(&write).await
    }

    /// One more try at a code.
    fn guess(&self, caller: PlayerId) -> Result<(), ApiError> {
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = guesses.take(caller, Instant::now()).wait;
        if wait.is_zero() {
            return Ok(());
        }
        let status = axum::http::StatusCode::TOO_MANY_REQUESTS;
        let detail = "too many codes tried; wait, or ask for an invitation";
        Err(ApiError::new(status, "too_many_codes", detail).retry_after(wait.as_secs_f64().ceil() as u64))
    }

    async fn name(&self, player: PlayerId) -> Result<String, ApiError> {
        let account = self.db.account(player).await?;
        let account = account.ok_or_else(|| ApiError::unauthorized("account_gone", "the account is gone"))?;
        Ok(account.display_name)
    }
}

/// The party of a row. A member whose row is gone was never heard of, so the next look lets it go.
fn read(row: PartyRow) -> Result<Party, StoreError> {
    let mut party: Party = serde_json::from_str(&row.body).map_err(|_| StoreError::Malformed("party"))?;
    for member in &mut party.members {
        let seen = row.members.iter().find(|(player, _)| player.as_u64() == member.player);
        member.seen = seen.map_or(UnixMs(0), |(_, seen)| *seen);
    }
    party.ticket = row.ticket;
    Ok(party)
}

/// A code that nobody can guess.
pub(crate) fn fresh_code() -> String {
    let bits = random_u64();
    (0..CODE_LENGTH).map(|place| char::from(CODE_LETTERS[(bits >> (5 * place)) as usize & 31])).collect()
}

fn party_not_found() -> ApiError {
    ApiError::not_found("party_not_found", "there is no such party, or its code has changed")
}

fn overtaken() -> ApiError {
    ApiError::unavailable("store_busy", "the party changes too often; try again")
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
