//! The whole path in virtual time: a tiny game, a tiny server, real clients, seeded weather. No socket, no sleep.

mod frames;
mod game;
mod journey;
mod reconnect;
mod server;
mod world;
