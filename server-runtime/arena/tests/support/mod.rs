//! What the tests need around the game: a server process, pilots with real sockets, a browser. Never knows a rule.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod browser;
pub(crate) mod rehearsal;
pub(crate) mod server;
pub(crate) mod squad;
