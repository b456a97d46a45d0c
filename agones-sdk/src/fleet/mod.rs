//! Owns: a local fleet of server processes, each with its sidecar, and the allocator in front of them.
//! Must never know: what the processes serve.
//!
//! | who | answers |
//! |---|---|
//! | gRPC | `allocation.AllocationService/Allocate`, the real allocator's contract; the namespace is not looked at |
//! | `POST /gameserverallocation` | the same as REST: protojson in and out, 429 where none fits |
//! | `GET /healthz` | `{"status":"ok"\|"draining","fleet","desired","starting","ready","reserved","allocated","crashes","allocations","generation","autoscaler":{"applied","limited","passed_over":[],"fault"\|null}}` |
//! | `GET /gameservers.json` | `[{"name","state","address","port","ports":[{"name","port"}],"labels":{},"annotations":{},"admin":"127.0.0.1:1"\|null,"pid"\|null,"restarts","started_unix_ms","health_pings","log","ready":{…}\|null}]` |
//! | `GET /finals.json` | `[{"server","unix_ms","final":{…}}]`, the last 256, oldest first |
//!
//! A server process gets `AGONES_SDK_GRPC_HOST`, `AGONES_SDK_GRPC_PORT`, `AGONES_SDK_HTTP_PORT`, `GAMESERVER_NAME` and
//! `POD_NAMESPACE`; `{port}` and `{name}` are filled in in its arguments and environment. Its standard input is a pipe
//! that is never written and ends with the fleet: a server that watches it leaves no orphan behind when the fleet is
//! killed. Lines of JSON on its standard output are read: `{"ready":true,…}` shows up in `/gameservers.json` (whose
//! `admin` is that line's, or else the annotation that the server has set under the key `admin`),
//! `{"final":{…}}` in `/finals.json`.
//!
//! How many servers there should be is a FleetAutoscaler's word ([`scale`]): asked at every change, or at fixed
//! intervals as on a cluster, within the fleet's own limits. A new template ([`Fleet::roll`]) replaces idle servers
//! step by step; one that is in use stays until its match ends.
//!
//! A process that dies before Ready is started again in place with back-off, as a container would be; one that dies
//! after Ready makes its server Unhealthy, which is replaced under another name.

mod actions;
mod crash;
mod flags;
mod http;
mod main;
mod order;
mod output;
mod port;
mod process;
mod report;
mod rest;
mod roll;
mod roster;
mod rpc;
pub mod scale;
mod select;
mod server;
mod size;
mod supervisor;
mod template;

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::main::fleet_main;
pub use self::order::Scheduling;
pub use self::report::{Census, ServerReport};
pub use self::roll::{RollingUpdate, Share};
use self::roster::Roster;
pub use self::scale::{Autoscaler, BufferPolicy, BufferSize, Desired, PolicyError};
pub use self::template::Template;
use crate::command;
use crate::proto::allocation::Priority;
use crate::sidecar::HealthPolicy;

/// What a fleet is started with.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// The fleet's name: label `agones.dev/fleet` and the first part of its servers' names.
    pub name: String,
    /// What a new server is like.
    pub template: Template,
    /// How many servers there should be.
    pub autoscaler: Autoscaler,
    /// How many servers there are at the start, where the autoscaler is asked at intervals only.
    pub replicas: u32,
    /// What no autoscaler may go below or beyond.
    pub limits: RangeInclusive<u32>,
    /// In which order servers end when the fleet shrinks.
    pub scheduling: Scheduling,
    /// The same, by the room that is left in counters and lists.
    pub priorities: Vec<Priority>,
    /// How a new template replaces the servers of an older one.
    pub rolling: RollingUpdate,
    /// Folder for the servers' logs; made if it is missing.
    pub state_dir: PathBuf,
    /// Where the allocator listens; port 0 chooses a free one.
    pub listen: SocketAddr,
    /// Where the HTTP pages listen; port 0 chooses a free one.
    pub http: SocketAddr,
    /// From where the servers' ports are chosen.
    pub ports: RangeInclusive<u16>,
    /// How signs of life are judged.
    pub health: HealthPolicy,
    /// How long a server may take to end after SIGTERM before it is killed.
    pub grace: Duration,
}

impl FleetConfig {
    /// A fleet with a warm pool of 2, at most 64 servers, everything on free ports of 127.0.0.1.
    pub fn new(name: impl Into<String>, command: Vec<String>, state_dir: impl Into<PathBuf>) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            name: name.into(),
            template: Template::new(command),
            autoscaler: BufferPolicy { buffer: BufferSize::Count(2), min: 0, max: SERVERS_MAX }.into(),
            replicas: 2,
            limits: 0..=SERVERS_MAX,
            scheduling: Scheduling::default(),
            priorities: Vec::new(),
            rolling: RollingUpdate::default(),
            state_dir: state_dir.into(),
            listen: any,
            http: any,
            ports: PORTS_DEFAULT,
            health: HealthPolicy::default(),
            grace: Duration::from_secs(10),
        }
    }
}

