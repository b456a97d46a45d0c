//! The headless swarm, and the whole journey in one command.
//!
//! - [`cli`]: what may be asked for, and the exit code.
//! - [`chaos`]: the same under fire: processes are killed in random order, and what must hold is held against it.
//! - [`demo`]: the whole journey: backend, fleet, servers, 32 bots, the first page, the final table.
//! - [`swarm`]: many players in one process: each a real [`netcode_client::Client`] over its own UDP socket, behind a
//!   simulated network.
//! - [`journey`]: one bot's life: register, log in, queue, play, hear the result, queue again.
//! - [`duo`]: bots that play as parties of two.
//! - [`beacon`]: how far a region is.
//! - [`backend`]: the REST calls of that life.
//! - [`witness`]: what players were told, for who holds the services to it.
//! - [`outcomes`]: what the players were told of their matches, summed.
//! - [`report`]: the figures, the table and the JSON.
//! - [`replay`]: a recorded match, simulated again.
//! - [`role`]: hidden roles: this same executable as backend, fleet or game server, so that one build is enough.
//!
//! A bot knows what a player's machine knows, nothing more: it sees the server through the client crate and the
//! services through their public REST.

pub mod backend;
pub mod beacon;
pub mod chaos;
pub mod cli;
pub mod demo;
pub mod duo;
pub mod journey;
mod names;
pub mod outcomes;
pub mod replay;
pub mod report;
pub mod role;
pub mod swarm;
pub mod witness;
