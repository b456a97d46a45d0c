//! The whole arena server under load: a process of its own, a swarm of real clients in another, encrypted datagrams over
//! the loopback, one open world. Owns the cases, the processes and the table; must never know how a bot plays.

mod bot;
pub(crate) mod server;
pub(crate) mod swarm;

use std::path::PathBuf;

use clap::Args;
use netcode_token::Key;
use serde::{Deserialize, Serialize};
use server_runtime::Transport;

use crate::compare::workspace;
use server::{ServerProcess, cores, pinned};

/// What to measure.
#[derive(Debug, Args)]
pub struct ArenaFlags {
    /// Players, 1 to 1024.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256, 512, 1000],
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    clients: Vec<u16>,
    /// What carries the datagrams.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Transport::Udp, Transport::Renet])]
    transport: Vec<Transport>,
    /// Measured seconds of one run, 1 to 600.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Seconds of play before them, once everybody is connected.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=60))]
    warm: u32,
    /// Runs of each; the one with the median processor time is reported.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Leaves server and swarm to the system's scheduler; otherwise each has a core of its own, where there are two.
    #[arg(long)]
    unpinned: bool,
    /// Where the figures go. Default: target/bench/arena.json in the workspace.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One row.
#[derive(Clone, Debug, Serialize)]
pub struct ArenaFigures {
    carrier: String,
    clients: u16,
    /// Processor time of the server's process, user and system, all threads, for each client and simulated tick.
    server_cpu_us_per_client_tick: f64,
    /// Of the simulated ticks.
    tick_p50_ms: f64,
    tick_p99_ms: f64,
    /// Payload of UDP datagrams at the clients' sockets.
    bytes_down_per_client_s: f64,
    bytes_up_per_client_s: f64,
    /// Of one client.
    mispredictions_per_minute: f64,
    /// Entities that a client holds: over all clients and some moments.
    entities_in_interest_p50: u32,
    entities_in_interest_min: u32,
    /// Ticks that the server simulated a second; 60 are due.
    ticks_per_s: f64,
    /// Inputs that the server had to do without, of those due, per cent.
    inputs_missed_percent: f64,
    /// Turns of bots that began more than half a tick late, per cent: beyond a few the swarm was the bottleneck.
    bots_late_percent: f64,
    /// Share of its core that the swarm used.
    swarm_core: f64,
    /// Whether server and swarm had a core each.
    pinned: bool,
    /// Runs that came to their end.
    runs: u32,
}

/// What the swarm is told.
#[derive(Debug, Serialize, Deserialize)]
struct SwarmJob {
    server: std::net::SocketAddr,
    admin: std::net::SocketAddr,
    server_pid: u32,
    key: String,
    transport: String,
    clients: u16,
    warm_s: u32,
    seconds: u32,
}

/// What the swarm found.
#[derive(Debug, Serialize, Deserialize)]
struct SwarmReport {
    server_cpu_ns: u64,
    ticks: u32,
    seconds: f64,
    /// Pairs of microseconds and ticks that took so long, within the window.
    tick_us_counts: Vec<(u64, u64)>,
    bytes_down: u64,
    bytes_up: u64,
    mispredictions: u64,
    inputs_missed: u64,
    /// Ascending.
    entities: Vec<u32>,
    turns: u64,
    turns_late: u64,
    swarm_cpu_ns: u64,
}

/// A child's role. False when it is another's.
///
/// # Errors
/// The job cannot be read or done.
pub fn role(role: &str, job: &str) -> anyhow::Result<bool> {
    match role {
        SERVER => {
            let args: Vec<String> = serde_json::from_str(job)?;
            arena::server_main(args.into_iter().map(Into::into))?;
        }
        SWARM => println!("{}", serde_json::to_string(&swarm::run(&serde_json::from_str(job)?)?)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Runs all cases, prints the table, writes the figures.
///
/// # Errors
/// No run of some case came to its end (what did is written), or a file cannot be written.
pub fn run(flags: &ArenaFlags) -> anyhow::Result<Vec<ArenaFigures>> {
    let pin = !flags.unpinned && cores() >= 2 && pinned();
    println!(
        "{}",
        if pin { "server and swarm have a core each" } else { "server and swarm share the cores" }
    );
    println!(
        "{:>8} {:>7} {:>13} {:>8} {:>8} {:>8} {:>8} {:>9} {:>12} {:>6} {:>7} {:>10} {:>10}",
        "carrier",
        "clients",
        "µs/client,tick",
        "p50 ms",
        "p99 ms",
        "B/s down",
        "B/s up",
        "mispr/min",
        "interest/min",
        "Hz",
        "missed%",
        "late bots%",
        "swarm core"
    );
    let (mut all, mut unfinished) = (Vec::new(), Vec::new());
    for transport in &flags.transport {
        for clients in &flags.clients {
            let mut runs = Vec::new();
            for _ in 0..flags.runs {
                match once(flags, *transport, *clients, pin) {
                    Ok(figures) => runs.push(figures),
                    Err(error) => println!("{transport:>8} {clients:>7} failed: {error:#}"),
                }
            }
            if runs.is_empty() {
                unfinished.push(format!("{transport} with {clients} clients"));
                continue;
            }
            runs.sort_by(|a, b| a.server_cpu_us_per_client_tick.total_cmp(&b.server_cpu_us_per_client_tick));
            let mut median = runs.swap_remove(runs.len() / 2);
            median.runs = runs.len() as u32 + 1;
            print_row(&median);
            all.push(median);
        }
    }
    let path = flags.json.clone().unwrap_or_else(|| workspace().join("target/bench/arena.json"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, serde_json::to_string_pretty(&all)? + "\n")?;
    println!("\nfigures in {}", path.display());
    anyhow::ensure!(unfinished.is_empty(), "no run came to its end of {}", unfinished.join(", "));
    Ok(all)
}

fn once(flags: &ArenaFlags, transport: Transport, clients: u16, pin: bool) -> anyhow::Result<ArenaFigures> {
    let key = Key::generate().to_hex();
    let server = ServerProcess::start(&key, transport, clients, pin)?;
    let job = SwarmJob {
        server: server.udp,
        admin: server.admin,
        server_pid: server.id(),
        key,
        transport: transport.name().into(),
        clients,
        warm_s: flags.warm,
        seconds: flags.seconds,
    };
    let report = server::swarm(&job, pin)?;
    Ok(ArenaFigures::new(transport, clients, pin, &report))
}

impl ArenaFigures {
    fn new(transport: Transport, clients: u16, pinned: bool, report: &SwarmReport) -> Self {
        let players = f64::from(clients);
        let player_ticks = players * f64::from(report.ticks);
        let percent = |part: u64, of: f64| part as f64 / of.max(1.0) * 100.0;
        let entities = |quantile: f64| {
            let place = (report.entities.len().saturating_sub(1)) as f64 * quantile;
            report.entities.get(place as usize).copied().unwrap_or(0)
        };
        Self {
            carrier: transport.name().into(),
            clients,
            server_cpu_us_per_client_tick: report.server_cpu_ns as f64 / 1000.0 / player_ticks,
            tick_p50_ms: quantile_ms(&report.tick_us_counts, 0.5),
            tick_p99_ms: quantile_ms(&report.tick_us_counts, 0.99),
            bytes_down_per_client_s: report.bytes_down as f64 / players / report.seconds,
            bytes_up_per_client_s: report.bytes_up as f64 / players / report.seconds,
            mispredictions_per_minute: report.mispredictions as f64 / players / report.seconds * 60.0,
            entities_in_interest_p50: entities(0.5),
            entities_in_interest_min: entities(0.0),
            ticks_per_s: f64::from(report.ticks) / report.seconds,
            inputs_missed_percent: percent(report.inputs_missed, player_ticks),
            bots_late_percent: percent(report.turns_late, report.turns as f64),
            swarm_core: report.swarm_cpu_ns as f64 / 1e9 / report.seconds,
            pinned,
            runs: 1,
        }
    }
}

pub(crate) fn quantile_ms(counts: &[(u64, u64)], quantile: f64) -> f64 {
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    let mut below = 0;
    for (us, count) in counts {
        below += count;
        if below as f64 >= all as f64 * quantile {
            return *us as f64 / 1000.0;
        }
    }
    0.0
}

fn print_row(row: &ArenaFigures) {
    println!(
        "{:>8} {:>7} {:>13.2} {:>8.2} {:>8.2} {:>8.0} {:>8.0} {:>9.2} {:>12} {:>6.1} {:>7.2} {:>10.2} {:>10.2}",
        row.carrier,
        row.clients,
        row.server_cpu_us_per_client_tick,
        row.tick_p50_ms,
        row.tick_p99_ms,
        row.bytes_down_per_client_s,
        row.bytes_up_per_client_s,
        row.mispredictions_per_minute,
        format!("{}/{}", row.entities_in_interest_p50, row.entities_in_interest_min),
        row.ticks_per_s,
        row.inputs_missed_percent,
        row.bots_late_percent,
        row.swarm_core
    );
}

const SERVER: &str = "arena-server";
const SWARM: &str = "arena-swarm";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_count_ticks() {
        let counts = [(100, 50), (200, 49), (5000, 1)];
        assert_eq!(quantile_ms(&counts, 0.5), 0.1);
        assert_eq!(quantile_ms(&counts, 0.99), 0.2);
        assert_eq!(quantile_ms(&counts, 1.0), 5.0);
        assert_eq!(quantile_ms(&[], 0.5), 0.0);
    }
}
