//! Owns: the servers that there are, and taking one: the only place where two allocations meet.
//! Must never know: gRPC, HTTP, or how a process is run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::{FleetConfig, actions, output, select};
use crate::proto::allocation::AllocationRequest;
use crate::proto::allocation::allocation_request::SchedulingStrategy;
use crate::proto::sdk::GameServer;
use crate::sidecar::{Sidecar, unix_now};
use crate::state::State;

/// So many last words are kept; the oldest go first.
const FINALS_KEPT: usize = 256;
/// So many servers are tried before an allocation gives up as lost in contention.
const CLAIM_TRIES: usize = 5;

/// The fleet's shared state.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) config: FleetConfig,
    /// Wakes the supervisor.
    pub(super) changed: Notify,
    servers: Mutex<Servers>,
    finals: Mutex<VecDeque<Value>>,
    ended_logs: Mutex<VecDeque<PathBuf>>,
    crashes: Mutex<u64>,
    stop: watch::Sender<bool>,
}

/// All servers.
#[derive(Debug, Default)]
struct Servers {
    /// By name.
    members: BTreeMap<String, Arc<Member>>,
    /// How many are being made, and will be members in a moment.
    newborn: u32,
}

/// One server of the fleet.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) sidecar: Sidecar,
    pub(super) name: String,
    pub(super) started: Instant,
    pub(super) started_unix: Duration,
    /// Log path without its ending.
    pub(super) log: PathBuf,
    pub(super) details: Mutex<Details>,
}

/// What changes while a server lives.
#[derive(Clone, Debug, Default)]
pub(super) struct Details {
    pub(super) port: Option<u16>,
    pub(super) pid: Option<u32>,
    pub(super) restarts: u32,
    pub(super) ready_line: Option<Value>,
    pub(super) ready_at: Option<Instant>,
}

/// Why no server was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoServer {
    /// None fits.
    Exhausted,
    /// Those that fitted changed under our hands.
    Contention,
    /// The fleet is ending.
    Draining,
}

/// How many servers are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Census {
    /// How many there should be.
    pub desired: u32,
    /// Not Ready yet.
    pub starting: u32,
    /// Free to be allocated.
    pub ready: u32,
    /// Out of the pool by their own wish.
    pub reserved: u32,
    /// In use.
    pub allocated: u32,
    /// Ending.
    pub ending: u32,
    /// How many processes have ended unasked since the start.
    pub crashes: u64,
}

impl Census {
    /// Servers that are here to stay.
    pub fn living(&self) -> u32 {
        self.starting + self.ready + self.reserved + self.allocated
    }
}

/// A server as `/gameservers.json` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ServerReport {
    /// Its name.
    pub name: String,
    /// Its state's name.
    pub state: String,
    /// Its address.
    pub address: String,
    /// Its first port; `None` until it has one.
    pub port: Option<u16>,
    /// All its ports, `{"name","port"}`.
    pub ports: Vec<Value>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Where its admin pages are, if it said so.
    pub admin: Option<String>,
    /// Its process; `None` between two.
    pub pid: Option<u32>,
    /// How often its process was started again before it was Ready.
    pub restarts: u32,
    /// When it was created, milliseconds since the Unix epoch.
    pub started_unix_ms: u128,
    /// How many signs of life it has given.
    pub health_pings: u64,
    /// Its log files, without the endings `.stdout.log` and `.stderr.log`.
    pub log: String,
    /// Its own ready line.
    pub ready: Option<Value>,
}

