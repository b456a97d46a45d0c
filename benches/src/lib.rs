//! What the benches and the comparisons share: whole rooms in memory, and our transport beside others. Owns no rule.

pub mod allocation;
pub mod arena;
pub mod autoscaling;
pub mod compare;
pub mod cubes;
pub mod feel;
pub mod fleet;
pub mod leaderboards;
pub mod matchmaking;
pub mod objects;
pub mod ratings;
pub mod recorder;
pub mod replication;
pub mod room;
pub mod rooms;
pub mod seal;
