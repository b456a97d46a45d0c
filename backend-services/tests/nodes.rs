//! Matchmaker nodes that share a queue, and what is left when one is killed: no ticket is lost, nobody is doubled.
//! Real processes, a real Postgres and Redis, `kill -9`.

mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use backend_services::api::{MatchAddress, Session, Ticket, TicketExplanation, TicketStatus};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::allocator::FakeAllocator;
use support::engines::Servers;
use support::journey::register_many;
use support::process::Backend;

const TICKETS: &str = "/v1/matchmaking/tickets";

async fn queue(backend: &Backend, player: &Session, body: Value) -> Ticket {
    backend.post(TICKETS, Some(&player.access_token), body).await.expect(StatusCode::CREATED)
}

async fn poll(backend: &Backend, player: &Session, id: &str, wait_ms: u32) -> Ticket {
    let path = format!("{TICKETS}/{id}?wait_ms={wait_ms}");
    backend.get(&path, &player.access_token).await.expect(StatusCode::OK)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tickets_survive_the_kill_of_the_only_process() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let size = ["--match-size", "4"];
    let backend = Backend::start_all(state.path(), &allocator, &size);
    let four = register_many(&backend, 4).await;
    let mut tickets = Vec::new();
    for player in &four[..3] {
        tickets.push(queue(&backend, player, json!({ "mode": "arena" })).await.ticket_id);
    }
    let waited = poll(&backend, &four[0], &tickets[0], 300).await.waited_ms;
    backend.kill();
    let backend = Backend::start_all(state.path(), &allocator, &size);
    let kept = poll(&backend, &four[0], &tickets[0], 0).await;
    assert!(kept.status == TicketStatus::Queued && kept.waited_ms > waited, "{kept:?}");
    tickets.push(queue(&backend, &four[3], json!({ "mode": "arena" })).await.ticket_id);
    let mut seated = Vec::new();
    for (player, id) in four.iter().zip(&tickets) {
        let ticket = poll(&backend, player, id, 20_000).await;
        seated.push(ticket.matched.expect("a place").match_id);
    }
    assert!(seated.iter().all(|id| *id == seated[0]));
}

/// Whether the node's metrics have this line.
async fn says(backend: &Backend, line: &str) -> bool {
    backend.get("/metrics", "").await.body.lines().any(|told| told == line)
}

