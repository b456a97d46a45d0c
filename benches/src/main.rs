//! Whole-system measurements from the command line. `list` says what there is; see `benches/README.md`.

use std::path::PathBuf;
use std::time::Duration;

use benches::allocation::{self, AllocationFlags};
use benches::arena::{self as whole, ArenaFlags};
use benches::autoscaling::{self, AutoscalingFlags};
use benches::compare::{self, LossFlags, TransportFlags};
use benches::cubes::{self, CubesFlags};
use benches::feel::{self, FeelFlags};
use benches::fleet::{self, FleetFlags};
use benches::leaderboards::{self, LeaderboardFlags};
use benches::matchmaking::{self, MatchmakingFlags};
use benches::ratings::{self, RatingsFlags};
use benches::recorder::{self, RecorderFlags};
use benches::replication::{self, ReplicationFlags};
use benches::room::Table;
use benches::rooms::{self, RoomsFlags};
use clap::{Args, Parser, Subcommand};
use serde::Serialize;

/// Whole-system measurements. Criterion's benches of single pieces run with `cargo bench -p benches`.
#[derive(Parser)]
#[command(version)]
struct Flags {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Says what can be measured, and how.
    List,
    /// One arena room with real clients and pilots, in simulated time as fast as it goes: tick time and bytes.
    Room(RoomFlags),
    /// Our transport beside renet, laminar, enet, quinn and a hand-written floor: what a client costs the server.
    Transport(TransportFlags),
    /// The same contestants on a path that loses and reorders: latency of reliable messages, and 1 MiB.
    Loss(LossFlags),
    /// Our pool beside first come first served and a query matcher: a cycle's time, waits, evenness.
    Matchmaking(MatchmakingFlags),
    /// Elo, Glicko-2, TrueSkill and ours on one match log, each game predicted before it is counted.
    Ratings(RatingsFlags),
    /// 1000 entities told to many clients, beside bevy_replicon: the server's time, and bytes.
    Replication(ReplicationFlags),
    /// What the flight recorder costs a server's tick: two rooms with the same match, one of which records.
    Recorder(RecorderFlags),
    /// What a packet costs beside its cipher alone.
    Seal,
    /// The predictive autoscaling policy beside buffers, on simulated days: served at once, idle time, cost.
    Autoscaling(AutoscalingFlags),
    /// From a ticket to a server's address, at a pace: a real backend over real stores, servers that are always warm.
    Allocation(AllocationFlags),
    /// The local fleet and its sidecars: allocations and calls a second, and how long a start and a drain take.
    Fleet(FleetFlags),
    /// A board of a million members in a real backend: writes, reads, and what they cost.
    Leaderboards(LeaderboardFlags),
    /// Fiedler's 901 cubes through the dense codec, with and without loss: kbit/s, and time a frame.
    Cubes(CubesFlags),
    /// The Unity netcode benchmark's three workloads through the dense codec: bytes an object-update.
    Objects,
    /// The arena from the player's chair, over round trips, losses and jitter: curves.
    Feel(FeelFlags),
    /// The whole server in an open world with a swarm of clients: processor time a client and tick, ticks, bytes.
    Arena(ArenaFlags),
    /// Many arena matches in one server process: what an idle one and a room cost, rooms a core, how punctual ticks are.
    Rooms(RoomsFlags),
    /// A child process of the contests.
    #[command(hide = true)]
    Role {
        /// `server` or `swarm`.
        role: String,
        /// What to do, as JSON.
        job: String,
    },
}

#[derive(Args)]
struct RoomFlags {
    /// Players in the room, 1 to 1024.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    players: u16,
    /// Seconds of play, 1 to 3600.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Seed of the match and its pilots.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also writes the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a room costs.
#[derive(Debug, Serialize)]
struct RoomFigures {
    players: u16,
    seconds: u32,
    tick_p50_us: f64,
    tick_p99_us: f64,
    tick_max_us: f64,
    bytes_down_per_player_s: f64,
    bytes_up_per_player_s: f64,
    mispredictions: u64,
}

fn main() -> anyhow::Result<()> {
    match Flags::parse().what {
        What::List => list(),
        What::Room(flags) => room(&flags)?,
        What::Transport(flags) => drop(compare::transport(&flags, std::env::current_exe()?)?),
        What::Loss(flags) => drop(compare::loss(&flags, std::env::current_exe()?)?),
        What::Matchmaking(flags) => drop(matchmaking::run(&flags)?),
        What::Ratings(flags) => ratings::ratings(&flags)?,
        What::Replication(flags) => drop(replication::replication(&flags)?),
        What::Recorder(flags) => write_json("recorder", &recorder::recorder(&flags)?)?,
        What::Seal => drop(benches::seal::seal(&compare::workspace())?),
        What::Autoscaling(flags) => drop(autoscaling::autoscaling(&flags)?),
        What::Allocation(flags) => drop(allocation::run(&flags)?),
        What::Fleet(flags) => drop(fleet::run(&flags)?),
        What::Leaderboards(flags) => drop(leaderboards::run(&flags)?),
        What::Cubes(flags) => write_json("cubes", &cubes::cubes(&flags)?)?,
        What::Objects => write_json("objects", &benches::objects::objects()?)?,
        What::Feel(flags) => feel::feel(&flags, &compare::workspace())?,
        What::Arena(flags) => drop(whole::run(&flags)?),
        What::Rooms(flags) => write_json("rooms", &rooms::run(&flags)?)?,
        What::Role { role, job } => play(&role, job)?,
    }
    Ok(())
}

/// Writes figures to `target/bench/NAME.json`.
fn write_json<T: Serialize>(name: &str, figures: &T) -> anyhow::Result<()> {
    let folder = compare::workspace().join("target/bench");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, serde_json::to_string_pretty(figures)?)?;
    println!("{}", path.display());
    Ok(())
}

