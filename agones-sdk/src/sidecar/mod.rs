//! Owns: a local sidecar that answers like the real one over gRPC and HTTP.
//! Must never know: fleets, processes, or what runs behind a game server.
//!
//! | gRPC | HTTP gateway |
//! |---|---|
//! | `agones.dev.sdk.SDK` | `/ready`, `/allocate`, `/shutdown`, `/health`, `/reserve`, `/gameserver`, `/watch/gameserver` (newline-delimited or WebSocket), `/metadata/label`, `/metadata/annotation` |
//! | `agones.dev.sdk.beta.SDK` | `/v1beta1/counters/{name}`, `/v1beta1/lists/{name}`, `…:addValue`, `…:removeValue` |
//! | `agones.dev.sdk.alpha.SDK` | `/alpha/player/…`: "PlayerTracking not enabled" unless [`FeatureGates`] say otherwise, as upstream |

pub(crate) mod capacity;
mod conformance;
mod flags;
mod gates;
mod grpc;
mod health;
mod http;
pub(crate) mod json;
mod main;
mod model;
mod names;
mod object;
mod players;
mod probe;
mod refusal;
mod shared;
mod stamp;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::conformance::{CALLS, Deviation, Expected};
pub use self::gates::FeatureGates;
pub use self::health::HealthPolicy;
pub use self::main::sidecar_main;
pub use self::model::Manner;
pub use self::object::{health_of, load as load_game_server};
pub use self::refusal::Refusal;
use self::shared::Shared;
pub(crate) use self::shared::unix_now;
use crate::command;
use crate::proto::sdk::GameServer;
use crate::proto::sdk::game_server::status::{CounterStatus, ListStatus, Port};
use crate::proto::sdk::game_server::{ObjectMeta, Spec, Status, spec};
use crate::state::State;

/// What a sidecar is started with.
#[derive(Clone, Debug)]
pub struct SidecarConfig {
    /// Where gRPC listens; port 0 chooses a free one.
    pub grpc: SocketAddr,
    /// Where the HTTP gateway listens; port 0 chooses a free one.
    pub http: SocketAddr,
    /// The object at the start. Its `spec.health` is replaced by what `health` says.
    pub game_server: GameServer,
    /// Whose answers it gives.
    pub manner: Manner,
    /// How signs of life are judged ([`Manner::Local`] never judges).
    pub health: HealthPolicy,
    /// Answers with the documented error codes instead of upstream's UNKNOWN.
    pub strict_errors: bool,
    /// Which calls of which stage are answered.
    pub gates: FeatureGates,
    /// What the server asks for is shown in the object so much later, gathered: the real sidecar writes to Kubernetes
    /// no more often. Zero, and in [`Manner::Local`] always: at once.
    pub request_rate_limit: Duration,
    /// A file that holds the object: when it changes, the object becomes what it says, and whoever watches is told.
    /// The object at the start is `game_server` all the same.
    pub file: Option<PathBuf>,
}

impl SidecarConfig {
    /// What `sdk-server --local` starts with: the fixture of the real one.
    pub fn local(grpc: SocketAddr, http: SocketAddr) -> Self {
        let health = HealthPolicy {
            disabled: false,
            period: Duration::from_secs(3),
            failure_threshold: 5,
            initial_delay: Duration::from_secs(10),
        };
        Self { grpc, http, manner: Manner::Local, ..Self::managed(local_game_server(), health) }
    }

    /// A sidecar that judges its server as a cluster would, on free ports of 127.0.0.1.
    pub fn managed(game_server: GameServer, health: HealthPolicy) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            grpc: any,
            http: any,
            game_server,
            manner: Manner::Managed,
            health,
            strict_errors: false,
            gates: FeatureGates::default(),
            request_rate_limit: Duration::ZERO,
            file: None,
        }
    }
}

