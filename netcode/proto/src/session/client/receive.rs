//! What comes in: which packet it is and what it does to the session. Must never know a timer.

use std::net::SocketAddr;

use netcode_token::aead::Cipher;
use netcode_wire::{Ecn, Time};

use super::Client;
use crate::session::DisconnectReason;
use crate::session::extension::Accept;
use crate::session::packet::{Head, PacketType, Sender};
use crate::session::path::is_same_host;
use crate::session::peer::Opened;
use crate::session::phase::{ClientCause, ClientPhase};

impl Client {
    /// Takes in a datagram, opening it in place. Whatever is wrong with it is counted; nothing else happens.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.handle_arrival(now, from, Ecn::NotCapable, datagram);
    }

    /// As [`Client::handle_datagram`, for who can tell the mark that its IP header had: what routers say of congestion.
    pub fn handle_arrival(&mut self, now: Time, from: SocketAddr, ecn: Ecn, datagram: &mut [u8]) {
        self.wire.note_received(ecn, datagram.len());
        if from != self.server() {
            self.wire.counters.dropped_unknown += 1;
            return;
        }
        let Some(head) = Head::decode(datagram, Sender::Server) else {
            self.wire.counters.dropped_malformed += 1;
            return;
        };
        if !self.expects(head.kind) {
            self.wire.counters.dropped_unexpected += 1;
            return;
        }
        match head.kind {
            PacketType::Denied | PacketType::Challenge => self.handle_handshake(now, datagram, head),
            PacketType::Accept if self.phase == ClientPhase::Requesting => {
                self.handle_resumed(now, datagram, head);
            }
            _ => self.handle_session_packet(now, datagram, head),
        }
    }

    /// Whether a packet of this type can mean anything now. What cannot is not even opened: a packet dropped for
    /// coming too early must not be marked as seen.
    fn expects(&self, kind: PacketType) -> bool {
        let cause = match kind {
            PacketType::Denied => ClientCause::Denied,
            // Who resumes has no challenge to answer: he would seal with a key that is not his any more.
            PacketType::Challenge if self.resumes => return false,
            PacketType::Challenge => ClientCause::Challenge,
            PacketType::KeepAlive => ClientCause::KeepAlive,
            PacketType::Payload => ClientCause::Payload,
            PacketType::Disconnect => ClientCause::PeerDisconnect,
            // An answer to a resumption counts among the server's own packets: once it was heard, a repeated one must
            // never come near the session's replay window.
            PacketType::Accept if self.resumes => {
                return self.phase.after(ClientCause::Resumed).is_some();
            }
            PacketType::Accept if self.config.extensions.enabled => ClientCause::Accept,
            PacketType::PathChallenge => ClientCause::PathChallenge,
            PacketType::Probe => ClientCause::Probe,
            PacketType::ProbeAnswer => ClientCause::ProbeAnswer,
            PacketType::Accept | PacketType::Response | PacketType::PathResponse => return false,
        };
        self.phase.after(cause).is_some()
    }

    fn handle_handshake(&mut self, now: Time, datagram: &mut [u8], head: Head) {
        let Some(text) = self.peer.open_handshake(&mut self.wire, datagram, head) else { return };
        if head.kind == PacketType::Challenge {
            self.challenge.copy_from_slice(text);
            if self.advance(now, ClientCause::Challenge, DisconnectReason::Denied) {
                self.ask(now);
            }
            return;
        }
        let cause = if self.has_next_server() { ClientCause::DeniedTryNext } else { ClientCause::Denied };
        if self.advance(now, cause, DisconnectReason::Denied) && self.phase == ClientPhase::Requesting {
            self.ask(now);
        }
    }

    fn handle_session_packet(&mut self, now: Time, datagram: &mut [u8], head: Head) {
        let Some(Opened { text, .. }) = self.peer.open(now, &mut self.wire, datagram, head) else { return };
        let was_connected = self.phase == ClientPhase::Connected;
        match head.kind {
            PacketType::Disconnect => {
                self.advance(now, ClientCause::PeerDisconnect, DisconnectReason::ByPeer);
            }
            PacketType::Payload => match self.peer.link.handle_body(now, head.sequence, text) {
                Ok(()) => {
                    self.advance(now, ClientCause::Payload, DisconnectReason::ByPeer);
                }
                Err(error) => self.leave(now, ClientCause::Misbehaviour, DisconnectReason::Misbehaved(error)),
            },
            PacketType::Accept => {
                let accept = Accept::decode(text);
                self.handle_accept(now, accept);
            }
            PacketType::PathChallenge => {
                if self.advance(now, ClientCause::PathChallenge, DisconnectReason::ByPeer) {
                    let server = self.server();
                    let cookie = text.first_chunk().copied();
                    if self.challenged != cookie {
                        // Repeated, it is the same move.
                        self.challenged = cookie;
                        self.peer.path_changed(now, &mut self.wire, is_same_host(text));
                    }
                    self.peer.send(now, &mut self.wire, server, PacketType::PathResponse, text);
                }
            }
            PacketType::Probe => {
                let server = self.server();
                let answered = self.advance(now, ClientCause::Probe, DisconnectReason::ByPeer)
                    && self.peer.answer_probe(&mut self.wire, server, head.sequence);
                self.wire.counters.dropped_unexpected += u64::from(!answered);
            }
            PacketType::ProbeAnswer => {
                if self.advance(now, ClientCause::ProbeAnswer, DisconnectReason::ByPeer) {
                    self.peer.take_probe_answer(now, &mut self.wire, text);
                }
            }
            _ => {
                self.index = text.first_chunk().map(|index| u32::from_le_bytes(*index));
                if self.advance(now, ClientCause::KeepAlive, DisconnectReason::ByPeer) && !was_connected {
                    self.peer.restart_timers(now);
                    // The server repeats itself until it hears from us.
                    self.send_keep_alive(now);
                }
            }
        }
    }
    /// The server's yes to our resumption; it counts among the server's own packets, not the session's.
    fn handle_resumed(&mut self, now: Time, datagram: &mut [u8], head: Head) {
        if let Some(text) = self.peer.open_handshake(&mut self.wire, datagram, head) {
            let accept = Accept::decode(text);
            self.handle_accept(now, accept);
        }
    }

    /// The server's yes. One that it gave to an offer which we did not make is not honoured.
    fn handle_accept(&mut self, now: Time, accept: Option<Accept>) {
        let offered = self.config.extensions;
        let accept = accept.filter(|accept| offered.aes_hardware || accept.cipher != Cipher::Aes256Gcm);
        let accept = accept.filter(|accept| offered.ecn || !accept.ecn);
        let resumed = self.phase == ClientPhase::Requesting;
        let cause = if resumed { ClientCause::Resumed } else { ClientCause::Accept };
        let taken = accept.is_some_and(|accept| {
            self.advance(now, cause, DisconnectReason::ByPeer)
                && self.peer.take_acceptance(now, &mut self.wire, &accept)
        });
        if taken {
            if resumed {
                self.peer.restart_timers(now);
            }
            // The server keeps to the standard until it sees that we do not.
            self.send_keep_alive(now);
        } else {
            self.wire.counters.dropped_unexpected += 1;
        }
    }
}
