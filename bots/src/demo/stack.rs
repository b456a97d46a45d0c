//! The demo's children: in which order they start, that they live, and how they end.
//!
//! Order of start: backend (it must say where results go) and autoscaler side by side, then fleet (it is told of both).
//! Order of stop: fleet first, so that last results still find a backend. A child that dies in between is started again at the same
//! address: accounts, ratings and boards are in its files.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::sync::{Mutex, mpsc};

use super::{
    processes::{Process, Ready, Recipe, free_tcp},
    recipes::{self, Secrets},
};
use crate::{
    cli::DemoArgs,
    report::{Distribution, distribution},
};

/// Pause before a dead child is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(200);
/// A child that dies this often in a row without living [`STABLE_AFTER`] ends the demo.
const RESTARTS_MAX: u32 = 20;
/// How long a child must live to count as stable.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// How often the start is tried when somebody else took a port that was free a moment ago.
const START_TRIES: u32 = 3;

/// Backend and fleet, running.
#[derive(Debug)]
pub(crate) struct Stack {
    state: PathBuf,
    backend: SocketAddr,
    fleet_http: SocketAddr,
    http: reqwest::Client,
    guards: Mutex<Option<Guards>>,
    incidents: Mutex<Option<mpsc::Receiver<anyhow::Result<String>>>>,
}

#[derive(Debug)]
struct Guards {
    backend: Guard,
    autoscaler: Guard,
    fleet: Guard,
}

/// The processes now; 0 once the stack is stopped.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pids {
    /// The backend's.
    pub backend: u32,
    /// The autoscaler's.
    pub autoscaler: u32,
    /// The fleet's.
    pub fleet: u32,
}

/// What the fleet says of itself.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct FleetHealth {
    /// How many servers there should be.
    pub desired: u32,
    /// Not Ready yet.
    pub starting: u32,
    /// Free to be taken.
    pub ready: u32,
    /// Out of the pool by their own wish.
    pub reserved: u32,
    /// In a match.
    pub allocated: u32,
}

/// One game server as `/gameservers.json` of the fleet lists it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GameServerRow {
    /// Its name.
    pub name: String,
    /// Its Agones state.
    pub state: String,
    /// Where its live view is.
    pub admin: Option<String>,
    /// Its UDP port.
    pub port: Option<u16>,
    /// Its process.
    pub pid: Option<u32>,
}

impl Stack {
    /// Starts everything and waits until it serves.
    pub(crate) async fn start(args: &DemoArgs) -> anyhow::Result<Self> {
        let state = state_dir(args)?;
        let mut tries = 1;
        loop {
            match Self::start_in(args, state.clone()).await {
                Err(error) if tries < START_TRIES && format!("{error:#}").contains("in use") => tries += 1,
                started => return started,
            }
        }
    }

    async fn start_in(args: &DemoArgs, state: PathBuf) -> anyhow::Result<Self> {
        let fleet_grpc = free_tcp()?;
        let fleet_http = free_tcp()?;
        let secrets = Secrets::new();
        let mut backend_recipe = recipes::backend_recipe(args, &state, &secrets, fleet_grpc, fleet_http);
        let mut autoscaler_recipe = recipes::autoscaler_recipe(args, &state);
        let (backend, autoscaler) = tokio::try_join!(backend_recipe.start(), autoscaler_recipe.start())?;
        let Some(webhook) = autoscaler.ready.http else {
            bail!("the autoscaler's ready line lacks an address");
        };
        let Ready { http: Some(http), grpc: Some(grpc), .. } = backend.ready else {
            bail!("the backend's ready line lacks an address");
        };
        // Started again, it must be found where it was.
        recipes::set_flag(&mut backend_recipe.args, "--listen", http);
        recipes::set_flag(&mut backend_recipe.args, "--grpc-listen", grpc);
        recipes::set_flag(&mut autoscaler_recipe.args, "--listen", webhook);
        recipes::write_autoscaler(args, &state, webhook)?;
        let fleet_recipe = recipes::fleet_recipe(args, &state, &secrets, fleet_grpc, fleet_http, grpc)?;
        let fleet = fleet_recipe.start().await?;
        let (sender, receiver) = mpsc::channel(16);
        let guards = Guards {
            backend: Guard::watch(backend, backend_recipe, sender.clone()),
            autoscaler: Guard::watch(autoscaler, autoscaler_recipe, sender.clone()),
            fleet: Guard::watch(fleet, fleet_recipe, sender),
        };
        Ok(Self {
            state,
            backend: http,
            fleet_http,
            http: reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?,
            guards: Mutex::new(Some(guards)),
            incidents: Mutex::new(Some(receiver)),
        })
    }

    /// Where everything is kept.
    pub(crate) fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Base URL of the REST API.
    pub(crate) fn backend_url(&self) -> String {
        format!("http://{}", self.backend)
    }

    /// The fleet's game servers now; `None` while the fleet is away.
    pub(crate) async fn game_servers(&self) -> Option<Vec<GameServerRow>> {
        let url = format!("http://{}/gameservers.json", self.fleet_http);
        self.http.get(url).send().await.ok()?.json().await.ok()
    }

    /// What the fleet says of itself; `None` while it is away.
    pub(crate) async fn fleet_health(&self) -> Option<FleetHealth> {
        let url = format!("http://{}/healthz", self.fleet_http);
        self.http.get(url).send().await.ok()?.json().await.ok()
    }

