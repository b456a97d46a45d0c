//! The players: each queues at its moment and asks until it has an address. A process of its own. Knows no store.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::Instant;

/// Tickets before the window: connections, prepared statements, the allocator's window.
pub(super) const WARM: Duration = Duration::from_secs(2);
/// Tickets go on for so long after the window, so that its last ones find opponents too.
pub(super) const AFTER: Duration = Duration::from_secs(1);
/// Who has no address so long after the last ticket has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// One question waits so long.
const WAIT_MS: u32 = 20_000;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) http: String,
    /// Tickets a second.
    pub(super) rate: f64,
    pub(super) seconds: f64,
    /// One for each ticket: everybody queues once.
    pub(super) tokens: Vec<String>,
    pub(super) seed: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Tickets of the window.
    pub(super) tickets: usize,
    /// Those of them that got no address.
    pub(super) failed: usize,
    /// From the moment at which a ticket was due to its address, ascending.
    pub(super) whole_us: Vec<u64>,
    /// From the moment at which the last player of the match was due to the address, ascending.
    pub(super) beyond_us: Vec<u64>,
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

struct Placed {
    due: Instant,
    got: Instant,
    match_id: String,
}

/// The child's side.
pub(super) fn work(job: Job) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = LocalSet::new().block_on(&runtime, play(job))?;
    serde_json::to_writer(std::io::stdout().lock(), &measured)?;
    Ok(())
}

async fn play(job: Job) -> anyhow::Result<Measured> {
    let lines = Rc::new(Lines::new(&job.http));
    let mut random = fastrand::Rng::with_seed(job.seed);
    let begin = Instant::now() + WARM;
    let end = begin + Duration::from_secs_f64(job.seconds);
    let mut due = Instant::now();
    let mut players = Vec::new();
    for token in job.tokens {
        // Poisson arrivals: players do not agree on their moments.
        due += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / job.rate);
        if due >= end + AFTER {
            break;
        }
        tokio::time::sleep_until(due).await;
        let lines = Rc::clone(&lines);
        let player = async move {
            let match_id = seat(&lines, &token).await?;
            anyhow::Ok(Placed { due, got: Instant::now(), match_id })
        };
        players.push((due, tokio::task::spawn_local(player)));
    }
    let give_up = Instant::now() + PATIENCE;
    let (mut placed, mut failed, mut tickets) = (Vec::new(), 0, 0);
    for (due, player) in players {
        let counts = (begin..end).contains(&due);
        tickets += usize::from(counts);
        match tokio::time::timeout_at(give_up, player).await {
            Ok(Ok(Ok(seated))) => placed.push(seated),
            Ok(Ok(Err(error))) if counts => {
                if failed == 0 {
                    eprintln!("a ticket failed: {error:#}");
                }
                failed += 1;
            }
            _ => failed += usize::from(counts),
        }
    }
    let mut whole: HashMap<&str, Instant> = HashMap::new();
    for one in &placed {
        let last = whole.entry(&one.match_id).or_insert(one.due);
        *last = (*last).max(one.due);
    }
    let counted: Vec<&Placed> = placed.iter().filter(|one| (begin..end).contains(&one.due)).collect();
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let mut whole_us: Vec<u64> = counted.iter().map(|one| micros(one.got - one.due)).collect();
    let mut beyond_us: Vec<u64> =
        counted.iter().map(|one| micros(one.got.saturating_duration_since(whole[&*one.match_id]))).collect();
    whole_us.sort_unstable();
    beyond_us.sort_unstable();
    Ok(Measured { tickets, failed, whole_us, beyond_us })
}

/// From a ticket to a place; which match it is in.
async fn seat(lines: &Lines, token: &str) -> anyhow::Result<String> {
    let mut ticket = lines.ask(token, "POST /v1/matchmaking/tickets", r#"{"mode":"arena"}"#).await?;
    loop {
        if let Some(place) = ticket.get("match").filter(|place| !place.is_null()) {
            ensure!(place["server_address"].is_string(), "a place without an address");
            return Ok(place["match_id"].as_str().context("a match has an id")?.to_owned());
        }
        ensure!(ticket["status"] == "queued", "the ticket is {}", ticket["status"]);
        let id = ticket["ticket_id"].as_str().context("a ticket has an id")?;
        let path = format!("GET /v1/matchmaking/tickets/{id}?wait_ms={WAIT_MS}");
        ticket = lines.ask(token, &path, "").await?;
    }
}

/// Connections that are kept for the next question.
struct Lines {
    address: String,
    idle: std::cell::RefCell<Vec<TcpStream>>,
}

impl Lines {
    fn new(http: &str) -> Self {
        Self { address: http.trim_start_matches("http://").to_owned(), idle: Vec::new().into() }
    }

    async fn ask(&self, token: &str, what: &str, body: &str) -> anyhow::Result<Value> {
        let idle = self.idle.borrow_mut().pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(&self.address).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        let request = format!(
            "{what} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let answer = read_answer(&mut stream).await?;
        self.idle.borrow_mut().push(stream);
        Ok(answer)
    }
}

async fn read_answer(stream: &mut TcpStream) -> anyhow::Result<Value> {
    let mut answer = Vec::with_capacity(4096);
    loop {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the backend closed the connection");
        let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head])?;
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("no content-length")?.parse()?;
        if answer.len() < head + 4 + length {
            continue;
        }
        if !text.starts_with("HTTP/1.1 20") {
            bail!("{}: {}", text.lines().next().unwrap_or(""), String::from_utf8_lossy(&answer[head + 4..]));
        }
        return Ok(serde_json::from_slice(&answer[head + 4..])?);
    }
}
