//! `transport`: what a connected client costs a server, in processor time, datagrams, bytes and memory. Owns the figures
//! and their arithmetic; must never know how a run is made.

use std::collections::BTreeMap;

use clap::Args;
use contest::{HostReport, Job, Work};
use serde::Serialize;

use super::run::{Arena, run};
use super::table::{cell, load, median, print};
use super::{Contestant, Terms};

/// What `transport` is told.
#[derive(Debug, Args)]
pub struct TransportFlags {
    #[command(flatten)]
    terms: Terms,
    /// Numbers of clients.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 256, 512, 1024])]
    clients: Vec<usize>,
    /// Seconds of each window.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds of the window in which nothing is sent; 0 leaves that run out.
    #[arg(long, default_value_t = 5.0)]
    idle_seconds: f64,
}

/// One row: a contestant with so many clients, medians of the runs that came to their end.
#[derive(Debug, Clone, Serialize)]
pub struct TransportFigures {
    peer: &'static str,
    clients: usize,
    server_cpu_us_per_client_tick: Option<f64>,
    datagrams_out_per_client_tick: Option<f64>,
    datagrams_in_per_client_tick: Option<f64>,
    /// With the 28 bytes that IP and UDP add to each datagram; as the next.
    bytes_out_per_client_tick: Option<f64>,
    bytes_in_per_client_tick: Option<f64>,
    /// What each connection after the first adds to the resident memory of a server on which everybody plays.
    rss_kib_per_connection: Option<f64>,
    /// The part of it that no file backs: without the program's own code.
    anon_kib_per_connection: Option<f64>,
    /// What the first one brings with it: all that a process needs once, however many come.
    rss_kib_first_connection: Option<f64>,
    /// All of it, the first one's share included, divided by the clients.
    rss_kib_per_connection_with_first: Option<f64>,
    /// Processor time over that of the floor and of renet in the same round: median of the rounds, least and most.
    cpu_over_floor: Option<[f64; 3]>,
    /// See `cpu_over_floor`.
    cpu_over_renet: Option<[f64; 3]>,
    /// Below 60 the server could not keep up.
    ticks_per_s: Option<f64>,
    /// Messages of a client that reached the server's application, a tick; 1 when nothing is lost.
    messages_in_per_client_tick: Option<f64>,
    /// Datagrams a second of a connection on which nobody says anything, from the server and to it.
    idle_datagrams_out_per_s: Option<f64>,
    idle_datagrams_in_per_s: Option<f64>,
    /// Runs that came to their end.
    runs: usize,
    /// Why others did not.
    failures: Vec<String>,
}

/// Runs the comparison, prints its table and writes its figures.
///
/// # Errors
/// The other libraries do not compile, or the figures cannot be written. A run that fails is a figure.
pub fn transport(flags: &TransportFlags, ours: std::path::PathBuf) -> anyhow::Result<Vec<TransportFigures>> {
    let terms = &flags.terms;
    let arena = Arena::prepare(ours, &terms.peers)?;
    let before = load();
    let idle = idle(flags, &arena);
    let mut figures = Vec::new();
    for &clients in &flags.clients {
        let mut runs: Runs = BTreeMap::new();
        for round in 0..terms.runs(clients) {
            // Forth and back, so that a machine that changes speed favours nobody.
            let mut turns = terms.peers.clone();
            if round % 2 == 1 {
                turns.reverse();
            }
            for peer in turns {
                let report = play(&arena, peer, flags, clients);
                eprintln!("{:<18} {clients:>5} clients  run {}  {}", peer.name(), round + 1, brief(&report));
                runs.entry(peer).or_default().push(report);
            }
        }
        figures.extend(terms.peers.iter().map(|peer| {
            let mut row = TransportFigures::of(*peer, clients, &runs, idle.get(peer).copied());
            row.cpu_over_floor = over(&runs, *peer, Contestant::Floor);
            row.cpu_over_renet = over(&runs, *peer, Contestant::Renet);
            row
        }));
    }
    show(&figures);
    println!("\nload averages of the machine before and after: {before}, {}", load());
    terms.write("transport.json", &figures)?;
    Ok(figures)
}

