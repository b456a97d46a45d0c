//! `recorder`: what the flight recorder costs a server's tick. Four rooms play the same match, two of them record; they
//! take turns tick by tick, so that whatever else the machine does meets both. Owns the comparison; must never know what
//! is recorded.

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
    /// The same between the two rooms without a recorder, whatever its sign.
    control_percent: f64,
    recording_kib_per_minute: f64,
}

/// Runs the comparison and prints its table.
///
/// # Errors
/// A room cannot be built, not everybody got in, or a system panicked.
pub fn recorder(flags: &RecorderFlags) -> anyhow::Result<Vec<RecorderFigures>> {
    println!("players   tick µs   recorded   cost   control   KiB/min");
    let row = |&players: &u16| {
        let figures = measure(players, flags)?;
        println!(
            "{players:>7} {:>9.1} {:>10.1} {:>5.1} % {:>7.1} % {:>8.0}",
            figures.tick_us,
            figures.tick_recorded_us,
            figures.cost_percent,
            figures.control_percent,
            figures.recording_kib_per_minute
        );
        Ok(figures)
    };
    flags.players.iter().map(row).collect()
}

fn measure(players: u16, flags: &RecorderFlags) -> anyhow::Result<RecorderFigures> {
    // Rooms differ by where their memory lies, too: two of each kind, and what the two plain ones differ by is what the
    // comparison cannot see.
    let mut rooms = [0, 64, 64, 0]
        .into_iter()
        .map(|mib| Table::with_recorder(players, flags.seed, mib))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let ticks = flags.seconds * 60;
    let mut rounds = Vec::new();
    for tick in 0..ticks as usize {
        // Whoever comes later finds caches as the ones before left them.
        let mut round = [0.0; 4];
        for place in 0..rooms.len() {
            let place = (tick + place) % rooms.len();
            round[place] = rooms[place].tick()?.as_nanos() as f64 / 1000.0;
        }
        rounds.push(round);
    }
    let tick_us = median(rounds.iter().map(|[one, .., other]| (one + other) / 2.0));
    let percent = |by_us: f64| 100.0 * by_us / tick_us;
    // The two seconds in which everybody comes are recorded too.
    let minutes = f64::from(ticks + 120) / 3600.0;
    Ok(RecorderFigures {
        players,
        tick_us,
        tick_recorded_us: median(rounds.iter().map(|[_, one, other, _]| (one + other) / 2.0)),
        cost_percent: percent(median(rounds.iter().map(|[a, b, c, d]| (b + c - a - d) / 2.0))),
        control_percent: percent(median(rounds.iter().map(|[one, .., other]| other - one)).abs()),
        recording_kib_per_minute: rooms[1].recording_bytes() as f64 / 1024.0 / minutes,
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
