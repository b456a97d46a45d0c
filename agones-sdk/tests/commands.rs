//! The commands as a shell meets them: ready lines, exit codes, signals, the end of standard input.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

#[path = "../examples/conformance.rs"]
mod conformance;

const SOON: Duration = Duration::from_secs(20);

fn start(program: &str, args: &[&str]) -> (Child, Value) {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready["ready"], true);
    (child, ready)
}

fn start_fleet(folder: &TempDir, flags: &[&str]) -> (Child, Value) {
    let mut args = vec!["--name", "arena", "--buffer", "2", "--state", folder.path().to_str().unwrap()];
    args.extend(flags);
    args.extend(["--", env!("CARGO_BIN_EXE_fake-server"), "--port", "{port}"]);
    start(env!("CARGO_BIN_EXE_fleet"), &args)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn wait<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + SOON;
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < give_up, "no {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn exit_code(child: &mut Child) -> Option<i32> {
    wait("exit", || child.try_wait().unwrap()).code()
}

fn get(ready: &Value, path: &str) -> Value {
    let url = format!("http://{}{path}", ready["http"].as_str().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() })
}

/// The fleet's processes, once two servers are Ready.
fn ready_pids(ready: &Value) -> Vec<u64> {
    wait("two ready servers", || {
        let servers = get(ready, "/gameservers.json");
        let servers = servers.as_array().unwrap();
        let all_ready = servers.len() == 2 && servers.iter().all(|server| server["state"] == "Ready");
        all_ready.then(|| servers.iter().map(|server| server["pid"].as_u64().unwrap()).collect())
    })
}

fn wait_until_gone(pids: &[u64]) {
    wait("end of the servers", || {
        let stat = |pid: &u64| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let alive = |pid| stat(pid).rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'));
        (!pids.iter().any(alive)).then_some(())
    });
}

#[test]
fn sigterm_drains_a_fleet() {
    let folder = TempDir::new().unwrap();
    let (mut fleet, ready) = start_fleet(&folder, &[]);
    let pids = ready_pids(&ready);
    signal(&fleet, Signal::TERM);
    assert_eq!(exit_code(&mut fleet), Some(0));
    wait_until_gone(&pids);
}

#[test]
fn the_end_of_standard_input_drains_a_fleet() {
    let folder = TempDir::new().unwrap();
    let (mut fleet, ready) = start_fleet(&folder, &["--exit-with-parent"]);
    let pids = ready_pids(&ready);
    drop(fleet.stdin.take());
    assert_eq!(exit_code(&mut fleet), Some(0));
    wait_until_gone(&pids);
}

#[test]
fn a_killed_fleet_leaves_no_orphans() {
    let folder = TempDir::new().unwrap();
    let (mut fleet, ready) = start_fleet(&folder, &[]);
    let pids = ready_pids(&ready);
    signal(&fleet, Signal::KILL);
    assert_eq!(exit_code(&mut fleet), None);
    wait_until_gone(&pids);
}

#[test]
fn a_sidecar_says_where_it_is_and_ends_on_sigint() {
    let (mut sidecar, ready) =
        start(env!("CARGO_BIN_EXE_sidecar"), &["--grpc-port", "0", "--http-port", "0"]);
    assert_eq!(get(&ready, "/gameserver")["object_meta"]["name"], "local");
    signal(&sidecar, Signal::INT);
    assert_eq!(exit_code(&mut sidecar), Some(0));
}

/// Runs our own client through `calls` against a sidecar in conformance mode; the sidecar's exit code and last word.
fn conform(
    expected: &str,
    flags: &[&str],
    calls: impl AsyncFnOnce(agones_sdk::client::Sdk),
) -> (Option<i32>, Value) {
    let program = env!("CARGO_BIN_EXE_sidecar");
    let args = ["--grpc-port", "0", "--http-port", "0", "--test", expected, "--timeout", "60"];
    let mut child = Command::new(program)
        .args(args)
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ready: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    let endpoint = format!("http://{}", ready["grpc"].as_str().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = agones_sdk::client::ConnectOptions::new(endpoint);
        calls(agones_sdk::client::Sdk::connect(options).await.unwrap()).await;
    });
    signal(&child, Signal::TERM);
    let last = serde_json::from_str(&lines.next().unwrap()).unwrap();
    (exit_code(&mut child), last)
}

#[test]
fn our_client_passes_the_conformance_mode() {
    let (code, last) = conform(conformance::CALLS, &[], async |sdk| conformance::play(&sdk).await.unwrap());
    assert_eq!((code, &last["conformant"]), (Some(0), &true.into()), "{last}");
    let all = format!("{},{}", conformance::CALLS, conformance::PLAYER_CALLS);
    let gate = ["--feature-gates", "PlayerTracking=true", "--sdk-name", "tickwright"];
    let (code, last) = conform(&all, &gate, async |sdk| {
        conformance::track(&sdk).await.unwrap();
        conformance::play(&sdk).await.unwrap();
    });
    assert_eq!(
        (code, &last["conformant"], &last["sdk"]),
        (Some(0), &true.into(), &"tickwright".into()),
        "{last}"
    );
}