impl Roster {
    pub(super) fn new(config: FleetConfig) -> Self {
        Self {
            config,
            changed: Notify::new(),
            servers: Mutex::default(),
            finals: Mutex::default(),
            ended_logs: Mutex::default(),
            crashes: Mutex::new(0),
            stop: watch::Sender::new(false),
        }
    }

    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Resolves once [`Roster::stop`] was called.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move {
            // An error means that the sender is gone, and with it the fleet.
            let _ = stop.wait_for(|&stop| stop).await;
        }
    }

    /// Counts a server that is about to be made; [`Roster::insert`] or [`Roster::miscarry`] follows.
    pub(super) fn expect(&self) {
        lock(&self.servers).newborn += 1;
    }

    pub(super) fn insert(&self, member: Arc<Member>) {
        let mut servers = lock(&self.servers);
        servers.newborn -= 1;
        servers.members.insert(member.name.clone(), member);
    }

    /// A server that was expected could not be made.
    pub(super) fn miscarry(&self) {
        lock(&self.servers).newborn -= 1;
    }

    pub(super) fn remove(&self, member: &Member) {
        lock(&self.servers).members.remove(&member.name);
        self.forget_old_logs(member);
        self.changed.notify_one();
    }

    pub(super) fn members(&self) -> Vec<Arc<Member>> {
        lock(&self.servers).members.values().cloned().collect()
    }

    pub(super) fn ports(&self) -> BTreeSet<u16> {
        self.members().iter().filter_map(|member| lock(&member.details).port).collect()
    }

    pub(super) fn count_crash(&self) {
        *lock(&self.crashes) += 1;
    }

    /// Takes one server for `request`. Under one lock from the choice to the claim: nobody is taken twice.
    pub(super) fn allocate(&self, request: &AllocationRequest) -> Result<Arc<GameServer>, NoServer> {
        if self.is_stopping() {
            return Err(NoServer::Draining);
        }
        let servers = lock(&self.servers);
        for selector in select::selectors(request) {
            let mut candidates: Vec<_> = servers
                .members
                .values()
                .map(|member| (member, member.sidecar.game_server()))
                .filter(|(_, server)| select::matches(&selector, server))
                .collect();
            if candidates.is_empty() {
                continue;
            }
            order(request, &mut candidates);
            let claim = |member: &Arc<Member>| {
                let fits = |server: &GameServer| select::matches(&selector, server);
                member.sidecar.claim(fits, |server| actions::apply(request, server))
            };
            let taken = candidates.iter().take(CLAIM_TRIES).find_map(|(member, _)| claim(member));
            self.changed.notify_one();
            return taken.ok_or(NoServer::Contention);
        }
        Err(NoServer::Exhausted)
    }

    /// Retires up to `count` servers that nobody uses, the youngest first. Not while somebody allocates.
    pub(super) fn retire(&self, count: u32) {
        let servers = lock(&self.servers);
        let mut members: Vec<_> = servers.members.values().collect();
        members.sort_by_key(|member| std::cmp::Reverse(member.started));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let retired = members.into_iter().filter(|member| member.sidecar.retire()).take(count).count();
        tracing::debug!(retired, "fleet is above its size");
    }

    pub(super) fn census(&self) -> Census {
        let servers = lock(&self.servers);
        let crashes = *lock(&self.crashes);
        let mut census = Census { crashes, starting: servers.newborn, ..Census::default() };
        for member in servers.members.values() {
            let count = match member.sidecar.state() {
                State::Ready => &mut census.ready,
                State::Reserved => &mut census.reserved,
                State::Allocated => &mut census.allocated,
                state if state.is_final() => &mut census.ending,
                _ => &mut census.starting,
            };
            *count += 1;
        }
        census.desired = self.config.policy.desired(census.allocated).replicas;
        census
    }

    pub(super) fn reports(&self) -> Vec<ServerReport> {
        self.members().iter().map(|member| member.report()).collect()
    }

    /// Keeps what a server said last.
    pub(super) fn keep_final(&self, server: &str, last: &Value) {
        let mut finals = lock(&self.finals);
        if finals.len() >= FINALS_KEPT {
            finals.pop_front();
        }
        let unix_ms = u64::try_from(unix_now().as_millis()).unwrap_or(u64::MAX);
        finals.push_back(json!({ "server": server, "unix_ms": unix_ms, "final": last }));
    }

    pub(super) fn finals(&self) -> Vec<Value> {
        lock(&self.finals).iter().cloned().collect()
    }

    fn forget_old_logs(&self, member: &Member) {
        let mut logs = lock(&self.ended_logs);
        logs.push_back(member.log.clone());
        if logs.len() > output::LOGS_KEPT
            && let Some(oldest) = logs.pop_front()
        {
            for ending in ["stdout.log", "stderr.log"] {
                // It may never have been written.
                let _ = std::fs::remove_file(oldest.with_added_extension(ending));
            }
        }
    }
}

impl Member {
    pub(super) fn details(&self) -> MutexGuard<'_, Details> {
        lock(&self.details)
    }

    fn report(&self) -> ServerReport {
        let server = self.sidecar.game_server();
        let details = self.details().clone();
        let meta = server.object_meta.clone().unwrap_or_default();
        let status = server.status.clone().unwrap_or_default();
        let said = details.ready_line.as_ref().and_then(|line| line.get("admin")).and_then(Value::as_str);
        let admin = said.or_else(|| server.own_annotation(ADMIN_ANNOTATION)).map(str::to_owned);
        ServerReport {
            name: meta.name,
            state: status.state,
            address: status.address,
            port: details.port,
            ports: status.ports.iter().map(|p| json!({ "name": p.name, "port": p.port })).collect(),
            labels: meta.labels,
            annotations: meta.annotations,
            admin,
            pid: details.pid,
            restarts: details.restarts,
            started_unix_ms: self.started_unix.as_millis(),
            health_pings: self.sidecar.health_pings(),
            log: self.log.display().to_string(),
            ready: details.ready_line,
        }
    }
}

/// Where a server may say that its admin pages are. No slash in it: the SDK's prefix has the only one.
const ADMIN_ANNOTATION: &str = "admin";

fn order(request: &AllocationRequest, candidates: &mut [(&Arc<Member>, Arc<GameServer>)]) {
    let priorities = &request.priorities;
    if request.scheduling() == SchedulingStrategy::Packed {
        candidates.sort_by(|(_, a), (_, b)| select::packed(priorities, a, b));
    } else {
        fastrand::shuffle(candidates);
        candidates.sort_by(|(_, a), (_, b)| select::by_priority(priorities, a, b));
    }
}

/// What these locks guard is whole at every point where a panic could happen.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
