//! Secrets in log lines: the whole journey at its most talkative, and none of its secrets in anything that it wrote.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const ADMIN_TOKEN: &str = "admin-token-of-the-secrets-test";
const DEVICE_SECRET: &str = "device-secret-of-the-secrets-test-0123456789";

/// A call of the REST API.
async fn call(method: reqwest::Method, url: String, token: Option<&str>, body: Option<Value>) -> Value {
    let mut request = reqwest::Client::new().request(method, &url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    assert!(status.is_success(), "{url}: {status}");
    answer.json().await.unwrap()
}

/// One player's secrets: from the account to the connect token of a match with bots in it.
async fn play(api: &str) -> BTreeMap<&'static str, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let who = json!({ "device_secret": DEVICE_SECRET, "display_name": "watcher" });
    let post = reqwest::Method::POST;
    let first = call(post.clone(), format!("{api}/v1/auth/guest/register"), None, Some(who)).await;
    let again = json!({ "device_secret": DEVICE_SECRET });
    let second = call(post.clone(), format!("{api}/v1/auth/guest/login"), None, Some(again)).await;
    let token = text(&second["access_token"]);
    let wish = json!({ "mode": "arena" });
    let ticket = call(post.clone(), format!("{api}/v1/matchmaking/tickets"), Some(&token), Some(wish)).await;
    let url = format!("{api}/v1/matchmaking/tickets/{}?wait_ms=5000", text(&ticket["ticket_id"]));
    let deadline = Instant::now() + Duration::from_secs(120);
    let matched = loop {
        let ticket = call(reqwest::Method::GET, url.clone(), Some(&token), None).await;
        if ticket["status"] == "matched" {
            break ticket;
        }
        assert!(Instant::now() < deadline, "no match: {ticket}");
        if ticket["status"] == "ready_check" && ticket["ready_check"]["accepted"] == false {
            let yes = json!({ "accept": true, "check_id": ticket["ready_check"]["check_id"] });
            call(post.clone(), url.replace("?wait_ms=5000", "/ready"), Some(&token), Some(yes)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let refresh = json!({ "refresh_token": text(&second["refresh_token"]) });
    let third = call(post, format!("{api}/v1/auth/refresh"), None, Some(refresh)).await;
    [
        ("device secret", DEVICE_SECRET.to_owned()),
        ("access token of the registration", text(&first["access_token"])),
        ("refresh token of the registration", text(&first["refresh_token"])),
        ("access token", token),
        ("refresh token", text(&second["refresh_token"])),
        ("access token of the refresh", text(&third["access_token"])),
        ("refresh token of the refresh", text(&third["refresh_token"])),
        ("connect token", text(&matched["match"]["connect_token"])),
    ]
    .into()
}

/// Every log file below `folder`, with its text.
fn logs(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(logs(&path));
        } else if path.extension().is_some_and(|end| end == "log") {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            all.push((path.display().to_string(), text));
        }
    }
    all
}

/// What a process was given in its environment.
fn variable(pid: u32, name: &str) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let pairs = environment.split(|byte| *byte == 0).map(|pair| String::from_utf8_lossy(pair).into_owned());
    pairs
        .filter_map(|pair| {
            Some(pair.split_once('=')?.1.to_owned()).filter(|_| pair.starts_with(&format!("{name}=")))
        })
        .next()
}

#[test]
fn no_secret_is_in_any_log_line() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_bots"))
        .args(["--bots=7", "--match-size=8", "--match-seconds=8", "--for=5m", "--leavers=0"])
        .arg(format!("--backend-port={port}"))
        .arg("--state")
        .arg(&state)
        .env("RUST_LOG", "trace")
        .env("TICKWRIGHT_LOG", "trace")
        .env("TICKWRIGHT_ADMIN_TOKEN", ADMIN_TOKEN)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(folder.path().join("out.log")).unwrap())
        .stderr(std::fs::File::create(folder.path().join("err.log")).unwrap())
        .spawn()
        .unwrap();
    let api = format!("http://127.0.0.1:{port}");
    support::wait("the backend answers", Duration::from_secs(60), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut secrets = runtime.block_on(play(&api));
    for name in ["TICKWRIGHT_KEY", "TICKWRIGHT_SERVICE_TOKEN"] {
        let found = support::descendants(demo.id()).into_iter().find_map(|pid| variable(pid, name));
        secrets.insert(name, found.unwrap_or_else(|| panic!("no process has {name}")));
    }
    secrets.insert("admin token", ADMIN_TOKEN.to_owned());
    // The match that the player was put into goes on without it for a while.
    std::thread::sleep(Duration::from_secs(12));
    support::kill(demo.id(), "INT");
    let status = demo.wait().unwrap();
    assert!(status.success(), "{status}");

    let logs = logs(folder.path());
    let lines: usize = logs.iter().map(|(_, text)| text.lines().count()).sum();
    assert!(logs.len() >= 4 && lines > 500, "too little was written to say anything: {lines} lines");
    assert!(logs.iter().any(|(_, text)| text.contains("TRACE")), "the most verbose level was on");
    for (file, text) in &logs {
        for (name, secret) in &secrets {
            assert!(secret.len() >= 16, "{name} is too short to look for: {secret}");
            assert!(!text.contains(secret.as_str()), "the {name} is in {file}");
        }
        // The bots' own: JSON web tokens all begin alike, and so do our connect tokens: "NETCODE 1.02" in base64.
        for beginning in ["eyJ0eXAi", "eyJhbGci", "TkVUQ09ERSAxLjAy"] {
            assert!(!text.contains(beginning), "a token is in {file}");
        }
    }
}
