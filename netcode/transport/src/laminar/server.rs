//! The server's half over laminar: who comes in, who goes. Must never know a game.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use netcode_proto::{
    Bytes, ChannelId, ClientId, Counters, DisconnectReason, LinkStats, SendError, ServerConfig, ServerEvent,
    ServerSession, Transmit, channels::ChannelSet,
};
use netcode_token::Key;
use netcode_wire::Time;

use super::frame::{CHALLENGE, Cookie, DENIED, Envelope, Handshake, WELCOME};
use super::peer::{Peer, STATE_BYTES};
use super::post::Post;
use crate::foreign::{Claim, Door, Seat, Seats, Visitor};

/// The sessions of a laminar server, in the clear.
#[derive(Debug)]
pub struct LaminarServerSession {
    channels: ChannelSet,
    post: Post,
    envelope: Envelope,
    door: Door,
    /// Who has shown a token and was challenged.
    pending: HashMap<SocketAddr, Pending>,
    pending_max: usize,
    seats: Seats<Member>,
    events: VecDeque<ServerEvent>,
    sweep_at: Time,
}

#[derive(Debug)]
struct Pending {
    visitor: Visitor,
    cookie: Cookie,
    asked_at: Time,
}

#[derive(Debug)]
struct Member {
    peer: Peer,
    /// Who says it again has not heard the welcome.
    cookie: Cookie,
}

impl LaminarServerSession {
    /// A server without clients. Of `config` count: protocol id, key, addresses, clients, the wall clock, channels.
    #[must_use]
    pub fn new(config: &ServerConfig) -> Self {
        let mut post = Post::new();
        Self {
            channels: config.channels.clone(),
            envelope: Envelope::new(&mut post),
            post,
            door: Door::new(config),
            pending: HashMap::new(),
            pending_max: config.clients_max + 256,
            seats: Seats::new(config.clients_max),
            events: VecDeque::new(),
            sweep_at: Time::ZERO,
        }
    }

    fn reply(&mut self, to: SocketAddr, kind: u8, rest: &[u8]) {
        let datagram = self.envelope.seal(kind, rest);
        self.post.outgoing.push(to, &datagram);
    }

    fn handle_hello(&mut self, now: Time, from: SocketAddr, request: &mut [u8]) {
        let counters = &mut self.post.outgoing.counters;
        let Some(visitor) = self.door.read(now, request, counters) else { return };
        if self.door.claim(&visitor, from) == Claim::Refused {
            counters.requests_reused += 1;
            return;
        }
        if self.refuses(&visitor) {
            self.deny(from);
            return;
        }
        let known = self.pending.get(&from).filter(|pending| pending.visitor.mark == visitor.mark);
        let cookie = known.map_or_else(fresh_cookie, |pending| pending.cookie);
        if !self.pending.contains_key(&from) && self.pending.len() >= self.pending_max {
            self.post.outgoing.counters.requests_overflowed += 1;
            return;
        }
        self.pending.insert(from, Pending { visitor, cookie, asked_at: now });
        self.reply(from, CHALLENGE, &cookie);
    }

    fn handle_answer(&mut self, now: Time, from: SocketAddr, cookie: Cookie) {
        let Some(pending) = self.pending.remove(&from) else {
            let member = self.seats.at_address(&from).and_then(|client| self.seats.get(client));
            if member.is_some_and(|seat| seat.session.cookie == cookie) {
                self.reply(from, WELCOME, &[]);
            } else {
                self.post.outgoing.counters.dropped_unknown += 1;
            }
            return;
        };
        if pending.cookie != cookie {
            self.post.outgoing.counters.dropped_forged += 1;
            self.pending.insert(from, pending);
        } else if self.refuses(&pending.visitor) {
            self.deny(from);
        } else {
            self.admit(now, from, pending);
        }
    }

    /// Whether there is no room, or a newer token's session stands.
    fn refuses(&self, visitor: &Visitor) -> bool {
        let earlier = self.seats.of_player(visitor.player).and_then(|client| self.seats.get(client));
        match earlier {
            Some(seat) => seat.expire_unix_s > visitor.expire_unix_s,
            None => self.seats.is_full(),
        }
    }

    fn deny(&mut self, to: SocketAddr) {
        self.post.outgoing.counters.denied += 1;
        self.reply(to, DENIED, &[]);
    }

