//! A fleet of real processes: strength, allocation, replacement, and an end that leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use agones_sdk::allocation::{AllocateError, AllocationRequest, AllocatorClient, GameServerSelector};
use agones_sdk::fleet::{
    BufferPolicy, BufferSize, Census, Fleet, FleetConfig, FleetError, ServerReport, Template,
};
use agones_sdk::proto::sdk::game_server::status::CounterStatus;
use agones_sdk::sidecar::HealthPolicy;
use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

const SOON: Duration = Duration::from_secs(20);

fn config(folder: &TempDir, buffer: u32, max: u32, flags: &[&str]) -> FleetConfig {
    let mut command = vec![env!("CARGO_BIN_EXE_fake-server").to_owned(), "--port".into(), "{port}".into()];
    command.extend(flags.iter().map(|&flag| flag.to_owned()));
    FleetConfig {
        autoscaler: BufferPolicy { buffer: BufferSize::Count(buffer), min: 0, max }.into(),
        grace: Duration::from_secs(5),
        ..FleetConfig::new("arena", command, folder.path())
    }
}

async fn until(fleet: &Fleet, what: &str, mut condition: impl FnMut(&Census) -> bool) {
    let give_up = Instant::now() + SOON;
    while !condition(&fleet.census()) {
        assert!(Instant::now() < give_up, "no {what}: {:?}", fleet.census());
        sleep(Duration::from_millis(10)).await;
    }
}

fn allocator(fleet: &Fleet) -> AllocatorClient {
    AllocatorClient::new(&format!("http://{}", fleet.grpc_addr()), SOON).unwrap()
}

fn for_match(text: &str) -> AllocationRequest {
    AllocationRequest::from_fleet("arena", [("tickwright.dev/match".into(), text.into())].into())
}

fn pids(servers: &[ServerReport]) -> BTreeSet<u32> {
    servers.iter().filter_map(|server| server.pid).collect()
}

/// Whether the process is running (a zombie that nobody has reaped yet is not).
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which is in parentheses.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), signal).unwrap();
}

