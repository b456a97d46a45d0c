//! The swarm: all bots on one thread, each at its own turn, and the window in which both processes are measured. Never
//! knows the server's inside beyond its status.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use contest::process_cpu_ns;
use netcode_token::Key;
use netcode_wire::Time;
use server_runtime::{Status, Transport};

use super::bot::Bot;
use super::server::cpu_ns;
use super::{SwarmJob, SwarmReport};

struct Swarm {
    bots: Vec<(Bot, Time)>,
    started: Instant,
    buffer: Vec<u8>,
    turns: u64,
    turns_late: u64,
}

/// What is read at both ends of the window.
struct Reading {
    server_cpu_ns: u64,
    swarm_cpu_ns: u64,
    tick: u32,
    at: Instant,
    bytes: (u64, u64),
    mispredictions: u64,
    turns: (u64, u64),
}

/// Connects everybody, plays, measures.
pub(super) fn run(job: &SwarmJob) -> anyhow::Result<SwarmReport> {
    let key = Key::from_hex(&job.key).context("the key is hexadecimal")?;
    let started = Instant::now();
    let mut swarm = Swarm { bots: Vec::new(), started, buffer: vec![0; 2048], turns: 0, turns_late: 0 };
    swarm.connect(job, &key)?;
    swarm.play(Duration::from_secs(job.warm_s.into()))?;
    let before = status(job.admin)?;
    let first = swarm.read(job.server_pid)?;
    let mut entities = Vec::new();
    for second in 0..job.seconds {
        let _ = second;
        swarm.play(Duration::from_secs(1))?;
        entities.extend(swarm.bots.iter().map(|(bot, _)| bot.holds().0));
    }
    let last = swarm.read(job.server_pid)?;
    // The status is made twice a second: the window's end must be in it.
    swarm.play(Duration::from_millis(600))?;
    let after = status(job.admin)?;
    ensure!(
        after.players_connected == usize::from(job.clients),
        "{} players are left",
        after.players_connected
    );
    entities.sort_unstable();
    let seconds = last.at.duration_since(first.at).as_secs_f64();
    let inputs_due = f64::from(after.tick - before.tick);
    let missed = (after.missed_inputs_total - before.missed_inputs_total) as f64;
    let ticks = last.tick - first.tick;
    Ok(SwarmReport {
        server_cpu_ns: last.server_cpu_ns - first.server_cpu_ns,
        ticks,
        seconds,
        tick_us_counts: between(&before.tick_us_counts, &after.tick_us_counts),
        bytes_down: last.bytes.0 - first.bytes.0,
        bytes_up: last.bytes.1 - first.bytes.1,
        mispredictions: last.mispredictions - first.mispredictions,
        // The status is of another moment than the window's ends; what is told is the share.
        inputs_missed: (missed / inputs_due.max(1.0) * f64::from(ticks)) as u64,
        entities,
        turns: last.turns.0 - first.turns.0,
        turns_late: last.turns.1 - first.turns.1,
        swarm_cpu_ns: last.swarm_cpu_ns - first.swarm_cpu_ns,
    })
}

impl Swarm {
    fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }

    fn connect(&mut self, job: &SwarmJob, key: &Key) -> anyhow::Result<()> {
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let other_library = job.transport == Transport::Renet.name();
        for index in 0..job.clients {
            let bot = Bot::join(self.now(), unix_s, index, (job.server, key), other_library)?;
            self.bots.push((bot, Time::ZERO));
            self.play(CONNECT_EACH)?;
        }
        // From here on: where the machine is busy, a thousand take their time to begin.
        let deadline = Instant::now() + CONNECT_WITHIN;
        while !self.bots.iter().all(|(bot, _)| bot.is_in()) {
            let out = self.bots.iter().filter(|(bot, _)| !bot.is_in()).count();
            if Instant::now() >= deadline {
                let first = self.bots.iter().map(|(bot, _)| bot).find(|bot| !bot.is_in());
                let how = first.map(Bot::stands).unwrap_or_default();
                bail!("{out} of {} are not in; the first: {how}", job.clients);
            }
            self.play(Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// Gives everybody their turns for a while.
    fn play(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = self.now() + time;
        loop {
            let round = self.now();
            let mut next = until;
            for (bot, due) in &mut self.bots {
                if *due <= round {
                    let now = Time::ZERO + self.started.elapsed();
                    self.turns += 1;
                    self.turns_late += u64::from(*due != Time::ZERO && now.since(*due) > LATE);
                    bot.turn(now, &mut self.buffer);
                    *due = bot.next_turn(now);
                }
                next = next.min(*due);
            }
            let now = self.now();
            if now >= until {
                break;
            }
            std::thread::sleep(next.since(now).max(ROUND_MIN));
        }
        match self.bots.iter().find_map(|(bot, _)| bot.lost()) {
            Some(reason) => bail!("a bot is out: {reason}"),
            None => Ok(()),
        }
    }

    fn read(&self, server_pid: u32) -> anyhow::Result<Reading> {
        let bots = || self.bots.iter().map(|(bot, _)| bot);
        Ok(Reading {
            server_cpu_ns: cpu_ns(server_pid)?,
            swarm_cpu_ns: process_cpu_ns(),
            tick: bots().map(|bot| bot.holds().1).max().unwrap_or(0),
            at: Instant::now(),
            bytes: bots().fold((0, 0), |sum, bot| (sum.0 + bot.bytes_down, sum.1 + bot.bytes_up)),
            mispredictions: bots().map(Bot::mispredictions).sum(),
            turns: (self.turns, self.turns_late),
        })
    }
}

/// What the server says of itself.
pub(crate) fn status(admin: SocketAddr) -> anyhow::Result<Status> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /status.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("the status has no body")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "the status is refused: {head}");
    serde_json::from_str(body).context("the status cannot be read")
}

/// Of two ever growing histograms the part between.
pub(crate) fn between(before: &[(u64, u64)], after: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let before: BTreeMap<u64, u64> = before.iter().copied().collect();
    let grown = |(us, count): &(u64, u64)| (*us, count - before.get(us).copied().unwrap_or(0).min(*count));
    after.iter().map(grown).filter(|(_, count)| *count > 0).collect()
}

/// Half a tick.
const LATE: Duration = Duration::from_micros(8_333);
/// The shortest sleep: many bots' turns in one round.
const ROUND_MIN: Duration = Duration::from_micros(500);
const CONNECT_EACH: Duration = Duration::from_millis(3);
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
