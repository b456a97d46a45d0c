//! A server and some clients in a virtual network with seeded loss, delay and duplication. No sockets, no sleeps.

#![allow(dead_code, reason = "every test file uses its own part")]

use std::net::SocketAddr;
use std::time::Duration;

use netcode_proto::{Client, ClientConfig, ClientState, Server, ServerConfig, ServerEvent, Transmit};
use netcode_token::aead::{Cipher, PacketKey};
use netcode_token::{Key, PublicToken, Seat, TokenSpec, mint};
use netcode_wire::{Ecn, Time};

pub(crate) const PROTOCOL: u64 = 0x7769_636b;
pub(crate) const UNIX: u64 = 1_700_000_000;
pub(crate) const TICK: Duration = Duration::from_micros(16_667);

pub(crate) fn private_key() -> Key {
    Key::from_bytes([7; 32])
}

pub(crate) fn server_address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 4000))
}

pub(crate) fn client_address(number: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, 1], 5000 + number))
}

pub(crate) fn server_config() -> ServerConfig {
    ServerConfig {
        challenge_key: Key::from_bytes([9; 32]),
        public_addresses: vec![server_address()],
        clients_max: 4,
        unix_at_zero_s: UNIX,
        seed: 1,
        ..ServerConfig::new(PROTOCOL, private_key())
    }
}

/// A token for `player` that lives for 30 s from `Time::ZERO`, with a timeout of 5 s.
pub(crate) fn spec(player: u64) -> TokenSpec {
    TokenSpec {
        protocol_id: PROTOCOL,
        create_unix_s: UNIX,
        expire_unix_s: UNIX + 30,
        timeout_s: 5,
        client_id: player,
        servers: vec![server_address()],
        user_data: Seat { player, ..Seat::default() }.encode(),
    }
}

pub(crate) fn token(player: u64) -> Vec<u8> {
    mint(&spec(player), &private_key()).expect("a sound spec").to_vec()
}

/// What a datagram is, by its type number.
pub(crate) fn kind(datagram: &[u8]) -> u8 {
    datagram[0] & 0x0f
}

/// A sealed datagram's sequence; a server's, or one of the standard's form.
pub(crate) fn sequence(datagram: &[u8]) -> u64 {
    sequence_at(datagram, 1)
}

/// The sequence of a datagram that a client sent: an extended one has the connection id before it.
pub(crate) fn client_sequence(datagram: &[u8]) -> u64 {
    sequence_at(datagram, if kind(datagram) & 8 == 0 { 1 } else { 5 })
}

fn sequence_at(datagram: &[u8], at: usize) -> u64 {
    let len = usize::from(datagram[0] >> 4);
    let mut bytes = [0; 8];
    bytes[..len].copy_from_slice(&datagram[at..at + len]);
    u64::from_le_bytes(bytes)
}

/// A packet as an end with `key` seals it; `id` is empty but in extended packets from a client.
pub(crate) fn seal_with(key: &PacketKey, kind: u8, id: &[u8], sequence: u64, text: &[u8]) -> Vec<u8> {
    let len = (8 - sequence.leading_zeros() as usize / 8).max(1);
    let prefix = kind | (len as u8) << 4;
    let mut datagram = [&[prefix], id, &sequence.to_le_bytes()[..len], text].concat();
    let start = 1 + id.len() + len;
    let associated = [b"NETCODE 1.02\0", &PROTOCOL.to_le_bytes()[..], &[prefix], id].concat();
    let tag = key.seal(sequence, &associated, &mut datagram[start..]);
    datagram.extend_from_slice(&tag);
    datagram
}

/// The text of a packet from a server, which has no connection id.
pub(crate) fn open_with(key: &PacketKey, datagram: &[u8]) -> Vec<u8> {
    let start = 1 + usize::from(datagram[0] >> 4);
    let associated = [b"NETCODE 1.02\0", &PROTOCOL.to_le_bytes()[..], &datagram[..1]].concat();
    let sequence = sequence(datagram);
    key.open(sequence, &associated, &mut datagram[start..].to_vec()).expect("ours").to_vec()
}

/// What the two ends of an extended session know, read by STANDARD.md §10 from token and acceptance.
pub(crate) struct ExtendedKeys {
    pub(crate) id: [u8; 4],
    pub(crate) up: PacketKey,
    pub(crate) down: PacketKey,
}

impl ExtendedKeys {
    pub(crate) fn new(token: &[u8], acceptance: &[u8]) -> Self {
        let token = PublicToken::decode(token).expect("a token");
        let text = open_with(&PacketKey::new(&token.server_to_client), acceptance);
        let cipher = [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm][usize::from(text[4])];
        let derive = |key: &Key| key.derive(&[b"tickwright extended session 1", &text]);
        let [up, down] = [&token.client_to_server, &token.server_to_client]
            .map(|key| PacketKey::with_cipher(&derive(key), cipher));
        Self { id: *text.first_chunk().expect("an id"), up, down }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) ecn: Ecn,
    pub(crate) bytes: Vec<u8>,
}

/// Decides what the network does to a datagram: true lets it through.
pub(crate) type Filter = Box<dyn FnMut(&Datagram) -> bool>;

/// What the network makes of a datagram's mark.
pub(crate) type Router = Box<dyn FnMut(&Datagram) -> Ecn>;

pub(crate) struct Net {
    pub(crate) now: Time,
    pub(crate) server: Server,
    pub(crate) clients: Vec<(SocketAddr, Client)>,
    pub(crate) events: Vec<ServerEvent>,
    /// Every datagram ever sent, lost ones included.
    pub(crate) log: Vec<Datagram>,
    pub(crate) loss: f32,
    pub(crate) duplicate: f32,
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    pub(crate) filter: Filter,
    pub(crate) router: Router,
    flying: Vec<(Time, Datagram)>,
    rng: fastrand::Rng,
}

