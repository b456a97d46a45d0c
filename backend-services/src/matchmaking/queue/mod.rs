//! The tickets that all matchmaker nodes share. Two engines behind one trait: Redis for several nodes, and one process
//! with its tickets in SQL. Every change is one atomic step that names the states it expects, so that a node that
//! sleeps, dies or lags can do no harm; every change is an event that all nodes read in one order.
//!
//! Owns durability and order; must never know a rule.

mod embedded;
mod shared;

use std::time::Duration;

use super::ticket::{Record, State};
use crate::clock::UnixMs;
use crate::ids::{PlayerId, TicketId};
use crate::store::StoreError;

pub use self::embedded::EmbeddedQueue;
pub use self::shared::RedisQueue;

/// A ticket that is over can be asked for this long.
pub const FINAL_KEPT: Duration = Duration::from_secs(120);

/// A ticket and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it asks for.
    pub record: Record,
    /// Where it stands.
    pub state: State,
}

/// What became of a new ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is in.
    New,
    /// One of its players has this live ticket.
    Already(TicketId),
    /// The queue has its most tickets.
    Full,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shifted {
    /// All have changed.
    Done,
    /// None has: these do not stand as expected.
    Stale(Vec<TicketId>),
    /// None has: the lease is somebody else's by now.
    Fenced,
}

/// One change, as every node reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Which ticket.
    pub id: TicketId,
    /// Where it stands now.
    pub state: State,
    /// What it asks for, if it is new.
    pub record: Option<Record>,
}

/// How far a node has read.
pub type Cursor = String;

/// The right to form the matches of one mode, until it lapses: one node has it at a time, and each holder another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which mode.
    pub mode: String,
    /// Whose, and the how manieth.
    pub token: String,
}

/// What one node is to do of the work of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The leases that it holds now.
    pub leases: Vec<Lease>,
    /// How many it should hold at most, among the nodes that live: it gives up what is more.
    pub fair: usize,
}

/// The shared queue.
#[tonic::async_trait]
pub trait Queue: Send + Sync {
    /// Puts a ticket in, if none of its players has one.
    async fn put(&self, entry: &Entry, tickets_max: usize, now: UnixMs) -> Result<Put, StoreError>;

    /// A ticket, live or over not long ago.
    async fn entry(&self, id: TicketId) -> Result<Option<Entry>, StoreError>;

    /// Changes all of these or none: each must stand in one of `from`. With a lease only while it holds.
    async fn shift(
        &self,
        to: &[(TicketId, State)],
        from: &[State],
        lease: Option<&Lease>,
    ) -> Result<Shifted, StoreError>;

    /// Somebody asked for the ticket.
    async fn touch(&self, id: TicketId, now: UnixMs) -> Result<(), StoreError>;

    /// Live tickets for which nobody has asked since `before`, at most `limit`.
    async fn idle(&self, before: UnixMs, limit: usize) -> Result<Vec<TicketId>, StoreError>;

    /// The live ticket of this name: a player's id, or whatever else its record lists as one of its players.
    async fn ticket_named(&self, name: &str) -> Result<Option<TicketId>, StoreError>;

    /// The player's live ticket.
    async fn ticket_of(&self, player: PlayerId) -> Result<Option<TicketId>, StoreError> {
        self.ticket_named(&player.to_string()).await
    }

    /// Says that this node lives, keeps the leases that it holds, and takes free ones up to its fair share of `modes`.
    async fn share(&self, modes: &[String], held: &[Lease], ttl: Duration) -> Result<Share, StoreError>;

    /// Gives a lease up before it lapses.
    async fn release(&self, held: &Lease) -> Result<(), StoreError>;

    /// This node is no more: its share is the others' at once. Its leases are given up one by one, before.
    async fn leave(&self) -> Result<(), StoreError>;

    /// All live tickets, and where to read on.
    async fn snapshot(&self) -> Result<(Cursor, Vec<Entry>), StoreError>;

    /// What changed after the cursor; waits up to `patience` for something.
    async fn events(&self, after: &Cursor, patience: Duration) -> Result<(Cursor, Vec<Event>), StoreError>;
}

fn malformed() -> StoreError {
    StoreError::Malformed("ticket")
}

fn read_entry(body: &str, state: &str) -> Result<Entry, StoreError> {
    let record = serde_json::from_str(body).map_err(|_| malformed())?;
    Ok(Entry { record, state: State::from_text(state).ok_or_else(malformed)? })
}
