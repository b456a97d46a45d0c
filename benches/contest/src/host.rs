//! The server's loop: 60 Hz, the same for every transport, and what it measures of itself. Must never know a transport.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::message::{bulk, stamp};
use crate::pace::Pace;
use crate::role::{ALONE, say};
use crate::{
    Class, HostReport, Job, Line, Memory, RELIABLE_BYTES, TICK, Traffic, UNRELIABLE_BYTES, Work, memory,
    monotonic_ns, process_cpu_ns,
};

/// A transport's server.
pub trait Host {
    /// Where it is bound.
    ///
    /// # Errors
    /// The socket's own.
    fn address(&self) -> anyhow::Result<SocketAddr>;

    /// Takes in all that has arrived; `accept` gets each message of each client.
    ///
    /// # Errors
    /// The transport cannot go on.
    fn receive(&mut self, accept: &mut dyn FnMut(&[u8])) -> anyhow::Result<()>;

    /// How many clients are connected; they are numbered from 0 in the order in which they came.
    fn clients(&self) -> usize;

    /// Hands a message over; `false` when the transport does not take it now.
    ///
    /// # Errors
    /// The transport cannot go on.
    fn send(&mut self, client: usize, class: Class, message: &[u8]) -> anyhow::Result<bool>;

    /// Once a tick, after everything was handed over.
    ///
    /// # Errors
    /// The transport cannot go on.
    fn transmit(&mut self) -> anyhow::Result<()>;

    /// What went through the socket so far.
    fn traffic(&self) -> Traffic;

    /// How long the pieces of the bulk may be.
    fn piece_bytes(&self) -> usize;

