//! What must be true of every board, held against references that are written as players read the rule and know nothing
//! of how it is kept: both engines, drawn scores, writers that race resets and each other.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use backend_services::clock::UnixMs;
use backend_services::crypto::SecretHash;
use backend_services::ids::PlayerId;
use backend_services::leaderboards::keeper;
use backend_services::leaderboards::rules::{AMONG_MAX, Board, BoardRule, Boards};
use backend_services::store::{
    Account, BoardId, NewAccount, Operator, SCORE_LIMIT, ScoreWrite, ScoreWriter, Stores, Written,
};
use serde_json::json;
use support::engines;
use tokio::task::JoinSet;

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const DAY: i64 = 24 * 3600 * 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn boards_keep_their_laws_on_both_engines() {
    for engine in engines::all().await {
        println!("engine {}", engine.name);
        let (stores, mut seed) = (&engine.stores, 0);
        for keep in ["best", "set", "incr", "decr"] {
            for order in ["ascending", "descending"] {
                seed += 1;
                a_board_ranks_as_its_rule_reads(stores, keep, order, seed).await;
            }
        }
        for order in ["ascending", "descending"] {
            the_last_exact_scores_are_told_apart(stores, order).await;
        }
        attempts_are_counted_once_by_racing_writers(stores).await;
        a_season_that_closes_under_its_writers_keeps_what_counted(stores).await;
        scores_around_a_reset_are_in_the_season_of_their_moment(stores).await;
        cohorts_have_a_hundred_seats(stores).await;
        stores.close().await;
    }
}

fn rule(json: serde_json::Value) -> Board {
    let rule: BoardRule = serde_json::from_value(json).expect("a rule");
    Board::new(rule).expect("sound")
}

/// Few scores, times and players: ties of every kind are common. A row is (score, reached, player), as players see it.
async fn a_board_ranks_as_its_rule_reads(stores: &Stores, keep: &str, order: &str, seed: u64) {
    let board = rule(json!({ "name": format!("law-{keep}-{order}"), "keep": keep, "order": order }));
    let (players, mut random) = (players(stores, 9).await, fastrand::Rng::with_seed(seed));
    let mut stands: HashMap<PlayerId, (i64, UnixMs)> = HashMap::new();
    for round in 0..24_i64 {
        let now = UnixMs(NOW.0 + round / 3);
        let mut batch = Vec::new();
        for index in 0..random.usize(1..8) {
            let (player, score) = (players[random.usize(..players.len())], random.i64(-3..4));
            let source = format!("{round}-{index}").into();
            batch.extend(board.writes(player, score, "", &source, now).expect("in range"));
            let met = stands.get(&player).copied();
            let next = match (keep, met) {
                ("decr", None) => -score,
                (_, None) | ("set", _) => score,
                ("best", Some((old, _))) if order == "ascending" => old.min(score),
                ("best", Some((old, _))) => old.max(score),
                ("incr", Some((old, _))) => old + score,
                ("decr", Some((old, _))) => old - score,
                _ => unreachable!("four words"),
            };
            if met.is_none_or(|(old, _)| old != next) {
                stands.insert(player, (next, now));
            }
        }
        submit(stores, &batch, now).await;
    }
    let mut expected: Vec<(i64, UnixMs, PlayerId)> =
        stands.into_iter().map(|(player, (score, reached))| (score, reached, player)).collect();
    expected.sort_unstable_by_key(|(score, reached, player)| {
        (if order == "ascending" { *score } else { -score }, *reached, *player)
    });
    let id = board.at(NOW);
    for rows in [stores.ranks.page(&id, None, 100).await, stores.db.board_page(&id, None, 100).await] {
        let rows = rows.expect("reads");
        assert!((1..).zip(&rows).all(|(rank, row)| row.rank == rank));
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (board.shown(row.standing.score), row.standing.reached, row.standing.player))
            .collect();
        assert_eq!(rows, expected, "{keep} {order}");
    }
    for (index, (_, _, player)) in expected.iter().enumerate() {
        let around = stores.ranks.around(&id, *player, 1).await.expect("reads").expect("ranked");
        let own = around.iter().find(|row| row.standing.player == *player).expect("their own row");
        assert_eq!(own.rank, index as u64 + 1, "{keep} {order}");
    }
}

