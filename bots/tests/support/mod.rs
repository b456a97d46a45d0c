//! Runs the real program as a user would, and looks at what it leaves behind.
#![allow(dead_code, reason = "each test file uses the part it needs")]

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// A run of `bots`, killed when the test ends early.
pub(crate) struct Run {
    child: Child,
    lines: mpsc::Receiver<String>,
    said: Vec<String>,
    /// Its state folder.
    pub(crate) state: PathBuf,
    pub(crate) json: PathBuf,
    _dir: tempfile::TempDir,
}

impl Run {
    /// Starts `bots ARGS --state … --json …`: the demo.
    pub(crate) fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = dir.path().join("state").to_string_lossy().into_owned();
        Self::start_in(dir, &[args, &["--state", &state]].concat())
    }

    /// Starts `bots ARGS --json …`: what keeps no state.
    pub(crate) fn plain(args: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), args)
    }

    fn start_in(dir: tempfile::TempDir, args: &[&str]) -> Self {
        let state = dir.path().join("state");
        let json = dir.path().join("figures.json");
        let mut child = Command::new(env!("CARGO_BIN_EXE_bots"))
            .args(args)
            .arg("--json")
            .arg(&json)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("bots starts");
        let stdout = child.stdout.take().expect("stdout was piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, said: Vec::new(), state, json, _dir: dir }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that starts with `start` and returns the rest of it.
    pub(crate) fn line(&mut self, start: &str, within: Duration) -> String {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line '{start}…' within {within:?}; it said: {:#?}", self.said);
            };
            self.said.push(line.clone());
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim().to_owned();
            }
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        kill(self.pid(), signal);
    }

    /// Waits for the end; panics (and kills) when it takes too long.
    pub(crate) fn end(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("its status can be asked") {
                while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(200)) {
                    self.said.push(line);
                }
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("did not end within {within:?}; it said: {:#?}", self.said);
    }

    /// Everything it printed so far.
    pub(crate) fn said(&self) -> String {
        self.said.join("\n")
    }

    /// The figures it wrote.
    pub(crate) fn figures(&self) -> serde_json::Value {
        let text = fs::read_to_string(&self.json).expect("it wrote its figures");
        serde_json::from_str(&text).expect("figures are JSON")
    }

    /// All processes that it started, directly or not.
    pub(crate) fn descendants(&self) -> BTreeSet<u32> {
        descendants(self.pid())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Sends a signal by name (`KILL`, `INT`, `TERM`).
pub(crate) fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
    assert!(status.is_ok(), "kill(1) is part of every Debian");
}

/// All living processes below `root`.
pub(crate) fn descendants(root: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let parents: Vec<(u32, u32)> = processes().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut queue = vec![root];
    while let Some(next) = queue.pop() {
        for (pid, _) in parents.iter().filter(|(_, parent)| *parent == next) {
            if found.insert(*pid) {
                queue.push(*pid);
            }
        }
    }
    found
}

/// Children of `root` whose command line has `word`.
pub(crate) fn find(root: u32, word: &str) -> Vec<u32> {
    descendants(root).into_iter().filter(|pid| command_line(*pid).contains(word)).collect()
}

/// The command line, words separated by spaces.
pub(crate) fn command_line(pid: u32) -> String {
    fs::read(format!("/proc/{pid}/cmdline"))
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
        .unwrap_or_default()
}

/// Waits until none of `pids` lives (a zombie is not alive).
pub(crate) fn all_gone(pids: &BTreeSet<u32>, within: Duration) {
    wait("every process to be gone", within, || pids.iter().all(|pid| !alive(*pid)));
}

pub(crate) fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !after_name(&stat).starts_with('Z'))
}

/// Waits for a condition.
pub(crate) fn wait(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {within:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// GET over plain HTTP/1.1; the body.
pub(crate) fn get(url: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { reqwest::get(url).await.expect("answers").text().await.expect("has a body") })
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("bots is in the workspace")
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    after_name(&stat).split_whitespace().nth(1)?.parse().ok()
}

/// The part of /proc/PID/stat behind the name, which may hold spaces and brackets.
fn after_name(stat: &str) -> &str {
    stat.rsplit_once(") ").map_or("", |(_, rest)| rest)
}
