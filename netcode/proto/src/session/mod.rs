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
pub use server::Server;

use std::time::Duration;

/// The longest datagram that a session sends, bytes.
pub const DATAGRAM_BYTES_MAX: usize = 1200;
/// The longest body inside it: less 1 prefix, 4 connection id, at most 8 of sequence, 16 of tag.
pub const BODY_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - 29;

/// How often a step of the handshake is repeated until it is answered: the standard's 10 Hz.
const HANDSHAKE_INTERVAL: Duration = Duration::from_millis(100);
