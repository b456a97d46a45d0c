//! The weather: a seeded virtual network, pairs and clusters of real state machines on it, and the laws
//! that every run must keep. No sockets, no sleeps, no clock.

mod conditioner;
mod profile;

pub use conditioner::{Conditioner, ConditionerStats};
pub use profile::{Burst, Profile, ProfileError};
