//! `netcode-sim`: plays seeds until one breaks a law. Owns the command line only.
#![allow(clippy::disallowed_methods, reason = "a command line measures how fast its runs are, in real time")]

use std::time::{Duration, Instant};

use clap::Parser;
use netcode_sim::{
    Aqm, Manner, Profile, RunReport, Violation, bulk, bulk_with, kept_seeds, reliable_latency, run_bloat,
    run_links, run_sessions, run_worlds, shared_with,
};

/// Plays random runs of the netcode on a virtual network and checks every law on every step.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// How many seeds to play.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Measure instead, with the first seed: latency and bulk on the named paths, in virtual time.
    #[arg(long)]
    figures: bool,
    /// Play the runs of replicated worlds alone.
    #[arg(long)]
    worlds: bool,
    /// Threads; 0 takes one for each core.
    #[arg(long, default_value_t = 0)]
    threads: u64,
}

fn main() -> anyhow::Result<()> {
    let Options { seeds, from, threads, figures, worlds } = Options::parse();
    let run = if worlds { run_worlds } else { run };
    if figures {
        return print_figures(from);
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let threads = if threads == 0 { cores } else { threads };
    let began = Instant::now();
    let mut sum = play(kept_seeds(), run);
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let play = |first: u64| move || play((first..from + seeds).step_by(threads as usize), run);
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(play(from + thread))).collect();
        running.into_iter().map(|thread| thread.join().expect("a run judges, it does not panic")).collect()
    });
    outcomes.into_iter().for_each(|outcome| sum.add(outcome));
    sum.print(began.elapsed());
    anyhow::ensure!(sum.failures.is_empty(), "{} of {} seeds broke a law", sum.failures.len(), sum.seeds);
    Ok(())
}

/// What a thread's seeds came to.
#[derive(Debug, Default)]
struct Outcome {
    seeds: u64,
    total: RunReport,
    busy: Duration,
    failures: Vec<(u64, String)>,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.total += other.total;
        self.busy += other.busy;
        self.failures.extend(other.failures);
    }

    fn print(&self, wall: Duration) {
        for (seed, violation) in &self.failures {
            println!("seed {seed}: {violation}");
        }
        let RunReport { span, packets, messages, refused } = self.total;
        let factor = span.as_secs_f64() / self.busy.as_secs_f64().max(1e-9);
        println!("{} seeds, {} broke a law", self.seeds, self.failures.len());
        println!(
            "{:.0} s of virtual time in {:.1} s: {factor:.0} × real time on one core",
            span.as_secs_f64(),
            wall.as_secs_f64()
        );
        println!("{packets} packets, {messages} messages, {refused} refused by full channels");
    }
}

fn play(seeds: impl Iterator<Item = u64>, run: fn(u64) -> Result<RunReport, Violation>) -> Outcome {
    let mut outcome = Outcome::default();
    let began = Instant::now();
    for seed in seeds {
        outcome.seeds += 1;
        match run(seed) {
            Ok(report) => outcome.total += report,
            Err(violation) => outcome.failures.push((seed, violation.to_string())),
        }
    }
    outcome.busy = began.elapsed();
    outcome
}

/// All runs of one seed. Bulk without end is many packets: one seed in ten plays it.
fn run(seed: u64) -> Result<RunReport, Violation> {
    let mut report = run_links(seed)?;
    report += run_sessions(seed)?;
    report += run_worlds(seed)?;
    if seed.is_multiple_of(10) {
        report += run_bloat(seed)?;
    }
    Ok(report)
}

fn print_figures(seed: u64) -> anyhow::Result<()> {
    let narrow = [("bloat", Profile::bloat()), ("bad", Profile::bad()), ("4g", Profile::mobile4g())];
    for (name, profile) in narrow {
        for (how, aqm, paced, ecn) in [
            ("bursts", Aqm::Tail, false, false),
            ("paced", Aqm::Tail, true, false),
            ("paced, CoDel drops", Aqm::CoDel, true, false),
            ("paced, CoDel marks", Aqm::CoDel, true, true),
        ] {
            let (path, manner) = (Profile { aqm, ..profile }, Manner { paced, ecn });
            let shared = shared_with(path, 1100, Duration::from_secs(35), seed, manner)?;
            println!("{name}, {how}: {shared:?}");
            println!("{name}, {how}: {:?}", bulk_with(path, 1 << 20, seed, manner)?);
        }
    }
    println!(
        "path        reliable-ordered 32 B at 60 Hz, ms           1 MiB reliable                queue, ms     lost %"
    );
    println!(
        "              p50     p95     p99     max   B/flush         s  extra %     max    mean    full   path"
    );
    for (name, profile) in Profile::NAMED {
        let latency = reliable_latency(profile, Duration::from_secs(120), seed)?;
        let bulk = bulk(profile, 1 << 20, seed)?;
        let ms = |micros: u32| f64::from(micros) / 1e3;
        println!(
            "{name:10} {:7.1} {:7.1} {:7.1} {:7.1} {:9} {:9.2} {:8} {:7} {:7} {:7.1} {:6.1}",
            ms(latency.p50_us),
            ms(latency.p95_us),
            ms(latency.p99_us),
            ms(latency.max_us),
            latency.body_bytes_per_flush,
            bulk.took.as_secs_f64(),
            bulk.overhead_percent,
            bulk.queue_ms[0],
            bulk.queue_ms[1],
            bulk.lost_percent[0],
            bulk.lost_percent[1],
        );
    }
    Ok(())
}