    /// Lets time pass until the next tick.
    fn wait(&mut self, until: Instant) {
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

/// Serves until the parent closes this process, and says what the window showed.
///
/// # Errors
/// The transport fails, or not everybody comes.
pub fn serve(host: &mut dyn Host, job: &Job) -> anyhow::Result<()> {
    let mut hall = Hall::new(job);
    say(&Line::Listening(host.address()?));
    let mut pace = Pace::new(TICK);
    loop {
        host.wait(pace.due());
        pace.step();
        host.receive(&mut |_| hall.messages_in += 1)?;
        if let Some(report) = hall.turn(host)? {
            say(&Line::Host(report));
        }
        hall.load(host)?;
        host.transmit()?;
    }
}

/// Who has come, what was sent to them, and the window.
struct Hall {
    job: Job,
    began: Instant,
    memory_empty: Memory,
    memory_one: Option<Memory>,
    /// Since when somebody is there.
    first: Option<Instant>,
    /// Since when everybody is there.
    full: Option<Instant>,
    mark: Option<Mark>,
    told: bool,
    ticks: u64,
    messages_in: u64,
    refused: u64,
    reliable: [u8; RELIABLE_BYTES],
    unreliable: [u8; UNRELIABLE_BYTES],
    /// Numbers of the next reliable message, by client.
    numbers: Vec<u64>,
    bulk: Vec<u8>,
    /// How much of it was handed over, by client.
    bulk_sent: Vec<usize>,
}

/// What the counters showed when the window began.
#[derive(Clone, Copy)]
struct Mark {
    at: Instant,
    cpu_ns: u64,
    traffic: Traffic,
    ticks: u64,
    messages_in: u64,
    refused: u64,
}

impl Hall {
    fn new(job: &Job) -> Self {
        Self {
            job: job.clone(),
            began: Instant::now(),
            memory_empty: memory(),
            memory_one: None,
            first: None,
            full: None,
            mark: None,
            told: false,
            ticks: 0,
            messages_in: 0,
            refused: 0,
            reliable: [0x5A; RELIABLE_BYTES],
            unreliable: [0xA5; UNRELIABLE_BYTES],
            numbers: Vec::new(),
            bulk: Vec::new(),
            bulk_sent: Vec::new(),
        }
    }

    /// A tick begins: opens the window, and closes it with a report.
    fn turn(&mut self, host: &dyn Host) -> anyhow::Result<Option<HostReport>> {
        self.ticks += 1;
        let clients = host.clients();
        let now = Instant::now();
        self.read_memory_of_one(now, clients);
        if self.full.is_none() && clients >= self.job.clients {
            self.full = Some(now);
        }
        let Some(full) = self.full else {
            let missing = self.job.clients - clients;
            anyhow::ensure!(now - self.began < CONNECT_WITHIN, "{missing} clients did not come");
            return Ok(None);
        };
        let open = now - full >= Duration::from_secs_f64(self.job.warm_s);
        if open && self.mark.is_none() {
            self.mark = Some(Mark {
                at: now,
                cpu_ns: process_cpu_ns(),
                traffic: host.traffic(),
                ticks: self.ticks,
                messages_in: self.messages_in,
                refused: self.refused,
            });
        }
        Ok(self.mark.and_then(|mark| self.close(mark, host)))
    }

    /// The first client has the server for itself for [`ALONE`]; at the end of that it has used what any client does.
    fn read_memory_of_one(&mut self, now: Instant, clients: usize) {
        if clients == 0 {
            return;
        }
        let first = *self.first.get_or_insert(now);
        if clients == 1 && self.memory_one.is_none() && now - first >= ALONE * 3 / 4 {
            self.memory_one = Some(memory());
        }
    }

    fn close(&mut self, mark: Mark, host: &dyn Host) -> Option<HostReport> {
        if self.told || mark.at.elapsed() < Duration::from_secs_f64(self.job.seconds) {
            return None;
        }
        self.told = true;
        Some(HostReport {
            seconds: mark.at.elapsed().as_secs_f64(),
            ticks: self.ticks - mark.ticks,
            cpu_us: (process_cpu_ns() - mark.cpu_ns) as f64 / 1000.0,
            traffic: host.traffic().since(mark.traffic),
            memory_empty: self.memory_empty,
            memory_one: self.memory_one.unwrap_or(self.memory_empty),
            memory_all: memory(),
            messages_in: self.messages_in - mark.messages_in,
            refused: self.refused - mark.refused,
            clients: host.clients(),
        })
    }

    /// Hands over what this tick owes everybody.
    fn load(&mut self, host: &mut dyn Host) -> anyhow::Result<()> {
        match self.job.work {
            Work::Play | Work::Latency => self.load_play(host),
            Work::Bulk => self.load_bulk(host),
            Work::Idle => Ok(()),
        }
    }

    fn load_play(&mut self, host: &mut dyn Host) -> anyhow::Result<()> {
        let measured = self.mark.is_some() && !self.told;
        self.numbers.resize(host.clients().max(self.numbers.len()), 0);
        for client in 0..host.clients() {
            let stamp_ns = if measured { monotonic_ns() } else { 0 };
            stamp(&mut self.unreliable, stamp_ns, self.ticks);
            stamp(&mut self.reliable, stamp_ns, self.numbers[client]);
            if !host.send(client, Class::Unreliable, &self.unreliable)? {
                self.refused += 1;
            }
            if host.send(client, Class::Reliable, &self.reliable)? {
                self.numbers[client] += 1;
            } else {
                self.refused += 1;
            }
        }
        Ok(())
    }

    fn load_bulk(&mut self, host: &mut dyn Host) -> anyhow::Result<()> {
        if self.mark.is_none() {
            return Ok(());
        }
        if self.bulk.is_empty() {
            self.bulk = bulk(monotonic_ns());
            self.bulk_sent = vec![0; host.clients()];
        }
        let clients = host.clients().min(self.bulk_sent.len());
        for (client, sent) in self.bulk_sent.iter_mut().enumerate().take(clients) {
            while *sent < self.bulk.len() {
                let end = (*sent + host.piece_bytes()).min(self.bulk.len());
                if !host.send(client, Class::Reliable, &self.bulk[*sent..end])? {
                    break;
                }
                *sent = end;
            }
        }
        Ok(())
    }
}

/// How long everybody may take to come.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
