//! A server and its clients around a network that loses, repeats and reorders by a seed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use netcode_proto::channels::{ChannelId, ChannelKind, ChannelSet};
use netcode_proto::{
    Bytes, ClientConfig, ClientId, ClientSession, ClientState, ConnectError, ServerConfig, ServerEvent,
    ServerSession,
};
use netcode_token::{Key, TokenSpec};
use netcode_wire::Time;

use crate::Kind;

pub(crate) const PROTOCOL: u64 = 0x7469_636b;
pub(crate) const UNIX_AT_ZERO_S: u64 = 1_700_000_000;
pub(crate) const UNRELIABLE: ChannelId = ChannelId(0);
pub(crate) const SEQUENCED: ChannelId = ChannelId(1);
pub(crate) const UNORDERED: ChannelId = ChannelId(2);
pub(crate) const ORDERED: ChannelId = ChannelId(3);
/// Ticks last this long.
pub(crate) const TICK: Duration = Duration::from_millis(16);

/// What the network does to a datagram.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) loss: f64,
    pub(crate) repeats: f64,
    pub(crate) jitter_ms: u64,
}

pub(crate) struct World {
    pub(crate) kind: Kind,
    pub(crate) now: Time,
    pub(crate) server: Box<dyn ServerSession>,
    pub(crate) guests: Vec<Guest>,
    pub(crate) events: Vec<ServerEvent>,
    pub(crate) weather: Weather,
    network: Vec<Flying>,
    rng: fastrand::Rng,
}

pub(crate) struct Guest {
    pub(crate) session: Box<dyn ClientSession>,
    pub(crate) address: SocketAddr,
    pub(crate) heard: VecDeque<(ChannelId, Bytes)>,
}

struct Flying {
    due: Time,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

pub(crate) fn key() -> Key {
    Key::from_bytes([7; 32])
}

pub(crate) fn server_address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7777))
}

pub(crate) fn guest_address(n: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, 1], 1000 + n))
}

pub(crate) fn channels() -> ChannelSet {
    use ChannelKind::{ReliableOrdered, ReliableUnordered, Unreliable, UnreliableSequenced};
    ChannelSet::new(&[Unreliable, UnreliableSequenced, ReliableUnordered, ReliableOrdered])
}

/// A token for `player` that a backend minted `age_s` seconds after the world began.
pub(crate) fn spec(player: u64, age_s: u64) -> TokenSpec {
    TokenSpec {
        protocol_id: PROTOCOL,
        create_unix_s: UNIX_AT_ZERO_S + age_s,
        expire_unix_s: UNIX_AT_ZERO_S + age_s + 60,
        timeout_s: 5,
        client_id: player,
        servers: vec![server_address()],
        user_data: [player as u8; 256],
    }
}

pub(crate) fn mint(spec: &TokenSpec) -> Vec<u8> {
    netcode_token::mint(spec, &key()).expect("the spec is in order").to_vec()
}

impl World {
    pub(crate) fn new(kind: Kind, weather: Weather) -> Self {
        let mut config = ServerConfig::new(PROTOCOL, key());
        config.public_addresses = vec![server_address()];
        config.clients_max = 4;
        config.unix_at_zero_s = UNIX_AT_ZERO_S;
        config.channels = channels();
        Self {
            kind,
            now: Time::ZERO,
            server: (kind.server)(&config),
            guests: Vec::new(),
            events: Vec::new(),
            weather,
            network: Vec::new(),
            rng: fastrand::Rng::with_seed(11),
        }
    }

    /// A guest at its own address begins to connect; its number.
    pub(crate) fn join(&mut self, token: &[u8]) -> usize {
        let address = guest_address(self.guests.len() as u16);
        self.join_from(token, address).expect("the token can be read")
    }

    pub(crate) fn join_from(&mut self, token: &[u8], address: SocketAddr) -> Result<usize, ConnectError> {
        let mut config = ClientConfig::new(PROTOCOL);
        config.channels = channels();
        let session = (self.kind.client)(self.now, token, &config)?;
        self.guests.push(Guest { session, address, heard: VecDeque::new() });
        Ok(self.guests.len() - 1)
    }

