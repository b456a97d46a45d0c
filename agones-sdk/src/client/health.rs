//! Owns: the steady signs of life over one Health stream. Must never know: why a server might be unwell.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::ReceiverStream;

use super::Sdk;
use crate::proto::sdk::Empty;
use crate::proto::sdk::sdk_client::SdkClient;

/// Running health pings; they stop when this is dropped.
#[derive(Debug)]
pub struct HealthPings {
    task: JoinHandle<()>,
}

impl HealthPings {
    pub(super) fn spawn(sdk: Sdk, period: Duration) -> Self {
        Self { task: tokio::spawn(ping_for_ever(sdk, period)) }
    }
}

impl Drop for HealthPings {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Opens streams one after another; each lives until the sidecar ends it or goes away.
async fn ping_for_ever(sdk: Sdk, period: Duration) {
    let mut failures = 0;
    loop {
        let pings = ping_one_stream(&sdk, period).await;
        failures = if pings > 1 { 1 } else { failures + 1 };
        tracing::debug!(pings, "health stream ended, opening the next");
        sleep(sdk.options.backoff.jittered(failures)).await;
    }
}

/// Feeds one stream; returns how many pings went into it.
async fn ping_one_stream(sdk: &Sdk, period: Duration) -> u64 {
    // One place: a stalled sidecar must not find a heap of old signs of life when it wakes.
    let (sender, receiver) = mpsc::channel(1);
    let mut client = SdkClient::new(sdk.channel.clone());
    let call = client.health(ReceiverStream::new(receiver));
    tokio::pin!(call);
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pings = 0;
    loop {
        tokio::select! {
            _ = &mut call => return pings,
            _ = ticks.tick() => {}
        }
        tokio::select! {
            _ = &mut call => return pings,
            sent = sender.send(Empty {}) => if sent.is_err() { return pings },
        }
        pings += 1;
    }
}
