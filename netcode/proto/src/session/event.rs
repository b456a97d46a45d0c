//! What sessions tell the outside: who came, who went and why, what was dropped, what is to be sent.
//!
//! Plain data; must never know how it came about.

use std::net::SocketAddr;

use netcode_token::{TokenError, USER_DATA_LEN};
use netcode_wire::Ecn;

use crate::LinkError;

/// A client of a server: its slot and how often the slot was taken before, so that no two are ever alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(u32);

impl ClientId {
    /// The client in `slot` after `generation` others: for whoever keeps a table of sessions.
    #[must_use]
    pub const fn new(slot: u16, generation: u16) -> Self {
        Self((generation as u32) << 16 | slot as u32)
    }

    /// The slot, `0..clients_max`: unique among the connected, taken again after a disconnect.
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 & 0xffff) as usize
    }
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DisconnectReason {
    /// We ended it, with the application's code.
    #[error("we disconnected, code {0}")]
    ByUs(u8),
    /// The other side said goodbye.
    #[error("peer disconnected")]
    ByPeer,
    /// The other side was silent for the token's timeout.
    #[error("peer was silent for too long")]
    TimedOut,
    /// The same player, or another one from the same address, came with a newer token.
    #[error("a newer session took over")]
    Superseded,
    /// The other side sent what no honest one does.
    #[error("peer broke the protocol: {0}")]
    Misbehaved(#[from] LinkError),
    /// No server answered the request (client only).
    #[error("no server answered")]
    RequestTimedOut,
    /// The last server ceased to answer during the handshake (client only).
    #[error("server ceased to answer during the handshake")]
    ResponseTimedOut,
    /// The last server refused: it is full (client only).
    #[error("server refused")]
    Denied,
    /// The token expired before a server took it (client only).
    #[error("token expired before a server took it")]
    TokenExpired,
}

/// What happened on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// A client completed the handshake.
    Connected {
        /// The client.
        client: ClientId,
        /// The player: the token's client id.
        player: u64,
        /// What the backend wrote for the application.
        user_data: Box<[u8; USER_DATA_LEN]>,
    },
    /// A client is gone. What it sent before can be read until the next `step`.
    Disconnected {
        /// The client.
        client: ClientId,
        /// Why.
        reason: DisconnectReason,
    },
}

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientState {
    /// Shaking hands with one of the token's servers.
    Connecting,
    /// Messages flow.
    Connected,
    /// Over; a new client needs a new token.
    Disconnected(DisconnectReason),
}

/// Why a client could not even begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The token cannot be read.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token is for another game or version.
    #[error("token is for protocol {token:#x}, not {ours:#x}")]
    WrongProtocol {
        /// The token's protocol id.
        token: u64,
        /// The configured one.
        ours: u64,
    },
}

/// A datagram to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// Where to.
    pub to: SocketAddr,
    /// The mark that its IP header should have: [`Ecn::Ect0`] where both ends answer to marks, otherwise none.
    pub ecn: Ecn,
    /// What, at most [`crate::DATAGRAM_BYTES_MAX`] bytes.
    pub bytes: &'a [u8],
}

/// What came, what went and what was dropped, by cause. Every field only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams taken in, dropped ones included.
    pub datagrams_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Datagrams queued to be sent.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Dropped: no packet of the standard has this length or type, or no session's packet this sequence.
    pub dropped_malformed: u64,
    /// Dropped: from an address that no session or handshake has.
    pub dropped_unknown: u64,
    /// Dropped: seen before, or older than the replay window.
    pub dropped_replayed: u64,
    /// Dropped: not authentic.
    pub dropped_forged: u64,
    /// Dropped: a packet that the session's state does not expect.
    pub dropped_unexpected: u64,
    /// Requests dropped: other version or protocol, not our server, or not authentic.
    pub requests_invalid: u64,
    /// Requests dropped: the token has expired.
    pub requests_expired: u64,
    /// Requests dropped: the token was used from another address, or its session is over.
    pub requests_reused: u64,
    /// Requests dropped: a table of handshakes or of used tokens is full.
    pub requests_overflowed: u64,
    /// Requests and responses refused with a packet: the server is full, or the token older than the session's.
    pub denied: u64,
    /// Datagrams not queued: the outbox was full because nobody polled it.
    pub outbox_overflowed: u64,
    /// Sessions begun.
    pub connected: u64,
    /// Sessions resumed with a token that had begun one before.
    pub resumed: u64,
    /// Sessions that went on to the extended form.
    pub extended: u64,
    /// Path challenges sent to addresses from which a session's packets came.
    pub paths_challenged: u64,
    /// Sessions moved to another address.
    pub paths_moved: u64,
    /// Probes of how long a datagram a path takes, sent.
    pub mtu_probes: u64,
    /// Those that were answered.
    pub mtu_probes_answered: u64,
    /// How often the longest datagram of a session grew.
    pub mtu_raised: u64,
    /// How often datagrams of the length in use vanished, and a session went back to shorter ones.
    pub mtu_black_holes: u64,
    /// Sessions ended.
    pub disconnected: u64,
}
