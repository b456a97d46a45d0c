//! This node's copy of the shared queue: every node follows every change, so that any of them can answer for any
//! ticket, wake who waits for it, and take over the forming of matches at once.
//!
//! The copy may lag; whatever it leads to is checked again where it is written. One lock, never held over an await.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use matching::{Estimator, Explanation, Match, Millis, Pause, Pool, RuleBook, RulesFault, Stand};
use tokio::sync::{Notify, watch};

use super::queue::{Cursor, Entry, Event, Queue};
use super::ticket::{Record, State};
use crate::clock::UnixMs;
use crate::ids::{MatchId, TicketId};
use crate::store::StoreError;

/// How long one read of the events waits for something.
const EVENTS_WAIT: Duration = Duration::from_millis(500);
/// After a failed read.
const EVENTS_PAUSE: Duration = Duration::from_millis(250);

struct Copy {
    pool: Pool,
    live: HashMap<TicketId, Entry>,
    /// The tickets of each ready check.
    checks: HashMap<MatchId, HashSet<TicketId>>,
    bells: HashMap<TicketId, Arc<Notify>>,
    estimator: Estimator,
}

struct Parts {
    queue: Arc<dyn Queue>,
    rules: RuleBook,
    tickets_max: usize,
    copy: Mutex<Copy>,
    news: Notify,
}

/// The queue as this node sees it; cloning shares it.
#[derive(Clone)]
pub struct Desk(Arc<Parts>);

impl Desk {
    /// Over this queue. It knows nothing until it follows.
    ///
    /// # Errors
    /// The rules make no sense.
    pub fn new(queue: Arc<dyn Queue>, rules: RuleBook, tickets_max: usize) -> Result<Self, RulesFault> {
        let pool = fresh(&rules, tickets_max)?;
        let copy = Copy {
            pool,
            live: HashMap::new(),
            checks: HashMap::new(),
            bells: HashMap::new(),
            estimator: Estimator::default(),
        };
        Ok(Self(Arc::new(Parts { queue, rules, tickets_max, copy: Mutex::new(copy), news: Notify::new() })))
    }

    /// Players may have become free: tickets that wait for that are looked at again now.
    pub fn players_freed(&self) {
        self.0.news.notify_one();
    }

    pub(super) fn queue(&self) -> &dyn Queue {
        self.0.queue.as_ref()
    }

    pub(super) fn tickets_max(&self) -> usize {
        self.0.tickets_max
    }

    pub(super) fn rules(&self) -> &RuleBook {
        &self.0.rules
    }

    /// Waits until something may be possible that was not.
    pub(super) async fn news(&self) {
        self.0.news.notified().await;
    }

    /// Whether the ticket makes sense for its mode.
    pub(super) fn check(&self, record: &Record) -> Result<(), matching::TicketFault> {
        match record.to_backfill() {
            Some(backfill) => self.lock().pool.check_backfill(&backfill),
            None => self.lock().pool.check(&record.to_pool()),
        }
    }

    /// The ticket as this node knows it, while it lives.
    pub(super) fn entry(&self, id: TicketId) -> Option<Entry> {
        self.lock().live.get(&id).cloned()
    }

    /// Rings when the ticket changes.
    pub(super) fn bell(&self, id: TicketId) -> Arc<Notify> {
        let mut copy = self.lock();
        copy.bells.retain(|_, bell| Arc::strong_count(bell) > 1);
        copy.bells.entry(id).or_default().clone()
    }

    /// Why a ticket waits.
    pub(super) fn explain(&self, id: TicketId, now: UnixMs) -> Option<Explanation> {
        self.lock().pool.explain(pool_id(id), millis(now))
    }

    /// How much longer a ticket will probably wait.
    pub(super) fn estimate(&self, record: &Record, now: UnixMs) -> Option<Duration> {
        let waited = millis(now).since(record.queued);
        let left = self.lock().estimator.left_ms(&record.mode, None, record.members.len(), waited);
        left.map(Duration::from_millis)
    }

    /// The matches of some modes that the rules allow now, `most` new ones, by what this node knows.
    pub(super) fn tick(
        &self,
        now: UnixMs,
        most: usize,
        ours: impl Fn(&str) -> bool,
    ) -> Vec<(Match, Vec<Entry>)> {
        let mut copy = self.lock();
        metrics::gauge!("matchmaking_tickets").set(copy.live.len() as f64);
        let found = copy.pool.tick_some(millis(now), most, ours);
        let entries = |found: &Match| -> Vec<Entry> {
            found.tickets().filter_map(|id| copy.live.get(&TicketId::from_u128(id.0)).cloned()).collect()
        };
        found.into_iter().map(|made| (entries(&made), made)).map(|(entries, made)| (made, entries)).collect()
    }

    /// The match does not start: its tickets wait on here, until the queue says otherwise.
    pub(super) fn give_back(&self, found: &Match) {
        self.lock().pool.give_back(found);
    }

    /// Some live tickets.
    pub(super) fn standing(&self, wanted: impl Fn(&Entry) -> bool, limit: usize) -> Vec<Entry> {
        let copy = self.lock();
        copy.live.values().filter(|entry| wanted(entry)).take(limit).cloned().collect()
    }

    /// The tickets of one ready check, as far as this node knows.
    pub(super) fn asked(&self, id: MatchId) -> Vec<Entry> {
        self.lock().asked(id)
    }

