//! From a crashed client back to its session: resumption requests and the packet that confirms them. Owns who may come
//! back; must never know what is said then.
//!
//! As with a handshake: a stranger costs no memory, earns less than it sends, and changes nothing before it has shown
//! that it receives where it says it is.

use std::net::SocketAddr;

use netcode_token::aead::PacketKey;
use netcode_token::{PrivateToken, open_private};
use netcode_wire::Time;

use super::Server;
use super::admit::{Pending, Resumption, mark_of};
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

    /// Accepts, as often as asked, in the same words; nothing else happens yet.
    fn offer_resumption(
        &mut self,
        now: Time,
        from: SocketAddr,
        (token, mark, expire_unix_s): (PrivateToken, TokenMark, u64),
        keys: SessionKeys,
        offer: Offer,
    ) {
        let handshake =
            if self.pending.contains_key(&from) { ServerPhase::Challenged } else { ServerPhase::Absent };
        if self.refuses(token.client_id, expire_unix_s, from) {
            if handshake.after(ServerCause::RequestDenied) == Some(ServerPhase::Absent) {
                self.pending.remove(&from);
            }
            self.deny(from, &keys.seal);
            return;
        }
        // One attempt a token: a newer one from elsewhere takes the place of the older.
        if let Some(earlier) = self.tokens.resume_from(&mark, from)
            && self.pending.get(&earlier).is_some_and(|pending| earlier != from && pending.resumes(&mark))
        {
            self.pending.remove(&earlier);
        }
        let known = handshake == ServerPhase::Challenged;
        let has_room = known || self.pending.len() < self.pending_max();
        if !has_room || handshake.after(ServerCause::Resume) != Some(ServerPhase::Challenged) {
            self.wire.counters.requests_overflowed += 1;
            return;
        }
        let said = self.pending.get(&from).and_then(|pending| pending.acceptance_under(&keys));
        let accept = said.unwrap_or_else(|| self.draw_acceptance(offer));
        let (key, sequence) = (PacketKey::new(&keys.seal), self.next_global_sequence());
        self.wire.send(from, &key, (PacketType::Accept, Form::Standard), sequence, &accept.encode());
        let resumption = Resumption { accept, open: accept.key(&keys.open) };
        self.pending.insert(from, Pending::resumption(now, token, mark, expire_unix_s, keys, resumption));
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
        let resumption = self.pending.get(&from)?.resumption_with(id)?;
        let accept: Accept = resumption.accept;
        // On a copy: the session will open it as any other.
        self.wire.sealer.open(&mut datagram.to_vec(), &resumption.open, head)?;
        if self.events.len() >= self.events_max() {
            self.wire.counters.requests_overflowed += 1;
            return None;
        }
        let pending = self.pending.remove(&from)?;
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