    /// Whether the backend takes requests.
    pub(crate) async fn backend_is_ready(&self) -> bool {
        let answer = self.http.get(format!("{}/readyz", self.backend_url())).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// The processes now.
    pub(crate) async fn pids(&self) -> Pids {
        let guards = self.guards.lock().await;
        let pids = guards.as_ref().map(|guards| Pids {
            backend: guards.backend.pid.load(Ordering::Relaxed),
            autoscaler: guards.autoscaler.pid.load(Ordering::Relaxed),
            fleet: guards.fleet.pid.load(Ordering::Relaxed),
        });
        pids.unwrap_or_default()
    }

    /// The servers in a few words.
    pub(super) async fn summary(&self) -> String {
        let servers = self.game_servers().await.unwrap_or_default();
        let allocated = servers.iter().filter(|server| server.state == "Allocated").count();
        let ready = servers.iter().filter(|server| server.state == "Ready").count();
        format!("{allocated} servers in a match, {ready} warm")
    }

    /// What the children's guards have to tell. Taken once.
    pub(crate) fn watchdog(&self) -> Watchdog<'_> {
        Watchdog { stack: self }
    }

    /// Stops the fleet, then the backend, and returns the tick times of every server that ended in order.
    pub(crate) async fn stop(&self) -> anyhow::Result<Vec<Distribution>> {
        let Some(guards) = self.guards.lock().await.take() else { bail!("stopped twice") };
        let fleet = guards.fleet.stop().await;
        let (backend, autoscaler) = tokio::join!(guards.backend.stop(), guards.autoscaler.stop());
        fleet?;
        backend?;
        autoscaler?;
        tick_times(&self.state.join("fleet"))
    }
}

/// Hands out incidents as they come.
pub(crate) struct Watchdog<'a> {
    stack: &'a Stack,
}

impl Watchdog<'_> {
    /// The next thing that went wrong and was mended; an error when it could not be.
    pub(crate) async fn next(&mut self) -> anyhow::Result<String> {
        let mut incidents = self.stack.incidents.lock().await;
        match incidents.as_mut() {
            Some(receiver) => match receiver.recv().await {
                Some(incident) => incident,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

/// Keeps one child alive.
#[derive(Debug)]
struct Guard {
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
    /// Its child's process now.
    pid: Arc<AtomicU32>,
}

impl Guard {
    fn watch(process: Process, recipe: Recipe, incidents: mpsc::Sender<anyhow::Result<String>>) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let pid = Arc::new(AtomicU32::new(process.pid()));
        let task = tokio::spawn(guard(process, recipe, incidents, stopped, Arc::clone(&pid)));
        Self { stop, task, pid }
    }

    async fn stop(self) -> anyhow::Result<()> {
        // A guard that gave up has dropped its end; its task says why.
        let _gave_up = self.stop.send(());
        self.task.await?
    }
}

async fn guard(
    mut process: Process,
    recipe: Recipe,
    incidents: mpsc::Sender<anyhow::Result<String>>,
    mut stopped: tokio::sync::oneshot::Receiver<()>,
    pid: Arc<AtomicU32>,
) -> anyhow::Result<()> {
    let mut restarts = 0;
    let mut since = tokio::time::Instant::now();
    loop {
        let status = tokio::select! {
            status = process.ended() => status?,
            _ = &mut stopped => return process.drain().await,
        };
        restarts = if since.elapsed() > STABLE_AFTER { 1 } else { restarts + 1 };
        let name = recipe.role.name();
        tokio::time::sleep(RESTART_PAUSE).await;
        let started = recipe.start().await;
        let failed = match started {
            Ok(again) if restarts <= RESTARTS_MAX => {
                process = again;
                pid.store(process.pid(), Ordering::Relaxed);
                since = tokio::time::Instant::now();
                // Nobody listens once the demo drains.
                let _late =
                    incidents.send(Ok(format!("the {name} process ended ({status}), started again"))).await;
                continue;
            }
            Ok(_) => anyhow::anyhow!("the {name} process ended {restarts} times in a row ({status})"),
            Err(error) => error,
        };
        let _late = incidents.send(Err(failed)).await;
        bail!("the {name} process could not be kept alive");
    }
}

/// Makes the state folder and proves that it can be written.
fn state_dir(args: &DemoArgs) -> anyhow::Result<PathBuf> {
    let dir = args.state.clone().unwrap_or_else(|| {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        PathBuf::from(format!(".tickwright/demo-{unix}-{}", std::process::id()))
    });
    let cannot = || format!("cannot write the state folder {}", dir.display());
    std::fs::create_dir_all(dir.join("fleet")).with_context(cannot)?;
    std::fs::create_dir_all(dir.join("backend")).with_context(cannot)?;
    let probe = dir.join(".writable");
    std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe)).with_context(cannot)?;
    dir.canonicalize().with_context(cannot)
}

/// The part of a server's last words that adds up: how often a tick took how long.
#[derive(Debug, Deserialize)]
struct Final {
    r#final: FinalStatus,
}

#[derive(Debug, Deserialize)]
struct FinalStatus {
    /// Pairs of (microseconds, count).
    tick_us_counts: Vec<(u64, u64)>,
}

/// Reads the last words of every server from its log. A server that was killed has none.
fn tick_times(logs: &Path) -> anyhow::Result<Vec<Distribution>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(logs).with_context(|| format!("cannot read {}", logs.display()))? {
        let path = entry?.path();
        if !path.to_string_lossy().ends_with(".stdout.log") {
            continue;
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for line in text.lines().filter(|line| line.starts_with(r#"{"final""#)) {
            let last: Final = serde_json::from_str(line)
                .with_context(|| format!("{}: last words out of form", path.display()))?;
            let mut ticks = distribution();
            for (us, count) in last.r#final.tick_us_counts {
                ticks.record_n(us, count)?;
            }
            all.push(ticks);
        }
    }
    Ok(all)
}

/// The stack as the page sees it.
pub(super) type SharedStack = Arc<Stack>;
