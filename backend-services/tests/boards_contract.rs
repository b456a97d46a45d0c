//! The boards on both engines: SQLite with ranks in this process, Postgres with ranks in Redis (real processes of
//! the test's own). Ranks equal a sorted reference, the log gives the boards again, and losing Redis loses nothing.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backend_services::clock::UnixMs;
use backend_services::crypto::SecretHash;
use backend_services::ids::PlayerId;
use backend_services::leaderboards::keeper;
use backend_services::leaderboards::rules::Boards;
use backend_services::store::{
    Account, BoardId, EntryRow, FORGOTTEN_AFTER, HeldScore, NewAccount, Operator, RankCopy, SCORE_LIMIT,
    ScoreWrite, Standing, Stores, Written,
};
use support::engines::{self, Engine};
use tokio::task::JoinSet;

const NOW: UnixMs = UnixMs(1_700_000_000_000);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_engines_keep_the_boards_contract() {
    for engine in engines::all().await {
        println!("engine {}", engine.name);
        let stores = &engine.stores;
        for (seed, operator) in (0..).zip([Operator::Best, Operator::Set, Operator::Add]) {
            ranks_equal_a_sorted_reference(stores, operator, seed).await;
        }
        a_source_counts_once(stores).await;
        racing_sources_count_once(stores).await;
        attempts_run_out(stores).await;
        only_who_joined_counts(stores).await;
        a_closed_season_takes_no_score(stores).await;
        held_scores_wait_for_a_verdict(stores).await;
        sums_are_cut_at_the_limit(stores).await;
        cursors_hold_while_the_board_moves(stores).await;
        seasons_stand_apart(stores).await;
        missed_resets_are_caught_up_once(stores).await;
        cohorts_fill_in_order(stores).await;
        stores.close().await;
    }
}

/// Few scores, times and players, so that ties of every kind and repeated players within a batch are common.
async fn ranks_equal_a_sorted_reference(stores: &Stores, operator: Operator, seed: u64) {
    let players = players(stores, 30).await;
    let board = BoardId::new(&format!("reference-{seed}"), 0);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut reference: HashMap<PlayerId, Standing> = HashMap::new();
    for round in 0..40_i64 {
        let now = UnixMs(NOW.0 + round / 3);
        let batch: Vec<ScoreWrite> = (0..random.usize(1..12))
            .map(|index| {
                let player = players[random.usize(..players.len())];
                let source = format!("{round}-{index}");
                ScoreWrite::new(board.clone(), player, random.i64(-3..4), operator, source.into())
            })
            .collect();
        for write in &batch {
            let old = reference.get(&write.player).copied();
            let score = operator.fold(old.map(|old| old.score), write.value);
            let reached = old.filter(|old| old.score == score).map_or(now, |old| old.reached);
            reference.insert(write.player, Standing { score, reached, player: write.player });
        }
        let written = submit(stores, &batch, now).await;
        assert!(written.iter().all(|written| written.change().is_some()), "{written:?}");
    }
    let mut expected: Vec<Standing> = reference.into_values().collect();
    expected.sort_unstable();
    check_board(stores, &board, &expected).await;
    assert_eq!(
        stores.db.replay_board(&board).await.expect("replays"),
        expected,
        "the log gives the board again"
    );
}

