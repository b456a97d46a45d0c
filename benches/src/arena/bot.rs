//! One light player: the real client over a socket of its own, flown by a few random numbers. Sees its own ship and
//! nothing else, so that a thousand fit beside a server.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use arena::plains::PlainsGame;
use arena::{Controls, Ship};
use glam::Vec2;
use netcode_client::{Client, ClientConfig, ClientState};
use netcode_proto::ClientSession;
use netcode_token::{Key, Seat, TokenSpec, aead::has_aes_hardware, mint};
use netcode_transport::RenetClientSession;
use netcode_wire::Time;
use server_runtime::PROTOCOL_ID_DEFAULT;

/// A player.
pub(super) struct Bot {
    client: Client<PlainsGame, Box<dyn ClientSession + Send>>,
    socket: UdpSocket,
    server: SocketAddr,
    rambler: Rambler,
    pub(super) bytes_down: u64,
    pub(super) bytes_up: u64,
}

/// Wanders about the place where it came to life, and shoots now and then.
struct Rambler {
    random: fastrand::Rng,
    home: Option<Vec2>,
    wish: Controls,
    ticks_left: u32,
}

impl Bot {
    /// Begins to connect; `other_library`: renet's session instead of ours.
    pub(super) fn join(
        now: Time,
        unix_s: u64,
        index: u16,
        (server, key): (SocketAddr, &Key),
        other_library: bool,
    ) -> anyhow::Result<Self> {
        let player = 1 + u64::from(index);
        let seat = Seat { match_id: 0, player, team: 0, rating_milli: 0, name: format!("bot {index}") };
        let spec = TokenSpec {
            protocol_id: PROTOCOL_ID_DEFAULT,
            create_unix_s: unix_s,
            expire_unix_s: unix_s + TOKEN_LIFE_S,
            timeout_s: TIMEOUT_S,
            client_id: player,
            servers: vec![server],
            user_data: seat.encode(),
        };
        let token = mint(&spec, key)?;
        let mut config =
            ClientConfig { messages: arena::messages(), ..ClientConfig::new(PROTOCOL_ID_DEFAULT) };
        config.session.extensions.aes_hardware = has_aes_hardware();
        let session: Box<dyn ClientSession + Send> = if other_library {
            Box::new(RenetClientSession::connect(now, &token[..], &config.session)?)
        } else {
            Box::new(netcode_proto::Client::connect(now, &token[..], config.session.clone())?)
        };
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(server)?;
        Ok(Self {
            client: Client::over(session, arena::schema(), config),
            socket,
            server,
            rambler: Rambler::new(player),
            bytes_down: 0,
            bytes_up: 0,
        })
    }

    /// Takes in what has arrived, plays what is due, sends.
    pub(super) fn turn(&mut self, now: Time, buffer: &mut [u8]) {
        while let Ok(len) = self.socket.recv(buffer) {
            self.bytes_down += len as u64;
            self.client.handle_datagram(now, self.server, &mut buffer[..len]);
        }
        let rambler = &mut self.rambler;
        self.client.advance(now, &mut |_, view| {
            rambler.decide(view.own().and_then(|own| view.get::<Ship>(own)).as_ref())
        });
        while self.client.poll_message().is_some() {}
        while let Some(transmit) = self.client.poll_transmit() {
            // What the kernel has no room for is lost, as on any network.
            if self.socket.send(transmit.bytes).is_ok() {
                self.bytes_up += transmit.bytes.len() as u64;
            }
        }
    }

    /// When it wants its next turn; until it is let in, every few milliseconds.
    pub(super) fn next_turn(&self, now: Time) -> Time {
        self.client.next_tick_at().unwrap_or(now + KNOCK_EVERY)
    }

    pub(super) fn is_in(&self) -> bool {
        self.client.own().is_some() && self.client.state() == ClientState::Connected
    }

    /// Why it is out, if it is.
    pub(super) fn lost(&self) -> Option<String> {
        match self.client.state() {
            ClientState::Disconnected(reason) => Some(reason.to_string()),
            _ => None,
        }
    }

    /// Where it stands, for who wonders.
    pub(super) fn stands(&self) -> String {
        let (stats, own) = (self.client.stats(), self.client.own());
        format!(
            "{:?}, owns {own:?}, {} snapshots, {} B down, {} B up",
            self.client.state(),
            stats.snapshots_received,
            self.bytes_down,
            self.bytes_up
        )
    }

    pub(super) fn mispredictions(&self) -> u64 {
        self.client.stats().mispredictions
    }

    /// Entities that it holds, and the server's tick at which it did.
    pub(super) fn holds(&self) -> (u32, u32) {
        self.client.receiver().latest().map_or((0, 0), |frame| (frame.len() as u32, frame.tick().0))
    }
}

impl Rambler {
    fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), home: None, wish: Controls::default(), ticks_left: 0 }
    }

    fn decide(&mut self, own: Option<&Ship>) -> Controls {
        let Some(own) = own else { return Controls::default() };
        let home = *self.home.get_or_insert(own.pos);
        if self.ticks_left == 0 {
            self.ticks_left = self.random.u32(10..40);
            let turn = self.random.i32(-16..=16) as f32 / 16.0;
            let thrust = self.random.i32(0..=4) as f32 / 4.0;
            self.wish = Controls { turn, thrust, fire: false };
            let homeward = home - own.pos;
            if homeward.length() > STRAY_M {
                let off = arena::heading::wrap(homeward.to_angle() - own.heading);
                self.wish.turn = off.clamp(-1.0, 1.0);
                self.wish.thrust = if off.abs() < 1.0 { 1.0 } else { 0.0 };
                self.ticks_left = 8;
            }
        }
        self.ticks_left -= 1;
        Controls { fire: self.random.u32(..SHOT_EVERY_TICKS) == 0, ..self.wish.clone() }
    }
}

/// How far it goes from home before it turns back, metres.
const STRAY_M: f32 = 10.0;
/// Ticks from one shot to the next, on average: three seconds.
const SHOT_EVERY_TICKS: u32 = 180;
const KNOCK_EVERY: Duration = Duration::from_millis(5);
const TOKEN_LIFE_S: u64 = 120;
const TIMEOUT_S: i32 = 10;