fn play(
    arena: &Arena,
    peer: Contestant,
    flags: &TransportFlags,
    clients: usize,
) -> anyhow::Result<HostReport> {
    let job = job(Work::Play, clients, flags.terms.warm, flags.seconds);
    let (report, seen) = run(arena, peer, job, None)?;
    anyhow::ensure!(report.clients == clients, "{} of {clients} clients left at the end", report.clients);
    anyhow::ensure!(seen.connected == clients, "{} of {clients} clients believe it", seen.connected);
    Ok(report)
}

/// Datagrams a second out and in of an idle connection.
fn idle(flags: &TransportFlags, arena: &Arena) -> BTreeMap<Contestant, (f64, f64)> {
    let mut rates = BTreeMap::new();
    for &peer in flags.terms.peers.iter().filter(|peer| peer.is_reliable() && flags.idle_seconds > 0.0) {
        match run(arena, peer, job(Work::Idle, IDLE_CLIENTS, flags.terms.warm, flags.idle_seconds), None) {
            Ok((report, _)) => {
                let seconds = report.seconds * IDLE_CLIENTS as f64;
                let rate = |datagrams: u64| datagrams as f64 / seconds;
                let traffic = report.traffic;
                rates.insert(peer, (rate(traffic.datagrams_out), rate(traffic.datagrams_in)));
            }
            Err(error) => eprintln!("{:<18} idle: {error:#}", peer.name()),
        }
    }
    rates
}

/// A job of `work`; the run fills in who, the secret and the addresses.
pub(super) fn job(work: Work, clients: usize, warm_s: f64, seconds: f64) -> Job {
    Job {
        peer: String::new(),
        work,
        clients,
        warm_s,
        seconds,
        secret: String::new(),
        connect: None,
        relay: None,
    }
}

/// What everybody's runs with one number of clients showed, round by round.
type Runs = BTreeMap<Contestant, Vec<anyhow::Result<HostReport>>>;

/// The cost of `peer` over that of `other`, round by round: what slows a machine down for a while slows both down, so that
/// these differ less than the costs do. Median, least, most.
fn over(runs: &Runs, peer: Contestant, other: Contestant) -> Option<[f64; 3]> {
    let rounds = runs.get(&peer)?.iter().zip(runs.get(&other)?);
    let ratio = |(one, other): (&anyhow::Result<HostReport>, &anyhow::Result<HostReport>)| {
        Some(cpu_us(one.as_ref().ok()?) / cpu_us(other.as_ref().ok()?))
    };
    let ratios: Vec<f64> = rounds.filter_map(ratio).collect();
    let least = ratios.iter().copied().reduce(f64::min)?;
    let most = ratios.iter().copied().reduce(f64::max)?;
    Some([median(ratios)?, least, most])
}

/// Microseconds of processor time for each client and tick.
fn cpu_us(report: &HostReport) -> f64 {
    report.cpu_us / (report.ticks * report.clients as u64) as f64
}

fn brief(report: &anyhow::Result<HostReport>) -> String {
    match report {
        Ok(report) => {
            let (cpu, memory) = (cpu_us(report), [report.memory_empty, report.memory_one, report.memory_all]);
            let rss = memory.map(|memory| memory.rss_kib.to_string()).join(" / ");
            let rate = report.ticks as f64 / report.seconds;
            format!("{cpu:.2} µs a client a tick, {rate:.1} ticks/s, {rss} KiB empty / one / all")
        }
        Err(error) => format!("failed: {error:#}"),
    }
}