impl Net {
    pub(crate) fn new(config: ServerConfig, seed: u64) -> Self {
        Self {
            now: Time::ZERO,
            server: Server::new(config),
            clients: Vec::new(),
            events: Vec::new(),
            log: Vec::new(),
            loss: 0.0,
            duplicate: 0.0,
            delay: Duration::from_millis(20),
            jitter: Duration::ZERO,
            filter: Box::new(|_| true),
            router: Box::new(|datagram| datagram.ecn),
            flying: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    pub(crate) fn bad(seed: u64) -> Self {
        let mut net = Self::new(server_config(), seed);
        (net.loss, net.duplicate, net.jitter) = (0.3, 0.1, Duration::from_millis(60));
        net
    }

    /// Adds a client; its number is also its address.
    pub(crate) fn connect(&mut self, token: &[u8]) -> usize {
        let number = self.clients.len();
        self.connect_from(client_address(number as u16), token);
        number
    }

    pub(crate) fn connect_from(&mut self, address: SocketAddr, token: &[u8]) {
        self.connect_with(address, token, ClientConfig::new(PROTOCOL));
    }

    pub(crate) fn connect_with(&mut self, address: SocketAddr, token: &[u8], config: ClientConfig) {
        let client = Client::connect(self.now, token, config).expect("a sound token");
        self.clients.push((address, client));
    }

    /// A client that has its token and nothing else; its number. `fresh` names its life.
    pub(crate) fn resume_from(&mut self, address: SocketAddr, token: &[u8], fresh: u8) -> usize {
        let config = ClientConfig::new(PROTOCOL);
        let fresh = Key::from_bytes([fresh; 32]);
        let client = Client::resume(self.now, token, config, &fresh).expect("a sound token");
        self.clients.push((address, client));
        self.clients.len() - 1
    }

    /// Gives a client another address, as a router or another network does.
    pub(crate) fn rebind(&mut self, number: usize, address: SocketAddr) {
        self.collect();
        self.clients[number].0 = address;
    }

    /// The extended keys of the client at `address` that came with `token`.
    pub(crate) fn extended_keys(&self, address: SocketAddr, token: &[u8]) -> ExtendedKeys {
        let is_it = |datagram: &&Datagram| datagram.to == address && kind(&datagram.bytes) == 7;
        ExtendedKeys::new(token, &self.log.iter().find(is_it).expect("it was accepted").bytes)
    }

    pub(crate) fn client(&mut self, number: usize) -> &mut Client {
        &mut self.clients[number].1
    }

    pub(crate) fn state(&self, number: usize) -> ClientState {
        self.clients[number].1.state()
    }

    pub(crate) fn tick(&mut self) {
        self.deliver();
        self.server.step(self.now);
        while let Some(event) = self.server.poll_event() {
            self.events.push(event);
        }
        self.server.flush(self.now);
        for (_, client) in &mut self.clients {
            client.step(self.now);
            client.flush(self.now);
        }
        self.collect();
        self.now += TICK;
    }

    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.tick();
        }
    }

    /// Ticks until `done`, at most for ten seconds.
    pub(crate) fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + Duration::from_secs(10);
        while self.now < end {
            self.tick();
            if done(self) {
                return true;
            }
        }
        false
    }

    pub(crate) fn all_connected(&self) -> bool {
        self.clients.iter().all(|(_, client)| client.state() == ClientState::Connected)
    }

    /// Hands a datagram to the server as if the network had, and gives what the server answers at once.
    pub(crate) fn inject(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<Datagram> {
        self.collect();
        let before = self.log.len();
        self.server.handle_datagram(self.now, from, &mut bytes.to_vec());
        self.collect();
        self.log[before..].to_vec()
    }

    /// Datagrams sent by `from` so far.
    pub(crate) fn sent_by(&self, from: SocketAddr) -> usize {
        self.log.iter().filter(|datagram| datagram.from == from).count()
    }

    fn deliver(&mut self) {
        self.collect();
        let now = self.now;
        self.flying.sort_by_key(|(due, _)| *due);
        let due = self.flying.partition_point(|(due, _)| *due <= now);
        for (_, mut datagram) in self.flying.drain(..due) {
            if datagram.to == server_address() {
                self.server.handle_arrival(now, datagram.from, datagram.ecn, &mut datagram.bytes);
                continue;
            }
            for (_, client) in self.clients.iter_mut().filter(|(address, _)| *address == datagram.to) {
                client.handle_arrival(now, datagram.from, datagram.ecn, &mut datagram.bytes.clone());
            }
        }
    }

    pub(crate) fn collect(&mut self) {
        let mut sent = Vec::new();
        while let Some(transmit) = self.server.poll_transmit() {
            let Transmit { to, ecn, bytes } = transmit;
            sent.push(Datagram { from: server_address(), to, ecn, bytes: bytes.to_vec() });
        }
        for (from, client) in &mut self.clients {
            while let Some(transmit) = client.poll_transmit() {
                let Transmit { to, ecn, bytes } = transmit;
                sent.push(Datagram { from: *from, to, ecn, bytes: bytes.to_vec() });
            }
        }
        for datagram in sent {
            self.log.push(datagram.clone());
            let copies = if self.rng.f32() < self.duplicate { 2 } else { 1 };
            for _ in 0..copies {
                let lost = self.rng.f32() < self.loss || !(self.filter)(&datagram);
                let due = self.now + self.delay + self.jitter.mul_f32(self.rng.f32());
                if !lost {
                    let ecn = (self.router)(&datagram);
                    self.flying.push((due, Datagram { ecn, ..datagram.clone() }));
                }
            }
        }
    }
}
