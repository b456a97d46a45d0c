//! The client's half of a session: what it holds and what it tells. The verbs live in the files beside it:
//! `receive`, `transmit`, `timer`.
//!
//! Must never know a socket, a tick or what a message means.

mod receive;
mod timer;
mod transmit;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use netcode_token::{Key, PublicToken};
use netcode_wire::Time;

use super::extension::Offer;
use super::packet::{CHALLENGE_TEXT_LEN, Request};
use super::path::COOKIE_LEN;
use super::peer::{Peer, SessionKeys};
use super::phase::{ClientCause, ClientPhase};
use super::resume::{Resume, resumed_keys};
use super::wire::Wire;
use super::{ClientConfig, ClientState, ConnectError, Counters, DisconnectReason};
use crate::{ChannelId, ChannelStats, Link, LinkStats};

/// A netcode 1.02 client: one session with the first of a token's servers that takes it.
///
/// A tick of its owner: every received datagram to [`Client::handle_datagram`]; [`Client::step`];
/// [`Client::poll_message`] until empty; [`Client::send`]; [`Client::flush`]; [`Client::poll_transmit`] until
/// empty.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    wire: Wire,
    peer: Peer,
    phase: ClientPhase,
    /// Why it is over; meaningful in `Disconnected` only.
    reason: DisconnectReason,
    servers: Vec<SocketAddr>,
    /// Which of the servers is tried, or was reached.
    server: usize,
    /// What asks for a session, or for the old one.
    request: Box<[u8]>,
    resumes: bool,
    /// What the server wants to see again.
    challenge: Box<[u8; CHALLENGE_TEXT_LEN]>,
    index: Option<u32>,
    /// The last path challenge that came.
    challenged: Option<[u8; COOKIE_LEN]>,
    /// How long the token lives, counted from `began_at`: so the clocks of client and backend need not agree.
    token_life: Duration,
    began_at: Time,
    /// When this step of the handshake began.
    phase_at: Time,
    /// When this step of the handshake was last sent.
    asked_at: Time,
    /// When the server was last offered more than the standard, and how often.
    offered_at: Time,
    offers: u32,
    /// Whether `release` was called since the last flush.
    released: bool,
}

impl Client {
    /// Begins a session: the first request is queued at once.
    ///
    /// # Errors
    /// [`ConnectError`] when the token cannot be read or is for another protocol.
    pub fn connect(now: Time, token: &[u8], config: ClientConfig) -> Result<Self, ConnectError> {
        Self::begin(now, token, config, None)
    }

    /// Comes back to the session that began with this token and that its client lost, by a crash say: in one round
    /// trip, without a new token, as long as the token has not expired and neither end has ended the session. To the
    /// server's application it is a new session of the same player, which supersedes the old one; what the old one had
    /// under way is gone. A server that does not know the session, or keeps to the standard, is silent.
    ///
    /// `fresh` must never have served before, in this process or another: [`Key::generate`]. All keys of the
    /// session come from it.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn resume(
        now: Time,
        token: &[u8],
        mut config: ClientConfig,
        fresh: &Key,
    ) -> Result<Self, ConnectError> {
        config.extensions.enabled = true;
        Self::begin(now, token, config, Some(fresh))
    }

    fn begin(
        now: Time,
        token: &[u8],
        config: ClientConfig,
        fresh: Option<&Key>,
    ) -> Result<Self, ConnectError> {
        let token = PublicToken::decode(token)?;
        if token.protocol_id != config.protocol_id {
            return Err(ConnectError::WrongProtocol { token: token.protocol_id, ours: config.protocol_id });
        }
        let mut keys = SessionKeys { seal: token.client_to_server, open: token.server_to_client };
        let link = Link::new(&config.channels, config.link.clone());
        let plain = Request::encode(token.protocol_id, token.expire_unix_s, &token.nonce, &token.private);
        let mut request: Box<[u8]> = plain.clone();
        if let Some(fresh) = fresh {
            let offer = Offer::of(config.extensions);
            request = Resume::encode(&plain, &keys.seal, fresh, offer);
            keys = resumed_keys(&keys, fresh);
        }
        let mut client = Self {
            wire: Wire::new(config.protocol_id),
            peer: Peer::new(now, keys, token.timeout_s, link),
            phase: ClientPhase::Requesting,
            reason: DisconnectReason::ByUs(0),
            servers: token.servers,
            server: 0,
            request,
            resumes: fresh.is_some(),
            challenge: Box::new([0; CHALLENGE_TEXT_LEN]),
            index: None,
            challenged: None,
            token_life: Duration::from_secs(token.expire_unix_s - token.create_unix_s),
            began_at: now,
            phase_at: now,
            asked_at: now,
            offered_at: now,
            offers: 0,
            released: false,
            config,
        };
        client.ask(now);
        Ok(client)
    }

    /// The next message from the server; also after the end, until none is left.
    pub fn poll_message(&mut self) -> Option<(ChannelId, Bytes)> {
        self.peer.link.receive()
    }

    /// Where the session stands.
    #[must_use]
    pub const fn state(&self) -> ClientState {
        match self.phase {
            ClientPhase::Requesting | ClientPhase::Responding => ClientState::Connecting,
            ClientPhase::Connected => ClientState::Connected,
            ClientPhase::Disconnected => ClientState::Disconnected(self.reason),
        }
    }

    /// What the link measures.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        self.peer.link.stats()
    }

    /// What `channel` has sent and still holds; `None` when there is no such channel.
    #[must_use]
    pub fn channel_stats(&self, channel: ChannelId) -> Option<ChannelStats> {
        self.peer.link.channel_stats(channel)
    }

    /// The longest datagram that the path to the server is known to take, bytes.
    #[must_use]
    pub fn datagram_bytes(&self) -> usize {
        self.peer.datagram_bytes()
    }

    /// What came, went and was dropped.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.wire.counters
    }

    /// The slot that the server gave; `None` before the session stands.
    #[must_use]
    pub const fn client_index(&self) -> Option<u32> {
        self.index
    }

    /// The server that is being tried, or that answered.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        self.servers[self.server]
    }

    /// Moves by `cause`, if the phase lets it: the one place where the phase changes. `reason` counts if it ends here.
    fn advance(&mut self, now: Time, cause: ClientCause, reason: DisconnectReason) -> bool {
        let Some(phase) = self.phase.after(cause) else {
            return false;
        };
        if matches!(cause, ClientCause::DeniedTryNext | ClientCause::SilenceTryNext) {
            self.server += 1;
        }
        if phase != self.phase || phase == ClientPhase::Requesting {
            self.phase_at = now;
        }
        if phase == ClientPhase::Disconnected {
            self.reason = reason;
        }
        self.phase = phase;
        true
    }

    fn has_next_server(&self) -> bool {
        self.server + 1 < self.servers.len()
    }
}