#[test]
fn a_call_too_few_or_too_many_or_with_the_wrong_proof_fails() {
    let (code, last) = conform("ready,health", &[], async |sdk| sdk.ready().await.unwrap());
    assert_eq!((code, &last["missing"]), (Some(1), &serde_json::json!(["health"])), "{last}");
    let (code, last) = conform("ready", &[], async |sdk| {
        sdk.ready().await.unwrap();
        sdk.game_server().await.unwrap();
    });
    assert_eq!((code, &last["unexpected"]), (Some(1), &serde_json::json!(["gameserver"])), "{last}");
    let (code, last) =
        conform("setannotation", &[], async |sdk| sdk.set_annotation("a", "1234").await.unwrap());
    assert_eq!((code, &last["missing"]), (Some(1), &serde_json::json!(["setannotation"])), "{last}");
}

#[test]
fn a_sidecar_in_a_pod_waits_for_its_servers_end_and_is_probed() {
    let args = ["--managed", "--grpc-port", "0", "--http-port", "0", "--health-port", "0"];
    let (mut sidecar, ready) = start(env!("CARGO_BIN_EXE_sidecar"), &args);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let probe = |path: &str| {
        let url = format!("http://{}{path}", ready["health"].as_str().unwrap());
        runtime.block_on(async { reqwest::get(url).await.unwrap().status().as_u16() })
    };
    assert_eq!((probe("/healthz"), probe("/gshealthz")), (200, 200));
    signal(&sidecar, Signal::TERM);
    let endpoint = format!("http://{}", ready["grpc"].as_str().unwrap());
    runtime.block_on(async {
        let options = agones_sdk::client::ConnectOptions::new(endpoint);
        let sdk = agones_sdk::client::Sdk::connect(options).await.unwrap();
        // What is asked for shows up half a second later, as at the real one.
        sdk.ready().await.unwrap();
        assert_eq!(sdk.game_server().await.unwrap().state(), Some(agones_sdk::State::Scheduled));
        let mut watch = sdk.watch();
        while watch.next().await.state() != Some(agones_sdk::State::Ready) {}
        assert!(sidecar.try_wait().unwrap().is_none(), "its server lives");
        sdk.shutdown().await.unwrap();
    });
    assert_eq!(exit_code(&mut sidecar), Some(0));
}

#[test]
fn a_sidecar_ends_at_its_timeout() {
    let args = ["--grpc-port", "0", "--http-port", "0", "--timeout", "1", "--test", "ready"];
    let (mut child, _) = start(env!("CARGO_BIN_EXE_sidecar"), &args);
    assert_eq!(exit_code(&mut child), Some(1));
}

#[test]
fn a_sidecar_follows_its_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("gs.yaml");
    let write = |text: &str| {
        // As editors do it: whole, and then moved into place.
        let fresh = folder.path().join("gs.yaml.new");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(&fresh, &path).unwrap();
    };
    write("metadata: {name: mine, labels: {mode: dm}}\nstatus: {state: Ready}\n");
    let args = ["--grpc-port", "0", "--http-port", "0", "--file", path.to_str().unwrap()];
    let (mut child, ready) = start(env!("CARGO_BIN_EXE_sidecar"), &args);
    assert_eq!(get(&ready, "/gameserver")["object_meta"]["labels"]["mode"], "dm");
    let endpoint = format!("http://{}", ready["grpc"].as_str().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = agones_sdk::client::ConnectOptions::new(endpoint);
        let sdk = agones_sdk::client::Sdk::connect(options).await.unwrap();
        let mut watch = sdk.watch();
        assert_eq!(watch.next().await.name(), "mine");
        // What is no object changes nothing; what comes after it does.
        write("status: {state: Reddy}\n");
        write(
            "metadata: {name: mine}\nspec: {counters: {rooms: {capacity: 4}}}\nstatus: {state: Allocated}\n",
        );
        let server = tokio::time::timeout(SOON, watch.next()).await.unwrap();
        assert_eq!(server.state(), Some(agones_sdk::State::Allocated));
        assert_eq!(sdk.counter("rooms").await.unwrap().capacity, 4);
    });
    signal(&child, Signal::INT);
    assert_eq!(exit_code(&mut child), Some(0));
}

#[test]
fn what_cannot_be_is_one_line_and_a_code() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (fleet, sidecar) = (env!("CARGO_BIN_EXE_fleet"), env!("CARGO_BIN_EXE_sidecar"));
    let check = |program: &str, args: &[&str], expected: &str| {
        let output = Command::new(program).args(args).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(expected) && text.lines().count() == 1, "{text}");
        assert_eq!(output.status.code(), Some(2));
    };
    check(fleet, &["--nonsense"], "--nonsense");
    check(fleet, &["--state", "/tmp"], "COMMAND");
    check(fleet, &["--state", "/proc/nowhere", "--", "sh"], "/proc/nowhere cannot be written");
    check(fleet, &["--state", "/tmp", "--", "no-such-program"], "no-such-program");
    check(fleet, &["--state", "/tmp", "--max", "1", "--", "sh"], "max must be at least the buffer (2)");
    check(sidecar, &["--grpc-port", &port, "--http-port", "0"], &port);
    check(sidecar, &["--test", "reddy"], "reddy");
    check(sidecar, &["--file", "/no/such/file"], "cannot read /no/such/file");
}
