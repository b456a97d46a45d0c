//! Wrong flags, a taken port, an unwritable folder: one clear line and an exit code that is not 0.

use std::{
    net::TcpListener,
    process::{Command, Output},
};

fn bots(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bots")).args(args).output().expect("bots starts")
}

/// Runs, expects a failure, and expects `words` in what it says.
fn check(args: &[&str], words: &[&str]) {
    let output = bots(args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{args:?} was taken");
    for word in words {
        assert!(said.contains(word), "{args:?} should speak of '{word}', it said: {said}");
    }
    assert!(!said.contains("panicked"), "{args:?}: {said}");
}

#[test]
fn wrong_flags_are_named() {
    check(&["--match-seconds", "0"], &["--match-seconds", "5..=3600"]);
    check(&["--for", "90"], &["--for", "unit"]);
    check(&["--profile", "dsl"], &["--profile", "dsl", "broadband"]);
    check(&["--bots", "many"], &["--bots", "many"]);
    check(&["--colour"], &["--colour"]);
    check(&["--transport", "pigeon"], &["--transport", "pigeon", "udp", "websocket", "renet", "laminar"]);
    check(&["swarm"], &["--server"]);
    check(&["swarm", "--server", "127.0.0.1:1"], &["--key"]);
    check(&["swarm", "--server", "127.0.0.1:1", "--key", "abc"], &["--key", "64 hex digits"]);
}

#[test]
fn a_file_that_is_no_recording_is_told_in_one_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "dear diary").unwrap();
    let path = file.path().to_str().unwrap();
    check(&["replay", path], &[path, "no recording"]);
    check(&["replay", path, "--verify"], &[path, "no recording"]);
    check(&["replay", "/nowhere/at/all.twrec"], &["/nowhere/at/all.twrec"]);
    check(&["replay", path, "--speed", "0"], &["--speed", "0.01 to 100"]);
}

#[test]
fn a_taken_port_is_told_in_one_line() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let state = tempfile::tempdir().unwrap();
    let state = state.path().to_str().unwrap();
    check(&["--port", &port, "--state", state], &[&port, "in use"]);
    check(&["--backend-port", &port, "--state", state], &[&port, "in use"]);
}

#[test]
fn an_unwritable_folder_is_told_in_one_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below_a_file = file.path().join("state");
    check(&["--state", below_a_file.to_str().unwrap()], &["state folder", below_a_file.to_str().unwrap()]);
    check(&["--json", below_a_file.to_str().unwrap()], &["cannot write", below_a_file.to_str().unwrap()]);
}

/// A swarm against nobody says that nobody answered, and fails.
#[test]
fn a_swarm_without_a_server_fails_and_says_why() {
    let nobody = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    let key = "11".repeat(32);
    check(
        &["swarm", "--server", &address, "--key", &key, "--count", "2", "--for", "13s"],
        &["none of the 2 bots"],
    );
}
