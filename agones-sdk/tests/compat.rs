//! Official clients against our sidecar, outside the workspace's dependency graph. What cannot be fetched is named on
//! standard error, past the test harness: nothing is left out in silence.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[path = "../examples/conformance.rs"]
mod conformance;

/// Runs `client` with a sidecar in conformance mode; panics unless both are content. With `players` the gate of player
/// tracking is open and its calls are expected too; without, it is closed, as it is upstream.
fn conform(mut client: Command, players: bool) {
    let calls = match players {
        false => conformance::CALLS.to_owned(),
        true => format!("{},{}", conformance::CALLS, conformance::PLAYER_CALLS),
    };
    let mut sidecar = Command::new(env!("CARGO_BIN_EXE_sidecar"))
        .args(["--grpc-port", "0", "--http-port", "0", "--timeout", "120", "--test", &calls])
        .env("FEATURE_GATES", format!("PlayerTracking={players}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(sidecar.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ready: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    let (_, port) = ready["grpc"].as_str().unwrap().rsplit_once(':').unwrap();
    // Not localhost: the sidecar listens on IPv4, and some resolvers name IPv6 first.
    client.env("AGONES_SDK_GRPC_HOST", "http://127.0.0.1");
    client.args(players.then_some("players"));
    let output = client.env("AGONES_SDK_GRPC_PORT", port).output().unwrap();
    kill_process(Pid::from_child(&sidecar), Signal::TERM).unwrap();
    let last = lines.next().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(sidecar.wait().unwrap().success(), "{last}");
}

/// Says what was not run, and why. Not eprintln: the harness would keep it to itself.
fn not_run(what: &str, why: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "\nNOT RUN: {what} 1.61.0 against our sidecar ({why})\n").unwrap();
}

/// The folder with the package and what it needs, fetched by `npm ci`; the error says why not.
fn node_client() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/node");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compat-node");
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["package.json", "package-lock.json", "run.mjs"] {
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    if folder.join("node_modules/@google-cloud/agones-sdk").is_dir() {
        return Ok(folder);
    }
    let fetch =
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000"];
    succeed("npm", Command::new("npm").args(fetch).current_dir(&folder)).map(|()| folder)
}

/// The Rust client, built once into the tests' own folder: its graph has another gRPC than ours.
fn rust_client() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/rust");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compat-rust");
    let protoc = Command::new("protoc").arg("--version").stdout(Stdio::null()).status();
    protoc.map_err(|error| format!("protoc, which its build needs: {error}"))?;
    let mut fetch = Command::new(env!("CARGO"));
    succeed("cargo fetch", fetch.args(["fetch", "--locked"]).current_dir(&source))?;
    // From here on a failure is one: everything that it takes is there.
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "--offline", "--target-dir"]).arg(&folder).current_dir(&source);
    succeed("cargo build", &mut build).unwrap();
    Ok(folder.join("debug/agones-compat"))
}

/// Runs it; the error is what it said.
fn succeed(name: &str, command: &mut Command) -> Result<(), String> {
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

#[test]
fn the_official_node_client_gets_what_it_is_documented_to_get() {
    let folder = match node_client() {
        Ok(folder) => folder,
        Err(why) => return not_run("npm package @google-cloud/agones-sdk", &why),
    };
    for players in [false, true] {
        let mut node = Command::new("node");
        node.arg("run.mjs").current_dir(&folder);
        conform(node, players);
    }
}

#[test]
fn the_official_rust_client_gets_what_it_is_documented_to_get() {
    match rust_client() {
        Ok(client) => [false, true].map(|players| conform(Command::new(&client), players)),
        Err(why) => [not_run("crate agones", &why), ()],
    };
}
