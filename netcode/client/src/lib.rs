//! The player's half: connect, clock, input, predict, reconcile, interpolate. Sans-IO and without an ECS.
//!
//! Owns everything between datagrams and what a player sees and does. Must never know a socket, a clock, a thread,
//! an ECS or how the server is built: time and datagrams come in as arguments, datagrams go out by polling.
//!
//! | file | owns |
//! |---|---|
//! | `client/` | [`Client`]: connect, receive, the ticks of a frame |
//! | `clock.rs` | which tick it is here: driven by the server's feedback |
//! | `input.rs` | the ring of inputs that may not have arrived |
//! | `predict.rs` | the own entity: predicted, compared, replayed, smoothed |
//! | `spawn.rs` | [`Spawns`]: what the player's actions bring into the world, at once |
//! | `playout.rs`, `interpolate.rs` | which moment remote entities are shown at, and between which frames |
//! | `view.rs` | [`WorldView`]: what the player sees |
//! | `game.rs` | [`Game`]: the rules that server and client share |
//!
//! # A frame of a game
//!
//! ```no_run
//! # use netcode_client::{Client, Game, WorldView};
//! # use netcode_wire::{Tick, Time};
//! # fn frame<G: Game>(client: &mut Client<G>, now: Time, arrived: &mut Vec<(std::net::SocketAddr, Vec<u8>)>,
//! #     read_keys: &mut dyn FnMut(Tick, &WorldView<'_>) -> G::Input, send: &mut dyn FnMut(std::net::SocketAddr, &[u8])) {
//! for (from, mut datagram) in arrived.drain(..) {
//!     client.handle_datagram(now, from, &mut datagram);
//! }
//! client.advance(now, &mut |tick, view| read_keys(tick, view));
//! while let Some(transmit) = client.poll_transmit() {
//!     send(transmit.to, transmit.bytes);
//! }
//! let ship = client.smoothed(); // what to draw for the player, between ticks, corrections hidden
//! let world = client.view(); // and for everybody else
//! # let _ = (ship, world); }
//! ```
//!
//! # What the server must do
//!
//! It applies inputs by tick: the input for tick `t` is used when `t` is simulated, through [`step`]. A snapshot of
//! tick `T` holds the own component after `T`, and the own entity has the first place in the byte budget. Its header
//! names the newest input that was really used, says how early inputs come (of the newest one, or better of the one
//! that was used: its due moment minus the arrival of the first datagram that carried it, negative when late), and
//! counts those that came too late. Where the input for a tick is missing, the server repeats the last one for a
//! bounded number of ticks; the prediction is then corrected.

mod client;
mod clock;
mod config;
mod game;
mod input;
mod interpolate;
mod playout;
mod predict;
mod spawn;
mod state;
#[cfg(test)]
mod testing;
mod view;
mod window;

pub use client::{CORRECTIONS_MAX, Client, TRIPS_MAX};
pub use clock::ClockConfig;
pub use config::ClientConfig;
pub use game::{Game, StepContext, step};
pub use netcode_proto::{
    Bytes, ChannelId, ClientSession, ConnectError, DisconnectReason, Key, LinkStats, Transmit, channels,
};
pub use playout::InterpolationConfig;
pub use spawn::{SILENCE_TICKS_MAX, SPAWNS_MAX, Spawn, SpawnStats, Spawned, Spawns};
pub use state::{ClientState, ClientStats, LeaveReason, ReliableTrip, SendMessageError};
pub use view::WorldView;
