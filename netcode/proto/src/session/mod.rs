//! netcode 1.02 sessions: handshake, sealing, replay protection, keep-alives, timeouts, one link a session.
//!
//! Knows keys and addresses; must never know what a body means (that is the link's) nor what a message says.
//! The bytes are numbered in `netcode/STANDARD.md`, the transitions in `netcode/STATES.md`.

mod challenge;
mod client;
mod config;
mod event;
mod extension;
mod hash;
mod mtu;
mod outbox;
mod packet;
mod path;
mod peer;
mod phase;
mod replay;
mod resume;
mod server;
mod wire;

pub use client::Client;
pub use config::{ClientConfig, Extensions, ServerConfig};
pub use event::{ClientId, ClientState, ConnectError, Counters, DisconnectReason, ServerEvent, Transmit};
#[doc(hidden)]
pub use packet::PacketBench;
pub use packet::{REQUEST_BYTES, Request};
pub use server::Server;

use std::time::Duration;

/// The longest datagram that a session sends where the path has shown that it takes it: an Ethernet frame's 1500 bytes
/// less 20 of IPv4 and 8 of UDP.
pub const DATAGRAM_BYTES_MAX: usize = 1472;
/// The longest datagram that a session sends without having asked: 1280 bytes that IPv6 guarantees, less 40 and 8 of
/// headers, and 32 to spare for tunnels.
pub const DATAGRAM_BYTES_BASE: usize = 1200;
/// The longest datagram on a path that has shown that it does not take that: the 576 bytes that IPv4 guarantees, less 28.
pub const DATAGRAM_BYTES_LEAST: usize = 548;
/// What a datagram holds beside its body: 1 prefix, 4 connection id, at most 8 of sequence, 16 of tag.
pub const BODY_OVERHEAD_BYTES: usize = 29;
/// The longest body in a datagram of [`DATAGRAM_BYTES_BASE`].
pub const BODY_BYTES_BASE: usize = DATAGRAM_BYTES_BASE - BODY_OVERHEAD_BYTES;
/// The longest body of all.
pub const BODY_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - BODY_OVERHEAD_BYTES;

/// How often a step of the handshake is repeated until it is answered: the standard's 10 Hz.
const HANDSHAKE_INTERVAL: Duration = Duration::from_millis(100);
