//! Accounts, matchmaking and leaderboards: one binary, a role each or all.

pub mod api;
pub mod clock;
pub mod crypto;
pub mod ids;
pub mod store;
