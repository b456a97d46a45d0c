//! `loss`: how long reliable messages take when the path loses and reorders, and whether a large one arrives whole. Owns
//! the figures; must never know how a run is made.

use std::collections::BTreeMap;

use clap::Args;
use contest::{SwarmReport, Work};
use netcode_sim::Profile;
use serde::Serialize;

use super::run::{Arena, run};
use super::table::{cell, load, median, print, quantile};
use super::transport::job;
use super::{Contestant, Terms};

/// What `loss` is told.
#[derive(Debug, Args)]
pub struct LossFlags {
    #[command(flatten)]
    terms: Terms,
    /// How many clients receive the timed messages.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Seconds of each window.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Per cent of the datagrams that are lost, each way.
    #[arg(long, default_value_t = 5.0)]
    loss: f64,
    /// Milliseconds of a round trip.
    #[arg(long, default_value_t = 50.0)]
    rtt: f64,
    /// Milliseconds by which each direction varies, up and down, a datagram at a time: it reorders.
    #[arg(long, default_value_t = 5.0)]
    jitter: f64,
    /// Decides the weather: the same for all contestants of a round.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// One row: medians of the runs that came to their end.
#[derive(Debug, Clone, Serialize)]
pub struct LossFigures {
    peer: &'static str,
    loss_percent: f64,
    rtt_ms: f64,
    reliable_p50_ms: Option<f64>,
    reliable_p95_ms: Option<f64>,
    reliable_p99_ms: Option<f64>,
    reliable_max_ms: Option<f64>,
    unreliable_p50_ms: Option<f64>,
    unreliable_p99_ms: Option<f64>,
    /// Reliable messages that were repeated, out of order or not delivered three seconds after the window; the worst run.
    faults: u64,
    /// 1 MiB, when it arrived with every byte right; of the runs in which it did.
    bulk_1mib_s: Option<f64>,
    bulk_1mib_min_s: Option<f64>,
    bulk_1mib_max_s: Option<f64>,
    bulk_intact_runs: usize,
    runs: usize,
    failures: Vec<String>,
}

/// Runs the comparison, prints its table and writes its figures.
///
/// # Errors
/// The other libraries do not compile, or the figures cannot be written. A run that fails is a figure.
pub fn loss(flags: &LossFlags, ours: std::path::PathBuf) -> anyhow::Result<Vec<LossFigures>> {
    let terms = &flags.terms;
    let peers: Vec<Contestant> = terms.peers.iter().copied().filter(|peer| peer.is_reliable()).collect();
    let arena = Arena::prepare(ours, &peers)?;
    let before = load();
    let mut tallies: BTreeMap<Contestant, Tally> = BTreeMap::new();
    for round in 0..terms.runs.unwrap_or(3) {
        for &peer in &peers {
            let tally = tallies.entry(peer).or_default();
            tally.take_latency(|attempt| latency(&arena, peer, flags, round + attempt * AGAIN));
            tally.take_bulk(bulk(&arena, peer, flags, round));
            eprintln!("{:<18} run {}  {}", peer.name(), round + 1, tally.brief());
        }
    }
    let figures: Vec<LossFigures> =
        tallies.into_iter().map(|(peer, tally)| tally.figures(peer, flags)).collect();
    show(&figures, flags);
    println!("\nload averages of the machine before and after: {before}, {}", load());
    terms.write("loss.json", &figures)?;
    Ok(figures)
}

/// The path of a round. The profile's jitter is that of the round trip, half of it each way.
fn weather(flags: &LossFlags, round: u32) -> (Profile, u64) {
    let clean = Profile::clean(flags.rtt);
    let profile = Profile { loss: flags.loss / 100.0, jitter_ms: flags.jitter * 2.0, ..clean };
    (profile, flags.seed + u64::from(round))
}

/// What one latency run showed.
struct Latency {
    seen: SwarmReport,
    faults: u64,
}

fn latency(arena: &Arena, peer: Contestant, flags: &LossFlags, round: u32) -> anyhow::Result<Latency> {
    let job = job(Work::Latency, flags.clients, flags.terms.warm, flags.seconds);
    let (host, seen) = run(arena, peer, job, Some(weather(flags, round)))?;
    anyhow::ensure!(seen.connected == flags.clients, "{} of {} clients left", seen.connected, flags.clients);
    anyhow::ensure!(!seen.reliable_ms.is_empty(), "no message arrived");
    let owed = (host.ticks * flags.clients as u64).saturating_sub(host.refused);
    let faults = seen.faults + owed.saturating_sub(seen.reliable_ms.len() as u64);
    Ok(Latency { seen, faults })
}

/// Seconds; `None` when it came damaged.
fn bulk(arena: &Arena, peer: Contestant, flags: &LossFlags, round: u32) -> anyhow::Result<Option<f64>> {
    let job = job(Work::Bulk, 1, flags.terms.warm.min(1.0), 0.0);
    let (_, seen) = run(arena, peer, job, Some(weather(flags, round)))?;
    Ok(seen.bulk_s.filter(|_| seen.bulk_intact))
}

/// What the runs of one contestant showed so far.
#[derive(Default)]
struct Tally {
    latencies: Vec<Latency>,
    bulks: Vec<f64>,
    bulk_runs: usize,
    failures: Vec<String>,
}

impl Tally {
    /// Tries in other weather what failed, so that a library that does not always connect is still timed; every
    /// failure is told.
    fn take_latency(&mut self, run: impl Fn(u32) -> anyhow::Result<Latency>) {
        for attempt in 0..ATTEMPTS_MAX {
            match run(attempt) {
                Ok(latency) => return self.latencies.push(latency),
                Err(error) => self.failures.push(format!("latency: {error:#}")),
            }
        }
    }

