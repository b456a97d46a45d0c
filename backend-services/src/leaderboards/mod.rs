//! The boards: `routes` and `tournaments` show them to players, `rpc` takes scores from game servers, `rules` and `seasons` say what
//! a score is worth and when, `scribe` writes many scores at once, `keeper` closes seasons; the store orders.

mod cursor;
pub mod keeper;
pub mod routes;
pub mod rpc;
pub mod rules;
pub mod scribe;
pub mod seasons;
mod tournaments;
