//! The server's life as Agones sees it: signs of life, Ready, Allocated → a match, Shutdown. Must never know a
//! session nor a tick.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use agones_sdk::client::{ConnectOptions, Sdk, SdkError};
use agones_sdk::{GameServer, State};
use backend_proto::signature::RESULT_KEY_ANNOTATION;
use tokio::sync::mpsc as queue;

use super::rooms::{self, RoomNews};
use super::signer::Signer;
use super::{Board, Command};
use crate::game_match::MatchSpec;

/// The annotation in which an allocation says what is to be played.
pub(crate) const MATCH_ANNOTATION: &str = "tickwright.dev/match";

/// The annotation by which we say where our admin port is. The SDK puts `agones.dev/sdk-` before it, so it must
/// not have a slash of its own: Kubernetes takes one at most.
pub(crate) const ADMIN_ANNOTATION: &str = "admin";

/// The annotation by which we say at which TCP port we take WebSocket players; absent where we take none.
pub(crate) const WEBSOCKET_ANNOTATION: &str = "websocket";

/// What others are told of us beside Agones' own ports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announcements {
    /// Our admin port.
    pub(crate) admin: SocketAddr,
    /// Our port for WebSocket players.
    pub(crate) websocket_port: Option<u16>,
}

/// How often Agones hears from us.
const HEALTH_PERIOD: Duration = Duration::from_secs(1);

/// Connects to the sidecar; waits for it with back-off.
pub(super) async fn connect(host: Option<String>, port: u16) -> Result<Sdk, SdkError> {
    let options = ConnectOptions::from_lookup(|name| match name {
        "AGONES_SDK_GRPC_HOST" => host.clone(),
        "AGONES_SDK_GRPC_PORT" => Some(port.to_string()),
        _ => None,
    });
    Sdk::connect(options?).await
}

/// Where players reach this server, as far as Agones knows.
pub(super) async fn addresses(sdk: &Sdk) -> Vec<SocketAddr> {
    match sdk.game_server().await {
        Ok(server) => address_of(&server).into_iter().collect(),
        Err(error) => {
            tracing::warn!(%error, "Agones did not say where players reach us");
            Vec::new()
        }
    }
}

/// How much this process takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    /// Matches at once.
    pub(super) rooms: u16,
    /// Players at once.
    pub(super) players: u16,
}

/// The server's life.
pub(super) struct Life {
    pub(super) sdk: Sdk,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) board: Arc<Board>,
    pub(super) signer: Signer,
    pub(super) announcements: Announcements,
    pub(super) capacity: Capacity,
}

impl Life {
    /// Lives through Agones' states until the runtime ends.
    pub(super) async fn follow(self, news: queue::UnboundedReceiver<RoomNews>) {
        let health = stay_healthy(&self.sdk, &self.board);
        let states = async {
            announce(&self.sdk, ADMIN_ANNOTATION, &self.announcements.admin.to_string()).await;
            if let Some(port) = self.announcements.websocket_port {
                announce(&self.sdk, WEBSOCKET_ANNOTATION, &port.to_string()).await;
            }
            if self.capacity.rooms > 1 {
                rooms::offer(&self.sdk, self.capacity).await;
            }
            if let Err(error) = self.sdk.ready().await {
                tracing::error!(%error, "Agones was not told that we are ready");
                let why = "Agones refuses us";
                let _ = self.commands.send(Command::Drain { within: Duration::ZERO, why });
            }
            match self.capacity.rooms {
                1 => follow_states(&self.sdk, &self.commands, &self.signer).await,
                _ => rooms::follow(&self.sdk, &self.commands, &self.signer, news).await,
            }
        };
        tokio::join!(health, states, show_state(&self.sdk, &self.board));
    }
}

async fn announce(sdk: &Sdk, what: &str, value: &str) {
    if let Err(error) = sdk.set_annotation(what, value).await {
        tracing::warn!(%error, what, "a port is not announced");
    }
}

/// Notes the state for those who watch. A watch of its own: what is shown waits for nothing that is done.
async fn show_state(sdk: &Sdk, board: &Board) {
    let mut watch = sdk.watch();
    loop {
        let server = watch.next().await;
        board.note_agones_state(server.status.as_ref().map_or("", |status| &status.state));
    }
}

/// Pings while the tick thread lives; a stuck server is to be found unhealthy.
async fn stay_healthy(sdk: &Sdk, board: &Board) {
    let mut pings = None;
    loop {
        pings = match (board.is_alive(), pings) {
            (true, None) => Some(sdk.spawn_health(HEALTH_PERIOD)),
            (true, running) => running,
            (false, _) => None,
        };
        tokio::time::sleep(HEALTH_PERIOD).await;
    }
}

async fn follow_states(sdk: &Sdk, commands: &mpsc::Sender<Command>, signer: &Signer) {
    let mut watch = sdk.watch();
    let mut allocated = false;
    loop {
        let server = watch.next().await;
        let command = match server.state() {
            Some(State::Allocated) if !allocated => {
                allocated = true;
                Some(allocation(&server, signer))
            }
            Some(State::Shutdown) => {
                Some(Command::Drain { within: Duration::ZERO, why: "Agones shuts us down" })
            }
            _ => None,
        };
        if let Some(command) = command
            && commands.send(command).is_err()
        {
            return;
        }
    }
}

/// What an allocation asks of us. Without the annotation: an open match; with one that cannot be read, no match
/// at all, since its players would wait for another one.
fn allocation(server: &GameServer, signer: &Signer) -> Command {
    let Some(json) = server.annotation(MATCH_ANNOTATION) else {
        return Command::Allocate(MatchSpec { mode: "open".into(), ..MatchSpec::default() });
    };
    match serde_json::from_str::<MatchSpec>(json) {
        Ok(spec) => {
            signer.learn(spec.match_id, server, RESULT_KEY_ANNOTATION);
            Command::Allocate(spec)
        }
        Err(error) => {
            tracing::error!(%error, "annotation {MATCH_ANNOTATION} cannot be read");
            Command::Drain { within: Duration::ZERO, why: "the allocation cannot be read" }
        }
    }
}

/// The public address of the first UDP port there is.
fn address_of(server: &GameServer) -> Option<SocketAddr> {
    let ip: IpAddr = server.address().parse().ok()?;
    let port = server.status.as_ref()?.ports.first()?.port;
    Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
}
