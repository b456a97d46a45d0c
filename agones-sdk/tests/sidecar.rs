//! The client against the sidecar: lifecycle, deadlines, and streams that outlive a sidecar.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use std::time::Duration;

use agones_sdk::client::{ConnectOptions, Sdk, SdkError};
use agones_sdk::sidecar::{HealthPolicy, Sidecar, SidecarConfig};
use agones_sdk::{Backoff, GameServer, State};
use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tonic::Code;

const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
const SOON: Duration = Duration::from_secs(10);

fn options(endpoint: impl std::fmt::Display) -> ConnectOptions {
    let backoff = Backoff { first: Duration::from_millis(5), max: Duration::from_millis(50) };
    ConnectOptions { backoff, ..ConnectOptions::new(format!("http://{endpoint}")) }
}

fn quick_health() -> HealthPolicy {
    let period = Duration::from_millis(100);
    HealthPolicy { disabled: false, period, failure_threshold: 2, initial_delay: period }
}

async fn managed(health: HealthPolicy) -> (Sidecar, Sdk) {
    let config = SidecarConfig::managed(GameServer::default(), health);
    let sidecar = Sidecar::start(config).await.unwrap();
    let sdk = Sdk::connect(options(sidecar.grpc_addr())).await.unwrap();
    (sidecar, sdk)
}

async fn local() -> (Sidecar, Sdk) {
    let sidecar = Sidecar::start(SidecarConfig::local(ANY.into(), ANY.into())).await.unwrap();
    let sdk = Sdk::connect(options(sidecar.grpc_addr())).await.unwrap();
    (sidecar, sdk)
}

/// Waits until the sidecar's object satisfies `condition`.
async fn until(sidecar: &Sidecar, condition: impl FnMut(&std::sync::Arc<GameServer>) -> bool) {
    let mut versions = sidecar.subscribe();
    timeout(SOON, versions.wait_for(condition)).await.expect("in time").unwrap();
}

#[tokio::test]
async fn a_life_from_ready_to_shutdown() {
    let (sidecar, sdk) = managed(HealthPolicy::default()).await;
    sdk.ready().await.unwrap();
    assert_eq!(sidecar.state(), State::Ready);
    sdk.set_label("mode", "dm").await.unwrap();
    sdk.set_annotation("map", "x").await.unwrap();
    let server = sdk.game_server().await.unwrap();
    assert_eq!((server.own_label("mode"), server.own_annotation("map")), (Some("dm"), Some("x")));
    sdk.allocate().await.unwrap();
    let server = sdk.game_server().await.unwrap();
    assert_eq!(server.state(), Some(State::Allocated));
    assert!(server.annotation("agones.dev/last-allocated").is_some_and(|stamp| stamp.ends_with('Z')));
    sdk.health().await.unwrap();
    assert_eq!(sidecar.health_pings(), 1);
    sdk.shutdown().await.unwrap();
    assert_eq!(sidecar.state(), State::Shutdown);
    assert!(matches!(sdk.clone().ready().await, Err(SdkError::AfterShutdown { call: "Ready" })));
    assert!(matches!(sdk.reserve(SOON).await, Err(SdkError::AfterShutdown { .. })));
}

#[tokio::test]
async fn what_is_gathered_shows_up_later_and_together_and_ready_by_way_of_its_request() {
    let gather = Duration::from_millis(50);
    let mut config = SidecarConfig::managed(GameServer::default(), HealthPolicy::default());
    config.request_rate_limit = gather;
    let sidecar = Sidecar::start(config).await.unwrap();
    let sdk = Sdk::connect(options(sidecar.grpc_addr())).await.unwrap();
    let mut watch = sdk.watch();
    assert_eq!(watch.next().await.state(), None);
    let asked = std::time::Instant::now();
    sdk.ready().await.unwrap();
    sdk.set_label("mode", "dm").await.unwrap();
    let server = timeout(SOON, watch.next()).await.unwrap();
    assert_eq!((server.state(), server.own_label("mode")), (Some(State::RequestReady), Some("dm")));
    assert_eq!(timeout(SOON, watch.next()).await.unwrap().state(), Some(State::Ready));
    assert!(asked.elapsed() >= 2 * gather);
    sdk.allocate().await.unwrap();
    assert_eq!(timeout(SOON, watch.next()).await.unwrap().state(), Some(State::Allocated));
}

#[tokio::test]
async fn a_reservation_runs_out() {
    let (sidecar, sdk) = managed(HealthPolicy::default()).await;
    // Half a second is rounded up: zero would be for ever.
    sdk.reserve(Duration::from_millis(500)).await.unwrap();
    assert_eq!(sidecar.state(), State::Reserved);
    until(&sidecar, |server| server.state() == Some(State::Ready)).await;
}

