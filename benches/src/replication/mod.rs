//! A world of 1000 entities told to many clients: ours and bevy_replicon, the same motion, each in a process of its own in
//! turns; medians of several runs. Owns the cases and the table; must never know how either side encodes.

mod ours;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::Args;
use contest::{ReplicationFigures, ReplicationJob};

use crate::compare::workspace;

/// What to compare.
#[derive(Debug, Args)]
pub struct ReplicationFlags {
    /// Entities, each a Vec3 and a Quat.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=8192))]
    entities: u32,
    /// How many of them move.
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 100])]
    moving: Vec<usize>,
    /// Clients.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 50, 100])]
    clients: Vec<usize>,
    /// Measured ticks of one run.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    ticks: u32,
    /// Runs of each, taken in turns; the median is reported.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Ours once more, its snapshots dealt out to so many threads: what is done alone and the longest share.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(2..=64))]
    threads: Vec<u16>,
    /// Ours alone: nothing is compiled.
    #[arg(long)]
    ours: bool,
    /// Where the figures go. Default: target/bench/replication.json in the workspace.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A child's role: one run of ours.
///
/// # Errors
/// The job cannot be read, or a client's world is not the server's.
pub fn role(job: &str) -> anyhow::Result<()> {
    let (kind, job): (ours::Kind, ReplicationJob) =
        serde_json::from_str(job).context("the job cannot be read")?;
    println!("{}", serde_json::to_string(&ours::run(kind, &job)?)?);
    Ok(())
}

/// Runs all cases, prints the table, writes the figures.
///
/// # Errors
/// A run fails, or a file cannot be written.
pub fn replication(flags: &ReplicationFlags) -> anyhow::Result<Vec<ReplicationFigures>> {
    let ours = std::env::current_exe()?;
    let foreign = if flags.ours { None } else { Some(build_foreign()?) };
    let mut figures = Vec::new();
    println!(
        "{:>22} {:>9} {:>7} {:>8} {:>10} {:>15} {:>17}",
        "", "entities", "moving", "clients", "ms a tick", "B/client, tick", "messages/client"
    );
    for &moving in &flags.moving {
        for &clients in &flags.clients {
            let entities = flags.entities as usize;
            let job =
                ReplicationJob { entities, moving, clients, ticks: [120, flags.ticks as usize], seed: 1 };
            let mut runs: Vec<Vec<ReplicationFigures>> = Vec::new();
            for _ in 0..flags.runs {
                let mut round = Vec::new();
                let spread = flags.threads.iter().map(|threads| ours::Kind::Spread((*threads).into()));
                for kind in [ours::Kind::Alike, ours::Kind::Apart].into_iter().chain(spread) {
                    round.push(child(Command::new(&ours).args(["role", "replication"]), &(kind, job))?);
                }
                if let Some(foreign) = &foreign {
                    round.push(child(&mut Command::new(foreign), &job)?);
                }
                runs.push(round);
            }
            for peer in 0..runs[0].len() {
                let mut of_peer: Vec<_> = runs.iter().map(|round| round[peer].clone()).collect();
                of_peer.sort_by(|a, b| a.ms_per_tick.total_cmp(&b.ms_per_tick));
                let median = of_peer.swap_remove(of_peer.len() / 2);
                print_row(&median);
                figures.push(median);
            }
        }
    }
    let path = flags.json.clone().unwrap_or_else(|| workspace().join("target/bench/replication.json"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, serde_json::to_string_pretty(&figures)? + "\n")?;
    println!("\nfigures in {}", path.display());
    Ok(figures)
}

fn print_row(figures: &ReplicationFigures) {
    println!(
        "{:>22} {:>9} {:>7} {:>8} {:>10.3} {:>15.0} {:>17.2}",
        figures.peer,
        figures.entities,
        figures.moving,
        figures.clients,
        figures.ms_per_tick,
        figures.bytes_per_client_tick,
        figures.datagrams_per_client_tick
    );
}

fn child(command: &mut Command, job: &impl serde::Serialize) -> anyhow::Result<ReplicationFigures> {
    let output = command.arg(serde_json::to_string(job)?).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "a run failed: {command:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().context("a run said nothing")?;
    serde_json::from_str(line).context("a run's figures cannot be read")
}

/// Compiles `benches/peers/replicon` in the peers' target folder.
fn build_foreign() -> anyhow::Result<PathBuf> {
    let peers = workspace().join("benches/peers");
    eprintln!("compiling bevy_replicon; minutes the first time");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    build.arg(peers.join("replicon/Cargo.toml")).arg("--target-dir").arg(peers.join("target"));
    ensure!(build.status()?.success(), "bevy_replicon does not compile");
    Ok(peers.join("target/release/replicon-peer"))
}
