//! What a session may be told. Owns the knobs and their defaults; must never know a packet or a processor.

use std::net::SocketAddr;
use std::time::Duration;

use netcode_token::Key;

use crate::{ChannelSet, LinkConfig};

/// What an end offers or accepts beyond netcode 1.02. A plain peer never notices: nothing of it is sent before
/// both ends have said yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions {
    /// Whether to use any: a connection id in every packet from the client, so that the session survives a change of
    /// the client's address, and keys of its own.
    pub enabled: bool,
    /// Whether this machine seals faster with AES-256-GCM ([`netcode_token::aead::has_aes_hardware`]): used when both
    /// ends say so, ChaCha20-Poly1305 otherwise.
    pub aes_hardware: bool,
    /// Whether to find out how long a datagram the path takes (RFC 8899), and to answer who finds out. The socket must
    /// not let datagrams be fragmented: else what is found is not the path's. Used when both ends say so.
    pub path_mtu: bool,
    /// Whether to ask for congestion marks ([`Transmit::ecn`](crate::Transmit::ecn)), to answer them, and to tell the
    /// other end of those that came. Used when both ends say so; who sends without the mark, or cannot read it
    /// (`handle_datagram`), loses nothing but the marks: the path is taken for one that erases them.
    pub ecn: bool,
}

impl Extensions {
    /// Netcode 1.02 and nothing else.
    pub const NONE: Self = Self { enabled: false, aes_hardware: false, path_mtu: false, ecn: false };
}

impl Default for Extensions {
    /// Connection ids, path MTU discovery, congestion marks, and the standard's cipher: nobody is asked what the processor can do.
    fn default() -> Self {
        Self { enabled: true, aes_hardware: false, path_mtu: true, ecn: true }
    }
}

/// How a server admits and keeps clients.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The game and its version; tokens for another one are refused.
    pub protocol_id: u64,
    /// Opens the tokens: shared with the backend.
    pub private_key: Key,
    /// Seals the challenges. Fresh for every process ([`Key::generate`]): with an old one, an old answer to a
    /// challenge would be believed again.
    pub challenge_key: Key,
    /// The addresses by which tokens may name this server. Empty: whatever address a token names is taken
    /// for ours, for hosts that do not know how the world sees them.
    pub public_addresses: Vec<SocketAddr>,
    /// How many clients may be connected, at most 65,535.
    pub clients_max: usize,
    /// Unix seconds at [`netcode_wire::Time::ZERO`]: tokens expire by the wall clock.
    pub unix_at_zero_s: u64,
    /// The channels of every client's link.
    pub channels: ChannelSet,
    /// How every client's link behaves.
    pub link: LinkConfig,
    /// Seeds what must be unpredictable together with `challenge_key`; equal runs need equal seeds.
    pub seed: u64,
    /// A keep-alive goes out when nothing else did for this long.
    pub keep_alive: Duration,
    /// What clients that offer it may have beyond the standard.
    pub extensions: Extensions,
}

impl ServerConfig {
    /// The defaults: 64 clients, the standard channels, keep-alives twice a second, a fresh challenge key.
    #[must_use]
    pub fn new(protocol_id: u64, private_key: Key) -> Self {
        Self {
            protocol_id,
            private_key,
            challenge_key: Key::generate(),
            public_addresses: Vec::new(),
            clients_max: 64,
            unix_at_zero_s: 0,
            channels: ChannelSet::standard(),
            link: LinkConfig::default(),
            seed: 0,
            keep_alive: KEEP_ALIVE,
            extensions: Extensions::default(),
        }
    }
}

/// How a client keeps its session.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The game and its version; must equal the token's.
    pub protocol_id: u64,
    /// The channels: equal to the server's.
    pub channels: ChannelSet,
    /// How the link behaves.
    pub link: LinkConfig,
    /// A keep-alive goes out when nothing else did for this long.
    pub keep_alive: Duration,
    /// What to offer the server beyond the standard.
    pub extensions: Extensions,
}

impl ClientConfig {
    /// The defaults: the standard channels, keep-alives twice a second.
    #[must_use]
    pub fn new(protocol_id: u64) -> Self {
        Self {
            protocol_id,
            channels: ChannelSet::standard(),
            link: LinkConfig::default(),
            keep_alive: KEEP_ALIVE,
            extensions: Extensions::default(),
        }
    }
}

// Two datagrams a second keep the usual NAT binding (30 s and more) and tell silence from absence.
const KEEP_ALIVE: Duration = Duration::from_millis(500);
