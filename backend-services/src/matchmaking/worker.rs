//! Gives the pool its clock and its matches their servers, for the modes whose leases this node holds: take the tickets,
//! open the match in the store (which binds the players), allocate a server, mark it running, hand out places. Every
//! step that fails undoes the ones before it, and the tickets wait on with their age. What a node leaves half done
//! when it dies, the next holder of the lease brings to an end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backend_proto::signature::ResultKey;
use matching::{Match, Verdict};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::Matchmaker;
use super::asks::wanted;
use super::fill::fill;
use super::queue::{Entry, Lease, Shifted};
use super::ready;
use super::shares::Shares;
use super::ticket::{Member, State};
use crate::allocation::{Admission, AllocationFault, Wanted};
use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId, TicketId};
use crate::store::{MatchState, OpenMatch, StoreError};

/// A match that has no server by then is given up: a crash lies between.
const ALLOCATING_MAX: Duration = Duration::from_secs(30);
/// A node that has not renewed its lease for so long is taken for dead.
const LEASE: Duration = Duration::from_secs(3);
/// Leases are renewed and shared, and what is left over looked after, this often.
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

/// Matches that this process is starting, with their modes: nobody else's leftovers.
type Own = Arc<Mutex<HashMap<MatchId, String>>>;

struct Worker {
    matchmaker: Matchmaker,
    shares: Shares,
    renewed: Option<Instant>,
    own: Own,
    starting: JoinSet<()>,
}

/// Forms matches until `drain` turns true, then lets the ones that look for a server finish.
pub async fn run(matchmaker: Matchmaker, mut drain: watch::Receiver<bool>) {
    let mut clock = tokio::time::interval(matchmaker.settings.tick);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (desk, starting) = (matchmaker.desk.clone(), JoinSet::new());
    let shares = Shares::new(desk.rules().modes.iter().map(|rules| rules.mode.clone()).collect());
    let mut worker = Worker { matchmaker, shares, renewed: None, own: Own::default(), starting };
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
    if let Err(error) = worker.leave().await {
        tracing::warn!(%error, "leases not given up; they lapse by themselves");
    }
}

impl Worker {
    async fn turn(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        if self.renewed.is_none_or(|renewed| now.saturating_duration_since(renewed) >= CHORES_EVERY) {
            self.share().await?;
            self.renewed = Some(now);
            if !self.shares.held().is_empty() {
                self.expire().await?;
                self.recover().await?;
                self.matchmaker.sweep_parties().await?;
            }
        }
        if !self.shares.held().is_empty() {
            self.release_freed().await?;
            self.resolve(now).await?;
            self.form(now);
        }
        Ok(())
    }

    /// Keeps this node's part of the modes, and no more.
    async fn share(&mut self) -> Result<(), StoreError> {
        let queue = self.matchmaker.desk.queue();
        self.shares.learn(queue.share(self.shares.modes(), self.shares.held(), LEASE).await?);
        let own = self.own.clone();
        for lease in self.shares.give_up(|mode| lock(&own).values().any(|busy| busy == mode)) {
            queue.release(&lease).await?;
        }
        metrics::gauge!("matchmaking_leases").set(self.shares.held().len() as f64);
        Ok(())
    }

    async fn leave(&self) -> Result<(), StoreError> {
        let queue = self.matchmaker.desk.queue();
        for lease in self.shares.held() {
            queue.release(lease).await?;
        }
        queue.leave().await
    }

