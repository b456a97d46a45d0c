//! What comes in: which packet it is, whose it is, what it does to the session. Must never know who may come in.

use std::net::SocketAddr;

use netcode_wire::{Ecn, Time};

use super::Server;
use crate::session::extension::Offer;
use crate::session::packet::{Form, Head, PacketType, Request, Sender};
use crate::session::peer::Opened;
use crate::session::phase::ServerCause;
use crate::session::resume::Resume;
use crate::session::{ClientId, DisconnectReason};

impl Server {
    /// Takes in a datagram, opening it in place. Whatever is wrong with it is counted; nothing else happens.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.handle_arrival(now, from, Ecn::NotCapable, datagram);
    }

    /// As [`Server::handle_datagram`, for who can tell the mark that its IP header had: what routers say of congestion.
    pub fn handle_arrival(&mut self, now: Time, from: SocketAddr, ecn: Ecn, datagram: &mut [u8]) {
        self.now = now;
        self.wire.note_received(ecn, datagram.len());
        if Request::is_claimed(datagram) {
            self.handle_request(now, from, datagram);
            return;
        }
        if Resume::is_claimed(datagram) {
            self.handle_resume(now, from, datagram);
            return;
        }
        let Some(head) = Head::decode(datagram, Sender::Client) else {
            self.wire.counters.dropped_malformed += 1;
            return;
        };
        match head.kind {
            PacketType::Response => self.handle_response(now, from, datagram, head),
            PacketType::KeepAlive
            | PacketType::Payload
            | PacketType::Disconnect
            | PacketType::PathResponse
            | PacketType::Probe
            | PacketType::ProbeAnswer => self.handle_session_packet(now, from, datagram, head),
            PacketType::Denied | PacketType::Challenge | PacketType::Accept | PacketType::PathChallenge => {
                self.wire.counters.dropped_unexpected += 1;
            }
        }
    }

    fn handle_session_packet(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8], head: Head) {
        let known = match head.form {
            Form::Routed(id) => self.sessions.at_connection(id),
            Form::Standard | Form::Extended => self.sessions.at_address(&from),
        };
        let resumed = match (known, head.form) {
            (None, Form::Routed(id)) => self.confirm_resumption(now, from, id, datagram, head),
            _ => None,
        };
        let Some(client) = known.or(resumed) else {
            self.wire.counters.dropped_unknown += 1;
            return;
        };
        let Some(session) = self.sessions.get_mut(client) else { return };
        let bytes = datagram.len();
        let Some(opened) = session.peer.open(now, &mut self.wire, datagram, head) else { return };
        let Opened { text, newest } = opened;
        match head.kind {
            PacketType::Disconnect => {
                self.close(now, client, ServerCause::PeerDisconnect, DisconnectReason::ByPeer);
            }
            PacketType::Payload => match session.peer.link.handle_body(now, head.sequence, text) {
                Ok(()) => {
                    self.advance(client, ServerCause::Payload);
                    self.note_ready(client);
                }
                Err(error) => {
                    let reason = DisconnectReason::Misbehaved(error);
                    self.close(now, client, ServerCause::Misbehaviour, reason);
                }
            },
            PacketType::PathResponse => {
                let cookie = text.first_chunk().copied();
                self.handle_path_response(now, client, from, cookie);
            }
            PacketType::Probe => {
                // To where the session is, wherever it came from.
                let to = session.address;
                let answered = session.phase.after(ServerCause::Probe).is_some()
                    && session.peer.answer_probe(&mut self.wire, to, head.sequence);
                self.wire.counters.dropped_unexpected += u64::from(!answered);
            }
            PacketType::ProbeAnswer => {
                session.peer.take_probe_answer(now, &mut self.wire, text);
                self.advance(client, ServerCause::ProbeAnswer);
            }
            _ => {
                let offer = Offer::decode(text);
                self.advance(client, ServerCause::KeepAlive);
                if let Some(offer) = offer {
                    self.accept(now, client, offer);
                }
            }
        }
        if head.form.is_extended() {
            self.follow(now, client, from, bytes, newest);
        }
        if resumed.is_some() {
            // It does not know its slot.
            self.send_keep_alive(now, client);
        }
    }

    pub(super) fn advance(&mut self, client: ClientId, cause: ServerCause) {
        let Some(session) = self.sessions.get_mut(client) else { return };
        match session.phase.after(cause) {
            Some(phase) => session.phase = phase,
            None => self.wire.counters.dropped_unexpected += 1,
        }
    }
}
