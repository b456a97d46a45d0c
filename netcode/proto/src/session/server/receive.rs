//! What comes in: which packet it is, whose it is, what it does to the session. Must never know who may come in.

use std::net::SocketAddr;

use netcode_wire::Time;

use super::Server;
use crate::session::packet::{Head, PacketType, Request};
use crate::session::phase::ServerCause;
use crate::session::{ClientId, DisconnectReason};

impl Server {
    /// Takes in a datagram, opening it in place. Whatever is wrong with it is counted; nothing else happens.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.now = now;
        self.wire.note_received(datagram.len());
        if Request::is_claimed(datagram) {
            self.handle_request(now, from, datagram);
            return;
        }
        let Some(head) = Head::decode(datagram) else {
            self.wire.counters.dropped_malformed += 1;
            return;
        };
        match head.kind {
            PacketType::Response => self.handle_response(now, from, datagram, head),
            PacketType::KeepAlive | PacketType::Payload | PacketType::Disconnect => {
                self.handle_session_packet(now, from, datagram, head);
            }
            PacketType::Denied | PacketType::Challenge => self.wire.counters.dropped_unexpected += 1,
        }
    }

    fn handle_session_packet(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8], head: Head) {
        let Some(client) = self.sessions.at_address(&from) else {
            self.wire.counters.dropped_unknown += 1;
            return;
        };
        let Some(session) = self.sessions.get_mut(client) else { return };
        let Some(text) = session.peer.open(now, &mut self.wire, datagram, head) else { return };
        match head.kind {
            PacketType::Disconnect => {
                self.close(now, client, ServerCause::PeerDisconnect, DisconnectReason::ByPeer);
            }
            PacketType::Payload => match session.peer.link.handle_body(now, head.sequence, text) {
                Ok(()) => self.advance(client, ServerCause::Payload),
                Err(error) => {
                    let reason = DisconnectReason::Misbehaved(error);
                    self.close(now, client, ServerCause::Misbehaviour, reason);
                }
            },
            _ => self.advance(client, ServerCause::KeepAlive),
        }
    }

    fn advance(&mut self, client: ClientId, cause: ServerCause) {
        let Some(session) = self.sessions.get_mut(client) else { return };
        match session.phase.after(cause) {
            Some(phase) => session.phase = phase,
            None => self.wire.counters.dropped_unexpected += 1,
        }
    }
}
