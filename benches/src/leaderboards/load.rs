//! The load: callers that ask a backend, each on its own connection, at a pace or as fast as they are answered.
//! Runs as a process of its own, so that the backend's processor time is its own. Knows no store.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use backend_proto::boards_v1::{Fate, Score, SubmitScoresRequest};
use backend_proto::{AUTHORIZATION, BoardsClient};
use serde::{Deserialize, Serialize};
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

/// Before the window.
const WARM: Duration = Duration::from_millis(1000);
/// Connections that the writers share: game servers keep one each.
const GRPC_CONNECTIONS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Work {
    /// Shows every token once, so that those who ask after it are known; not measured.
    Greet,
    AroundMe,
    AroundMeNewToken,
    Top,
    Write,
}

impl Work {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Greet => "greet",
            Self::AroundMe => "around_me",
            Self::AroundMeNewToken => "around_me_new_token",
            Self::Top => "top",
            Self::Write => "write",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) work: Work,
    /// Requests a second of all callers together; without it each asks again at once.
    pub(super) rate: Option<u32>,
    pub(super) seconds: f64,
    pub(super) callers: u32,
    pub(super) members: u32,
    pub(super) http: String,
    pub(super) grpc: String,
    pub(super) service_token: String,
    pub(super) tokens: Vec<String>,
    pub(super) backend: u32,
    pub(super) stores: Vec<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Ascending.
    pub(super) latencies_us: Vec<u32>,
    pub(super) seconds: f64,
    pub(super) backend_cpu_s: f64,
    pub(super) store_cpu_s: f64,
}

/// Does the job in a child process.
pub(super) fn start(job: &Job) -> anyhow::Result<Measured> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["role", super::LOAD, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    serde_json::to_writer(child.stdin.take().context("the child has no input")?, job)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the load generator failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The child's side.
pub(super) fn work(job: &Job) -> anyhow::Result<()> {
    let began = Instant::now();
    let begin = began + WARM;
    let end = begin + Duration::from_secs_f64(job.seconds);
    let window = Window { begin, end };
    let clock = thread::spawn({
        let (backend, stores) = (job.backend, job.stores.clone());
        move || {
            let cpu = || (cpu_s(&[backend]), cpu_s(&stores));
            thread::sleep(begin.saturating_duration_since(Instant::now()));
            let before = cpu();
            thread::sleep(end.saturating_duration_since(Instant::now()));
            let after = cpu();
            (after.0 - before.0, after.1 - before.1)
        }
    });
    let mut latencies_us = if job.work == Work::Write { write(job, window)? } else { read(job, window)? };
    latencies_us.sort_unstable();
    let (backend_cpu_s, store_cpu_s) = clock.join().map_err(|_| anyhow::anyhow!("the clock failed"))?;
    ensure!(!latencies_us.is_empty(), "nothing was answered in time");
    let measured = Measured { latencies_us, seconds: job.seconds, backend_cpu_s, store_cpu_s };
    serde_json::to_writer(std::io::stdout().lock(), &measured)?;
    Ok(())
}

#[derive(Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

/// When a caller's requests are due.
struct Pace {
    next: Instant,
    every: Option<Duration>,
}

impl Pace {
    /// Callers are spread over one period.
    fn new(job: &Job, caller: u32) -> Self {
        let every = job.rate.map(|rate| Duration::from_secs_f64(f64::from(job.callers) / f64::from(rate)));
        let offset =
            every.map_or(Duration::ZERO, |every| every.mul_f64(f64::from(caller) / f64::from(job.callers)));
        Self { next: Instant::now() + offset, every }
    }

    /// The moment at which the next request is due: lateness is the backend's latency, unless it is ours.
    fn due(&mut self) -> Instant {
        let Some(every) = self.every else { return Instant::now() };
        let due = self.next;
        self.next += every;
        due
    }
}

fn read(job: &Job, window: Window) -> anyhow::Result<Vec<u32>> {
    thread::scope(|scope| {
        let callers: Vec<_> =
            (0..job.callers).map(|caller| scope.spawn(move || read_one(job, caller, window))).collect();
        let mut all = Vec::new();
        for caller in callers {
            all.extend(caller.join().map_err(|_| anyhow::anyhow!("a caller failed"))??);
        }
        Ok(all)
    })
}

fn read_one(job: &Job, caller: u32, window: Window) -> anyhow::Result<Vec<u32>> {
    let address = job.http.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut random = fastrand::Rng::with_seed(u64::from(caller));
    let mut pace = Pace::new(job, caller);
    let (mut latencies, mut answer) = (Vec::new(), Vec::with_capacity(32 * 1024));
    let mut fresh = job.tokens.iter().skip(caller as usize).step_by(job.callers as usize);
    loop {
        let path = match job.work {
            Work::Top => "/v1/leaderboards/arena-score?limit=100",
            _ => "/v1/leaderboards/arena-score/around-me",
        };
        let token = match job.work {
            Work::AroundMeNewToken => fresh.next().context("too few tokens")?,
            Work::Greet => match fresh.next() {
                Some(token) => token,
                None => return Ok(latencies),
            },
            _ => &job.tokens[random.usize(..job.tokens.len())],
        };
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
        let due = pace.due();
        if due >= window.end {
            return Ok(latencies);
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(request.as_bytes())?;
        read_answer(&mut stream, &mut answer)?;
        let done = Instant::now();
        if job.work == Work::Greet || (due >= window.begin && done < window.end) {
            latencies.push(micros(done - due));
        }
        if done >= window.end {
            return Ok(latencies);
        }
    }
}

/// Reads one answer to its end and looks whether it is what was asked for.
fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    answer.clear();
    let mut chunk = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut chunk)?;
        ensure!(count > 0, "the backend closed the connection");
        answer.extend_from_slice(&chunk[..count]);
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head])?;
        ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("no content-length")?.parse()?;
        if answer.len() >= head + 4 + length {
            ensure!(answer[head..].windows(7).any(|word| word == b"\"rank\":"), "no rows in the answer");
            return Ok(());
        }
    }
}