/// More servers than one machine is good for, unless somebody says otherwise.
const SERVERS_MAX: u32 = 64;

/// Below the ports that systems hand out to clients (Linux: from 32768), so that a client socket rarely takes a
/// port between its choice and its use.
pub const PORTS_DEFAULT: RangeInclusive<u16> = 20_000..=29_999;

/// Why a fleet did not start.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The policy is none.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// No number of servers is in between.
    #[error("min ({0}) must not be above max ({1})")]
    Limits(u32, u32),
    /// An update could never begin.
    #[error("a rolling update needs a surge or unavailable servers, and both are 0")]
    Rolling,
    /// There is nothing to start.
    #[error("command is empty")]
    NoCommand,
    /// There is no such program.
    #[error("program {0:?} is not there or not executable")]
    NoProgram(String),
    /// The name cannot be part of a server's name.
    #[error("name {0:?} is not a DNS label (a-z, 0-9, -; at most 57 characters)")]
    Name(String),
    /// The folder for logs cannot be written.
    #[error("state folder {path} cannot be written")]
    StateDir {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A port is taken.
    #[error("fleet cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A running fleet. [`Fleet::drain`] ends it in order; dropping it only asks for that.
#[derive(Debug)]
pub struct Fleet {
    roster: Arc<Roster>,
    grpc: SocketAddr,
    http: SocketAddr,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Fleet {
    /// Checks the configuration, binds both ports, and starts to bring the fleet to its strength.
    pub async fn start(config: FleetConfig) -> Result<Self, FleetError> {
        check(&config)?;
        let (grpc_listener, grpc) = listen(config.listen).await?;
        let (http_listener, http) = listen(config.http).await?;
        let roster = Arc::new(Roster::new(config));
        let tasks = vec![
            tokio::spawn(supervisor::run(roster.clone())),
            tokio::spawn(scale::rounds::run(roster.clone())),
            tokio::spawn(rpc::serve(roster.clone(), grpc_listener)),
            tokio::spawn(http::serve(roster.clone(), http_listener)),
        ];
        Ok(Self { roster, grpc, http, tasks: Mutex::new(tasks) })
    }

    /// Where the allocator listens.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc
    }

    /// Where the HTTP pages listen.
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// How many servers are in which state.
    pub fn census(&self) -> Census {
        self.roster.census()
    }

    /// Every server as `/gameservers.json` shows it, by name.
    pub fn servers(&self) -> Vec<ServerReport> {
        self.roster.reports()
    }

    /// Follows another autoscaler from now on.
    ///
    /// # Errors
    /// It is none.
    pub fn autoscale(&self, autoscaler: Autoscaler) -> Result<(), PolicyError> {
        autoscaler.validate()?;
        self.roster.retell(autoscaler);
        Ok(())
    }

    /// Makes new servers from another template from now on, and replaces the idle ones of older templates step by
    /// step; a server in use stays as long as it is. The same template again changes nothing.
    ///
    /// # Errors
    /// There is nothing to start.
    pub fn roll(&self, template: Template) -> Result<(), FleetError> {
        check_command(&template)?;
        self.roster.roll(template);
        Ok(())
    }

    /// What decided the fleet's size: `{"applied","limited","passed_over":[],"fault"|null}`.
    pub fn autoscaling(&self) -> serde_json::Value {
        self.roster.autoscaling()
    }

    /// Ends every server (SIGTERM, then SIGKILL after the grace) and waits until no process and no port is left.
    pub async fn drain(&self) {
        self.roster.stop();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let mut tasks = tasks.into_iter();
        if let Some(supervisor) = tasks.next() {
            // Its own limits hold: a grace, then SIGKILL. A task that panicked is gone as well.
            let _ = supervisor.await;
        }
        command::end_servers(tasks).await;
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.roster.stop();
    }
}

fn check(config: &FleetConfig) -> Result<(), FleetError> {
    config.autoscaler.validate()?;
    if config.limits.is_empty() {
        return Err(FleetError::Limits(*config.limits.start(), *config.limits.end()));
    }
    let none = Share(BufferSize::Count(0));
    if (config.rolling.surge, config.rolling.unavailable) == (none, none) {
        return Err(FleetError::Rolling);
    }
    let name = &config.name;
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    // 63 letters fit a DNS label; a server's name adds a dash and five.
    if name.is_empty() || name.len() > 57 || !name.chars().all(letter) || name.starts_with('-') {
        return Err(FleetError::Name(name.clone()));
    }
    check_command(&config.template)?;
    output::prepare(&config.state_dir)
        .map_err(|source| FleetError::StateDir { path: config.state_dir.clone(), source })
}

fn check_command(template: &Template) -> Result<(), FleetError> {
    let program = template.command.first().ok_or(FleetError::NoCommand)?;
    if process::is_program(program) { Ok(()) } else { Err(FleetError::NoProgram(program.clone())) }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), FleetError> {
    let error = |source| FleetError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    Ok((listener, bound))
}
