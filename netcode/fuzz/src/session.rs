//! Sessions against raw datagrams: garbage from strangers, forgeries, and packets of every kind sealed by a peer that
//! has the true keys. Strangers earn nothing, nobody else is disturbed, every bound holds. Must never know a message.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use netcode_proto::{
    Client, ClientConfig, ClientState, DATAGRAM_BYTES_MAX, DisconnectReason, Server, ServerEvent, channels,
};
use netcode_token::{PRIVATE_LEN, PublicToken, VERSION};
use netcode_wire::Time;

use super::feed::{Digest, Feed, chunk};
use super::parts::{PROTOCOL, Sealer, UNIX, client_address, server_address, server_config, token};

/// A schedule of datagrams to a server with two honest clients, a suspect with keys, and strangers.
///
/// # Panics
/// When a law is broken.
pub fn packets(input: &[u8]) -> u64 {
    let mut feed = Feed::new(input);
    let mut bench = Bench::new();
    let refused = bench.server.counters().dropped_malformed;
    for _ in 0..STEPS_MAX {
        if feed.is_empty() {
            break;
        }
        bench.step(&mut feed);
        bench.judge();
    }
    bench.honest_still_talk();
    let counters = *bench.server.counters();
    bench.digest.add(format!("{counters:?}").as_bytes());
    if counters.dropped_malformed == refused + bench.steps { 0 } else { bench.digest.finish() }
}

struct Bench {
    now: Time,
    server: Server,
    honest: [Client; 2],
    /// Bytes to and from each address that has no session.
    balance: HashMap<SocketAddr, (u64, u64)>,
    suspect: Sealer,
    /// The newest path challenge to the suspect: where it was sent, and what stands in it.
    asked: Option<(SocketAddr, Vec<u8>)>,
    /// The suspect's client, which is told lies.
    fool: Client,
    request: Vec<u8>,
    steps: u64,
    digest: Digest,
}

impl Bench {
    fn new() -> Self {
        let now = Time::from_secs(1);
        let connect =
            |token: &[u8]| Client::connect(now, token, ClientConfig::new(PROTOCOL)).expect("our own token");
        let stolen = PublicToken::decode(&token(9, 9, UNIX)[..]).expect("our own token");
        let numbers = [PROTOCOL.to_le_bytes(), stolen.expire_unix_s.to_le_bytes()].concat();
        let mut bench = Self {
            now,
            server: Server::new(server_config()),
            honest: [connect(&token(1, 1, UNIX)[..]), connect(&token(2, 2, UNIX)[..])],
            balance: HashMap::new(),
            suspect: Sealer::new(&token(3, 3, UNIX)[..]),
            asked: None,
            fool: connect(&token(3, 3, UNIX)[..]),
            request: [&[0], &VERSION[..], &numbers, &stolen.nonce, &stolen.private[..]].concat(),
            steps: 0,
            digest: Digest::new(),
        };
        // Long enough for the extended form, too.
        for _ in 0..10 {
            bench.tick(TICK);
        }
        assert!(bench.honest.iter().all(|client| client.state() == ClientState::Connected));
        assert_eq!(bench.fool.state(), ClientState::Connected);
        bench
    }

    fn step(&mut self, feed: &mut Feed<'_>) {
        self.steps += 1;
        let what = feed.u8();
        let from = self.address(what >> 4);
        match what & 0x0f {
            0..=2 => {
                let bytes = feed.chunk();
                self.tell_server(from, bytes);
            }
            // Whatever the suspect can seal, to the server and to its own client.
            3..=5 => {
                let bytes = sealed(feed, &self.suspect, 0);
                self.tell_server(suspect_address(), &bytes);
            }
            6 => {
                let bytes = sealed(feed, &self.suspect, 0);
                self.tell_server(from, &bytes);
            }
            7 | 8 => {
                let mut bytes = sealed(feed, &self.suspect, 1);
                self.fool.handle_datagram(self.now, server_address(), &mut bytes);
            }
            // A true request that somebody bent; a few bytes of anything else, sealed and then bent.
            9 => {
                let bytes = bent(feed, &self.request);
                self.tell_server(from, &bytes);
            }
            10 => {
                let whole = sealed(feed, &self.suspect, 0);
                let bytes = bent(feed, &whole);
                self.tell_server(from, &bytes);
            }
            11 => {
                let mut bytes = feed.chunk().to_vec();
                let to = usize::from(what >> 4) % 2;
                self.honest[to].handle_datagram(self.now, server_address(), &mut bytes);
            }
            12 => {
                let mut bytes = feed.chunk().to_vec();
                self.honest[0].handle_datagram(self.now, client_address(70), &mut bytes);
            }
            13 => self.tick(Duration::from_millis(u64::from(feed.u8()))),
            14 => self.tick(TICK),
            // The suspect answers the challenge of a path, from there or from elsewhere.
            _ => {
                let Some((asked, cookie)) = self.asked.clone() else { return };
                let bytes = self.suspect.seal(0, 11, u64::from(feed.u16()), 2, &cookie);
                self.tell_server(if what >> 4 == 0 { asked } else { from }, &bytes);
            }
        }
    }