impl TransportFigures {
    fn of(peer: Contestant, clients: usize, runs: &Runs, idle: Option<(f64, f64)>) -> Self {
        let runs = runs.get(&peer).map(Vec::as_slice).unwrap_or_default();
        let reports: Vec<&HostReport> = runs.iter().filter_map(|run| run.as_ref().ok()).collect();
        let failures = runs.iter().filter_map(|run| run.as_ref().err());
        let over = |value: &dyn Fn(&HostReport) -> f64| median(reports.iter().map(|report| value(report)));
        let others = clients.saturating_sub(1).max(1) as f64;
        let grown = |to: u64, from: u64| to.saturating_sub(from) as f64;
        let each = |value: &dyn Fn(&HostReport) -> f64| {
            over(&|report| value(report) / (report.ticks as f64 * clients as f64))
        };
        let wire = |bytes: u64, datagrams: u64| (bytes + datagrams * IP_UDP_BYTES) as f64;
        Self {
            peer: peer.name(),
            clients,
            server_cpu_us_per_client_tick: each(&|report| report.cpu_us),
            datagrams_out_per_client_tick: each(&|report| report.traffic.datagrams_out as f64),
            datagrams_in_per_client_tick: each(&|report| report.traffic.datagrams_in as f64),
            bytes_out_per_client_tick: each(&|report| {
                wire(report.traffic.bytes_out, report.traffic.datagrams_out)
            }),
            bytes_in_per_client_tick: each(&|report| {
                wire(report.traffic.bytes_in, report.traffic.datagrams_in)
            }),
            rss_kib_per_connection: over(&|report| {
                grown(report.memory_all.rss_kib, report.memory_one.rss_kib) / others
            }),
            anon_kib_per_connection: over(&|report| {
                grown(report.memory_all.anon_kib, report.memory_one.anon_kib) / others
            }),
            rss_kib_first_connection: over(&|report| {
                grown(report.memory_one.rss_kib, report.memory_empty.rss_kib)
            }),
            rss_kib_per_connection_with_first: over(&|report| {
                grown(report.memory_all.rss_kib, report.memory_empty.rss_kib) / clients as f64
            }),
            cpu_over_floor: None,
            cpu_over_renet: None,
            ticks_per_s: over(&|report| report.ticks as f64 / report.seconds),
            messages_in_per_client_tick: each(&|report| report.messages_in as f64),
            idle_datagrams_out_per_s: idle.map(|(out, _)| out),
            idle_datagrams_in_per_s: idle.map(|(_, into)| into),
            runs: reports.len(),
            failures: failures.map(|error| format!("{error:#}")).collect(),
        }
    }
}

fn show(figures: &[TransportFigures]) {
    println!(
        "200 B unreliable + 32 B reliable ordered to each client, 40 B back, 60 Hz; per client and tick\n"
    );
    let heads = [
        "peer",
        "clients",
        "CPU µs",
        "× floor",
        "least–most",
        "× renet",
        "out",
        "B out",
        "in",
        "B in",
        "KiB/conn",
        "first KiB",
        "ticks/s",
        "idle/s out",
        "in",
        "runs",
    ];
    let row = |row: &TransportFigures| {
        vec![
            row.peer.to_owned(),
            row.clients.to_string(),
            cell(row.server_cpu_us_per_client_tick, 2),
            cell(row.cpu_over_floor.map(|[median, ..]| median), 2),
            row.cpu_over_floor.map_or_else(String::new, |[_, least, most]| format!("{least:.2}–{most:.2}")),
            cell(row.cpu_over_renet.map(|[median, ..]| median), 2),
            cell(row.datagrams_out_per_client_tick, 2),
            cell(row.bytes_out_per_client_tick, 0),
            cell(row.datagrams_in_per_client_tick, 2),
            cell(row.bytes_in_per_client_tick, 0),
            cell(row.rss_kib_per_connection, 1),
            cell(row.rss_kib_first_connection, 0),
            cell(row.ticks_per_s, 1),
            cell(row.idle_datagrams_out_per_s, 1),
            cell(row.idle_datagrams_in_per_s, 1),
            format!("{}/{}", row.runs, row.runs + row.failures.len()),
        ]
    };
    print(&heads, &figures.iter().map(row).collect::<Vec<_>>());
    for row in figures.iter().filter(|row| !row.failures.is_empty()) {
        println!("{} × {}: {}", row.peer, row.clients, row.failures.join("; "));
    }
}

/// What IPv4 and UDP add to each datagram.
const IP_UDP_BYTES: u64 = 28;
/// Connections of the idle run.
const IDLE_CLIENTS: usize = 16;