/// A child's role. A job of `-` is read from standard input: some are too long for a command line.
fn play(role: &str, mut job: String) -> anyhow::Result<()> {
    if job == "-" {
        job = std::io::read_to_string(std::io::stdin())?;
    }
    if role == "replication" {
        return replication::role(&job);
    }
    if leaderboards::role(role, &job)? || allocation::role(role, &job)? || fleet::role(role, &job)? {
        return Ok(());
    }
    if whole::role(role, &job)? {
        return Ok(());
    }
    compare::role(role, &job)
}

fn list() {
    println!("whole systems   cargo run --release -p benches -- NAME [--help]");
    println!("  room          one arena room with real clients and pilots: tick time, bytes a player");
    println!("  transport     what a client costs a server, beside renet, laminar, enet, quinn and a floor");
    println!("  loss          the same on a path with 5 % loss: latency of reliable messages, 1 MiB");
    println!("  matchmaking   our pool beside first come first served and a query matcher");
    println!("  ratings       Elo, Glicko-2, TrueSkill and ours: who predicts a match log best");
    println!("  replication   1000 entities told to many clients, beside bevy_replicon: server time, bytes");
    println!("  recorder      what the flight recorder costs a server's tick");
    println!("  seal          sealing and opening a packet, beside the cipher alone");
    println!(
        "  autoscaling   the predictive policy beside buffers on simulated days: served at once, idle, cost"
    );
    println!("  allocation    from a ticket to a server's address, at 500 tickets a second");
    println!("  fleet         the local fleet and its sidecars: allocations/s, calls/s, start and drain");
    println!("  leaderboards  a board of a million members: writes, reads, and what they cost");
    println!("  cubes         901 cubes through the dense codec: kbit/s with and without loss, time a frame");
    println!("  objects       the Unity netcode benchmark's three workloads: bytes an object-update");
    println!(
        "  feel          the arena over RTT, loss and jitter: mispredictions, stalls, hits confirmed; curves"
    );
    println!(
        "  arena         the whole server, 64 to 1000 clients in one open world: time, bytes, mispredictions"
    );
    println!("single pieces   cargo bench -p benches --bench NAME");
    println!("  wire          bits, varints, quantisation");
    println!("  seal          sealing and opening datagrams, connect tokens");
    println!("  channel       two links in memory: send, carry, acknowledge, deliver");
    println!("  snapshot      extract, encode against a baseline, decode");
    println!("  rating        one match rated: duels, teams, free-for-all");
    println!("  tick          a whole server tick of the arena");
}

fn room(flags: &RoomFlags) -> anyhow::Result<()> {
    let mut table = Table::new(flags.players, flags.seed)?;
    let mut ticks = (0..flags.seconds * 60).map(|_| table.tick()).collect::<Result<Vec<Duration>, _>>()?;
    ticks.sort_unstable();
    let us = |quantile: f64| ticks[((ticks.len() - 1) as f64 * quantile) as usize].as_nanos() as f64 / 1000.0;
    let player_seconds = f64::from(flags.players) * f64::from(flags.seconds);
    let figures = RoomFigures {
        players: flags.players,
        seconds: flags.seconds,
        tick_p50_us: us(0.5),
        tick_p99_us: us(0.99),
        tick_max_us: us(1.0),
        bytes_down_per_player_s: table.bytes().down as f64 / player_seconds,
        bytes_up_per_player_s: table.bytes().up as f64 / player_seconds,
        mispredictions: table.mispredictions(),
    };
    println!("{} players, {} s of play, seed {}", flags.players, flags.seconds, flags.seed);
    println!(
        "tick   p50 {:.0} µs   p99 {:.0} µs   max {:.0} µs   (opening and sealing included)",
        figures.tick_p50_us, figures.tick_p99_us, figures.tick_max_us
    );
    println!(
        "bytes  down {:.0} B/s a player   up {:.0} B/s a player   (UDP payload)",
        figures.bytes_down_per_player_s, figures.bytes_up_per_player_s
    );
    println!("mispredictions {}", figures.mispredictions);
    if let Some(path) = &flags.json {
        std::fs::write(path, serde_json::to_string_pretty(&figures)?)?;
    }
    Ok(())
}