#[tokio::test]
async fn counters_and_lists() {
    let (_sidecar, sdk) = local().await;
    assert_eq!(sdk.move_counter("rooms", 4).await.unwrap().count, 5);
    assert_eq!(sdk.set_counter_capacity("rooms", 6).await.unwrap().capacity, 6);
    assert_eq!(sdk.set_counter_count("rooms", 0).await.unwrap().count, 0);
    let refused = sdk.move_counter("rooms", 7).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Unknown), "{refused}");
    assert_eq!(sdk.add_list_value("players", "p").await.unwrap().values.len(), 4);
    assert_eq!(sdk.remove_list_value("players", "test0").await.unwrap().values[0], "test1");
    assert_eq!(sdk.set_list_capacity("players", 1).await.unwrap().values, ["test1"]);
    assert_eq!(sdk.set_list_values("players", vec!["q".into()]).await.unwrap().values, ["q"]);
    assert_eq!(sdk.list("players").await.unwrap().capacity, 1);
    assert!(sdk.counter("nope").await.unwrap_err().to_string().contains("nope Counter not found"));
}

#[tokio::test]
async fn silence_is_unhealthy_and_stays_so() {
    let (sidecar, sdk) = managed(quick_health()).await;
    let pings = sdk.spawn_health(Duration::from_millis(20));
    sdk.ready().await.unwrap();
    // Twice as long as silence is borne: the pings hold it up.
    let silence = 2 * quick_health().period * (1 + quick_health().failure_threshold);
    let mut versions = sidecar.subscribe();
    let changed =
        timeout(silence, versions.wait_for(|server| server.state() == Some(State::Unhealthy))).await;
    assert!(changed.is_err() && sidecar.health_pings() > 5);
    drop(pings);
    until(&sidecar, |server| server.state() == Some(State::Unhealthy)).await;
    sdk.ready().await.unwrap();
    assert_eq!(sidecar.state(), State::Unhealthy);
}

#[tokio::test]
async fn watch_and_health_outlive_a_sidecar() {
    let (first, sdk) = local().await;
    let (grpc, http) = (first.grpc_addr(), first.http_addr());
    let _pings = sdk.spawn_health(Duration::from_millis(10));
    let mut watch = sdk.watch();
    assert_eq!(timeout(SOON, watch.next()).await.unwrap().state(), Some(State::Ready));
    first.set_state(State::Reserved);
    assert_eq!(timeout(SOON, watch.next()).await.unwrap().state(), Some(State::Reserved));
    timeout(SOON, first.stop()).await.expect("streams end with the sidecar");
    drop(first);
    let second = Sidecar::start(SidecarConfig::local(grpc, http)).await.unwrap();
    second.set_state(State::Allocated);
    let resumed = async {
        while watch.next().await.state() != Some(State::Allocated) {}
        while second.health_pings() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, resumed).await.expect("streams resume");
    // A call right after a restart is tried again until the connection is back.
    sdk.ready().await.unwrap();
    assert_eq!(second.state(), State::Ready);
}

#[tokio::test]
async fn a_sidecar_that_comes_late_is_waited_for() {
    let port = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let connecting = tokio::spawn(Sdk::connect(options(port)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let _sidecar = Sidecar::start(SidecarConfig::local(port, ANY.into())).await.unwrap();
    timeout(SOON, connecting).await.unwrap().unwrap().expect("connected");
}

#[tokio::test]
async fn patience_has_limits() {
    // Accepts into its backlog, and never says a word.
    let mute = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = mute.local_addr().unwrap();
    let quick = |endpoint: String| ConnectOptions {
        connect_within: Duration::from_millis(100),
        deadline: Duration::from_millis(100),
        ..options(endpoint)
    };
    let sdk = Sdk::connect(quick(address.to_string())).await.unwrap();
    assert!(matches!(sdk.ready().await, Err(SdkError::Deadline { call: "Ready", .. })));
    drop(mute);
    let gone = Sdk::connect(quick(address.to_string())).await;
    assert!(matches!(gone, Err(SdkError::Unreachable { .. })), "{gone:?}");
    let nonsense = Sdk::connect(quick("not an address".into())).await;
    assert!(matches!(nonsense, Err(SdkError::Endpoint { .. })), "{nonsense:?}");
}

#[tokio::test]
async fn the_watch_is_lines_or_a_websocket() {
    let (sidecar, _sdk) = local().await;
    let url = format!("{}/watch/gameserver", sidecar.http_addr());
    let mut lines = reqwest::get(format!("http://{url}")).await.unwrap();
    let (mut socket, _) = connect_async(format!("ws://{url}")).await.unwrap();
    for state in ["Ready", "Reserved"] {
        let line = timeout(SOON, lines.chunk()).await.unwrap().unwrap().unwrap();
        assert!(line.ends_with(b"\n"));
        let message = timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap();
        for text in [&line[..], message.to_text().unwrap().as_bytes()] {
            let value: serde_json::Value = serde_json::from_slice(text).unwrap();
            assert_eq!(value["result"]["status"]["state"], state);
        }
        sidecar.set_state(State::Reserved);
    }
    timeout(SOON, sidecar.stop()).await.expect("streams end with the sidecar");
}
