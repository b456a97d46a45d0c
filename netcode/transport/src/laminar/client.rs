//! The client's half over laminar. Must never know a game.

use std::net::SocketAddr;
use std::time::Duration;

use netcode_proto::{
    Bytes, ChannelId, ClientConfig, ClientSession, ClientState, ConnectError, DisconnectReason, LinkStats,
    Request, SendError, Transmit,
};
use netcode_token::PublicToken;
use netcode_wire::Time;

use super::frame::{ANSWER, Cookie, Envelope, HELLO, Handshake};
use super::peer::Peer;
use super::post::Post;
use crate::foreign::patience;

/// A session with a laminar server, in the clear.
#[derive(Debug)]
pub struct LaminarClientSession {
    post: Post,
    envelope: Envelope,
    peer: Peer,
    token: PublicToken,
    /// Which of the token's servers is tried, or was reached.
    server: usize,
    phase: Phase,
    began_at: Time,
    /// When this step of the handshake began, and when it was last said.
    phase_at: Time,
    asked_at: Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Requesting,
    Responding(Cookie),
    Connected,
    Ended(DisconnectReason),
}

impl LaminarClientSession {
    /// Begins a session with a connect token (2048 bytes). Of `config`, protocol id and channels count.
    ///
    /// # Errors
    /// The token cannot be read, or is for another protocol.
    pub fn connect(now: Time, token: &[u8], config: &ClientConfig) -> Result<Self, ConnectError> {
        let token = PublicToken::decode(token)?;
        if token.protocol_id != config.protocol_id {
            return Err(ConnectError::WrongProtocol { token: token.protocol_id, ours: config.protocol_id });
        }
        let mut post = Post::new();
        let envelope = Envelope::new(&mut post);
        let peer = Peer::new(now, &post, token.servers[0], token.timeout_s, &config.channels);
        let mut session = Self {
            post,
            envelope,
            peer,
            token,
            server: 0,
            phase: Phase::Requesting,
            began_at: now,
            phase_at: now,
            asked_at: now,
        };
        session.ask(now);
        Ok(session)
    }

    /// Says this step of the handshake.
    fn ask(&mut self, now: Time) {
        self.asked_at = now;
        let to = self.server();
        let PublicToken { protocol_id, expire_unix_s, nonce, private, .. } = &self.token;
        let datagram = match &self.phase {
            Phase::Requesting => {
                let request = Request::encode(*protocol_id, *expire_unix_s, nonce, private);
                self.envelope.seal(HELLO, request.as_slice())
            }
            Phase::Responding(cookie) => self.envelope.seal(ANSWER, cookie),
            Phase::Connected | Phase::Ended(_) => return,
        };
        self.post.outgoing.push(to, &datagram);
    }

    fn enter(&mut self, now: Time, phase: Phase) {
        self.phase = phase;
        self.phase_at = now;
        self.ask(now);
    }

    /// Gives this server up for the next, if there is one.
    fn try_next(&mut self, now: Time, reason: DisconnectReason) {
        if self.server + 1 >= self.token.servers.len() {
            self.phase = Phase::Ended(reason);
            return;
        }
        self.server += 1;
        let server = self.server();
        self.peer.move_to(now, &self.post, server);
        self.enter(now, Phase::Requesting);
    }

    fn handle_handshake(&mut self, now: Time, datagram: &mut [u8]) {
        match (self.envelope.open(datagram), self.phase) {
            (Some(Handshake::Challenge(cookie)), Phase::Requesting) => {
                self.enter(now, Phase::Responding(cookie));
            }
            (Some(Handshake::Welcome), Phase::Responding(_)) => {
                self.peer.restart_timers(now);
                self.enter(now, Phase::Connected);
            }
            (Some(Handshake::Denied), Phase::Requesting | Phase::Responding(_)) => {
                self.try_next(now, DisconnectReason::Denied);
            }
            _ => self.post.outgoing.counters.dropped_unexpected += 1,
        }
    }

    fn step_handshake(&mut self, now: Time) {
        let token_life = Duration::from_secs(self.token.expire_unix_s - self.token.create_unix_s);
        let timeout = patience(self.token.timeout_s);
        if now.since(self.began_at) >= token_life {
            self.phase = Phase::Ended(DisconnectReason::TokenExpired);
        } else if timeout.is_some_and(|timeout| now.since(self.phase_at) >= timeout) {
            let reason = match self.phase {
                Phase::Requesting => DisconnectReason::RequestTimedOut,
                _ => DisconnectReason::ResponseTimedOut,
            };
            self.try_next(now, reason);
        } else if now.since(self.asked_at) >= ASK_INTERVAL {
            self.ask(now);
        }
    }
}

impl ClientSession for LaminarClientSession {
    fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.post.outgoing.note_received(datagram.len());
        if from != self.server() {
            self.post.outgoing.counters.dropped_unknown += 1;
            return;
        }
        match self.phase {
            Phase::Ended(_) => {}
            Phase::Requesting | Phase::Responding(_) => self.handle_handshake(now, datagram),
            Phase::Connected => {
                if let Err(reason) = self.peer.handle(now, &mut self.post, datagram) {
                    if reason != DisconnectReason::ByPeer {
                        self.peer.leave(now, &mut self.post);
                    }
                    self.phase = Phase::Ended(reason);
                }
            }
        }
    }

    fn step(&mut self, now: Time) {
        match self.phase {
            Phase::Requesting | Phase::Responding(_) => self.step_handshake(now),
            Phase::Connected if self.peer.is_lost(now, &self.post) => {
                self.phase = Phase::Ended(DisconnectReason::TimedOut);
            }
            Phase::Connected | Phase::Ended(_) => {}
        }
    }

    fn poll_message(&mut self) -> Option<(ChannelId, Bytes)> {
        self.peer.poll_message()
    }

    fn send(&mut self, _: Time, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        self.peer.send(channel, message)
    }

    fn flush(&mut self, now: Time) {
        if self.phase == Phase::Connected {
            self.peer.flush(now, &mut self.post);
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.post.outgoing.poll()
    }

    fn disconnect(&mut self, now: Time) {
        match self.phase {
            Phase::Ended(_) => return,
            Phase::Requesting => {}
            // The server may have taken us in already.
            Phase::Responding(_) | Phase::Connected => self.peer.leave(now, &mut self.post),
        }
        self.phase = Phase::Ended(DisconnectReason::ByUs(0));
    }

    fn state(&self) -> ClientState {
        match self.phase {
            Phase::Requesting | Phase::Responding(_) => ClientState::Connecting,
            Phase::Connected => ClientState::Connected,
            Phase::Ended(reason) => ClientState::Disconnected(reason),
        }
    }

    fn stats(&self) -> LinkStats {
        self.peer.stats()
    }

    fn server(&self) -> SocketAddr {
        self.token.servers[self.server]
    }
}

/// How often a step of the handshake is repeated until it is answered, as in netcode.
const ASK_INTERVAL: Duration = Duration::from_millis(100);
