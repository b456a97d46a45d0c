//! The weather: a seeded virtual network, pairs of real state machines on it, and the laws that every run
//! must keep. No sockets, no sleeps, no clock: a run is a function of its seed.

mod bloat_run;
mod cluster;
mod codel;
mod conditioner;
mod figures;
mod laws;
mod link_pair;
mod link_run;
mod profile;
mod seat;
mod session_run;
mod world_run;

pub use bloat_run::run_bloat;
pub use cluster::{Cluster, TIMEOUT_S};
pub use conditioner::{Conditioner, ConditionerStats};
pub use figures::{Bulk, Latency, Manner, Shared, bulk, bulk_with, reliable_latency, shared, shared_with};
pub use laws::{Ledger, Violation};
pub use link_pair::LinkPair;
pub use link_run::{RunReport, run_links};
pub use profile::{Aqm, Burst, Meddling, Profile, ProfileError};
pub use seat::{Excuse, Seat};
pub use session_run::run_sessions;
pub use world_run::run_worlds;

/// The text of the list of seeds that once broke a law.
pub const KEPT_SEEDS: &str = include_str!("../seeds.txt");

/// The seeds that once broke a law.
pub fn kept_seeds() -> impl Iterator<Item = u64> {
    KEPT_SEEDS.lines().filter_map(|line| line.split('#').next()?.trim().parse().ok())
}
