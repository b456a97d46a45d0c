//! Gives the pool its clock and its matches their servers, on the one node that holds the lease: take the tickets,
//! open the match in the store (which binds the players), allocate a server, mark it running, hand out places. Every
//! step that fails undoes the ones before it, and the tickets wait on with their age. What a node leaves half done
//! when it dies, the next holder of the lease brings to an end.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backend_proto::signature::ResultKey;
use matching::{Match, Verdict};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::Matchmaker;
use super::queue::{Entry, Lease, Shifted};
use super::ready;
use super::ticket::{Member, State};
use crate::allocation::{Admission, AllocationFault, MatchSheet, SheetPlayer, Wanted};
use crate::clock::UnixMs;
use crate::crypto::random_u64;
use crate::ids::{MatchId, PlayerId, TicketId};
use crate::store::{MatchState, OpenMatch, StoreError};

/// A match that has no server by then is given up: a crash lies between.
const ALLOCATING_MAX: Duration = Duration::from_secs(30);
/// A node that has not renewed its lease for so long is taken for dead.
const LEASE: Duration = Duration::from_secs(3);
/// The lease is renewed, and what is left over looked after, this often.
const CHORES_EVERY: Duration = Duration::from_millis(500);
/// Tickets that one look after leftovers reads the store for; the rest waits for the next.
const LOOK_MAX: usize = 64;

