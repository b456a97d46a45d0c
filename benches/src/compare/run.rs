//! One run: two child processes, a relay between them if asked for, and what they say. Owns the processes; must never
//! know what the figures mean.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use contest::{HostReport, Job, Line, Role, SwarmReport, Work};
use netcode_sim::Profile;
use netcode_token::Key;

use super::relay::Relay;
use super::{Contestant, workspace};

/// Where the programs of the contestants are.
#[derive(Debug)]
pub struct Arena {
    ours: PathBuf,
    foreign: Option<PathBuf>,
}

impl Arena {
    /// `ours` plays our own roles; the others' program is compiled here, if any of `peers` needs it.
    ///
    /// # Errors
    /// It does not compile.
    pub fn prepare(ours: PathBuf, peers: &[Contestant]) -> anyhow::Result<Self> {
        let needed = peers.iter().any(|peer| peer.is_foreign());
        Ok(Self { ours, foreign: needed.then(build_foreign).transpose()? })
    }

    fn program(&self, peer: Contestant) -> anyhow::Result<Command> {
        if peer.is_foreign() {
            return Ok(Command::new(self.foreign.as_ref().context("the other libraries are not compiled")?));
        }
        let mut command = Command::new(&self.ours);
        command.arg("role");
        Ok(command)
    }
}

/// Compiles `benches/peers` in a target folder of its own.
fn build_foreign() -> anyhow::Result<PathBuf> {
    let package = workspace().join("benches/peers");
    eprintln!("compiling the other libraries ({}); minutes the first time", package.display());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    build.arg(package.join("Cargo.toml")).arg("--target-dir").arg(package.join("target"));
    ensure!(build.status()?.success(), "the other libraries do not compile");
    Ok(package.join("target/release/peers"))
}

/// One run of `job` by `peer`; `weather` puts a relay of that kind and seed between server and swarm.
///
/// # Errors
/// A child fails, or says nothing in time.
pub fn run(
    arena: &Arena,
    peer: Contestant,
    mut job: Job,
    weather: Option<(Profile, u64)>,
) -> anyhow::Result<(HostReport, SwarmReport)> {
    peer.name().clone_into(&mut job.peer);
    job.secret = Key::generate().to_hex();
    let relay = weather.map(|(profile, seed)| Relay::bind(profile, seed)).transpose()?;
    job.relay = relay.as_ref().map(Relay::address).transpose()?;
    let server = Process::start(arena.program(peer)?, Role::Server, &job)?;
    let Line::Listening(address) = server.line(START_WITHIN)? else { bail!("server spoke out of turn") };
    let relay = relay.map(|relay| relay.start(address)).transpose()?;
    job.connect = Some(job.relay.unwrap_or(address));
    let mut swarm = Process::start(arena.program(peer)?, Role::Swarm, &job)?;
    let within = Duration::from_secs_f64(job.warm_s + job.seconds) + CONNECT_WITHIN;
    let host = match job.work {
        Work::Bulk => HostReport::default(),
        _ => host_report(&server, &swarm, within)?,
    };
    if job.work == Work::Latency {
        // What was sent last may need some resends more.
        thread::sleep(DRAIN);
    }
    if job.work != Work::Bulk {
        swarm.stop()?;
    }
    let within = if job.work == Work::Bulk { within + BULK_WITHIN } else { START_WITHIN };
    let Line::Swarm(seen) = swarm.line(within)? else { bail!("swarm spoke out of turn") };
    drop(relay);
    Ok((host, seen))
}

/// Waits for the server's report, and hears the swarm if it fails first.
fn host_report(server: &Process, swarm: &Process, within: Duration) -> anyhow::Result<HostReport> {
    let deadline = Instant::now() + within;
    loop {
        match server.lines.recv_timeout(Duration::from_millis(50)) {
            Ok(Line::Host(report)) => return Ok(report),
            Ok(Line::Failed(why)) => bail!("server: {why}"),
            Ok(line) => bail!("server said {line:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("server ended"),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Ok(Line::Failed(why)) = swarm.lines.try_recv() {
            bail!("swarm: {why}");
        }
        ensure!(Instant::now() < deadline, "server said nothing for {within:?}");
    }
}

/// A child that speaks [`Line`]s. Dropping it ends it.
struct Process {
    child: Child,
    lines: Receiver<Line>,
}

impl Process {
    fn start(mut command: Command, role: Role, job: &Job) -> anyhow::Result<Self> {
        let role = serde_json::to_value(role)?;
        command.arg(role.as_str().unwrap_or_default()).arg(serde_json::to_string(job)?);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let out = child.stdout.take().context("the child has no output")?;
        let (say, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Ok(line) = serde_json::from_str(&line)
                    && say.send(line).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    fn line(&self, within: Duration) -> anyhow::Result<Line> {
        match self.lines.recv_timeout(within) {
            Ok(Line::Failed(why)) => bail!("{why}"),
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("no answer within {within:?}"),
            Err(RecvTimeoutError::Disconnected) => bail!("the process ended without a word"),
        }
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("the child has no input")?;
        Ok(input.write_all(b"stop\n")?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long a child may take to say its first and its last word.
const START_WITHIN: Duration = Duration::from_secs(20);
/// How long all clients may take to connect; the server gives up a little earlier, with a better word for it.
const CONNECT_WITHIN: Duration = Duration::from_secs(35);
/// How long the bulk may take.
const BULK_WITHIN: Duration = Duration::from_secs(30);
/// How long after the window messages are still awaited.
const DRAIN: Duration = Duration::from_secs(3);
