//! The server's half of all sessions: what it holds and what it tells. The verbs live in the files beside it:
//! `admit`, `resume`, `receive`, `roam`, `transmit`, `timer`.
//!
//! Must never know a socket, a tick or what a message means.

mod admit;
mod deadlines;
mod poll;
mod ready;
mod receive;
mod resume;
mod roam;
mod table;
mod timer;
mod tokens;
mod transmit;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use netcode_wire::Time;

use self::admit::Pending;
use self::deadlines::Deadlines;
use self::ready::Ready;
use self::resume::Attempt;
use self::table::SessionTable;
use self::tokens::TokenTable;
use super::challenge::Challenger;
use super::extension::ConnectionId;
use super::hash::KeyedHash;
use super::peer::GLOBAL_SEQUENCE;
use super::wire::Wire;
use super::{ClientId, Counters, ServerConfig, ServerEvent};
use crate::link::{Rules, Slabs};
use crate::{ChannelId, ChannelStats, Link, LinkStats, SendRoom};

/// A netcode 1.02 server: any number of clients behind one socket that it never sees.
///
/// A tick of its owner: every received datagram to [`Server::handle_datagram`]; [`Server::step`];
/// [`Server::poll_event`] and [`Server::poll_message`] (or [`Server::poll_any_message`]) until empty; [`Server::send`];
/// [`Server::flush`]; [`Server::poll_transmit`] until empty. Between ticks, at will: [`Server::release`], then the same.
///
/// A server of hundreds of clients is bound by memory, not by arithmetic: each walk over all of them finds their state
/// cold again. Who cares polls with [`Server::poll_messages`] right after each batch of datagrams (or, where the moment of
/// arrival counts, with [`Server::poll_ready`] after each of them), and when it has sent all that one client is due ends
/// with [`Server::flush_client`] before it goes on to the next one, and the tick with [`Server::flush_rest`]. (Datagrams are
/// better polled and sent in one go: the kernel's code and ours then do not drive each other out of the processor's caches
/// for each of them. Groups of some dozens need less room than a tick's.)
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    link_rules: Arc<Rules>,
    wire: Wire,
    challenger: Challenger,
    /// Next sequence for what belongs to no session.
    global_sequence: u64,
    pending: HashMap<SocketAddr, Pending, KeyedHash>,
    /// Resumptions that were accepted and not confirmed yet, by the connection id that they were given.
    resuming: HashMap<ConnectionId, Attempt, KeyedHash>,
    /// All places for handshakes were taken, and walked over: not again before this.
    crowded_until: Time,
    tokens: TokenTable,
    sessions: SessionTable,
    deadlines: Deadlines,
    ready: Ready,
    /// What polled messages are lent from.
    slabs: Slabs,
    events: VecDeque<ServerEvent>,
    farewells: HashMap<ClientId, Farewell, KeyedHash>,
    hash: KeyedHash,
    /// Offers accepted and paths doubted so far: what makes every connection id, salt and cookie another one.
    nonces: u64,
    now: Time,
    sweep_at: Time,
    /// Whether `release` was called since the last flush.
    released: bool,
    /// When the last flush began, and whether it spreads what it composes.
    flush_at: Option<Time>,
    spread: bool,
    /// The number of that flush, and how many of those who are connected now were flushed alone in it.
    flushes: u32,
    flushed_len: usize,
    /// Whose further datagrams of the last flush wait, and until when.
    releasing: Vec<(ClientId, Time)>,
}

/// What remains of a session until its end was told: its messages can still be read.
#[derive(Debug)]
struct Farewell {
    player: u64,
    link: Link,
    told: bool,
}

