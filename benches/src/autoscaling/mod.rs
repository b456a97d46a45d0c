//! The predictive autoscaling policy beside Agones' buffer policy, on simulated days: the same arrivals, match lengths,
//! start-up times and preemptions for every policy. Owns the runs, the figures and the report; `trace` owns the days,
//! `fleet` the simulated fleet, `plot` the picture. The policies are the ones that are shipped.

mod fleet;
mod plot;
mod trace;

use std::path::PathBuf;

use agones_sdk::fleet::{BufferPolicy, BufferSize};
use anyhow::Context;
use clap::Args;
use scaling::{Predictor, Rules, Seen, SpotRules};
use serde::Serialize;

use self::fleet::{Day, run};
use self::trace::{GAMES, Game, SYNC_S, Trace};

/// What is measured, and where it goes.
#[derive(Args, Clone, Debug)]
pub struct AutoscalingFlags {
    /// Seed of the days.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Days; all but the first are reported, which is there to be learned from.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=60))]
    days: u32,
    /// The share of servers on spot machines, 0 to 1.
    #[arg(long, default_value_t = 0.65)]
    spot: f64,
    /// Folder of the report: autoscaling.json, .csv and .svg.
    #[arg(long, default_value = "target/bench", value_name = "FOLDER")]
    out: PathBuf,
}

/// What one policy did on the reported days.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Which game.
    pub game: String,
    /// Which policy.
    pub policy: String,
    /// Matches that wanted a server.
    pub matches: u32,
    /// Share of them that had one at once.
    pub served_at_once: f64,
    /// 99th percentile of the wait for a server, seconds.
    pub p99_wait_s: f64,
    /// Longest wait, seconds.
    pub max_wait_s: f64,
    /// Minutes a day that servers were ready and not in use.
    pub idle_server_minutes: f64,
    /// Hours a day that servers were paid for.
    pub server_hours: f64,
    /// What they cost, in hours of an on-demand server.
    pub cost: f64,
    /// The same if none were on spot machines.
    pub cost_on_demand: f64,
    /// Of the paid hours, those on spot machines.
    pub spot_share: f64,
    /// Matches that a preemption ended, all days.
    pub matches_lost: u32,
    /// How often the fleet was shrunk within five minutes of growing, all days.
    pub flaps: u32,
    /// Most servers at once.
    pub peak: u32,
}

/// Everything that `autoscaling.json` holds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    seed: u64,
    days: u32,
    spot: f64,
    rows: Vec<Figures>,
}

/// A policy by its name: what it makes of a report.
struct Policy {
    name: String,
    decide: Box<dyn FnMut(Seen, u64) -> u32>,
}

/// Runs every policy over the same days, prints the table and writes the report.
///
/// # Errors
/// The folder cannot be written.
pub fn autoscaling(flags: &AutoscalingFlags) -> anyhow::Result<Report> {
    let (mut rows, mut shown) = (Vec::new(), Vec::new());
    println!(
        "{} days of seed {}, all but the first reported; {:.0} % on spot machines",
        flags.days,
        flags.seed,
        flags.spot * 100.0
    );
    for game in GAMES {
        let trace = Trace::new(game, flags.seed, flags.days);
        println!(
            "\n{:<16} at once   p99 wait   max wait   idle min/day   cost/day   on-demand   lost   flaps   peak",
            game.name
        );
        for policy in policies(&game) {
            let name = policy.name.clone();
            let (figures, day) = measure(policy, &trace, flags.spot);
            print_row(&figures);
            if game == GAMES[0] && matches!(name.as_str(), "predictive" | "buffer 20%" | "buffer 20") {
                shown.push((name, day));
            }
            rows.push(figures);
        }
    }
    let report = Report { seed: flags.seed, days: flags.days, spot: flags.spot, rows };
    write(flags, &report, &shown)?;
    Ok(report)
}

fn measure(mut policy: Policy, trace: &Trace, spot: f64) -> (Figures, Day) {
    let rules = SpotRules { share: spot, ..SpotRules::default() };
    let day = run(trace, rules, &mut policy.decide);
    (day.figures(trace.game.name, policy.name), day)
}

fn policies(game: &Game) -> Vec<Policy> {
    let sizes = ["10", "20", "40", "80", "120", "10%", "20%", "30%", "50%", "70%"];
    sizes.into_iter().map(buffer).chain([predictive(game)]).collect()
}

/// Agones' own.
fn buffer(size: &str) -> Policy {
    let buffer: BufferSize = size.parse().expect("a count or a share");
    let policy = BufferPolicy { buffer, min: 40, max: trace::SERVERS_MAX };
    let decide = Box::new(move |seen: Seen, _| policy.desired(seen.allocated).replicas);
    Policy { name: format!("buffer {size}"), decide }
}

/// Ours, told what an operator would tell it: the game's mean length and a slow start-up.
fn predictive(game: &Game) -> Policy {
    let rules = Rules {
        match_s: game.match_s,
        start_s: game.start_slow_s(),
        sync_s: f64::from(SYNC_S),
        min: 4,
        max: trace::SERVERS_MAX,
        ..Rules::default()
    };
    let mut predictor = Predictor::new(rules).expect("good rules");
    let decide = Box::new(move |seen, now_s| predictor.decide(seen, now_s).replicas);
    Policy { name: "predictive".to_owned(), decide }
}

fn print_row(row: &Figures) {
    println!(
        "{:<14} {:>7.2} % {:>8.0} s {:>8.0} s {:>14.0} {:>10.0} {:>11.0} {:>6} {:>7} {:>6}",
        row.policy,
        row.served_at_once * 100.0,
        row.p99_wait_s,
        row.max_wait_s,
        row.idle_server_minutes,
        row.cost,
        row.cost_on_demand,
        row.matches_lost,
        row.flaps,
        row.peak
    );
}

fn write(flags: &AutoscalingFlags, report: &Report, shown: &[(String, Day)]) -> anyhow::Result<()> {
    let put = |name: &str, text: String| {
        let path = flags.out.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
        anyhow::Ok(())
    };
    std::fs::create_dir_all(&flags.out).with_context(|| format!("cannot make {}", flags.out.display()))?;
    put("autoscaling.json", serde_json::to_string_pretty(report)?)?;
    put("autoscaling.csv", plot::csv(shown))?;
    put("autoscaling.svg", plot::svg(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the report claims, on days that it does not show: one rule serves both games without flapping, and no buffer
    /// serves as many at once with as little idle time in either.
    #[test]
    fn no_buffer_is_better_in_both_ways() {
        for (game, least) in [(GAMES[0], 0.99), (GAMES[1], 0.98)] {
            let trace = Trace::new(game, 11, 3);
            let (ours, _) = measure(predictive(&game), &trace, 0.65);
            assert_eq!(ours.flaps, 0);
            assert!(ours.served_at_once > least, "{ours:?}");
            for policy in policies(&game).into_iter().filter(|policy| policy.name.starts_with("buffer")) {
                let (theirs, _) = measure(policy, &trace, 0.65);
                let better = theirs.served_at_once >= ours.served_at_once
                    && theirs.idle_server_minutes <= ours.idle_server_minutes;
                assert!(!better, "{theirs:?} against {ours:?}");
            }
        }
    }

    #[test]
    fn a_run_is_its_seed() {
        let figures = |seed| measure(predictive(&GAMES[0]), &Trace::new(GAMES[0], seed, 1), 0.65).0;
        assert_eq!(figures(4), figures(4));
        assert_ne!(figures(4), figures(5));
    }
}