/// Every way to look at a board says the same, from SQL and from the ranks.
async fn check_board(stores: &Stores, board: &BoardId, expected: &[Standing]) {
    let whole = stores.db.board_page(board, None, 100).await.expect("reads");
    assert_eq!(whole.iter().map(|row| row.standing).collect::<Vec<_>>(), expected);
    assert!((1..).zip(&whole).all(|(rank, row)| row.rank == rank && row.display_name == "Ada"));
    assert_eq!(copied_page(stores, board, None, 100).await, Some(whole.clone()));
    assert_eq!(stores.db.board_len(board).await.expect("counts"), expected.len() as u64);
    let everyone: Vec<PlayerId> = expected.iter().map(|standing| standing.player).collect();
    for (index, row) in whole.iter().enumerate() {
        for radius in [0, 1, 5, 50] {
            let window = whole[index.saturating_sub(radius)..(index + radius + 1).min(whole.len())].to_vec();
            let of = row.standing.player;
            let from_sql = stores.db.board_around(board, of, radius as u64).await.expect("reads");
            assert_eq!(from_sql.as_ref(), Some(&window), "rank {} radius {radius}", row.rank);
            assert_eq!(stores.ranks.around(board, of, radius as u64).await.expect("reads"), Some(window));
        }
        let page: Vec<EntryRow> = whole[index + 1..].iter().take(3).cloned().collect();
        assert_eq!(stores.db.board_page(board, Some(row.standing), 3).await.expect("reads"), page);
        assert_eq!(copied_page(stores, board, Some(row.standing), 3).await, Some(page));
    }
    let stranger = PlayerId::random();
    assert_eq!(stores.ranks.around(board, stranger, 5).await.expect("reads"), None);
    assert_eq!(stores.db.board_around(board, stranger, 5).await.expect("reads"), None);
    let some = [everyone[everyone.len() - 1], stranger, everyone[0], everyone[0]];
    let among = vec![whole[0].clone(), whole[whole.len() - 1].clone()];
    assert_eq!(stores.ranks.among(board, &some).await.expect("reads"), among);
    assert_eq!(stores.db.board_among(board, &some).await.expect("reads"), among);
}

async fn a_source_counts_once(stores: &Stores) {
    let (player, board) = (players(stores, 1).await[0], BoardId::new("once", 0));
    let lap = |value| [ScoreWrite::new(board.clone(), player, value, Operator::Add, "lap".into())];
    assert!(matches!(&submit(stores, &lap(5), NOW).await[..], [Written::Counted(_)]));
    assert_eq!(submit(stores, &lap(5), NOW).await, [Written::Duplicate]);
    assert_eq!(submit(stores, &lap(9), NOW).await, [Written::Duplicate]);
    let stranger = ScoreWrite::new(board.clone(), PlayerId::random(), 1, Operator::Add, "lap".into());
    assert_eq!(submit(stores, &[stranger], NOW).await, [Written::Refused], "nobody has this id");
    // Twice in one batch: the second is told apart from the first.
    let twice = [&lap(1)[..], &lap(1)[..]].concat().map_source("other");
    let written = submit(stores, &twice, NOW).await;
    assert!(matches!(written[..], [Written::Counted(_), Written::Duplicate]), "{written:?}");
    let rows = stores.ranks.page(&board, None, 10).await.expect("reads");
    assert_eq!(rows.iter().map(|row| row.standing.score).collect::<Vec<_>>(), [6]);
}

trait MapSource {
    fn map_source(self, source: &str) -> Self;
}

impl MapSource for Vec<ScoreWrite> {
    fn map_source(mut self, source: &str) -> Self {
        self.iter_mut().for_each(|write| write.source = source.into());
        self
    }
}

async fn racing_sources_count_once(stores: &Stores) {
    let (players, board) = (Arc::new(players(stores, 8).await), BoardId::new("race", 0));
    let mut racers = JoinSet::new();
    for racer in 0..16_u64 {
        let (stores, players, board) = (stores.clone(), players.clone(), board.clone());
        racers.spawn(async move {
            let mut random = fastrand::Rng::with_seed(racer);
            let mut counted = 0;
            for lap in 0..10 {
                let mut order: Vec<PlayerId> = players.to_vec();
                random.shuffle(&mut order);
                let write = |player| {
                    ScoreWrite::new(board.clone(), player, 1, Operator::Add, format!("lap {lap}").into())
                };
                let writes: Vec<ScoreWrite> = order.into_iter().map(write).collect();
                let written = submit(&stores, &writes, NOW).await;
                counted += written.iter().filter(|written| written.change().is_some()).count();
            }
            counted
        });
    }
    let counted: usize = racers.join_all().await.into_iter().sum();
    assert_eq!(counted, 80, "10 laps of 8 players, each once");
    settle(stores).await;
    let rows = stores.ranks.page(&board, None, 100).await.expect("reads");
    assert!(rows.len() == 8 && rows.iter().all(|row| row.standing.score == 10), "{rows:?}");
    assert_eq!(rows, stores.db.board_page(&board, None, 100).await.expect("reads"));
}

