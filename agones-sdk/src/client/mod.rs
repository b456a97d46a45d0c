//! Owns: the game server's half of the Agones SDK: connect, call with a deadline, retry what is safe to retry.
//! Must never know: what the game does with its state, or whether the sidecar is the real one or ours.
//!
//! ```no_run
//! # async fn example() -> Result<(), agones_sdk::client::SdkError> {
//! use std::time::Duration;
//! use agones_sdk::{State, client::Sdk};
//!
//! let sdk = Sdk::from_env().await?;             // waits for the sidecar, with back-off
//! let _pings = sdk.spawn_health(Duration::from_secs(1)); // until dropped
//! sdk.ready().await?;
//! let mut watch = sdk.watch();                  // resumes by itself when the sidecar restarts
//! loop {
//!     let server = watch.next().await;
//!     if server.state() == Some(State::Allocated) {
//!         println!("match: {:?}", server.annotation("tickwright.dev/match"));
//!         break;
//!     }
//! }
//! sdk.shutdown().await
//! # }
//! ```

mod capacity;
mod error;
mod health;
mod lifecycle;
mod options;
mod players;
mod watch;

use std::error::Error as _;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

pub use self::error::SdkError;
pub use self::health::HealthPings;
pub use self::lifecycle::{
    Allocated, Lifecycle, MayAllocate, MayBeReady, Ready, Refused, Reserved, Starting, Taken,
};
pub use self::options::{ConnectOptions, GRPC_PORT_DEFAULT, HTTP_PORT_DEFAULT};
pub use self::players::PlayerTracking;
pub use self::watch::GameServerWatch;
use crate::proto::sdk::sdk_client::SdkClient;
use crate::proto::sdk::{self, Empty, GameServer, KeyValue};
use crate::state::State;

/// A connection to the sidecar. Cheap to clone; clones share the connection and the lifecycle.
#[derive(Clone, Debug)]
pub struct Sdk {
    channel: Channel,
    options: Arc<ConnectOptions>,
    life: Arc<Life>,
}

/// What forbids a change of state before it is asked for.
#[derive(Debug, Default)]
struct Life {
    /// We have asked for our end.
    ended: AtomicBool,
    /// We were last seen in a state that nothing leaves.
    seen_final: Mutex<Option<State>>,
}

impl Sdk {
    /// Connects to the sidecar that the environment names; waits for it with back-off.
    pub async fn from_env() -> Result<Self, SdkError> {
        Self::connect(ConnectOptions::from_env()?).await
    }

    /// Connects to a sidecar; tries again with back-off until `connect_within` has passed.
    pub async fn connect(options: ConnectOptions) -> Result<Self, SdkError> {
        let endpoint = Endpoint::from_shared(options.endpoint.clone())
            .map_err(|_| SdkError::Endpoint { name: "endpoint", value: options.endpoint.clone() })?
            .connect_timeout(options.deadline)
            .tcp_nodelay(true);
        // No HTTP/2 keep-alive. Deliberate: the real sidecar answers frequent pings with GOAWAY.
        let channel = connect_channel(&endpoint, &options).await?;
        Ok(Self { channel, options: Arc::new(options), life: Arc::default() })
    }

    /// Says that players may come.
    pub async fn ready(&self) -> Result<(), SdkError> {
        self.transition("Ready", |mut c| async move { c.ready(Empty {}).await }).await
    }

    /// Takes this server out of the pool by its own decision.
    pub async fn allocate(&self) -> Result<(), SdkError> {
        self.transition("Allocate", |mut c| async move { c.allocate(Empty {}).await }).await
    }

    /// Takes this server out of the pool for a time (whole seconds, rounded up), after which it is Ready again.
    /// Zero is for ever.
    pub async fn reserve(&self, period: Duration) -> Result<(), SdkError> {
        let rounded = period.as_secs().saturating_add(u64::from(period.subsec_nanos() > 0));
        let seconds = i64::try_from(rounded).map_err(|_| SdkError::Argument {
            call: "Reserve",
            what: "more seconds than the contract holds",
        })?;
        self.transition("Reserve", move |mut c| async move { c.reserve(sdk::Duration { seconds }).await })
            .await
    }

    /// Asks for this server's end. Every later call that would change the state is refused before it is sent.
    pub async fn shutdown(&self) -> Result<(), SdkError> {
        self.safe_call("Shutdown", |mut c| async move { c.shutdown(Empty {}).await }).await?;
        self.life.ended.store(true, Ordering::Release);
        Ok(())
    }

    /// Gives one sign of life.
    pub async fn health(&self) -> Result<(), SdkError> {
        let once = || tokio_stream::once(Empty {});
        self.safe_call("Health", move |mut c| async move { c.health(once()).await }).await.map(drop)
    }

