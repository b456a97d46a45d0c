//! Server and clients on a network that the bytes command: what is delivered when, twice, late, changed or never,
//! who comes, goes and says what. The laws of `netcode_sim` hold at every step. Must never know a socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use netcode_proto::{
    ChannelId, ChannelSet, Client, ClientConfig, ClientId, ClientState, DisconnectReason, Server, ServerEvent,
};
use netcode_sim::Ledger;
use netcode_token::{KEY_LEN, Key, TOKEN_LEN};
use netcode_wire::Time;

use super::feed::{Digest, Feed, chunk};
use super::parts::{PROTOCOL, UNIX, client_address, server_address, server_config, token};

/// A schedule of everything that can happen. An odd first byte lets the network heal at the end: then everything
/// reliable must arrive at whoever is still connected.
///
/// # Panics
/// When a law is broken.
pub fn schedule(input: &[u8]) -> u64 {
    let mut feed = Feed::new(input);
    let heals = feed.u8() % 2 == 1;
    let mut bench = Bench::new();
    for _ in 0..STEPS_MAX {
        if feed.is_empty() {
            break;
        }
        bench.step(&mut feed);
    }
    if heals {
        bench.heal();
    }
    if bench.seats.is_empty() { 0 } else { bench.digest.finish() }
}

/// A client that was ever started, and the server's session with it.
struct Seat {
    token: Box<[u8; TOKEN_LEN]>,
    client: Client,
    /// The client's process died: nothing of it goes on.
    is_dead: bool,
    address: SocketAddr,
    session: Option<ClientId>,
    is_over: bool,
    reads: bool,
    /// What the client said, what the server said to it.
    ledgers: [Ledger; 2],
}

#[derive(Clone)]
struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

struct Bench {
    now: Time,
    server: Server,
    seats: Vec<Seat>,
    flying: VecDeque<Datagram>,
    /// What was delivered or lost before, for replays.
    past: VecDeque<Datagram>,
    stranger: (usize, usize),
    scratch: Vec<u8>,
    digest: Digest,
}

impl Bench {
    fn new() -> Self {
        Self {
            now: Time::from_secs(1),
            server: Server::new(server_config()),
            seats: Vec::new(),
            flying: VecDeque::new(),
            past: VecDeque::new(),
            stranger: (0, 0),
            scratch: Vec::new(),
            digest: Digest::new(),
        }
    }

    fn step(&mut self, feed: &mut Feed<'_>) {
        let what = feed.u8();
        let which = usize::from(what >> 4);
        match what & 0x0f {
            0..=3 => self.tick(TICK),
            4 => self.join(1 + u64::from(what >> 4) % 4),
            5 => self.talk(which, false, feed),
            6 => self.talk(which, true, feed),
            7 => drop(self.flying.remove(which)),
            8 => {
                if let Some(datagram) = self.flying.remove(which) {
                    self.deliver(datagram);
                }
            }
            9 => {
                if let Some(datagram) = self.flying.get(which).cloned() {
                    self.deliver(datagram);
                }
            }
            10 => self.damage(which, feed),
            11 => self.replay(which, feed),
            12 => {
                let bytes = feed.chunk();
                self.stranger.0 += bytes.len();
                self.deliver(Datagram { from: stranger(), to: server_address(), bytes: bytes.to_vec() });
            }
            13 => self.tick(Duration::from_millis(u64::from(feed.u16()))),
            14 => self.end(which),
            15 if which >= 8 => self.crash(which - 8),
            _ => {
                if let Some(seat) = self.seats.get_mut(which) {
                    seat.reads = !seat.reads;
                }
            }
        }
    }

    fn join(&mut self, player: u64) {
        let number = self.seats.len();
        if number >= SEATS_MAX {
            return;
        }
        let unix_s = UNIX + self.now.as_micros() / 1_000_000;
        let token = token(player, number as u16 + 1, unix_s);
        let client = Client::connect(self.now, &token[..], ClientConfig::new(PROTOCOL));
        self.sit(token, client.expect("our own token"));
    }

    /// A client's process dies, and another one comes back with its token, from a new address. Where there is no room
    /// for another, nobody comes back.
    fn crash(&mut self, which: usize) {
        let number = self.seats.len();
        let Some(seat) = self.seats.get_mut(which).filter(|seat| !seat.is_dead) else { return };
        seat.is_dead = true;
        if number >= SEATS_MAX {
            return;
        }
        let (token, fresh) = (seat.token.clone(), Key::from_bytes([number as u8; KEY_LEN]));
        let client = Client::resume(self.now, &token[..], ClientConfig::new(PROTOCOL), &fresh);
        self.sit(token, client.expect("our own token"));
    }

    fn sit(&mut self, token: Box<[u8; TOKEN_LEN]>, client: Client) {
        let number = self.seats.len();
        let channels = ChannelSet::standard();
        let ledger = |side: u64| Ledger::new(&channels, number as u64 * 2 + side);
        self.seats.push(Seat {
            token,
            client,
            is_dead: false,
            address: client_address(number),
            session: None,
            is_over: false,
            reads: true,
            ledgers: [ledger(0), ledger(1)],
        });
        self.collect();
    }

