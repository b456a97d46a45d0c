//! What players have to show for their matches, and how they hear of it: on both engines, and on another node than the
//! one that took the result.

mod support;

use std::time::Duration;

use backend_services::api::{Achievements, MatchOutcome, OutcomeStatus, Progression, Session};
use backend_services::ids::MatchId;
use backend_services::matches::news::News;
use reqwest::StatusCode;
use support::allocator::FakeAllocator;
use support::engines::Servers;
use support::journey::{Rpc, queue_all, register_many, result_of, sheets};
use support::process::{Answer, Backend};
use tokio::sync::watch;

async fn outcome(backend: &Backend, player: &Session, id: &str, wait_ms: u32) -> Answer {
    backend.get(&format!("/v1/matches/{id}/outcome?wait_ms={wait_ms}"), &player.access_token).await
}

async fn outcome_of(backend: &Backend, player: &Session, id: &str, wait_ms: u32) -> MatchOutcome {
    outcome(backend, player, id, wait_ms).await.expect(StatusCode::OK)
}

/// The whole of it, with the result taken by `taker` and everything else asked of `asked`.
async fn a_match_is_told_of(allocator: &FakeAllocator, taker: &Backend, asked: &Backend) {
    let players = register_many(taker, 3).await;
    let seen = sheets(allocator).len();
    let seated = queue_all(taker, &players[..2]).await;
    let (id, sheet) = (&seated[0].match_id, sheets(allocator).remove(seen));
    let result = result_of(&sheet);
    let seat = |place: usize| {
        let player = result.players[place].player_id.to_string();
        players.iter().find(|session| session.player_id == player).expect("one of ours")
    };
    let (winner, loser) = (seat(0), seat(1));

    assert_eq!(outcome_of(asked, winner, id, 0).await.status, OutcomeStatus::Pending);
    outcome(asked, &players[2], id, 0).await.expect_problem(404, "match_not_found");
    outcome(asked, winner, "x", 0).await.expect_problem(404, "match_not_found");
    outcome(asked, winner, id, 30_001).await.expect_problem(422, "invalid_wait");
    asked.get(&format!("/v1/matches/{id}/outcome"), "").await.expect_problem(401, "token_required");

    let mut rpc = Rpc::connect(taker).await;
    let submit = async {
        // The player waits already when the result comes.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(rpc.submit(&result).await, (true, false));
    };
    let (heard, ()) = tokio::join!(outcome_of(asked, winner, id, 20_000), submit);
    assert_eq!(heard.status, OutcomeStatus::Counted);
    let won = heard.result.expect("what it did");
    let rating = won.rating.expect("rated");
    assert!(rating.after.mu > rating.before.mu && rating.after.sigma < rating.before.sigma, "{rating:?}");
    assert_eq!((won.mode.as_str(), won.placement, won.score, rating.after.matches), ("arena", 1, 200, 1));
    // 50 for the match, 60 for its minute, 100 for the win; 25 and 50 for two achievements.
    assert_eq!((won.experience, won.level_before, won.level_after), (285, 1, 2));
    assert_eq!(won.achievements, ["first-match", "untouched"]);
    let ranks: Vec<(&str, u64)> = heard.boards.iter().map(|row| (row.board.as_str(), row.rank)).collect();
    assert_eq!(ranks.len(), 3, "{:?}", heard.boards);
    assert!(heard.boards.iter().any(|row| row.board == "arena-score" && row.score == 200));

    let lost = outcome_of(asked, loser, id, 0).await.result.expect("what it did");
    let rating = lost.rating.expect("rated");
    assert!(rating.after.mu < rating.before.mu && lost.experience == 185, "{lost:?}");

    let progression = async |player: &Session| -> Progression {
        asked.get("/v1/me/progression", &player.access_token).await.expect(StatusCode::OK)
    };
    let mine = progression(winner).await;
    assert_eq!((mine.level, mine.experience, mine.matches), (2, 285, 1));
    assert_eq!((mine.level_begins, mine.next_level_begins), (150, Some(350)));
    let newcomer = progression(&players[2]).await;
    assert_eq!((newcomer.level, newcomer.experience, newcomer.next_level_begins), (1, 0, Some(150)));

    let all: Achievements =
        asked.get("/v1/me/achievements", &winner.access_token).await.expect(StatusCode::OK);
    let hat_trick = all.achievements.iter().find(|row| row.name == "hat-trick").expect("of the arena");
    assert_eq!((hat_trick.value, hat_trick.goal, hat_trick.unlocked_unix_ms), (1, 3, None));
    let of_player = async |id: &str, what: &str| asked.get(&format!("/v1/players/{id}/{what}"), "").await;
    let shown: Achievements = of_player(&winner.player_id, "achievements").await.expect(StatusCode::OK);
    let names: Vec<&str> = shown.achievements.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["first-match", "untouched"], "others see what is reached");
    assert!(shown.achievements.iter().all(|row| row.unlocked_unix_ms.is_some()));
    let shown: Progression = of_player(&winner.player_id, "progression").await.expect(StatusCode::OK);
    assert_eq!(shown, mine);
    of_player("7", "progression").await.expect_problem(404, "player_not_found");
    of_player("x", "achievements").await.expect_problem(404, "player_not_found");

    assert_eq!(rpc.submit(&result).await, (true, true));
    assert_eq!(progression(winner).await, mine, "a result counts once");

    let seated = queue_all(taker, &players[..2]).await;
    sheets(allocator);
    assert!(rpc.lost(&seated[0].match_id).await);
    let void = outcome_of(asked, winner, &seated[0].match_id, 5_000).await;
    assert_eq!((void.status, void.result), (OutcomeStatus::Void, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn players_hear_of_their_match_on_the_embedded_engine() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let backend = Backend::start_all(state.path(), &allocator, &["--match-size", "2"]);
    a_match_is_told_of(&allocator, &backend, &backend).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn players_hear_of_their_match_on_another_node_than_the_one_that_took_it() {
    let (servers, allocator) = (Servers::start(), FakeAllocator::start().await);
    let (database, redis) = (servers.database_url(), servers.redis_url());
    let flags = ["--database-url", &database, "--redis-url", &redis, "--match-size", "2"];
    let state = tempfile::tempdir().expect("a folder");
    let node = || Backend::start_all(state.path(), &allocator, &flags);
    let (taker, asked) = (node(), node());
    a_match_is_told_of(&allocator, &taker, &asked).await;
}

/// The bell rings on the other node; nobody waits for the next look at the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_of_results_cross_nodes() {
    let servers = Servers::start();
    let (one, other) = (News::shared(&servers.redis_url()).await, News::shared(&servers.redis_url()).await);
    let (one, other) = (one.expect("Redis is there"), other.expect("Redis is there"));
    let (stop, draining) = watch::channel(false);
    let following = tokio::spawn(other.clone().follow(draining));
    let (id, mut heard) = (MatchId::random(), other.listen());
    // Until the other node has subscribed, news pass it by: that is what the looks at the store are for.
    let first = async {
        loop {
            one.tell(id).await;
            if let Ok(news) = tokio::time::timeout(Duration::from_millis(50), heard.recv()).await {
                return news.expect("the bell hangs");
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(20), first).await.expect("in time"), id);
    stop.send_replace(true);
    following.await.expect("it ends");
}

#[test]
fn wrong_rules_are_one_clear_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rules.json");
    std::fs::write(&file, r#"{ "achievements": [ { "name": "a" } ] }"#).expect("it is written");
    let state = folder.path().to_str().expect("a UTF-8 path");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_backend-services"))
        .args(["--role", "accounts", "--state", state, "--progression", file.to_str().expect("a UTF-8 path")])
        .output()
        .expect("runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success() && said.contains("--progression"), "{said}");
}