async fn attempts_run_out(stores: &Stores) {
    let (player, board) = (players(stores, 1).await[0], BoardId::new("attempts", 0));
    let attempt = |number: i64| ScoreWrite {
        attempts_max: 2,
        ..ScoreWrite::new(board.clone(), player, number, Operator::Best, number.to_string().into())
    };
    let mut fates = Vec::new();
    for number in 1..=3 {
        fates.push(submit(stores, &[attempt(number)], NOW).await[0].change().is_some());
    }
    assert_eq!(fates, [true, true, false]);
    assert_eq!(submit(stores, &[attempt(1)], NOW).await, [Written::Duplicate]);
    let rows = stores.ranks.page(&board, None, 10).await.expect("reads");
    assert_eq!(rows[0].standing.score, 2);
}

async fn only_who_joined_counts(stores: &Stores) {
    let (two, board) = (players(stores, 2).await, BoardId::new("joined", 7));
    let score = |index: usize, source: &str| ScoreWrite {
        joined_only: true,
        ..ScoreWrite::new(board.clone(), two[index], 1, Operator::Best, source.into())
    };
    assert!(stores.db.join_board(&board, two[0]).await.expect("joins"));
    assert!(!stores.db.join_board(&board, two[0]).await.expect("an answer"), "joined before");
    let written = submit(stores, &[score(0, "a"), score(1, "a")], NOW).await;
    assert!(matches!(written[..], [Written::Counted(_), Written::Refused]), "{written:?}");
}

async fn a_closed_season_takes_no_score(stores: &Stores) {
    let (three, board) = (players(stores, 3).await, BoardId::new("closing", 5));
    for (index, player) in (0..).zip(&three) {
        let write = ScoreWrite::new(board.clone(), *player, index % 2, Operator::Best, "a".into());
        submit(stores, &[write], UnixMs(NOW.0 + index)).await;
    }
    let order = stores.db.board_page(&board, None, 10).await.expect("reads");
    assert!(stores.db.open_boards().await.expect("reads").contains(&board));
    assert!(stores.db.close_season(&board, NOW).await.expect("closes"));
    assert!(!stores.db.close_season(&board, NOW).await.expect("an answer"), "closed before: caught up once");
    assert!(!stores.db.open_boards().await.expect("reads").contains(&board));
    let late = ScoreWrite::new(board.clone(), three[0], 99, Operator::Best, "late".into());
    assert_eq!(submit(stores, &[late], NOW).await, [Written::Refused]);
    let archived = stores.db.archived_page(&board, 0, 10).await.expect("reads");
    assert_eq!(archived, order, "the archive is the board as it stood");
    assert_eq!(stores.db.archived_page(&board, 1, 1).await.expect("reads"), order[1..2]);
    let seasons = stores.db.closed_seasons(&board.name, i64::MAX, 10).await.expect("reads");
    assert_eq!(seasons.iter().map(|season| (season.season, season.members)).collect::<Vec<_>>(), [(5, 3)]);
}

async fn held_scores_wait_for_a_verdict(stores: &Stores) {
    let (two, board) = (players(stores, 2).await, BoardId::new("reviewed", 0));
    let writes = two
        .iter()
        .map(|player| ScoreWrite::new(board.clone(), *player, 1_000_000, Operator::Best, "match".into()));
    let held: Vec<HeldScore> = HeldScore::of(writes.collect(), "too good").collect();
    stores.db.hold_scores(&held, NOW).await.expect("holds");
    stores.db.hold_scores(&held, NOW).await.expect("holds once");
    assert!(stores.ranks.page(&board, None, 10).await.expect("reads").is_empty());
    let waiting = stores.db.held_scores(10).await.expect("reads");
    assert_eq!(waiting.len(), 2);
    assert!(waiting.iter().all(|(score, at)| score.reason == "too good" && *at == NOW));
    let decide = async |index: usize, count| {
        stores.db.decide_review("match", "reviewed", two[index], count).await.expect("decides")
    };
    let changes = decide(0, true).await.expect("it waited");
    stores.ranks.tell(&changes).await;
    assert_eq!(decide(0, true).await, None, "decided before");
    assert_eq!(decide(1, false).await, Some(Vec::new()));
    let rows = stores.ranks.page(&board, None, 10).await.expect("reads");
    assert_eq!(rows.iter().map(|row| row.standing.player).collect::<Vec<_>>(), [two[0]]);
    assert!(stores.db.held_scores(10).await.expect("reads").is_empty());
}

