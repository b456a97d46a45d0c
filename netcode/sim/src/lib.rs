//! The weather: a seeded virtual network, pairs of real state machines on it, and the laws that every run
//! must keep. No sockets, no sleeps, no clock: a run is a function of its seed.

mod cluster;
mod conditioner;
mod figures;
mod laws;
mod link_pair;
mod link_run;
mod profile;
mod session_run;

pub use cluster::{Cluster, Excuse, Seat, TIMEOUT_S};
pub use conditioner::{Conditioner, ConditionerStats};
pub use figures::{Bulk, Latency, bulk, reliable_latency};
pub use laws::{Ledger, Violation};
pub use link_pair::LinkPair;
pub use link_run::{RunReport, run_links};
pub use profile::{Burst, Profile, ProfileError};
pub use session_run::run_sessions;
