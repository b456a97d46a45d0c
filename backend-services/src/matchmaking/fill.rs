//! Seats newcomers in a running match, on the node that forms its mode's matches: take the tickets, seat the players in
//! the store, wait until the game server has read of them, hand out the places. Every step that fails undoes the
//! ones before it; what a node leaves half done when it dies, the next holder of the lease brings to an end.

use std::time::Duration;

use matching::Match;
use tokio::time::Instant;

use super::Matchmaker;
use super::queue::{Entry, Lease, Shifted};
use super::ticket::State;
use super::worker::seats;
use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId, TicketId};
use crate::store::{JoinFault, StoreError};

/// A game server that has not read of its newcomers by then gets none: it is gone, or cut off.
const CONFIRM_MAX: Duration = Duration::from_secs(4);

/// Fills a running match with those who were found for it, or gives their tickets back. `commit` names this attempt.
pub(super) async fn fill(
    matchmaker: &Matchmaker,
    lease: &Lease,
    commit: MatchId,
    found: &Match,
    joiners: &[Entry],
) {
    let gap = found.backfill.and_then(|id| matchmaker.desk.entry(TicketId::from_u128(id.0)));
    let Some(gap) = gap else { return matchmaker.desk.give_back(found) };
    match take(matchmaker, lease, commit, joiners, &gap).await {
        Ok(true) => {}
        Ok(false) => return matchmaker.desk.give_back(found),
        Err(error) => {
            tracing::warn!(%error, "tickets not taken for a running match");
            return matchmaker.desk.give_back(found);
        }
    }
    if let Err(error) = try_fill(matchmaker, commit, found, joiners, &gap).await {
        tracing::warn!(%commit, %error, "newcomers not seated; it is looked after");
    }
}

/// Takes the players' tickets and the match's, all or none; a ticket that is no longer its whole party is not taken.
async fn take(
    matchmaker: &Matchmaker,
    lease: &Lease,
    commit: MatchId,
    joiners: &[Entry],
    gap: &Entry,
) -> Result<bool, StoreError> {
    if !matchmaker.fit(joiners).await? {
        return Ok(false);
    }
    let queue = matchmaker.desk.queue();
    let all = joiners.iter().chain([gap]);
    let to: Vec<(TicketId, State)> =
        all.map(|entry| (entry.record.ticket_id(), State::Starting(commit))).collect();
    match queue.shift(&to, &[State::Queued], Some(lease)).await? {
        Shifted::Done => Ok(true),
        Shifted::Fenced => Ok(false),
        Shifted::Stale(stale) => {
            for id in stale {
                matchmaker.desk.correct(id, queue.entry(id).await?);
            }
            Ok(false)
        }
    }
}

async fn try_fill(
    matchmaker: &Matchmaker,
    commit: MatchId,
    found: &Match,
    joiners: &[Entry],
    gap: &Entry,
) -> Result<(), StoreError> {
    let (desk, db) = (&matchmaker.desk, &matchmaker.db);
    let ticket = gap.record.ticket_id();
    let filled = gap.record.fills.as_ref().and_then(|fills| fills.match_id.parse::<MatchId>().ok());
    let rules = desk.rules().modes.iter().find(|rules| rules.mode == found.mode);
    let (Some(id), Some(rules)) = (filled, rules) else { return Ok(()) };
    let seats: Vec<(PlayerId, u8)> =
        seats(found, joiners).iter().map(|seat| (seat.player, seat.team)).collect();
    if let Err(fault) = db.join_match(id, &seats, rules.team_size, UnixMs::now()).await? {
        let busy = if let JoinFault::Busy(busy) = &fault { &busy[..] } else { &[] };
        // Who is busy may be free again; a match that is over or full has nothing to look for.
        let next = if busy.is_empty() { State::Expired } else { State::Queued };
        desk.queue().shift(&[(ticket, next)], &[State::Starting(commit)], None).await?;
        for entry in joiners {
            let held = entry.record.player_ids().any(|player| busy.contains(&player));
            let back = (entry.record.ticket_id(), if held { State::Held } else { State::Queued });
            desk.queue().shift(&[back], &[State::Starting(commit)], None).await?;
        }
        return Ok(());
    }
    let offered = State::Offered(commit);
    let done = desk.queue().shift(&[(ticket, offered.clone())], &[State::Starting(commit)], None).await?;
    if done == Shifted::Done && confirmed(matchmaker, ticket, &offered).await? {
        return place(matchmaker, commit, id, joiners).await;
    }
    undo(matchmaker, commit, id, joiners).await
}

/// Waits until the game server has read of its newcomers. False: it will not any more.
async fn confirmed(matchmaker: &Matchmaker, ticket: TicketId, offered: &State) -> Result<bool, StoreError> {
    let desk = &matchmaker.desk;
    let end = Instant::now() + CONFIRM_MAX;
    loop {
        let bell = desk.bell(ticket);
        let rung = bell.notified();
        tokio::pin!(rung);
        rung.as_mut().enable();
        match desk.queue().entry(ticket).await?.map(|entry| entry.state) {
            Some(State::Matched { .. }) => return Ok(true),
            Some(state) if state == *offered => {}
            _ => return Ok(false),
        }
        if tokio::time::timeout_at(end, rung).await.is_err() {
            let to = [(ticket, State::Expired)];
            if desk.queue().shift(&to, std::slice::from_ref(offered), None).await? == Shifted::Done {
                return Ok(false);
            }
            // It was read of in the last moment, or somebody looked after it: the queue says which.
            let state = desk.queue().entry(ticket).await?.map(|entry| entry.state);
            return Ok(matches!(state, Some(State::Matched { .. })));
        }
    }
}

/// Tells the newcomers where their match is.
async fn place(
    matchmaker: &Matchmaker,
    commit: MatchId,
    id: MatchId,
    joiners: &[Entry],
) -> Result<(), StoreError> {
    for entry in joiners {
        let Some(first) = entry.record.player_ids().next() else { continue };
        let Some((live, team)) = matchmaker.db.live_match_of(first).await? else { continue };
        let address = live.address.unwrap_or_default();
        let to = [(entry.record.ticket_id(), State::Matched { id, address, team, filled: true })];
        if matchmaker.desk.queue().shift(&to, &[State::Starting(commit)], None).await? == Shifted::Done {
            let waited = super::desk::millis(UnixMs::now()).since(entry.record.queued);
            metrics::histogram!("matchmaking_wait_seconds").record(waited as f64 / 1000.0);
        }
    }
    tracing::info!(%id, tickets = joiners.len(), "running match filled");
    metrics::counter!("matches_filled_total").increment(1);
    Ok(())
}

/// Newcomers of whom the server never heard: their seats go, and their tickets wait on with their age.
async fn undo(
    matchmaker: &Matchmaker,
    commit: MatchId,
    id: MatchId,
    joiners: &[Entry],
) -> Result<(), StoreError> {
    for entry in joiners {
        // Held until the seat is gone: whoever is looked after by now, by another node, keeps it.
        let to = [(entry.record.ticket_id(), State::Held)];
        if matchmaker.desk.queue().shift(&to, &[State::Starting(commit)], None).await? == Shifted::Done {
            let players: Vec<PlayerId> = entry.record.player_ids().collect();
            matchmaker.db.unjoin_match(id, &players).await?;
        }
    }
    matchmaker.desk.players_freed();
    Ok(())
}
