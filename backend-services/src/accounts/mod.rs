//! Guest accounts and sessions. `routes` parse and render, `service` moves between rules and store, `rules`
//! and `tokens` decide.

pub mod routes;
pub mod rules;
mod service;
mod token_cache;
pub mod tokens;

pub use service::Accounts;
