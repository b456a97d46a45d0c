//! Owns: a WatchGameServer stream that resumes. Must never know: what its reader looks for.

use tokio::time::{sleep, timeout};
use tonic::Streaming;

use super::Sdk;
use crate::proto::sdk::sdk_client::SdkClient;
use crate::proto::sdk::{Empty, GameServer};

/// Successive versions of this server's GameServer object.
///
/// Pulled, so that a slow reader holds nothing but the connection's own window; safe to cancel.
#[derive(Debug)]
pub struct GameServerWatch {
    sdk: Sdk,
    stream: Option<Streaming<GameServer>>,
    last: Option<GameServer>,
    failures: u32,
}

impl GameServerWatch {
    pub(super) fn new(sdk: Sdk) -> Self {
        Self { sdk, stream: None, last: None, failures: 0 }
    }

    /// The next version that differs from the one before. Waits as long as it takes: a stream that breaks is
    /// opened again with back-off, and what changed meanwhile arrives as one version.
    pub async fn next(&mut self) -> GameServer {
        loop {
            let Some(server) = self.receive().await else {
                self.stream = None;
                self.failures = self.failures.saturating_add(1);
                sleep(self.sdk.options.backoff.jittered(self.failures)).await;
                continue;
            };
            self.failures = 0;
            self.sdk.observe(&server);
            if self.last.as_ref() != Some(&server) {
                self.last = Some(server.clone());
                return server;
            }
        }
    }

    /// One message, from a stream that is opened first if there is none. `None`: the stream is gone.
    async fn receive(&mut self) -> Option<GameServer> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(open(&self.sdk).await?),
        };
        stream.message().await.ok().flatten()
    }
}

async fn open(sdk: &Sdk) -> Option<Streaming<GameServer>> {
    let mut client = SdkClient::new(sdk.channel.clone());
    let opened = timeout(sdk.options.deadline, client.watch_game_server(Empty {})).await;
    opened.ok()?.ok().map(tonic::Response::into_inner)
}
