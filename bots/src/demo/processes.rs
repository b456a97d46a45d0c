//! The demo's child processes: started, watched, started again when they die, and never left behind.
//!
//! A child is this same executable in a hidden role. It gets its own process group (Ctrl-C must reach the demo first,
//! which then drains in order) and a standard input that is never written: when the demo is gone, however it went, the
//! child reads end-of-file and leaves. Knows nothing of what a role does.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
};

use crate::role::Role;

/// How long a child may take until its ready line.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long a child may take to drain before it is killed.
const DRAIN_WITHIN: Duration = Duration::from_secs(15);

/// What a child says on its standard output once it serves: one JSON line.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Ready {
    /// Must be true.
    pub ready: bool,
    /// HTTP address, where it has one.
    pub http: Option<SocketAddr>,
    /// gRPC address, where it has one.
    pub grpc: Option<SocketAddr>,
}

/// One running child.
#[derive(Debug)]
pub(super) struct Process {
    role: Role,
    child: Child,
    /// Held open for the child's life. `Child::wait` would close a standard input that is still its own.
    _stdin: Option<ChildStdin>,
    log: PathBuf,
    /// Where it listens.
    pub ready: Ready,
}

/// What is needed to start a child, and to start it again.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    /// Which role.
    pub role: Role,
    /// The role's arguments.
    pub args: Vec<OsString>,
    /// Environment on top of ours; secrets travel here, never in the arguments.
    pub env: BTreeMap<String, String>,
    /// Folder of the log file.
    pub logs: PathBuf,
}

impl Recipe {
    /// Starts the child and waits for its ready line.
    pub(super) async fn start(&self) -> anyhow::Result<Process> {
        let name = self.role.name();
        let log = self.logs.join(format!("{name}.log"));
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let executable = std::env::current_exe().context("cannot find this executable")?;
        let mut child = Command::new(executable)
            .arg("role")
            .arg(name)
            .arg("--")
            .args(&self.args)
            .envs(&self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start the {name} process"))?;
        let stdout = child.stdout.take().context("child without standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(READY_WITHIN, lines.next_line()).await;
        let ready = match first {
            Ok(Ok(Some(line))) => serde_json::from_str::<Ready>(&line)
                .with_context(|| format!("the {name} process said '{line}' instead of its ready line"))?,
            Ok(_) => bail!("the {name} process did not start: {}", last_line(&log)),
            Err(_) => bail!("the {name} process was not ready within {READY_WITHIN:?}: {}", last_line(&log)),
        };
        if !ready.ready {
            bail!("the {name} process says that it is not ready");
        }
        // Later lines are of no use here, but the pipe must be drained or the child would block on it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Process { role: self.role, _stdin: child.stdin.take(), child, log, ready })
    }
}

impl Process {
    /// Its process id; 0 once it has been waited for.
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Waits until it ends.
    pub(super) async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to drain (SIGTERM), waits, and kills it when it takes too long.
    pub(super) async fn drain(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())) {
            // The child may have ended in between: then there is nothing to ask.
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        match tokio::time::timeout(DRAIN_WITHIN, self.child.wait()).await {
            Ok(status) => {
                let status = status?;
                if !status.success() {
                    bail!("the {} process ended with {status}: {}", self.role.name(), last_line(&self.log));
                }
                Ok(())
            }
            Err(_) => {
                self.child.kill().await?;
                bail!(
                    "the {} process did not drain within {DRAIN_WITHIN:?} and was killed",
                    self.role.name()
                );
            }
        }
    }
}

/// The last line that a log holds: usually the reason.
fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    line.trim().to_owned()
}

/// A loopback address whose port is free at this moment.
pub(super) fn free_tcp() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("no free TCP port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}