/// Why a match did not start. The tickets go back in any case.
#[derive(Debug, thiserror::Error)]
enum StartFault {
    #[error("players are in another match")]
    Busy(Vec<PlayerId>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Allocate(#[from] AllocationFault),
    #[error("the match was given up while it waited for a server")]
    GivenUp,
}

/// Matches that this process is starting: nobody else's leftovers.
type Own = Arc<Mutex<HashSet<MatchId>>>;

struct Worker {
    matchmaker: Matchmaker,
    lease: Option<Lease>,
    renewed: Option<Instant>,
    own: Own,
    starting: JoinSet<()>,
}

/// Forms matches until `drain` turns true, then lets the ones that look for a server finish.
pub async fn run(matchmaker: Matchmaker, mut drain: watch::Receiver<bool>) {
    let mut clock = tokio::time::interval(matchmaker.settings.tick);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (desk, starting) = (matchmaker.desk.clone(), JoinSet::new());
    let mut worker = Worker { matchmaker, lease: None, renewed: None, own: Own::default(), starting };
    loop {
        tokio::select! {
            _ = drain.wait_for(|draining| *draining) => break,
            Some(_) = worker.starting.join_next() => continue,
            _ = clock.tick() => {}
            () = desk.news() => {}
        }
        if let Err(error) = worker.turn().await {
            tracing::warn!(%error, "queue not looked at");
        }
    }
    while worker.starting.join_next().await.is_some() {}
    if let Some(lease) = &worker.lease
        && let Err(error) = desk.queue().release(lease).await
    {
        tracing::warn!(%error, "lease not given up; it lapses by itself");
    }
}

impl Worker {
    async fn turn(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        if self.renewed.is_none_or(|renewed| now.saturating_duration_since(renewed) >= CHORES_EVERY) {
            let held = self.lease.take();
            self.lease = self.matchmaker.desk.queue().lease(held.as_ref(), LEASE).await?;
            self.renewed = Some(now);
            if self.lease.is_some() {
                self.expire().await?;
                self.recover().await?;
                self.matchmaker.sweep_parties().await?;
            }
        }
        if self.lease.is_some() {
            self.release_freed().await?;
            self.resolve(now).await?;
            self.form(now);
        }
        Ok(())
    }

    fn form(&mut self, now: Instant) {
        let Some(lease) = self.lease.clone() else { return };
        if self.matchmaker.servers.room(now) == 0 {
            return;
        }
        let mut questions =
            self.matchmaker.servers.room(now).saturating_sub(self.matchmaker.desk.checks_len());
        for (found, entries) in self.matchmaker.desk.tick(UnixMs::now()) {
            // Who joins a match that runs is not asked: its players would wait for the answer.
            let asks = found.backfill.is_none();
            if let Some(patience) = self.matchmaker.ready_check(&found.mode).filter(|_| asks) {
                // Nobody is asked for a match that would find no server.
                if questions == 0 {
                    self.matchmaker.desk.give_back(&found);
                    continue;
                }
                questions -= 1;
                self.ask(lease.clone(), found, entries, patience);
                continue;
            }
            // A match for which there is no server waits with its tickets.
            let Some(admission) = self.matchmaker.servers.admit(now) else {
                self.matchmaker.desk.give_back(&found);
                continue;
            };
            self.starting.spawn(begin(
                self.matchmaker.clone(),
                self.own.clone(),
                lease.clone(),
                admission,
                found,
                entries,
            ));
        }
    }

    /// Puts a match to its players.
    fn ask(&mut self, lease: Lease, found: Match, entries: Vec<Entry>, patience: Duration) {
        let matchmaker = self.matchmaker.clone();
        self.starting.spawn(async move {
            let asked = matchmaker.ask(&lease, &found, &entries, patience).await;
            if let Err(error) = &asked {
                tracing::warn!(%error, "players not asked");
            }
            if !matches!(asked, Ok(true)) {
                matchmaker.desk.give_back(&found);
            }
        });
    }

    /// Does what the answers to ready checks come to.
    async fn resolve(&mut self, now: Instant) -> Result<(), StoreError> {
        let Some(lease) = self.lease.clone() else { return Ok(()) };
        for (id, entries) in self.matchmaker.desk.checks() {
            if lock(&self.own).contains(&id) {
                continue;
            }
            match ready::verdict(&entries, UnixMs::now()) {
                Verdict::Wait => {}
                Verdict::Over { out, .. } => self.matchmaker.call_off(&lease, &entries, &out).await?,
                Verdict::Start => {
                    // They have accepted: they wait for a server together.
                    let Some(admission) = self.matchmaker.servers.admit(now) else { continue };
                    let Some(found) = ready::wanted(&entries) else { continue };
                    lock(&self.own).insert(id);
                    let (matchmaker, own, lease) = (self.matchmaker.clone(), self.own.clone(), lease.clone());
                    self.starting.spawn(async move {
                        begin(matchmaker, own.clone(), lease, admission, found, entries).await;
                        lock(&own).remove(&id);
                    });
                }
            }
        }
        Ok(())
    }

    /// Drops what nobody asks for.
    async fn expire(&self) -> Result<(), StoreError> {
        let matchmaker = &self.matchmaker;
        let idle_ms = i64::try_from(matchmaker.settings.idle_max.as_millis()).unwrap_or(i64::MAX);
        let before = UnixMs(UnixMs::now().0.saturating_sub(idle_ms));
        for id in matchmaker.desk.queue().idle(before, LOOK_MAX).await? {
            let waiting = [State::Queued, State::Paused, State::Held];
            matchmaker.desk.queue().shift(&[(id, State::Expired)], &waiting, self.lease.as_ref()).await?;
        }
        Ok(())
    }

    /// Looks again at tickets whose players were in a match.
    async fn release_freed(&self) -> Result<(), StoreError> {
        for entry in self.matchmaker.desk.standing(|state| *state == State::Held, LOOK_MAX) {
            let mut free = true;
            for player in entry.record.player_ids() {
                free &= self.matchmaker.db.live_match_of(player).await?.is_none();
            }
            if free {
                let to = [(entry.record.ticket_id(), State::Queued)];
                self.matchmaker.desk.queue().shift(&to, &[State::Held], None).await?;
            }
        }
        Ok(())
    }

    /// Brings to an end what another node, or this one before a crash, was starting.
    async fn recover(&self) -> Result<(), StoreError> {
        for entry in self.matchmaker.desk.standing(|state| matches!(state, State::Starting(_)), LOOK_MAX) {
            let State::Starting(id) = entry.state else { continue };
            if lock(&self.own).contains(&id) {
                continue;
            }
            let to = self.ended(&entry, id).await?;
            let ticket = entry.record.ticket_id();
            let desk = &self.matchmaker.desk;
            let shifted = desk.queue().shift(&[(ticket, to.clone())], &[State::Starting(id)], None).await?;
            if shifted == Shifted::Done {
                tracing::warn!(%id, %ticket, to = to.to_text(), "a match that nobody was starting any more");
                metrics::counter!("matchmaking_recovered_total").increment(1);
            } else {
                desk.correct(ticket, desk.queue().entry(ticket).await?);
            }
        }
        Ok(())
    }

    /// Where a ticket goes whose match nobody is starting any more.
    async fn ended(&self, entry: &Entry, id: MatchId) -> Result<State, StoreError> {
        let db = &self.matchmaker.db;
        if db.match_state(id).await? == Some(MatchState::Allocating) {
            // Should its node be alive after all, it finds that the match is gone.
            db.abandon_match(id).await?;
        }
        if !matches!(db.match_state(id).await?, Some(MatchState::Running | MatchState::Finished)) {
            return Ok(State::Queued);
        }
        let mut players = entry.record.player_ids();
        let found = match players.next() {
            Some(player) => db.live_match_of(player).await?,
            None => None,
        };
        let (address, team) = found.map_or((None, 0), |(live, team)| (live.address, team));
        Ok(State::Matched { id, address: address.unwrap_or_else(|| "-".to_owned()), team })
    }
}

/// Starts a match under an id of its own.
async fn begin(
    matchmaker: Matchmaker,
    own: Own,
    lease: Lease,
    admission: Admission,
    found: Match,
    entries: Vec<Entry>,
) {
    let id = MatchId::random();
    lock(&own).insert(id);
    start(&matchmaker, &lease, admission, id, &found, &entries).await;
    lock(&own).remove(&id);
}

/// Starts a match, or gives its tickets back.
async fn start(
    matchmaker: &Matchmaker,
    lease: &Lease,
    admission: Admission,
    id: MatchId,
    found: &Match,
    entries: &[Entry],
) {
    match take(matchmaker, lease, id, found, entries).await {
        Ok(true) => {}
        taken => {
            if let Err(error) = taken {
                tracing::warn!(%id, %error, "tickets not taken");
            }
            // Tickets of a ready check are in no search that they could be given back to.
            if entries.iter().all(|entry| entry.state == State::Queued) {
                matchmaker.desk.give_back(found);
            }
            return;
        }
    }
    let busy = match try_start(matchmaker, id, admission, found, entries).await {
        Ok(server) => {
            tracing::info!(%id, players = seats(found, entries).len(), server, "match started");
            metrics::counter!("matches_started_total").increment(1);
            return;
        }
        Err(StartFault::Busy(busy)) => busy,
        Err(fault) => {
            tracing::warn!(%id, %fault, "match not started; its tickets wait on");
            metrics::counter!("matches_not_started_total").increment(1);
            if let Err(error) = undo(matchmaker, id).await {
                tracing::warn!(%id, %error, "match not abandoned; its deadline will free the players");
            }
            Vec::new()
        }
    };
    let back = |entry: &Entry| {
        let held = entry.record.player_ids().any(|player| busy.contains(&player));
        (entry.record.ticket_id(), if held { State::Held } else { State::Queued })
    };
    for entry in entries {
        // One by one: what is left of a match that is given up need not move together.
        if let Err(error) = matchmaker.desk.queue().shift(&[back(entry)], &[State::Starting(id)], None).await
        {
            tracing::warn!(%id, %error, "ticket not given back; it will be when this is looked after");
        }
    }
}

/// Takes the tickets for this match, all or none, if they are still those of their parties.
async fn take(
    matchmaker: &Matchmaker,
    lease: &Lease,
    id: MatchId,
    found: &Match,
    entries: &[Entry],
) -> Result<bool, StoreError> {
    if entries.len() != found.tickets().count() || !matchmaker.fit(entries).await? {
        return Ok(false);
    }
    let to = entries.iter().map(|entry| (entry.record.ticket_id(), State::Starting(id))).collect();
    matchmaker.take(lease, entries, to).await
}

/// A match that runs but that nobody was told of is given up: its server ends when nobody comes.
async fn undo(matchmaker: &Matchmaker, id: MatchId) -> Result<(), StoreError> {
    matchmaker.db.abandon_match(id).await?;
    matchmaker.db.lose_match(id, UnixMs::now()).await.map(drop)
}

async fn try_start(
    matchmaker: &Matchmaker,
    id: MatchId,
    admission: Admission,
    found: &Match,
    entries: &[Entry],
) -> Result<String, StartFault> {
    let opened = UnixMs::now();
    let seats = seats(found, entries);
    let players = seats.iter().map(|seat| (seat.player, seat.team)).collect();
    let key = ResultKey::generate();
    let open = OpenMatch {
        id,
        mode: found.mode.clone(),
        players,
        opened,
        deadline: opened.plus(ALLOCATING_MAX),
        result_key: Some(key.clone()),
    };
    matchmaker.db.open_match(&open).await?.map_err(StartFault::Busy)?;

    let wanted = Wanted { result_key: Some(key), ..wanted(matchmaker, id, found, &seats, entries) };
    let server = matchmaker.servers.allocate(admission, &wanted).await?;
    let settings = &matchmaker.settings;
    let length = Duration::from_secs(u64::from(settings.match_seconds)) + settings.match_grace;
    let deadline = UnixMs::now().plus(length);
    let address = server.address.to_string();
    if !matchmaker.db.start_match(id, &server.name, &address, deadline).await? {
        return Err(StartFault::GivenUp);
    }
    let matched = |entry: &Entry| {
        let own = seats.iter().find(|seat| entry.record.has(seat.player));
        let team = own.map_or(0, |seat| seat.team);
        (entry.record.ticket_id(), State::Matched { id, address: address.clone(), team })
    };
    let to: Vec<(TicketId, State)> = entries.iter().map(matched).collect();
    match matchmaker.desk.queue().shift(&to, &[State::Starting(id)], None).await? {
        Shifted::Done => {}
        Shifted::Fenced | Shifted::Stale(_) => return Err(StartFault::GivenUp),
    }
    for entry in entries {
        let waited = super::desk::millis(UnixMs::now()).since(entry.record.queued);
        metrics::histogram!("matchmaking_wait_seconds").record(waited as f64 / 1000.0);
    }
    Ok(server.name)
}

/// A place in a match that is being started.
struct Seat {
    player: PlayerId,
    name: String,
    team: u8,
    /// The same number for those who came as one party; 0 for who came alone.
    party: u32,
}

/// Who plays with whom, team by team.
fn seats(found: &Match, entries: &[Entry]) -> Vec<Seat> {
    let of =
        |id: &matching::TicketId| entries.iter().position(|entry| entry.record.ticket_id().as_u128() == id.0);
    let mut seats = Vec::new();
    for (team, tickets) in (0_u8..).zip(&found.teams) {
        for ticket in tickets.iter().filter_map(of) {
            let members = &entries[ticket].record.members;
            let number = u32::try_from(ticket + 1).unwrap_or(u32::MAX);
            let party = if members.len() > 1 { number } else { 0 };
            let seat = |member: &Member| {
                Some(Seat { player: PlayerId::new(member.player)?, name: member.name.clone(), team, party })
            };
            seats.extend(members.iter().filter_map(seat));
        }
    }
    seats
}

fn wanted(matchmaker: &Matchmaker, id: MatchId, found: &Match, seats: &[Seat], entries: &[Entry]) -> Wanted {
    let player = |seat: &Seat| SheetPlayer {
        player: seat.player.as_u64(),
        name: seat.name.clone(),
        team: seat.team,
        party: seat.party,
    };
    let sheet = MatchSheet {
        match_id: id.to_string(),
        mode: found.mode.clone(),
        seconds: matchmaker.settings.match_seconds,
        seed: random_u64() % PlayerId::LIMIT,
        players: seats.iter().map(player).collect(),
    };
    // Where the rules chose a region, it is the one; elsewhere the parties' ways choose.
    let ways = |entry: &Entry| {
        let chosen = |region: &&String| found.region.as_ref().is_none_or(|only| *region == only);
        let near = entry.record.latencies.iter().filter(|(region, _)| chosen(region));
        near.map(|(region, ms)| (region.clone(), u32::from(*ms))).collect()
    };
    let latencies = entries.iter().map(ways).collect();
    Wanted { id, sheet, result_key: None, latencies, latency_max_ms: None }
}

fn lock(own: &Own) -> std::sync::MutexGuard<'_, HashSet<MatchId>> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}
