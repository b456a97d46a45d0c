//! The whole journey, run as a newcomer runs it, with its figures looked at for sense.

mod support;

use std::{process::Command, time::Duration};

use support::Run;

const START: Duration = Duration::from_secs(30);

/// Three matches of eight, then the table: everybody stays connected, predictions hold, results are on the board.
#[test]
fn bots_are_matched_play_and_are_ranked() {
    let mut run = Run::start(&["--bots", "24", "--match-seconds", "15", "--for", "40s"]);
    let page = run.line("live view", START);
    let html = support::get(&page);
    assert!(html.contains("Tickwright"), "{html}");
    let status = run.end(Duration::from_secs(90));
    assert!(status.success(), "{status}: {}", run.said());
    let figures = run.figures();
    let number =
        |name: &str| figures[name].as_f64().unwrap_or_else(|| panic!("{name} is missing: {figures:#}"));
    assert!(number("matches_played") >= 3.0, "{figures:#}");
    assert_eq!(number("players"), 24.0);
    assert!(number("stays_in_party") >= 6.0, "one bot in four comes with another: {figures:#}");
    assert_eq!(number("disconnects"), 0.0, "{figures:#}");
    assert_eq!(figures["incidents"], serde_json::json!([]));
    assert!((50.0..90.0).contains(&number("rtt_p50_ms")), "60 ms and up to two ticks: {figures:#}");
    assert!(number("bytes_down_per_player_s") > 500.0, "snapshots flow: {figures:#}");
    assert!(number("bytes_down_per_player_s") <= 25_000.0, "{figures:#}");
    assert!(number("bytes_up_per_player_s") > 500.0, "inputs flow: {figures:#}");
    assert!(number("mispredictions_per_player_minute") <= 2.0, "{figures:#}");
    assert!(number("queue_wait_p50_s") < 10.0, "{figures:#}");
    assert!((20.0..200.0).contains(&number("reliable_p50_ms")), "{figures:#}");
    assert!(number("tick_p50_ms") > 0.0 && number("tick_p99_ms") < 16.7, "{figures:#}");
    let board = figures["leaderboard"].as_array().expect("a board");
    assert_eq!(board.len(), 10, "{figures:#}");
    let scores: Vec<i64> = board.iter().map(|row| row["score"].as_i64().expect("a score")).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(scores[0] > scores[9], "ratings moved: {scores:?}");
    assert!(run.said().contains("leaderboard"), "the table is printed too: {}", run.said());
}

/// Somebody waits while a match runs, and half of its players leave it: their seats are filled, and the match is played
/// to its end by others. With `--no-backfill` the seats stay empty.
#[test]
fn seats_of_those_who_leave_are_filled() {
    let args =
        ["--bots", "7", "--match-size", "4", "--match-seconds", "20", "--for", "45s", "--leavers", "50"];
    for (extra, filled) in [(&[][..], true), (&["--no-backfill"][..], false)] {
        let mut run = Run::start(&[&args[..], extra].concat());
        let status = run.end(Duration::from_secs(90));
        assert!(status.success(), "{status}: {}", run.said());
        let figures = run.figures();
        let number = |name: &str| figures[name].as_f64().unwrap_or_else(|| panic!("{name}: {figures:#}"));
        assert!(number("left_early") >= 1.0, "{figures:#}");
        assert_eq!(number("seats_filled") >= 1.0, filled, "{figures:#}");
        assert_eq!(number("disconnects"), 0.0, "{figures:#}");
        assert!((50.0..150.0).contains(&number("region_p50_ms")), "60 ms of simulated network: {figures:#}");
    }
}

/// Own movement on a network that loses nothing and never varies is predicted exactly.
#[test]
fn without_loss_own_movement_is_never_mispredicted() {
    let args = ["--bots", "8", "--match-seconds", "10", "--for", "20s", "--profile", "lan"];
    let mut run = Run::start(&args);
    let status = run.end(Duration::from_secs(80));
    assert!(status.success(), "{status}: {}", run.said());
    let figures = run.figures();
    assert!(figures["matches_played"].as_u64().is_some_and(|n| n >= 1), "{figures:#}");
    assert!(figures["mispredictions_per_player_minute"].as_f64().is_some_and(|n| n < 0.5), "{figures:#}");
}

/// Two runs side by side share nothing: each has its ports, its folder, its players.
#[test]
fn a_second_run_beside_the_first_works() {
    let args = ["--bots", "8", "--match-seconds", "6", "--for", "16s"];
    let mut first = Run::start(&args);
    let mut second = Run::start(&args);
    for run in [&mut first, &mut second] {
        let status = run.end(Duration::from_secs(90));
        assert!(status.success(), "{status}: {}", run.said());
        assert!(run.figures()["matches_played"].as_u64().is_some_and(|n| n >= 1), "{:#}", run.figures());
    }
}

/// `bots swarm --backend` plays the whole journey against services that somebody else runs.
#[test]
fn a_swarm_joins_through_a_backend_that_already_runs() {
    let mut run = Run::start(&["--bots", "8", "--match-seconds", "6", "--for", "26s"]);
    let backend = run.line("backend", START);
    let json = run.state.with_file_name("swarm.json");
    let swarm = Command::new(env!("CARGO_BIN_EXE_bots"))
        .args([
            "swarm",
            "--backend",
            &backend,
            "--count",
            "8",
            "--profile",
            "broadband",
            "--for",
            "14s",
            "--json",
        ])
        .arg(&json)
        .output()
        .expect("bots starts");
    assert!(swarm.status.success(), "{}", String::from_utf8_lossy(&swarm.stderr));
    let figures: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).expect("figures")).expect("JSON");
    assert!(figures["matches_played"].as_u64().is_some_and(|n| n >= 1), "{figures:#}");
    assert_eq!(figures["disconnects"], 0, "{figures:#}");
    assert!(run.end(Duration::from_secs(90)).success(), "{}", run.said());
}
