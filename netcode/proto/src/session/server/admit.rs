//! From stranger to client: requests, challenges, responses. Owns who may come in; must never know what a
//! client does once it is in.
//!
//! A stranger costs no memory before its token proved authentic, and whatever it is sent is shorter than what
//! it sent.

use std::net::SocketAddr;
use std::time::Duration;

use netcode_token::aead::{PacketKey, TAG_LEN};
use netcode_token::{Key, PrivateToken, USER_DATA_LEN, open_private};
use netcode_wire::{Ecn, Time};

use super::Server;
use super::table::Session;
use crate::Link;
use crate::session::challenge::TokenMark;
use crate::session::packet::{Form, Head, PacketType, Request};
use crate::session::peer::{Peer, SessionKeys};
use crate::session::phase::{ServerCause, ServerPhase};
use crate::session::{ClientId, DisconnectReason, ServerEvent};

/// An address that has shown a token and was challenged.
#[derive(Debug)]
pub(crate) struct Pending {
    player: u64,
    mark: TokenMark,
    expire_unix_s: u64,
    timeout_s: i32,
    user_data: Box<[u8; USER_DATA_LEN]>,
    client_to_server: Key,
    server_to_client: Key,
    requested_at: Time,
    /// When it took its place.
    began_at: Time,
}

impl Pending {
    /// Whether nobody went on with it for [`PENDING_LIFE`].
    pub(crate) fn has_lapsed(&self, now: Time) -> bool {
        now.since(self.requested_at) >= PENDING_LIFE
    }

    /// Whether it has had its place for so long that one who has none may have it.
    fn lingers(&self, now: Time) -> bool {
        now.since(self.began_at) >= LINGER
    }

    /// One that was asked for at `now`: `keys` are as the server sees them.
    pub(super) fn new(
        now: Time,
        token: PrivateToken,
        mark: TokenMark,
        expire_unix_s: u64,
        keys: SessionKeys,
    ) -> Self {
        Self {
            player: token.client_id,
            mark,
            expire_unix_s,
            timeout_s: token.timeout_s,
            user_data: token.user_data,
            client_to_server: keys.open,
            server_to_client: keys.seal,
            requested_at: now,
            began_at: now,
        }
    }

    /// The token that it came with.
    pub(super) fn mark(&self) -> &TokenMark {
        &self.mark
    }

    /// What the client seals with.
    pub(super) fn client_key(&self) -> &Key {
        &self.client_to_server
    }

    /// What we seal with.
    pub(super) fn server_key(&self) -> &Key {
        &self.server_to_client
    }

    /// It was asked for again.
    pub(super) fn repeat(&mut self, now: Time) {
        self.requested_at = now;
    }
}

impl Server {
    pub(super) fn handle_request(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        let unix_s = self.unix_s(now);
        let Some(request) = Request::decode(datagram, self.config.protocol_id) else {
            self.wire.counters.requests_invalid += 1;
            return;
        };
        if request.expire_unix_s <= unix_s {
            self.wire.counters.requests_expired += 1;
            return;
        }
        let mark = mark_of(request.private);
        // The cheap check first; a forged mark proves nothing and earns nothing but this.
        if !self.tokens.allows(&mark, from) {
            self.wire.counters.requests_reused += 1;
            return;
        }
        let (nonce, expire_unix_s) = (request.nonce, request.expire_unix_s);
        let key = &self.config.private_key;
        match open_private(request.private, &nonce, self.config.protocol_id, expire_unix_s, key) {
            Ok(token) if self.is_named_by(&token) => self.challenge(now, from, token, mark, expire_unix_s),
            _ => self.wire.counters.requests_invalid += 1,
        }
    }

    fn challenge(
        &mut self,
        now: Time,
        from: SocketAddr,
        token: PrivateToken,
        mark: TokenMark,
        expire_unix_s: u64,
    ) {
        let handshake =
            if self.pending.contains_key(&from) { ServerPhase::Challenged } else { ServerPhase::Absent };
        if self.refuses(token.client_id, expire_unix_s, from) {
            if handshake.after(ServerCause::RequestDenied) == Some(ServerPhase::Absent) {
                self.pending.remove(&from);
            }
            self.deny(from, &token.server_to_client);
            return;
        }
        let known = handshake == ServerPhase::Challenged;
        if !(known || self.has_place(now)) || !self.tokens.claim(mark, from, expire_unix_s) {
            self.wire.counters.requests_overflowed += 1;
            return;
        }
        if handshake.after(ServerCause::Request) != Some(ServerPhase::Challenged) {
            return;
        }
        let text = self.challenger.seal(token.client_id, &token.user_data, &mark);
        let sequence = self.next_global_sequence();
        let key = PacketKey::new(&token.server_to_client);
        self.wire.send(
            (from, Ecn::NotCapable),
            &key,
            (PacketType::Challenge, Form::Standard),
            sequence,
            &text,
        );
        let keys = SessionKeys { seal: token.server_to_client.clone(), open: token.client_to_server.clone() };
        let mut pending = Pending::new(now, token, mark, expire_unix_s, keys);
        if let Some(earlier) = self.pending.get(&from) {
            // Deliberate: who asks again and again does not stay young by it.
            pending.began_at = earlier.began_at;
        }
        self.pending.insert(from, pending);
    }

