//! The tickets as their players see them: the pool, and for each ticket a status that a long poll can wait on.
//!
//! One lock, never held over an await. It must never know HTTP, stores or the allocator.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::pool::{Enqueued, Match, Pool, PoolRules, PoolTicket, Reason};
use crate::ids::{MatchId, PlayerId, TicketId};

/// A ticket that is over can be asked for this long.
const FINAL_KEPT: Duration = Duration::from_secs(120);
/// Weight of the newest wait in the estimate.
const ESTIMATE_WEIGHT: f64 = 0.1;

/// Where a ticket stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not in a match yet.
    Queued,
    /// In this match.
    Matched(Arc<Place>),
    /// Nobody asked for it.
    Expired,
    /// Its player took it back.
    Cancelled,
}

/// A player's place in a match.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// Which match.
    pub id: MatchId,
    /// Where its server listens.
    pub address: String,
    /// The connect token, base64.
    pub connect_token: String,
    /// When the token stops working.
    pub token_expires: Instant,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("id", &self.id).field("address", &self.address).finish_non_exhaustive()
    }
}

/// A ticket as it is now.
#[derive(Clone, Debug)]
pub struct View {
    /// Which.
    pub id: TicketId,
    /// Where it stands.
    pub status: Status,
    /// How long it waited, or has waited so far.
    pub waited: Duration,
    /// How much longer, probably.
    pub estimate: Option<Duration>,
    /// Why it waits.
    pub reason: Option<Reason>,
}

/// A ticket could not be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelFault {
    /// There is none of this id for this player.
    Unknown,
    /// It is in a match, or about to be.
    InMatch,
}

struct Entry {
    player: PlayerId,
    queued: Instant,
    /// When it stopped waiting.
    over: Option<Instant>,
    status: watch::Sender<Status>,
}

struct Inner {
    pool: Pool,
    entries: HashMap<TicketId, Entry>,
    /// A moving mean of recent waits, seconds.
    typical_wait_s: Option<f64>,
}

/// All tickets of this process; cloning shares them.
#[derive(Clone)]
pub struct Desk {
    inner: Arc<Mutex<Inner>>,
    /// Something may be possible now that was not: the worker should look.
    pub(super) news: Arc<Notify>,
}

impl Desk {
    /// No tickets.
    pub fn new(rules: PoolRules) -> Self {
        let inner = Inner { pool: Pool::new(rules), entries: HashMap::new(), typical_wait_s: None };
        Self { inner: Arc::new(Mutex::new(inner)), news: Arc::new(Notify::new()) }
    }

    /// Queues a ticket; `held` while its player is in a match.
    pub fn enqueue(&self, ticket: PoolTicket, held: bool, now: Instant) -> Enqueued {
        let (id, player, queued) = (ticket.id, ticket.player, ticket.queued);
        let mut inner = self.lock();
        let enqueued = inner.pool.enqueue(ticket, held, now);
        if enqueued == Enqueued::New {
            let status = watch::Sender::new(Status::Queued);
            inner.entries.insert(id, Entry { player, queued, over: None, status });
        }
        enqueued
    }

    /// The ticket, if it is this player's.
    pub fn view(&self, id: TicketId, player: PlayerId, now: Instant) -> Option<View> {
        let mut inner = self.lock();
        inner.pool.touch(id, now);
        let entry = inner.entries.get(&id).filter(|entry| entry.player == player)?;
        let waited = entry.over.unwrap_or(now).saturating_duration_since(entry.queued);
        let reason = inner.pool.explain(id, now);
        let left = |typical: f64| Duration::from_secs_f64(typical).saturating_sub(waited);
        let estimate = reason.and_then(|_| inner.typical_wait_s.map(left));
        Some(View { id, status: entry.status.borrow().clone(), waited, estimate, reason })
    }

    /// A watch on the ticket's status, if it is this player's.
    pub fn watch(&self, id: TicketId, player: PlayerId) -> Option<watch::Receiver<Status>> {
        let inner = self.lock();
        let entry = inner.entries.get(&id).filter(|entry| entry.player == player)?;
        Some(entry.status.subscribe())
    }

    /// Takes a ticket back.
    ///
    /// # Errors
    /// It is not there, or it is too late.
    pub fn cancel(&self, id: TicketId, player: PlayerId, now: Instant) -> Result<(), CancelFault> {
        let mut inner = self.lock();
        let entry = inner.entries.get(&id).filter(|entry| entry.player == player);
        let status = entry.map(|entry| entry.status.borrow().clone()).ok_or(CancelFault::Unknown)?;
        match status {
            Status::Cancelled | Status::Expired => Ok(()),
            Status::Matched(_) => Err(CancelFault::InMatch),
            Status::Queued if inner.pool.cancel(id) => {
                inner.settle(id, Status::Cancelled, now);
                Ok(())
            }
            Status::Queued => Err(CancelFault::InMatch),
        }
    }

    /// Drops what is idle or long over, and forms matches.
    pub(super) fn tick(&self, now: Instant) -> Vec<Match> {
        let mut inner = self.lock();
        for id in inner.pool.expire(now) {
            inner.settle(id, Status::Expired, now);
        }
        let kept =
            |entry: &Entry| entry.over.is_none_or(|over| now.saturating_duration_since(over) < FINAL_KEPT);
        inner.entries.retain(|_, entry| kept(entry));
        metrics::gauge!("matchmaking_tickets").set(inner.pool.len() as f64);
        inner.pool.tick(now)
    }

    /// The match runs: every ticket's player learns its place.
    pub(super) fn commit(&self, found: &Match, places: Vec<Place>, now: Instant) {
        let mut inner = self.lock();
        inner.pool.commit(&found.tickets);
        for (ticket, place) in found.tickets.iter().zip(places) {
            let waited = now.saturating_duration_since(ticket.queued).as_secs_f64();
            metrics::histogram!("matchmaking_wait_seconds").record(waited);
            let mixed = inner.typical_wait_s.map(|typical| typical + ESTIMATE_WEIGHT * (waited - typical));
            inner.typical_wait_s = Some(mixed.unwrap_or(waited));
            inner.settle(ticket.id, Status::Matched(Arc::new(place)), now);
        }
    }

    /// The match does not run: its tickets wait on; those of `busy` players for the end of their match.
    pub(super) fn give_back(&self, found: &Match, busy: &[PlayerId]) {
        let mut inner = self.lock();
        inner.pool.give_back(&found.tickets);
        for ticket in found.tickets.iter().filter(|ticket| busy.contains(&ticket.player)) {
            inner.pool.hold(ticket.id);
        }
    }

    pub(super) fn held(&self, limit: usize) -> Vec<(TicketId, PlayerId)> {
        self.lock().pool.held(limit)
    }

    pub(super) fn release(&self, id: TicketId) {
        self.lock().pool.release(id);
    }

    /// Players may have become free: tickets that wait for that are looked at again now.
    pub fn players_freed(&self) {
        self.news.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Inner {
    fn settle(&mut self, id: TicketId, status: Status, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.over = Some(now);
            entry.status.send_replace(status);
        }
    }
}
