//! What becomes of results: only the match's own server is believed, ratings follow teams and modes, and the log gives
//! all of it again. On both engines.

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use backend_proto::signature::{REFUSAL_CODE, ResultKey, seal, seal_lost};
use backend_proto::{MatchResult, PlayerResult, ReportLostRequest};
use backend_services::clock::UnixMs;
use backend_services::crypto::SecretHash;
use backend_services::ids::{MatchId, PlayerId};
use backend_services::leaderboards::rules::Boards;
use backend_services::matches::effects::Judge;
use backend_services::matches::{record, rules};
use backend_services::progression::career::advance;
use backend_services::progression::rules::Rules;
use backend_services::store::{Account, Before, Career, Db, Finished, NewAccount, OpenMatch, Reported};
use reqwest::StatusCode;
use serde_json::Value;
use support::allocator::FakeAllocator;
use support::engines::{self, Engine, Servers};
use support::journey::{Rpc, key_of, queue_all, register_many, result_of, sheets};
use support::process::Backend;
use tonic::{Code, Status};

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// A backend on each engine, one after the other; the servers of the second live as long as what is returned.
fn backends(allocator: &FakeAllocator, flags: &[&str]) -> Vec<(Backend, tempfile::TempDir, Option<Servers>)> {
    let folder = || tempfile::tempdir().expect("a folder");
    let (embedded, production, servers) = (folder(), folder(), Servers::start());
    let (database, redis) = (servers.database_url(), servers.redis_url());
    let stores = [flags, &["--database-url", &database, "--redis-url", &redis]].concat();
    let first = Backend::start_all(embedded.path(), allocator, flags);
    let second = Backend::start_all(production.path(), allocator, &stores);
    vec![(first, embedded, None), (second, production, Some(servers))]
}

fn code(refused: &Status) -> (Code, &str) {
    let code = refused.metadata().get(REFUSAL_CODE).map(|code| code.to_str().expect("text"));
    (refused.code(), code.unwrap_or(""))
}

/// The service token alone makes nobody a match's server.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_the_matchs_own_server_is_believed() {
    let allocator = FakeAllocator::start().await;
    for (backend, _state, _servers) in backends(&allocator, &["--match-size", "2"]) {
        let players = register_many(&backend, 4).await;
        let seen = sheets(&allocator).len();
        queue_all(&backend, &players).await;
        let sheets = sheets(&allocator).split_off(seen);
        let [ours, theirs] = [&sheets[0], &sheets[1]].map(result_of);
        let key = key_of(&ours.match_id).expect("a key came with the allocation");
        let other = key_of(&theirs.match_id).expect("a key came with the allocation");
        assert_ne!(key, other);

        let mut rpc = Rpc::connect(&backend).await;
        let unsigned = (Code::PermissionDenied, "result_unsigned");
        let wrong = (Code::InvalidArgument, "result_signature_wrong");
        let mut raised = ours.clone();
        raised.players.iter_mut().for_each(|player| player.score += 1_000_000);
        let sealed = seal(&key, ours.clone());
        let forged = [
            (unsigned, ours.clone()),
            (wrong, seal(&ResultKey::generate(), ours.clone())),
            (wrong, seal(&other, ours.clone())),
            (wrong, MatchResult { signature: sealed.signature.clone(), ..seal(&other, raised.clone()) }),
            // Another match's genuine result, replayed for ours.
            (wrong, MatchResult { match_id: ours.match_id.clone(), ..seal(&other, theirs.clone()) }),
            (unsigned, MatchResult { signature: Vec::new(), ..sealed.clone() }),
        ];
        for (expected, forged) in forged {
            let refused = rpc.try_submit_as_is(forged).await.expect_err("forged");
            assert_eq!(code(&refused), expected);
        }
        let report = ReportLostRequest { match_id: ours.match_id.clone(), ..Default::default() };
        let lost = [(unsigned, report.clone()), (wrong, seal_lost(&other, report.clone()))];
        for (expected, report) in lost {
            assert_eq!(code(&rpc.try_lost_as_is(report).await.expect_err("forged")), expected);
        }
        let metrics = backend.get("/metrics", "").await.body;
        for (why, count) in [("result_unsigned", 3), ("result_signature_wrong", 5)] {
            assert!(
                metrics.contains(&format!("matches_disbelieved_total{{why=\"{why}\"}} {count}")),
                "{metrics}"
            );
        }

        // What lies beside the signed words is not read.
        let lying = MatchResult { players: raised.players.clone(), ..sealed };
        assert_eq!(rpc.try_submit_as_is(lying).await.expect("the server's own"), (true, false));
        let board = backend.get("/v1/leaderboards/arena-score", "").await;
        let board: backend_services::api::Board = board.expect(StatusCode::OK);
        assert!(board.entries.iter().all(|entry| entry.score <= 200), "{board:?}");
        assert_eq!(rpc.submit(&ours).await, (true, true));
        assert_eq!(code(&rpc.try_submit_as_is(ours).await.expect_err("unsigned, though counted")), unsigned);
        assert_eq!(rpc.submit(&theirs).await, (true, false));
    }
}