fn write(job: &Job, window: Window) -> anyhow::Result<Vec<u32>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut channels = Vec::new();
        for _ in 0..GRPC_CONNECTIONS {
            channels.push(Endpoint::from_shared(job.grpc.clone())?.tcp_nodelay(true).connect().await?);
        }
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..job.callers {
            let client = BoardsClient::new(channels[caller as usize % channels.len()].clone());
            let (pace, members) = (Pace::new(job, caller), job.members);
            let authorization = format!("Bearer {}", job.service_token);
            callers.spawn_local(write_one(client, pace, members, authorization, caller, window));
        }
        let mut all = Vec::new();
        while let Some(caller) = callers.join_next().await {
            all.extend(caller??);
        }
        Ok(all)
    })
}

async fn write_one(
    mut client: BoardsClient<Channel>,
    mut pace: Pace,
    members: u32,
    authorization: String,
    caller: u32,
    window: Window,
) -> anyhow::Result<Vec<u32>> {
    let mut random = fastrand::Rng::new();
    let authorization: tonic::metadata::AsciiMetadataValue = authorization.parse()?;
    let (mut latencies, mut number) = (Vec::new(), 0_u64);
    loop {
        number += 1;
        let source = u128::from(random.u64(..)) << 64 | u128::from(caller) << 48 | u128::from(number);
        let score = Score {
            board: "arena-score".to_owned(),
            player_id: u64::from(random.u32(1..=members)),
            score: random.i64(0..2_000_000),
        };
        let mut request = Request::new(SubmitScoresRequest {
            source_id: format!("{source:032x}"),
            region: String::new(),
            scores: vec![score],
        });
        request.metadata_mut().insert(AUTHORIZATION, authorization.clone());
        let due = pace.due();
        if due >= window.end {
            return Ok(latencies);
        }
        tokio::time::sleep_until(due.into()).await;
        let fates = client.submit_scores(request).await?.into_inner().fates;
        if fates != [i32::from(Fate::Counted)] {
            bail!("a score did not count: {fates:?}");
        }
        let done = Instant::now();
        if due >= window.begin && done < window.end {
            latencies.push(micros(done - due));
        }
        if done >= window.end {
            return Ok(latencies);
        }
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// User and system time of these processes and of their living and buried children, seconds.
fn cpu_s(pids: &[u32]) -> f64 {
    let mut ticks = 0;
    let mut wanted = pids.to_vec();
    while let Some(pid) = wanted.pop() {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The name in parentheses may hold anything; the fields after it are numbers.
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        // utime, stime, cutime, cstime.
        ticks += fields.get(11..15).map_or(0, |times| times.iter().sum::<u64>());
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        wanted.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    // 100 ticks a second on every Linux that matters (USER_HZ).
    ticks as f64 / 100.0
}
