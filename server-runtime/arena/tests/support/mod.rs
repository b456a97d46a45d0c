//! What the tests need around the game: a server process, pilots with real sockets, a browser. Never knows a rule.
#![allow(dead_code, reason = "each test uses its part")]

pub mod browser;
pub mod server;
pub mod squad;