    /// One message; a channel that is full or a session that does not stand is no fault.
    fn talk(&mut self, which: usize, down: bool, feed: &mut Feed<'_>) {
        let (channel, len) = (ChannelId(feed.u8() % 6), usize::from(feed.u16() % 9000));
        let Some(seat) = self.seats.get_mut(which) else { return };
        let ledger = &mut seat.ledgers[usize::from(down)];
        ledger.compose(channel, len, &mut self.scratch);
        let outcome = match (seat.session, down) {
            (Some(session), true) if !seat.is_over => {
                self.server.send(self.now, session, channel, &self.scratch)
            }
            (_, false) if !seat.is_dead => seat.client.send(self.now, channel, &self.scratch),
            _ => return,
        };
        if outcome.is_ok() {
            ledger.sent(self.now, channel, self.scratch.len());
        }
    }

    fn damage(&mut self, which: usize, feed: &mut Feed<'_>) {
        let (at, change) = (usize::from(feed.u16()), feed.u8());
        let Some(datagram) = self.flying.get_mut(which) else { return };
        match change {
            0 => datagram.bytes.truncate(at),
            _ => {
                if let Some(byte) = datagram.bytes.get_mut(at) {
                    *byte ^= change;
                }
            }
        }
    }

    /// An old datagram again, from where it came or from the stranger's address.
    fn replay(&mut self, which: usize, feed: &mut Feed<'_>) {
        let how = feed.u8();
        let back = which + 16 * usize::from(how >> 4);
        let Some(mut datagram) = self.past.iter().rev().nth(back).cloned() else { return };
        // Deliberate: a request may be stolen only once its owner's was served. Whoever shows a token first has it,
        // says the standard.
        if how % 2 == 1 && datagram.to == server_address() && datagram.bytes.first() != Some(&0) {
            datagram.from = stranger();
            self.stranger.0 += datagram.bytes.len();
        }
        self.deliver(datagram);
    }

    fn end(&mut self, which: usize) {
        let Some(seat) = self.seats.get_mut(which / 2) else { return };
        match (which % 2, seat.session) {
            (0, _) if !seat.is_dead => seat.client.disconnect(self.now),
            (_, Some(session)) => self.server.disconnect(self.now, session, 7),
            _ => {}
        }
        self.collect();
    }

    fn tick(&mut self, span: Duration) {
        self.now += span;
        for _ in 0..self.flying.len() {
            if let Some(datagram) = self.flying.pop_front() {
                self.deliver(datagram);
            }
        }
        self.server.step(self.now);
        self.read_server();
        self.server.flush(self.now);
        for seat in self.seats.iter_mut().filter(|seat| !seat.is_dead) {
            seat.client.step(self.now);
            seat.client.flush(self.now);
        }
        self.collect();
        (0..self.seats.len()).for_each(|seat| self.read_client(seat));
    }

    fn deliver(&mut self, mut datagram: Datagram) {
        self.past.push_back(datagram.clone());
        self.past.drain(..self.past.len().saturating_sub(PAST_MAX));
        if datagram.to == server_address() {
            self.server.handle_datagram(self.now, datagram.from, &mut datagram.bytes);
        } else if let Some(seat) =
            self.seats.iter_mut().find(|seat| seat.address == datagram.to && !seat.is_dead)
        {
            seat.client.handle_datagram(self.now, datagram.from, &mut datagram.bytes);
        }
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(transmit) = self.server.poll_transmit() {
            self.digest.add(transmit.bytes);
            if transmit.to == stranger() {
                self.stranger.1 += transmit.bytes.len();
            }
            let bytes = transmit.bytes.to_vec();
            self.flying.push_back(Datagram { from: server_address(), to: transmit.to, bytes });
        }
        for seat in self.seats.iter_mut().filter(|seat| !seat.is_dead) {
            while let Some(transmit) = seat.client.poll_transmit() {
                self.digest.add(transmit.bytes);
                let bytes = transmit.bytes.to_vec();
                self.flying.push_back(Datagram { from: seat.address, to: transmit.to, bytes });
            }
        }
        // A full network loses what is oldest.
        self.flying.drain(..self.flying.len().saturating_sub(FLYING_MAX));
        let (sent, got) = self.stranger;
        assert!(got <= sent, "a stranger sent {sent} bytes and got {got}");
        assert!(self.server.clients_len() <= 4 && self.server.tokens_len() <= SEATS_MAX);
        assert!(self.server.handshakes_len() <= SEATS_MAX);
    }

