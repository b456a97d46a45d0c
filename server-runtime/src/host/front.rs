//! The process's sessions and carriers, which its rooms share: datagrams in and out, and who belongs to which room. Owns
//! routing: a token's seat names the match, and from then on a client is its room's. Must never know what a room simulates.
//!
//! Whoever holds the lock does one of three things, all short: look (take datagrams in), hand a room what is its own, carry
//! out what a room said. No room ticks under it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use netcode_proto::{ClientId, SendError, ServerEvent, ServerSession, channels};
use netcode_token::Seat;
use netcode_transport::Carrier;
use netcode_wire::Time;

use crate::carriers::{self, Carriers};
use crate::drive::Clock;
use crate::room::codes;
use crate::room::port::{Inbox, Order, Port};
use crate::room::sessions::Sessions;

/// Who comes for a match that there is no room for yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strangers {
    /// The matchmaker told the player before Agones told us: they wait for a while.
    Wait,
    /// Nobody allocates here: their match gets a room.
    Open,
}

/// A room, as the sessions know it.
#[derive(Debug)]
struct Place {
    match_id: u128,
    inbox: Inbox,
    stats_at: Time,
    /// How often its room has taken what waits.
    turn: u64,
}

/// A client that has a room.
#[derive(Clone, Copy, Debug)]
struct Placed {
    client: ClientId,
    slot: usize,
    /// Messages taken from it since that turn of its room.
    heard: usize,
    turn: u64,
    /// It said more than was taken, and is on the list for that.
    unread: bool,
}

/// A client whose match there is no room for yet.
#[derive(Debug)]
struct Early {
    client: ClientId,
    match_id: u128,
    event: ServerEvent,
    until: Time,
}

/// What the sessions count that no room does.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    refused: u64,
    snapshots_dropped: u64,
    messages_dropped: u64,
}

/// See the module's documentation.
pub(crate) struct Front {
    sessions: Sessions,
    carriers: Carriers,
    clock: Clock,
    places: BTreeMap<usize, Place>,
    /// By the client's slot.
    placed: Vec<Option<Placed>>,
    early: Vec<Early>,
    /// Matches that somebody came for and that want a room.
    wanted: VecDeque<u128>,
    strangers: Strangers,
    open: bool,
    /// Who said more than was taken.
    unread: Vec<ClientId>,
    step_at: Time,
    awake_until: Time,
    counts: Counts,
}

impl Front {
    pub(crate) fn new(sessions: Sessions, carriers: Carriers, clock: Clock, strangers: Strangers) -> Self {
        Self {
            sessions,
            carriers,
            clock,
            places: BTreeMap::new(),
            placed: Vec::new(),
            early: Vec::new(),
            wanted: VecDeque::new(),
            strangers,
            open: true,
            unread: Vec::new(),
            step_at: Time::ZERO,
            awake_until: Time::ZERO,
            counts: Counts::default(),
        }
    }

    /// Gives `match_id` a room: those who wait for it are its first clients.
    pub(crate) fn open(&mut self, slot: usize, match_id: u128) {
        let place = Place { match_id, inbox: Inbox::default(), stats_at: Time::ZERO, turn: 0 };
        self.places.insert(slot, place);
        for early in std::mem::take(&mut self.early) {
            match early.match_id == match_id {
                true => self.place(slot, early.client, early.event),
                false => self.early.push(early),
            }
        }
    }

    /// The room is gone; whoever is still in it is sent away.
    pub(crate) fn close(&mut self, now: Time, slot: usize) {
        self.places.remove(&slot);
        let left = self.placed.iter().flatten().filter(|placed| placed.slot == slot);
        let left: Vec<ClientId> = left.map(|placed| placed.client).collect();
        for client in left {
            self.disconnect(now, client, codes::MATCH_VOID);
        }
        self.transmit();
    }

    /// Nobody new from now on.
    pub(crate) fn shut(&mut self, now: Time) {
        self.open = false;
        for early in std::mem::take(&mut self.early) {
            self.refuse(now, early.client, codes::NOT_OPEN);
        }
        self.transmit();
    }

    /// Takes in what has arrived; says whether anything has.
    pub(crate) fn look(&mut self, now: Time) -> bool {
        let arrived = self.receive();
        if arrived {
            self.awake_until = now.saturating_add(AWAKE_AFTER_DATAGRAM);
        }
        for client in std::mem::take(&mut self.unread) {
            let placed = self.placed.get_mut(client.index()).and_then(Option::as_mut);
            if let Some(placed) = placed.filter(|placed| placed.client == client) {
                placed.unread = false;
                self.read(now, client);
            }
        }
        if arrived || now >= self.step_at {
            self.step_at = now.saturating_add(STEP_PERIOD);
            self.sessions.step(now);
        }
        while let Some(event) = self.sessions.poll_event() {
            self.route(now, event);
        }
        self.settle_early(now);
        self.transmit();
        arrived
    }

