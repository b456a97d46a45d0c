//! A party's ticket: all of it queues together, and who leaves takes the ticket back. The law that no party is split is
//! kept here: changes withdraw what no longer fits, and a match looks again before it takes a ticket.

use super::queue::{Entry, Shifted};
use super::ticket::State;
use super::{Matchmaker, View};
use crate::api::TicketRequest;
use crate::clock::UnixMs;
use crate::http::problem::ApiError;
use crate::ids::{PlayerId, TicketId};
use crate::parties::Changed;
use crate::parties::rules::{Party, PartyFault, whole};
use crate::sanctions::rules::ban_now;
use crate::store::StoreError;

/// Tickets change under us at most so often before we leave it to whoever changes them.
const TRIES_MAX: usize = 16;
/// Silent parties that are looked at in one go; the rest waits for the next.
const SILENT_MAX: i64 = 64;

impl Matchmaker {
    /// Queues the caller's party, which the caller leads.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue); or the caller is in no party, or does not lead it.
    pub async fn enqueue_own_party(
        &self,
        caller: PlayerId,
        request: TicketRequest,
    ) -> Result<(View, bool), ApiError> {
        let party = self.change_party(caller, |party, _| party.led_by(caller)).await?;
        let mut members = Vec::new();
        for (seat, player) in party.members.iter().zip(party.player_ids()) {
            members.push(self.member(player, seat.roles.clone(), &[]).await?);
        }
        let latencies = party.latencies();
        let queued = self.enqueue_party(caller, members, TicketRequest { latencies, ..request }).await?;
        self.parties.queued(&party, &queued.0.id.to_string()).await?;
        Ok(queued)
    }

    /// Changes the caller's party; tickets that no longer fit it are taken back.
    ///
    /// # Errors
    /// The caller is in none, the rules refuse, or a store failed.
    pub async fn change_party(
        &self,
        caller: PlayerId,
        change: impl FnMut(&mut Party, UnixMs) -> Result<(), PartyFault>,
    ) -> Result<Party, ApiError> {
        let changed = self.parties.change(caller, change).await?;
        self.refit(changed).await
    }

    /// Joins a party by its code, or by its id if the caller is invited.
    ///
    /// # Errors
    /// As [`Parties::join`](crate::parties::Parties::join).
    pub async fn join_party(
        &self,
        caller: PlayerId,
        code: Option<&str>,
        id: Option<&str>,
    ) -> Result<Party, ApiError> {
        let changed = self.parties.join(caller, code, id).await?;
        self.refit(changed).await
    }

    /// Lets members go of whom nothing was heard for too long.
    pub(super) async fn sweep_parties(&self) -> Result<(), StoreError> {
        for id in self.parties.silent(SILENT_MAX).await? {
            match self.parties.change_of(&id, |_, _| Ok(())).await {
                Ok(changed) => {
                    if let Err(error) = self.refit(changed).await {
                        tracing::warn!(party = id, code = error.code, "ticket not withdrawn");
                    }
                }
                // Ended meanwhile, or changed by everybody at once: the next look tells.
                Err(error) => tracing::debug!(party = id, code = error.code, "party not swept"),
            }
        }
        Ok(())
    }

    /// Whether these tickets and the parties of their players still fit, and nobody is banned; a ticket that does not is
    /// taken back.
    pub(super) async fn fit(&self, entries: &[Entry]) -> Result<bool, StoreError> {
        let mut all = true;
        for entry in entries {
            let players: Vec<PlayerId> = entry.record.player_ids().collect();
            let Some(first) = players.first() else { continue };
            let broken = !whole(&players, &self.parties.mates(*first).await?);
            if broken || self.any_banned(&players).await? {
                all = false;
                self.drop_ticket(entry.record.ticket_id(), &State::Cancelled).await?;
            }
        }
        Ok(all)
    }

    /// Takes back whatever a player waits for.
    ///
    /// # Errors
    /// A store failed.
    pub async fn drop_tickets_of(&self, player: PlayerId) -> Result<(), StoreError> {
        if let Some(id) = self.desk.queue().ticket_of(player).await? {
            self.drop_ticket(id, &State::Cancelled).await?;
        }
        Ok(())
    }

    async fn any_banned(&self, players: &[PlayerId]) -> Result<bool, StoreError> {
        for player in players {
            if ban_now(self.db.ban_of(*player).await?, UnixMs::now()).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes a ticket back wherever it stands, unless its match is on. Whether it is out now.
    pub(super) async fn drop_ticket(&self, id: TicketId, to: &State) -> Result<bool, StoreError> {
        for _ in 0..TRIES_MAX {
            let Some(entry) = self.desk.queue().entry(id).await? else { return Ok(true) };
            if entry.state.is_final() {
                return Ok(!matches!(entry.state, State::Matched { .. }));
            }
            if !entry.state.can_leave() {
                return Ok(false);
            }
            if self.desk.queue().shift(&[(id, to.clone())], &[entry.state], None).await? == Shifted::Done {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes back what its members wait for, if the party is not what it was.
    async fn refit(&self, changed: Changed) -> Result<Party, ApiError> {
        if changed.shrank() || changed.grew() {
            for player in changed.everybody() {
                let Some(id) = self.desk.queue().ticket_of(player).await? else { continue };
                let entry = self.desk.queue().entry(id).await?;
                self.fit(entry.as_slice()).await?;
            }
        }
        Ok(changed.after)
    }
}