    fn read_server(&mut self) {
        while let Some(event) = self.server.poll_event() {
            self.digest.add(format!("{event:?}").as_bytes());
            match event {
                ServerEvent::Connected { client, .. } => {
                    // One that was taken over before its beginning was read has no address any more.
                    let address = self.server.address(client);
                    let seat = self.seats.iter_mut().find(|seat| Some(seat.address) == address);
                    let Some(seat) = seat else {
                        assert!(address.is_none(), "nobody lives at {address:?}");
                        continue;
                    };
                    assert!(seat.session.is_none(), "a token begins one session");
                    seat.session = Some(client);
                }
                ServerEvent::Disconnected { client, reason } => {
                    honest(reason);
                    let seat = self.seats.iter().position(|seat| seat.session == Some(client));
                    if let Some(seat) = seat {
                        self.read_session(seat, client);
                        self.seats[seat].is_over = true;
                    }
                }
            }
        }
        for seat in 0..self.seats.len() {
            if let Some(session) = self.seats[seat].session.filter(|_| self.seats[seat].reads) {
                self.read_session(seat, session);
            }
        }
    }

    fn read_session(&mut self, seat: usize, session: ClientId) {
        while let Some((channel, message)) = self.server.poll_message(session) {
            let came = self.seats[seat].ledgers[0].delivered(self.now, channel, &message, &mut self.scratch);
            came.unwrap_or_else(|law| panic!("to the server: {law}"));
        }
    }

    fn read_client(&mut self, seat: usize) {
        let Seat { client, ledgers, reads, .. } = &mut self.seats[seat];
        while let Some((channel, message)) =
            Some(&mut *client).filter(|_| *reads).and_then(Client::poll_message)
        {
            let came = ledgers[1].delivered(self.now, channel, &message, &mut self.scratch);
            came.unwrap_or_else(|law| panic!("to client {seat}: {law}"));
        }
        if let ClientState::Disconnected(reason) = client.state() {
            honest(reason);
        }
    }

    /// The network is well: everything reliable arrives, at the latest when the longest back-off has passed.
    fn heal(&mut self) {
        self.seats.iter_mut().for_each(|seat| seat.reads = true);
        for tick in 0..HEALING_TICKS {
            if tick % 20 == 0 && tick > 0 && self.undelivered().is_none() {
                return;
            }
            self.tick(HEALING_TICK);
        }
        assert_eq!(self.undelivered(), None);
    }

    /// What is missing at whoever is still connected.
    fn undelivered(&self) -> Option<String> {
        let stands = |seat: &&Seat| {
            let is_up = !seat.is_dead && seat.client.state() == ClientState::Connected;
            is_up && !seat.is_over && seat.session.is_some()
        };
        let ledgers = self.seats.iter().filter(stands).flat_map(|seat| &seat.ledgers);
        let mut missing =
            ledgers.filter_map(|ledger| ledger.all_delivered(HEALING_TICK * HEALING_TICKS).err());
        missing.next().map(|law| law.to_string())
    }
}

/// No end here breaks a rule: none may be accused.
fn honest(reason: DisconnectReason) {
    assert!(!matches!(reason, DisconnectReason::Misbehaved(_)), "an honest end was accused: {reason}");
}

fn stranger() -> SocketAddr {
    client_address(900)
}

/// What an ordinary day gives to [`schedule`].
#[must_use]
pub fn schedule_seeds() -> Vec<Vec<u8>> {
    // 4: join as player 1, 2; 5 and 6: talk up and down; 0: tick.
    let join = vec![1, 0x04, 0x14, 0, 0, 0, 0, 0, 0];
    let talk: Vec<u8> = (0..6).flat_map(|channel| [0x05, channel, 40, 0, 0x16, channel, 0, 12, 0]).collect();
    let storm = vec![0x07, 0x18, 0x09, 0x0a, 30, 0, 1, 0x0b, 0, 0x1b, 1, 0, 0x27, 0, 0x0f, 0, 0, 0x0f, 0];
    let garbage = [vec![12], chunk(&[0x15; 40]), vec![12], chunk(&[0; 1078])].concat();
    let leave = vec![0x0e, 0, 0, 0x3e, 0, 0];
    let takeover = vec![0x04, 0, 0, 0, 0, 0x05, 1, 9, 0, 0, 0];
    let crash = vec![0x8f, 0, 0, 0, 0, 0, 0x25, 1, 9, 0, 0x26, 1, 9, 0, 0, 0];
    let silence = vec![13, 0x00, 0x10, 0, 13, 0x88, 0x13, 0, 0];
    let all = [&join, &talk, &storm, &garbage, &takeover, &talk, &leave, &silence].map(Vec::as_slice);
    let crowd = vec![1, 0x04, 0x14, 0x24, 0x34, 0x04, 0, 0, 0, 0, 0x04, 0, 0, 0];
    vec![all.concat(), [&join[..], &talk].concat(), [&join[..], &talk, &crash].concat(), crowd]
}

const TICK: Duration = Duration::from_micros(16_667);
const HEALING_TICK: Duration = Duration::from_millis(50);
const HEALING_TICKS: u32 = 400;
const STEPS_MAX: usize = 300;
const SEATS_MAX: usize = 6;
const FLYING_MAX: usize = 512;
const PAST_MAX: usize = 256;
