//! The server as its operator meets it: a process with flags, an environment, a settings file, signals and an admin port.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use netcode_token::Key;
use serde_json::Value;
use support::squad::Squad;

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const TOKEN: &str = "an-admin-token-of-the-test";
const PATIENCE: Duration = Duration::from_secs(20);

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arena-server"));
    command.args(args).env_clear().env("TICKWRIGHT_KEY", KEY).stdin(Stdio::null());
    command
}

/// What a command that ends by itself prints, and its exit code.
fn output(mut command: Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// A running server; killed with the test.
struct Server {
    child: Child,
    admin: String,
    udp: std::net::SocketAddr,
    log: PathBuf,
    /// What is left of standard output.
    out: BufReader<std::process::ChildStdout>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(folder: &tempfile::TempDir, mut command: Command) -> Self {
        let log = folder.path().join("log");
        command.arg("--bind=127.0.0.1").arg("--record-mib=0");
        command.stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error}: {line}\n{}", std::fs::read_to_string(&log).unwrap()));
        Self {
            child,
            admin: ready["admin"].as_str().unwrap().to_owned(),
            udp: ready["udp"].as_str().unwrap().parse().unwrap(),
            log,
            out,
        }
    }

    /// Status and body of a request with these headers.
    fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(&self.admin).unwrap();
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let length = body.len();
        let host =
            if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.admin) };
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        socket.write_all((head + body).as_bytes()).unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        (status, text)
    }

    fn get(&self, path: &str) -> String {
        let (status, text) = self.ask("GET", path, &[], "");
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn wait_for(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let began = Instant::now();
        while !done(self) {
            assert!(began.elapsed() < PATIENCE, "not in time: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The value of a metric without labels, or with exactly these.
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn settings_are_checked_and_shown_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("arena.toml");
    std::fs::write(
        &file,
        format!(
            "tick-rate = 30\nseat-hold-seconds = 5\nadmin-token = \"{TOKEN}\"\n[balance]\nhit-damage = 34\n"
        ),
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let mut check = command(&["--check-config", "--config", path, "--clients-max=9"]);
    check.env("TICKWRIGHT_SEAT_HOLD_SECONDS", "7").env("TICKWRIGHT_TICKRATE", "12");
    let (code, out, err) = output(check);
    assert_eq!((code, err.as_str()), (0, ""));
    for line in [
        format!("tick-rate = 30  # from {path}, line 1"),
        "seat-hold-seconds = 7  # from the environment's TICKWRIGHT_SEAT_HOLD_SECONDS".into(),
        "clients-max = 9  # from the command line".into(),
        "grace-seconds = 3".into(),
        "# key is set, and secret  # from the environment's TICKWRIGHT_KEY".into(),
        "[balance]".into(),
        "hit_damage = 34".into(),
        "kill_points = 100".into(),
    ] {
        assert!(out.lines().any(|shown| shown == line), "{line} is not in\n{out}");
    }
    assert!(!out.contains(KEY) && !out.contains(TOKEN), "{out}");
    // What is shown is a settings file.
    std::fs::write(&file, &out).unwrap();
    let (code, again, err) = output(command(&["--check-config", "--config", path]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(again.contains("hit_damage = 34") && again.contains("seat-hold-seconds = 7"), "{again}");
}

#[test]
fn what_cannot_be_used_ends_it_with_2_and_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("arena.toml");
    let path = file.to_str().unwrap();
    let refused = |file_says: &str, args: &[&str], variable: (&str, &str)| {
        std::fs::write(&file, file_says).unwrap();
        let mut command = command(&[&["--config", path][..], args].concat());
        command.env(variable.0, variable.1);
        let (code, out, err) = output(command);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        err.trim().replace(path, "FILE")
    };
    let nothing = ("TICKWRIGHT_NOTHING", "");
    for (file_says, args, variable, expected) in [
        (
            "",
            &[][..],
            ("TICKWRIGHT_TICK_RATE", "9"),
            "error: tick-rate is \"9\" (from the environment's TICKWRIGHT_TICK_RATE): 9 is not in 10..=128; allowed is 10 to 128",
        ),
        (
            "",
            &["--wait-seconds=0"],
            nothing,
            "error: wait-seconds is \"0\" (from the command line): 0 is not in 1..=600; allowed is 1 to 600",
        ),
        (
            "tick-rats = 3",
            &[],
            nothing,
            "error: tick-rats is no setting (from FILE, line 1); did you mean tick-rate?",
        ),
        (
            "[balance]\nhit-damage = 0",
            &[],
            nothing,
            "error: balance.hit_damage is 0 (from FILE, line 2): it is out of range; allowed is 1 to 100",
        ),
        (
            "",
            &[],
            ("TICKWRIGHT_KEY", "0011"),
            "error: key is (secret) (from the environment's TICKWRIGHT_KEY): it is malformed; allowed is Private key that connect tokens are sealed with: 64 hexadecimal digits",
        ),
    ] {
        assert_eq!(refused(file_says, args, variable), expected);
    }
    let open = refused("", &["--admin-bind=0.0.0.0"], nothing);
    assert!(open.contains("--admin-bind 0.0.0.0 without --admin-token (TICKWRIGHT_ADMIN_TOKEN)"), "{open}");
}

#[test]
fn the_file_is_read_again_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("arena.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "log-level = \"info\"\ntick-rate = 30\n").unwrap();
    let mut server = Server::start(&folder, command(&["--standalone", "--seconds=60", "--config", path]));
    let body = |text: String| text.split_once("\r\n\r\n").unwrap().1.to_owned();
    let reload = |server: &Server| {
        let (status, text) = server.ask("POST", "/reload", &[], "");
        (status, serde_json::from_str::<Value>(&body(text)).unwrap())
    };
    assert_eq!(body(server.get("/log-level")), "info\n");
    assert_eq!(reload(&server), (200, serde_json::json!({ "applied": [], "needs_restart": [] })));

    std::fs::write(&file, "log-level = \"debug\"\ntick-rate = 60\n[balance]\nhit-damage = 50\n").unwrap();
    let told =
        serde_json::json!({ "applied": ["log-level", "balance.hit_damage"], "needs_restart": ["tick-rate"] });
    assert_eq!(reload(&server), (200, told));
    assert_eq!(body(server.get("/log-level")), "debug\n");
    // Still not in force.
    assert_eq!(reload(&server).1["needs_restart"], serde_json::json!(["tick-rate"]));

    std::fs::write(&file, "log-level = \"debug\"\n[balance]\nhit-damage = 500\n").unwrap();
    let (status, said) = reload(&server);
    let said = said["error"].as_str().unwrap().to_owned();
    assert!(status == 422 && said.starts_with("balance.hit-damage is 500 (from "), "{status} {said}");
    let metrics = server.get("/metrics");
    assert_eq!(metric(&metrics, "tickwright_config_reloads_total{outcome=\"applied\"}"), 3.0);
    assert_eq!(metric(&metrics, "tickwright_config_reloads_total{outcome=\"refused\"}"), 1.0);
    assert_eq!(metric(&metrics, "tickwright_config_stale"), 1.0);

    std::fs::write(&file, "tick-rate = 30\n").unwrap();
    server.signal("HUP");
    server.wait_for("the signal counts", |server| {
        metric(&server.get("/metrics"), "tickwright_config_reloads_total{outcome=\"applied\"}") == 4.0
    });
    assert_eq!(metric(&server.get("/metrics"), "tickwright_config_stale"), 0.0);
    assert_eq!(body(server.get("/log-level")), "info\n", "back to the default");
    let (status, said) = server.ask("POST", "/log-level", &[], "inof");
    assert!(status == 422 && said.contains("did you mean info?"), "{status} {said}");
    assert_eq!(server.ask("PUT", "/log-level", &[], "warn").0, 200);
    assert_eq!(body(server.get("/log-level")), "warn\n");
    let log = server.log();
    assert!(log.contains("settings refused; the old ones are in force"), "{log}");
    assert!(log.contains("in force only after a restart"), "{log}");
    server.signal("TERM");
    assert!(server.wait().success());
}

#[test]
fn without_a_settings_file_hanging_up_drains() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&folder, command(&["--standalone", "--seconds=60"]));
    assert_eq!(server.ask("POST", "/reload", &[], "").0, 409);
    server.signal("HUP");
    assert!(server.wait().success(), "{}", server.log());
}

#[test]
fn the_admin_port_wants_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(&["--standalone", "--seconds=60", "--admin-bind=0.0.0.0"]);
    command.env("TICKWRIGHT_ADMIN_TOKEN", TOKEN);
    let server = Server::start(&folder, command);
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let closed = [
        ("GET", "/metrics"),
        ("GET", "/status.json"),
        ("GET", "/debug/players"),
        ("GET", "/live"),
        ("POST", "/recording"),
        ("POST", "/reload"),
        ("GET", "/log-level"),
        ("POST", "/log-level"),
        ("POST", "/login"),
    ];
    for (method, path) in closed {
        let (status, text) = server.ask(method, path, &[], "info");
        assert_eq!(status, 401, "{method} {path}");
        assert!(text.to_lowercase().contains("www-authenticate: bearer"), "{text}");
        assert_eq!(
            server.ask(method, path, &["Authorization: Bearer wrong"], "info").0,
            401,
            "{method} {path}"
        );
        let by_url = server.ask(method, &format!("{path}?token={TOKEN}"), &[], "info").0;
        assert_eq!(by_url, 401, "never by URL: {method} {path}");
        let foreign = [bearer.as_str(), "Origin: http://evil.example"];
        assert_eq!(server.ask(method, path, &foreign, "info").0, 403, "{method} {path}");
        let known = server.ask(method, path, &[&bearer], "info").0;
        assert!(![401, 403, 404].contains(&known), "{method} {path}: {known}");
    }
    for open in ["/healthz", "/readyz", "/", "/live.js"] {
        assert_eq!(server.ask("GET", open, &[], "").0, 200, "{open}");
    }
    // A browser shows it once, and has a cookie from then on.
    let (status, text) = server.ask("POST", "/login", &[&bearer], "");
    let cookie = text.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    assert_eq!(status, 204);
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(TOKEN));
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    assert_eq!(server.ask("GET", "/status.json", &[&cookie], "").0, 200);
    assert_eq!(server.ask("GET", "/status.json", &["Cookie: tickwright_admin=1"], "").0, 401);
    let metrics = server.ask("GET", "/metrics", &[&bearer], "").1;
    assert!(metric(&metrics, "tickwright_admin_refused_total") >= 30.0, "{metrics}");
}