/// Waits until each node forms the matches of one of the two modes.
async fn share_out(nodes: [&Backend; 2]) {
    let start = Instant::now();
    while !(says(nodes[0], "matchmaking_leases 1").await && says(nodes[1], "matchmaking_leases 1").await) {
        assert!(start.elapsed() < Duration::from_secs(20), "the nodes do not share the modes");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_killed_amid_commits_loses_and_doubles_nobody() {
    let (servers, allocator) = (Servers::start(), FakeAllocator::start().await);
    let (database, redis) = (servers.database_url(), servers.redis_url());
    let state = tempfile::tempdir().expect("a folder");
    let rules = state.path().join("rules.json");
    let mode = |name: &str| json!({ "mode": name, "teams": 2, "team_size": 1, "skill_gap": 10 });
    let book = json!({ "modes": [mode("arena"), mode("blitz")] });
    std::fs::write(&rules, book.to_string()).expect("a file");
    let rules = rules.to_str().expect("UTF-8").to_owned();
    let flags = ["--database-url", &database, "--redis-url", &redis, "--rules", &rules];
    let start = || Backend::start_all(state.path(), &allocator, &flags);
    let (mut doomed, mut other) = (start(), start());
    allocator.slow(Duration::from_millis(40));
    let mut moved = 0;
    for round in 0..3_u64 {
        share_out([&doomed, &other]).await;
        let sixteen = register_many(&other, 16).await;
        let mut tickets = Vec::new();
        for (number, player) in sixteen.iter().enumerate() {
            let node = if number % 2 == 0 { &doomed } else { &other };
            let mode = if number % 4 < 2 { "arena" } else { "blitz" };
            tickets.push(queue(node, player, json!({ "mode": mode })).await.ticket_id);
        }
        tokio::time::sleep(Duration::from_millis(20 + 30 * round)).await;
        doomed.kill();
        let begun = Instant::now();
        let mut matches: HashMap<String, usize> = HashMap::new();
        for (player, id) in sixteen.iter().zip(&tickets) {
            let ticket = poll(&other, player, id, 20_000).await;
            assert_eq!(ticket.status, TicketStatus::Matched, "round {round}: {ticket:?}");
            let seated = ticket.matched.expect("a place").match_id;
            let live: MatchAddress =
                other.get("/v1/matchmaking/match", &player.access_token).await.expect(StatusCode::OK);
            assert_eq!(live.match_id, seated, "round {round}: the ticket and the store agree");
            *matches.entry(seated).or_default() += 1;
        }
        assert_eq!(matches.len(), 8, "round {round}");
        assert!(matches.values().all(|players| *players == 2), "round {round}: {matches:?}");
        println!("round {round}: all 16 placed {:?} after the kill", begun.elapsed());
        let metrics = other.get("/metrics", "").await.body;
        moved += usize::from(metrics.contains("matchmaking_recovered_total"));
        (doomed, other) = (other, start());
    }
    assert!(moved > 0, "no round killed a node amid a commit: the test says nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nodes_share_the_modes_and_a_new_one_gets_its_part() {
    let (servers, allocator) = (Servers::start(), FakeAllocator::start().await);
    let (database, redis) = (servers.database_url(), servers.redis_url());
    let state = tempfile::tempdir().expect("a folder");
    let rules = state.path().join("rules.json");
    let mode = |name: &str| json!({ "mode": name, "teams": 2, "team_size": 1, "skill_gap": 10 });
    std::fs::write(&rules, json!({ "modes": [mode("arena"), mode("blitz")] }).to_string()).expect("a file");
    let rules = rules.to_str().expect("UTF-8").to_owned();
    let flags = ["--database-url", &database, "--redis-url", &redis, "--rules", &rules];
    let start = || Backend::start_all(state.path(), &allocator, &flags);
    let first = start();
    let begun = Instant::now();
    while !says(&first, "matchmaking_leases 2").await {
        assert!(begun.elapsed() < Duration::from_secs(20), "the first alone has both modes");
    }
    let second = start();
    share_out([&first, &second]).await;
    let four = register_many(&first, 4).await;
    let mut tickets = Vec::new();
    for (player, mode) in four.iter().zip(["arena", "arena", "blitz", "blitz"]) {
        tickets.push(queue(&first, player, json!({ "mode": mode })).await.ticket_id);
    }
    for (player, id) in four.iter().zip(&tickets) {
        assert_eq!(poll(&second, player, id, 20_000).await.status, TicketStatus::Matched);
    }
    for node in [&first, &second] {
        assert!(says(node, "matches_started_total 1").await, "each has started one of the two matches");
    }
    // A node that ends hands its part on.
    assert!(first.terminate().success());
    let begun = Instant::now();
    while !says(&second, "matchmaking_leases 2").await {
        assert!(begun.elapsed() < Duration::from_secs(20), "the part of a node that ended lies idle");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ticket_says_why_it_waits_and_can_be_paused() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let rules = state.path().join("rules.json");
    let book = json!({ "modes": [{
        "mode": "ranked", "teams": 2, "team_size": 2, "skill_gap": 10, "regions": ["eu", "us"], "latency_ms": 80,
        "attributes": [{ "key": "platform", "rule": "equal" }],
        "expansion": [{ "after_s": 600, "latency_ms": 200 }],
    }]});
    std::fs::write(&rules, book.to_string()).expect("a file");
    let file = rules.to_str().expect("UTF-8").to_owned();
    let backend = Backend::start_all(state.path(), &allocator, &["--rules", &file]);
    let four = register_many(&backend, 4).await;
    let body = |eu: u16, us: u16| {
        let latencies = json!({ "eu": eu, "us": us });
        json!({ "mode": "ranked", "latencies": latencies, "attributes": { "platform": "pc" } })
    };
    let token = &four[0].access_token;
    let ask = async |body: Value| backend.post(TICKETS, Some(token), body).await;
    ask(json!({ "mode": "arena" })).await.expect_problem(422, "unknown_mode");
    ask(json!({ "mode": "ranked" })).await.expect_problem(422, "invalid_attribute");
    let mut wrong = body(20, 30);
    wrong["latencies"] = json!({ "mars": 5 });
    ask(wrong).await.expect_problem(422, "unknown_region");
    let mut wrong = body(20, 30);
    wrong["roles"] = json!(["tank"]);
    ask(wrong).await.expect_problem(422, "unknown_role");
    let mut wrong = body(20, 30);
    wrong["avoid"] = json!(["nobody"]);
    ask(wrong).await.expect_problem(422, "invalid_ticket");

    let mut tickets = Vec::new();
    for (player, (eu, us)) in four.iter().zip([(20, 150), (30, 150), (150, 20), (150, 25)]) {
        tickets.push(queue(&backend, player, body(eu, us)).await.ticket_id);
    }
    let path = format!("{TICKETS}/{}/explain", tickets[0]);
    let start = Instant::now();
    let told = loop {
        let told: TicketExplanation = backend.get(&path, token).await.expect(StatusCode::OK);
        if told.waiting == 4 {
            break told;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{told:?}");
    };
    assert_eq!((told.blocker.as_str(), told.within_reach, told.lost_to_latency), ("latency", 2, 2));
    assert!(told.changes.iter().any(|change| change.region.as_deref() == Some("us")), "{told:?}");
    backend.get(&path, &four[1].access_token).await.expect_problem(404, "ticket_not_found");

    let switch = async |verb: &str| {
        let path = format!("{TICKETS}/{}/{verb}", tickets[0]);
        let answer = backend.ask(Method::POST, &path, Some(token), None).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.body);
    };
    switch("deactivate").await;
    let paused = poll(&backend, &four[0], &tickets[0], 100).await;
    assert_eq!(paused.status, TicketStatus::Inactive);
    switch("activate").await;
    // Two come who are near enough, instead of the two who are too far away.
    let (fifth, sixth) = (backend.player("p5").await, backend.player("p6").await);
    let last = queue(&backend, &fifth, body(25, 150)).await.ticket_id;
    queue(&backend, &sixth, body(25, 150)).await;
    let place = poll(&backend, &fifth, &last, 20_000).await.matched.expect("a place");
    let first = poll(&backend, &four[0], &tickets[0], 20_000).await;
    assert_eq!(first.matched.expect("a place").match_id, place.match_id);
    let sheet = allocator.asked().remove(0).request.metadata.expect("metadata");
    let sheet: Value = serde_json::from_str(&sheet.annotations["tickwright.dev/match"]).expect("a sheet");
    let teams: Vec<u64> = sheet["players"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|player| player["team"].as_u64())
        .collect();
    assert_eq!(teams, [0, 0, 1, 1]);
    backend.get(&path, token).await.expect_problem(409, "ticket_over");
}
