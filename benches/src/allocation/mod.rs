//! From a ticket to a server's address: a real backend process over real stores, players in a process of their own,
//! and an allocation service that always has a server. Owns the order of runs and the table.

mod double;
mod load;

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin};
use std::time::Duration;

use anyhow::Context as _;
use backend_services::accounts::tokens::Caller;
use backend_services::clock::UnixMs;
use backend_services::ids::{PlayerId, SessionId};
use clap::{Args, ValueEnum as _};
use serde::{Deserialize, Serialize};

use self::double::Double;
use self::load::{AFTER, Job, Measured, WARM};
use crate::compare::{cell, load_averages, print_table, workspace};
use crate::leaderboards::StoreKind;
use crate::leaderboards::stack::{end, fill, start_backend, start_servers};

/// The name of the role that makes load, as this program's child.
pub const LOAD: &str = "allocation-load";

/// What to measure.
#[derive(Debug, Args)]
pub struct AllocationFlags {
    /// Over which stores.
    #[arg(long, value_delimiter = ',', default_values_t = StoreKind::value_variants().to_vec(), value_enum)]
    engines: Vec<StoreKind>,
    /// Tickets a second, of one player each.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Seconds that count.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Players in a match: every one needs a server of its own.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    match_size: u16,
    /// How long the allocation service takes for an answer, milliseconds.
    #[arg(long, default_value_t = 0)]
    answer_ms: u64,
    /// Seed of the arrivals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the figures go. Default: target/bench/allocation.json in the workspace.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AllocationFigures {
    /// Over which stores.
    pub engine: String,
    /// Tickets of one player each, Poisson arrivals.
    pub tickets_per_s: f64,
    /// From the moment at which a ticket was due to be sent to its player's having the address.
    pub p50_ms: f64,
    /// The same.
    pub p99_ms: f64,
    /// From the moment at which the last player of the match was due, so without the wait for opponents.
    pub beyond_wait_p99_ms: f64,
    /// Tickets without an address.
    pub failed: usize,
}

/// Measures, prints the table, writes the figures.
///
/// # Errors
/// Postgres or Redis is not installed, or a process fails.
pub fn run(flags: &AllocationFlags) -> anyhow::Result<Vec<AllocationFigures>> {
    println!(
        "matches of {}, allocation service (a double: real gRPC, always a server) answers in {} ms, load averages {}",
        flags.match_size,
        flags.answer_ms,
        load_averages()
    );
    let mut figures = Vec::new();
    for engine in &flags.engines {
        figures.push(measure(flags, *engine)?);
    }
    print(&figures);
    let path = flags.json.clone().unwrap_or_else(|| workspace().join("target/bench/allocation.json"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(&figures)? + "\n";
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("figures in {}", path.display());
    Ok(figures)
}

fn measure(flags: &AllocationFlags, engine: StoreKind) -> anyhow::Result<AllocationFigures> {
    let double = Double::start(Duration::from_millis(flags.answer_ms))?;
    let seconds = f64::from(flags.seconds);
    // A tenth more than the mean of all arrivals: everybody queues once.
    let players = f64::from(flags.rate) * (seconds + (WARM + AFTER).as_secs_f64()) * 1.1 + 64.0;
    let folder = tempfile::tempdir()?;
    let stack = Stack::start(engine, folder.path(), players as u32, flags.match_size, &double)?;
    let (http, tokens) = (stack.http.clone(), stack.tokens.clone());
    let job = Job { http, rate: f64::from(flags.rate), seconds, tokens, seed: flags.seed };
    let Measured { tickets, failed, whole_us, beyond_us } = load::start(&job)?;
    eprintln!("{}: {tickets} tickets, {} servers taken", engine.name(), double.taken());
    Ok(AllocationFigures {
        engine: engine.name().to_owned(),
        tickets_per_s: tickets as f64 / seconds,
        p50_ms: quantile(&whole_us, 0.5),
        p99_ms: quantile(&whole_us, 0.99),
        beyond_wait_p99_ms: quantile(&beyond_us, 0.99),
        failed,
    })
}

fn quantile(ascending_us: &[u64], share: f64) -> f64 {
    let last = ascending_us.len().saturating_sub(1);
    ascending_us.get((last as f64 * share).round() as usize).map_or(0.0, |us| *us as f64 / 1000.0)
}

fn print(figures: &[AllocationFigures]) {
    let heads = ["engine", "tickets/s", "p50 ms", "p99 ms", "beyond wait p99 ms", "failed"];
    let row = |row: &AllocationFigures| {
        vec![
            row.engine.clone(),
            cell(Some(row.tickets_per_s), 0),
            cell(Some(row.p50_ms), 1),
            cell(Some(row.p99_ms), 1),
            cell(Some(row.beyond_wait_p99_ms), 1),
            row.failed.to_string(),
        ]
    };
    println!();
    print_table(&heads, &figures.iter().map(row).collect::<Vec<_>>());
    println!("\nload averages {}", load_averages());
}

/// A backend with players who have accounts; dropping it ends the processes.
struct Stack {
    backend: Child,
    _stdin: Option<ChildStdin>,
    stores: Vec<Child>,
    http: String,
    tokens: Vec<String>,
}

impl Stack {
    fn start(
        engine: StoreKind,
        folder: &Path,
        players: u32,
        size: u16,
        double: &Double,
    ) -> anyhow::Result<Self> {
        let (stores, mut flags) = match engine {
            StoreKind::Embedded => (Vec::new(), vec!["--state".to_owned(), folder.display().to_string()]),
            StoreKind::Postgres => start_servers(folder)?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let started = runtime.block_on(fill(engine, folder, &flags, players)).and_then(|keys| {
            flags.extend(["--match-size".to_owned(), size.to_string()]);
            let (backend, stdin, http, _) = start_backend(flags, &format!("http://{}", double.address))?;
            let token = |number: u32| {
                let player = PlayerId::new(u64::from(number)).context("an id")?;
                anyhow::Ok(keys.issue(Caller { player, session: SessionId::random() }, UnixMs::now()))
            };
            let tokens = (1..=players).map(token).collect::<anyhow::Result<_>>()?;
            Ok((backend, stdin, http, tokens))
        });
        match started {
            Ok((backend, stdin, http, tokens)) => Ok(Self { backend, _stdin: stdin, stores, http, tokens }),
            Err(error) => {
                end(stores);
                Err(error)
            }
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _dead = self.backend.kill();
        let _buried = self.backend.wait();
        end(std::mem::take(&mut self.stores));
    }
}

/// What a child process of this measurement does. False: the role is none of these.
///
/// # Errors
/// The job cannot be read, or the work fails.
pub fn role(role: &str, job: &str) -> anyhow::Result<bool> {
    if role != LOAD {
        return Ok(false);
    }
    load::work(serde_json::from_str(job)?)?;
    Ok(true)
}
