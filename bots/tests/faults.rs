//! What a launch day does: servers and the backend killed, floods, Ctrl-C at any moment.

mod support;

use std::{collections::BTreeSet, net::UdpSocket, time::Duration};

use serde_json::Value;
use support::{Run, all_gone, find, get, wait};

const START: Duration = Duration::from_secs(30);

fn servers(run: &Run) -> Vec<Value> {
    let page =
        std::fs::read_to_string(run.state.join("page.url")).expect("the page's address is written down");
    let list: Value = serde_json::from_str(&get(&format!("{}servers.json", page.trim()))).expect("a list");
    list.as_array().expect("a list").clone()
}

fn in_state(servers: &[Value], state: &str) -> usize {
    servers.iter().filter(|server| server["state"] == state).count()
}

/// A game server dies by SIGKILL in mid-match: its players go back to the queue and play again, the fleet is back at
/// strength.
#[test]
fn a_killed_server_costs_its_match_and_nothing_else() {
    let args = ["--bots", "16", "--match-seconds", "12", "--for", "45s", "--leavers", "0"];
    let mut run = Run::start(&args);
    run.line("live view", START);
    wait("two matches", START, || in_state(&servers(&run), "Allocated") == 2);
    let before = find(run.pid(), "arena-server");
    let busy = servers(&run)
        .iter()
        .find(|server| server["state"] == "Allocated")
        .and_then(|server| server["pid"].as_u64())
        .expect("an allocated server with a pid");
    support::kill(u32::try_from(busy).expect("a pid"), "KILL");
    wait("the fleet to be back at strength", START, || find(run.pid(), "arena-server").len() >= before.len());
    let status = run.end(Duration::from_secs(90));
    assert!(status.success(), "{status}: {}", run.said());
    let figures = run.figures();
    assert_eq!(figures["disconnects"], 8, "the eight of the lost match, each once: {figures:#}");
    assert!(figures["matches_played"].as_u64().is_some_and(|n| n >= 3), "they play on: {figures:#}");
}

/// The backend dies by SIGKILL, twice: accounts, ratings and boards are there afterwards and matches go on.
#[test]
fn a_killed_backend_forgets_nothing() {
    let mut run = Run::start(&["--bots", "16", "--match-seconds", "8", "--for", "45s"]);
    run.line("live view", START);
    for _ in 0..2 {
        wait("two matches", START, || in_state(&servers(&run), "Allocated") == 2);
        let backend = find(run.pid(), "role backend");
        assert_eq!(backend.len(), 1);
        support::kill(backend[0], "KILL");
        run.line("survived", START);
    }
    let status = run.end(Duration::from_secs(90));
    assert!(status.success(), "{status}: {}", run.said());
    let figures = run.figures();
    assert_eq!(figures["disconnects"], 0, "players in a match do not notice: {figures:#}");
    assert!(figures["matches_played"].as_u64().is_some_and(|n| n >= 3), "{figures:#}");
    assert_eq!(figures["leaderboard"].as_array().map(Vec::len), Some(10), "{figures:#}");
    assert_eq!(figures["incidents"].as_array().map(Vec::len), Some(2), "{figures:#}");
}

/// The fleet dies by SIGKILL: its servers see it and leave, it is started again with new ones, and players play on.
#[test]
fn a_killed_fleet_is_started_again_with_new_servers() {
    let mut run = Run::start(&["--bots", "8", "--match-seconds", "8", "--for", "40s", "--leavers", "0"]);
    run.line("live view", START);
    wait("a match", START, || in_state(&servers(&run), "Allocated") == 1);
    let before: BTreeSet<u32> = find(run.pid(), "arena-server").into_iter().collect();
    let fleet = find(run.pid(), "role fleet");
    assert_eq!(fleet.len(), 1);
    support::kill(fleet[0], "KILL");
    all_gone(&before, Duration::from_secs(20));
    run.line("survived", START);
    let status = run.end(Duration::from_secs(90));
    assert!(status.success(), "{status}: {}", run.said());
    let figures = run.figures();
    assert_eq!(figures["disconnects"], 8, "the eight of the lost match, each once: {figures:#}");
    assert!(figures["matches_played"].as_u64().is_some_and(|n| n >= 1), "they play on: {figures:#}");
}

