//! A match of honest clients on a named path, in virtual time, and whoever else is there. Owns when things happen and
//! what the honest notice of it; must never know what an attack consists of.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use netcode_proto::{
    ChannelId, Client, ClientConfig, ClientId, ClientState, Counters, DisconnectReason, Server, ServerConfig,
    ServerEvent, channels,
};
use netcode_sim::{Conditioner, Profile};
use netcode_wire::Time;

use super::door::{Arrival, Door};
use super::parts::{self, PROTOCOL, UNIX, client_address, server_address};

/// Somebody malicious.
pub(crate) trait Adversary {
    /// Does what it does in one tick.
    fn act(&mut self, scene: &mut Scene<'_>);
}

/// What an adversary sees and can do.
pub(crate) struct Scene<'a> {
    pub(crate) now: Time,
    /// What arrived: who sent it, to whom, what. Deliberate: not what was lost on the way, for to repeat that would help.
    pub(crate) overheard: &'a VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// What the honest clients have just sent, and is still under way.
    pub(crate) leaving: &'a [(SocketAddr, Vec<u8>)],
    /// What the server sent to addresses of none of the honest since the last tick.
    pub(crate) answers: &'a [(SocketAddr, Vec<u8>)],
    injected: Vec<(SocketAddr, Vec<u8>)>,
    to_clients: Vec<(SocketAddr, Vec<u8>)>,
}

impl Scene<'_> {
    /// Sends to the server, from any address.
    pub(crate) fn send(&mut self, from: SocketAddr, bytes: Vec<u8>) {
        self.injected.push((from, bytes));
    }

    /// Sends to an honest client, from the server's address.
    pub(crate) fn send_to_client(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.to_clients.push((to, bytes));
    }
}

/// Latencies, microseconds.
#[derive(Debug, Default, Clone)]
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn p99(&self) -> u64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0)
    }
}

/// What the honest noticed, and what the adversary cost.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Unreliable messages: to the server, to the clients.
    pub(crate) up_us: Latencies,
    pub(crate) down_us: Latencies,
    pub(crate) reliable_us: Latencies,
    /// From the first request to a session that stands.
    pub(crate) joins_us: Latencies,
    /// Reliable messages that never came.
    pub(crate) undelivered: u64,
    pub(crate) honest_ends: Vec<DisconnectReason>,
    pub(crate) other_ends: Vec<DisconnectReason>,
    pub(crate) counters: Counters,
    pub(crate) handshakes_max: usize,
    /// The most that one session held back, bytes.
    pub(crate) held_max: usize,
    pub(crate) injected: u64,
    pub(crate) door_dropped: u64,
    /// Bytes from and to addresses of none of the honest.
    pub(crate) sent: u64,
    pub(crate) got: u64,
}

struct Honest {
    client: Client,
    address: SocketAddr,
    session: Option<ClientId>,
    began: Time,
    is_up: bool,
    is_over: bool,
    /// From the client, to it.
    paths: [Conditioner; 2],
    /// Reliable messages said and come: from the client, to it.
    said: [u64; 2],
    came: [u64; 2],
}

