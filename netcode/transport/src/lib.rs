//! The carriers: what moves datagrams between this process and the network.
//!
//! Owns: sockets, threads of input and output, rings between them and the thread that ticks, buffers, drop counters.
//! Must never know: what is inside a datagram (no packet, no session, no world), with one exception: `renet` and
//! `laminar` are sessions made of those libraries, which fit below client and server in the place of ours. This is the
//! one room of `netcode` that may touch a socket, a clock or a thread.
//!
//! | carrier | for | threads |
//! |---|---|---|
//! | [`UdpCarrier`] | a client or a bot that drives its own loop | none |
//! | [`UdpThread`] | a server: the tick thread never waits for the kernel | one that receives, one that sends |
//! | `WebSocketServer`, `WebSocketClient` (feature `websocket`) | players in browsers; bots on their road | one |
//! | [`MemoryCarrier`] | tests, and a client in the server's own process | none |
//! | [`Joined`] | a server with players on both UDP and WebSocket | those of the two |
//!
//! | session (feature of that name) | made of | over |
//! |---|---|---|
//! | `RenetClientSession`, `RenetServerSession` (`renet`) | renet 2 and its netcode layer | any carrier |
//! | `LaminarClientSession`, `LaminarServerSession` (`laminar`) | laminar 0.5, in the clear | any carrier |
//!
//! What UDP costs, and why its carriers are as they are, is told with numbers in `src/native/mod.rs`.
//!
//! All of them speak [`Carrier`], so that the code above is written once.

mod carrier;
mod counters;
#[cfg(any(feature = "renet", feature = "laminar"))]
mod foreign;
mod joined;
#[cfg(feature = "laminar")]
mod laminar;
mod memory;
mod native;
mod parcels;
#[cfg(feature = "renet")]
mod renet;
mod ring;
mod tunnel;
#[cfg(feature = "websocket")]
mod websocket;

pub use carrier::{Arrival, Carrier};
pub use counters::CarrierCounters;
pub use joined::Joined;
#[cfg(feature = "laminar")]
pub use laminar::{LaminarClientSession, LaminarServerSession};
pub use memory::{MemoryCarrier, MemoryHub};
pub use native::{
    Abilities, IoMode, SendFrom, SocketOptions, TransportError, UdpCarrier, UdpThread, UdpThreadConfig,
};
pub use netcode_wire::Ecn;

#[cfg(feature = "renet")]
pub use renet::{RENET_CLIENTS_MAX, RenetClientSession, RenetServerSession};
#[cfg(feature = "websocket")]
pub use websocket::{
    WEBSOCKET_PROTOCOL, WebSocketClient, WebSocketCounters, WebSocketError, WebSocketOptions,
    WebSocketServer, WebSocketState,
};

/// The longest datagram that any carrier takes in, in bytes. The protocol above begins with 1200 and
/// may find room for 1472; what arrives longer than this is dropped and counted as oversize.
pub const DATAGRAM_BYTES_MAX: usize = 2047;

// What the discovery of a path's MTU may come to: 1472 = 1500 of Ethernet − 20 IPv4 − 8 UDP.
const _: () = assert!(DATAGRAM_BYTES_MAX >= 1472);
