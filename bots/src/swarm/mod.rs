//! Many players in one process.
//!
//! - `road`: what a player's datagrams travel on.
//! - `player`: one player: client, road, simulated network, pilot.
//! - `engine`: the threads that drive players, and the door through which journeys hand them in.
//! - this file: `bots swarm`, load on a server that is already running.

mod engine;
mod player;
mod road;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use netcode_token::{Key, Seat, TokenSpec};
use tokio::sync::watch;

pub use self::{
    engine::Engine,
    player::{Ending, Outcome},
};
use crate::{
    backend::Backend,
    cli::SwarmArgs,
    duo::Duos,
    journey,
    journey::{Habits, Shared},
};

/// How long a minted token may be used to connect.
const TOKEN_LIFE_S: u64 = 60;
/// Silence after which server and client give each other up, seconds.
const TIMEOUT_S: i32 = 10;

/// Runs `bots swarm`.
pub fn run(args: &SwarmArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(swarm(args))
}

async fn swarm(args: &SwarmArgs) -> anyhow::Result<()> {
    args.transport.require()?;
    let started = Instant::now();
    let engine = Arc::new(Engine::start(args.threads, args.profile.path, args.transport, args.seed)?);
    let (stop_all, stop) = watch::channel(false);
    let habits =
        Habits { duos: args.parties.then(Duos::default), ..Habits::of(args.profile.path, args.seed) };
    let shared = Shared::new(habits, stop);
    let key = match (&args.server, &args.key) {
        (Some(_), Some(key)) => Some(Key::from_hex(key).context("--key must be 64 hex digits")?),
        (Some(_), None) => {
            bail!("--server needs --key (or TICKWRIGHT_KEY), the key the server was started with")
        }
        (None, _) => None,
    };
    println!("{} bots at {} a second, profile {}", args.count, args.rate, args.profile.name);
    let mut bots = tokio::task::JoinSet::new();
    let pace = Duration::from_secs_f64(1.0 / args.rate);
    let mut next = tokio::time::interval(pace);
    let deadline = tokio::time::sleep(args.run_for);
    tokio::pin!(deadline);
    let mut index = 0;
    loop {
        tokio::select! {
            _ = next.tick(), if index < args.count => {
                spawn_bot(&mut bots, index, args, key.as_ref(), &engine, &shared)?;
                index += 1;
            }
            Some(ended) = bots.join_next() => ended??,
            () = &mut deadline => break,
            signal = tokio::signal::ctrl_c() => { signal?; break }
        }
    }
    // Receivers outlive this: `shared` holds one.
    stop_all.send_replace(true);
    engine.leave_all();
    while let Some(ended) = bots.join_next().await {
        ended??;
    }
    engine.stop();
    let figures = shared.gathered().figures(started.elapsed());
    println!("\n{}", figures.table());
    write_json(args.json.as_deref(), &figures)?;
    if figures.player_minutes == 0.0 {
        let why = figures.incidents.first().map_or("nobody was matched in time", String::as_str);
        bail!("none of the {} bots got to play: {why}", figures.players);
    }
    Ok(())
}

fn spawn_bot(
    bots: &mut tokio::task::JoinSet<anyhow::Result<()>>,
    index: u32,
    args: &SwarmArgs,
    key: Option<&Key>,
    engine: &Arc<Engine>,
    shared: &Arc<Shared>,
) -> anyhow::Result<()> {
    let (engine, shared) = (Arc::clone(engine), Arc::clone(shared));
    if let (Some(server), Some(key)) = (args.server, key) {
        let token = mint(server, key, args.protocol, index)?;
        shared.gathered().players += 1;
        let websocket_url = args.websocket_url.clone();
        bots.spawn(async move {
            let outcome = engine.play(token, websocket_url, None).await;
            shared.stayed(&outcome);
            if let Ending::Lost(reason) = outcome.ending {
                shared.incident(&format!("bot {index}: {reason}"));
            }
            Ok(())
        });
    } else if let Some(url) = &args.backend {
        let backend = Backend::new(url, Duration::from_secs(30));
        bots.spawn(async move { Ok(journey::live(index, backend, engine, shared).await?) });
    }
    Ok(())
}

/// A connect token as the backend would mint it, for a server whose key we were given.
fn mint(server: std::net::SocketAddr, key: &Key, protocol_id: u64, index: u32) -> anyhow::Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
    let player = 1 + u64::from(index);
    let seat = Seat { match_id: 0, player, team: 0, rating_milli: 0, name: crate::names::callsign(index) };
    let token = netcode_token::mint(
        &TokenSpec {
            protocol_id,
            create_unix_s: now,
            expire_unix_s: now + TOKEN_LIFE_S,
            timeout_s: TIMEOUT_S,
            client_id: player,
            servers: vec![server],
            user_data: seat.encode(),
        },
        key,
    )?;
    Ok(token.to_vec())
}

/// Writes the figures where `--json` says.
pub fn write_json(path: Option<&std::path::Path>, figures: &crate::report::Figures) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(figures)?;
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}
