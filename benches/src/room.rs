//! One arena room with real clients, sealed datagrams and pilots, in one thread and in simulated time. Owns the wiring
//! between them, perfect and without delay; must never know what is being measured.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use arena::ArenaGame;
use arena::pilot::{Pilot, Sight};
use netcode_client::{Client, ClientConfig, ClientState};
use netcode_token::{Key, Seat, TokenSpec, mint};
use netcode_wire::Time;
use server_runtime::{PROTOCOL_ID_DEFAULT, Room, ServerOptions};

/// The rooms' clocks begin here.
pub const UNIX_AT_ZERO_S: u64 = 1_800_000_000;
/// Where the rooms are.
pub const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 7777);
/// 60 Hz.
const TICK: Duration = Duration::from_micros(16_667);

/// A room and everybody in it.
pub struct Table {
    room: Room<ArenaGame>,
    players: Vec<Player>,
    now: Time,
    bytes: Bytes,
}

/// Bytes of sealed datagrams so far, without the headers of IP and UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// From the server.
    pub down: u64,
    /// To the server.
    pub up: u64,
}

struct Player {
    client: Client<ArenaGame>,
    pilot: Pilot,
    address: SocketAddr,
}

impl Table {
    /// A room with `players` pilots, all of them connected and flying.
    ///
    /// # Errors
    /// The room cannot be built, or not everybody got in.
    pub fn new(players: u16, seed: u64) -> anyhow::Result<Self> {
        Self::with_recorder(players, seed, ServerOptions::default().record_mib)
    }

    /// The same with so much memory for the flight recorder; 0: none.
    ///
    /// # Errors
    /// As [`Table::new`].
    pub fn with_recorder(players: u16, seed: u64, record_mib: u16) -> anyhow::Result<Self> {
        let key = Key::generate();
        let options = ServerOptions {
            key: Some(key.to_hex().into()),
            clients_max: players,
            record_mib,
            ..ServerOptions::default()
        };
        let mut room = arena::server(options).build(&[], UNIX_AT_ZERO_S)?;
        room.open(seed, 0);
        let players = (0..players).map(|index| Player::new(index, &key, seed)).collect::<Result<_, _>>()?;
        let mut table = Self { room, players, now: Time::ZERO, bytes: Bytes::default() };
        for _ in 0..120 {
            table.tick()?;
        }
        let connected = |player: &Player| player.client.state() == ClientState::Connected;
        anyhow::ensure!(table.players.iter().all(connected), "somebody did not get in within two seconds");
        table.bytes = Bytes::default();
        Ok(table)
    }

    /// One tick of everybody. Gives the time that the server took of it: opening datagrams, the tick, sealing.
    ///
    /// # Errors
    /// A system panicked.
    pub fn tick(&mut self) -> anyhow::Result<Duration> {
        self.now += TICK;
        let mut up: Vec<(SocketAddr, Vec<u8>)> = Vec::new();
        for player in &mut self.players {
            player.advance(self.now, &mut up);
        }
        let mut down: Vec<(SocketAddr, Vec<u8>)> = Vec::new();
        let began = Instant::now();
        for (from, datagram) in &mut up {
            self.room.handle_datagram(self.now, *from, datagram);
        }
        self.room.tick(self.now, self.now)?;
        while let Some(transmit) = self.room.poll_transmit() {
            down.push((transmit.to, transmit.bytes.to_vec()));
        }
        let took = began.elapsed();
        self.bytes.up += up.iter().map(|(_, datagram)| datagram.len() as u64).sum::<u64>();
        self.bytes.down += down.iter().map(|(_, datagram)| datagram.len() as u64).sum::<u64>();
        for (to, mut datagram) in down {
            let player = self.players.iter_mut().find(|player| player.address == to);
            let player = player.context("the server wrote to a stranger")?;
            player.client.handle_datagram(self.now, SERVER.into(), &mut datagram);
        }
        Ok(took)
    }

    /// Bytes since the room was made.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.bytes
    }

    /// Bytes of the recording so far, as a file; 0 without a recorder.
    #[must_use]
    pub fn recording_bytes(&self) -> usize {
        self.room.recording().map_or(0, |bytes| bytes.len())
    }

    /// Corrections of their own ship that the clients had to make.
    #[must_use]
    pub fn mispredictions(&self) -> u64 {
        self.players.iter().map(|player| player.client.stats().mispredictions).sum()
    }
}

impl Player {
    fn new(index: u16, key: &Key, seed: u64) -> anyhow::Result<Self> {
        let id = 1 + u64::from(index);
        Ok(Self { client: join(id, key)?, pilot: Pilot::new(seed ^ id), address: address(index) })
    }

    fn advance(&mut self, now: Time, up: &mut Vec<(SocketAddr, Vec<u8>)>) {
        let Self { client, pilot, address } = self;
        client.advance(now, &mut |_, view| pilot.decide(&Sight::of(view)));
        while client.poll_message().is_some() {}
        while let Some(transmit) = client.poll_transmit() {
            up.push((*address, transmit.bytes.to_vec()));
        }
    }
}

/// A client of the arena on its way into a room at [`SERVER`], as player `id`.
///
/// # Errors
/// The token cannot be minted, or used.
pub fn join(id: u64, key: &Key) -> anyhow::Result<Client<ArenaGame>> {
    let seat = Seat { match_id: 0, player: id, team: 0, rating_milli: 25_000, name: format!("pilot {id}") };
    let spec = TokenSpec {
        protocol_id: PROTOCOL_ID_DEFAULT,
        create_unix_s: UNIX_AT_ZERO_S,
        expire_unix_s: UNIX_AT_ZERO_S + 60,
        timeout_s: 10,
        client_id: id,
        servers: vec![SERVER.into()],
        user_data: seat.encode(),
    };
    let mut config = ClientConfig::new(PROTOCOL_ID_DEFAULT);
    config.messages = arena::messages();
    Ok(Client::connect(Time::ZERO, &mint(&spec, key)?[..], arena::schema(), config)?)
}

/// Where player number `index` sends from.
#[must_use]
pub fn address(index: u16) -> SocketAddr {
    ([10, 1, 0, 0], 2000 + index).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_plays_and_nothing_is_mispredicted() {
        let mut table = Table::new(8, 3).unwrap();
        for _ in 0..300 {
            table.tick().unwrap();
        }
        assert!(table.bytes().down > 8 * 300 * 20, "{:?}", table.bytes());
        assert_eq!(table.mispredictions(), 0);
    }
}
