//! The real process over its real ports: the journey of a player, races, bad input, crashes. The allocator is
//! a double that speaks Agones' gRPC; everything else is the real thing.

mod support;

use std::collections::HashSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backend_proto::boards_v1::{DecideReviewRequest, Fate, ListReviewsRequest, Score, SubmitScoresRequest};
use backend_proto::{BoardsClient, MatchResult, MatchesClient, PlayerResult, ReportLostRequest};
use backend_services::api::{
    Board, BoardList, Cohort, MatchAddress, Me, SeasonList, Session, Ticket, TicketStatus,
};
use data_encoding::BASE64;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::allocator::FakeAllocator;
use support::engines::Servers;
use support::process::{Backend, KEY_HEX, SERVICE_TOKEN};
use tokio::task::JoinSet;
use tonic::Request;
use tonic::transport::Channel;

const MATCH: &str = "tickwright.dev/match";

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
    // tell Redis, the next one tells it some seconds later.
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

async fn register_many(backend: &Backend, count: usize) -> Vec<Session> {
    let mut players = Vec::new();
    for number in 0..count {
        players.push(backend.player(&format!("bot-{number}")).await);
    }
    players
}

async fn refresh(backend: &Backend, token: &str) -> support::process::Answer {
    backend.post("/v1/auth/refresh", None, json!({ "refresh_token": token })).await
}

async fn enqueue(backend: &Backend, token: &str, status: StatusCode) -> Ticket {
    backend.post("/v1/matchmaking/tickets", Some(token), json!({ "mode": "arena" })).await.expect(status)
}

/// Queues everybody and waits until all have their place.
async fn queue_all(backend: &Backend, players: &[Session]) -> Vec<MatchAddress> {
    let mut tickets = Vec::new();
    for player in players {
        let answer = backend
            .post("/v1/matchmaking/tickets", Some(&player.access_token), json!({ "mode": "arena" }))
            .await;
        assert!(answer.status.is_success(), "{}", answer.body);
        tickets.push(answer.expect::<Ticket>(answer.status).ticket_id);
    }
    let mut seated = Vec::new();
    for (player, id) in players.iter().zip(tickets) {
        let path = format!("/v1/matchmaking/tickets/{id}?wait_ms=20000");
        let ticket: Ticket = backend.get(&path, &player.access_token).await.expect(StatusCode::OK);
        assert_eq!(ticket.status, TicketStatus::Matched, "{ticket:?}");
        seated.push(ticket.matched.expect("a place"));
    }
    seated
}

/// What the servers were told, in the order of their allocation.
fn sheets(allocator: &FakeAllocator) -> Vec<Value> {
    let sheet = |asked: support::allocator::Asked| {
        let metadata = asked.request.metadata.expect("metadata");
        serde_json::from_str(&metadata.annotations[MATCH]).expect("a sheet")
    };
    allocator.asked().into_iter().map(sheet).collect()
}

/// A result in which the players finish in the order of their seats.
fn result_of(sheet: &Value) -> MatchResult {
    let players = sheet["players"].as_array().expect("a list");
    let entry = |(place, player): (u32, &Value)| PlayerResult {
        player_id: player["player"].as_u64().expect("a number"),
        score: (i64::try_from(players.len()).expect("few") + 1 - i64::from(place)) * 100,
        placement: place,
        seconds_played: 60.0,
        ..Default::default()
    };
    MatchResult {
        match_id: sheet["match_id"].as_str().expect("text").to_owned(),
        server: "fake".to_owned(),
        players: (1..).zip(players).map(entry).collect(),
        ..Default::default()
    }
}

struct Rpc(MatchesClient<Channel>);

impl Rpc {
    async fn connect(backend: &Backend) -> Self {
        Self(MatchesClient::new(channel(backend).await))
    }

    async fn try_submit(&mut self, result: &MatchResult) -> Result<(bool, bool), tonic::Status> {
        let reply = self.0.submit_result(signed(result.clone())).await?.into_inner();
        Ok((reply.accepted, reply.duplicate))
    }

    async fn submit(&mut self, result: &MatchResult) -> (bool, bool) {
        self.try_submit(result).await.expect("an answer")
    }

    async fn lost(&mut self, match_id: &str) -> bool {
        let report = ReportLostRequest { match_id: match_id.to_owned(), reason: "nobody came".to_owned() };
        self.0.report_lost(signed(report)).await.expect("an answer").into_inner().changed
    }
}

async fn channel(backend: &Backend) -> Channel {
    let url = backend.grpc.clone().expect("gRPC");
    Channel::from_shared(url).expect("a URL").connect().await.expect("connects")
}

fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = format!("Bearer {SERVICE_TOKEN}").parse().expect("ASCII");
    request.metadata_mut().insert(backend_proto::AUTHORIZATION, token);
    request
}
