//! The companion services of a game: accounts, matchmaking, leaderboards. One binary, a role each or all.
//!
//! Each domain is a `mod` → `routes` or `rpc` (parse, call, render) → pure rules (no await, the time is an
//! argument) → `store`. Handlers decide nothing and stores hold no rules. Of the netcode only connect tokens
//! are known here.

pub mod accounts;
pub mod allocation;
pub mod api;
pub mod app;
pub mod autoscaling;
mod beats;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod custody;
pub mod http;
pub mod ids;
pub mod leaderboards;
pub mod matches;
pub mod matchmaking;
pub mod openapi;
pub mod parties;
pub mod progression;
pub mod ratings;
mod run;
pub mod sanctions;
pub mod store;
pub mod telemetry;

pub use run::main_with;
