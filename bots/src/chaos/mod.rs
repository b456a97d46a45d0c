//! `bots chaos`: processes of the whole journey are killed by SIGKILL in random order while bots play, and what must hold
//! all the same is held against what happened.
//!
//! - `victims`: who is next; pure.
//! - `strength`: whether everything is back, and whether a match is without its server.
//! - `audit`: what players were told, asked for again at the end.
//! - `memory`: whether processes grow; pure but for one look at `/proc`.
//! - `verdict`: the table, the JSON, and what was not held.
//! - this file: the order of things.
//!
//! The sidecars of the local fleet live in its process: who kills the fleet kills all of them.

mod audit;
mod memory;
mod strength;
mod verdict;
mod victims;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use self::{
    strength::{Orphans, Strength},
    verdict::{Kill, Verdict},
    victims::Victim,
};
use crate::{
    backend::{Backend, BackendError},
    cli::{ChaosArgs, DemoArgs},
    demo::stack::Stack,
    duo::Duos,
    journey::{self, Habits, Shared},
    swarm::Engine,
    witness::Witness,
};

/// How long a bot keeps trying while the backend is away.
const BACKEND_PATIENCE: Duration = Duration::from_secs(60);
/// Bots that start a second.
const BOTS_PER_SECOND: f64 = 64.0;
/// Who is not back after so long is not back.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// How long bots play before the first kill.
const WARM_UP: Duration = Duration::from_secs(3);
/// How often processes and matches are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Beyond a match's length: how long after the last player has left the last match may be open.
const MATCH_GRACE: Duration = Duration::from_secs(40);

type Bots = JoinSet<(u32, Result<(), BackendError>)>;

/// Runs `bots chaos`.
///
/// # Errors
/// A process could not be started, or something that must hold did not.
pub fn run(args: &ChaosArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(chaos(args))
}

async fn chaos(args: &ChaosArgs) -> anyhow::Result<()> {
    if let Some(path) = &args.json {
        // Better told now than after the run.
        std::fs::write(path, "").with_context(|| format!("cannot write {}", path.display()))?;
    }
    let demo = demo_args(args);
    let stack = Arc::new(Stack::start(&demo).await?);
    println!("state      {}", stack.state_dir().display());
    println!("backend    {}", stack.backend_url());
    let engine = Arc::new(Engine::start(1, args.profile.path, demo.transport, args.seed)?);
    let (stop_all, stop) = watch::channel(false);
    let witness = Arc::new(Witness::default());
    let shared = Shared::new(
        Habits {
            duos: (demo.team_size() == 2).then(Duos::default),
            witness: Some(Arc::clone(&witness)),
            ..Habits::of(args.profile.path, args.seed)
        },
        stop,
    );
    let mut verdict = Verdict::new(args);
    let mut bots = Bots::new();
    let outcome = storm(args, &stack, &engine, &shared, &mut bots, &mut verdict).await;

    stop_all.send_replace(true);
    engine.leave_all();
    while let Some(ended) = bots.join_next().await {
        verdict.bot_ended(ended);
    }
    engine.stop();
    if outcome.is_ok() {
        let backend = Backend::new(&stack.backend_url(), BACKEND_PATIENCE);
        let within = Duration::from_secs(u64::from(args.match_seconds)) + MATCH_GRACE;
        verdict.audited(audit::audit(&backend, &witness, within).await);
    }
    let stopped = stack.stop().await;
    outcome?;
    stopped.context("the end was not in order")?;
    verdict.played(&shared.gathered());
    println!("\n{}", verdict.table());
    verdict.write(args.json.as_deref())?;
    verdict.check()
}

/// The same processes as the demo's.
fn demo_args(args: &ChaosArgs) -> DemoArgs {
    DemoArgs {
        bots: args.bots,
        match_size: args.match_size,
        match_seconds: args.match_seconds,
        run_for: Some(args.run_for),
        json: None,
        profile: args.profile.clone(),
        transport: server_runtime::Transport::Udp,
        state: args.state.clone(),
        port: 0,
        backend_port: 0,
        tick_rate: 60,
        leavers: 0,
        no_backfill: false,
        warm: args.warm,
        seed: args.seed,
    }
}

/// Bots play; one process after another is killed, each once everything is back.
async fn storm(
    args: &ChaosArgs,
    stack: &Arc<Stack>,
    engine: &Arc<Engine>,
    shared: &Arc<Shared>,
    bots: &mut Bots,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let backend = Backend::new(&stack.backend_url(), BACKEND_PATIENCE);
    let mut next_bot = interval(Duration::from_secs_f64(1.0 / BOTS_PER_SECOND));
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watchdog = stack.watchdog();
    let mut orphans = Orphans::default();
    let mut index = 0;
    let started = Instant::now();
    let killing = kill_one_after_another(args, stack, started);
    tokio::pin!(killing);
    loop {
        tokio::select! {
            _ = next_bot.tick(), if index < args.bots => {
                let bot = journey::live(index, backend.clone(), Arc::clone(engine), Arc::clone(shared));
                bots.spawn(async move { (index, bot.await) });
                index += 1;
            }
            Some(ended) = bots.join_next() => verdict.bot_ended(ended),
            _ = looks.tick() => {
                let servers = stack.game_servers().await;
                verdict.memory.look(&stack.pids().await, &servers);
                if let Some(servers) = servers {
                    let seats = shared.seats();
                    verdict.orphaned(orphans.look(&seats, &servers, Instant::now()));
                }
            }
            incident = watchdog.next() => {
                // The guard's word: it could not be started again.
                incident?;
            }
            kills = &mut killing => {
                verdict.kills = kills?;
                return Ok(());
            }
        }
    }
}

async fn kill_one_after_another(
    args: &ChaosArgs,
    stack: &Stack,
    started: Instant,
) -> anyhow::Result<Vec<Kill>> {
    let mut random = fastrand::Rng::with_seed(args.seed);
    let mut kills = Vec::new();
    sleep(WARM_UP).await;
    let up = Strength::before(args.warm).wait(stack, BACK_WITHIN).await;
    up.map_err(|missing| anyhow::anyhow!("before the first kill: {missing}"))?;
    while started.elapsed() < args.run_for {
        let servers = stack.game_servers().await.unwrap_or_default();
        let victim = Victim::pick(&mut random, &servers);
        let pids = stack.pids().await;
        let Some(pid) = victim.pid(&pids, &servers) else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        kill(pid);
        let at = Instant::now();
        let back = Strength::without(args.warm, pid).wait(stack, BACK_WITHIN).await;
        let what = back.as_ref().map_or_else(String::clone, |()| format!("back after {:.1?}", at.elapsed()));
        println!("{:>6.1} s  killed {:<10} {what}", started.elapsed().as_secs_f64(), victim.name());
        kills.push(Kill { victim, back: back.map(|()| at.elapsed()) });
        sleep(args.pause.mul_f64(0.5 + random.f64())).await;
    }
    Ok(kills)
}

/// SIGKILL; who is gone already needs none.
fn kill(pid: u32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}