pub(crate) struct Stage {
    now: Time,
    ticks: u64,
    server: Server,
    door: Door,
    honest: Vec<Honest>,
    overheard: VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>,
    answers: Vec<(SocketAddr, Vec<u8>)>,
    leaving: Vec<(SocketAddr, Vec<u8>)>,
    owners: HashMap<ClientId, Option<usize>>,
    report: Report,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let config = ServerConfig { clients_max: 64, ..parts::server_config() };
        Self {
            now: Time::from_secs(1),
            ticks: 0,
            server: Server::new(config),
            door: Door::default(),
            honest: Vec::new(),
            overheard: VecDeque::new(),
            answers: Vec::new(),
            leaving: Vec::new(),
            owners: HashMap::new(),
            report: Report::default(),
        }
    }

    /// Two seconds of peace, six of `adversaries` while newcomers join, three to let everything arrive.
    pub(crate) fn play(mut self, adversaries: &mut [Box<dyn Adversary>]) -> Report {
        (0..HONEST).for_each(|_| self.join());
        self.run(Duration::from_secs(2), &mut [], true);
        assert!(self.honest.iter().all(|one| one.is_up && one.session.is_some()), "a calm beginning");
        let Report { up_us, down_us, reliable_us, joins_us, .. } = &mut self.report;
        for measured in [up_us, down_us, reliable_us, joins_us] {
            measured.0.clear();
        }
        for _ in 0..NEWCOMERS {
            self.join();
            self.run(ATTACK / NEWCOMERS as u32, adversaries, true);
        }
        self.run(Duration::from_secs(3), &mut [], false);
        self.report.counters = *self.server.counters();
        self.report.door_dropped = self.door.dropped;
        self.report.undelivered =
            self.honest.iter().flat_map(|one| [0, 1].map(|way| one.said[way] - one.came[way])).sum();
        self.report
    }

    fn join(&mut self) {
        let number = self.honest.len();
        let unix_s = UNIX + self.now.as_micros() / 1_000_000;
        let token = parts::token(number as u64 + 1, number as u16, unix_s);
        let client =
            Client::connect(self.now, &token[..], ClientConfig::new(PROTOCOL)).expect("our own token");
        let seed = number as u64 * 2 + 77;
        self.honest.push(Honest {
            client,
            address: client_address(number),
            session: None,
            began: self.now,
            is_up: false,
            is_over: false,
            paths: [Conditioner::new(Profile::demo(), seed), Conditioner::new(Profile::demo(), seed + 1)],
            said: [0; 2],
            came: [0; 2],
        });
    }

    fn run(&mut self, span: Duration, adversaries: &mut [Box<dyn Adversary>], talks: bool) {
        let end = self.now + span;
        while self.now < end {
            self.attack(adversaries);
            self.arrive();
            self.server.step(self.now);
            self.read_events();
            if talks {
                self.talk();
            }
            self.server.flush(self.now);
            self.collect(self.now);
            (0..self.honest.len()).for_each(|one| self.tick_client(one));
            self.ticks += 1;
            self.measure();
        }
    }

    /// What the adversaries send reaches the server evenly over the coming tick.
    fn attack(&mut self, adversaries: &mut [Box<dyn Adversary>]) {
        let answers = std::mem::take(&mut self.answers);
        let leaving = std::mem::take(&mut self.leaving);
        self.overheard.drain(..self.overheard.len().saturating_sub(OVERHEARD_MAX));
        let mut scene = Scene {
            now: self.now,
            overheard: &self.overheard,
            answers: &answers,
            leaving: &leaving,
            injected: Vec::new(),
            to_clients: Vec::new(),
        };
        adversaries.iter_mut().for_each(|adversary| adversary.act(&mut scene));
        let Scene { injected, to_clients, .. } = scene;
        self.report.injected += (injected.len() + to_clients.len()) as u64;
        // A tick's datagrams are far fewer than 2^32 / 16,667.
        let count = injected.len().max(1) as u32;
        for (place, (from, bytes)) in (0..).zip(injected) {
            if self.honest.iter().all(|one| one.address != from) {
                self.report.sent += bytes.len() as u64;
            }
            self.door.push(Arrival { at: self.now + TICK * place / count, from, bytes, is_genuine: false });
        }
        for (to, mut bytes) in to_clients {
            if let Some(one) = self.honest.iter_mut().find(|one| one.address == to) {
                one.client.handle_datagram(self.now, server_address(), &mut bytes);
            }
        }
    }

    fn arrive(&mut self) {
        let until = self.now + TICK;
        for one in &mut self.honest {
            while let Some(at) = one.paths[0].next_due().filter(|due| *due <= until) {
                let Some((from, bytes)) = one.paths[0].poll(at) else { break };
                self.door.push(Arrival { at, from, bytes, is_genuine: true });
            }
            while let Some(at) = one.paths[1].next_due().filter(|due| *due <= until) {
                let Some((from, mut bytes)) = one.paths[1].poll(at) else { break };
                self.overheard.push_back((from, one.address, bytes.clone()));
                one.client.handle_datagram(at, from, &mut bytes);
                read_client(one, at, &mut self.report);
            }
        }
        let Self { door, server, honest, report, overheard, .. } = self;
        let mut replies = Vec::new();
        door.pass(server, until, |at, server, arrival| {
            if let Some(one) = honest.iter_mut().find(|one| one.address == arrival.from) {
                if arrival.is_genuine {
                    overheard.push_back((arrival.from, server_address(), arrival.bytes.clone()));
                }
                read_session(one, at, server, report);
            }
            while let Some(transmit) = server.poll_transmit() {
                replies.push((at, transmit.to, transmit.bytes.to_vec()));
            }
        });
        for (at, to, bytes) in replies {
            self.sent(at, to, bytes);
        }
        self.now = until;
    }

    fn read_events(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Connected { client, .. } => {
                    let address = self.server.address(client);
                    let owner = self.honest.iter().position(|one| Some(one.address) == address);
                    self.owners.insert(client, owner);
                    if let Some(owner) = owner {
                        self.honest[owner].session = Some(client);
                    }
                }
                ServerEvent::Disconnected { client, reason } => match self.owners.get(&client) {
                    Some(Some(_)) => self.report.honest_ends.push(reason),
                    _ => self.report.other_ends.push(reason),
                },
            }
        }
        // Whoever is not honest is read too, as a game would.
        let clients: Vec<ClientId> = self.server.clients().collect();
        for client in clients.into_iter().filter(|client| self.owners.get(client) == Some(&None)) {
            while self.server.poll_message(client).is_some() {}
        }
    }

    /// As a game would: state both ways every tick, something reliable now and then.
    fn talk(&mut self) {
        let (now, ticks) = (self.now, self.ticks);
        for one in self.honest.iter_mut().filter(|one| one.is_up) {
            let Some(session) = one.session else { continue };
            let mut say = |way: usize, channel: ChannelId, len: usize| {
                let number = one.said[way];
                let message = [&now.as_micros().to_le_bytes()[..], &number.to_le_bytes(), &vec![0; len - 16]];
                let outcome = match way {
                    0 => one.client.send(now, channel, &message.concat()),
                    _ => self.server.send(now, session, channel, &message.concat()),
                };
                assert_eq!(outcome, Ok(()), "an honest channel has room");
                one.said[way] += u64::from(channel == channels::GAME_RELIABLE_ORDERED);
            };
            say(0, channels::STATE, 40);
            say(1, channels::STATE, 200);
            if ticks % 6 == 0 {
                say(0, channels::GAME_RELIABLE_ORDERED, 32);
            }
            if ticks % 3 == 0 {
                say(1, channels::GAME_RELIABLE_ORDERED, 32);
            }
        }
    }

    fn tick_client(&mut self, number: usize) {
        let one = &mut self.honest[number];
        one.client.step(self.now);
        one.client.flush(self.now);
        while let Some(transmit) = one.client.poll_transmit() {
            one.paths[0].push(self.now, one.address, transmit.bytes);
            self.leaving.push((one.address, transmit.bytes.to_vec()));
        }
        match one.client.state() {
            ClientState::Connected if !one.is_up => {
                one.is_up = true;
                self.report.joins_us.0.push(self.now.since(one.began).as_micros() as u64);
            }
            ClientState::Disconnected(reason) if !one.is_over => {
                one.is_over = true;
                self.report.honest_ends.push(reason);
            }
            _ => {}
        }
    }

    fn collect(&mut self, at: Time) {
        let mut all = Vec::new();
        while let Some(transmit) = self.server.poll_transmit() {
            all.push((transmit.to, transmit.bytes.to_vec()));
        }
        all.into_iter().for_each(|(to, bytes)| self.sent(at, to, bytes));
    }

    /// A datagram left the server.
    fn sent(&mut self, at: Time, to: SocketAddr, bytes: Vec<u8>) {
        if let Some(one) = self.honest.iter_mut().find(|one| one.address == to) {
            one.paths[1].push(at, server_address(), &bytes);
        } else {
            self.report.got += bytes.len() as u64;
            self.answers.push((to, bytes));
        }
    }

    fn measure(&mut self) {
        let held = self.server.clients().filter_map(|client| self.server.stats(client));
        let held = held.map(|stats| stats.held_bytes).max().unwrap_or(0);
        self.report.held_max = self.report.held_max.max(held);
        self.report.handshakes_max = self.report.handshakes_max.max(self.server.handshakes_len());
    }
}

