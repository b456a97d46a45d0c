//! A whole match in memory: the server's room, clients flown by pilots, seeded weather between them, and a clock that
//! is a number. Never waits for anything.

use std::net::SocketAddr;
use std::time::Duration;

use arena::pilot::{Pilot, Sight};
use arena::{ArenaGame, MatchEnd};
use netcode_client::{Client, ClientConfig, ClientStats};
use netcode_sim::{Conditioner, Profile};
use netcode_snapshot::MessageSet;
use netcode_token::{Key, Seat, TokenSpec, mint};
use netcode_wire::Time;
use server_runtime::{Room, ServerOptions};

const PROTOCOL_ID: u64 = server_runtime::PROTOCOL_ID_DEFAULT;
const UNIX_AT_ZERO_S: u64 = 1_800_000_000;
/// A tick of 60 Hz in four parts, so that arrivals fall anywhere within it.
const STEP: Duration = Duration::from_micros(16_667 / 4);

/// Everybody who takes part.
pub(crate) struct Rehearsal {
    pub(crate) room: Room<ArenaGame>,
    pub(crate) players: Vec<Player>,
    messages: MessageSet,
    pub(crate) now: Time,
}

/// A client, who flies it, and the paths to and from the server.
pub(crate) struct Player {
    pub(crate) id: u64,
    pub(crate) client: Client<ArenaGame>,
    pub(crate) received: Received,
    pilot: Pilot,
    address: SocketAddr,
    up: Conditioner,
    down: Conditioner,
}

/// The game messages that one player was told.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) hits: usize,
    pub(crate) kills: usize,
    pub(crate) end: Option<MatchEnd>,
}

impl Rehearsal {
    /// An open room that plays for `seconds`, with `count` players on their way to it.
    pub(crate) fn new(count: usize, profile: &Profile, seed: u64, seconds: u32) -> Self {
        let key = Key::generate();
        let options = ServerOptions { key: Some(key.to_hex().into()), ..ServerOptions::default() };
        let mut room = arena::server(options).build(&[], UNIX_AT_ZERO_S).expect("the options are complete");
        room.open(seed, seconds);
        let players = (0..count).map(|index| Player::new(index, &key, profile, seed)).collect();
        Self { room, players, messages: arena::messages(), now: Time::ZERO }
    }

    /// One tick of the server, and all that happens meanwhile.
    pub(crate) fn tick(&mut self) {
        for _ in 0..4 {
            self.now += STEP;
            for player in &mut self.players {
                player.advance(self.now, &mut self.room, &self.messages);
            }
        }
        self.room.tick(self.now, self.now).expect("no system panics");
        while let Some(transmit) = self.room.poll_transmit() {
            let player = self.players.iter_mut().find(|player| player.address == transmit.to);
            player.expect("the server answers players only").down.push(self.now, transmit.to, transmit.bytes);
        }
    }

    /// Each player's figures.
    pub(crate) fn stats(&self) -> Vec<ClientStats> {
        self.players.iter().map(|player| player.client.stats()).collect()
    }
}

impl Player {
    fn new(index: usize, key: &Key, profile: &Profile, seed: u64) -> Self {
        let id = 1 + index as u64;
        let seat =
            Seat { match_id: 0, player: id, team: 0, rating_milli: 25_000, name: format!("pilot {id}") };
        let spec = TokenSpec {
            protocol_id: PROTOCOL_ID,
            create_unix_s: UNIX_AT_ZERO_S,
            expire_unix_s: UNIX_AT_ZERO_S + 60,
            timeout_s: 10,
            client_id: id,
            servers: vec![SocketAddr::from(([10, 0, 0, 1], 7777))],
            user_data: seat.encode(),
        };
        let mut config = ClientConfig::new(PROTOCOL_ID);
        config.messages = arena::messages();
        config.telemetry = true;
        let token = mint(&spec, key).expect("the specification is complete");
        Self {
            id,
            client: Client::connect(Time::ZERO, &token[..], arena::schema(), config)
                .expect("a token of our own"),
            received: Received::default(),
            pilot: Pilot::new(seed.wrapping_mul(31).wrapping_add(id)),
            address: SocketAddr::from(([10, 0, 1, index as u8], 4000)),
            up: Conditioner::new(*profile, seed ^ (id << 8)),
            down: Conditioner::new(*profile, seed ^ (id << 16)),
        }
    }

    fn advance(&mut self, now: Time, room: &mut Room<ArenaGame>, messages: &MessageSet) {
        let Self { client, pilot, address, up, down, received, .. } = self;
        while let Some((_, mut datagram)) = down.poll(now) {
            client.handle_datagram(now, SocketAddr::from(([10, 0, 0, 1], 7777)), &mut datagram);
        }
        client.advance(now, &mut |_, view| pilot.decide(&Sight::of(view)));
        while let Some((_, bytes)) = client.poll_message() {
            received.hits += usize::from(messages.decode::<arena::Hit>(&bytes).is_ok());
            received.kills += usize::from(messages.decode::<arena::Kill>(&bytes).is_ok());
            received.end = received.end.take().or_else(|| messages.decode(&bytes).ok());
        }
        while let Some(transmit) = client.poll_transmit() {
            up.push(now, *address, transmit.bytes);
        }
        while let Some((from, mut datagram)) = up.poll(now) {
            room.handle_datagram(now, from, &mut datagram);
        }
    }
}