    fn take_bulk(&mut self, run: anyhow::Result<Option<f64>>) {
        self.bulk_runs += 1;
        match run {
            Ok(Some(seconds)) => self.bulks.push(seconds),
            Ok(None) => self.failures.push("1 MiB: damaged".into()),
            Err(error) => self.failures.push(format!("1 MiB: {error:#}")),
        }
    }

    fn brief(&self) -> String {
        let p99 = self.latencies.last().and_then(|run| quantile(&run.seen.reliable_ms, 0.99));
        let bulk = self.bulks.last().copied();
        let failure = self.failures.last().map(String::as_str).unwrap_or_default();
        format!("reliable p99 {} ms, 1 MiB {} s  {failure}", cell(p99, 1), cell(bulk, 2))
    }

    fn figures(self, peer: Contestant, flags: &LossFlags) -> LossFigures {
        let runs = &self.latencies;
        let reliable = |share| median(runs.iter().filter_map(|run| quantile(&run.seen.reliable_ms, share)));
        let unreliable =
            |share| median(runs.iter().filter_map(|run| quantile(&run.seen.unreliable_ms, share)));
        LossFigures {
            peer: peer.name(),
            loss_percent: flags.loss,
            rtt_ms: flags.rtt,
            reliable_p50_ms: reliable(0.5),
            reliable_p95_ms: reliable(0.95),
            reliable_p99_ms: reliable(0.99),
            reliable_max_ms: reliable(1.0),
            unreliable_p50_ms: unreliable(0.5),
            unreliable_p99_ms: unreliable(0.99),
            faults: runs.iter().map(|run| run.faults).max().unwrap_or(0),
            bulk_1mib_s: median(self.bulks.iter().copied()),
            bulk_1mib_min_s: self.bulks.iter().copied().reduce(f64::min),
            bulk_1mib_max_s: self.bulks.iter().copied().reduce(f64::max),
            bulk_intact_runs: self.bulks.len(),
            runs: self.bulk_runs,
            failures: self.failures,
        }
    }
}

/// How often a latency run is tried.
const ATTEMPTS_MAX: u32 = 3;
/// From one attempt's weather to the next.
const AGAIN: u32 = 1000;

fn show(figures: &[LossFigures], flags: &LossFlags) {
    println!(
        "{} % loss each way, one way {} ± {} ms, {} clients, {} s; 32 B reliable ordered a tick; milliseconds\n",
        flags.loss,
        flags.rtt / 2.0,
        flags.jitter,
        flags.clients,
        flags.seconds
    );
    let heads = [
        "peer",
        "reliable p50",
        "p95",
        "p99",
        "max",
        "faults",
        "unreliable p50",
        "p99",
        "1 MiB s",
        "min",
        "max",
        "intact",
    ];
    let row = |row: &LossFigures| {
        vec![
            row.peer.to_owned(),
            cell(row.reliable_p50_ms, 1),
            cell(row.reliable_p95_ms, 1),
            cell(row.reliable_p99_ms, 1),
            cell(row.reliable_max_ms, 0),
            row.faults.to_string(),
            cell(row.unreliable_p50_ms, 1),
            cell(row.unreliable_p99_ms, 1),
            cell(row.bulk_1mib_s, 2),
            cell(row.bulk_1mib_min_s, 2),
            cell(row.bulk_1mib_max_s, 2),
            format!("{}/{}", row.bulk_intact_runs, row.runs),
        ]
    };
    print(&heads, &figures.iter().map(row).collect::<Vec<_>>());
    for row in figures.iter().filter(|row| !row.failures.is_empty()) {
        println!("{}: {}", row.peer, row.failures.join("; "));
    }
}
