//! What every process of ours has in common for the one who operates it: settings from flags, environment and a file,
//! log lines, traces, and metrics as text.
//!
//! Must never know what a process does: neither a game, a match nor an account.

pub mod exposition;
pub mod logs;
mod secret;
pub mod settings;

pub use secret::Secret;
pub use settings::{Origin, Settings, SettingsError};
