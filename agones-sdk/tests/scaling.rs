//! A fleet that follows an autoscaler and a new template: webhooks asked over HTTP, fallbacks, counters, and a rolling
//! update under a match.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use agones_sdk::allocation::{
    AllocateError, AllocationRequest, AllocatorClient, CounterAction, CounterSelector, GameServerSelector,
    GameServerState, ListAction, Priority,
};
use agones_sdk::fleet::scale::FleetAutoscaleReview;
use agones_sdk::fleet::{Autoscaler, BufferPolicy, BufferSize, Census, Fleet, FleetConfig, Template};
use agones_sdk::proto::sdk::game_server::status::{CounterStatus, ListStatus};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

const SOON: Duration = Duration::from_secs(20);

/// What the webhook double answers: a size; below zero, a failure.
type Wish = Arc<AtomicI32>;

async fn webhook(wish: Wish) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/scale", listener.local_addr().unwrap());
    let answer = async move |Json(review): Json<FleetAutoscaleReview>| -> Response {
        let request = review.request.expect("a question");
        assert_eq!((request.name.as_str(), request.namespace.as_str()), ("arena", "default"));
        let replicas = wish.load(Ordering::Relaxed);
        if replicas < 0 {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let scale = i64::from(replicas) != i64::from(request.status.replicas);
        let response = json!({ "uid": request.uid, "scale": scale, "replicas": replicas });
        Json(json!({ "request": request, "response": response })).into_response()
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/scale", post(answer))).await });
    url
}

fn template() -> Template {
    Template::new(vec![env!("CARGO_BIN_EXE_fake-server").to_owned(), "--port".into(), "{port}".into()])
}

fn config(folder: &TempDir) -> FleetConfig {
    let grace = Duration::from_secs(5);
    FleetConfig { grace, template: template(), ..FleetConfig::new("arena", Vec::new(), folder.path()) }
}

fn buffer(count: u32, max: u32) -> Autoscaler {
    BufferPolicy { buffer: BufferSize::Count(count), min: 0, max }.into()
}

async fn until(fleet: &Fleet, what: &str, mut condition: impl FnMut(&Census) -> bool) {
    let give_up = Instant::now() + SOON;
    while !condition(&fleet.census()) {
        assert!(Instant::now() < give_up, "no {what}: {:?} {}", fleet.census(), fleet.autoscaling());
        sleep(Duration::from_millis(10)).await;
    }
}

async fn until_said(fleet: &Fleet, pointer: &str, expected: &str) {
    let give_up = Instant::now() + SOON;
    let said = |fleet: &Fleet| {
        fleet.autoscaling().pointer(pointer).is_some_and(|v| v.to_string().contains(expected))
    };
    while !said(fleet) {
        assert!(Instant::now() < give_up, "no {expected}: {}", fleet.autoscaling());
        sleep(Duration::from_millis(10)).await;
    }
}

fn client(fleet: &Fleet) -> AllocatorClient {
    AllocatorClient::new(&format!("http://{}", fleet.grpc_addr()), SOON).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_says_how_many_and_its_failure_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let wish = Wish::new(AtomicI32::new(3));
    let url = webhook(wish.clone()).await;
    let spec = format!(
        r#"{{"policy":{{"type":"Webhook","webhook":{{"url":"{url}"}}}},"sync":{{"fixedInterval":{{"seconds":1}}}}}}"#
    );
    let autoscaler = Autoscaler::parse(&spec).unwrap();
    let fleet = Fleet::start(FleetConfig { autoscaler, limits: 1..=4, ..config(&folder) }).await.unwrap();
    until(&fleet, "3 ready servers", |census| census.ready == 3).await;
    wish.store(-1, Ordering::Relaxed);
    until_said(&fleet, "/fault", "status 500, and only 200 counts").await;
    assert_eq!(fleet.census().ready, 3);
    // The fleet's own limit holds against anybody's wish.
    wish.store(1_000_000, Ordering::Relaxed);
    until(&fleet, "4 ready servers", |census| census.ready == 4 && census.desired == 4).await;
    until_said(&fleet, "/limited", "true").await;
    wish.store(0, Ordering::Relaxed);
    until(&fleet, "1 ready server", |census| census.ready == 1 && census.desired == 1).await;
    fleet.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_falls_back_and_comes_back() {
    let folder = TempDir::new().unwrap();
    let wish = Wish::new(AtomicI32::new(-1));
    let url = webhook(wish.clone()).await;
    let spec = format!(
        r#"{{"policy":{{"type":"Chain","chain":[{{"id":"predict","type":"Webhook","webhook":{{"url":"{url}"}}}},
            {{"id":"spare","type":"Buffer","buffer":{{"bufferSize":1,"maxReplicas":9}}}}]}},
           "sync":{{"fixedInterval":{{"seconds":1}}}}}}"#
    );
    let autoscaler = Autoscaler::parse(&spec).unwrap();
    let fleet = Fleet::start(FleetConfig { autoscaler, replicas: 0, ..config(&folder) }).await.unwrap();
    until(&fleet, "a ready server", |census| census.ready == 1).await;
    until_said(&fleet, "/applied", "Chain:spare:Buffer").await;
    until_said(&fleet, "/passed_over", "predict: webhook").await;
    wish.store(2, Ordering::Relaxed);
    until(&fleet, "2 ready servers", |census| census.ready == 2).await;
    until_said(&fleet, "/applied", "Chain:predict:Webhook").await;
    fleet.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_are_filled_one_after_another_and_more_servers_come_for_them() {
    let folder = TempDir::new().unwrap();
    let mut template = template();
    template.counters.insert("rooms".into(), CounterStatus { count: 0, capacity: 2 });
    template.lists.insert("players".into(), ListStatus { capacity: 3, values: vec![] });
    let spec = r#"{"policy":{"type":"Counter","counter":{"key":"rooms","bufferSize":2,"maxCapacity":8}},
                   "sync":{"fixedInterval":{"seconds":1}}}"#;
    let autoscaler = Autoscaler::parse(spec).unwrap();
    let config = FleetConfig { template, autoscaler, replicas: 1, ..config(&folder) };
    let fleet = Fleet::start(config).await.unwrap();
    until(&fleet, "a ready server", |census| census.ready == 1).await;
    let room = || CounterSelector { min_available: 1, ..CounterSelector::default() };
    let selector = |state: GameServerState| GameServerSelector {
        game_server_state: state.into(),
        counters: [("rooms".to_owned(), room())].into(),
        ..GameServerSelector::default()
    };
    let request = |player: &str| AllocationRequest {
        game_server_selectors: vec![selector(GameServerState::Allocated), selector(GameServerState::Ready)],
        priorities: vec![Priority { key: "rooms".into(), ..Priority::default() }],
        counters: [(
            "rooms".to_owned(),
            CounterAction { action: Some("Increment".into()), amount: Some(1), capacity: None },
        )]
        .into(),
        lists: [(
            "players".to_owned(),
            ListAction { add_values: vec![player.into()], ..ListAction::default() },
        )]
        .into(),
        ..AllocationRequest::default()
    };
    let client = client(&fleet);
    let first = client.allocate(request("a")).await.unwrap();
    assert_eq!(first.counters["rooms"].count, Some(1));
    let second = client.allocate(request("b")).await.unwrap();
    assert_eq!(second.game_server_name, first.game_server_name, "it has a room left");
    assert_eq!(
        (second.counters["rooms"].count, &second.lists["players"].values[..]),
        (Some(2), &["a".into(), "b".into()][..])
    );
    // Full: the policy brings a server with two free rooms, and the next one goes there.
    until(&fleet, "another server", |census| census.ready == 1 && census.allocated == 1).await;
    let third = client.allocate(request("c")).await.unwrap();
    assert_ne!(third.game_server_name, first.game_server_name);
    fleet.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_replaces_who_is_idle_and_waits_for_who_plays() {
    let folder = TempDir::new().unwrap();
    let fleet = Fleet::start(FleetConfig { autoscaler: buffer(3, 4), ..config(&folder) }).await.unwrap();
    until(&fleet, "3 ready servers", |census| census.ready == 3).await;
    let client = client(&fleet);
    let playing = client.allocate(AllocationRequest::from_fleet("arena", [].into())).await.unwrap();
    until(&fleet, "the buffer again", |census| census.ready == 3 && census.allocated == 1).await;
    let mut next = template();
    next.labels.push(("build".into(), "2".into()));
    fleet.roll(next.clone()).unwrap();
    let is_new = |server: &agones_sdk::fleet::ServerReport| server.labels.contains_key("build");
    let give_up = Instant::now() + SOON;
    loop {
        let (servers, census) = (fleet.servers(), fleet.census());
        let playing = servers.iter().find(|server| server.name == playing.game_server_name);
        assert_eq!(playing.map(|server| server.state.as_str()), Some("Allocated"), "who plays stays");
        // Size 4: one more and one fewer at a time.
        assert!(census.living() <= 5 && census.ready + census.allocated >= 3, "{census:?}");
        if census.ready == 3
            && servers.iter().filter(|server| is_new(server)).count() == 3
            && census.ending == 0
        {
            break;
        }
        assert!(Instant::now() < give_up, "no end of the update: {census:?}");
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(fleet.servers().iter().filter(|server| !is_new(server)).count(), 1);
    // The same template again is no update, and one without a program is none.
    fleet.roll(next).unwrap();
    let health: serde_json::Value =
        reqwest::get(format!("http://{}/healthz", fleet.http_addr())).await.unwrap().json().await.unwrap();
    assert_eq!((&health["generation"], &health["allocations"]), (&2.into(), &1.into()));
    assert!(fleet.roll(Template::default()).is_err());
    // The old one is Ready no more, and a new one is taken.
    let build = GameServerSelector {
        match_labels: [("build".to_owned(), "2".to_owned())].into(),
        ..GameServerSelector::default()
    };
    let request = AllocationRequest { game_server_selectors: vec![build], ..AllocationRequest::default() };
    let answer: Result<_, AllocateError> = client.allocate(request).await;
    assert_ne!(answer.unwrap().game_server_name, playing.game_server_name);
    fleet.drain().await;
}
