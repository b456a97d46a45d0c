//! Tells whoever waits that a match's result has taken effect: in this process at once, on other nodes through a Redis
//! channel. News may get lost (Redis promises nothing); who waits looks at the store now and then too. It must never
//! know what a result did.

use std::time::Duration;

use redis::AsyncCommands as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use tokio::sync::{broadcast, watch};
use tokio_stream::StreamExt as _;

use crate::ids::MatchId;
use crate::store::StoreError;

/// The channel of all nodes.
const CHANNEL: &str = "tw:results";
/// News that a waiter may be behind; one that is further behind looks at the store.
const NEWS_MAX: usize = 1024;
/// Telling the others may take so long; nobody waits for it but the game server.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long until Redis is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The bell; cloning shares it.
#[derive(Clone)]
pub struct News {
    here: broadcast::Sender<MatchId>,
    others: Option<Others>,
}

#[derive(Clone)]
struct Others {
    client: redis::Client,
    publisher: ConnectionManager,
}

impl News {
    /// For one process.
    pub fn embedded() -> Self {
        Self { here: broadcast::channel(NEWS_MAX).0, others: None }
    }

    /// For all nodes that share this Redis.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn shared(redis_url: &str) -> Result<Self, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(RESPONSE_TIMEOUT))
            .set_number_of_retries(1);
        let client = redis::Client::open(redis_url)?;
        let publisher = ConnectionManager::new_with_config(client.clone(), config).await?;
        Ok(Self { others: Some(Others { client, publisher }), ..Self::embedded() })
    }

    /// A result has taken effect.
    pub async fn tell(&self, id: MatchId) {
        // Nobody waits here: that is no failure.
        let _waiting = self.here.send(id);
        let Some(others) = &self.others else { return };
        let told: redis::RedisResult<()> = others.publisher.clone().publish(CHANNEL, id.to_string()).await;
        if let Err(error) = told {
            tracing::warn!(%error, %id, "other nodes not told of a result; they will look");
        }
    }

    /// News from now on.
    pub fn listen(&self) -> broadcast::Receiver<MatchId> {
        self.here.subscribe()
    }

    /// Passes on what other nodes tell, until `drain` turns true.
    pub async fn follow(self, mut drain: watch::Receiver<bool>) {
        let Some(others) = &self.others else { return };
        loop {
            let heard = self.hear(&others.client);
            tokio::select! {
                _ = drain.wait_for(|draining| *draining) => return,
                ended = heard => {
                    if let Err(error) = ended {
                        tracing::warn!(%error, "results on other nodes not heard; waiting clients look instead");
                    }
                }
            }
            tokio::select! {
                _ = drain.wait_for(|draining| *draining) => return,
                () = tokio::time::sleep(AGAIN_AFTER) => {}
            }
        }
    }

    async fn hear(&self, client: &redis::Client) -> redis::RedisResult<()> {
        let mut channel = client.get_async_pubsub().await?;
        channel.subscribe(CHANNEL).await?;
        let mut messages = channel.on_message();
        while let Some(message) = messages.next().await {
            if let Ok(id) = message.get_payload::<String>()?.parse() {
                // What this node told itself comes back: a bell that rings twice harms nobody.
                let _waiting = self.here.send(id);
            }
        }
        Ok(())
    }
}