    fn admit(&mut self, now: Time, address: SocketAddr, pending: Pending) {
        let Pending { visitor, cookie, .. } = pending;
        let Visitor { player, expire_unix_s, timeout_s, mark, user_data } = visitor;
        let earlier = [self.seats.of_player(player), self.seats.at_address(&address)];
        for client in earlier.into_iter().flatten() {
            self.close(now, client, DisconnectReason::Superseded);
        }
        self.door.spend(&mark);
        let peer = Peer::new(now, &self.post, address, timeout_s, &self.channels);
        let session = Member { peer, cookie };
        let seat = Seat { player, address, expire_unix_s, session };
        let Some(client) = self.seats.insert(seat) else { return };
        self.post.outgoing.counters.connected += 1;
        self.events.push_back(ServerEvent::Connected { client, player, user_data });
        self.reply(address, WELCOME, &[]);
    }

    /// Ends a session. The peer is told unless it said so itself or is silent.
    fn close(&mut self, now: Time, client: ClientId, reason: DisconnectReason) {
        let Some(mut seat) = self.seats.remove(client) else { return };
        if !matches!(reason, DisconnectReason::ByPeer | DisconnectReason::TimedOut) {
            seat.session.peer.leave(now, &mut self.post);
        }
        self.post.outgoing.counters.disconnected += 1;
        self.events.push_back(ServerEvent::Disconnected { client, reason });
    }

    fn peer(&mut self, client: ClientId) -> Option<&mut Peer> {
        self.seats.get_mut(client).map(|seat| &mut seat.session.peer)
    }
}

impl ServerSession for LaminarServerSession {
    fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.post.outgoing.note_received(datagram.len());
        match self.envelope.open(datagram) {
            Some(Handshake::Hello(request)) => return self.handle_hello(now, from, request),
            Some(Handshake::Answer(cookie)) => return self.handle_answer(now, from, cookie),
            Some(_) => {
                self.post.outgoing.counters.dropped_unexpected += 1;
                return;
            }
            None => {}
        }
        let Some(client) = self.seats.at_address(&from) else {
            self.post.outgoing.counters.dropped_unknown += 1;
            return;
        };
        let Some(seat) = self.seats.get_mut(client) else { return };
        if let Err(reason) = seat.session.peer.handle(now, &mut self.post, datagram) {
            self.close(now, client, reason);
            return;
        }
        self.seats.note_ready(client);
    }

    fn step(&mut self, now: Time) {
        for slot in 0..self.seats.slots_len() {
            let Some(client) = self.seats.in_slot(slot) else { continue };
            if self.seats.get(client).is_some_and(|seat| seat.session.peer.is_lost(now, &self.post)) {
                self.close(now, client, DisconnectReason::TimedOut);
            }
        }
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP_INTERVAL;
            self.door.sweep(now);
            self.pending.retain(|_, pending| now.since(pending.asked_at) < PENDING_LIFE);
        }
    }

    fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    fn poll_message(&mut self, client: ClientId) -> Option<(ChannelId, Bytes)> {
        self.peer(client)?.poll_message()
    }

    fn poll_ready(&mut self) -> Option<ClientId> {
        self.seats.poll_ready()
    }

    fn send(
        &mut self,
        _: Time,
        client: ClientId,
        channel: ChannelId,
        message: &[u8],
    ) -> Result<(), SendError> {
        self.peer(client).map_or(Ok(()), |peer| peer.send(channel, message))
    }

    fn flush(&mut self, now: Time) {
        for slot in 0..self.seats.slots_len() {
            let Some(client) = self.seats.in_slot(slot) else { continue };
            if let Some(seat) = self.seats.get_mut(client) {
                seat.session.peer.flush(now, &mut self.post);
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.post.outgoing.poll()
    }

    fn disconnect(&mut self, now: Time, client: ClientId, code: u8) {
        self.close(now, client, DisconnectReason::ByUs(code));
    }

    fn clients_len(&self) -> usize {
        self.seats.len()
    }

    fn address(&self, client: ClientId) -> Option<SocketAddr> {
        self.seats.get(client).map(|seat| seat.address)
    }

    fn stats(&self, client: ClientId) -> Option<LinkStats> {
        self.seats.get(client).map(|seat| seat.session.peer.stats())
    }

    fn counters(&self) -> Counters {
        self.post.outgoing.counters
    }

    fn budget_bytes(&self, client: ClientId) -> usize {
        self.seats.get(client).map_or(0, |_| STATE_BYTES)
    }
}

fn fresh_cookie() -> Cookie {
    *Key::generate().as_bytes().first_chunk().expect("a key has 32 bytes")
}

/// How long a challenge may be answered.
const PENDING_LIFE: Duration = Duration::from_secs(5);
// Expired tokens are refused before they are swept.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
