//! The sample game: a top-down ship shooter. Read it in this order: `components` (what there is), `input` (what a
//! player may ask), `layout` (the ground), `rules` (what is true, as pure functions), `game` (what both sides agree
//! on), `server` (who applies which rule when), `live` (what it looks like), and `pilot` for a player made of
//! arithmetic. Nothing here knows about packets. `plains` is the same game on open ground, for a thousand players.
//!
//! The crate builds without its `server` feature into the rules alone, for bots and browsers.

#[cfg(feature = "server")]
mod career;
pub mod components;
pub mod game;
pub mod heading;
pub mod input;
pub mod layout;
#[cfg(feature = "server")]
mod live;
pub mod messages;
pub mod pilot;
pub mod plains;
pub mod rules;
#[cfg(feature = "server")]
mod server;
mod tuning;

#[cfg(feature = "server")]
pub use career::Career;
pub use components::{Pickup, Ship, Shot, Vitals};
pub use game::{ArenaGame, messages, schema};
pub use input::Controls;
pub use messages::{Hit, Kill, MatchEnd, Place};
#[cfg(feature = "server")]
pub use server::{Map, Struck, server, server_main, standings};
pub use tuning::Tuning;