    /// A guest that is connected, and its id on the server.
    pub(crate) fn connected(&mut self, token: &[u8]) -> (usize, ClientId) {
        let guest = self.join(token);
        self.run_until(|world| world.state(guest) == ClientState::Connected);
        let newest = self.events.iter().rev().find_map(|event| match event {
            ServerEvent::Connected { client, .. } => Some(*client),
            ServerEvent::Disconnected { .. } => None,
        });
        (guest, newest.expect("the server heard of it first"))
    }

    pub(crate) fn state(&self, guest: usize) -> ClientState {
        self.guests[guest].session.state()
    }

    /// One tick of everybody.
    pub(crate) fn tick(&mut self) {
        self.now += TICK;
        self.deliver();
        self.server.step(self.now);
        while let Some(event) = self.server.poll_event() {
            self.events.push(event);
        }
        self.server.flush(self.now);
        for guest in &mut self.guests {
            guest.session.step(self.now);
            while let Some(message) = guest.session.poll_message() {
                guest.heard.push_back(message);
            }
            guest.session.flush(self.now);
        }
        self.transmit();
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.tick();
        }
    }

    /// Ticks until `done`; a minute is too long.
    pub(crate) fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        let until = self.now + Duration::from_secs(60);
        while !done(self) {
            assert!(self.now < until, "{}: it never came; events {:?}", self.kind.name, self.events);
            self.tick();
        }
    }

    /// Puts a datagram of nobody's making onto the network.
    pub(crate) fn inject(&mut self, from: SocketAddr, bytes: Vec<u8>) {
        self.network.push(Flying { due: self.now, from, to: server_address(), bytes });
    }

    /// Everything that is on its way to `to`, taken off the network.
    pub(crate) fn intercept(&mut self, to: SocketAddr) -> Vec<Vec<u8>> {
        let (theirs, rest): (Vec<Flying>, Vec<Flying>) =
            self.network.drain(..).partition(|flying| flying.to == to);
        self.network = rest;
        theirs.into_iter().map(|flying| flying.bytes).collect()
    }

    fn deliver(&mut self) {
        let now = self.now;
        let (mut due, rest): (Vec<Flying>, Vec<Flying>) =
            self.network.drain(..).partition(|flying| flying.due <= now);
        self.network = rest;
        due.sort_by_key(|flying| flying.due);
        for Flying { from, to, mut bytes, .. } in due {
            if to == server_address() {
                self.server.handle_datagram(now, from, &mut bytes);
            } else if let Some(guest) = self.guests.iter_mut().rev().find(|guest| guest.address == to) {
                guest.session.handle_datagram(now, from, &mut bytes);
            }
        }
    }

    pub(crate) fn transmit(&mut self) {
        let mut sent: Vec<(SocketAddr, SocketAddr, Vec<u8>)> = Vec::new();
        while let Some(transmit) = self.server.poll_transmit() {
            sent.push((server_address(), transmit.to, transmit.bytes.to_vec()));
        }
        for guest in &mut self.guests {
            while let Some(transmit) = guest.session.poll_transmit() {
                sent.push((guest.address, transmit.to, transmit.bytes.to_vec()));
            }
        }
        for (from, to, bytes) in sent {
            let limit = self.kind.datagram_bytes_max;
            assert!(bytes.len() <= limit, "{}: a datagram of {} bytes", self.kind.name, bytes.len());
            self.throw(from, to, &bytes);
        }
    }

    fn throw(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let copies = if self.rng.f64() < self.weather.repeats { 2 } else { 1 };
        for _ in 0..copies {
            if self.rng.f64() >= self.weather.loss {
                let delay = Duration::from_millis(20 + self.rng.u64(0..=self.weather.jitter_ms));
                self.network.push(Flying { due: self.now + delay, from, to, bytes: bytes.to_vec() });
            }
        }
    }
}