    pub(super) fn handle_response(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8], head: Head) {
        let Some(pending) = self.pending.get(&from) else {
            self.wire.counters.dropped_unknown += 1;
            return;
        };
        let key = PacketKey::new(&pending.client_to_server);
        let text = self.wire.sealer.open(datagram, &key, head);
        let player = text.and_then(|text| self.challenger.open(text, &pending.mark));
        if player != Some(pending.player) {
            self.wire.counters.dropped_forged += 1;
            return;
        }
        if self.events.len() >= self.events_max() {
            self.wire.counters.requests_overflowed += 1;
            return;
        }
        let Some(pending) = self.pending.remove(&from) else { return };
        let cause = if self.refuses_pending(&pending, from) {
            ServerCause::ResponseDenied
        } else {
            ServerCause::Response
        };
        match ServerPhase::Challenged.after(cause) {
            Some(ServerPhase::Absent) => self.deny_pending(from, &pending),
            Some(phase) => {
                let client = self.admit(now, from, pending, phase);
                self.send_keep_alive(now, client);
            }
            None => self.wire.counters.dropped_unexpected += 1,
        }
    }

    /// Gives a slot to who has shown that it receives at `from`.
    pub(super) fn admit(
        &mut self,
        now: Time,
        from: SocketAddr,
        pending: Pending,
        phase: ServerPhase,
    ) -> ClientId {
        let earlier = [self.sessions.of_player(pending.player), self.sessions.at_address(&from)];
        for client in earlier.into_iter().flatten() {
            self.close(now, client, ServerCause::Takeover, DisconnectReason::Superseded);
        }
        self.tokens.spend(&pending.mark);
        let link = Link::with_rules(&self.config.channels, &self.link_rules);
        let keys = SessionKeys { seal: pending.server_to_client, open: pending.client_to_server };
        let client = self.sessions.insert(Session {
            player: pending.player,
            address: from,
            mark: pending.mark,
            phase,
            is_ready: false,
            flushed: 0,
            expire_unix_s: pending.expire_unix_s,
            keep_alive_at: now,
            connection: None,
            probe: None,
            peer: Peer::new(now, keys, pending.timeout_s, link),
        });
        self.deadlines.push(now, client);
        self.wire.counters.connected += 1;
        let (player, user_data) = (pending.player, pending.user_data);
        self.events.push_back(ServerEvent::Connected { client, player, user_data });
        client
    }

    pub(super) fn deny_pending(&mut self, to: SocketAddr, pending: &Pending) {
        self.deny(to, &pending.server_to_client);
    }

    pub(super) fn deny(&mut self, to: SocketAddr, key: &Key) {
        let sequence = self.next_global_sequence();
        self.wire.send(
            (to, Ecn::NotCapable),
            &PacketKey::new(key),
            (PacketType::Denied, Form::Standard),
            sequence,
            &[],
        );
        self.wire.counters.denied += 1;
    }

    pub(super) fn refuses_pending(&self, pending: &Pending, from: SocketAddr) -> bool {
        self.refuses(pending.player, pending.expire_unix_s, from)
    }

    /// Whether a valid token is refused: it is older than the session of the same player, or there is no slot.
    pub(super) fn refuses(&self, player: u64, expire_unix_s: u64, from: SocketAddr) -> bool {
        let session = self.sessions.of_player(player).and_then(|client| self.sessions.get(client));
        match session {
            Some(session) => session.expire_unix_s > expire_unix_s,
            None => self.sessions.is_full() && self.sessions.at_address(&from).is_none(),
        }
    }

    pub(super) fn is_named_by(&self, token: &PrivateToken) -> bool {
        let ours = &self.config.public_addresses;
        ours.is_empty() || token.servers.iter().any(|server| ours.contains(server))
    }

    pub(super) fn next_global_sequence(&mut self) -> u64 {
        let sequence = self.global_sequence;
        self.global_sequence += 1;
        sequence
    }

    /// Whether another handshake or resumption may begin. Where all places are taken, those who have had theirs for
    /// [`LINGER`] and did not go on lose it: an honest end goes on after a round trip.
    pub(super) fn has_place(&mut self, now: Time) -> bool {
        let is_full = |server: &Self| server.handshakes_len() >= server.pending_max();
        if is_full(self) && now >= self.crowded_until {
            // At most so often, whatever is asked: this walks over all places.
            self.crowded_until = now + CROWDED_INTERVAL;
            let stays = |pending: &Pending| {
                let lapses = pending.lingers(now).then(|| ServerPhase::Challenged.after(ServerCause::Lapse));
                lapses.flatten() != Some(ServerPhase::Absent)
            };
            self.pending.retain(|_, pending| stays(pending));
            self.resuming.retain(|_, attempt| stays(&attempt.pending));
        }
        !is_full(self)
    }

    /// Handshakes and resumptions under way at most: full, new ones are not answered until others end or linger.
    fn pending_max(&self) -> usize {
        self.config.clients_max * 2 + 64
    }

    /// Events waiting to be polled at most: full, nobody is admitted until they are.
    pub(super) fn events_max(&self) -> usize {
        self.config.clients_max * 4 + 64
    }
}

/// A token's mark.
pub(super) fn mark_of(private: &[u8]) -> TokenMark {
    *private.last_chunk::<TAG_LEN>().expect("the private part is 1024 bytes")
}

// A round trip is rarely longer, and a response is repeated ten times meanwhile.
const LINGER: Duration = Duration::from_secs(1);
const CROWDED_INTERVAL: Duration = Duration::from_millis(50);
// A client asks ten times a second: one that was silent for this long has gone elsewhere.
const PENDING_LIFE: Duration = Duration::from_secs(5);
