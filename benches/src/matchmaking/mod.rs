//! Our pool beside first come first served and a query matcher: one cycle over a full queue, and a stream of arrivals
//! at one rate. Owns the order of runs and the figures; the matchers own their choice.

mod fifo;
mod lobby;
mod query;
mod world;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use fastrand::Rng;
use matching::{Millis, Pool, Ticket, TicketId, win_spread};
use rating::Rating;
use serde::Serialize;

use self::fifo::Fifo;
use self::lobby::Made;
use self::query::Query;
use self::world::{party, rules};

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Matcher {
    /// Our pool.
    Tickwright,
    /// First come, first served.
    Fifo,
    /// Queries over an index, as Nakama's matchmaker.
    Query,
}

impl Matcher {
    /// As in flags and figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tickwright => "tickwright",
            Self::Fifo => "fifo",
            Self::Query => "query",
        }
    }
}

/// What the comparison is told.
#[derive(Debug, Args)]
pub struct MatchmakingFlags {
    /// Who takes part.
    #[arg(long, value_delimiter = ',', default_values_t = Matcher::value_variants().to_vec(), value_enum)]
    pub matchers: Vec<Matcher>,
    /// Tickets in a full queue; the stream brings a hundredth of it each second.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    pub tickets: Vec<u32>,
    /// Seconds of arrivals in the stream, 30 to 3600.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(30..=3600))]
    pub seconds: u32,
    /// Cycles over the full queue; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// Seed of the players.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the figures go. Default: target/bench/matchmaking.json in the workspace.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct MatchmakingFigures {
    /// Who.
    pub matcher: &'static str,
    /// Tickets in the full queue.
    pub tickets: u32,
    /// Processor time of one cycle over it, milliseconds, one thread.
    pub cycle_ms: f64,
    /// Tickets that this cycle matched.
    pub matched: usize,
    /// Stream: mean wait of everybody who came, seconds; who is not matched at the end has waited until then.
    pub mean_wait_s: f64,
    /// Stream: the wait that one of a hundred exceeds, seconds.
    pub p99_wait_s: f64,
    /// Stream: the mean over matches of the difference of the teams' predicted chances.
    pub win_spread: f64,
}

/// A stream is looked at this often.
const CYCLE_MS: u64 = 500;
/// Arrivals before this are not counted: the queue is still filling.
const WARM_S: u64 = 15;

/// Runs the comparison, prints it and writes the figures.
///
/// # Errors
/// The figures cannot be written.
pub fn run(flags: &MatchmakingFlags) -> anyhow::Result<Vec<MatchmakingFigures>> {
    println!("| matcher    | tickets | cycle ms | matched | mean wait s | p99 wait s | win spread |");
    println!("| ---------- | ------: | -------: | ------: | ----------: | ---------: | ---------: |");
    let mut figures = Vec::new();
    for &tickets in &flags.tickets {
        for &matcher in &flags.matchers {
            let line = measure(flags, matcher, tickets);
            println!(
                "| {:<10} | {:>7} | {:>8.1} | {:>7} | {:>11.3} | {:>10.2} | {:>10.4} |",
                line.matcher,
                line.tickets,
                line.cycle_ms,
                line.matched,
                line.mean_wait_s,
                line.p99_wait_s,
                line.win_spread
            );
            figures.push(line);
        }
    }
    let path = flags.json.clone().unwrap_or_else(|| {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        here.parent().map(PathBuf::from).unwrap_or(here).join("target/bench/matchmaking.json")
    });
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(&figures)? + "\n";
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("\nfigures in {}", path.display());
    Ok(figures)
}

fn measure(flags: &MatchmakingFlags, matcher: Matcher, tickets: u32) -> MatchmakingFigures {
    let mut cycles: Vec<(Duration, usize)> =
        (0..flags.runs).map(|run| full_queue(matcher, tickets, flags.seed + u64::from(run))).collect();
    cycles.sort_unstable();
    let (cycle, matched) = cycles[cycles.len() / 2];
    let stream = stream(matcher, f64::from(tickets) / 100.0, flags.seconds, flags.seed);
    MatchmakingFigures {
        matcher: matcher.name(),
        tickets,
        cycle_ms: cycle.as_secs_f64() * 1000.0,
        matched,
        mean_wait_s: stream.mean_wait_s,
        p99_wait_s: stream.p99_wait_s,
        win_spread: stream.win_spread,
    }
}

