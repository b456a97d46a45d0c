//! One run of the replication comparison: what is asked, what comes back. Must never know a library.

use serde::{Deserialize, Serialize};

/// A server with a world, and clients that are shown all of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ReplicationJob {
    /// Entities, each a Vec3 and a Quat.
    pub entities: usize,
    /// How many of them move, each tick.
    pub moving: usize,
    /// Clients.
    pub clients: usize,
    /// Ticks before the measured ones, and the measured ones.
    pub ticks: [usize; 2],
    /// Seed of the motion.
    pub seed: u64,
}

/// What a tick came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplicationFigures {
    /// Who.
    pub peer: String,
    /// As in the job.
    pub entities: usize,
    /// As in the job.
    pub moving: usize,
    /// As in the job.
    pub clients: usize,
    /// Processor time of the server, from the changed world to bytes for every client, acknowledgements taken: the median
    /// of the ticks, milliseconds.
    pub ms_per_tick: f64,
    /// Bytes of messages, without headers of any transport.
    pub bytes_per_client_tick: f64,
    /// Messages of at most a datagram.
    pub datagrams_per_client_tick: f64,
}

impl ReplicationFigures {
    /// From the server's time of each measured tick and the sums over all clients.
    #[must_use]
    pub fn new(peer: &str, job: &ReplicationJob, mut ns: Vec<u64>, bytes: usize, datagrams: usize) -> Self {
        ns.sort_unstable();
        let client_ticks = (job.clients.max(1) * ns.len().max(1)) as f64;
        Self {
            peer: peer.into(),
            entities: job.entities,
            moving: job.moving,
            clients: job.clients,
            ms_per_tick: ns.get(ns.len() / 2).copied().unwrap_or(0) as f64 / 1e6,
            bytes_per_client_tick: bytes as f64 / client_ticks,
            datagrams_per_client_tick: datagrams as f64 / client_ticks,
        }
    }
}
