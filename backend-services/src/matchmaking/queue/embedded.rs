//! The queue of a process that is alone: tickets in memory, written through to SQL before anybody is told, and on the disk
//! before whoever made the change is.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as Gate, Notify};

use super::{Cursor, Entry, Event, FINAL_KEPT, Lease, Put, Queue, Share, Shifted, read_entry};
use crate::clock::UnixMs;
use crate::ids::TicketId;
use crate::matchmaking::ticket::State;
use crate::store::{Db, StoreError};

/// Events that are kept for readers; a reader further behind takes a snapshot.
const EVENTS_MAX: usize = 65_536;

/// Tickets in memory and SQL.
pub struct EmbeddedQueue {
    db: Db,
    inner: Mutex<Inner>,
    /// Changes take turns: what is checked is still so when it is written.
    gate: Gate<()>,
    news: Notify,
}

#[derive(Default)]
struct Inner {
    live: HashMap<TicketId, (Entry, UnixMs)>,
    over: HashMap<TicketId, (Entry, Instant)>,
    by_name: HashMap<String, TicketId>,
    events: VecDeque<Event>,
    /// The number of the first event that is kept.
    first: u64,
}

impl EmbeddedQueue {
    /// With the tickets that the last process left.
    ///
    /// # Errors
    /// The engine failed, or a ticket is malformed.
    pub async fn open(db: Db, now: UnixMs) -> Result<Self, StoreError> {
        let mut inner = Inner::default();
        for (id, body, state) in db.kept_tickets().await? {
            let id: TicketId = id.parse().map_err(|_| super::malformed())?;
            let mut entry = read_entry(&body, &state)?;
            if matches!(entry.state, State::Asked(_)) {
                // Nobody could answer while we were away, so nobody is at fault.
                entry.state = State::Queued;
            }
            inner.by_name.extend(entry.record.players.iter().map(|name| (name.clone(), id)));
            // Whoever asked before the crash gets the whole time to come back.
            inner.live.insert(id, (entry, now));
        }
        Ok(Self { db, inner: Mutex::new(inner), gate: Gate::new(()), news: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tell(&mut self, event: Event) {
        self.events.push_back(event);
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
            self.first += 1;
        }
    }

    fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    fn stale(&self, to: &[(TicketId, State)], from: &[State]) -> Vec<TicketId> {
        let sound = |id: &TicketId| self.live.get(id).is_some_and(|(entry, _)| from.contains(&entry.state));
        to.iter().map(|(id, _)| *id).filter(|id| !sound(id)).collect()
    }

    fn apply(&mut self, id: TicketId, state: State) {
        if state.is_final() {
            if let Some((mut entry, _)) = self.live.remove(&id) {
                entry.record.players.iter().for_each(|name| _ = self.by_name.remove(name));
                entry.state = state.clone();
                self.over.retain(|_, (_, since)| since.elapsed() < FINAL_KEPT);
                self.over.insert(id, (entry, Instant::now()));
            }
        } else if let Some((entry, _)) = self.live.get_mut(&id) {
            entry.state = state.clone();
        }
        self.tell(Event { id, state, record: None });
    }
}

#[tonic::async_trait]
impl Queue for EmbeddedQueue {
    async fn put(&self, entry: &Entry, tickets_max: usize, now: UnixMs) -> Result<Put, StoreError> {
        let turn = self.gate.lock().await;
        {
            let inner = self.lock();
            let mut names = entry.record.players.iter();
            if let Some(live) = names.find_map(|name| inner.by_name.get(name)) {
                return Ok(Put::Already(*live));
            }
            if inner.live.len() >= tickets_max {
                return Ok(Put::Full);
            }
        }
        let id = entry.record.ticket_id();
        let body = serde_json::to_string(&entry.record).map_err(|_| super::malformed())?;
        self.db.keep_ticket(&entry.record.id, &body, &entry.state.to_text()).await?;
        {
            let mut inner = self.lock();
            inner.by_name.extend(entry.record.players.iter().map(|name| (name.clone(), id)));
            inner.live.insert(id, (entry.clone(), now));
            inner.tell(Event { id, state: entry.state.clone(), record: Some(entry.record.clone()) });
        }
        // The next change need not wait for the disk: the two are synced together.
        drop(turn);
        self.news.notify_waiters();
        self.db.tickets_settled().await?;
        Ok(Put::New)
    }

    async fn entry(&self, id: TicketId) -> Result<Option<Entry>, StoreError> {
        let inner = self.lock();
        let over = || inner.over.get(&id).map(|(entry, _)| entry.clone());
        Ok(inner.live.get(&id).map(|(entry, _)| entry.clone()).or_else(over))
    }

    async fn shift(
        &self,
        to: &[(TicketId, State)],
        from: &[State],
        _lease: Option<&Lease>,
    ) -> Result<Shifted, StoreError> {
        let turn = self.gate.lock().await;
        let stale = self.lock().stale(to, from);
        if !stale.is_empty() {
            return Ok(Shifted::Stale(stale));
        }
        let row =
            |(id, state): &(TicketId, State)| (id.to_string(), (!state.is_final()).then(|| state.to_text()));
        self.db.shift_tickets(&to.iter().map(row).collect::<Vec<_>>()).await?;
        {
            let mut inner = self.lock();
            to.iter().for_each(|(id, state)| inner.apply(*id, state.clone()));
        }
        drop(turn);
        self.news.notify_waiters();
        self.db.tickets_settled().await?;
        Ok(Shifted::Done)
    }

    async fn touch(&self, id: TicketId, now: UnixMs) -> Result<(), StoreError> {
        if let Some((_, seen)) = self.lock().live.get_mut(&id) {
            *seen = now;
        }
        Ok(())
    }

    async fn idle(&self, before: UnixMs, limit: usize) -> Result<Vec<TicketId>, StoreError> {
        let inner = self.lock();
        let idle = inner.live.iter().filter(|(_, (_, seen))| *seen < before);
        Ok(idle.map(|(id, _)| *id).take(limit).collect())
    }

    async fn ticket_named(&self, name: &str) -> Result<Option<TicketId>, StoreError> {
        Ok(self.lock().by_name.get(name).copied())
    }

    async fn share(&self, modes: &[String], _held: &[Lease], _ttl: Duration) -> Result<Share, StoreError> {
        // The lock on the state folder keeps a second process away.
        let lease = |mode: &String| Lease { mode: mode.clone(), token: "alone".to_owned() };
        Ok(Share { leases: modes.iter().map(lease).collect(), fair: modes.len() })
    }

    async fn release(&self, _held: &Lease) -> Result<(), StoreError> {
        Ok(())
    }

    async fn leave(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn snapshot(&self) -> Result<(Cursor, Vec<Entry>), StoreError> {
        let inner = self.lock();
        Ok((inner.next().to_string(), inner.live.values().map(|(entry, _)| entry.clone()).collect()))
    }

    async fn events(&self, after: &Cursor, patience: Duration) -> Result<(Cursor, Vec<Event>), StoreError> {
        let from: u64 = after.parse().map_err(|_| super::malformed())?;
        let news = self.news.notified();
        tokio::pin!(news);
        news.as_mut().enable();
        if self.lock().next() <= from {
            _ = tokio::time::timeout(patience, news).await;
        }
        let inner = self.lock();
        if from < inner.first {
            return Err(StoreError::Malformed("cursor: it is too far behind"));
        }
        let skip = usize::try_from(from - inner.first).unwrap_or(usize::MAX);
        Ok((inner.next().to_string(), inner.events.iter().skip(skip).cloned().collect()))
    }
}
