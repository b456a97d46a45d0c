//! Running matches that lose players get others: asked for over gRPC by a game server, on both engines, with real
//! processes. The newcomers are told the address after the server has read of them.

mod support;

use std::time::{Duration, Instant};

use backend_proto::{PlayerResult, RequestBackfillReply, RequestBackfillRequest};
use backend_services::api::{Session, Ticket, TicketStatus};
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::allocator::FakeAllocator;
use support::engines::Servers;
use support::journey::{Rpc, queue_all, register_many, result_of, sheets};
use support::process::Backend;

const TICKETS: &str = "/v1/matchmaking/tickets";

fn rules(folder: &tempfile::TempDir) -> String {
    let file = folder.path().join("rules.json");
    let mode =
        json!({ "mode": "arena", "teams": 2, "team_size": 1, "skill_gap": 10, "backfill_left_s": 5.0 });
    std::fs::write(&file, json!({ "modes": [mode] }).to_string()).expect("a file");
    file.to_str().expect("UTF-8").to_owned()
}

async fn queue(backend: &Backend, player: &Session) -> String {
    let answer = backend.post(TICKETS, Some(&player.access_token), json!({ "mode": "arena" })).await;
    answer.expect::<Ticket>(StatusCode::CREATED).ticket_id
}

async fn poll(backend: &Backend, player: &Session, id: &str, wait_ms: u32) -> Ticket {
    let path = format!("{TICKETS}/{id}?wait_ms={wait_ms}");
    backend.get(&path, &player.access_token).await.expect(StatusCode::OK)
}

fn ids(sheet: &Value) -> Vec<u64> {
    let players = sheet["players"].as_array().expect("a list");
    players.iter().map(|player| player["player"].as_u64().expect("a number")).collect()
}

/// The game server's question about its match: `gone` have left, `seated` it knows.
fn wish(sheet: &Value, gone: &[u64], seated: &[u64], wait_ms: u32) -> RequestBackfillRequest {
    RequestBackfillRequest {
        match_id: sheet["match_id"].as_str().expect("text").to_owned(),
        terms: sheet["backfill"].to_string(),
        gone: gone.to_vec(),
        seated: seated.to_vec(),
        wait_ms,
    }
}