    fn form(&mut self, now: Instant) {
        let (shares, room) = (&self.shares, self.matchmaker.servers.room(now));
        let mut questions = room.saturating_sub(self.matchmaker.desk.checks_len());
        let mut asked = Vec::new();
        // No more than there are servers for: what is formed in vain is formed again, at every turn.
        for (found, entries) in
            self.matchmaker.desk.tick(UnixMs::now(), room, |mode| shares.forming(mode).is_some())
        {
            let Some(lease) = shares.forming(&found.mode).cloned() else { continue };
            if found.backfill.is_some() {
                let filling = refill(self.matchmaker.clone(), self.own.clone(), lease, found, entries);
                self.starting.spawn(filling);
                continue;
            }
            if let Some(patience) = self.matchmaker.ready_check(&found.mode) {
                // Nobody is asked for a match that would find no server.
                if questions == 0 {
                    self.matchmaker.desk.give_back(&found);
                    continue;
                }
                questions -= 1;
                asked.push((lease, found, entries, patience));
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
                lease,
                admission,
                found,
                entries,
            ));
        }
        for (lease, found, entries, patience) in asked {
            self.ask(lease, found, entries, patience);
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
        for (id, entries) in self.matchmaker.desk.checks() {
            let mode = entries.first().map_or("", |entry| entry.record.mode.as_str()).to_owned();
            let Some(lease) = self.shares.forming(&mode).cloned() else { continue };
            if lock(&self.own).contains_key(&id) {
                continue;
            }
            match ready::verdict(&entries, UnixMs::now()) {
                Verdict::Wait => {}
                Verdict::Over { out, .. } => self.matchmaker.call_off(&lease, &entries, &out).await?,
                Verdict::Start => {
                    // They have accepted: they wait for a server together.
                    let Some(admission) = self.matchmaker.servers.admit(now) else { continue };
                    let Some(found) = ready::wanted(&entries) else { continue };
                    lock(&self.own).insert(id, mode);
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
            let mode = matchmaker.desk.entry(id).map(|entry| entry.record.mode);
            let Some(lease) = self.shares.minding(mode.as_deref().unwrap_or_default()) else { continue };
            let waiting = [State::Queued, State::Paused, State::Held];
            matchmaker.desk.queue().shift(&[(id, State::Expired)], &waiting, Some(lease)).await?;
        }
        Ok(())
    }

    /// Looks again at tickets whose players were in a match.
    async fn release_freed(&self) -> Result<(), StoreError> {
        let minds = |entry: &Entry| self.shares.minding(&entry.record.mode).is_some();
        for entry in
            self.matchmaker.desk.standing(|entry| entry.state == State::Held && minds(entry), LOOK_MAX)
        {
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
        let foreign = |entry: &Entry| match &entry.state {
            State::Starting(id) | State::Offered(id) => {
                self.shares.minding(&entry.record.mode).is_some() && !lock(&self.own).contains_key(id)
            }
            _ => false,
        };
        for entry in self.matchmaker.desk.standing(foreign, LOOK_MAX) {
            let (State::Starting(id) | State::Offered(id)) = entry.state else { continue };
            let to = self.ended(&entry, id).await?;
            let ticket = entry.record.ticket_id();
            let desk = &self.matchmaker.desk;
            let from = [entry.state.clone()];
            let shifted = desk.queue().shift(&[(ticket, to.clone())], &from, None).await?;
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
        if entry.record.fills.is_some() {
            // Its server asks anew, and reads of whoever was seated.
            return Ok(State::Expired);
        }
        if db.match_state(id).await? == Some(MatchState::Allocating) {
            // Should its node be alive after all, it finds that the match is gone.
            db.abandon_match(id).await?;
        }
        let live = match entry.record.player_ids().next() {
            Some(player) => db.live_match_of(player).await?,
            None => None,
        };
        // Bound by the match that was started, or by the running one in which they were being seated.
        if let Some((live, team)) = live
            && live.state == MatchState::Running
        {
            let address = live.address.unwrap_or_else(|| "-".to_owned());
            return Ok(State::Matched { id: live.id, address, team, filled: live.id != id });
        }
        Ok(match db.match_state(id).await? {
            Some(MatchState::Finished) => {
                State::Matched { id, address: "-".to_owned(), team: 0, filled: false }
            }
            _ => State::Queued,
        })
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
    lock(&own).insert(id, found.mode.clone());
    start(&matchmaker, &lease, admission, id, &found, &entries).await;
    lock(&own).remove(&id);
}

/// Seats newcomers in a running match, under a name of its own.
async fn refill(matchmaker: Matchmaker, own: Own, lease: Lease, found: Match, entries: Vec<Entry>) {
    let commit = MatchId::random();
    lock(&own).insert(commit, found.mode.clone());
    fill(&matchmaker, &lease, commit, &found, &entries).await;
    lock(&own).remove(&commit);
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

    let length_s = matchmaker.settings.match_seconds;
    let wanted = wanted(matchmaker.desk.rules(), length_s, id, found, &seats, entries, opened);
    let wanted = Wanted { result_key: Some(key), ..wanted };
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
        (entry.record.ticket_id(), State::Matched { id, address: address.clone(), team, filled: false })
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
pub(super) struct Seat {
    pub(super) player: PlayerId,
    pub(super) name: String,
    pub(super) team: u8,
    /// The same number for those who came as one party; 0 for who came alone.
    pub(super) party: u32,
}

/// Who plays with whom, team by team.
pub(super) fn seats(found: &Match, entries: &[Entry]) -> Vec<Seat> {
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

fn lock(own: &Own) -> std::sync::MutexGuard<'_, HashMap<MatchId, String>> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}
