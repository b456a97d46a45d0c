//! A small game and a table to play it at: a room and its clients in one thread, in virtual time, over a wire that
//! loses nothing. Shared by the tests of this folder.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(elided_lifetimes_in_paths, reason = "systems are read by their components, not by their borrows")]

use std::net::SocketAddr;
use std::time::Duration;

use netcode_client::{Client, ClientConfig, ClientState};
use netcode_snapshot::{MessageSet, Schema};
use netcode_token::{Key, Seat, TOKEN_LEN, TokenSpec, mint};
use netcode_wire::Time;
use server_runtime::prelude::*;
use server_runtime::{Room, ServerOptions};

pub(crate) const KEY_HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
pub(crate) const PROTOCOL: u64 = 77;
pub(crate) const SERVER: &str = "127.0.0.1:4000";
/// Where a bare session's datagrams come from.
pub(crate) const BARE: &str = "127.0.0.1:6000";
pub(crate) const UNIX_AT_ZERO_S: u64 = 1_000_000;
pub(crate) const HZ: u16 = 60;

/// Somebody who walks along a line.
#[derive(Component, Replicate, Clone, Debug, PartialEq)]
#[net(predicted)]
pub(crate) struct Walker {
    #[net(range(-100.0..=100.0), step = 0.01)]
    pub(crate) x: f32,
    #[net(bits = 8)]
    pub(crate) team: u8,
}

/// Something that lies around.
#[derive(Component, Replicate, Clone, Debug, PartialEq)]
pub(crate) struct Stone {
    #[net(range(-100.0..=100.0), step = 0.01)]
    pub(crate) x: f32,
}

/// What a walker's player alone knows.
#[derive(Component, Replicate, Clone, Debug, PartialEq)]
#[net(visible = "owner")]
pub(crate) struct Purse {
    pub(crate) gold: u8,
}

/// Those who wear one colour.
pub(crate) const TEAM: Audience = Audience::custom(2);

/// What a walker's team knows.
#[derive(Component, Replicate, Clone, Debug, PartialEq)]
#[net(visible = TEAM)]
pub(crate) struct Plan {
    pub(crate) target: Option<NetId>,
}

#[derive(Input, Clone, Debug, Default, PartialEq)]
pub(crate) struct Walk {
    #[net(range(-1.0..=1.0), step = 0.125)]
    pub(crate) speed: f32,
    pub(crate) shout: bool,
}

/// What is said.
#[derive(Message, Clone, Debug, PartialEq)]
pub(crate) struct Say {
    pub(crate) by: u64,
    #[net(max = 64)]
    pub(crate) text: String,
}

pub(crate) struct Walking;

impl Game for Walking {
    type Input = Walk;
    type State = Walker;

    fn step(state: &mut Walker, input: &Walk, context: StepContext) {
        state.x = (state.x + input.speed * 6.0 * context.dt).clamp(-100.0, 100.0);
    }

    fn distance(a: &Walker, b: &Walker) -> f32 {
        (a.x - b.x).abs()
    }
}

/// Everyone gets a walker; who shouts is heard; shouts score.
pub(crate) fn walking() -> ServerBuilder<Walking> {
    Server::builder("walking")
        .tick_rate(HZ)
        .game::<Walking>()
        .replicate::<Stone>()
        .replicate::<Purse>()
        .replicate::<Plan>()
        .audience(TEAM, |world, viewer, entity| {
            // Players of even numbers, and of odd ones.
            world.entity(entity).get::<Owner>().is_some_and(|owner| owner.0.0 % 2 == viewer.0 % 2)
        })
        .message::<Say>(channels::GAME_RELIABLE_ORDERED)
        .hittable::<Walker>(|walker| Some(Pose::new(Vec2::new(walker.x, 0.0), 0.5)))
        .live_view(|world| {
            let mut scene = Scene::new(200.0, 10.0);
            for (id, walker) in world.query::<(&Networked, &Walker)>().iter(world) {
                scene.push(Shape::new("walker", Vec2::new(walker.x, 0.0)).id(id.0));
            }
            scene
        })
        .ghost(|walker| Shape::new("walker", Vec2::new(walker.x, 0.0)))
        .add_systems(Stage::Receive, (join, echo))
        .add_systems(Stage::Simulate, shout)
        .config(options())
}

pub(crate) fn options() -> ServerOptions {
    ServerOptions {
        key: Some(KEY_HEX.into()),
        protocol_id: PROTOCOL,
        seat_hold_seconds: 2,
        wait_seconds: 3,
        grace_seconds: 1,
        ..ServerOptions::default()
    }
}

fn join(mut joined: EventReader<PlayerJoined>, mut commands: Commands) {
    for join in joined.read() {
        let walker = Walker { x: join.seat as f32 * 10.0, team: join.team };
        let secrets = (Purse { gold: join.player.0 as u8 }, Plan { target: Some(NetId(0)) });
        commands.spawn((Owner(join.player), walker, secrets));
    }
}

fn echo(mut said: EventReader<FromPlayer<Say>>, mut outbox: ResMut<Outbox>) {
    for said in said.read() {
        outbox.broadcast(&Say { by: said.player.0, text: said.message.text.clone() });
    }
}

fn shout(walkers: Query<(&Owner, &InputOf<Walking>)>, mut board: ResMut<Scoreboard>) {
    for (owner, input) in &walkers {
        if input.current.shout && !input.previous.shout {
            board.line(owner.0).score += 1;
        }
    }
}