#[test]
fn without_a_token_it_is_for_the_machine_itself() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder, command(&["--standalone", "--seconds=60"]));
    assert!(server.admin.starts_with("127.0.0.1:"), "{}", server.admin);
    server.get("/status.json");
    assert_eq!(server.ask("POST", "/recording", &["Origin: http://evil.example"], "").0, 403);
    assert_eq!(server.ask("GET", "/status.json", &["Host: evil.example"], "").0, 403);
}

#[test]
fn one_signal_drains_and_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&folder, command(&["--standalone", "--seconds=60"]));
    server.signal("TERM");
    assert!(server.wait().success(), "{}", server.log());
    let mut out = String::new();
    server.out.read_to_string(&mut out).unwrap();
    assert!(out.starts_with(r#"{"final":{"#), "{out}");
}

/// A match is under way and may go on for a minute: the second signal does not wait for it.
#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server =
        Server::start(&folder, command(&["--standalone", "--seconds=600", "--drain-seconds=600"]));
    let players = Squad::start_at(server.udp, &Key::from_hex(KEY).unwrap(), 1);
    server.wait_for("the match runs", |server| server.get("/status.json").contains(r#""phase":"running""#));
    server.signal("TERM");
    server.wait_for("it drains", |server| server.log().contains("draining"));
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.child.try_wait().unwrap().is_none(), "a match may end in peace\n{}", server.log());
    let asked = Instant::now();
    server.signal("TERM");
    let status = server.wait();
    assert_eq!(status.code(), Some(1), "{}", server.log());
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    players.stop();
}
