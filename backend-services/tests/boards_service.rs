//! Boards as the real process serves them: what is asked wrongly, scores that servers hand in, a Redis that dies.

mod support;

use backend_proto::BoardsClient;
use backend_proto::boards_v1::{DecideReviewRequest, Fate, ListReviewsRequest, Score, SubmitScoresRequest};
use backend_services::api::{Board, BoardList, Cohort, SeasonList, Session};
use reqwest::{Method, StatusCode};
use serde_json::json;
use support::allocator::FakeAllocator;
use support::engines::Servers;
use support::journey::{channel, signed};
use support::process::Backend;

/// What is wrong with a question to the boards is said with a stable code, and scores come from servers only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boards_refuse_bad_questions_and_bad_scores() {
    let (state, allocator) = (tempfile::tempdir().expect("a folder"), FakeAllocator::start().await);
    let boards = state.path().join("boards.json");
    let rules = json!([
        { "name": "laps", "keep": "best", "order": "ascending", "by_region": true, "review": { "beyond": 1000 } },
        { "name": "cup", "keep": "best", "season": "0 0 * * *", "joined_only": true, "attempts_max": 2 },
        { "name": "past", "keep": "incr", "closes_unix_ms": 1, "joined_only": true },
        { "name": "league", "keep": "incr", "cohorts": true },
    ]);
    std::fs::write(&boards, rules.to_string()).expect("a file");
    let boards = boards.to_str().expect("a UTF-8 path");
    let backend = Backend::start_all(state.path(), &allocator, &["--boards", boards]);
    let (ada, bob) = (backend.player("Ada").await, backend.player("Bob").await);
    let get = async |path: &str| backend.get(&format!("/v1/leaderboards/{path}"), &ada.access_token).await;
    for (path, status, code) in [
        ("none", 404, "board_not_found"),
        ("laps?limit=0", 422, "invalid_limit"),
        ("laps?limit=x", 400, "malformed_query"),
        ("laps?cursor=x", 422, "invalid_cursor"),
        ("laps?region=E", 404, "region_not_found"),
        ("cup?region=eu", 404, "region_not_found"),
        ("laps/around-me?radius=51", 422, "invalid_radius"),
        ("laps/around-me", 404, "not_ranked"),
        ("laps/among?players=", 422, "invalid_players"),
        ("laps/among?players=1,x", 422, "invalid_players"),
        ("laps/among", 400, "malformed_query"),
        ("laps/archive", 400, "malformed_query"),
        ("laps/archive?season=0&limit=101", 422, "invalid_limit"),
        ("laps/cohort", 404, "no_cohorts"),
        ("%ff", 400, "malformed_path"),
    ] {
        get(path).await.expect_problem(status, code);
    }
    let too_many = vec!["1"; 101].join(",");
    get(&format!("laps/among?players={too_many}")).await.expect_problem(422, "invalid_players");
    let join = async |board: &str, token: Option<&str>| {
        backend.ask(Method::POST, &format!("/v1/leaderboards/{board}/join"), token, None).await
    };
    join("cup", None).await.expect_problem(401, "token_required");
    join("laps", Some(&ada.access_token)).await.expect_problem(404, "not_joinable");
    join("past", Some(&ada.access_token)).await.expect_problem(409, "board_closed");
    assert_eq!(join("cup", Some(&ada.access_token)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(join("cup", Some(&ada.access_token)).await.status, StatusCode::NO_CONTENT);

    let mut scores = BoardsClient::new(channel(&backend).await);
    let unsigned = SubmitScoresRequest::default();
    assert_eq!(
        scores.submit_scores(unsigned).await.expect_err("no token").code(),
        tonic::Code::Unauthenticated
    );
    let id = |session: &Session| session.player_id.parse::<u64>().expect("a number");
    let score = |board: &str, player_id, score| Score { board: board.to_owned(), player_id, score };
    let mut submit = async |source: &str, region: &str, list: Vec<Score>| {
        let request =
            SubmitScoresRequest { source_id: source.to_owned(), region: region.to_owned(), scores: list };
        let answer = scores.submit_scores(signed(request)).await.map_err(|status| status.code())?;
        Ok::<_, tonic::Code>(answer.into_inner().fates().collect::<Vec<_>>())
    };
    let source = "01890a5d-ac96-774b-bcce-b302099a8057";
    let (invalid, missing) = (Err(tonic::Code::InvalidArgument), Err(tonic::Code::NotFound));
    assert_eq!(submit("7", "", vec![score("laps", id(&ada), 1)]).await, invalid);
    assert_eq!(submit(source, "", vec![]).await, invalid);
    assert_eq!(submit(source, "EU", vec![score("laps", id(&ada), 1)]).await, invalid);
    assert_eq!(submit(source, "", vec![score("laps", 0, 1)]).await, invalid);
    assert_eq!(submit(source, "", vec![score("laps", id(&ada), (1 << 53) + 1)]).await, invalid);
    assert_eq!(
        submit(source, "", vec![score("laps", id(&ada), 1), score("laps", id(&ada), 2)]).await,
        invalid
    );
    assert_eq!(submit(source, "", vec![score("none", id(&ada), 1)]).await, missing);
    let list = vec![
        score("laps", id(&ada), 61_000),
        score("laps", id(&bob), 999),
        score("cup", id(&ada), 5),
        score("cup", id(&bob), 9),
        score("past", id(&ada), 1),
        score("league", id(&bob), 40),
    ];
    let fates = [Fate::Counted, Fate::Withheld, Fate::Counted, Fate::Refused, Fate::Refused, Fate::Counted];
    assert_eq!(submit(source, "eu", list.clone()).await, Ok(fates.to_vec()));
    let again =
        [Fate::Duplicate, Fate::Withheld, Fate::Duplicate, Fate::Refused, Fate::Refused, Fate::Duplicate];
    assert_eq!(submit(source, "eu", list).await, Ok(again.to_vec()));

    // The withheld lap is listed, counted by its verdict, and then stands first: on this board less is better.
    let reviews =
        scores.list_reviews(signed(ListReviewsRequest::default())).await.expect("an answer").into_inner();
    let review = &reviews.reviews[0];
    assert_eq!((reviews.reviews.len(), review.score, review.player_id), (1, 999, id(&bob)));
    let verdict = DecideReviewRequest {
        source: review.source.clone(),
        board: review.board.clone(),
        player_id: review.player_id,
        count: true,
    };
    assert!(scores.decide_review(signed(verdict.clone())).await.expect("an answer").into_inner().decided);
    assert!(!scores.decide_review(signed(verdict)).await.expect("an answer").into_inner().decided);
    for path in ["laps", "laps?region=eu"] {
        let board: Board = get(path).await.expect(StatusCode::OK);
        let rows: Vec<(&str, i64)> =
            board.entries.iter().map(|entry| (entry.display_name.as_str(), entry.score)).collect();
        assert_eq!(rows, [("Bob", 999), ("Ada", 61_000)], "{path}");
    }
    let first: Board = get("laps?limit=1").await.expect(StatusCode::OK);
    let next = first.next_cursor.expect("there is more");
    let second: Board = get(&format!("laps?limit=1&cursor={next}")).await.expect(StatusCode::OK);
    assert_eq!((second.entries[0].rank, second.entries[0].display_name.as_str()), (2, "Ada"));
    let among: Board = get(&format!("laps/among?players={}", ada.player_id)).await.expect(StatusCode::OK);
    assert_eq!((among.entries.len(), among.entries[0].rank), (1, 2));
    let cohort: Cohort = get("league/cohort").await.expect(StatusCode::OK);
    assert_eq!((cohort.cohort, cohort.members, cohort.board.entries.len()), (0, 1, 0));
    let cohort: Cohort =
        backend.get("/v1/leaderboards/league/cohort", &bob.access_token).await.expect(StatusCode::OK);
    assert_eq!((cohort.members, cohort.board.entries[0].rank, cohort.board.entries[0].score), (2, 1, 40));
    let seasons: SeasonList = get("cup/seasons").await.expect(StatusCode::OK);
    assert!(seasons.seasons.is_empty());
    let list: BoardList = backend.get("/v1/leaderboards", "").await.expect(StatusCode::OK);
    let open: Vec<(&str, bool)> =
        list.boards.iter().map(|board| (board.rule.name.as_str(), board.open)).collect();
    assert_eq!(open, [("laps", true), ("cup", true), ("past", false), ("league", true)]);
}

/// Redis dies while Postgres lives; the boards are still served, from SQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn boards_outlive_redis() {
    let servers = Servers::start();
    let (database, redis) = (servers.database_url(), servers.redis_url());
    let flags = ["--database-url", &database, "--redis-url", &redis, "--role", "leaderboards"];
    let boards = Backend::spawn(&flags);
    let _servers = kill_redis(servers);
    let board: Board = boards.get("/v1/leaderboards/arena-score", "").await.expect(StatusCode::OK);
    assert!(board.entries.is_empty());
    assert!(boards.terminate().success());
}

fn kill_redis(mut servers: Servers) -> Servers {
    servers.redis.kill().expect("Redis dies");
    servers.redis.wait().expect("Redis is dead");
    servers
}
