//! `recorder`: what the flight recorder costs a server's tick. Two rooms play the same match, one of them records; they
//! take turns tick by tick, so that whatever else the machine does meets both. Owns the comparison; must never know what
//! is recorded.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::room::Table;

/// What `recorder` is told.
#[derive(Debug, Args)]
pub struct RecorderFlags {
    /// Numbers of players.
    #[arg(long, value_delimiter = ',', default_values_t = [8, 64])]
    players: Vec<u16>,
    /// Seconds of play, 1 to 3600.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Seed of the match and its pilots.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// One row.
#[derive(Debug, Serialize)]
pub struct RecorderFigures {
    players: u16,
    /// Medians.
    tick_us: f64,
    tick_recorded_us: f64,
    /// Median of the ticks' differences, over the median tick.
    cost_percent: f64,
    recording_kib_per_minute: f64,
}

/// Runs the comparison and prints its table.
///
/// # Errors
/// A room cannot be built, not everybody got in, or a system panicked.
pub fn recorder(flags: &RecorderFlags) -> anyhow::Result<Vec<RecorderFigures>> {
    println!("players   tick µs   recorded   cost   KiB/min");
    let row = |&players: &u16| {
        let figures = measure(players, flags)?;
        let RecorderFigures { tick_us, tick_recorded_us, cost_percent, recording_kib_per_minute, .. } =
            figures;
        println!(
            "{players:>7} {tick_us:>9.1} {tick_recorded_us:>10.1} {cost_percent:>5.1} % {recording_kib_per_minute:>8.0}"
        );
        Ok(figures)
    };
    flags.players.iter().map(row).collect()
}

fn measure(players: u16, flags: &RecorderFlags) -> anyhow::Result<RecorderFigures> {
    let mut plain = Table::with_recorder(players, flags.seed, 0)?;
    let mut recorded = Table::with_recorder(players, flags.seed, 64)?;
    let ticks = flags.seconds * 60;
    let mut pairs = Vec::new();
    for tick in 0..ticks {
        // Whoever comes second finds caches as the first one left them.
        pairs.push(if tick % 2 == 0 {
            let first = plain.tick()?;
            (first, recorded.tick()?)
        } else {
            let first = recorded.tick()?;
            (plain.tick()?, first)
        });
    }
    let us = |time: Duration| time.as_nanos() as f64 / 1000.0;
    let tick_us = median(pairs.iter().map(|(plain, _)| us(*plain)));
    let by_us = median(pairs.iter().map(|(plain, recorded)| us(*recorded) - us(*plain)));
    // The two seconds in which everybody comes are recorded too.
    let minutes = f64::from(ticks + 120) / 3600.0;
    Ok(RecorderFigures {
        players,
        tick_us,
        tick_recorded_us: median(pairs.iter().map(|(_, recorded)| us(*recorded))),
        cost_percent: 100.0 * by_us / tick_us,
        recording_kib_per_minute: recorded.recording_bytes() as f64 / 1024.0 / minutes,
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
