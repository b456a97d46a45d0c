//! Rating models beside each other on one match log: who predicts best, each match before it is counted.
//!
//! Owns the command, its table and its files. The models of other people live here and nowhere else.

mod contestants;
mod elo;
mod glicko2;
mod halo2;
mod plot;
mod protocol;
mod synthetic;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use rating::Match;
use serde::Serialize;

#[cfg(test)]
use contestants::Contestant;
use contestants::Family;
use protocol::{Interval, Outcome};

/// `benches ratings`.
#[derive(Args)]
pub struct RatingsFlags {
    /// The Halo 2 beta's head-to-head games: HeadToHead.objml, or the same packed as .xz.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Games of the synthetic log that is used without --data.
    #[arg(long, default_value_t = 6000, value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    games: u32,
    /// Seed of the synthetic log and of the bootstrap.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Resamples of the bootstrap.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    resamples: u32,
    /// Steps of each model's search for parameters, at each of the points where they are learned anew.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: u32,
    /// Where the figures go.
    #[arg(long, value_name = "FILE", default_value = "target/bench/ratings.json")]
    json: PathBuf,
    /// Where the reliability plot goes.
    #[arg(long, value_name = "FILE", default_value = "target/bench/ratings.svg")]
    plot: PathBuf,
}

/// One model's figures: the fields of `target/bench/ratings.json`.
#[derive(Debug, Serialize)]
struct Row {
    model: String,
    /// Whether its parameters were learned from earlier games; false: the published ones throughout.
    tuned: bool,
    games: usize,
    accuracy: f64,
    log_loss: f64,
    log_loss_low: f64,
    log_loss_high: f64,
    /// Log-loss less that of the tuned TrueSkill on the same games; negative is better.
    beside_trueskill: f64,
    beside_trueskill_low: f64,
    beside_trueskill_high: f64,
    expected_calibration_error: f64,
    data: String,
}

/// Runs the comparison and writes its table, figures and plot.
///
/// # Errors
/// The log cannot be read, or a file cannot be written.
pub fn ratings(flags: &RatingsFlags) -> anyhow::Result<()> {
    let (log, data) = read_log(flags)?;
    println!("{data}: {} games", log.len());
    println!("each game is predicted before it is counted; draws are counted and not scored");
    println!(
        "tuned: parameters learned after {:?} games, from those games alone",
        protocol::checkpoints(log.len())
    );
    let mut outcomes = Vec::new();
    for contestant in contestants::all() {
        let start = std::time::Instant::now();
        let outcome = protocol::run(&contestant, &log, flags.steps);
        eprintln!("  {} done in {:.1} s", outcome.name, start.elapsed().as_secs_f64());
        if let Some(last) = &outcome.last_parameters {
            eprintln!("    learned at last: {last}");
        }
        outcomes.push(outcome);
    }
    let yardstick = outcomes
        .iter()
        .find(|outcome| outcome.name == Family::TrueSkill.name())
        .context("TrueSkill is among the contestants")?;
    let rows: Vec<Row> = outcomes.iter().map(|outcome| row(outcome, yardstick, flags, &data)).collect();
    print_table(&rows);
    write(&flags.json, &serde_json::to_string_pretty(&rows)?)?;
    let tuned: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.tuned).collect();
    write(&flags.plot, &plot::reliability(&tuned, &data))?;
    println!("figures in {}, reliability plot in {}", flags.json.display(), flags.plot.display());
    Ok(())
}

fn read_log(flags: &RatingsFlags) -> anyhow::Result<(Vec<Match>, String)> {
    if let Some(path) = &flags.data {
        let log = halo2::read(path).with_context(|| halo2::how_to_get(path))?;
        return Ok((log, "Halo 2 beta, head to head".to_owned()));
    }
    println!("no --data: {}", halo2::SOURCE);
    println!(
        "this run uses a synthetic log, drawn from the very model that trueskill2 assumes: it shows that"
    );
    println!("everything works, and proves nothing about real players");
    Ok((synthetic::log(flags.games, flags.seed), format!("synthetic, seed {}", flags.seed)))
}

fn row(outcome: &Outcome, yardstick: &Outcome, flags: &RatingsFlags, data: &str) -> Row {
    let losses = outcome.losses();
    let beside: Vec<f64> = losses.iter().zip(yardstick.losses()).map(|(own, other)| own - other).collect();
    let Interval { mean, low, high } = protocol::bootstrap(&losses, flags.resamples, flags.seed);
    let difference = protocol::bootstrap(&beside, flags.resamples, flags.seed);
    Row {
        model: outcome.name.clone(),
        tuned: outcome.tuned,
        games: losses.len(),
        accuracy: outcome.accuracy(),
        log_loss: mean,
        log_loss_low: low,
        log_loss_high: high,
        beside_trueskill: difference.mean,
        beside_trueskill_low: difference.low,
        beside_trueskill_high: difference.high,
        expected_calibration_error: outcome.calibration(10).expected_error(),
        data: data.to_owned(),
    }
}

fn print_table(rows: &[Row]) {
    println!();
    println!(
        "| model                | games | accuracy | log-loss | 95 % interval   | beside trueskill, 95 % interval | ECE    |"
    );
    println!(
        "| -------------------- | ----: | -------: | -------: | --------------- | ------------------------------- | -----: |"
    );
    for row in rows {
        println!(
            "| {:<20} | {:>5} | {:>6.2} % | {:>8.4} | {:.4} – {:.4} | {:>+8.4} ({:+.4} … {:+.4})    | {:.4} |",
            row.model,
            row.games,
            row.accuracy * 100.0,
            row.log_loss,
            row.log_loss_low,
            row.log_loss_high,
            row.beside_trueskill,
            row.beside_trueskill_low,
            row.beside_trueskill_high,
            row.expected_calibration_error,
        );
    }
    println!();
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A contestant as the protocol sees it, for the tests of this folder.
#[cfg(test)]
fn published(family: Family) -> Contestant {
    contestants::all().into_iter().find(|c| c.family == family && !c.tuned).expect("every family has one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_log_of_its_own_making_ours_predicts_best() {
        let log = synthetic::log(1500, 7);
        let ours = contestants::all().into_iter().find(|c| c.family == Family::TrueSkill2).expect("there");
        let loss = |contestant: &Contestant| {
            let losses = protocol::run(contestant, &log, 8).losses();
            losses.iter().sum::<f64>() / losses.len() as f64
        };
        let ours = loss(&ours);
        for family in [Family::Elo, Family::Glicko2, Family::TrueSkill] {
            assert!(ours < loss(&published(family)), "{family:?}");
        }
        assert!(ours < 0.69, "{ours}");
    }
}
