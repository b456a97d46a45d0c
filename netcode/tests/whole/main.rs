//! The whole path in virtual time: a tiny game, a tiny server, real clients, seeded weather. No socket, no
//! sleep; but for `sockets.rs`, where the same two meet on loopback.

mod frames;
mod game;
mod hostile;
mod journey;
mod reconnect;
mod server;
mod sockets;
mod versions;
mod world;
