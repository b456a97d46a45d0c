//! One suite for both engines: what the stores promise, races included. Postgres and Redis are real processes
//! of the test's own.

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use backend_services::accounts::tokens::fresh_service_key;
use backend_services::clock::UnixMs;
use backend_services::crypto::SecretHash;
use backend_services::ids::{MatchId, PlayerId, SessionId};
use backend_services::store::{
    Account, Db, Family, Finished, LiveMatch, MatchState, NewAccount, OpenMatch, Operator, Outcome,
    RatingRow, ScoreWrite, StoreError,
};
use support::engines::{self, Engine};
use tokio::task::JoinSet;

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const NEWCOMER: RatingRow = RatingRow { mu: 25.0, sigma: 8.0, matches: 0 };

/// The whole contract on one engine after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_engines_keep_the_contract() {
    for engine in engines::all().await {
        println!("engine {}", engine.name);
        let db = &engine.stores.db;
        keys_are_shared(db).await;
        accounts_are_unique(db).await;
        sixty_four_rotations_of_one_token_make_one_successor(db).await;
        an_ended_session_stays_ended(db).await;
        a_player_is_in_one_live_match(db).await;
        racing_matches_share_no_player(db).await;
        a_result_counts_once(db).await;
        a_lost_match_frees_its_players_and_takes_no_result(db).await;
        the_store_refuses_strangers(db).await;
        racing_results_of_one_match_count_once(db).await;
        boards_rank_by_score_then_time_then_player(&engine).await;
        odd_text_is_only_text(db).await;
        migrations_go_down_and_up(&engine).await;
        engine.stores.close().await;
    }
}

async fn keys_are_shared(db: &Db) {
    let mut racers = JoinSet::new();
    for _ in 0..16 {
        let db = db.clone();
        racers.spawn(async move { db.service_key(&fresh_service_key(), NOW).await.expect("a key") });
    }
    let keys: HashSet<Vec<u8>> = racers.join_all().await.into_iter().map(|key| key.signing_key).collect();
    assert_eq!(keys.len(), 1);
}

async fn accounts_are_unique(db: &Db) {
    let secret = SecretHash::of(&support::secret());
    let mut racers = JoinSet::new();
    for _ in 0..64 {
        let db = db.clone();
        racers.spawn(async move { db.create_account(&new_account(secret)).await });
    }
    let results = racers.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().all(|result| matches!(result, Ok(()) | Err(StoreError::Conflict))));
    let account = db.account_by_secret(secret).await.expect("reads").expect("the winner");
    assert_eq!(db.account(account.player).await.expect("reads"), Some(account));
    assert_eq!(db.account(PlayerId::random()).await.expect("reads"), None);
}

async fn sixty_four_rotations_of_one_token_make_one_successor(db: &Db) {
    let family = start_family(db, "first").await;
    let mut racers = JoinSet::new();
    for _ in 0..64 {
        let (db, family) = (db.clone(), family.clone());
        racers.spawn(async move {
            db.rotate_family(&family, SecretHash::of("second"), NOW, NOW.plus(DAY)).await.expect("an answer")
        });
    }
    let won = racers.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1);
    let (found, generation) = db.family_of(SecretHash::of("second")).await.expect("reads").expect("a family");
    assert_eq!((found.generation, generation), (2, 2));
    let (_, old) = db.family_of(SecretHash::of("first")).await.expect("reads").expect("a family");
    assert_eq!(old, 1);
}

async fn an_ended_session_stays_ended(db: &Db) {
    let family = start_family(db, "third").await;
    assert!(db.end_family(family.session, "reuse").await.expect("ends"));
    assert!(!db.end_family(family.session, "reuse").await.expect("ends"));
    assert!(
        !db.rotate_family(&family, SecretHash::of("fourth"), NOW, NOW.plus(DAY)).await.expect("an answer")
    );
    let (found, _) = db.family_of(SecretHash::of("third")).await.expect("reads").expect("a family");
    assert!(found.ended);
    assert_eq!(db.purge_families(NOW).await.expect("purges"), 0);
    assert!(db.purge_families(NOW.plus(DAY * 31)).await.expect("purges") >= 2);
    assert_eq!(db.family_of(SecretHash::of("third")).await.expect("reads"), None);
}

