//! What a board costs the backend: a real backend process over real stores with a million members, asked and
//! written to by a load generator in a process of its own. Owns the order of measurements and the table.

mod load;
pub(crate) mod stack;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use self::load::{Job, Measured, Work};
use self::stack::Stack;
use crate::compare::{cell, load_averages, print_table, workspace};

/// The name of the role that makes load, as this program's child.
pub const LOAD: &str = "leaderboards-load";
/// The name of the role that is a backend, as this program's child.
pub const BACKEND: &str = "leaderboards-backend";

/// Under which stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StoreKind {
    /// SQLite, ranks in the process.
    Embedded,
    /// Postgres (fsync on), ranks in Redis.
    Postgres,
}

impl StoreKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Postgres => "postgres+redis",
        }
    }
}

/// What to measure.
#[derive(Debug, Clone, Args)]
pub struct LeaderboardFlags {
    /// Under which stores.
    #[arg(long, value_delimiter = ',', default_values_t = StoreKind::value_variants().to_vec(), value_enum)]
    engines: Vec<StoreKind>,
    /// Members of the board.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    members: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Callers at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=512))]
    callers: u32,
    /// Requests a second of the paced measurements.
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Where the figures go. Default: target/bench/leaderboards.json in the workspace.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One measurement.
#[derive(Debug, Serialize, Deserialize)]
pub struct LeaderboardFigures {
    /// `write`: one score of a random member, over gRPC, on disk when answered. `around_me`: 11 rows around a
    /// random member, over REST. `around_me_new_token`: the same, each token for the first time. `top`: 100 rows.
    pub operation: String,
    /// Which stores.
    pub engine: String,
    /// `paced` at a given rate, or `flat_out`: every caller asks again at once.
    pub load: String,
    /// Members of the board.
    pub members: u32,
    /// Callers at once.
    pub callers: u32,
    /// Answered.
    pub requests_per_s: f64,
    /// From the moment at which the request was due.
    pub p50_ms: f64,
    /// The same.
    pub p99_ms: f64,
    /// User and system time of the backend's process.
    pub cpu_us_per_request_backend: f64,
    /// The same of Postgres and Redis; nothing of the embedded store, which is inside the backend.
    pub cpu_us_per_request_store: f64,
    /// What one `fdatasync` of 8 KiB took beside the store's files, just before: the median. Writes only.
    pub fdatasync_p50_ms: Option<f64>,
    /// The same: the 99th percentile.
    pub fdatasync_p99_ms: Option<f64>,
}

/// Long enough to show all tokens once.
const GREETING_S: f64 = 4.0;
/// Postgres answers before a commit is on disk: another promise than the backend's, measured to see what the disk costs.
const HASTY: &str = "postgres+redis, not durable";

/// Measures, prints the table, writes the figures.
///
/// # Errors
/// Postgres or Redis is not installed, a process fails, or an answer is wrong.
pub fn run(flags: &LeaderboardFlags) -> anyhow::Result<Vec<LeaderboardFigures>> {
    println!("{} members, load averages {}", flags.members, load_averages());
    let mut figures = Vec::new();
    for engine in &flags.engines {
        eprintln!("{}: filling a board with {} members", engine.name(), flags.members);
        let stack = Stack::start(*engine, flags.members)?;
        // A signature is checked once and then remembered: who is measured below is known, as `around_me` says.
        measure(
            &LeaderboardFlags { seconds: GREETING_S, ..flags.clone() },
            engine.name(),
            &stack,
            Work::Greet,
            None,
        )?;
        for work in [Work::AroundMe, Work::AroundMeNewToken, Work::Top, Work::Write] {
            for rate in [Some(flags.rate), None] {
                // New tokens are made beforehand: as many as there are.
                if work == Work::AroundMeNewToken && rate.is_none() {
                    continue;
                }
                eprintln!(
                    "{}: {} {}",
                    engine.name(),
                    work.name(),
                    if rate.is_some() { "paced" } else { "flat out" }
                );
                figures.push(measure(flags, engine.name(), &stack, work, rate)?);
            }
        }
        if *engine == StoreKind::Postgres {
            stack.give_up_durability()?;
            for rate in [Some(flags.rate), None] {
                eprintln!("{HASTY}: write");
                figures.push(measure(flags, HASTY, &stack, Work::Write, rate)?);
            }
        }
    }
    print(&figures);
    write(flags, &figures)?;
    Ok(figures)
}

fn measure(
    flags: &LeaderboardFlags,
    engine: &str,
    stack: &Stack,
    work: Work,
    rate: Option<u32>,
) -> anyhow::Result<LeaderboardFigures> {
    let synced = if work == Work::Write { Some(stack.fdatasync_ms()?) } else { None };
    let tokens = match work {
        Work::AroundMeNewToken => {
            stack.fresh_tokens((f64::from(flags.rate) * (flags.seconds + 2.0)) as usize)?
        }
        _ => stack.tokens.clone(),
    };
    let job = Job {
        work,
        rate,
        seconds: flags.seconds,
        callers: flags.callers,
        members: flags.members,
        http: stack.http.clone(),
        grpc: stack.grpc.clone(),
        service_token: stack::SERVICE_TOKEN.to_owned(),
        tokens,
        backend: stack.backend_pid(),
        stores: stack.store_pids(),
    };
    let Measured { latencies_us, seconds, backend_cpu_s, store_cpu_s } = load::start(&job)?;
    let count = latencies_us.len() as f64;
    let latencies_ms: Vec<f64> = latencies_us.iter().map(|us| f64::from(*us) / 1000.0).collect();
    Ok(LeaderboardFigures {
        operation: work.name().to_owned(),
        engine: engine.to_owned(),
        load: if rate.is_some() { "paced" } else { "flat_out" }.to_owned(),
        members: flags.members,
        callers: flags.callers,
        requests_per_s: count / seconds,
        p50_ms: quantile(&latencies_ms, 0.5),
        p99_ms: quantile(&latencies_ms, 0.99),
        cpu_us_per_request_backend: backend_cpu_s * 1e6 / count,
        cpu_us_per_request_store: store_cpu_s * 1e6 / count,
        fdatasync_p50_ms: synced.as_deref().map(|synced| quantile(synced, 0.5)),
        fdatasync_p99_ms: synced.as_deref().map(|synced| quantile(synced, 0.99)),
    })
}

/// Of ascending values; 0 of none.
fn quantile(ascending: &[f64], share: f64) -> f64 {
    let last = ascending.len().saturating_sub(1);
    ascending.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

fn print(figures: &[LeaderboardFigures]) {
    let heads = [
        "operation",
        "engine",
        "load",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "backend CPU µs",
        "store CPU µs",
        "fdatasync p50 ms",
        "p99 ms",
    ];
    let row = |row: &LeaderboardFigures| {
        vec![
            row.operation.clone(),
            row.engine.clone(),
            row.load.clone(),
            cell(Some(row.requests_per_s), 0),
            cell(Some(row.p50_ms), 2),
            cell(Some(row.p99_ms), 2),
            cell(Some(row.cpu_us_per_request_backend), 1),
            cell(Some(row.cpu_us_per_request_store), 1),
            cell(row.fdatasync_p50_ms, 2),
            cell(row.fdatasync_p99_ms, 2),
        ]
    };
    println!();
    print_table(&heads, &figures.iter().map(row).collect::<Vec<_>>());
    println!("\nload averages {}", load_averages());
}

fn write(flags: &LeaderboardFlags, figures: &[LeaderboardFigures]) -> anyhow::Result<()> {
    let path = flags.json.clone().unwrap_or_else(|| workspace().join("target/bench/leaderboards.json"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(figures)? + "\n";
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("figures in {}", path.display());
    Ok(())
}

/// What a child process of this measurement does. False: the role is none of these.
///
/// # Errors
/// The job cannot be read, or the work fails.
pub fn role(role: &str, job: &str) -> anyhow::Result<bool> {
    match role {
        LOAD => load::work(&serde_json::from_str(job)?)?,
        BACKEND => {
            let flags: Vec<String> = serde_json::from_str(job)?;
            backend_services::main_with(flags.into_iter().map(Into::into))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}
