//! The whole journey from one command.
//!
//! - `processes`: the children: backend, autoscaler and fleet (which starts the game servers).
//! - `recipes`: what those children are told.
//! - `stack`: in which order they start and end, and that they live.
//! - `page`: the command's first page, with a link to every server's live view.
//! - this file: the order of things, from the first line printed to the last table.

mod page;
mod processes;
mod recipes;
pub(crate) mod stack;

use std::{
    io::IsTerminal,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{sync::watch, task::JoinSet};

use self::stack::Stack;
use crate::{
    backend::Backend,
    beacon::{self, Region},
    cli::DemoArgs,
    duo::Duos,
    journey::{self, Habits, Leaving, Shared},
    report::{Gathered, Row},
    swarm::{self, Engine},
};

/// How long a bot keeps trying while the backend is away.
const BACKEND_PATIENCE: Duration = Duration::from_secs(60);
/// Bots that start a second: enough for a quick start, little enough not to be one burst.
const BOTS_PER_SECOND: f64 = 64.0;
/// The board that the table shows.
const BOARD: &str = "arena-rating";
/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Runs `bots demo`.
pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(demo(args))
}

async fn demo(args: &DemoArgs) -> anyhow::Result<()> {
    args.transport.require()?;
    let started = Instant::now();
    let mut interrupt = Interrupt::new()?;
    if let Some(path) = &args.json {
        // Better told now than after the run.
        std::fs::write(path, "").with_context(|| format!("cannot write {}", path.display()))?;
    }
    let progress = Progress::new();
    let page_port = page::bind(args.port).await?;
    progress.say("starting the backend and the fleet");
    let stack = tokio::select! {
        stack = Stack::start(args) => stack?,
        () = interrupt.wait() => return Ok(()),
    };
    let stack = Arc::new(stack);
    let page = page::serve(page_port, Arc::clone(&stack))?;
    // For scripts that start a run and then look at it.
    std::fs::write(stack.state_dir().join("page.url"), page.url()).context("cannot write page.url")?;
    progress.line(&format!("state      {}", stack.state_dir().display()));
    progress.line(&format!("backend    {}", stack.backend_url()));
    progress.line(&format!("live view  {}", page.url()));

    let engine = Arc::new(Engine::start(1, args.profile.path, args.transport, args.seed)?);
    let (stop_all, stop) = watch::channel(false);
    let shared = Shared::new(habits(args).await?, stop);
    let mut bots = JoinSet::new();
    let outcome = play(args, &stack, &engine, &shared, &mut bots, &progress, &mut interrupt).await;

    progress.say("draining: bots leave, servers end their matches, the backend closes its files");
    stop_all.send_replace(true);
    engine.leave_all();
    let drained = tokio::select! {
        drained = drain(&stack, &shared, &mut bots) => drained,
        () = interrupt.wait() => Err(anyhow::anyhow!("interrupted twice: children were killed without a drain")),
    };
    engine.stop();
    page.stop();
    progress.finish();
    outcome?;
    drained?;
    let figures = shared.gathered().figures(started.elapsed());
    println!("\n{}", figures.table());
    swarm::write_json(args.json.as_deref(), &figures)
}

/// How the demo's bots come and go.
async fn habits(args: &DemoArgs) -> anyhow::Result<Habits> {
    let local = Region { name: recipes::REGION.to_owned(), beacon: beacon::serve().await? };
    let match_length = Duration::from_secs(u64::from(args.match_seconds));
    let leaving = Leaving { share: f64::from(args.leavers) / 100.0, match_length };
    Ok(Habits {
        duos: (args.team_size() == 2).then(Duos::default),
        regions: vec![local],
        leaving: Some(leaving),
        ..Habits::of(args.profile.path, args.seed)
    })
}

/// Starts the bots and lets them play until the time is up or somebody presses Ctrl-C.
async fn play(
    args: &DemoArgs,
    stack: &Arc<Stack>,
    engine: &Arc<Engine>,
    shared: &Arc<Shared>,
    bots: &mut JoinSet<(u32, Result<(), crate::backend::BackendError>)>,
    progress: &Progress,
    interrupt: &mut Interrupt,
) -> anyhow::Result<()> {
    let backend = Backend::new(&stack.backend_url(), BACKEND_PATIENCE);
    let mut next_bot = tokio::time::interval(Duration::from_secs_f64(1.0 / BOTS_PER_SECOND));
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut watchdog = stack.watchdog();
    let deadline = args.run_for.map(|run_for| tokio::time::Instant::now() + run_for);
    let mut index = 0;
    loop {
        tokio::select! {
            _ = next_bot.tick(), if index < args.bots => {
                let bot = journey::live(index, backend.clone(), Arc::clone(engine), Arc::clone(shared));
                bots.spawn(async move { (index, bot.await) });
                index += 1;
            }
            Some(ended) = bots.join_next() => {
                let (bot, result) = ended?;
                result.with_context(|| format!("bot {bot} gave up"))?;
            }
            _ = second.tick() => {
                let servers = stack.summary().await;
                progress.tick(&shared.gathered(), &servers);
            }
            incident = watchdog.next() => {
                let incident = incident?;
                progress.line(&format!("survived   {incident}"));
                shared.incident(&incident);
            }
            () = until(deadline) => return Ok(()),
            () = interrupt.wait() => return Ok(()),
        }
    }
}

/// Lets everything end in order, and gathers what only shows at the end.
async fn drain(
    stack: &Stack,
    shared: &Shared,
    bots: &mut JoinSet<(u32, Result<(), crate::backend::BackendError>)>,
) -> anyhow::Result<()> {
    while bots.join_next().await.is_some() {}
    let board = Backend::new(&stack.backend_url(), Duration::from_secs(5)).leaderboard(BOARD, 10).await;
    let finals = stack.stop().await?;
    let mut gathered = shared.gathered();
    for ticks in finals {
        gathered.tick_us.add(&ticks).context("tick times of a server out of range")?;
    }
    gathered.leaderboard = board
        .context("the leaderboard could not be read")?
        .entries
        .into_iter()
        .map(|entry| Row { rank: entry.rank, display_name: entry.display_name, score: entry.score })
        .collect();
    Ok(())
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Ctrl-C and SIGTERM, which mean the same here.
struct Interrupt {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Interrupt {
    fn new() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// One moving line on a terminal, a plain line now and then elsewhere.
struct Progress {
    bar: ProgressBar,
    terminal: bool,
    last_line: std::cell::Cell<Instant>,
}

impl Progress {
    fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
            bar.set_style(style);
        }
        if terminal {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar, terminal, last_line: std::cell::Cell::new(Instant::now()) }
    }

    /// What is being done now.
    fn say(&self, text: &str) {
        if self.terminal { self.bar.set_message(text.to_owned()) } else { println!("{text}") }
    }

    /// A line that stays.
    fn line(&self, text: &str) {
        if self.terminal { self.bar.println(text) } else { println!("{text}") }
    }

    /// Once a second: how it goes.
    fn tick(&self, gathered: &Gathered, servers: &str) {
        let text = format!(
            "{} bots, {} matches played, {servers}, {} disconnects",
            gathered.players, gathered.matches_played, gathered.disconnects
        );
        if self.terminal {
            self.bar.set_message(text);
        } else if self.last_line.get().elapsed() >= LINE_EVERY {
            self.last_line.set(Instant::now());
            println!("{text}");
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
