//! `netcode-sim`: plays seeds until one breaks a law. Owns the command line only.
#![allow(clippy::disallowed_methods, reason = "a command line measures how fast its runs are, in real time")]

use std::time::{Duration, Instant};

use clap::Parser;
use netcode_sim::{RunReport, run_links, run_sessions};

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
    /// Threads; 0 takes one for each core.
    #[arg(long, default_value_t = 0)]
    threads: u64,
}

fn main() -> anyhow::Result<()> {
    let Options { seeds, from, threads } = Options::parse();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let threads = if threads == 0 { cores } else { threads };
    let began = Instant::now();
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let play = |first: u64| move || play(first, from + seeds, threads);
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(play(from + thread))).collect();
        running.into_iter().map(|thread| thread.join().expect("a run judges, it does not panic")).collect()
    });
    let mut sum = Outcome::default();
    outcomes.into_iter().for_each(|outcome| sum.add(outcome));
    sum.print(seeds, began.elapsed());
    anyhow::ensure!(sum.failures.is_empty(), "{} of {seeds} seeds broke a law", sum.failures.len());
    Ok(())
}

/// What a thread's seeds came to.
#[derive(Debug, Default)]
struct Outcome {
    total: RunReport,
    busy: Duration,
    failures: Vec<(u64, String)>,
}

impl Outcome {
    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.busy += other.busy;
        self.failures.extend(other.failures);
    }

    fn print(&self, seeds: u64, wall: Duration) {
        for (seed, violation) in &self.failures {
            println!("seed {seed}: {violation}");
        }
        let RunReport { span, packets, messages, refused } = self.total;
        let factor = span.as_secs_f64() / self.busy.as_secs_f64().max(1e-9);
        println!("{seeds} seeds, {} broke a law", self.failures.len());
        println!(
            "{:.0} s of virtual time in {:.1} s: {factor:.0} × real time on one core",
            span.as_secs_f64(),
            wall.as_secs_f64()
        );
        println!("{packets} packets, {messages} messages, {refused} refused by full channels");
    }
}

fn play(first: u64, end: u64, step: u64) -> Outcome {
    let mut outcome = Outcome::default();
    let began = Instant::now();
    for seed in (first..end).step_by(step as usize) {
        match run_links(seed).and_then(|links| Ok((links, run_sessions(seed)?))) {
            Ok((links, sessions)) => {
                outcome.total += links;
                outcome.total += sessions;
            }
            Err(violation) => outcome.failures.push((seed, violation.to_string())),
        }
    }
    outcome.busy = began.elapsed();
    outcome
}