/// While servers run that know no signatures, an operator may let theirs count; a wrong signature never does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn unsigned_results_count_where_the_operator_lets_them() {
    let allocator = FakeAllocator::start().await;
    let state = tempfile::tempdir().expect("a folder");
    let flags = ["--match-size", "2", "--accept-unsigned-results"];
    let backend = Backend::start_all(state.path(), &allocator, &flags);
    let players = register_many(&backend, 2).await;
    queue_all(&backend, &players).await;
    let result = result_of(&sheets(&allocator)[0]);
    let mut rpc = Rpc::connect(&backend).await;
    let forged = seal(&ResultKey::generate(), result.clone());
    let refused = rpc.try_submit_as_is(forged).await.expect_err("forged");
    assert_eq!(code(&refused), (Code::InvalidArgument, "result_signature_wrong"));
    assert_eq!(rpc.try_submit_as_is(result).await.expect("let in"), (true, false));
}

/// The law: three modes, teams and parties, clocks that disagree, results that come late, and two that race; the log
/// replayed by the operator's commands gives every skill of every mode to the bit, and folded anew every career.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_replayed_gives_every_skill_and_every_career() {
    for engine in engines::all().await {
        println!("engine {}", engine.name);
        let db = &engine.stores.db;
        let players = accounts(db, 6).await;
        let mut random = fastrand::Rng::with_seed(7);
        let mut late: Vec<(MatchId, &str, Vec<PlayerId>)> = Vec::new();
        for round in 0..40_u64 {
            let mode = ["duel", "ctf", "koth"][random.usize(..3)];
            let mut chosen = players.clone();
            random.shuffle(&mut chosen);
            let rest = chosen.split_off(4);
            let (one, two) = (running(db, mode, &chosen).await, running(db, "duel", &rest).await);
            if round % 7 == 3 {
                // Nobody hears of it, its players go on, and its result comes later.
                assert!(db.lose_match(one, NOW).await.expect("loses"));
                late.push((one, mode, chosen.clone()));
            } else {
                let (a, b) = (random.u64(..), random.u64(..));
                tokio::join!(count(db, one, mode, &chosen, a), count(db, two, "duel", &rest, b));
            }
            if round % 7 == 5 {
                let (id, mode, players) = late.remove(0);
                count(db, id, mode, &players, random.u64(..)).await;
            }
            if round % 7 == 3 {
                count(db, two, "duel", &rest, random.u64(..)).await;
            }
        }
        let skills = replayed(&engine);
        assert_eq!(skills.len(), players.len());
        let mut modes = 0;
        for player in &players {
            let skill = &skills[&player.as_u64()];
            let base = db.rating(*player).await.expect("reads").expect("rated");
            assert_eq!(numbers(&skill["base"]), (base.mu, base.sigma));
            assert_eq!(skill["matches"].as_i64(), Some(base.matches));
            for (mode, offset) in skill["offsets"].as_object().expect("modes are kept apart") {
                let row = db.rating_in(*player, mode).await.expect("reads").expect("rated");
                let own = row.offset.expect("the mode's own");
                assert_eq!(numbers(offset), (own.mu, own.sigma), "{mode}");
                modes += 1;
            }
        }
        assert!(modes > 12, "{modes} skills of modes");
        let careers = refolded(db).await;
        assert_eq!(careers.len(), players.len());
        for player in &players {
            assert_eq!(db.career(*player).await.expect("reads"), careers[player]);
        }
        engine.stores.close().await;
    }
}

fn numbers(rating: &Value) -> (f64, f64) {
    (rating["mu"].as_f64().expect("a number"), rating["sigma"].as_f64().expect("a number"))
}

