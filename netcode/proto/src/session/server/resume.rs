//! From a crashed client back to its session: resumption requests and the packet that confirms them. Owns who may come
//! back; must never know what is said then.
//!
//! As with a handshake: a stranger costs no memory, earns less than it sends, and changes nothing before it has shown
//! that it receives where it says it is. What is kept is one attempt for each request that its owner made (by its
//! `fresh`), not for each address from which it came: a copied request earns its sender an acceptance that is good for
//! that address alone, takes nobody's place, and can be used by nobody but the owner.

use std::net::SocketAddr;

use netcode_token::aead::PacketKey;
use netcode_token::{Key, PrivateToken, open_private};
use netcode_wire::{Ecn, Time};

use super::Server;
use super::admit::{Pending, mark_of};
use crate::session::ClientId;
use crate::session::challenge::TokenMark;
use crate::session::extension::{Accept, ConnectionId, Offer};
use crate::session::packet::{Form, Head, PacketType};
use crate::session::peer::SessionKeys;
use crate::session::phase::{ServerCause, ServerPhase};
use crate::session::resume::{Resume, resumed_keys};

impl Server {
    pub(super) fn handle_resume(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        let decoded = Resume::decode(datagram, self.config.protocol_id);
        let Some(mut resume) = decoded.filter(|_| self.config.extensions.enabled) else {
            self.wire.counters.requests_invalid += 1;
            return;
        };
        let request = &mut resume.request;
        if request.expire_unix_s <= self.unix_s(now) {
            self.wire.counters.requests_expired += 1;
            return;
        }
        let mark = mark_of(request.private);
        if !self.tokens.is_resumable(&mark) {
            self.wire.counters.requests_reused += 1;
            return;
        }
        let (nonce, expire_unix_s) = (request.nonce, request.expire_unix_s);
        let key = &self.config.private_key;
        let token = open_private(request.private, &nonce, self.config.protocol_id, expire_unix_s, key);
        let Some(token) = token.ok().filter(|token| self.is_named_by(token)) else {
            self.wire.counters.requests_invalid += 1;
            return;
        };
        let Some(offer) = resume.offer(&token.client_to_server) else {
            self.wire.counters.dropped_forged += 1;
            return;
        };
        let plain =
            SessionKeys { seal: token.server_to_client.clone(), open: token.client_to_server.clone() };
        let keys = resumed_keys(&plain, &resume.fresh);
        self.offer_resumption(now, from, (token, mark, expire_unix_s), keys, offer);
    }

    /// Accepts, as often as asked, for each address in the same words; nothing else happens yet.
    fn offer_resumption(
        &mut self,
        now: Time,
        from: SocketAddr,
        (token, mark, expire_unix_s): (PrivateToken, TokenMark, u64),
        keys: SessionKeys,
        offer: Offer,
    ) {
        if self.refuses(token.client_id, expire_unix_s, from) {
            self.deny(from, &keys.seal);
            return;
        }
        let attempts = self.tokens.resumptions(&mark);
        let same = |id: &ConnectionId| {
            self.resuming.get(id).is_some_and(|attempt| attempt.pending.server_key() == &keys.seal)
        };
        let known = attempts.into_iter().flatten().find(same);
        let handshake = if known.is_some() { ServerPhase::Challenged } else { ServerPhase::Absent };
        if handshake.after(ServerCause::Resume) != Some(ServerPhase::Challenged) {
            return;
        }
        if known.is_none() && !self.has_place(now) {
            self.wire.counters.requests_overflowed += 1;
            return;
        }
        let (key, sequence) = (PacketKey::new(&keys.seal), self.next_global_sequence());
        let id = known.unwrap_or_else(|| {
            let accept = self.draw_acceptance(offer);
            if let Some(oldest) = self.tokens.resume_as(&mark, accept.id) {
                self.resuming.remove(&oldest);
            }
            let pending = Pending::new(now, token, mark, expire_unix_s, keys);
            self.resuming.insert(accept.id, Attempt { pending, accept });
            accept.id
        });
        let Some(attempt) = self.resuming.get_mut(&id) else { return };
        attempt.pending.repeat(now);
        let text = attempt.acceptance_at(from, &self.config.challenge_key).encode();
        self.wire.send((from, Ecn::NotCapable), &key, (PacketType::Accept, Form::Standard), sequence, &text);
    }

    /// The first extended packet of a client whose resumption was accepted: only who received the acceptance at `from`
    /// can have sealed it. The session begins anew there, and the old one of the player ends as superseded.
    pub(super) fn confirm_resumption(
        &mut self,
        now: Time,
        from: SocketAddr,
        id: ConnectionId,
        datagram: &[u8],
        head: Head,
    ) -> Option<ClientId> {
        let attempt = self.resuming.get(&id)?;
        let accept = attempt.acceptance_at(from, &self.config.challenge_key);
        // On a copy: the session will open it as any other.
        self.wire.sealer.open(&mut datagram.to_vec(), &accept.key(attempt.pending.client_key()), head)?;
        if self.events.len() >= self.events_max() {
            self.wire.counters.requests_overflowed += 1;
            return None;
        }
        let Attempt { pending, .. } = self.resuming.remove(&id)?;
        for other in self.tokens.end_resumptions(pending.mark()).into_iter().flatten() {
            self.resuming.remove(&other);
        }
        if self.refuses_pending(&pending, from) {
            self.deny_pending(from, &pending);
            return None;
        }
        let phase = ServerPhase::Challenged.after(ServerCause::Resumed)?;
        let client = self.admit(now, from, pending, phase);
        self.sessions.connect(client, accept);
        self.sessions.get_mut(client)?.peer.accept_offer(&accept);
        self.wire.counters.resumed += 1;
        Some(client)
    }
}

/// A resumption that was accepted and not confirmed yet.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Its keys are derived from the request's `fresh`.
    pub(super) pending: Pending,
    /// What is accepted, but for the salt, which is another one for every address.
    accept: Accept,
}

impl Attempt {
    /// The acceptance that goes to an address: who copies the owner's answer to it cannot use it from elsewhere.
    fn acceptance_at(&self, address: SocketAddr, key: &Key) -> Accept {
        let place = address.to_string();
        let drawn = key.derive(&[PLACE_PURPOSE, &self.accept.salt, place.as_bytes()]);
        let salt = *drawn.as_bytes().first_chunk().expect("32 bytes begin with 16");
        Accept { salt, ..self.accept }
    }
}

const PLACE_PURPOSE: &[u8] = b"tickwright resumption at ";