    /// Strangers, the suspect's address, and those of the honest.
    fn address(&self, choice: u8) -> SocketAddr {
        match choice % 8 {
            0 | 1 => client_address(usize::from(choice % 8)),
            2 => suspect_address(),
            other => client_address(60 + usize::from(other)),
        }
    }

    fn tell_server(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.collect();
        self.balance.entry(from).or_default().0 += bytes.len() as u64;
        self.server.handle_datagram(self.now, from, &mut bytes.to_vec());
        self.collect();
    }

    /// What the server sends goes to the client that lives there.
    fn collect(&mut self) {
        while let Some(transmit) = self.server.poll_transmit() {
            assert!(transmit.bytes.len() <= DATAGRAM_BYTES_MAX);
            self.digest.add(transmit.bytes);
            self.balance.entry(transmit.to).or_default().1 += transmit.bytes.len() as u64;
            let mut bytes = transmit.bytes.to_vec();
            if let Some((10, cookie)) = self.suspect.overhear(&bytes) {
                self.asked = Some((transmit.to, cookie));
            }
            let [first, second] = &mut self.honest;
            let all = [
                (client_address(0), first),
                (client_address(1), second),
                (suspect_address(), &mut self.fool),
            ];
            for (_, client) in all.into_iter().filter(|(address, _)| *address == transmit.to) {
                client.handle_datagram(self.now, server_address(), &mut bytes);
            }
        }
    }

    fn tick(&mut self, span: Duration) {
        self.now += span;
        let [first, second] = &mut self.honest;
        let all =
            [(client_address(0), first), (client_address(1), second), (suspect_address(), &mut self.fool)];
        for (address, client) in all {
            client.step(self.now);
            client.flush(self.now);
            while let Some(transmit) = client.poll_transmit() {
                assert!(transmit.bytes.len() <= DATAGRAM_BYTES_MAX && transmit.to == server_address());
                self.server.handle_datagram(self.now, address, &mut transmit.bytes.to_vec());
            }
        }
        self.server.step(self.now);
        while let Some(event) = self.server.poll_event() {
            self.heard(&event);
        }
        let clients: Vec<_> = self.server.clients().collect();
        for client in clients {
            while let Some((channel, message)) = self.server.poll_message(client) {
                self.digest.add(&[channel.0]);
                self.digest.add(&message);
            }
        }
        while let Some((_, message)) = self.fool.poll_message() {
            self.digest.add(&message);
        }
        self.server.flush(self.now);
        self.collect();
    }

    /// Only the suspect may go, and not because somebody else said something.
    fn heard(&mut self, event: &ServerEvent) {
        self.digest.add(format!("{event:?}").as_bytes());
        match event {
            ServerEvent::Connected { player, .. } => assert!((1..=3).contains(player), "{player} got in"),
            ServerEvent::Disconnected { client, reason } => {
                let player = self.server.player(*client);
                let may = matches!(
                    reason,
                    DisconnectReason::Misbehaved(_) | DisconnectReason::ByPeer | DisconnectReason::TimedOut
                );
                assert!(player == Some(3) && may, "{player:?}: {reason}");
            }
        }
    }

    fn judge(&self) {
        assert!(self.server.clients_len() <= 3 && self.server.handshakes_len() <= 6);
        assert!(self.server.tokens_len() <= 4, "a forged request leaves no trace");
        for (address, (sent, got)) in &self.balance {
            // The suspect may move to an address that it proved to be its own; there it is no stranger.
            let is_stranger = address.port() >= 5050 && self.server.counters().paths_moved == 0;
            assert!(!is_stranger || got <= sent, "{address} sent {sent} and got {got}");
        }
        let held = self.server.clients().filter_map(|client| self.server.stats(client));
        assert!(held.map(|stats| stats.held_bytes).max().unwrap_or(0) < 5 << 20);
    }