/// What `ratings export` and `ratings replay` make of the store.
fn replayed(engine: &Engine) -> HashMap<u64, Value> {
    let path = |name: &str| engine.folder.path().join(name).to_str().expect("a UTF-8 path").to_owned();
    let (log, out, state) = (path("log"), path("skills"), path(""));
    let url = engine.servers.as_ref().map(Servers::database_url);
    let place = match &url {
        Some(url) => ["--database-url", url.as_str()],
        None => ["--state", state.as_str()],
    };
    ratings(&[&["export", "--out", &log], &place[..]].concat());
    ratings(&["replay", "--log", &log, "--out", &out]);
    let lines = std::fs::read_to_string(Path::new(&out)).expect("it was written");
    let line = |line: &str| {
        let row: Value = serde_json::from_str(line).expect("JSON");
        (row["player"].as_u64().expect("a number"), row["skill"].clone())
    };
    lines.lines().map(line).collect()
}

/// Every career, from the kept results alone.
async fn refolded(db: &Db) -> HashMap<PlayerId, Career> {
    let data = Rules::load(None).expect("the arena's own");
    let mut careers: HashMap<PlayerId, Career> = HashMap::new();
    for counted in db.counted_matches(None, 1000).await.expect("reads") {
        for entry in record::read(&counted.result).expect("our own").iter().filter(|entry| rules::came(entry))
        {
            let career = careers.entry(PlayerId::new(entry.player_id).expect("a player")).or_default();
            advance(&data, career, entry, &counted.mode, counted.ended);
        }
    }
    careers
}

fn ratings(words: &[&str]) {
    let run = Command::new(env!("CARGO_BIN_EXE_backend-services")).arg("ratings").args(words).status();
    assert!(run.expect("runs").success(), "{words:?}");
}

async fn accounts(db: &Db, count: usize) -> Vec<PlayerId> {
    let mut players = Vec::new();
    for _ in 0..count {
        let account = Account { player: PlayerId::random(), display_name: "Ada".to_owned(), created: NOW };
        players.push(account.player);
        let secret = SecretHash::of(&support::secret());
        db.create_account(&NewAccount { account, secret }).await.expect("creates");
    }
    players
}

async fn running(db: &Db, mode: &str, players: &[PlayerId]) -> MatchId {
    let id = MatchId::random();
    let open = OpenMatch {
        id,
        mode: mode.to_owned(),
        players: players.iter().copied().zip(0..).collect(),
        opened: NOW,
        deadline: NOW.plus(DAY),
        result_key: None,
    };
    db.open_match(&open).await.expect("an answer").expect("nobody is elsewhere");
    assert!(db.start_match(id, "server", "127.0.0.1:7000", NOW.plus(DAY)).await.expect("starts"));
    id
}

/// Counts a result that the seed makes up, on a clock that the seed sets wrong.
async fn count(db: &Db, id: MatchId, mode: &str, players: &[PlayerId], seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let entry = |(seat, player): (u32, &PlayerId)| PlayerResult {
        player_id: player.as_u64(),
        score: random.i64(0..100),
        kills: random.u32(..9),
        deaths: random.u32(..9),
        placement: random.u32(1..4),
        seconds_played: random.f32() * 61.0,
        quit: random.u8(..10) == 0,
        team: (mode == "ctf").then_some(seat % 2),
        party: random.u32(..2),
        suspicions: Vec::new(),
    };
    let entries: Vec<PlayerResult> = (0..).zip(players).map(entry).collect();
    let now = UnixMs(NOW.0 + random.i64(0..600_000));
    let result = MatchResult { match_id: id.to_string(), players: entries, ..MatchResult::default() };
    let checked = rules::check(&result).expect("sound");
    let judge = judge();
    let outcome = |before: &Before| judge.outcome(&checked, &result, before);
    let record = record::write(&result);
    let reported = Reported { id, players: &checked.players, record: &record, now };
    let finished = db.finish_match(reported, rules::newcomer(), outcome).await.expect("an answer");
    assert_eq!(finished.verdict, Finished::Counted);
}

fn judge() -> Judge {
    Judge {
        model: backend_services::ratings::model(None).expect("the arena's own"),
        boards: Boards::parse("[]").expect("none"),
        progression: Rules::load(None).expect("the arena's own"),
    }
}
