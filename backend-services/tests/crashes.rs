//! The backend under `kill -9`: what was acknowledged is there, what was not is there once or not at all.

mod support;

use std::collections::HashSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backend_proto::MatchResult;
use backend_services::api::{Board, Me, Session};
use reqwest::StatusCode;
use serde_json::json;
use support::allocator::FakeAllocator;
use support::engines::Servers;
use support::journey::{Rpc, queue_all, refresh, register_many, result_of, sheets};
use support::process::Backend;
use tokio::task::JoinSet;

/// Whatever was acknowledged before a `kill -9` is there after it: accounts, sessions, results; and a match
/// that was running can still hand in its result.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn acknowledged_writes_survive_kill_dash_nine() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let mut acknowledged: Vec<(String, String)> = Vec::new();
    let mut session: Option<Session> = None;
    let mut counted = 0;
    for round in 0..5_u64 {
        let backend = Arc::new(Backend::start_all(state.path(), &allocator, &["--match-size", "2"]));
        for (secret, id) in &acknowledged {
            let body = json!({ "device_secret": secret });
            let found: Session =
                backend.post("/v1/auth/guest/login", None, body).await.expect(StatusCode::OK);
            assert_eq!(&found.player_id, id);
        }
        if let Some(session) = &mut session {
            *session = refresh(&backend, &session.refresh_token).await.expect(StatusCode::OK);
            backend.get("/v1/me", &session.access_token).await.expect::<Me>(StatusCode::OK);
        } else {
            session = Some(backend.player("Ada").await);
        }
        // The matches of the round before were running when it was killed.
        let mut rpc = Rpc::connect(&backend).await;
        for sheet in sheets(&allocator).iter().skip(counted) {
            assert_eq!(rpc.submit(&result_of(sheet)).await, (true, false), "round {round}");
            counted += 1;
        }
        let board: Board =
            backend.get("/v1/leaderboards/arena-score?limit=100", "").await.expect(StatusCode::OK);
        assert_eq!(board.entries.len(), counted * 2, "round {round}");
        let pair = register_many(&backend, 2).await;
        queue_all(&backend, &pair).await;

        // Killed amid registrations: what was answered with 201 must be there, the rest may or may not.
        let answered = Arc::new(AtomicU64::new(0));
        let mut writers = JoinSet::new();
        for _ in 0..24 {
            let answered = answered.clone();
            let (client, url) = (backend.client.clone(), format!("{}/v1/auth/guest/register", backend.http));
            writers.spawn(async move {
                let secret = support::secret();
                let body = json!({ "device_secret": secret, "display_name": "Bob" });
                let answer = client.post(url).json(&body).send().await.ok()?;
                let created = answer.status() == StatusCode::CREATED;
                answered.fetch_add(1, Ordering::Relaxed);
                let session: Session = answer.json().await.ok()?;
                created.then_some((secret, session.player_id))
            });
        }
        while answered.load(Ordering::Relaxed) < 4 * round + 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let killed = Command::new("kill").args(["-9", &backend.id().to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        acknowledged.extend(writers.join_all().await.into_iter().flatten());
    }
    println!("{} registrations acknowledged over 5 kills, {counted} matches counted", acknowledged.len());
}

/// Results under `kill -9`, on both engines: an acknowledged result is there, one without an answer is there once
/// or not at all, and handing all of them in again makes each count exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn results_count_once_under_kill_dash_nine() {
    let servers = Servers::start();
    let (database, redis) = (servers.database_url(), servers.redis_url());
    let production = ["--database-url", &database, "--redis-url", &redis, "--match-size", "2"];
    for stores in [&["--match-size", "2"][..], &production[..]] {
        results_count_once(stores).await;
    }
}

async fn results_count_once(stores: &[&str]) {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let start = || Backend::start_all(state.path(), &allocator, stores);
    let mut backend = start();
    let players = register_many(&backend, 16).await;
    queue_all(&backend, &players).await;
    let results: Vec<MatchResult> = sheets(&allocator).iter().map(result_of).collect();
    assert_eq!(results.len(), 8);
    let acknowledged = Arc::new(std::sync::Mutex::new(HashSet::new()));
    for round in 0..4_usize {
        let mut senders = JoinSet::new();
        for result in &results {
            let (result, acknowledged) = (result.clone(), acknowledged.clone());
            let mut rpc = Rpc::connect(&backend).await;
            senders.spawn(async move {
                let answer = rpc.try_submit(&result).await;
                let mut acknowledged = acknowledged.lock().expect("no panic");
                if let Ok((accepted, duplicate)) = answer {
                    assert!(accepted, "a running match takes its result");
                    assert!(duplicate || !acknowledged.contains(&result.match_id), "acknowledged and gone");
                    acknowledged.insert(result.match_id);
                }
            });
        }
        // Killed after some answers: 0, 2, 4, then 6 of the eight in this round, the others anywhere in between.
        for _ in 0..2 * round {
            senders.join_next().await.expect("a sender").expect("no panic");
        }
        backend.kill();
        senders.join_all().await;
        backend = start();
    }
    let mut rpc = Rpc::connect(&backend).await;
    for result in &results {
        let (accepted, duplicate) = rpc.submit(result).await;
        let known = acknowledged.lock().expect("no panic").contains(&result.match_id);
        assert!(accepted && (duplicate || !known), "{known}");
    }
    // On the board that adds, a result that counted twice would show. What a process had on disk and did not live to
    // tell Redis, the next one tells it within half a second.
    let mut scores: Vec<i64> = Vec::new();
    for _ in 0..200 {
        let board: Board =
            backend.get("/v1/leaderboards/arena-weekly?limit=100", "").await.expect(StatusCode::OK);
        scores = board.entries.iter().map(|entry| entry.score).collect();
        if scores.len() == 16 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(scores.len(), 16, "ten seconds later");
    scores.dedup();
    assert_eq!(scores, [200, 100], "each winner's 200 and each loser's 100, once");
    for player in &players {
        let me: Me = backend.get("/v1/me", &player.access_token).await.expect(StatusCode::OK);
        assert_eq!(me.rating.matches, 1);
    }
    println!(
        "{} of 8 results were acknowledged before the last start",
        acknowledged.lock().expect("no panic").len()
    );
}