    /// Whatever went on, the two honest clients and the server reach each other.
    fn honest_still_talk(&mut self) {
        for (player, client) in (1..).zip(&mut self.honest) {
            assert_eq!(client.state(), ClientState::Connected);
            client.send(self.now, channels::CONTROL, b"up").expect("room");
            let session = self.server.client_of_player(player).expect("still there");
            self.server.send(self.now, session, channels::CONTROL, b"down").expect("room");
        }
        for _ in 0..4 {
            self.tick(TICK);
        }
        for client in &mut self.honest {
            assert_eq!(client.poll_message().map(|(_, message)| message.to_vec()), Some(b"down".to_vec()));
        }
    }
}

/// A packet sealed with `key`: kind, width and value of the sequence, text.
fn sealed(feed: &mut Feed<'_>, suspect: &Sealer, to: usize) -> Vec<u8> {
    let (kind, width) = (feed.u8(), feed.u8() % 9);
    let sequence = if width == 0 { u64::from(feed.u8()) } else { feed.u64() };
    suspect.seal(to, kind, sequence, width, feed.chunk())
}

/// The same bytes, some of them changed, perhaps cut.
fn bent(feed: &mut Feed<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + feed.u8() % 4 {
        let (at, change) = (usize::from(feed.u16()), feed.u8());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= change;
        }
    }
    bytes.truncate(bytes.len().saturating_sub(usize::from(feed.u8() % 64)));
    // A request that nobody bent may be asked in earnest: then it must not be too much.
    assert!(bytes.len() <= 1078 + PRIVATE_LEN + 2048);
    bytes
}

/// Where the suspect lives.
fn suspect_address() -> SocketAddr {
    client_address(2)
}

/// What honest ends give to [`packets`].
#[must_use]
pub fn packets_seeds() -> Vec<Vec<u8>> {
    let payload = |kind: u8, sequence: u8, text: &[u8]| [vec![3, kind, 0, sequence], chunk(text)].concat();
    let talk = [
        payload(4, 40, &[0; 8]),
        payload(5, 41, &[0, 0x81, 0, 0, b'h', b'i']),
        vec![14],
        payload(5, 42, &[1, 3, 0, 0]),
        payload(6, 43, &[]),
    ];
    let lie = [payload(5, 200, &[1, 0xff, 0xff, 0]), vec![14, 14]];
    let request = vec![0x39, 0, 0, 0, 0, 0, 14, 0x49, 1, 60, 0, 1, 61, 0, 2, 0];
    let garbage =
        [vec![0x30], chunk(&[0x15; 60]), vec![0x10], chunk(&[0x16; 18]), vec![11], chunk(&[0x14; 26])];
    // Under the extended form: a payload from a new address, its path answered; a goodbye.
    let extended = |from: u8, kind: u8, sequence: u16, text: &[u8]| {
        let head = vec![from << 4 | 6, kind, 2, sequence as u8, (sequence >> 8) as u8, 0, 0, 0, 0, 0, 0];
        [head, chunk(text)].concat()
    };
    let moving = [
        extended(4, 13, 300, &[0, 0x81, 0, 0, b'h', b'i']),
        vec![15, 0x2d, 1, 14],
        extended(4, 13, 302, &[0, 0x81, 1, 0, b'h', b'i']),
        extended(4, 14, 303, &[]),
    ];
    // A probe of the path and answers to probes that were, and were not, sent; then the same to its own client.
    let probing = [
        extended(2, 9, 300, &[0; 200]),
        vec![14, 14, 14, 14],
        extended(2, 15, 301, &12u64.to_le_bytes()),
        extended(2, 15, 302, &u64::MAX.to_le_bytes()),
        [vec![7, 9, 2, 90, 0, 0, 0, 0, 0, 0, 0], chunk(&[0; 100])].concat(),
        [vec![7, 15, 2, 91, 0, 0, 0, 0, 0, 0, 0], chunk(&[3, 0, 0, 0, 0, 0, 0, 0])].concat(),
        vec![14],
    ];
    let fool = [vec![7, 6, 8], u64::MAX.to_le_bytes().to_vec(), chunk(&[]), vec![14]];
    vec![
        talk.concat(),
        lie.concat(),
        request,
        garbage.concat(),
        fool.concat(),
        moving.concat(),
        probing.concat(),
    ]
}

const TICK: Duration = Duration::from_micros(16_667);
const STEPS_MAX: usize = 60;
