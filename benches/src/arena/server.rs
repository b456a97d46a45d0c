//! The two children: the arena's server with its flags, and the swarm with its job. Owns the processes and where they
//! run; must never know what is measured.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;
use server_runtime::Transport;

use super::{SERVER, SWARM, SwarmJob, SwarmReport};

/// A running server. Dropping it ends it.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) udp: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl ServerProcess {
    /// Starts one for `clients`, and waits until players may come.
    pub(super) fn start(key: &str, transport: Transport, clients: u16, pin: bool) -> anyhow::Result<Self> {
        let clients = clients.to_string();
        let more = ["--world", "plains", "--clients-max", &clients, "--transport", transport.name()];
        Self::start_with(key, &more, pin)
    }

    /// The same with these flags, whatever they say.
    pub(crate) fn start_with(key: &str, more: &[&str], pin: bool) -> anyhow::Result<Self> {
        let mut args =
            vec!["arena-server", "--standalone", "--exit-with-parent", "--bind", "127.0.0.1", "--key", key];
        args.extend_from_slice(more);
        let mut child = command(pin.then_some(SERVER_CORE))?
            .args(["role", SERVER, &serde_json::to_string(&args)?])
            .env("RUST_LOG", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        let ready = lines.find_map(|line| serde_json::from_str::<Value>(&line).ok());
        // Read on, or the server's last words would have nowhere to go.
        std::thread::spawn(move || lines.count());
        let Some(ready) = ready else {
            // It has said why on its standard error.
            let status = child.wait()?;
            anyhow::bail!("the server ended at once ({status})");
        };
        let address = |name: &str| -> anyhow::Result<SocketAddr> {
            Ok(ready[name].as_str().context("the server does not say where it is")?.parse()?)
        };
        Ok(Self { udp: address("udp")?, admin: address("admin")?, child })
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        // `taskset` replaces itself by what it starts.
        self.child.id()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Deliberate: nobody is left who could be told that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the swarm to its end.
pub(super) fn swarm(job: &SwarmJob, pin: bool) -> anyhow::Result<SwarmReport> {
    let output = command(pin.then_some(SWARM_CORE))?
        .args(["role", SWARM, &serde_json::to_string(job)?])
        .stderr(Stdio::piped())
        .output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the swarm failed: {}", complaint.trim());
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().context("the swarm said nothing")?;
    serde_json::from_str(line).context("the swarm's report cannot be read")
}

/// This program again, on one core if so wished.
fn command(core: Option<usize>) -> anyhow::Result<Command> {
    let program = std::env::current_exe()?;
    let Some(core) = core else { return Ok(Command::new(program)) };
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    Ok(command)
}

/// Cores of this machine.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Whether processes can be given a core.
pub(crate) fn pinned() -> bool {
    let run = Command::new("taskset").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

/// Processor time that a process has used, all its threads.
pub(crate) fn cpu_ns(pid: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let running = text.split_whitespace().next().context("schedstat is empty")?;
        sum += running.parse::<u64>()?;
    }
    Ok(sum)
}

const SERVER_CORE: usize = 0;
pub(crate) const SWARM_CORE: usize = 1;
