//! Datagrams over WebSocket (RFC 6455), for players in browsers. Owns: connections, their queues and the one thread
//! that serves them. Must never know: packets, sessions, which channel a datagram carries.
//!
//! One datagram is one binary message. TCP would deliver all of them, late if need be; a game wants the newest, now.
//! So nothing waits behind TCP for long:
//!
//! | place | bound | then |
//! |---|---|---|
//! | a connection's outgoing queue | [`WebSocketOptions::queue_datagrams_max`] | the oldest is dropped, counted `dropped_send_full` |
//! | the same | [`WebSocketOptions::stale_after`] | what waited longer is dropped, counted `dropped_send_full` |
//! | the kernel's send buffer | 4 KiB not yet sent (Linux, macOS) | the queue above grows |
//! | the incoming ring | [`WebSocketOptions::ring_datagrams_max`] | the newest is dropped, counted `dropped_ring_full` |
//! | the same, not yet acknowledged | 64 KiB in the kernel | the queue above grows |
//! | one peer's pace | 512 messages in 100 ms | it is read no faster; TCP makes it wait |
//!
//! A stranger costs little, and not for long. What is refused or closed is counted by cause ([`WebSocketCounters`]):
//!
//! | place | bound | then |
//! |---|---|---|
//! | its request | 8 KiB, [`WebSocketOptions::handshake_timeout`] | closed |
//! | requests under way | [`WebSocketOptions::handshakes_max`] | the oldest gives way: an honest one takes a round trip |
//! | what it asks for | `GET`, an upgrade, and [`WEBSOCKET_PROTOCOL`] | refused with status 400 |
//! | connections | [`WebSocketOptions::connections_max`] | a further one is refused with status 503 |
//! | a message | [`crate::DATAGRAM_BYTES_MAX`], binary | closed with code 1009, 1003 |
//! | silence | [`WebSocketOptions::idle_timeout`] | closed with code 1001 |
//! | no answer from above | [`WebSocketOptions::answer_within`] | closed with code 1008 |
//!
//! The last is how a carrier that knows no sessions closes strangers: the protocol above answers authentic peers only,
//! and sends keep-alives to those it has let in. So whoever was sent nothing for long has no business here.
//!
//! A dropped datagram is a lost one to the protocol above: it sends again what was reliable, and only that.
//!
//! What it lacks against UDP: a lost TCP segment holds back all that follows it (one round trip and more); no ECN; no
//! path MTU to discover; library and kernel allocate for each message; about twice the header bytes. Encryption is the
//! datagrams' own, so `ws://` gives nothing away, but browsers on `https://` pages demand `wss://`: put a proxy that
//! ends TLS in front.
//!
//! A connection is known above by an address that stands for it alone (`src/tunnel.rs`), never by its TCP address:
//! [`WebSocketServer::remote`] tells that one.

mod causes;
mod client;
mod connection;
mod door;
mod outbox;
mod server;

use std::{io, net::SocketAddr, time::Duration};

pub use causes::WebSocketCounters;
pub use client::{WebSocketClient, WebSocketState};
pub use server::WebSocketServer;

/// The subprotocol that both sides name at the upgrade.
pub const WEBSOCKET_PROTOCOL: &str = "tickwright.datagrams.v1";

/// How a WebSocket carrier is set up.
#[derive(Clone, Copy, Debug)]
pub struct WebSocketOptions {
    /// Datagrams that wait unread at most, of all connections together.
    pub ring_datagrams_max: usize,
    /// Datagrams that wait to be sent at most, of one connection. Each costs up to 2 KiB.
    pub queue_datagrams_max: usize,
    /// What waited to be sent for longer is of no use any more.
    pub stale_after: Duration,
    /// Open connections at most (server).
    pub connections_max: usize,
    /// A connection on which nothing arrives for so long is closed. The protocol above sends keep-alives more often.
    pub idle_timeout: Duration,
    /// A connection on which nothing was sent for so long is closed (server): the protocol above does not know it.
    pub answer_within: Duration,
    /// How long a stranger may take to ask for an upgrade (server).
    pub handshake_timeout: Duration,
    /// Strangers that may be about to ask at the same time (server).
    pub handshakes_max: usize,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self {
            ring_datagrams_max: 4096,
            // A second at 60 Hz; what is stale goes earlier.
            queue_datagrams_max: 64,
            stale_after: Duration::from_millis(250),
            connections_max: 1024,
            idle_timeout: Duration::from_secs(20),
            // Ten keep-alives of a session; a handshake repeats its request every 100 ms.
            answer_within: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(5),
            handshakes_max: 256,
        }
    }
}

/// Why a WebSocket carrier could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// The address is taken, not ours, or not allowed to us.
    #[error("cannot bind tcp socket to {addr}: {source}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The system gave no thread, or no event queue.
    #[error("cannot start a websocket thread: {0}")]
    Thread(#[source] io::Error),
}