pub(crate) fn schema() -> Schema {
    Schema::builder()
        .component::<Walker>()
        .component::<Stone>()
        .component::<Purse>()
        .component::<Plan>()
        .build()
}

pub(crate) fn messages() -> MessageSet {
    MessageSet::builder().message::<Say>(channels::GAME_RELIABLE_ORDERED.0).build()
}

/// A token for `player` at `server`, as the backend would mint it.
pub(crate) fn token(player: u64, match_id: u128, server: SocketAddr, unix_s: u64) -> Box<[u8; TOKEN_LEN]> {
    let seat = Seat { match_id, player, team: 3, rating_milli: 0, name: format!("player {player}") };
    let spec = TokenSpec {
        protocol_id: PROTOCOL,
        create_unix_s: unix_s,
        expire_unix_s: unix_s + 600,
        timeout_s: 2,
        client_id: player,
        servers: vec![server],
        user_data: seat.encode(),
    };
    mint(&spec, &Key::from_hex(KEY_HEX).unwrap()).unwrap()
}

pub(crate) fn client_config() -> ClientConfig {
    ClientConfig { messages: messages(), telemetry: true, ..ClientConfig::new(PROTOCOL) }
}

/// A client at the table.
pub(crate) struct Guest {
    pub(crate) address: SocketAddr,
    pub(crate) client: Client<Walking>,
    pub(crate) input: Walk,
    /// Neither sends nor hears while this is set.
    pub(crate) unplugged: bool,
}

/// The table.
pub(crate) struct Table {
    pub(crate) room: Room<Walking>,
    pub(crate) guests: Vec<Guest>,
    pub(crate) now: Time,
    next_port: u16,
}

impl Table {
    pub(crate) fn new(builder: ServerBuilder<Walking>) -> Self {
        let room = builder.build(&[SERVER.parse().unwrap()], UNIX_AT_ZERO_S).unwrap();
        Self { room, guests: Vec::new(), now: Time::from_millis(1000), next_port: 5000 }
    }

    /// An open room: anyone may join.
    pub(crate) fn open(builder: ServerBuilder<Walking>) -> Self {
        let mut table = Self::new(builder);
        table.room.open(7, 0);
        table
    }

    /// Adds a client with a fresh token; returns its place.
    pub(crate) fn invite(&mut self, player: u64, match_id: u128) -> usize {
        let unix_s = UNIX_AT_ZERO_S + self.now.as_micros() / 1_000_000;
        let token = token(player, match_id, SERVER.parse().unwrap(), unix_s);
        let client = Client::connect(self.now, &token[..], schema(), client_config()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], self.next_port));
        self.next_port += 1;
        self.guests.push(Guest { address, client, input: Walk::default(), unplugged: false });
        self.guests.len() - 1
    }

    /// One server tick, and whatever the clients do meanwhile (they look four times a tick).
    pub(crate) fn tick(&mut self) {
        for _ in 0..4 {
            self.now = self.now.saturating_add(Duration::from_micros(1_000_000 / u64::from(HZ) / 4));
            for guest in &mut self.guests {
                let input = guest.input.clone();
                guest.client.advance(self.now, &mut |_, _| input.clone());
                while let Some(transmit) = guest.client.poll_transmit() {
                    let mut bytes = transmit.bytes.to_vec();
                    if !guest.unplugged {
                        self.room.handle_datagram(self.now, guest.address, &mut bytes);
                    }
                }
            }
        }
        if !self.room.is_closed() {
            self.room.tick(self.now, self.now).unwrap();
        }
        self.deliver();
    }

    /// One server tick of a room whose only player is a bare session: what a modified client can do. Messages stay with
    /// the session.
    pub(crate) fn tick_with(&mut self, session: &mut netcode_proto::Client) {
        self.now = self.now.saturating_add(Duration::from_micros(1_000_000 / u64::from(HZ)));
        session.step(self.now);
        session.flush(self.now);
        while let Some(transmit) = session.poll_transmit() {
            let mut bytes = transmit.bytes.to_vec();
            self.room.handle_datagram(self.now, BARE.parse().unwrap(), &mut bytes);
        }
        self.room.tick(self.now, self.now).unwrap();
        while let Some(transmit) = self.room.poll_transmit() {
            session.handle_datagram(self.now, SERVER.parse().unwrap(), &mut transmit.bytes.to_vec());
        }
    }

    /// What the room has to say reaches its clients.
    pub(crate) fn deliver(&mut self) {
        let server: SocketAddr = SERVER.parse().unwrap();
        while let Some(transmit) = self.room.poll_transmit() {
            let mut bytes = transmit.bytes.to_vec();
            let to = transmit.to;
            if let Some(guest) = self.guests.iter_mut().find(|guest| guest.address == to && !guest.unplugged)
            {
                guest.client.handle_datagram(self.now, server, &mut bytes);
            }
        }
    }

    pub(crate) fn seconds(&mut self, seconds: f64) {
        for _ in 0..(seconds * f64::from(HZ)) as usize {
            self.tick();
        }
    }

    /// Ticks until `done`, at most five seconds.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..5 * usize::from(HZ) {
            if done(self) {
                return;
            }
            self.tick();
        }
        panic!("not within five seconds: {what}");
    }

    /// Ticks until the guest has joined and owns something.
    pub(crate) fn seated(&mut self, place: usize) -> NetId {
        self.until("seated", |table| table.guests[place].client.predicted().is_some());
        self.guests[place].client.own().unwrap()
    }

    pub(crate) fn state(&self, place: usize) -> ClientState {
        self.guests[place].client.state()
    }
}