    /// All ready checks that are going on.
    pub(super) fn checks(&self) -> Vec<(MatchId, Vec<Entry>)> {
        let copy = self.lock();
        copy.checks.keys().map(|id| (*id, copy.asked(*id))).collect()
    }

    /// How many these are.
    pub(super) fn checks_len(&self) -> usize {
        self.lock().checks.len()
    }

    /// What the queue says of a ticket, against what this node believed.
    pub(super) fn correct(&self, id: TicketId, entry: Option<Entry>) {
        let (record, state) = entry.map_or((None, State::Expired), |entry| (Some(entry.record), entry.state));
        self.lock().apply(Event { id, state, record }, UnixMs::now());
    }

    /// Follows the queue until `drain` turns true.
    pub(super) async fn follow(self, mut drain: watch::Receiver<bool>) {
        let following = async {
            loop {
                if let Err(error) = self.follow_on().await {
                    tracing::warn!(%error, "queue not followed; its tickets are read anew");
                }
                tokio::time::sleep(EVENTS_PAUSE).await;
            }
        };
        tokio::select! {
            () = following => {}
            _ = drain.wait_for(|draining| *draining) => {}
        }
    }

    async fn follow_on(&self) -> Result<(), StoreError> {
        let mut cursor = self.read_anew().await?;
        loop {
            let (next, events) = self.0.queue.events(&cursor, EVENTS_WAIT).await?;
            cursor = next;
            if events.is_empty() {
                continue;
            }
            let mut copy = self.lock();
            events.into_iter().for_each(|event| copy.apply(event, UnixMs::now()));
            drop(copy);
            self.0.news.notify_one();
        }
    }

    async fn read_anew(&self) -> Result<Cursor, StoreError> {
        let (cursor, entries) = self.0.queue.snapshot().await?;
        let pool = fresh(&self.0.rules, self.0.tickets_max).map_err(|_| StoreError::Malformed("rules"))?;
        let mut copy = self.lock();
        (copy.pool, copy.live, copy.checks) = (pool, HashMap::new(), HashMap::new());
        for Entry { record, state } in entries {
            copy.apply(Event { id: record.ticket_id(), state, record: Some(record) }, UnixMs::now());
        }
        copy.bells.values().for_each(|bell| bell.notify_waiters());
        Ok(cursor)
    }

    fn lock(&self) -> MutexGuard<'_, Copy> {
        self.0.copy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Copy {
    fn asked(&self, id: MatchId) -> Vec<Entry> {
        let tickets = self.checks.get(&id).into_iter().flatten();
        tickets.filter_map(|ticket| self.live.get(ticket).cloned()).collect()
    }

    /// Keeps the lists of the ready checks; called before the ticket changes.
    fn list(&mut self, id: TicketId, to: &State) {
        let check = |state: &State| match state {
            State::Asked(asked) => Some(asked.id),
            _ => None,
        };
        let (old, new) = (self.live.get(&id).and_then(|entry| check(&entry.state)), check(to));
        if old == new {
            return;
        }
        if let Some(old) = old
            && let Some(tickets) = self.checks.get_mut(&old)
        {
            tickets.remove(&id);
            if tickets.is_empty() {
                self.checks.remove(&old);
            }
        }
        if let Some(new) = new {
            self.checks.entry(new).or_default().insert(id);
        }
    }

    fn apply(&mut self, event: Event, now: UnixMs) {
        let Event { id, state, record } = event;
        self.list(id, &state);
        if state.is_final() {
            self.pool.remove(pool_id(id));
            let gone = self.live.remove(&id);
            let players = gone.filter(|entry| entry.record.fills.is_none());
            if let (Some(entry), State::Matched { .. }) = (players, &state) {
                let waited = millis(now).since(entry.record.queued);
                self.estimator.note(&entry.record.mode, None, entry.record.members.len(), waited);
            }
        } else {
            if let Some(record) = record
                && !self.live.contains_key(&id)
            {
                // A ticket that these rules refuse came by other rules: it waits for a node that knows them.
                _ = match record.to_backfill() {
                    Some(backfill) => self.pool.enqueue_backfill(backfill).is_ok(),
                    None => self.pool.enqueue(record.to_pool()).is_ok(),
                };
                self.live.insert(id, Entry { record, state: state.clone() });
            }
            if let Some(entry) = self.live.get_mut(&id) {
                entry.state = state.clone();
                self.pool.set(pool_id(id), stand(&state));
            }
        }
        if let Some(bell) = self.bells.get(&id) {
            bell.notify_waiters();
        }
    }
}

fn stand(state: &State) -> Stand {
    match state {
        State::Queued => Stand::Waiting,
        State::Held => Stand::Paused(Pause::InMatch),
        State::Asked(_) | State::Starting(_) | State::Offered(_) => Stand::Taken,
        _ => Stand::Paused(Pause::Deactivated),
    }
}

fn fresh(rules: &RuleBook, tickets_max: usize) -> Result<Pool, RulesFault> {
    Pool::new(rules, tickets_max, MatchId::random().as_u128() as u64)
}

/// As the pool names it.
fn pool_id(id: TicketId) -> matching::TicketId {
    matching::TicketId(id.as_u128())
}

/// As the pool counts time.
pub(super) fn millis(time: UnixMs) -> Millis {
    Millis(u64::try_from(time.0).unwrap_or(0))
}