    fn receive(&mut self) -> bool {
        let Self { sessions, carriers, clock, places, placed, unread, .. } = self;
        let arrived = carriers.receive_arrivals(&mut |arrival, bytes| {
            let at = clock.at(arrival.at);
            sessions.handle_arrival(at, arrival.from, arrival.ecn, bytes);
            while let Some(client) = sessions.poll_ready() {
                read(sessions, places, placed, unread, at, client);
            }
        });
        arrived > 0
    }

    fn read(&mut self, at: Time, client: ClientId) {
        let Self { sessions, places, placed, unread, .. } = self;
        read(sessions, places, placed, unread, at, client);
    }

    /// Somebody came or went.
    fn route(&mut self, now: Time, event: ServerEvent) {
        match event {
            ServerEvent::Connected { client, player, ref user_data } => {
                let seat = Seat::decode(user_data).ok().filter(|seat| seat.player == player);
                let Some(seat) = seat else { return self.refuse(now, client, codes::BAD_SEAT) };
                if !self.open {
                    return self.refuse(now, client, codes::NOT_OPEN);
                }
                match self.slot_of(seat.match_id) {
                    Some(slot) => self.place(slot, client, event),
                    None => self.let_wait(now, client, seat.match_id, event),
                }
            }
            ServerEvent::Disconnected { client, .. } => {
                self.early.retain(|early| early.client != client);
                let Some(placed) = self.unplace(client) else { return };
                if let Some(place) = self.places.get_mut(&placed.slot) {
                    place.inbox.events.push_back(event);
                }
            }
        }
    }

    fn slot_of(&self, match_id: u128) -> Option<usize> {
        self.places.iter().find(|(_, place)| place.match_id == match_id).map(|(slot, _)| *slot)
    }

    fn let_wait(&mut self, now: Time, client: ClientId, match_id: u128, event: ServerEvent) {
        if self.early.len() >= WAITING_ROOM_MAX {
            return self.refuse(now, client, codes::NOT_OPEN);
        }
        if self.strangers == Strangers::Open && !self.wanted.contains(&match_id) {
            self.wanted.push_back(match_id);
        }
        self.early.push(Early { client, match_id, event, until: now.saturating_add(WAITING_ROOM) });
    }

    fn place(&mut self, slot: usize, client: ClientId, event: ServerEvent) {
        let Some(place) = self.places.get_mut(&slot) else { return };
        place.inbox.events.push_back(event);
        if self.placed.len() <= client.index() {
            self.placed.resize(client.index() + 1, None);
        }
        self.placed[client.index()] = Some(Placed { client, slot, heard: 0, turn: place.turn, unread: true });
        // What it said while it waited.
        self.unread.push(client);
    }

    fn unplace(&mut self, client: ClientId) -> Option<Placed> {
        let held = self.placed.get_mut(client.index())?;
        held.take_if(|placed| placed.client == client)
    }

    fn refuse(&mut self, now: Time, client: ClientId, code: u8) {
        self.counts.refused += 1;
        self.sessions.disconnect(now, client, code);
    }

    fn disconnect(&mut self, now: Time, client: ClientId, code: u8) {
        // Its room knows: the event that follows is nobody's.
        self.unplace(client);
        self.sessions.disconnect(now, client, code);
    }

    fn settle_early(&mut self, now: Time) {
        for early in std::mem::take(&mut self.early) {
            match early.until <= now {
                true => self.refuse(now, early.client, codes::NOT_YOUR_MATCH),
                false => self.early.push(early),
            }
        }
    }

    /// A match that somebody came for and that has no room.
    pub(crate) fn poll_wanted(&mut self) -> Option<u128> {
        self.wanted.pop_front()
    }

    /// Whether anything waits for the room.
    pub(crate) fn has_news(&self, slot: usize) -> bool {
        self.places.get(&slot).is_some_and(|place| !place.inbox.is_empty())
    }

    /// Whether somebody may be in the middle of a handshake.
    pub(crate) fn is_awake(&self, now: Time) -> bool {
        now < self.awake_until
    }

    /// Hands a room what is its own.
    pub(crate) fn hand_over(&mut self, now: Time, slot: usize, port: &mut Port) {
        let Some(place) = self.places.get_mut(&slot) else { return };
        port.take_in(&mut place.inbox);
        place.turn += 1;
        port.note_rooms(|client| self.sessions.room(client));
        if now >= place.stats_at {
            place.stats_at = now.saturating_add(STATS_PERIOD);
            port.note_stats(|client| self.sessions.stats(client));
        }
    }