/// Servers, the fleet (with every sidecar), the backend and the autoscaler die by SIGKILL in random order, one after
/// another: the fleet is back at strength each time, nobody stays in a match without a server, and what players were told
/// is there at the end. `bots chaos` alone does the same for ten minutes under 64 bots.
#[test]
fn chaos_costs_time_and_nothing_else() {
    let args =
        ["chaos", "--for", "45s", "--bots", "16", "--match-seconds", "5", "--pause", "3s", "--seed", "7"];
    let mut run = Run::start(&args);
    let status = run.end(Duration::from_secs(150));
    assert!(status.success(), "{status}: {}", run.said());
    let figures = run.figures();
    assert_eq!((&figures["held"], &figures["faults"]), (&true.into(), &serde_json::json!([])), "{figures:#}");
    let times = |killed: &str| {
        let rows = figures["recoveries"].as_array().expect("rows");
        rows.iter().find(|row| row["killed"] == killed).and_then(|row| row["times"].as_u64()).expect(killed)
    };
    assert!(times("server") >= 1 && times("fleet") >= 1 && times("backend") >= 1, "{figures:#}");
    assert_eq!(figures["audit"]["accounts"], 16, "{figures:#}");
    assert!(figures["audit"]["results"].as_u64().is_some_and(|told| told >= 8), "{figures:#}");
    assert!(run.said().contains("everything held"), "{}", run.said());
}

/// Ctrl-C at moments spread over the life of a run: no process stays, the exit is clean.
#[test]
fn ctrl_c_at_any_moment_leaves_nothing_behind() {
    for after_ms in [30, 400, 1500, 4000, 9000] {
        let mut run = Run::start(&["--bots", "8", "--match-seconds", "6"]);
        std::thread::sleep(Duration::from_millis(after_ms));
        let children = run.descendants();
        run.signal("INT");
        let status = run.end(Duration::from_secs(30));
        assert!(status.success(), "after {after_ms} ms: {status}: {}", run.said());
        all_gone(&children, Duration::from_secs(5));
    }
}

/// The command itself dies by SIGKILL: its children see it and leave.
#[test]
fn a_killed_command_takes_its_children_along() {
    let mut run = Run::start(&["--bots", "8", "--match-seconds", "30"]);
    run.line("live view", START);
    wait("a match", START, || in_state(&servers(&run), "Allocated") == 1);
    let children = run.descendants();
    assert!(children.len() >= 4, "backend, fleet, servers: {children:?}");
    run.signal("KILL");
    all_gone(&children, Duration::from_secs(20));
}

/// Ten seconds of garbage at every server's UDP port: nobody is disconnected, no server dies.
#[test]
fn a_garbage_flood_disturbs_nobody() {
    let mut run = Run::start(&["--bots", "8", "--match-seconds", "20", "--for", "34s"]);
    run.line("live view", START);
    wait("a match", START, || in_state(&servers(&run), "Allocated") == 1);
    let before: BTreeSet<u32> = find(run.pid(), "arena-server").into_iter().collect();
    let ports: Vec<u16> = servers(&run)
        .iter()
        .map(|server| server["port"].as_u64().and_then(|p| u16::try_from(p).ok()).expect("a UDP port"))
        .collect();
    flood(&ports, Duration::from_secs(10));
    // The autoscaler may have asked for more meanwhile; none of these may be gone.
    let after: BTreeSet<u32> = find(run.pid(), "arena-server").into_iter().collect();
    assert!(after.is_superset(&before), "the same servers still run: {before:?}, then {after:?}");
    let status = run.end(Duration::from_secs(90));
    assert!(status.success(), "{status}: {}", run.said());
    let figures = run.figures();
    assert_eq!(figures["disconnects"], 0, "{figures:#}");
    assert!(figures["matches_played"].as_u64().is_some_and(|n| n >= 1), "{figures:#}");
}

/// Sends about 20 000 datagrams a second: random bytes, every packet type in front, every length.
fn flood(ports: &[u16], length: Duration) {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    let mut random = fastrand::Rng::with_seed(99);
    let mut bytes = [0_u8; 1300];
    let until = std::time::Instant::now() + length;
    while std::time::Instant::now() < until {
        for _ in 0..20 {
            random.fill(&mut bytes);
            bytes[0] = random.u8(..) & 0x97;
            let len = random.usize(0..bytes.len());
            for port in ports {
                // A refused datagram (the server may be between matches) is what a flood would see too.
                let _refused = socket.send_to(&bytes[..len], ("127.0.0.1", *port));
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
