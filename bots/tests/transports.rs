//! A short match over each transport, with real processes: a dedicated server and a swarm, both told by `--transport`.

mod support;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use futures_util::StreamExt;
use serde_json::Value;
use support::Run;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const BOTS: usize = 4;
const WITHIN: Duration = Duration::from_secs(60);

/// A dedicated server, killed when the test ends early.
struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    udp: String,
    admin: String,
}

impl Server {
    fn start(transport: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bots"))
            .args(["role", "arena-server", "--", "--transport", transport])
            .args(["--standalone", "--seconds", "6", "--bind", "127.0.0.1", "--key", KEY])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout was piped")).lines();
        let ready = json(&mut lines, "ready");
        let text = |name: &str| ready[name].as_str().expect("an address").to_owned();
        Self { udp: text("udp"), admin: text("admin"), child, lines }
    }

    /// What it says of itself once the match is over.
    fn last_words(&mut self) -> Value {
        let last = json(&mut self.lines, "final");
        let status = self.child.wait().expect("its status can be asked");
        assert!(status.success(), "{status}");
        last["final"].clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The next line that is an object with this field.
fn json(lines: &mut Lines<BufReader<ChildStdout>>, field: &str) -> Value {
    let mut objects =
        lines.map_while(Result::ok).filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    objects.find(|object| !object[field].is_null()).unwrap_or_else(|| panic!("it never said '{field}'"))
}

/// Where every player's ship was seen on the server, over some pictures of the live view.
fn sightings(admin: &str) -> BTreeMap<String, Vec<(f64, f64)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (mut live, _) =
            tokio_tungstenite::connect_async(format!("ws://{admin}/live")).await.expect("live view");
        let mut seen = BTreeMap::<String, Vec<(f64, f64)>>::new();
        for _ in 0..200 {
            let message = live.next().await.expect("more pictures").expect("a picture");
            let Ok(picture) = serde_json::from_str::<Value>(message.to_text().unwrap_or_default()) else {
                continue;
            };
            for shape in picture["shapes"].as_array().into_iter().flatten() {
                if let (Some(player), Some(x), Some(y)) =
                    (shape["player"].as_str(), shape["x"].as_f64(), shape["y"].as_f64())
                {
                    seen.entry(player.to_owned()).or_default().push((x, y));
                }
            }
            if seen.len() == BOTS && seen.values().all(|places| places.len() >= 20) {
                break;
            }
        }
        seen
    })
}

/// Four bots play a match of six seconds: everybody stays to its end, moves, is told the result, and leaves in order.
fn a_match_is_played(transport: &str) {
    let mut server = Server::start(transport);
    let swarm =
        ["swarm", "--server", &server.udp, "--key", KEY, "--transport", transport, "--profile", "broadband"];
    let mut bots = Run::plain(&[&swarm[..], &["--count", "4", "--for", "9s"]].concat());
    let seen = sightings(&server.admin);
    assert_eq!(seen.len(), BOTS, "{transport}: {:?}", seen.keys());
    for (player, places) in &seen {
        let moved = places.iter().any(|place| place.0.hypot(place.1) > 0.0 && *place != places[0]);
        assert!(moved, "{transport}: player {player} stood still");
    }
    let last = server.last_words();
    let status = bots.end(WITHIN);
    assert!(status.success(), "{transport}: {status}: {}", bots.said());
    let figures = bots.figures();
    let number =
        |name: &str| figures[name].as_f64().unwrap_or_else(|| panic!("{name} is missing: {figures:#}"));
    assert_eq!(figures["incidents"], serde_json::json!([]), "{transport}");
    assert_eq!(number("disconnects"), 0.0, "{transport}: {figures:#}");
    assert_eq!(number("players"), BOTS as f64);
    assert!(number("player_minutes") > 0.25, "{transport}: {figures:#}");
    assert!(number("bytes_down_per_player_s") > 500.0, "{transport}: snapshots flow: {figures:#}");
    assert!(number("bytes_up_per_player_s") > 500.0, "{transport}: inputs flow: {figures:#}");
    // 20 ms of road, and up to a tick at each end and in each half.
    assert!((15.0..120.0).contains(&number("rtt_p50_ms")), "{transport}: {figures:#}");
    assert!(number("reliable_p50_ms") > 0.0, "{transport}: reliable messages are answered: {figures:#}");
    let count = |name: &str| last[name].as_u64().unwrap_or_else(|| panic!("{name} is missing: {last:#}"));
    assert_eq!((count("matches_played"), count("matches_voided")), (1, 0), "{transport}: {last:#}");
    assert_eq!((count("disconnects"), count("players_connected")), (0, 0), "{transport}: {last:#}");
    assert!(
        count("reliable_messages_total") >= BOTS as u64,
        "{transport}: all were told the result: {last:#}"
    );
}

#[test]
fn a_match_over_udp() {
    a_match_is_played("udp");
}

#[test]
fn a_match_over_websocket() {
    a_match_is_played("websocket");
}

#[test]
fn a_match_over_renet() {
    a_match_is_played("renet");
}

#[test]
fn a_match_over_laminar() {
    a_match_is_played("laminar");
}

/// Ends that do not speak the same say so, each in its way, and nobody gets in.
#[test]
fn ends_of_different_transports_never_meet() {
    let server = Server::start("renet");
    let swarm = ["swarm", "--server", &server.udp, "--key", KEY, "--transport", "laminar", "--count", "1"];
    let mut bots = Run::plain(&[&swarm[..], &["--for", "3s"]].concat());
    assert!(!bots.end(WITHIN).success(), "{}", bots.said());
    let status: Value =
        serde_json::from_str(&support::get(&format!("http://{}/status.json", server.admin))).unwrap();
    assert_eq!(status["players_connected"], 0, "{status:#}");
}