/// Asks until somebody new holds a seat; who.
async fn newcomer(rpc: &mut Rpc, sheet: &Value, gone: &[u64], seated: &[u64]) -> u64 {
    let begun = Instant::now();
    loop {
        let told = rpc.backfill(wish(sheet, gone, seated, 2000)).await;
        assert!(told.running && told.fills, "{told:?}");
        if let Some(new) = told.seats.iter().find(|seat| !seated.contains(&seat.player_id)) {
            assert!(!gone.contains(&new.player_id), "who left does not come back");
            return new.player_id;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody came: {told:?}");
    }
}

fn seats(told: &RequestBackfillReply) -> Vec<u64> {
    told.seats.iter().map(|seat| seat.player_id).collect()
}

/// The whole way; players talk to `front`, the game server to `back`.
async fn a_seat_changes_hands(front: &Backend, back: &Backend, allocator: &FakeAllocator) {
    let three = register_many(front, 3).await;
    let placed = queue_all(front, &three[..2]).await;
    let sheet = sheets(allocator).pop().expect("a match");
    assert_eq!(sheet["backfill"]["left_s"], 5.0);
    let both = ids(&sheet);
    let (gone, stays) = (both[0], both[1]);
    let third = queue(front, &three[2]).await;
    let mut rpc = Rpc::connect(back).await;

    let full = rpc.backfill(wish(&sheet, &[], &both, 0)).await;
    assert_eq!((full.open, seats(&full)), (0, both.clone()), "nobody has left, nobody is looked for");
    let new = newcomer(&mut rpc, &sheet, &[gone], &[stays]).await;
    let waits = poll(front, &three[2], &third, 0).await;
    assert_eq!(waits.status, TicketStatus::Queued, "the server does not say yet that it lets them in");
    let told = rpc.backfill(wish(&sheet, &[gone], &[stays, new], 2000)).await;
    assert_eq!((told.open, told.seats.len()), (0, 2), "{told:?}");
    let matched = poll(front, &three[2], &third, 10_000).await;
    let place = matched.matched.expect("a place");
    assert_eq!((&place.match_id, &place.server_address), (&placed[0].match_id, &placed[0].server_address));
    assert_eq!((placed[0].filled, place.filled), (false, true), "who comes to a running match is told so");
    // Again changes nothing.
    assert_eq!(rpc.backfill(wish(&sheet, &[gone], &[stays, new], 0)).await, told);
    assert!(!rpc.cancel_backfill(sheet["match_id"].as_str().expect("text")).await);

    // Who left is free, and is not held by the match.
    let left = &three[..2].iter().find(|session| session.player_id == gone.to_string()).expect("one of them");
    front.get("/v1/matchmaking/match", &left.access_token).await.expect_problem(404, "no_running_match");
    let again = queue(front, left).await;
    let reason = poll(front, left, &again, 0).await.reason.unwrap_or_default();
    assert!(!reason.contains("running match"), "{reason}");

    let mut result = result_of(&sheet);
    result.players[0].quit = true;
    result.players.push(PlayerResult {
        player_id: new,
        placement: 3,
        seconds_played: 20.0,
        ..result.players[1].clone()
    });
    assert_eq!(rpc.submit(&result).await, (true, false));
    assert!(!rpc.backfill(wish(&sheet, &[gone], &[stays, new], 0)).await.running, "it is over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_seat_changes_hands_in_one_process() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let rules = rules(&state);
    let backend = Backend::start_all(state.path(), &allocator, &["--rules", &rules]);
    a_seat_changes_hands(&backend, &backend, &allocator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_seat_changes_hands_between_nodes() {
    let (servers, allocator) = (Servers::start(), FakeAllocator::start().await);
    let state = tempfile::tempdir().expect("a folder");
    let (database, redis, rules) = (servers.database_url(), servers.redis_url(), rules(&state));
    let flags = ["--database-url", &database, "--redis-url", &redis, "--rules", &rules];
    let (one, two) = (
        Backend::start_all(state.path(), &allocator, &flags),
        Backend::start_all(state.path(), &allocator, &flags),
    );
    // The first forms the matches; the game server talks to the other.
    a_seat_changes_hands(&one, &two, &allocator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_gone_gets_nobody() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let rules = rules(&state);
    let backend = Backend::start_all(state.path(), &allocator, &["--rules", &rules]);
    let four = register_many(&backend, 4).await;
    queue_all(&backend, &four[..2]).await;
    let sheet = sheets(&allocator).pop().expect("a match");
    let both = ids(&sheet);
    let mut rpc = Rpc::connect(&backend).await;
    // It asks, somebody is found for it, and it is never heard of again: it has not read of the newcomer.
    let third = queue(&backend, &four[2]).await;
    newcomer(&mut rpc, &sheet, &both[..1], &both[1..]).await;
    let fourth = queue(&backend, &four[3]).await;
    let places = [
        poll(&backend, &four[2], &third, 20_000).await.matched.expect("a place").match_id,
        poll(&backend, &four[3], &fourth, 20_000).await.matched.expect("a place").match_id,
    ];
    assert_eq!(places[0], places[1], "both play, in a match of their own");
    assert_ne!(places[0], sheet["match_id"].as_str().expect("text"));

    // It asks, and is given up: whoever queues then is not sent there.
    let other = sheets(&allocator).pop().expect("the new match");
    let both = ids(&other);
    let told = rpc.backfill(wish(&other, &both[..1], &both[1..], 0)).await;
    assert_eq!((told.open, told.seats.len()), (1, 1));
    assert!(rpc.lost(other["match_id"].as_str().expect("text")).await);
    let two = register_many(&backend, 2).await;
    let placed = queue_all(&backend, &two).await;
    assert_eq!(placed[0].match_id, placed[1].match_id);
    assert_ne!(placed[0].match_id, other["match_id"].as_str().expect("text"));
}
