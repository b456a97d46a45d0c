//! What the parent asks of its children and what they answer: JSON both ways. Must never know who measures what.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Which of the two children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Holds all the connections.
    Server,
    /// Plays the clients.
    Swarm,
}

/// What is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// 200 B unreliable and 32 B reliable ordered to each client each tick, 40 B unreliable back.
    Play,
    /// As `Play`, and the clients look at their sockets every millisecond to time what arrives.
    Latency,
    /// 1 MiB reliable to each client, once; nothing beside it.
    Bulk,
    /// Nothing at all.
    Idle,
}

/// One run, as each of its children is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// Who carries.
    pub peer: String,
    /// What is carried.
    pub work: Work,
    /// How many connections.
    pub clients: usize,
    /// Seconds before the window, counted from when everybody is connected.
    pub warm_s: f64,
    /// Seconds of the window.
    pub seconds: f64,
    /// 64 hexadecimal digits that server and swarm share.
    pub secret: String,
    /// Where the swarm connects to. The server binds any free port of the loopback.
    pub connect: Option<SocketAddr>,
    /// Where clients believe the server to be, if not where it is: a relay stands between. Known to the server too.
    pub relay: Option<SocketAddr>,
}

/// What a child says, one line each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The server is there.
    Listening(SocketAddr),
    /// The window is over.
    Host(HostReport),
    /// The swarm's last word.
    Swarm(SwarmReport),
    /// It cannot go on.
    Failed(String),
}

/// What went through the server's socket; UDP payloads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
}

impl Traffic {
    /// What went through since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            datagrams_out: self.datagrams_out - before.datagrams_out,
            bytes_out: self.bytes_out - before.bytes_out,
            datagrams_in: self.datagrams_in - before.datagrams_in,
            bytes_in: self.bytes_in - before.bytes_in,
        }
    }
}

/// Memory of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Resident, KiB.
    pub rss_kib: u64,
    /// The part of it that no file backs, KiB: without the program's own code.
    pub anon_kib: u64,
}

/// The server's window.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct HostReport {
    /// How long it was by the clock, seconds.
    pub seconds: f64,
    /// Ticks in it.
    pub ticks: u64,
    /// Processor time of the whole process, microseconds.
    pub cpu_us: f64,
    /// Through the socket.
    pub traffic: Traffic,
    /// Resident memory before the first client.
    pub memory_empty: Memory,
    /// The same with one client that has played for a while: what any number needs once is in it. As `memory_empty` where
    /// nobody came alone.
    pub memory_one: Memory,
    /// The same at the end, with everybody.
    pub memory_all: Memory,
    /// Messages of clients that arrived in the window.
    pub messages_in: u64,
    /// Messages that the transport would not take.
    pub refused: u64,
    /// Connections at the end.
    pub clients: usize,
}

/// What the swarm saw.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SwarmReport {
    /// Clients connected at the end.
    pub connected: usize,
    /// Reliable messages out of order, repeated or missing.
    pub faults: u64,
    /// Milliseconds from hand-over to delivery of every measured reliable message, ascending.
    pub reliable_ms: Vec<f32>,
    /// The same of the unreliable ones.
    pub unreliable_ms: Vec<f32>,
    /// Seconds that the bulk took, of the slowest client; `None` when it did not arrive.
    pub bulk_s: Option<f64>,
    /// Whether every byte of it was right.
    pub bulk_intact: bool,
}
