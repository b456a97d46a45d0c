//! What a session may be told. Owns the knobs and their defaults; must never know a packet.

use std::net::SocketAddr;
use std::time::Duration;

use netcode_token::Key;

use crate::{ChannelSet, LinkConfig};

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
        }
    }
}

// Two datagrams a second keep the usual NAT binding (30 s and more) and tell silence from absence.
const KEEP_ALIVE: Duration = Duration::from_millis(500);
