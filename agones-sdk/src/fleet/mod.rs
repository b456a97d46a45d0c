//! Owns: a local fleet of server processes, each with its sidecar, and the allocator in front of them.
//! Must never know: what the processes serve.
//!
//! | who | answers |
//! |---|---|
//! | gRPC | `allocation.AllocationService/Allocate`, the real allocator's contract; the namespace is not looked at |
//! | `GET /healthz` | `{"status":"ok"\|"draining","fleet","desired","starting","ready","reserved","allocated","crashes"}` |
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
//! A process that dies before Ready is started again in place with back-off, as a container would be; one that dies
//! after Ready makes its server Unhealthy, which is replaced under another name.

mod actions;
mod crash;
mod http;
mod main;
mod output;
mod policy;
mod port;
mod process;
mod roster;
mod rpc;
mod select;
mod server;
mod supervisor;

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::main::fleet_main;
pub use self::policy::{BufferPolicy, BufferSize, Desired, PolicyError};
use self::roster::Roster;
pub use self::roster::{Census, ServerReport};
use crate::command;
use crate::sidecar::HealthPolicy;

/// What a fleet is started with.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// The fleet's name: label `agones.dev/fleet` and the first part of its servers' names.
    pub name: String,
    /// Program and arguments of a server; `{port}` and `{name}` are filled in.
    pub command: Vec<String>,
    /// More environment for the servers; `{port}` and `{name}` are filled in in the values.
    pub env: Vec<(String, String)>,
    /// More labels on every server.
    pub labels: Vec<(String, String)>,
    /// How many servers there should be.
    pub policy: BufferPolicy,
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
            command,
            env: Vec::new(),
            labels: Vec::new(),
            policy: BufferPolicy { buffer: BufferSize::Count(2), min: 0, max: 64 },
            state_dir: state_dir.into(),
            listen: any,
            http: any,
            ports: PORTS_DEFAULT,
            health: HealthPolicy::default(),
            grace: Duration::from_secs(10),
        }
    }
}

/// Below the ports that systems hand out to clients (Linux: from 32768), so that a client socket rarely takes a
/// port between its choice and its use.
pub const PORTS_DEFAULT: RangeInclusive<u16> = 20_000..=29_999;

/// Why a fleet did not start.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The policy is none.
    #[error(transparent)]
    Policy(#[from] PolicyError),
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
    config.policy.validate()?;
    let name = &config.name;
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    // 63 letters fit a DNS label; a server's name adds a dash and five.
    if name.is_empty() || name.len() > 57 || !name.chars().all(letter) || name.starts_with('-') {
        return Err(FleetError::Name(name.clone()));
    }
    let program = config.command.first().ok_or(FleetError::NoCommand)?;
    if !process::is_program(program) {
        return Err(FleetError::NoProgram(program.clone()));
    }
    output::prepare(&config.state_dir)
        .map_err(|source| FleetError::StateDir { path: config.state_dir.clone(), source })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), FleetError> {
    let error = |source| FleetError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    Ok((listener, bound))
}