    /// Gives signs of life every `period` over one stream that is opened again whenever it breaks, until the
    /// returned handle is dropped.
    pub fn spawn_health(&self, period: Duration) -> HealthPings {
        HealthPings::spawn(self.clone(), period)
    }

    /// The GameServer as the sidecar knows it now.
    pub async fn game_server(&self) -> Result<GameServer, SdkError> {
        let server =
            self.safe_call("GetGameServer", |mut c| async move { c.get_game_server(Empty {}).await }).await?;
        self.observe(&server);
        Ok(server)
    }

    /// Every version of the GameServer from now on, the current one first.
    pub fn watch(&self) -> GameServerWatch {
        GameServerWatch::new(self.clone())
    }

    /// Sets the label `agones.dev/sdk-<key>`.
    pub async fn set_label(&self, key: &str, value: &str) -> Result<(), SdkError> {
        let pair = KeyValue { key: key.into(), value: value.into() };
        let call = move |mut c: SdkClient<Channel>| {
            let pair = pair.clone();
            async move { c.set_label(pair).await }
        };
        self.safe_call("SetLabel", call).await.map(drop)
    }

    /// Sets the annotation `agones.dev/sdk-<key>`.
    pub async fn set_annotation(&self, key: &str, value: &str) -> Result<(), SdkError> {
        let pair = KeyValue { key: key.into(), value: value.into() };
        let call = move |mut c: SdkClient<Channel>| {
            let pair = pair.clone();
            async move { c.set_annotation(pair).await }
        };
        self.safe_call("SetAnnotation", call).await.map(drop)
    }

    /// The options this connection was made with.
    pub fn options(&self) -> &ConnectOptions {
        &self.options
    }

    async fn transition<F, Fut>(&self, call: &'static str, f: F) -> Result<(), SdkError>
    where
        F: Fn(SdkClient<Channel>) -> Fut,
        Fut: Future<Output = Result<Response<Empty>, Status>>,
    {
        if self.life.ended.load(Ordering::Acquire) {
            return Err(SdkError::AfterShutdown { call });
        }
        if let Some(state) = *self.life.seen_final.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(SdkError::Final { call, state });
        }
        self.safe_call(call, f).await.map(drop)
    }

    /// Remembers what forbids changes of state from now on, or no longer does.
    fn observe(&self, server: &GameServer) {
        let seen = server.state().filter(|state| state.is_final());
        *self.life.seen_final.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// A call that must not be made twice: one try within the deadline.
    async fn once<T>(
        &self,
        call: &'static str,
        f: impl AsyncFnOnce() -> Result<Response<T>, Status>,
    ) -> Result<T, SdkError> {
        self.with_deadline(call, async {
            let response = f().await;
            response
                .map(Response::into_inner)
                .map_err(|status| SdkError::Refused { call, status: Box::new(status) })
        })
        .await
    }

    /// A stable call. All of them are idempotent, so a broken connection is tried again inside the deadline.
    async fn safe_call<T, F, Fut>(&self, call: &'static str, f: F) -> Result<T, SdkError>
    where
        F: Fn(SdkClient<Channel>) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        self.with_deadline(call, async {
            let mut failures = 0;
            loop {
                match f(SdkClient::new(self.channel.clone())).await {
                    Ok(response) => return Ok(response.into_inner()),
                    Err(status) if is_broken_connection(&status) => failures += 1,
                    Err(status) => return Err(SdkError::Refused { call, status: Box::new(status) }),
                }
                sleep(self.options.backoff.jittered(failures)).await;
            }
        })
        .await
    }

    async fn with_deadline<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T, SdkError>>,
    ) -> Result<T, SdkError> {
        let after = self.options.deadline;
        timeout(after, work).await.unwrap_or(Err(SdkError::Deadline { call, after }))
    }
}

async fn connect_channel(endpoint: &Endpoint, options: &ConnectOptions) -> Result<Channel, SdkError> {
    let give_up = Instant::now() + options.connect_within;
    let mut failures = 0;
    loop {
        let source = match endpoint.connect().await {
            Ok(channel) => return Ok(channel),
            Err(error) => error,
        };
        failures += 1;
        let wait = options.backoff.jittered(failures);
        if Instant::now() + wait >= give_up {
            let (endpoint, after) = (options.endpoint.clone(), options.connect_within);
            return Err(SdkError::Unreachable { endpoint, after, source: Some(source) });
        }
        sleep(wait).await;
    }
}

/// Whether the status was made on this side, by a connection that failed. The peer's own answers carry no source.
fn is_broken_connection(status: &Status) -> bool {
    status.code() == Code::Unavailable || status.source().is_some()
}