    /// Does what a room said.
    pub(crate) fn carry_out(&mut self, now: Time, port: &mut Port) {
        port.orders(|order| match order {
            Order::Send(client, channel, message) => {
                match self.sessions.send(now, client, channel, message) {
                    Ok(()) => {}
                    // As in a room of its own: what is reliable may not be lost silently.
                    Err(SendError::ChannelFull) if is_reliable(channel) => {
                        self.sessions.disconnect(now, client, codes::TOO_SLOW);
                    }
                    Err(_) if channel == channels::STATE => self.counts.snapshots_dropped += 1,
                    Err(_) => self.counts.messages_dropped += 1,
                }
            }
            Order::Flush(client) => self.sessions.flush_client(now, client),
            Order::Disconnect(client, code) => self.disconnect(now, client, code),
        });
        self.transmit();
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.sessions.poll_transmit() {
            self.carriers.send_marked(transmit.to, transmit.ecn, transmit.bytes);
        }
        self.carriers.flush();
    }

    /// Adds what was thrown away at the process's border.
    pub(crate) fn add_drops(&self, drops: &mut BTreeMap<String, u64>) {
        let net = crate::room::net_drops(&self.sessions.counters());
        net.into_iter().for_each(|(cause, count)| *drops.entry(cause.to_owned()).or_default() += count);
        *drops.entry("seat_refused".to_owned()).or_default() += self.counts.refused;
        *drops.entry("snapshot_unsent".to_owned()).or_default() += self.counts.snapshots_dropped;
        *drops.entry("message_unsent".to_owned()).or_default() += self.counts.messages_dropped;
        carriers::add_drops(&self.carriers, drops);
    }
}

/// Takes the messages of `client` for its room. One that has none yet keeps them in its link.
fn read(
    sessions: &mut Sessions,
    places: &mut BTreeMap<usize, Place>,
    placed: &mut [Option<Placed>],
    unread: &mut Vec<ClientId>,
    at: Time,
    client: ClientId,
) {
    let placed = placed.get_mut(client.index()).and_then(Option::as_mut);
    let Some(placed) = placed.filter(|placed| placed.client == client) else { return };
    let Some(place) = places.get_mut(&placed.slot) else { return };
    if placed.turn != place.turn {
        (placed.turn, placed.heard) = (place.turn, 0);
    }
    let is_enough = |heard: usize, inbox: &Inbox| heard >= MESSAGES_MAX || inbox.is_full();
    if !is_enough(placed.heard, &place.inbox) {
        sessions.read_messages(client, &mut |channel, message| {
            place.inbox.push(at, client, channel, message);
            placed.heard += 1;
            !is_enough(placed.heard, &place.inbox)
        });
    }
    if is_enough(placed.heard, &place.inbox) && !std::mem::replace(&mut placed.unread, true) {
        unread.push(client);
    }
}

fn is_reliable(channel: netcode_proto::ChannelId) -> bool {
    channel == channels::CONTROL || channel.0 >= channels::GAME_RELIABLE_UNORDERED.0
}

/// The worker threads' signs of life.
#[derive(Debug)]
pub(crate) struct Beats(Vec<AtomicU64>);

impl Beats {
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| AtomicU64::new(0)).collect())
    }

    pub(crate) fn beat(&self, worker: usize, now: Time) {
        self.0[worker].store(now.as_micros(), Ordering::Relaxed);
    }

    /// When the one that was heard of longest ago was.
    pub(crate) fn oldest(&self) -> Time {
        let oldest = self.0.iter().map(|beat| beat.load(Ordering::Relaxed)).min();
        Time::from_micros(oldest.unwrap_or(0))
    }
}

/// Messages taken from one client between two ticks of its room; the rest waits in its link, which pushes back.
const MESSAGES_MAX: usize = 256;
/// Connections that may wait for the news of their match, and how long.
const WAITING_ROOM_MAX: usize = 256;
const WAITING_ROOM: Duration = Duration::from_secs(5);
/// How often time alone is looked after: keep-alives and silences are measured in tenths of seconds.
const STEP_PERIOD: Duration = Duration::from_millis(5);
/// How often a room's figures of its connections are renewed.
const STATS_PERIOD: Duration = Duration::from_millis(250);
/// How long looks stay frequent after a datagram: a handshake takes a few round trips.
const AWAKE_AFTER_DATAGRAM: Duration = Duration::from_secs(2);