async fn sums_are_cut_at_the_limit(stores: &Stores) {
    let (player, board) = (players(stores, 1).await[0], BoardId::new("limit", 0));
    for (number, expected) in [(1, SCORE_LIMIT - 1), (2, SCORE_LIMIT), (3, SCORE_LIMIT)] {
        let value = if number == 1 { SCORE_LIMIT - 1 } else { 7 };
        let write = ScoreWrite::new(board.clone(), player, value, Operator::Add, number.to_string().into());
        submit(stores, &[write], NOW).await;
        let rows = stores.ranks.page(&board, None, 1).await.expect("reads");
        assert_eq!(rows[0].standing.score, expected, "exact to the last unit");
        assert_eq!(rows, stores.db.board_page(&board, None, 1).await.expect("reads"));
    }
}

/// A page goes on where the one before ended, also when its last entry has moved or the board has grown.
async fn cursors_hold_while_the_board_moves(stores: &Stores) {
    let (five, board) = (players(stores, 5).await, BoardId::new("moving", 0));
    let score = |index: usize, value: i64, source: &str| {
        ScoreWrite::new(board.clone(), five[index], value, Operator::Set, source.into())
    };
    let first: Vec<ScoreWrite> = (0..4).map(|index| score(index, 40 - 10 * index as i64, "a")).collect();
    submit(stores, &first, NOW).await;
    let page = stores.ranks.page(&board, None, 2).await.expect("reads");
    let cursor = page[1].standing;
    // The last of the page falls to the end, and somebody new stands on top.
    submit(stores, &[score(1, 5, "b"), score(4, 90, "b")], UnixMs(NOW.0 + 1)).await;
    let next = stores.db.board_page(&board, Some(cursor), 10).await.expect("reads");
    assert_eq!(next.iter().map(|row| row.standing.player).collect::<Vec<_>>(), [five[2], five[3], five[1]]);
    assert_eq!(copied_page(stores, &board, Some(cursor), 10).await, Some(next));
    let whole = stores.db.board_page(&board, None, 10).await.expect("reads");
    assert_eq!(copied_page(stores, &board, None, 10).await, Some(whole), "looking changes nothing");
}

async fn seasons_stand_apart(stores: &Stores) {
    let player = players(stores, 1).await[0];
    for season in [100, 200] {
        let write = ScoreWrite::new(
            BoardId::new("apart", season),
            player,
            season,
            Operator::Add,
            format!("{season}").into(),
        );
        submit(stores, &[write], NOW).await;
    }
    let rows = stores.ranks.page(&BoardId::new("apart", 200), None, 10).await.expect("reads");
    assert_eq!(rows.iter().map(|row| row.standing.score).collect::<Vec<_>>(), [200]);
}

/// A process that slept through three resets closes what there was, once, and nothing else.
async fn missed_resets_are_caught_up_once(stores: &Stores) {
    const DAY: i64 = 24 * 3600 * 1000;
    let boards = r#"[{ "name": "daily", "keep": "incr", "season": "0 0 * * *", "by_region": true }]"#;
    let boards = Boards::parse(boards).expect("sound");
    let (player, daily) = (players(stores, 1).await[0], boards.find("daily").expect("a board"));
    let midnight = UnixMs(19_700 * DAY);
    // Scores on two of four days, the last of them at the last moment.
    for (source, at) in [("a", midnight), ("b", UnixMs(midnight.0 + 2 * DAY - 1))] {
        let writes = daily.writes(player, 5, "eu", &source.into(), at).expect("in range");
        submit(stores, &writes, at).await;
    }
    let close = async |at| keeper::close_seasons(stores, &boards, UnixMs(at)).await.expect("closes");
    assert_eq!(
        close(midnight.0 + 2 * DAY + 1000).await,
        2,
        "the first day, whole and by region; the second may get a late score"
    );
    assert_eq!(close(midnight.0 + 5 * DAY).await, 2);
    assert_eq!(close(midnight.0 + 5 * DAY).await, 0, "once");
    let seasons = stores.db.closed_seasons("daily", i64::MAX, 10).await.expect("reads");
    let began: Vec<i64> = seasons.iter().map(|season| season.season).collect();
    assert_eq!(began, [midnight.0 + DAY, midnight.0]);
    let archived = stores.db.archived_page(&daily.at(midnight), 0, 10).await.expect("reads");
    assert_eq!(archived.iter().map(|row| row.standing.score).collect::<Vec<_>>(), [5]);
    assert!(stores.ranks.page(&daily.at(midnight), None, 10).await.expect("reads").is_empty(), "forgotten");
}

