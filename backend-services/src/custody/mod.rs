//! Who may write a player's state, and what was written: `rules` say whose word counts, `rpc` hears game servers,
//! `routes` show a player what a game keeps. No client can change anything here.

pub mod routes;
pub mod rpc;
pub mod rules;