async fn a_player_is_in_one_live_match(db: &Db) {
    let players = players(db, 4).await;
    let first = open(db, &players[..2]).await.expect("opens");
    assert_eq!(open(db, &players[1..]).await, Err(vec![players[1]]));
    assert_eq!(live(db, players[2]).await, None, "a match that did not open binds nobody");
    assert!(db.start_match(first, "server", "127.0.0.1:7000", NOW.plus(DAY)).await.expect("starts"));
    assert!(!db.start_match(first, "other", "127.0.0.1:7001", NOW).await.expect("an answer"));
    let (game, seat) = live(db, players[1]).await.expect("a live match");
    assert_eq!((game.id, game.state, seat), (first, MatchState::Running, 1));
    assert_eq!(game.server.as_deref(), Some("server"));
    assert!(db.live_matches().await.expect("reads").contains(&game));
    db.abandon_match(first).await.expect("an answer");
    assert!(live(db, players[0]).await.is_some(), "a running match is not abandoned");

    let second = open(db, &players[2..]).await.expect("opens");
    db.abandon_match(second).await.expect("abandons");
    assert_eq!(live(db, players[2]).await, None);
    assert_eq!(db.match_state(second).await.expect("reads"), None);
}

async fn racing_matches_share_no_player(db: &Db) {
    let players = Arc::new(players(db, 12).await);
    let mut racers = JoinSet::new();
    for racer in 0..32_u64 {
        let (db, players) = (db.clone(), players.clone());
        racers.spawn(async move {
            let mut random = fastrand::Rng::with_seed(racer);
            let mut chosen = players.to_vec();
            random.shuffle(&mut chosen);
            chosen.truncate(4);
            open(&db, &chosen).await.map(|_| chosen)
        });
    }
    let opened: Vec<PlayerId> = racers.join_all().await.into_iter().flatten().flatten().collect();
    let distinct: HashSet<PlayerId> = opened.iter().copied().collect();
    assert!(!opened.is_empty());
    assert_eq!(opened.len(), distinct.len());
}

async fn a_result_counts_once(db: &Db) {
    let players = players(db, 3).await;
    let id = running(db, &players).await;
    assert_eq!(finish(db, id, &players[..2]).await, Finished::Counted);
    assert_eq!(finish(db, id, &players[..2]).await, Finished::Duplicate);
    let rating = db.rating(players[0]).await.expect("reads").expect("a rating");
    assert_eq!((rating.mu, rating.matches), (26.0, 1));
    assert_eq!(db.rating(players[2]).await.expect("reads"), None, "who is not in the result is not rated");
    for player in players {
        assert_eq!(live(db, player).await, None);
    }
    assert_eq!(db.match_state(id).await.expect("reads"), Some(MatchState::Finished));
}

async fn a_lost_match_frees_its_players_and_takes_no_result(db: &Db) {
    let players = players(db, 2).await;
    let id = running(db, &players).await;
    assert!(db.lose_match(id, NOW).await.expect("loses"));
    assert!(!db.lose_match(id, NOW).await.expect("an answer"));
    assert_eq!(live(db, players[0]).await, None);
    assert_eq!(finish(db, id, &players).await, Finished::Refused);
    assert_eq!(finish(db, MatchId::random(), &players).await, Finished::Refused);
    assert_eq!(db.rating(players[0]).await.expect("reads"), None);
}

async fn the_store_refuses_strangers(db: &Db) {
    let (members, strangers) = (players(db, 2).await, players(db, 1).await);
    let id = running(db, &members).await;
    assert_eq!(finish(db, id, &[members[0], strangers[0]]).await, Finished::Stranger(strangers[0]));
    assert_eq!(db.match_state(id).await.expect("reads"), Some(MatchState::Running), "nothing was counted");
    assert_eq!(finish(db, id, &members).await, Finished::Counted);
}

async fn racing_results_of_one_match_count_once(db: &Db) {
    let players = players(db, 4).await;
    let id = running(db, &players).await;
    let mut racers = JoinSet::new();
    for _ in 0..32 {
        let (db, players) = (db.clone(), players.clone());
        racers.spawn(async move { finish(&db, id, &players).await });
    }
    let results = racers.join_all().await;
    assert_eq!(results.iter().filter(|result| **result == Finished::Counted).count(), 1);
    assert_eq!(db.rating(players[3]).await.expect("reads").expect("a rating").matches, 1);
}