async fn page(fleet: &Fleet, path: &str) -> Value {
    let url = format!("http://{}{path}", fleet.http_addr());
    reqwest::get(url).await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_callers_share_eight_servers_and_none_twice() {
    let folder = TempDir::new().unwrap();
    let fleet = Fleet::start(config(&folder, 8, 8, &[])).await.unwrap();
    until(&fleet, "8 ready servers", |census| census.ready == 8).await;
    let client = allocator(&fleet);
    let calls = (0..64).map(|n| {
        let client = client.clone();
        tokio::spawn(async move { client.allocate(for_match(&n.to_string())).await })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let names: Vec<_> = answers.iter().flatten().map(|answer| &answer.game_server_name).collect();
    assert_eq!((names.len(), names.iter().collect::<BTreeSet<_>>().len()), (8, 8));
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(AllocateError::Exhausted))));
    assert_eq!(fleet.census(), Census { desired: 8, allocated: 8, ..Census::default() });
    // What each caller was told is what its server knows.
    for answer in answers.iter().flatten() {
        let server =
            fleet.servers().into_iter().find(|server| server.name == answer.game_server_name).unwrap();
        let patched = &answer.metadata.as_ref().unwrap().annotations["tickwright.dev/match"];
        assert_eq!(server.annotations.get("tickwright.dev/match"), Some(patched));
        assert_eq!(answer.endpoint(), server.port.map(|port| format!("127.0.0.1:{port}")));
    }
    fleet.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_servers_are_replaced_and_a_drain_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let fleet = Fleet::start(config(&folder, 4, 8, &[])).await.unwrap();
    until(&fleet, "4 ready servers", |census| census.ready == 4).await;
    allocator(&fleet).allocate(for_match("m")).await.unwrap();
    until(&fleet, "the buffer again", |census| census.ready == 4 && census.allocated == 1).await;
    let first = pids(&fleet.servers());
    first.iter().for_each(|&pid| kill(pid, Signal::KILL));
    until(&fleet, "full strength", |census| census.ready == 4 && census.crashes == 5).await;
    let second = pids(&fleet.servers());
    assert!(second.len() == 4 && first.is_disjoint(&second));
    let (grpc, http) = (fleet.grpc_addr(), fleet.http_addr());
    // A peer with half a request must not hold up the end.
    let mut rude = tokio::net::TcpStream::connect(http).await.unwrap();
    rude.write_all(b"GET /heal").await.unwrap();
    timeout(SOON, fleet.drain()).await.expect("drained");
    assert!(first.union(&second).all(|&pid| !is_alive(pid)));
    for address in [grpc, http] {
        std::net::TcpListener::bind(address).expect("port is free again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_unhealthy_and_replaced() {
    let folder = TempDir::new().unwrap();
    let period = Duration::from_millis(200);
    let health = HealthPolicy { disabled: false, period, failure_threshold: 2, initial_delay: period };
    let silent = ["--health-ms", "20", "--silent-after-ms", "50"];
    let fleet = Fleet::start(FleetConfig { health, ..config(&folder, 1, 1, &silent) }).await.unwrap();
    until(&fleet, "a ready server", |census| census.ready == 1).await;
    let first = fleet.servers()[0].clone();
    until(&fleet, "another one", |census| census.crashes > 0 && census.ready == 1).await;
    assert_ne!(fleet.servers()[0].name, first.name);
    assert!(!is_alive(first.pid.unwrap()));
    fleet.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_ends_in_a_final_word_and_a_fresh_server() {
    let folder = TempDir::new().unwrap();
    let fleet = Fleet::start(config(&folder, 1, 2, &["--match-ms", "50"])).await.unwrap();
    until(&fleet, "a ready server", |census| census.ready == 1).await;
    let answer = allocator(&fleet).allocate(for_match("m-1")).await.unwrap();
    let give_up = Instant::now() + SOON;
    let finals = loop {
        let finals = page(&fleet, "/finals.json").await;
        if finals.as_array().is_some_and(|finals| !finals.is_empty()) {
            break finals;
        }
        assert!(Instant::now() < give_up, "no final word");
        sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(finals[0]["final"]["match"], "m-1");
    assert_eq!(finals[0]["server"], answer.game_server_name.as_str());
    until(&fleet, "a fresh server", |census| *census == Census { desired: 1, ready: 1, ..Census::default() })
        .await;
    let servers = page(&fleet, "/gameservers.json").await;
    let server = &servers[0];
    assert_ne!(server["name"], answer.game_server_name.as_str());
    assert_eq!((&server["state"], &server["restarts"]), (&"Ready".into(), &0.into()));
    assert_eq!(server["annotations"]["agones.dev/sdk-port"], server["port"].to_string());
    assert_eq!(server["ready"]["udp"], format!("127.0.0.1:{}", server["port"]));
    assert_eq!(page(&fleet, "/healthz").await["ready"], 1);
    let log = format!("{}.stdout.log", server["log"].as_str().unwrap());
    assert!(std::fs::read_to_string(log).unwrap().contains("\"ready\":true"));
    fleet.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_start_is_tried_again_ever_more_slowly() {
    let folder = TempDir::new().unwrap();
    let fleet = Fleet::start(config(&folder, 1, 1, &["--fail"])).await.unwrap();
    // 100 + 200 + 400 ms of back-off lie before the fourth failure.
    let start = Instant::now();
    until(&fleet, "4 failures", |census| census.crashes >= 4).await;
    assert!(start.elapsed() >= Duration::from_millis(600));
    let servers = fleet.servers();
    assert!(servers.len() == 1 && servers[0].restarts >= 3, "{servers:?}");
    assert!(matches!(allocator(&fleet).allocate(for_match("m")).await, Err(AllocateError::Exhausted)));
    timeout(SOON, fleet.drain()).await.expect("drained in the middle of a back-off");
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_narrow_the_choice() {
    let folder = TempDir::new().unwrap();
    let labels = vec![("tier".to_owned(), "gold".to_owned())];
    let mut config = config(&folder, 1, 1, &[]);
    config.template.labels = labels;
    let fleet = Fleet::start(config).await.unwrap();
    until(&fleet, "a ready server", |census| census.ready == 1).await;
    let client = allocator(&fleet);
    let tier = |value: &str| GameServerSelector {
        match_labels: [("tier".to_owned(), value.to_owned())].into(),
        ..Default::default()
    };
    let request = |selectors| AllocationRequest { game_server_selectors: selectors, ..Default::default() };
    assert!(matches!(client.allocate(request(vec![tier("iron")])).await, Err(AllocateError::Exhausted)));
    let answer = client.allocate(request(vec![tier("iron"), tier("gold")])).await.unwrap();
    assert_eq!((answer.source.as_str(), answer.address.as_str()), ("local", "127.0.0.1"));
    fleet.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_taken_by_rest_as_by_grpc() {
    let folder = TempDir::new().unwrap();
    let mut config = config(&folder, 1, 1, &[]);
    config.template.counters.insert("rooms".into(), CounterStatus { count: 0, capacity: 2 });
    let fleet = Fleet::start(config).await.unwrap();
    until(&fleet, "a ready server", |census| census.ready == 1).await;
    let url = format!("http://{}/gameserverallocation", fleet.http_addr());
    let ask = async |body: Value| {
        let answer = reqwest::Client::new().post(&url).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let request = serde_json::json!({
        "gameServerSelectors": [{ "matchLabels": { "agones.dev/fleet": "arena" } }],
        "counters": { "rooms": { "action": "Increment", "amount": "1" } },
        "metadata": { "annotations": { "map": "x" } },
    });
    let (status, answer) = ask(request.clone()).await;
    let server = &fleet.servers()[0];
    assert_eq!((status, &answer["gameServerName"]), (200, &server.name.as_str().into()));
    assert_eq!(answer["ports"], serde_json::json!([{ "name": "default", "port": server.port }]));
    assert_eq!(answer["counters"], serde_json::json!({ "rooms": { "count": "1", "capacity": "2" } }));
    assert_eq!(answer["metadata"]["annotations"]["map"], "x");
    let exhausted = "there is no available GameServer to allocate";
    let expected = serde_json::json!({ "code": 8, "message": exhausted, "details": [] });
    assert_eq!(ask(request).await, (429, expected));
    let (status, answer) = ask(serde_json::json!({ "scheduling": "Sideways" })).await;
    assert_eq!((status, &answer["code"]), (400, &3.into()));
    fleet.drain().await;
}

#[tokio::test]
async fn a_fleet_that_cannot_be_is_refused_at_once() {
    let folder = TempDir::new().unwrap();
    let good = config(&folder, 1, 1, &[]);
    let refused = async |config: FleetConfig| Fleet::start(config).await.expect_err("refused");
    let missing = FleetConfig { template: Template::new(vec!["/no/such/program".into()]), ..good.clone() };
    assert!(matches!(refused(missing).await, FleetError::NoProgram(_)));
    assert!(matches!(
        refused(FleetConfig { template: Template::default(), ..good.clone() }).await,
        FleetError::NoCommand
    ));
    assert!(matches!(refused(FleetConfig { name: "No".into(), ..good.clone() }).await, FleetError::Name(_)));
    let unwritable = FleetConfig { state_dir: Path::new("/proc/nowhere").into(), ..good.clone() };
    assert!(matches!(refused(unwritable).await, FleetError::StateDir { .. }));
    let autoscaler = BufferPolicy { buffer: BufferSize::Count(0), min: 0, max: 1 }.into();
    assert!(matches!(refused(FleetConfig { autoscaler, ..good.clone() }).await, FleetError::Policy(_)));
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let listen = taken.local_addr().unwrap();
    assert!(matches!(refused(FleetConfig { listen, ..good }).await, FleetError::Listen { .. }));
}
