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
    Account, Before, Db, Family, Finished, FinishedMatch, LiveMatch, MatchState, NewAccount, OpenMatch,
    Outcome, RatingRow, Reported, StoreError,
};
use support::engines::{self, Engine};
use tokio::task::JoinSet;

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const NEWCOMER: RatingRow = RatingRow { mu: 25.0, sigma: 8.0, matches: 0, played: UnixMs(0), offset: None };

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
        a_lost_match_frees_its_players_and_takes_a_late_result(db).await;
        a_match_that_was_given_up_takes_no_result(db).await;
        the_store_refuses_strangers(db).await;
        racing_results_of_one_match_count_once(db).await;
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

/// The backend was away, or the server's result waited in its spool: the match was played all the same.
async fn a_lost_match_frees_its_players_and_takes_a_late_result(db: &Db) {
    let players = players(db, 2).await;
    let id = running(db, &players).await;
    assert!(db.lose_match(id, NOW).await.expect("loses"));
    assert!(!db.lose_match(id, NOW).await.expect("an answer"));
    assert_eq!(live(db, players[0]).await, None);
    let next = running(db, &players).await;
    assert_eq!(finish(db, id, &players).await, Finished::Counted);
    assert_eq!(finish(db, id, &players).await, Finished::Duplicate);
    assert_eq!(
        live(db, players[0]).await.map(|(game, _)| game.id),
        Some(next),
        "the late one frees nobody else"
    );
    assert_eq!(db.rating(players[0]).await.expect("reads").expect("a rating").matches, 1);
}

async fn a_match_that_was_given_up_takes_no_result(db: &Db) {
    let players = players(db, 2).await;
    let id = running(db, &players).await;
    assert!(db.give_up_match(id, NOW).await.expect("gives up"));
    assert!(!db.give_up_match(id, NOW).await.expect("an answer"));
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
    let open = OpenMatch {
        id,
        mode: "arena".to_owned(),
        players: players.iter().copied().zip(0..).collect(),
        opened: NOW,
        deadline: NOW.plus(DAY),
        result_key: None,
    };
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
    let outcome = move |before: &Before| {
        let better =
            |row: &RatingRow| RatingRow { mu: row.mu + 1.0, matches: row.matches + 1, played: NOW, ..*row };
        let ratings = all.iter().copied().zip(before.ratings.iter().map(better)).collect();
        Outcome { ratings, ..Outcome::default() }
    };
    let reported = Reported { id, players, record: "{}", now: NOW };
    let finished: FinishedMatch = db.finish_match(reported, NEWCOMER, outcome).await.expect("an answer");
    finished.verdict
}