async fn boards_rank_by_score_then_time_then_player(engine: &Engine) {
    let db = &engine.stores.db;
    let players = players(db, 24).await;
    let mut random = fastrand::Rng::with_seed(11);
    let mut reference: Vec<(i64, UnixMs, PlayerId)> = Vec::new();
    for round in 0..200_i64 {
        let player = players[random.usize(..players.len())];
        // Few different scores and times, so that ties of every kind are common.
        let (score, at) = (random.i64(-3..4), UnixMs(NOW.0 + round / 4));
        write(db, player, score, at).await;
        match reference.iter_mut().find(|entry| entry.2 == player) {
            Some(entry) if score > entry.0 => (entry.0, entry.1) = (score, at),
            Some(_) => {}
            None => reference.push((score, at, player)),
        }
    }
    reference.sort_by_key(|&(score, at, player)| (-score, at, player));
    let expected: Vec<(u64, PlayerId, i64)> =
        (1..).zip(&reference).map(|(rank, &(score, _, player))| (rank, player, score)).collect();

    let page = db.board_page("test", 0, 100).await.expect("reads");
    assert_eq!(page.iter().map(|row| (row.rank, row.player, row.score)).collect::<Vec<_>>(), expected);
    assert!(page.iter().all(|row| row.display_name == "Ada"));
    for &(rank, player, _) in &expected {
        assert_eq!(db.board_rank("test", player).await.expect("reads"), Some(rank));
    }
    let middle = db.board_page("test", 5, 3).await.expect("reads");
    assert_eq!(middle.iter().map(|row| row.rank).collect::<Vec<_>>(), [6, 7, 8]);
    assert_eq!(db.board_rank("test", PlayerId::random()).await.expect("reads"), None);
    assert!(db.board_page("none", 0, 10).await.expect("reads").is_empty());

    if let Some(mirror) = &engine.stores.mirror {
        while mirror.drain_outbox().await.expect("drains") > 0 {}
        let mirrored = mirror.page("test", 0, 100).await.expect("reads").expect("a whole mirror");
        assert_eq!(mirrored, page);
        for &(rank, player, _) in &expected {
            assert_eq!(mirror.rank("test", player).await.expect("reads"), Some(Some(rank)));
        }
        assert_eq!(mirror.page("test", 5, 3).await.expect("reads").expect("a whole mirror"), middle);
        assert_eq!(mirror.rank("test", PlayerId::random()).await.expect("reads"), Some(None));
    }
}

async fn odd_text_is_only_text(db: &Db) {
    for name in ["Robert'); DROP TABLE accounts;--", "", "$1", "名前", "%s%n"] {
        let secret = SecretHash::of(&support::secret());
        let mut new = new_account(secret);
        new.account.display_name = name.to_owned();
        db.create_account(&new).await.expect("creates");
        assert_eq!(db.account(new.account.player).await.expect("reads"), Some(new.account));
    }
}

async fn migrations_go_down_and_up(engine: &Engine) {
    engine.stores.migrate_down().await.expect("goes down");
    assert!(engine.stores.db.account(PlayerId::random()).await.is_err(), "the tables are gone");
    let (one, two) = tokio::join!(engine.stores.migrate_up(), engine.stores.migrate_up());
    one.expect("goes up");
    two.expect("goes up beside the other");
    accounts_are_unique(&engine.stores.db).await;
}