/// Seats are taken in the order of asking, also by many at once; nobody sits twice.
async fn cohorts_fill_in_order(stores: &Stores) {
    let (seven, board) = (players(stores, 7).await, BoardId::new("cohorts", 1));
    let mut racers = JoinSet::new();
    for player in [&seven[..], &seven[..]].concat() {
        let (stores, board) = (stores.clone(), board.clone());
        racers
            .spawn(async move { (player, stores.db.cohort_of(&board, player, 3).await.expect("a seat").0) });
    }
    let mut seats: Vec<(PlayerId, u64)> = racers.join_all().await;
    seats.sort_unstable();
    seats.dedup();
    assert_eq!(seats.len(), 7, "everybody has one cohort: {seats:?}");
    let mut sizes = [0; 3];
    for (_, cohort) in &seats {
        sizes[usize::try_from(*cohort).expect("a small number")] += 1;
    }
    assert_eq!(sizes, [3, 3, 1]);
    let (cohort, members) = stores.db.cohort_of(&board, seven[0], 3).await.expect("a seat");
    assert!(members.contains(&seven[0]) && members.len() == sizes[usize::try_from(cohort).expect("small")]);
}

/// The ranks are a copy: whatever happens to Redis, they come back as they were.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ranks_survive_flushes_and_restarts_of_redis() {
    let mut engine = engines::production().await;
    let (stores, board) = (engine.stores.clone(), BoardId::new("test", 0));
    let RankCopy::Redis(mirror) = stores.ranks.copy() else { panic!("production has a Redis") };
    let fifty = players(&stores, 50).await;
    for (index, player) in (0..).zip(&fifty) {
        let write = ScoreWrite::new(board.clone(), *player, index % 7, Operator::Best, "a".into());
        submit(&stores, &[write], UnixMs(NOW.0 + index)).await;
    }
    let before = stores.db.board_page(&board, None, 100).await.expect("reads");
    assert_eq!(copied_page(&stores, &board, None, 100).await.as_ref(), Some(&before));

    redis_command(&engine, "FLUSHALL").await;
    assert_eq!(
        copied_page(&stores, &board, None, 100).await,
        None,
        "a flushed copy says that it is not whole"
    );
    assert_eq!(mirror.around(&board, fifty[0], 5).await.expect("reads"), None);
    assert_eq!(stores.ranks.page(&board, None, 100).await.expect("asks SQL"), before);
    // A score that comes before the rebuild is not lost and not undone by it.
    let write = |player, value, source: &str| {
        [ScoreWrite::new(board.clone(), player, value, Operator::Best, source.into())]
    };
    submit(&stores, &write(fifty[3], 100, "b"), UnixMs(NOW.0 + 1000)).await;
    assert!(stores.ranks.keep_up(UnixMs(NOW.0 + 1000)).await.expect("heals"));
    assert!(!stores.ranks.keep_up(UnixMs(NOW.0 + 1000)).await.expect("is whole"));
    let healed = stores.db.board_page(&board, None, 100).await.expect("reads");
    assert_eq!(healed[0].standing.player, fifty[3]);
    assert_eq!(copied_page(&stores, &board, None, 100).await, Some(healed));

    // While Redis is away scores count; it is told when it is back, though whoever wrote them forgot.
    let servers = engine.servers.as_mut().expect("servers");
    servers.restart_redis();
    let lost = stores.db.write_scores(&write(fifty[4], 200, "c"), UnixMs(NOW.0 + 2000)).await;
    assert!(lost.expect("writes")[0].change().is_some());
    let healed = async {
        while !stores.ranks.keep_up(UnixMs(NOW.0 + 2000)).await.unwrap_or(false) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), healed).await.expect("the ranks heal after a restart");
    let rows = copied_page(&stores, &board, None, 3).await.expect("whole");
    assert_eq!(rows[0].standing.player, fifty[4]);
    // And of a change that a crash kept from the ranks, the outbox knows: who lives on takes it over after a moment,
    // in which whoever made it may still say so, and who starts takes it over at once.
    let (made, lag) = (UnixMs(NOW.0 + 3000), FORGOTTEN_AFTER.as_millis() as i64);
    let written = stores.db.write_scores(&write(fifty[5], 300, "d"), made).await;
    assert!(written.expect("writes")[0].change().is_some());
    stores.ranks.keep_up(UnixMs(made.0 + lag - 1)).await.expect("too early");
    assert_eq!(copied_page(&stores, &board, None, 1).await.expect("whole")[0].standing.player, fifty[4]);
    let servers = engine.servers.as_ref().expect("servers");
    let started = Stores::production(&servers.database_url(), &servers.redis_url(), 4).await.expect("starts");
    assert_eq!(copied_page(&started, &board, None, 1).await, None, "it has not looked yet");
    let first = started.ranks.page(&board, None, 1).await.expect("asks SQL");
    assert_eq!(first[0].standing.player, fifty[5]);
    started.ranks.keep_up(made).await.expect("at once");
    for stores in [&started, &stores] {
        let rows = copied_page(stores, &board, None, 1).await.expect("whole");
        assert_eq!(rows[0].standing.player, fifty[5]);
    }
    let written = stores.db.write_scores(&write(fifty[6], 400, "e"), made).await;
    assert!(written.expect("writes")[0].change().is_some());
    stores.ranks.keep_up(UnixMs(made.0 + lag)).await.expect("in time");
    let rows = copied_page(&stores, &board, None, 1).await.expect("whole");
    assert_eq!(rows[0].standing.player, fifty[6]);
    let left = stores.db.board_outbox(UnixMs(i64::MAX)).await.expect("reads");
    assert_eq!(left, [], "told rows are forgotten");
}

