//! Sans-IO connection state machines: netcode 1.02 sessions around links of channels and acknowledgements.
//!
//! Owns everything between a datagram and a message, in both directions. Must never know a socket, a clock, a
//! thread, a tick, a world or a game: time comes in as [`netcode_wire::Time`], datagrams as bytes, and what is
//! to be sent is polled.

pub mod channels;
pub mod link;
mod seam;
mod session;

pub use bytes::Bytes;
pub use channels::{ChannelId, ChannelKind, ChannelSet, Precedence};
pub use link::{ChannelStats, Ledger, Link, LinkConfig, LinkError, LinkStats, SendError, SendRoom};
pub use netcode_token::Key;
pub use seam::{ClientSession, ServerSession};
#[doc(hidden)]
pub use session::PacketBench;
pub use session::{
    BODY_BYTES_BASE, BODY_BYTES_MAX, BODY_OVERHEAD_BYTES, Client, ClientConfig, ClientId, ClientState,
    ConnectError, Counters, DATAGRAM_BYTES_BASE, DATAGRAM_BYTES_LEAST, DATAGRAM_BYTES_MAX, DisconnectReason,
    Extensions, REQUEST_BYTES, Request, Server, ServerConfig, ServerEvent, Transmit,
};
