//! What may be asked for on the command line, and how a failure is told: one clear line, exit code 1 (or clap's 2).

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use netcode_sim::Profile;
use server_runtime::Transport;

/// Headless players. Without a subcommand: the whole journey, from account to leaderboard, on this machine.
#[derive(Debug, Parser)]
#[command(name = "bots", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: DemoArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole journey: backend, local fleet, game servers, bots, live view, report.
    Demo(DemoArgs),
    /// Many players against any running server, with or without the backend.
    Swarm(SwarmArgs),
    /// The journey's processes killed by SIGKILL in random order, and whether all that must hold did.
    Chaos(ChaosArgs),
    /// A match as its server recorded it: in the live view, or simulated against what was recorded.
    Replay(ReplayArgs),
    /// This executable as one of the demo's processes.
    #[command(hide = true)]
    Role {
        /// `backend`, `autoscaler`, `fleet` or `arena-server`.
        role: crate::role::Role,
        /// That role's own arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// `bots demo`: what a newcomer's first command takes.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// How many bots play.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(2..=4096))]
    pub bots: u32,
    /// Players in a match.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=32))]
    pub match_size: u32,
    /// Length of a match, seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=3600))]
    pub match_seconds: u32,
    /// Stop after this long, for example 90s or 5m; without it, Ctrl-C stops.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub run_for: Option<Duration>,
    /// Write the final figures to this file too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The simulated network between bots and servers: lan, broadband, wifi, 4g, bad, demo, lossy.
    #[arg(long, default_value = "demo", value_parser = parse_profile)]
    pub profile: Named,
    /// What bots and servers talk by.
    #[arg(long, value_enum, default_value_t = Transport::Udp, value_name = "NAME")]
    pub transport: Transport,
    /// Where accounts, ratings, boards and logs live; made when missing. Default: a new folder below .tickwright.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Port of the first page on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Port of the backend's REST API on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    pub backend_port: u16,
    /// Ticks a second of the game servers.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(10..=128))]
    pub tick_rate: u16,
    /// Players of a hundred who leave in the middle of a match (who came with another stays).
    #[arg(long, default_value_t = 8, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub leavers: u8,
    /// Leave the seats of those who left empty, instead of filling them while a third of the match is left.
    #[arg(long)]
    pub no_backfill: bool,
    /// Warm servers beyond those in use.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub warm: u32,
    /// Seed of the simulated networks and of the pilots.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl DemoArgs {
    /// Players in a team: two where the match divides into teams of two, so that some bots play as parties.
    pub fn team_size(&self) -> u32 {
        if self.match_size >= 4 && self.match_size.is_multiple_of(2) { 2 } else { 1 }
    }
}