/// A second process on the same SQLite file sees what the first one counts, and a restart loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranks_in_memory_follow_the_file() {
    let engine = engines::embedded().await;
    let (board, three) = (BoardId::new("test", 0), players(&engine.stores, 3).await);
    let other = Stores::embedded(engine.folder.path()).await.expect("opens the same file");
    let write = |index: usize, value, source: &str| {
        [ScoreWrite::new(board.clone(), three[index], value, Operator::Add, source.into())]
    };
    submit(&engine.stores, &write(0, 5, "a"), NOW).await;
    assert_eq!(copied_page(&other, &board, None, 10).await, None, "not whole before it has read");
    assert!(other.ranks.keep_up(NOW).await.expect("reads"));
    submit(&engine.stores, &write(1, 7, "a"), NOW).await;
    submit(&other, &write(0, 5, "b"), NOW).await;
    for stores in [&engine.stores, &other] {
        assert!(!stores.ranks.keep_up(NOW).await.expect("follows"));
        let rows = copied_page(stores, &board, None, 10).await.expect("whole");
        assert_eq!(rows.iter().map(|row| row.standing.score).collect::<Vec<_>>(), [10, 7]);
    }
}

async fn submit(stores: &Stores, writes: &[ScoreWrite], now: UnixMs) -> Vec<Written> {
    let written = stores.db.write_scores(writes, now).await.expect("writes");
    let changes: Vec<_> = written.iter().filter_map(|written| written.change().cloned()).collect();
    stores.ranks.tell(&changes).await;
    written
}

/// What crossed on the way to the ranks meets here.
async fn settle(stores: &Stores) {
    stores.ranks.keep_up(UnixMs(NOW.0 + 60_000)).await.expect("keeps up");
}

async fn copied_page(
    stores: &Stores,
    board: &BoardId,
    after: Option<Standing>,
    limit: u64,
) -> Option<Vec<EntryRow>> {
    match stores.ranks.copy() {
        RankCopy::Memory(memory) => memory.page(board, after, limit),
        RankCopy::Redis(mirror) => mirror.page(board, after, limit).await.expect("reads"),
    }
}

async fn redis_command(engine: &Engine, command: &str) {
    let client = redis::Client::open(engine.servers.as_ref().expect("servers").redis_url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("connects");
    let () = redis::cmd(command).query_async(&mut connection).await.expect("an answer");
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
