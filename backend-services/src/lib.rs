//! Accounts, matchmaking and leaderboards: one binary, a role each or all.

pub mod api;
