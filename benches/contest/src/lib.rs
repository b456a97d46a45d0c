//! The work that transports are compared by. Owns the traffic, the two processes' loops, clocks and figures; must never
//! know a transport: each is an implementation of [`Peer`], here or in a package outside the workspace.
//!
//! A comparison is one parent and two children: `server` holds all the connections in a 60 Hz loop, `swarm` plays
//! the clients. The children speak JSON lines on their standard output and end with their standard input.

mod clock;
pub mod drift;
mod guest;
mod host;
mod job;
mod message;
mod pace;
mod replication;
mod role;
mod socket;

pub use clock::{memory, monotonic_ns, process_cpu_ns};
pub use drift::{Drift, Pose};
pub use guest::{Guest, swarm};
pub use host::{Host, serve};
pub use job::{HostReport, Job, Line, Memory, Role, SwarmReport, Traffic, Work};
pub use message::{BULK_BYTES, Class, INPUT_BYTES, RELIABLE_BYTES, UNRELIABLE_BYTES};
pub use pace::TICK;
pub use replication::{ReplicationFigures, ReplicationJob};
pub use role::{Peer, play};
pub use socket::{Counted, open};