/// `bots swarm`: load on a server that is already running.
#[derive(Debug, Clone, Args)]
pub struct SwarmArgs {
    /// The game server's UDP address.
    #[arg(long, value_name = "ADDR", required_unless_present = "backend", conflicts_with = "backend")]
    pub server: Option<std::net::SocketAddr>,
    /// Base URL of a backend: then every bot registers, queues and plays matches instead.
    #[arg(long, value_name = "URL")]
    pub backend: Option<String>,
    /// One bot in four plays as one of a party of two (only with --backend, in a mode that has teams of two or more).
    #[arg(long, requires = "backend")]
    pub parties: bool,
    /// The key that the server opens connect tokens with, 64 hex digits (only with --server).
    #[arg(long, env = "TICKWRIGHT_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// The server's protocol id (only with --server).
    #[arg(long, env = "TICKWRIGHT_PROTOCOL", default_value_t = server_runtime::PROTOCOL_ID_DEFAULT)]
    pub protocol: u64,
    /// How many bots.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
    /// How many bots start a second.
    #[arg(long, default_value_t = 50.0, value_parser = parse_rate)]
    pub rate: f64,
    /// The simulated network: lan, broadband, wifi, 4g, bad, demo, lossy.
    #[arg(long, default_value = "lan", value_parser = parse_profile)]
    pub profile: Named,
    /// What to talk to the server by: the word that it was started with.
    #[arg(long, value_enum, default_value_t = Transport::Udp, value_name = "NAME")]
    pub transport: Transport,
    /// Where the server takes WebSockets, with --transport websocket; ws://ADDR/ of --server unless given.
    #[arg(long, value_name = "URL", requires = "server")]
    pub websocket_url: Option<String>,
    /// How long to play, for example 30s.
    #[arg(long = "for", value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub run_for: Duration,
    /// Write the figures to this file too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Network threads that drive the players.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// Seed of the simulated networks and of the pilots.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `bots chaos`: the exit code is 0 when everything held.
#[derive(Debug, Clone, Args)]
pub struct ChaosArgs {
    /// How long, for example 10m.
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub run_for: Duration,
    /// How many bots play.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=4096))]
    pub bots: u32,
    /// Players in a match.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=32))]
    pub match_size: u32,
    /// Length of a match, seconds.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(5..=3600))]
    pub match_seconds: u32,
    /// From everything being back to the next kill, on average.
    #[arg(long, value_name = "DURATION", default_value = "4s", value_parser = parse_duration)]
    pub pause: Duration,
    /// Warm servers beyond those in use.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub warm: u32,
    /// The simulated network between bots and servers: lan, broadband, wifi, 4g, bad, demo, lossy.
    #[arg(long, default_value = "broadband", value_parser = parse_profile)]
    pub profile: Named,
    /// Where accounts, ratings, boards and logs live; made when missing. Default: a new folder below .tickwright.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Write what it came to to this file too.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Seed of who is killed when, of the simulated networks and of the pilots.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `bots replay`: a recording from a server's `--record-dir`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// The recording.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Simulate it as fast as it goes and compare every tick; the first one that differs is told, with entity and
    /// component, and is a failure.
    #[arg(long)]
    pub verify: bool,
    /// Port of the page on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 0, conflicts_with = "verify")]
    pub port: u16,
    /// How many times as fast as it was.
    #[arg(long, default_value = "1", value_parser = parse_speed, conflicts_with = "verify")]
    pub speed: f64,
    /// How often it is shown; for ever unless given.
    #[arg(long, value_name = "N", conflicts_with = "verify", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
}

/// A simulated network and the name it goes by.
#[derive(Debug, Clone)]
pub struct Named {
    /// As given on the command line.
    pub name: String,
    /// The path between a bot and its server.
    pub path: Profile,
}

/// Runs the program. Errors are one line on standard error.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        None => crate::demo::run(&cli.demo),
        Some(Command::Demo(args)) => crate::demo::run(&args),
        Some(Command::Swarm(args)) => crate::swarm::run(&args),
        Some(Command::Chaos(args)) => crate::chaos::run(&args),
        Some(Command::Replay(args)) => crate::replay::run(&args),
        Some(Command::Role { role, args }) => crate::role::run(role, args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bots: {error:#}");
            // A server that was set up wrongly ends as its own executable would.
            ExitCode::from(error.downcast_ref().map_or(1, server_runtime::RunError::exit_code))
        }
    }
}

/// `90s`, `5m`, `1h` or `500ms`; a bare number is refused, since its unit would be a guess.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("give a number and a unit: ms, s, m or h, for example 90s".into()),
    };
    let number: f64 = number.parse().map_err(|_| "give a number and a unit, for example 90s".to_owned())?;
    let seconds = number * scale;
    if !(0.1..=7.0 * 86_400.0).contains(&seconds) {
        return Err("must be between 100ms and 168h".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn parse_profile(text: &str) -> Result<Named, String> {
    let path = text.parse::<Profile>().map_err(|error| error.to_string())?;
    Ok(Named { name: text.to_owned(), path })
}

fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.01..=100.0).contains(&speed) => Ok(speed),
        _ => Err("must be a number from 0.01 to 100".into()),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 10_000.0 => Ok(rate),
        _ => Err("must be a number above 0 and at most 10000".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_need_a_unit_and_a_sane_size() {
        let check = |text: &str, expected: Option<f64>| {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_secs_f64()), expected, "{text}");
        };
        check("90s", Some(90.0));
        check("1.5m", Some(90.0));
        check("500ms", Some(0.5));
        check("90", None);
        check("", None);
        check("-1s", None);
        check("0s", None);
        check("9999h", None);
        check("1..5s", None);
    }

    #[test]
    fn a_bare_command_line_is_the_demo_and_flags_need_no_subcommand() {
        let cli = Cli::try_parse_from(["bots", "--for", "90s", "--match-seconds", "20"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.demo.match_seconds, 20);
        assert!(Cli::try_parse_from(["bots", "--match-seconds", "0"]).is_err());
        assert!(Cli::try_parse_from(["bots", "swarm"]).is_err(), "a swarm needs a server or a backend");
    }
}
