//! The webhook that Agones' FleetAutoscaler asks how many servers a fleet should have: `review` owns the JSON, `desk`
//! keeps one predictor a fleet (and its memory on disk), `routes` parse and render. The rule is the crate `scaling`.
//!
//! It must never know players, matches or stores; it is a role of its own, because whoever can reach it can grow a fleet
//! to its limit.

pub mod desk;
pub mod review;
mod routes;

use std::time::Duration;

use scaling::Rules;

pub use self::desk::Desk;
pub use self::routes::router;

/// What the operator says of the game.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Flags {
    /// For --role autoscaler: from the wish for a server to its being ready, seconds; a slow one.
    #[arg(long, default_value_t = 45.0, value_name = "SECONDS")]
    pub server_start_seconds: f64,
    /// How often Agones asks (its fixedInterval), seconds.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    pub sync_seconds: f64,
    /// Never fewer servers than this in a fleet.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub servers_min: u32,
    /// Never more.
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub servers_max: u32,
    /// A fleet shrinks only after its need was lower for so many seconds.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub shrink_after_seconds: u64,
}

impl Flags {
    /// The rules for matches of this length.
    pub fn rules(&self, match_length: Duration) -> Rules {
        Rules {
            match_s: match_length.as_secs_f64(),
            start_s: self.server_start_seconds,
            sync_s: self.sync_seconds,
            hold_s: self.shrink_after_seconds,
            min: self.servers_min,
            max: self.servers_max,
            ..Rules::default()
        }
    }
}
