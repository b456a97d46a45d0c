//! The local fleet and its sidecars: how fast servers are taken, how fast a sidecar answers, how long a start and a drain
//! take. Owns the order of runs and the tables; the servers are this program again, without a game.

mod sidecar;
mod take;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use agones_sdk::client::Sdk;
use agones_sdk::fleet::{BufferPolicy, BufferSize, Fleet, FleetConfig, Template};
use agones_sdk::proto::sdk::game_server::status::CounterStatus;
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use self::sidecar::SidecarFigures;
use self::take::TakeFigures;
use crate::compare::{cell, load_averages, print_table, workspace};

/// The name of the role of a game server without a game, as this program's child.
pub const SERVER: &str = "fleet-server";
/// The name of the role of a sidecar.
pub const SIDECAR: &str = "fleet-sidecar";

/// A fleet that has not come up by then does not.
const UP_WITHIN: Duration = Duration::from_secs(60);

/// What to measure.
#[derive(Debug, Args)]
pub struct FleetFlags {
    /// Servers of the fleet.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=256))]
    servers: u32,
    /// Matchmakers that ask at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    callers: u32,
    /// Allocations of the second round, in which each takes a room of a server that is in use.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    allocations: u32,
    /// Seconds for each kind of call to the sidecar.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Where the figures go. Default: target/bench/fleet.json in the workspace.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct FleetFigures {
    /// Allocations, by round.
    pub allocations: Vec<TakeFigures>,
    /// Calls to a sidecar, by kind and number of callers.
    pub sidecar: Vec<SidecarFigures>,
    /// From nothing to all servers Ready, and back.
    pub life: LifeFigures,
}

/// How long a fleet takes to come and to go.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LifeFigures {
    /// Servers.
    pub servers: u32,
    /// From the start to the last server's Ready.
    pub start_s: f64,
    /// From SIGTERM to the last process's end, servers in use.
    pub drain_s: f64,
}

/// Measures, prints the tables, writes the figures.
///
/// # Errors
/// A process fails.
pub fn run(flags: &FleetFlags) -> anyhow::Result<FleetFigures> {
    println!("load averages {}\n", load_averages());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (allocations, life) = runtime.block_on(fleet(flags))?;
    let sidecar = runtime.block_on(sidecar::measure(Duration::from_secs_f64(flags.seconds)))?;
    let figures = FleetFigures { allocations, sidecar, life };
    print(&figures);
    let path = flags.json.clone().unwrap_or_else(|| workspace().join("target/bench/fleet.json"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(&figures)? + "\n";
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nload averages {}, figures in {}", load_averages(), path.display());
    Ok(figures)
}

async fn fleet(flags: &FleetFlags) -> anyhow::Result<(Vec<TakeFigures>, LifeFigures)> {
    let folder = tempfile::tempdir()?;
    let count = flags.servers;
    let program = std::env::current_exe()?.display().to_string();
    let mut template = Template::new(vec![program, "role".into(), SERVER.into(), "{}".into()]);
    let capacity = i64::from(flags.allocations);
    template.counters.insert("rooms".into(), CounterStatus { count: 0, capacity });
    // As many as there are and never another: a buffer would bring up one for each that is taken.
    let buffer = BufferPolicy { buffer: BufferSize::Count(count), min: count, max: count };
    let started = Instant::now();
    let fleet = Fleet::start(FleetConfig {
        template,
        autoscaler: buffer.into(),
        limits: count..=count,
        ..FleetConfig::new("bench", Vec::new(), folder.path())
    })
    .await?;
    while fleet.census().ready < count {
        anyhow::ensure!(started.elapsed() < UP_WITHIN, "servers are not ready: {:?}", fleet.census());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let start_s = started.elapsed().as_secs_f64();
    let allocations = take::rounds(&fleet, count, flags.callers, flags.allocations).await?;
    let ended = Instant::now();
    fleet.drain().await;
    let drain_s = ended.elapsed().as_secs_f64();
    Ok((allocations, LifeFigures { servers: count, start_s, drain_s }))
}

fn print(figures: &FleetFigures) {
    let rows = figures.allocations.iter().map(|row| {
        let (servers, callers) = (row.servers.to_string(), row.callers.to_string());
        let figures =
            [cell(Some(row.allocations_per_s), 0), cell(Some(row.p50_ms), 2), cell(Some(row.p99_ms), 2)];
        [row.round.to_owned(), servers, callers, row.allocations.to_string()]
            .into_iter()
            .chain(figures)
            .collect()
    });
    let heads = ["allocations", "servers", "callers", "taken", "allocations/s", "p50 ms", "p99 ms"];
    print_table(&heads, &rows.collect::<Vec<Vec<String>>>());
    println!();
    let rows = figures.sidecar.iter().map(|row| {
        let figures = [cell(Some(row.calls_per_s), 0), cell(Some(row.p50_us), 0), cell(Some(row.p99_us), 0)];
        [row.call.to_owned(), row.callers.to_string()].into_iter().chain(figures).collect()
    });
    print_table(&["sidecar", "callers", "calls/s", "p50 µs", "p99 µs"], &rows.collect::<Vec<Vec<String>>>());
    println!();
    let LifeFigures { servers, start_s, drain_s } = figures.life;
    let row = vec![servers.to_string(), cell(Some(start_s), 2), cell(Some(drain_s), 2)];
    print_table(&["servers", "start s", "drain s"], &[row]);
}

/// The value below which `share` of the ascending times lie, seconds.
fn quantile(ascending: &[Duration], share: f64) -> f64 {
    let last = ascending.len().saturating_sub(1);
    ascending.get((last as f64 * share).round() as usize).map_or(0.0, Duration::as_secs_f64)
}

/// What a child process of this measurement does. False: the role is none of these.
///
/// # Errors
/// The job cannot be read, or the work fails.
pub fn role(role: &str, job: &str) -> anyhow::Result<bool> {
    match role {
        SERVER => tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())?,
        SIDECAR => {
            let flags: Vec<String> = serde_json::from_str(job)?;
            agones_sdk::sidecar_main(flags.into_iter().map(Into::into))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// A game server without a game: says that it is ready, gives signs of life, and ends at SIGTERM.
async fn serve() -> anyhow::Result<()> {
    // The end of standard input is the end of the fleet.
    std::thread::spawn(|| {
        let _ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let sdk = Sdk::from_env().await?;
    let _pings = sdk.spawn_health(Duration::from_secs(1));
    sdk.ready().await?;
    terminate.recv().await;
    sdk.shutdown().await?;
    Ok(())
}