/// The mirror is a copy: whatever happens to Redis, ranks come back as they were.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_mirror_survives_flushes_and_restarts() {
    let mut engine = engines::production().await;
    let (db, mirror) = (engine.stores.db.clone(), engine.stores.mirror.clone().expect("a mirror"));
    let players = players(&db, 50).await;
    for (index, player) in (0..).zip(&players) {
        write(&db, *player, index % 7, UnixMs(NOW.0 + index)).await;
    }
    while mirror.drain_outbox().await.expect("drains") > 0 {}
    let page = mirror.page("test", 0, 100).await.expect("reads").expect("whole");
    assert_eq!(page, db.board_page("test", 0, 100).await.expect("reads"));

    let servers = engine.servers.as_mut().expect("servers");
    let client = redis::Client::open(servers.redis_url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("connects");
    let () = redis::cmd("FLUSHALL").query_async(&mut connection).await.expect("flushes");
    assert_eq!(
        mirror.page("test", 0, 100).await.expect("reads"),
        None,
        "a flushed mirror says that it is not whole"
    );
    assert_eq!(mirror.rank("test", players[0]).await.expect("reads"), None);
    // A write that comes before the rebuild is not lost and not undone by it.
    write(&db, players[3], 100, UnixMs(NOW.0 + 1000)).await;
    mirror.drain_outbox().await.expect("drains");
    assert!(mirror.heal().await.expect("heals"));
    assert!(!mirror.heal().await.expect("is whole"));
    assert_eq!(
        mirror.page("test", 0, 100).await.expect("reads"),
        Some(db.board_page("test", 0, 100).await.expect("reads"))
    );

    servers.restart_redis();
    write(&db, players[4], 200, UnixMs(NOW.0 + 2000)).await;
    let healed = async {
        while !mirror.heal().await.unwrap_or(false) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), healed).await.expect("the mirror heals after a restart");
    mirror.drain_outbox().await.expect("drains");
    let page = mirror.page("test", 0, 3).await.expect("reads").expect("whole");
    assert_eq!(page[0].player, players[4]);
}

const DAY: Duration = Duration::from_secs(24 * 3600);

fn new_account(secret: SecretHash) -> NewAccount {
    let account = Account { player: PlayerId::random(), display_name: "Ada".to_owned(), created: NOW };
    NewAccount { account, secret }
}

async fn players(db: &Db, count: usize) -> Vec<PlayerId> {
    let mut players = Vec::new();
    for _ in 0..count {
        let new = new_account(SecretHash::of(&support::secret()));
        db.create_account(&new).await.expect("creates");
        players.push(new.account.player);
    }
    players
}

async fn start_family(db: &Db, token: &str) -> Family {
    let player = players(db, 1).await[0];
    let family = Family {
        session: SessionId::random(),
        player,
        generation: 1,
        rotated: NOW,
        expires: NOW.plus(DAY),
        ended: false,
    };
    db.start_family(&family, SecretHash::of(token)).await.expect("starts");
    family
}

async fn open(db: &Db, players: &[PlayerId]) -> Result<MatchId, Vec<PlayerId>> {
    let id = MatchId::random();
    let open =
        OpenMatch { id, mode: "arena", players: players.to_vec(), opened: NOW, deadline: NOW.plus(DAY) };
    db.open_match(&open).await.expect("an answer").map(|()| id)
}

async fn running(db: &Db, players: &[PlayerId]) -> MatchId {
    let id = open(db, players).await.expect("opens");
    assert!(db.start_match(id, "server", "127.0.0.1:7000", NOW.plus(DAY)).await.expect("starts"));
    id
}

async fn live(db: &Db, player: PlayerId) -> Option<(LiveMatch, u8)> {
    db.live_match_of(player).await.expect("reads")
}

/// Counts a result that gives everybody a point of rating.
async fn finish(db: &Db, id: MatchId, players: &[PlayerId]) -> Finished {
    let all = players.to_vec();
    let outcome = move |before: &[RatingRow]| {
        let better = |row: &RatingRow| RatingRow { mu: row.mu + 1.0, matches: row.matches + 1, ..*row };
        Outcome { ratings: all.iter().copied().zip(before.iter().map(better)).collect(), scores: Vec::new() }
    };
    db.finish_match(id, players, "{}", NOW, NEWCOMER, outcome).await.expect("an answer")
}

/// Brings a score onto the board "test", by the only way that there is: a result.
async fn write(db: &Db, player: PlayerId, score: i64, at: UnixMs) {
    let id = running(db, &[player]).await;
    let write = ScoreWrite { board: "test", player, score, operator: Operator::Best };
    let outcome = |_: &[RatingRow]| Outcome { ratings: Vec::new(), scores: vec![write] };
    let finished = db.finish_match(id, &[player], "{}", at, NEWCOMER, outcome).await.expect("an answer");
    assert_eq!(finished, Finished::Counted);
}
