//! Beyond the standard: offers accepted, clients followed to where they went. Owns who is believed to be where; must
//! never know what a message says.
//!
//! A client is found by its connection id wherever it is. What it sends counts at once, since its seal proves whose it
//! is; but nothing but a challenge goes to a new address before its answer came from there, and never more bytes than
//! came. Until then everything goes to the old address. Only the newest packet of a session can begin a move: a
//! copy of an older one, or one that was late, cannot.

use std::hash::BuildHasher;
use std::net::SocketAddr;

use netcode_token::aead::Cipher;
use netcode_wire::Time;

use super::Server;
use crate::session::extension::{Accept, ConnectionId, Offer};
use crate::session::packet::PacketType;
use crate::session::path::{self, COOKIE_LEN, Probe};
use crate::session::phase::{PathCause, PathPhase, ServerCause};
use crate::session::{ClientId, DisconnectReason};

impl Server {
    /// Agrees to a client's offer, as often as it is made before the client shows that it has heard.
    pub(super) fn accept(&mut self, now: Time, client: ClientId, offer: Offer) {
        if !self.config.extensions.enabled {
            return;
        }
        let known = self.sessions.get(client).and_then(|session| session.connection);
        let accept = known.unwrap_or_else(|| self.draw_acceptance(offer));
        let Some(session) = self.sessions.get_mut(client) else { return };
        if session.peer.accept_offer(&accept) {
            let text = accept.encode();
            session.peer.send(now, &mut self.wire, session.address, PacketType::Accept, &text);
            if known.is_none() {
                self.sessions.connect(client, accept);
            }
        }
    }

    /// Id and salt come from the challenge key, which is fresh for every process: unpredictable, and never the same.
    pub(super) fn draw_acceptance(&mut self, offer: Offer) -> Accept {
        loop {
            let accept = self.draw_any_acceptance(offer);
            // One in 2^32 for every session there is.
            if self.sessions.at_connection(accept.id).is_none() && !self.resuming.contains_key(&accept.id) {
                return accept;
            }
        }
    }

    fn draw_any_acceptance(&mut self, offer: Offer) -> Accept {
        let nonce = self.next_nonce().to_le_bytes();
        let drawn = self.config.challenge_key.derive(&[CONNECTION_PURPOSE, &nonce]);
        let (salt, rest) = drawn.as_bytes().split_first_chunk().expect("32 bytes begin with 16");
        let aes = offer.aes_hardware && self.config.extensions.aes_hardware;
        Accept {
            id: ConnectionId::from_bytes(*rest.first_chunk().expect("16 bytes begin with 4")),
            cipher: if aes { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 },
            path_mtu: offer.path_mtu && self.config.extensions.path_mtu,
            ecn: offer.ecn && self.config.extensions.ecn,
            salt: *salt,
        }
    }

    /// Takes note of where an authentic packet of `client` came from.
    pub(super) fn follow(
        &mut self,
        now: Time,
        client: ClientId,
        from: SocketAddr,
        bytes: usize,
        newest: bool,
    ) {
        let Some(session) = self.sessions.get(client) else { return };
        let (here, probe) = (session.address == from, session.probe);
        if here && probe.is_none() {
            return;
        }
        let phase = if probe.is_some() { PathPhase::Probing } else { PathPhase::Settled };
        let cause = if here { PathCause::NewestHere } else { PathCause::NewestElsewhere };
        let moved = newest.then(|| phase.after(cause)).flatten();
        let known = probe.filter(|probe| probe.address == from);
        let probe = match (moved, known) {
            (Some(PathPhase::Settled), _) => None,
            (_, Some(probe)) => Some(probe),
            (Some(PathPhase::Probing), None) => Some(Probe::new(from, self.draw_cookie(client, from))),
            (None, None) => return,
        };
        self.challenge_path(now, client, probe, bytes);
    }

    /// Keeps `probe`, to whose address `bytes` more can be owed, and sends its challenge if one is due.
    fn challenge_path(&mut self, now: Time, client: ClientId, probe: Option<Probe>, bytes: usize) {
        let Some(session) = self.sessions.get_mut(client) else { return };
        session.probe = probe;
        let Some(probe) = &mut session.probe else { return };
        probe.note_received(bytes);
        if probe.take_turn(now, session.peer.next_len(COOKIE_LEN)) {
            let (to, cookie) = (probe.address, probe.cookie);
            session.peer.send_aside(&mut self.wire, to, PacketType::PathChallenge, &cookie);
            self.wire.counters.paths_challenged += 1;
        }
    }

    /// The answer to a path challenge: right, and from the address that was asked, it moves the session there.
    pub(super) fn handle_path_response(
        &mut self,
        now: Time,
        client: ClientId,
        from: SocketAddr,
        cookie: Option<[u8; COOKIE_LEN]>,
    ) {
        let probe = self.sessions.get(client).and_then(|session| session.probe);
        let right = probe.is_some_and(|probe| probe.address == from && Some(probe.cookie) == cookie);
        if !right || PathPhase::Probing.after(PathCause::Response) != Some(PathPhase::Settled) {
            self.wire.counters.dropped_unexpected += 1;
            return;
        }
        self.advance(client, ServerCause::PathResponse);
        self.evict_plain(now, client, from);
        let home = self.address(client);
        self.sessions.move_to(client, from);
        if let Some(session) = self.sessions.get_mut(client) {
            session.probe = None;
            session.peer.path_changed(now, &mut self.wire, home.is_some_and(|home| home.ip() == from.ip()));
        }
        self.wire.counters.paths_moved += 1;
    }

    /// A plain session is known by its address alone: where another client proved to be, it cannot be any more. One
    /// with a connection id is found wherever it went: two clients behind one router may have changed places.
    fn evict_plain(&mut self, now: Time, client: ClientId, address: SocketAddr) {
        let other = self.sessions.at_address(&address).filter(|other| *other != client);
        let plain = other
            .filter(|other| self.sessions.get(*other).is_some_and(|session| session.connection.is_none()));
        if let Some(other) = plain {
            self.close(now, other, ServerCause::Takeover, DisconnectReason::Superseded);
        }
    }

    /// What only who receives at `address` can send back. It tells the client whether it is another host's.
    fn draw_cookie(&mut self, client: ClientId, address: SocketAddr) -> [u8; COOKIE_LEN] {
        let nonce = self.next_nonce();
        let drawn = self.hash.hash_one((nonce, client, address)).to_le_bytes();
        let other_host = self.address(client).is_some_and(|home| home.ip() != address.ip());
        path::cookie(drawn, other_host)
    }
}

const CONNECTION_PURPOSE: &[u8] = b"tickwright connection";