/// The outermost four scores of either sign are four ranks in every copy; one further is refused.
async fn the_last_exact_scores_are_told_apart(stores: &Stores, order: &str) {
    let board = rule(json!({ "name": format!("edge-{order}"), "keep": "best", "order": order }));
    let mut scores: Vec<i64> = (0..4).flat_map(|step| [SCORE_LIMIT - step, step - SCORE_LIMIT]).collect();
    let players = players(stores, scores.len()).await;
    for (player, score) in players.iter().zip(&scores) {
        let writes = board.writes(*player, *score, "", &"edge".into(), NOW).expect("exact");
        submit(stores, &writes, NOW).await;
    }
    for score in [SCORE_LIMIT + 1, -SCORE_LIMIT - 1, i64::MAX, i64::MIN] {
        board.writes(players[0], score, "", &"far".into(), NOW).expect_err("a double would round it");
    }
    scores.sort_unstable();
    if order == "descending" {
        scores.reverse();
    }
    let id = board.at(NOW);
    for rows in [stores.ranks.page(&id, None, 100).await, stores.db.board_page(&id, None, 100).await] {
        let rows: Vec<i64> = rows.expect("reads").iter().map(|row| board.shown(row.standing.score)).collect();
        assert_eq!(rows, scores, "{order}");
    }
}

/// Three attempts are three, whoever of eight writers comes first.
async fn attempts_are_counted_once_by_racing_writers(stores: &Stores) {
    let (player, board) = (players(stores, 1).await[0], BoardId::new("three", 0));
    let mut racers = JoinSet::new();
    for racer in 0..8 {
        let (stores, board) = (stores.clone(), board.clone());
        racers.spawn(async move {
            let (mut writer, mut counted) = (stores.db.score_writer(), 0);
            for number in 0..4 {
                let write = ScoreWrite {
                    attempts_max: 3,
                    ..ScoreWrite::new(
                        board.clone(),
                        player,
                        1,
                        Operator::Add,
                        format!("{racer}-{number}").into(),
                    )
                };
                counted += usize::from(submit_by(&mut writer, &stores, write, NOW).await.change().is_some());
            }
            counted
        });
    }
    assert_eq!(racers.join_all().await.into_iter().sum::<usize>(), 3);
    let rows = stores.db.board_page(&board, None, 10).await.expect("reads");
    assert_eq!(rows.iter().map(|row| row.standing.score).collect::<Vec<_>>(), [3]);
}

/// However a season's end falls among its writers: what was said to count is in the archive, and nothing else.
async fn a_season_that_closes_under_its_writers_keeps_what_counted(stores: &Stores) {
    for round in 0..4 {
        let (players, board) = (players(stores, 4).await, BoardId::new("ending", round + 1));
        let mut writers = JoinSet::new();
        for player in &players {
            let (stores, board, player) = (stores.clone(), board.clone(), *player);
            writers.spawn(async move {
                let (mut writer, mut counted, mut refused) = (stores.db.score_writer(), 0, 0);
                for number in 0.. {
                    let source = number.to_string().into();
                    let write = ScoreWrite::new(board.clone(), player, 1, Operator::Add, source);
                    match submit_by(&mut writer, &stores, write, NOW).await {
                        Written::Counted(_) => counted += 1,
                        _ => refused += 1,
                    }
                    if refused == 3 {
                        break;
                    }
                }
                (player, counted)
            });
        }
        while stores.db.board_len(&board).await.expect("counts") < 4 {
            tokio::task::yield_now().await;
        }
        assert!(stores.db.close_season(&board, NOW).await.expect("closes"));
        let counted: BTreeMap<PlayerId, i64> = writers.join_all().await.into_iter().collect();
        let archived = stores.db.archived_page(&board, 0, 10).await.expect("reads");
        let archived: BTreeMap<PlayerId, i64> =
            archived.iter().map(|row| (row.standing.player, row.standing.score)).collect();
        assert_eq!(archived, counted, "round {round}");
        assert_eq!(
            stores.db.board_len(&board).await.expect("counts"),
            0,
            "nobody is in a season that is over"
        );
    }
}

