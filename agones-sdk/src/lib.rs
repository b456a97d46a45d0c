//! Owns: the Agones contracts, from all sides: the game server's client ([`client`]), the matchmaker's
//! ([`allocation`]), a faithful local sidecar ([`sidecar`]) and a local fleet ([`fleet`]).
//! Must never know: netcode, an ECS, a store, or what a match is.
//!
//! On a cluster only the two clients are used, against the real thing. On a laptop the fleet spawns the same
//! server processes, each beside a sidecar that answers like the real one.

pub mod allocation;
mod backoff;
pub mod client;
mod command;
pub mod fleet;
mod game_server;
pub mod proto;
pub mod sidecar;
mod state;
mod text;
mod uid;

pub use self::backoff::Backoff;
pub use self::fleet::fleet_main;
pub use self::game_server::SDK_PREFIX;
pub use self::proto::sdk::GameServer;
pub use self::sidecar::sidecar_main;
pub use self::state::{State, UnknownState};