impl Server {
    /// A server without clients.
    ///
    /// # Panics
    /// When `clients_max` is not in `1..=65_535`.
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        assert!((1..=65_535).contains(&config.clients_max), "a server has 1 to 65,535 slots");
        let hash = KeyedHash::new(&config.challenge_key, config.seed);
        // A token may name several servers, and each seals under its keys: random starts keep their sequences apart.
        let global_sequence = GLOBAL_SEQUENCE | (hash.of(config.seed) >> 2);
        Self {
            link_rules: Arc::new(Rules::new(&config.channels, config.link.clone())),
            wire: Wire::new(config.protocol_id),
            challenger: Challenger::new(&config.challenge_key),
            global_sequence,
            pending: HashMap::with_hasher(hash),
            resuming: HashMap::with_hasher(hash),
            crowded_until: Time::ZERO,
            // Four tokens a slot within their life, and room for a small server's rush.
            tokens: TokenTable::new(config.clients_max * 4 + 1024, hash),
            sessions: SessionTable::new(config.clients_max, hash),
            deadlines: Deadlines::default(),
            ready: Ready::default(),
            slabs: Slabs::new(SLAB_BYTES_MAX),
            events: VecDeque::new(),
            farewells: HashMap::with_hasher(hash),
            hash,
            nonces: 0,
            now: Time::ZERO,
            sweep_at: Time::ZERO,
            released: false,
            flush_at: None,
            spread: false,
            flushes: 0,
            flushed_len: 0,
            releasing: Vec::new(),
            config,
        }
    }

    /// Everyone connected, by slot.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> + '_ {
        self.sessions.iter().map(|(client, _)| client)
    }

    /// How many are connected.
    #[must_use]
    pub fn clients_len(&self) -> usize {
        self.sessions.len()
    }

    /// Which player `client` is: the client id of its token. Also of one that is gone, as long as its messages
    /// can be read.
    #[must_use]
    pub fn player(&self, client: ClientId) -> Option<u64> {
        let live = self.sessions.get(client).map(|session| session.player);
        live.or_else(|| self.farewells.get(&client).map(|farewell| farewell.player))
    }

    /// Which client a player is, if connected.
    #[must_use]
    pub fn client_of_player(&self, player: u64) -> Option<ClientId> {
        self.sessions.of_player(player)
    }

    /// Where a connected client is.
    #[must_use]
    pub fn address(&self, client: ClientId) -> Option<SocketAddr> {
        self.sessions.get(client).map(|session| session.address)
    }

    /// What the link to a connected client measures: its send budget and how much of it is used, round trip, jitter,
    /// loss, what is queued and held, and the ledger of every byte that left.
    #[must_use]
    pub fn stats(&self, client: ClientId) -> Option<LinkStats> {
        self.sessions.get(client).map(|session| session.peer.link.stats())
    }

    /// What `channel` of the link to a connected client has sent and still holds; `None` when there is no such
    /// client or channel.
    #[must_use]
    pub fn channel_stats(&self, client: ClientId, channel: ChannelId) -> Option<ChannelStats> {
        self.sessions.get(client)?.peer.link.channel_stats(channel)
    }

    /// The longest datagram that the path to a connected client is known to take, bytes.
    #[must_use]
    pub fn datagram_bytes(&self, client: ClientId) -> Option<usize> {
        self.sessions.get(client).map(|session| session.peer.datagram_bytes())
    }

    /// What came, went and was dropped.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.wire.counters
    }

    /// Bytes of state that fit into this tick's datagram to `client`, beside what is queued; 0 when it is gone.
    #[must_use]
    pub fn budget_bytes(&self, client: ClientId) -> usize {
        let session = self.sessions.get(client);
        session.map_or(0, |session| session.peer.link.room_bytes(self.now, session.peer.body_bytes()))
    }

    /// The same where a tick's state may go as several messages, each uncut.
    #[must_use]
    pub fn room(&self, client: ClientId) -> SendRoom {
        let session = self.sessions.get(client);
        session.map_or(SendRoom::default(), |session| {
            session.peer.link.room(self.now, session.peer.body_bytes())
        })
    }

    /// Addresses that were challenged and resumptions that were accepted, and have not answered yet.
    #[must_use]
    pub fn handshakes_len(&self) -> usize {
        self.pending.len() + self.resuming.len()
    }

    /// Tokens that were shown and have not expired yet.
    #[must_use]
    pub fn tokens_len(&self) -> usize {
        self.tokens.len()
    }

    fn unix_s(&self, now: Time) -> u64 {
        self.config.unix_at_zero_s.saturating_add(now.as_micros() / 1_000_000)
    }

    fn next_nonce(&mut self) -> u64 {
        self.nonces += 1;
        self.nonces
    }
}

/// What the slabs of polled messages may have each: two of them hold what 4096 clients say in a tick.
const SLAB_BYTES_MAX: usize = 256 << 10;
