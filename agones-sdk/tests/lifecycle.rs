//! The typed lifecycle against a sidecar, and what is refused before any call is made.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use std::time::Duration;

use agones_sdk::client::{ConnectOptions, Lifecycle, Sdk, SdkError, Taken};
use agones_sdk::sidecar::{HealthPolicy, Sidecar, SidecarConfig};
use agones_sdk::{GameServer, State};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

async fn start() -> (Sidecar, Sdk) {
    let config = SidecarConfig::managed(GameServer::default(), HealthPolicy::default());
    let sidecar = Sidecar::start(config).await.unwrap();
    let sdk = Sdk::connect(ConnectOptions::new(format!("http://{}", sidecar.grpc_addr()))).await.unwrap();
    (sidecar, sdk)
}

#[tokio::test]
async fn a_life_goes_through_its_states() {
    let (sidecar, sdk) = start().await;
    let reserved = Lifecycle::new(sdk).reserve(SOON).await.unwrap();
    assert_eq!(sidecar.state(), State::Reserved);
    let ready = reserved.ready().await.unwrap();
    assert_eq!(sidecar.state(), State::Ready);
    let waiting = tokio::spawn(ready.allocated());
    assert!(sidecar.set_state(State::Allocated), "somebody takes it");
    let taken = timeout(SOON, waiting).await.unwrap().unwrap();
    let Taken::Allocated(server, allocated) = taken else { panic!("{taken:?}") };
    assert_eq!(server.state(), Some(State::Allocated));
    // Back into the pool, and out of it by its own decision.
    let allocated = allocated.ready().await.unwrap().allocate().await.unwrap();
    allocated.sdk().set_label("mode", "dm").await.unwrap();
    allocated.shutdown().await.unwrap();
    assert_eq!(sidecar.state(), State::Shutdown);
}

#[tokio::test]
async fn who_waits_hears_of_its_end() {
    let (sidecar, sdk) = start().await;
    let ready = Lifecycle::new(sdk).ready().await.unwrap();
    let waiting = tokio::spawn(ready.allocated());
    assert!(sidecar.retire());
    assert!(matches!(timeout(SOON, waiting).await.unwrap().unwrap(), Taken::Ended(State::Shutdown)));
}

#[tokio::test]
async fn what_is_refused_can_be_tried_again() {
    let (sidecar, sdk) = start().await;
    let starting = Lifecycle::new(sdk);
    let refused = starting.reserve(Duration::MAX).await.unwrap_err();
    assert!(matches!(*refused.error, SdkError::Argument { call: "Reserve", .. }), "{refused}");
    refused.lifecycle.ready().await.unwrap();
    assert_eq!(sidecar.state(), State::Ready);
}

#[tokio::test]
async fn a_state_that_nothing_leaves_is_left_by_no_call() {
    let (sidecar, sdk) = start().await;
    sdk.ready().await.unwrap();
    assert!(sidecar.set_state(State::Unhealthy));
    // Not seen yet: the call is made, and changes nothing.
    sdk.ready().await.unwrap();
    assert_eq!(sdk.game_server().await.unwrap().state(), Some(State::Unhealthy));
    let expected = |error| matches!(error, SdkError::Final { call: "Allocate", state: State::Unhealthy });
    assert!(expected(sdk.allocate().await.unwrap_err()));
    sidecar.stop().await;
    drop(sidecar);
    // No sidecar is there to be asked, and none was.
    assert!(expected(sdk.clone().allocate().await.unwrap_err()));
}
