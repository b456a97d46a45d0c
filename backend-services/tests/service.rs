//! The real process over its real ports: the journey of a player, races, bad input. The allocator is
//! a double that speaks Agones' gRPC; everything else is the real thing.

mod support;

use std::collections::HashSet;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_proto::MatchesClient;
use backend_services::api::{Board, MatchAddress, Me, Session, Ticket};
use data_encoding::BASE64;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::allocator::FakeAllocator;
use support::engines::Servers;
use support::journey::{Rpc, channel, queue_all, refresh, register_many, result_of, sheets};
use support::process::{Backend, KEY_HEX, SERVICE_TOKEN};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn from_registration_to_the_board() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let backend = Backend::start_all(state.path(), &allocator, &[]);
    let start = Instant::now();
    let players = register_many(&backend, 32).await;
    let queued = Instant::now();
    let seated = queue_all(&backend, &players).await;
    assert!(
        queued.elapsed() < Duration::from_secs(5),
        "32 newcomers are matched at once: {:?}",
        queued.elapsed()
    );
    println!("32 registered in {:?}, matched in {:?}", queued - start, queued.elapsed());

    let matches: HashSet<&str> = seated.iter().map(|place| place.match_id.as_str()).collect();
    assert_eq!(matches.len(), 4);
    let asked = allocator.asked();
    assert_eq!(asked.len(), 4);
    for (session, place) in players.iter().zip(&seated) {
        let token = BASE64.decode(place.connect_token.as_bytes()).expect("base64");
        assert_eq!(token.len(), 2048);
        assert!((50..=60).contains(&place.expires_in_s));
        let sheet = sheets(&allocator).into_iter().find(|sheet| sheet["match_id"] == place.match_id.as_str());
        let sheet = sheet.expect("the server was told of the match");
        let id: u64 = session.player_id.parse().expect("a number");
        assert!(sheet["players"].as_array().expect("a list").iter().any(|player| player["player"] == id));
        assert_eq!((&sheet["mode"], &sheet["seconds"]), (&json!("arena"), &json!(60)));
    }

    // A player who lost the way gets a fresh token for the same match.
    let again: MatchAddress =
        backend.get("/v1/matchmaking/match", &players[0].access_token).await.expect(StatusCode::OK);
    assert_eq!(again.match_id, seated[0].match_id);
    assert_ne!(again.connect_token, seated[0].connect_token);

    // A result is counted once, however often it is sent, and the players may queue again.
    let sheet = sheets(&allocator).remove(0);
    let result = result_of(&sheet);
    let mut rpc = Rpc::connect(&backend).await;
    assert_eq!(rpc.submit(&result).await, (true, false));
    assert_eq!(rpc.submit(&result).await, (true, true));
    let board: Board = backend.get("/v1/leaderboards/arena-score?limit=100", "").await.expect(StatusCode::OK);
    assert_eq!(
        board.entries.iter().map(|entry| entry.score).collect::<Vec<_>>(),
        [800, 700, 600, 500, 400, 300, 200, 100]
    );
    let winner = players.iter().find(|p| p.player_id == board.entries[0].player_id).expect("one of ours");
    let me: Me = backend.get("/v1/me", &winner.access_token).await.expect(StatusCode::OK);
    assert!(me.rating.mu > 30.0 && me.rating.matches == 1, "{me:?}");
    let around: Board = backend
        .get("/v1/leaderboards/arena-rating/around-me?radius=1", &winner.access_token)
        .await
        .expect(StatusCode::OK);
    assert_eq!(around.entries.len(), 2);
    assert_eq!(around.entries[0].player_id, winner.player_id);
    let ticket = enqueue(&backend, &winner.access_token, StatusCode::CREATED).await;
    assert_ne!(ticket.reason.as_deref(), Some("your running match has not ended yet"));
    let stranger = backend.player("Eve").await;
    backend
        .get("/v1/leaderboards/arena-score/around-me", &stranger.access_token)
        .await
        .expect_problem(404, "not_ranked");
    backend
        .get(&format!("/v1/matchmaking/tickets/{}", ticket.ticket_id), &stranger.access_token)
        .await
        .expect_problem(404, "ticket_not_found");
    assert!(backend.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn races_have_one_winner() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let backend = Backend::start_all(state.path(), &allocator, &[]);
    let backend = Arc::new(backend);
    let secret = support::secret();
    let mut racers = JoinSet::new();
    for _ in 0..64 {
        let (backend, secret) = (backend.clone(), secret.clone());
        racers.spawn(async move { backend.register(&secret, "Ada").await.status.as_u16() });
    }
    let statuses = racers.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");

    // 64 refreshes of one token: all get the same successor, and the session lives.
    let session = backend.player("Bob").await;
    let mut racers = JoinSet::new();
    for _ in 0..64 {
        let (backend, token) = (backend.clone(), session.refresh_token.clone());
        racers.spawn(async move {
            refresh(&backend, &token).await.expect::<Session>(StatusCode::OK).refresh_token
        });
    }
    let successors: HashSet<String> = racers.join_all().await.into_iter().collect();
    assert_eq!(successors.len(), 1);
    let successor = successors.into_iter().next().expect("one");
    let next: Session = refresh(&backend, &successor).await.expect(StatusCode::OK);
    assert_eq!(next.player_id, session.player_id);

    // The first token again, after its successor was used: theft. Nobody keeps the session.
    refresh(&backend, &session.refresh_token).await.expect_problem(401, "refresh_token_reused");
    refresh(&backend, &next.refresh_token).await.expect_problem(401, "invalid_refresh_token");

    // 32 wishes to queue: one ticket.
    let player = backend.player("Cleo").await;
    let mut racers = JoinSet::new();
    for _ in 0..32 {
        let (backend, token) = (backend.clone(), player.access_token.clone());
        racers.spawn(async move {
            let answer =
                backend.post("/v1/matchmaking/tickets", Some(&token), json!({ "mode": "arena" })).await;
            (answer.status.as_u16(), answer.expect::<Ticket>(answer.status).ticket_id)
        });
    }
    let answers = racers.join_all().await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 1);
    assert_eq!(answers.iter().map(|(_, id)| id).collect::<HashSet<_>>().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failed_allocation_costs_time_but_no_ticket() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let backend = Backend::start_all(state.path(), &allocator, &["--match-size", "2"]);
    allocator.refuse(3);
    let players = register_many(&backend, 2).await;
    let start = Instant::now();
    let seated = queue_all(&backend, &players).await;
    assert_eq!(seated[0].match_id, seated[1].match_id);
    assert!(start.elapsed() >= Duration::from_millis(150), "three refusals were waited out");
    let metrics = backend.get("/metrics", "").await.body;
    assert!(metrics.contains("matches_not_started_total 3"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dead_server_frees_its_players() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let backend = Backend::start_all(state.path(), &allocator, &["--match-size", "2"]);
    let players = register_many(&backend, 4).await;
    queue_all(&backend, &players).await;
    // Queued again too early, a ticket waits for the end of the match; then it plays.
    let early = enqueue(&backend, &players[0].access_token, StatusCode::CREATED).await;
    assert_eq!(early.reason.as_deref(), Some("your running match has not ended yet"));
    for asked in allocator.asked() {
        allocator.kill(&asked.server);
    }
    let start = Instant::now();
    let seated = queue_all(&backend, &players).await;
    println!("free and matched again {:?} after their servers died", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    // Its result was only late: it counts, once, and frees nobody from another match.
    let mut rpc = Rpc::connect(&backend).await;
    let result = result_of(&sheets(&allocator)[0]);
    assert_eq!(rpc.submit(&result).await, (true, false));
    assert_eq!(rpc.submit(&result).await, (true, true));

    // A server that gives its match up says so, and has no result to hand in after that.
    assert!(rpc.lost(&seated[0].match_id).await);
    assert!(!rpc.lost(&seated[0].match_id).await);
    let given_up = sheets(&allocator).into_iter().find(|sheet| sheet["match_id"] == *seated[0].match_id);
    assert_eq!(rpc.submit(&result_of(&given_up.expect("a sheet"))).await, (false, false));
}

#[tokio::test]
async fn bad_input_is_a_problem_and_never_a_crash() {
    let state = tempfile::tempdir().expect("a folder");
    let backend = Backend::start(state.path(), &["--role", "accounts"]);
    let register = "/v1/auth/guest/register";
    let url = format!("{}{register}", backend.http);
    let send = async |kind: &str, body: Vec<u8>| {
        let response = backend
            .client
            .post(&url)
            .header("content-type", kind)
            .body(body)
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let status = response.status();
        support::process::Answer { status, body: response.text().await.expect("a body") }
    };
    let json = "application/json";
    send("text/plain", b"{}".to_vec()).await.expect_problem(415, "not_json");
    send(json, b"{".to_vec()).await.expect_problem(400, "malformed_json");
    send(json, b"\xff\xfe".to_vec()).await.expect_problem(400, "malformed_json");
    send(json, b"[".repeat(10_000)).await.expect_problem(400, "malformed_json");
    send(json, b"{}".to_vec()).await.expect_problem(422, "invalid_body");
    let list = format!(r#"["{}","Ada"]"#, support::secret());
    send(json, list.into_bytes()).await.expect_problem(422, "invalid_body");
    send(json, b"[1]".to_vec()).await.expect_problem(422, "invalid_body");
    send(json, vec![b' '; 70_000]).await.expect_problem(413, "payload_too_large");
    let post = async |body: Value| backend.post(register, None, body).await;
    post(json!({ "device_secret": 7, "display_name": "Ada" })).await.expect_problem(422, "invalid_body");
    post(json!({ "device_secret": support::secret(), "display_name": "Ada", "admin": true }))
        .await
        .expect_problem(422, "invalid_body");
    post(json!({ "device_secret": "short", "display_name": "Ada" }))
        .await
        .expect_problem(422, "weak_device_secret");
    post(json!({ "device_secret": support::secret(), "display_name": "\u{7}" }))
        .await
        .expect_problem(422, "invalid_display_name");
    let ask =
        async |method: Method, path: &str, token: Option<&str>| backend.ask(method, path, token, None).await;
    ask(Method::GET, "/v1/nothing", None).await.expect_problem(404, "not_found");
    ask(Method::GET, "/v1/leaderboards/arena-score", None).await.expect_problem(404, "not_found");
    ask(Method::PUT, "/v1/me", None).await.expect_problem(405, "method_not_allowed");
    ask(Method::GET, "/v1/me", None).await.expect_problem(401, "token_required");
    ask(Method::GET, "/v1/me", Some("x.y.z")).await.expect_problem(401, "invalid_token");
    refresh(&backend, "unknown").await.expect_problem(401, "invalid_refresh_token");
    let body = json!({ "device_secret": support::secret() });
    backend.post("/v1/auth/guest/login", None, body).await.expect_problem(401, "unknown_secret");
    assert_eq!(ask(Method::GET, "/healthz", None).await.body, "ok\n");
    assert!(backend.end().success(), "the end of standard input ends it well");
}

/// Nothing secret in the logs, even at debug: no device secret, no token of any kind, no key.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn logs_hold_no_secrets() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let (log, size) = (state.path().join("log"), ["--match-size".to_owned(), "1".to_owned()]);
    let flags = [Backend::flags(state.path(), &allocator), size.to_vec()].concat();
    let backend = Backend::spawn_logged(&flags.iter().map(String::as_str).collect::<Vec<_>>(), &log);
    let secret = support::secret();
    let first: Session = backend.register(&secret, "Ada").await.expect(StatusCode::CREATED);
    let second: Session = refresh(&backend, &first.refresh_token).await.expect(StatusCode::OK);
    refresh(&backend, &second.refresh_token).await.expect::<Session>(StatusCode::OK);
    refresh(&backend, &first.refresh_token).await.expect_problem(401, "refresh_token_reused");
    let seated = queue_all(&backend, std::slice::from_ref(&second)).await;
    assert_eq!(Rpc::connect(&backend).await.submit(&result_of(&sheets(&allocator)[0])).await, (true, false));
    assert!(backend.terminate().success());
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(log.contains("match started") && log.contains("match result counted"), "{log}");
    let hidden =
        [&secret, &first.access_token, &first.refresh_token, &second.access_token, &second.refresh_token];
    for hidden in hidden.into_iter().chain([&seated[0].connect_token]).map(String::as_str) {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
    assert!(!log.contains(SERVICE_TOKEN) && !log.contains(KEY_HEX));
}

#[tokio::test]
async fn an_aggressive_address_is_told_to_wait() {
    let state = tempfile::tempdir().expect("a folder");
    let backend =
        Backend::start(state.path(), &["--role", "accounts", "--auth-burst", "3", "--auth-rate", "1"]);
    for _ in 0..3 {
        backend.player("Ada").await;
    }
    let url = format!("{}/v1/auth/guest/login", backend.http);
    let response =
        backend.client.post(url).json(&json!({ "device_secret": "x" })).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "1");
}

#[tokio::test]
async fn the_service_token_is_needed_and_strangers_are_refused() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let backend = Backend::start_all(state.path(), &allocator, &["--match-size", "2"]);
    let players = register_many(&backend, 2).await;
    queue_all(&backend, &players).await;
    let mut result = result_of(&sheets(&allocator)[0]);
    let mut bare = MatchesClient::new(channel(&backend).await);
    let refused = bare.submit_result(result.clone()).await.expect_err("no token");
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    let mut rpc = Rpc::connect(&backend).await;
    result.players[0].player_id = 42;
    assert_eq!(rpc.try_submit(&result).await.expect_err("a stranger").code(), tonic::Code::InvalidArgument);
    result.players.clear();
    assert_eq!(rpc.try_submit(&result).await.expect_err("nobody").code(), tonic::Code::InvalidArgument);
}

/// A process a role, all on one Postgres and one Redis: what one signs the others accept, what one counts the
/// others show.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn roles_share_postgres_and_redis() {
    let (servers, allocator) = (Servers::start(), FakeAllocator::start().await);
    let (database, redis) = (servers.database_url(), servers.redis_url());
    let stores = ["--database-url", &database, "--redis-url", &redis];
    let role = |name: &'static str| Backend::spawn(&[&stores[..], &["--role", name]].concat());
    let (accounts, boards) = (role("accounts"), role("leaderboards"));
    let state = tempfile::tempdir().expect("a folder");
    let flags = [&stores[..], &["--role", "matchmaking", "--match-size", "4"]].concat();
    let matchmaking = Backend::start_all(state.path(), &allocator, &flags);

    let players = register_many(&accounts, 4).await;
    let seated = queue_all(&matchmaking, &players).await;
    assert!(seated.iter().all(|place| place.match_id == seated[0].match_id));
    assert_eq!(
        Rpc::connect(&matchmaking).await.submit(&result_of(&sheets(&allocator)[0])).await,
        (true, false)
    );
    let start = Instant::now();
    loop {
        let board: Board = boards.get("/v1/leaderboards/arena-rating", "").await.expect(StatusCode::OK);
        if board.entries.len() == 4 {
            assert!(board.entries.is_sorted_by_key(|entry| -entry.score));
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "the mirror was not told: {board:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    accounts.get("/v1/leaderboards/arena-rating", "").await.expect_problem(404, "not_found");
    assert_eq!(boards.get("/readyz", "").await.status, StatusCode::OK);

    drop(servers);
    let lost = boards.get("/v1/leaderboards/arena-rating", "").await;
    assert_eq!(lost.status, StatusCode::SERVICE_UNAVAILABLE, "{}", lost.body);
    assert!(lost.body.contains("urn:tickwright:problem:store_"), "{}", lost.body);
}

#[test]
fn what_is_in_the_way_is_said_in_one_line() {
    let state = tempfile::tempdir().expect("a folder");
    let folder = state.path().to_str().expect("a UTF-8 path");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").to_string();
    let file = state.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let inside = file.join("state");
    let inside = inside.to_str().expect("a UTF-8 path");
    for (flags, expected) in [
        (vec!["--role", "accounts", "--state", folder, "--listen", &port], "cannot listen on"),
        (vec!["--role", "accounts", "--state", folder, "--boards", "/dev/null"], "--boards /dev/null"),
        (vec!["--role", "accounts", "--state", inside], "cannot use the state folder"),
        (vec!["--bogus"], "--bogus"),
        (vec!["--state", folder], "--server-key-hex"),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_backend-services")).args(&flags).output().expect("runs");
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success(), "{flags:?}");
        assert!(said.contains(expected) && said.trim().lines().count() == 1, "{flags:?}: {said}");
    }
    let backend = Backend::start(state.path(), &["--role", "accounts"]);
    let second = Command::new(env!("CARGO_BIN_EXE_backend-services"))
        .args(["--role", "accounts", "--state", folder])
        .output()
        .expect("runs");
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another backend"));
    drop(backend);
}

async fn enqueue(backend: &Backend, token: &str, status: StatusCode) -> Ticket {
    backend.post("/v1/matchmaking/tickets", Some(token), json!({ "mode": "arena" })).await.expect(status)
}