/// Why a sidecar did not start.
#[derive(Debug, thiserror::Error)]
#[error("sidecar cannot listen on {address}")]
pub struct SidecarError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// A running sidecar. Dropping it stops it; [`Sidecar::stop`] also waits for its connections to end.
#[derive(Debug)]
pub struct Sidecar {
    shared: Arc<Shared>,
    grpc: SocketAddr,
    http: SocketAddr,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Sidecar {
    /// Binds both ports and starts to answer.
    pub async fn start(config: SidecarConfig) -> Result<Self, SidecarError> {
        let (grpc_listener, grpc) = listen(config.grpc).await?;
        let (http_listener, http) = listen(config.http).await?;
        let file = config.file.clone();
        let shared = Arc::new(Shared::new(config));
        let mut tasks = vec![
            tokio::spawn(grpc::serve(shared.clone(), grpc_listener)),
            tokio::spawn(http::serve(shared.clone(), http_listener)),
            tokio::spawn(shared::keep_time(shared.clone())),
        ];
        tasks.extend(file.map(|path| tokio::spawn(object::follow(shared.clone(), path))));
        Ok(Self { shared, grpc, http, tasks: Mutex::new(tasks) })
    }

    /// Where gRPC listens.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc
    }

    /// Where the HTTP gateway listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// The object as it is now.
    pub fn game_server(&self) -> Arc<GameServer> {
        self.shared.current()
    }

    /// The object's state as it is now.
    pub fn state(&self) -> State {
        self.shared.current().state().unwrap_or(State::Error)
    }

    /// The object from now on; a reader that is slow sees the newest only.
    pub fn subscribe(&self) -> watch::Receiver<Arc<GameServer>> {
        self.shared.subscribe()
    }

    /// How many signs of life have come.
    pub fn health_pings(&self) -> u64 {
        self.shared.change(|model, _| model.pings())
    }

    /// Which calls have been made, by their names in the conformance mode ([`CALLS`]).
    pub fn calls(&self) -> BTreeSet<&'static str> {
        self.shared.calls()
    }

    /// Moves the state from the controller's side. False: a final state stayed.
    pub fn set_state(&self, state: State) -> bool {
        self.shared.change(|model, _| model.set_state(state))
    }

    /// Moves a server that nobody uses (starting or Ready) to Shutdown; false if it is in use or ending.
    pub fn retire(&self) -> bool {
        self.shared.change(|model, _| {
            let state = model.server().state();
            state.is_some_and(|state| state.is_starting() || state == State::Ready)
                && model.set_state(State::Shutdown)
        })
    }

    /// Changes the object from the controller's side.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut GameServer)) {
        self.shared.change(|model, _| model.edit(change));
    }

    /// Moves the server to Allocated and applies `change` in one step, if `fits` still holds for it.
    pub fn claim(
        &self,
        fits: impl FnOnce(&GameServer) -> bool,
        change: impl FnOnce(&mut GameServer),
    ) -> Option<Arc<GameServer>> {
        let claimed = self.shared.change(|model, _| {
            let claimed = fits(model.server()) && model.allocate(unix_now());
            if claimed {
                model.edit(change);
            }
            claimed
        });
        claimed.then(|| self.shared.current())
    }

    /// Ends all streams, stops listening, and waits until both servers are gone; a peer that holds a connection
    /// open with half a request is waited for no longer than a second.
    pub async fn stop(&self) {
        self.shared.stop();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        command::end_servers(tasks).await;
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SidecarError> {
    let error = |source| SidecarError { address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    Ok((listener, bound))
}

/// The object that the real local server starts with.
fn local_game_server() -> GameServer {
    let pair = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let players = ListStatus { capacity: 100, values: vec!["test0".into(), "test1".into(), "test2".into()] };
    GameServer {
        object_meta: Some(ObjectMeta {
            name: "local".into(),
            namespace: "default".into(),
            uid: "1234".into(),
            resource_version: "v1".into(),
            generation: 1,
            creation_timestamp: i64::try_from(unix_now().as_secs()).unwrap_or(i64::MAX),
            deletion_timestamp: 0,
            annotations: pair("annotation", "true"),
            labels: pair("islocal", "true"),
        }),
        spec: Some(Spec { health: Some(spec::Health::default()) }),
        status: Some(Status {
            state: State::Ready.name().into(),
            address: "127.0.0.1".into(),
            ports: vec![Port { name: "default".into(), port: 7777 }],
            counters: [("rooms".to_owned(), CounterStatus { count: 1, capacity: 10 })].into(),
            lists: [("players".to_owned(), players)].into(),
            ..Status::default()
        }),
    }
}
