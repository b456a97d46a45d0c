//! Owns: the servers that there are, and taking one: the only place where two allocations meet.
//! Must never know: gRPC, HTTP, how a process is run, or how many servers there should be (`size` does).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::report::ServerReport;
use super::size::Size;
use super::template::{Generation, Template};
use super::{FleetConfig, actions, order, output, select};
use crate::proto::allocation::AllocationRequest;
use crate::proto::sdk::GameServer;
use crate::sidecar::{Sidecar, unix_now};

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
    /// Wakes who asks the autoscaler: it has become another.
    pub(super) retold: Notify,
    pub(super) size: Mutex<Size>,
    pub(super) servers: Mutex<Servers>,
    finals: Mutex<VecDeque<Value>>,
    ended_logs: Mutex<VecDeque<PathBuf>>,
    pub(super) crashes: AtomicU64,
    pub(super) allocations: AtomicU64,
    stop: watch::Sender<bool>,
}

/// All servers.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// By name.
    pub(super) members: BTreeMap<String, Arc<Member>>,
    /// The generations of those that are being made, and will be members in a moment.
    pub(super) newborn: Vec<u64>,
}

/// One server of the fleet.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) sidecar: Sidecar,
    pub(super) name: String,
    /// Which template it was made from, and that.
    pub(super) generation: u64,
    pub(super) template: Arc<Template>,
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

impl Roster {
    pub(super) fn new(config: FleetConfig) -> Self {
        Self {
            size: Mutex::new(Size::new(&config)),
            config,
            changed: Notify::new(),
            retold: Notify::new(),
            servers: Mutex::default(),
            finals: Mutex::default(),
            ended_logs: Mutex::default(),
            crashes: AtomicU64::new(0),
            allocations: AtomicU64::new(0),
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
    pub(super) fn expect(&self, generation: &Generation) {
        lock(&self.servers).newborn.push(generation.number);
    }

    pub(super) fn insert(&self, member: Arc<Member>) {
        let mut servers = lock(&self.servers);
        servers.forget_newborn(member.generation);
        servers.members.insert(member.name.clone(), member);
    }

    /// A server that was expected could not be made.
    pub(super) fn miscarry(&self, generation: &Generation) {
        lock(&self.servers).forget_newborn(generation.number);
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
        self.crashes.fetch_add(1, Ordering::Relaxed);
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
            order::to_take(request.scheduling(), &request.priorities, &mut candidates);
            let claim = |member: &Arc<Member>| {
                let fits = |server: &GameServer| select::matches(&selector, server);
                member.sidecar.claim(fits, |server| actions::apply(request, server))
            };
            let taken = candidates.iter().take(CLAIM_TRIES).find_map(|(member, _)| claim(member));
            if taken.is_some() {
                self.allocations.fetch_add(1, Ordering::Relaxed);
            }
            self.changed.notify_one();
            return taken.ok_or(NoServer::Contention);
        }
        Err(NoServer::Exhausted)
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
}

impl Servers {
    fn forget_newborn(&mut self, generation: u64) {
        if let Some(index) = self.newborn.iter().position(|&known| known == generation) {
            self.newborn.swap_remove(index);
        }
    }
}

/// What these locks guard is whole at every point where a panic could happen.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