fn read_session(one: &mut Honest, at: Time, server: &mut Server, report: &mut Report) {
    let Some(session) = one.session else { return };
    while let Some((channel, message)) = server.poll_message(session) {
        book(0, one, at, channel, &message, report);
    }
}

fn read_client(one: &mut Honest, at: Time, report: &mut Report) {
    while let Some((channel, message)) = one.client.poll_message() {
        book(1, one, at, channel, &message, report);
    }
}

fn book(way: usize, one: &mut Honest, at: Time, channel: ChannelId, message: &[u8], report: &mut Report) {
    let number = |from: usize| {
        message[from..].first_chunk().copied().map(u64::from_le_bytes).expect("an honest message")
    };
    let latency = at.as_micros() - number(0);
    if channel == channels::GAME_RELIABLE_ORDERED {
        assert_eq!(number(8), one.came[way], "once, and in order");
        one.came[way] += 1;
        report.reliable_us.0.push(latency);
    } else {
        [&mut report.up_us, &mut report.down_us][way].0.push(latency);
    }
}

pub(crate) const TICK: Duration = Duration::from_micros(16_667);
/// Clients there from the beginning.
const HONEST: usize = 8;
/// Clients who join under attack.
pub(crate) const NEWCOMERS: usize = 4;
/// How long it lasts.
const ATTACK: Duration = Duration::from_secs(6);
/// What an eavesdropper remembers, datagrams.
const OVERHEARD_MAX: usize = 1024;
