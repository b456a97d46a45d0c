//! Our transport beside others under the same work: server and swarm in processes of their own, medians of several
//! runs, one table. Owns the list of contestants and the order of runs; must never know a packet.

pub mod floor;
mod loss;
mod relay;
mod run;
mod table;
pub mod tickwright;
mod transport;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use contest::{Job, Role, play};
use netcode_transport::{UdpCarrier, UdpThread};

pub(crate) use self::table::{cell, load as load_averages, print as print_table};

pub use self::loss::{LossFigures, LossFlags, loss};
pub use self::run::{Arena, run};
pub use self::transport::{TransportFigures, TransportFlags, transport};

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Contestant {
    /// The hand-written least, AES-128-GCM.
    Floor,
    /// The same with ChaCha20-Poly1305, netcode 1.02's cipher.
    FloorChacha,
    /// Ours, one thread: the server's loop reads and writes the socket itself.
    Tickwright,
    /// Ours, with the socket's input and output on threads of their own.
    TickwrightThreads,
    /// renet 2 with renet_netcode.
    Renet,
    /// rusty_enet 0.4: ENet, in the clear.
    Enet,
    /// laminar 0.5, in the clear.
    Laminar,
    /// quinn 0.11: QUIC, datagrams and one stream.
    Quinn,
}

impl Contestant {
    /// As in flags and figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::FloorChacha => "floor-chacha",
            Self::Tickwright => "tickwright",
            Self::TickwrightThreads => "tickwright-threads",
            Self::Renet => "renet",
            Self::Enet => "enet",
            Self::Laminar => "laminar",
            Self::Quinn => "quinn",
        }
    }

    /// Whether it is compiled in the package of its own.
    #[must_use]
    pub const fn is_foreign(self) -> bool {
        matches!(self, Self::Renet | Self::Enet | Self::Laminar | Self::Quinn)
    }

    /// Whether it promises anything beyond sending.
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Floor | Self::FloorChacha)
    }
}

/// What both comparisons are told.
#[derive(Debug, Args)]
pub struct Terms {
    /// Who takes part.
    #[arg(long, value_delimiter = ',', default_values_t = Contestant::value_variants().to_vec(), value_enum)]
    pub peers: Vec<Contestant>,
    /// Runs of each, taken in turns; medians are reported. Default: 3, and 7 where at most 256 clients make for little to
    /// measure.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: Option<u32>,
    /// Seconds before each window.
    #[arg(long, default_value_t = 2.0)]
    pub warm: f64,
    /// Where the figures go. Default: target/bench/NAME.json in the workspace.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Terms {
    /// Runs of each with so many clients.
    fn runs(&self, clients: usize) -> u32 {
        self.runs.unwrap_or(if clients > 256 { 3 } else { 7 })
    }

    fn write(&self, name: &str, figures: &impl serde::Serialize) -> anyhow::Result<()> {
        let default = || workspace().join("target/bench").join(name);
        let path = self.json.clone().unwrap_or_else(default);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(figures)?;
        std::fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        println!("\nfigures in {}", path.display());
        Ok(())
    }
}

/// What a child process of ours does.
///
/// # Errors
/// The job cannot be read, is not ours, or the transport fails.
pub fn role(role: &str, job: &str) -> anyhow::Result<()> {
    let role: Role = serde_json::from_value(role.into()).context("no such role")?;
    let job: Job = serde_json::from_str(job).context("the job cannot be read")?;
    match job.peer.as_str() {
        "floor" => play::<floor::Floor<floor::Aes>>(role, &job),
        "floor-chacha" => play::<floor::Floor<floor::ChaCha>>(role, &job),
        "tickwright" => play::<tickwright::Tickwright<UdpCarrier>>(role, &job),
        "tickwright-threads" => play::<tickwright::Tickwright<UdpThread>>(role, &job),
        other => anyhow::bail!("{other} is none of ours"),
    }
}

/// The root of the sources that this program was built from.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}