/// One cycle over parties that have waited 0 to 30 s.
fn full_queue(matcher: Matcher, tickets: u32, seed: u64) -> (Duration, usize) {
    let mut rng = Rng::with_seed(seed);
    let mut contestant = Contestant::new(matcher, seed);
    let now = Millis(30_000);
    let mut ages: Vec<u64> = (0..tickets).map(|_| rng.u64(0..30_000)).collect();
    ages.sort_unstable();
    for (id, queued) in (1..).zip(ages) {
        contestant.enqueue(party(&mut rng, id, Millis(queued)));
    }
    let start = thread_time();
    let made = contestant.tick(now);
    (thread_time().saturating_sub(start), made.iter().map(|one| one.tickets.len()).sum())
}

struct Stream {
    mean_wait_s: f64,
    p99_wait_s: f64,
    win_spread: f64,
}

/// Parties arrive at random moments at one rate; every matcher gets the same ones.
fn stream(matcher: Matcher, rate_per_s: f64, seconds: u32, seed: u64) -> Stream {
    let mut rng = Rng::with_seed(seed ^ 0x5eed);
    let mut contestant = Contestant::new(matcher, seed);
    let mut due_ms = 0.0;
    let (mut arrived, mut waits, mut spreads) = (HashMap::new(), Vec::new(), Vec::new());
    let end = u64::from(seconds) * 1000;
    let mut id = 0;
    for now in (0..=end).step_by(CYCLE_MS as usize) {
        while due_ms <= now as f64 {
            id += 1;
            let queued = Millis(due_ms as u64);
            contestant.enqueue(party(&mut rng, id, queued));
            arrived.insert(TicketId(u128::from(id)), queued);
            due_ms += -(1.0 - rng.f64()).ln() / rate_per_s * 1000.0;
        }
        for made in contestant.tick(Millis(now)) {
            spreads.push(made.spread);
            for ticket in made.tickets {
                let queued = arrived.remove(&ticket).unwrap_or_default();
                waits.push((queued, Millis(now).since(queued)));
            }
        }
    }
    waits.extend(arrived.into_values().map(|queued| (queued, Millis(end).since(queued))));
    let counted = waits.iter().filter(|(queued, _)| queued.0 >= WARM_S * 1000);
    let mut waits: Vec<u64> = counted.map(|(_, wait)| *wait).collect();
    waits.sort_unstable();
    let p99 = waits.get(waits.len() * 99 / 100).copied().unwrap_or(0);
    Stream {
        mean_wait_s: waits.iter().sum::<u64>() as f64 / 1000.0 / waits.len().max(1) as f64,
        p99_wait_s: p99 as f64 / 1000.0,
        win_spread: spreads.iter().sum::<f64>() / spreads.len().max(1) as f64,
    }
}

struct Outcome {
    tickets: Vec<TicketId>,
    spread: f64,
}

enum Contestant {
    Tickwright { pool: Box<Pool>, ratings: HashMap<TicketId, Vec<Rating>> },
    Fifo(Fifo),
    Query(Query),
}

impl Contestant {
    fn new(matcher: Matcher, seed: u64) -> Self {
        let book = rules();
        let mode = book.modes[0].clone();
        match matcher {
            Matcher::Tickwright => {
                let pool = Pool::new(&book, usize::MAX, seed).expect("the rules above are sound");
                Self::Tickwright { pool: Box::new(pool), ratings: HashMap::new() }
            }
            Matcher::Fifo => Self::Fifo(Fifo::new(mode)),
            Matcher::Query => Self::Query(Query::new(mode)),
        }
    }

    fn enqueue(&mut self, ticket: Ticket) {
        match self {
            Self::Tickwright { pool, ratings } => {
                let rate = |player: &matching::Player| Rating { mu: player.mu, sigma: player.sigma };
                ratings.insert(ticket.id, ticket.players.iter().map(rate).collect());
                pool.enqueue(ticket).expect("a sound ticket");
            }
            Self::Fifo(fifo) => fifo.enqueue(ticket),
            Self::Query(query) => query.enqueue(ticket),
        }
    }

    fn tick(&mut self, now: Millis) -> Vec<Outcome> {
        let rival = |made: Made| Outcome {
            spread: made.spread(),
            tickets: made.teams.iter().flatten().map(|ticket| ticket.id).collect(),
        };
        match self {
            Self::Tickwright { pool, ratings } => {
                let found = pool.tick(now);
                let mut out = Vec::with_capacity(found.len());
                for made in found {
                    pool.commit(&made);
                    // The same yardstick for all three, from the outside.
                    let team =
                        |team: &Vec<TicketId>| team.iter().flat_map(|id| ratings[id].clone()).collect();
                    let spread = win_spread(&made.teams.iter().map(team).collect::<Vec<_>>());
                    out.push(Outcome { spread, tickets: made.tickets().collect() });
                }
                out
            }
            Self::Fifo(fifo) => fifo.tick(now).into_iter().map(rival).collect(),
            Self::Query(query) => query.tick(now).into_iter().map(rival).collect(),
        }
    }
}

/// Processor time of this thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