/// Writers run through midnight while the keeper looks again and again: a score is in the season of its moment, once.
async fn scores_around_a_reset_are_in_the_season_of_their_moment(stores: &Stores) {
    let boards = Boards::parse(r#"[{ "name": "nightly", "keep": "incr", "season": "0 0 * * *" }]"#);
    let boards = boards.expect("sound");
    let midnight = 19_700 * DAY;
    // Every score moves the clock by a second: 64 before midnight, and past the moment at which the season is closed.
    let clock = Arc::new(AtomicI64::new(midnight - 64_000));
    let players = players(stores, 4).await;
    let mut writers = JoinSet::new();
    for player in players {
        let (stores, boards, clock) = (stores.clone(), boards.clone(), clock.clone());
        writers.spawn(async move {
            let board = boards.find("nightly").expect("a board");
            let (mut writer, mut counted, mut number) = (stores.db.score_writer(), [0_i64; 2], 0);
            loop {
                let now = UnixMs(clock.fetch_add(1000, Ordering::Relaxed));
                if now.0 > midnight + 90_000 {
                    return (player, counted);
                }
                number += 1;
                let source = format!("{player}-{number}").into();
                let mut writes = board.writes(player, 1, "", &source, now).expect("in range");
                let written = submit_by(&mut writer, &stores, writes.remove(0), now).await;
                let (new, counts) = (now.0 >= midnight, written.change().is_some());
                // Who was held up for a minute of this clock, and only who, comes too late.
                assert!(counts || !new, "{written:?}");
                counted[usize::from(new)] += i64::from(counts);
            }
        });
    }
    let mut closed = 0;
    while clock.load(Ordering::Relaxed) <= midnight + 90_000 {
        let now = UnixMs(clock.load(Ordering::Relaxed));
        closed += keeper::close_seasons(stores, &boards, now).await.expect("looks");
        tokio::task::yield_now().await;
    }
    let counted = writers.join_all().await;
    closed += keeper::close_seasons(stores, &boards, UnixMs(midnight + 90_000)).await.expect("looks");
    assert_eq!(closed, 1);
    let board = boards.find("nightly").expect("a board");
    let old = stores.db.archived_page(&board.at(UnixMs(midnight - 1)), 0, 100).await.expect("reads");
    let new = stores.ranks.page(&board.at(UnixMs(midnight)), None, 100).await.expect("reads");
    for (season, rows) in [old, new].into_iter().enumerate() {
        let rows: BTreeMap<PlayerId, i64> =
            rows.iter().map(|row| (row.standing.player, row.standing.score)).collect();
        let expected: BTreeMap<PlayerId, i64> = counted
            .iter()
            .filter(|(_, counted)| counted[season] > 0)
            .map(|(player, counted)| (*player, counted[season]))
            .collect();
        assert_eq!(rows, expected, "season {season}");
    }
    for season in [0, 1] {
        assert!(counted.iter().any(|(_, counted)| counted[season] > 0), "season {season} has scores");
    }
}

async fn cohorts_have_a_hundred_seats(stores: &Stores) {
    let (many, board) = (players(stores, 2 * AMONG_MAX + 1).await, BoardId::new("hundred", 1));
    let mut cohorts: BTreeMap<u64, usize> = BTreeMap::new();
    for player in &many {
        let (cohort, members) = stores.db.cohort_of(&board, *player, AMONG_MAX as u64).await.expect("a seat");
        *cohorts.entry(cohort).or_default() += 1;
        assert_eq!(members.len(), cohorts[&cohort]);
    }
    assert_eq!(cohorts.into_iter().collect::<Vec<_>>(), [(0, 100), (1, 100), (2, 1)]);
}

/// A tournament's window is closed at one end and open at the other, also within its season.
#[test]
fn a_window_takes_its_first_moment_and_not_its_last() {
    let cup = rule(json!({
        "name": "cup", "keep": "best", "season": "0 0 * * *", "open_s": 60,
        "opens_unix_ms": DAY, "closes_unix_ms": 3 * DAY,
    }));
    let minute = 60_000;
    for (now, open) in [
        (DAY - 1, false),
        (DAY, true),
        (DAY + minute - 1, true),
        (DAY + minute, false),
        (2 * DAY - 1, false),
        (2 * DAY, true),
        (3 * DAY - 1, false),
        (3 * DAY, false),
    ] {
        assert_eq!(cup.is_open(UnixMs(now)), open, "{now}");
    }
    let closes = rule(json!({ "name": "cup", "keep": "best", "closes_unix_ms": 5 }));
    assert!(closes.is_open(UnixMs(4)) && !closes.is_open(UnixMs(5)));
}

async fn submit(stores: &Stores, writes: &[ScoreWrite], now: UnixMs) -> Vec<Written> {
    let written = stores.db.write_scores(writes, now).await.expect("writes");
    let changes: Vec<_> = written.iter().filter_map(|written| written.change().cloned()).collect();
    stores.ranks.tell(&changes).await;
    written
}

async fn submit_by(writer: &mut ScoreWriter, stores: &Stores, write: ScoreWrite, now: UnixMs) -> Written {
    let written = writer.write(&[write], now).await.expect("writes").remove(0);
    stores.ranks.tell(written.change().map(std::slice::from_ref).unwrap_or_default()).await;
    written
}

async fn players(stores: &Stores, count: usize) -> Vec<PlayerId> {
    let mut players = Vec::new();
    for _ in 0..count {
        let account = Account { player: PlayerId::random(), display_name: "Ada".to_owned(), created: NOW };
        let new = NewAccount { account, secret: SecretHash::of(&support::secret()) };
        stores.db.create_account(&new).await.expect("creates");
        players.push(new.account.player);
    }
    players
}
