//! The smallest server that keeps the contract of `netcode_client`: inputs by tick, one snapshot a tick, feedback.
//! Owns: seats, the world, its history. Knows no links and no weather.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use netcode::{
    MessageSet, NetId, Replicate, Schema, StepContext, Tick, Time, channels,
    client::step,
    proto::{ClientId, DisconnectReason, Server, ServerConfig, ServerEvent},
    snapshot::{
        ClientView, ClientWord, Control, EntityWriter, Feedback, History, InputPacket, Telemetry, inputs_hash,
    },
    token::{Key, TokenSpec, mint_with},
    wire::{BitReader, BitWriter},
};

use crate::game::{Badge, Field, Shout, Steer, Walker};

pub(crate) const PROTOCOL: u64 = 0x5449_434b_5445_5354;
pub(crate) const KEY: [u8; 32] = [7; 32];
pub(crate) const HZ: u16 = 60;
const UNIX_AT_ZERO_S: u64 = 1_800_000_000;
const FIRST_TICK: u32 = 1000;
/// Ticks for which a missing input is the last one again.
const REPEATS_MAX: u32 = 15;
/// How far ahead of the server an input may lie.
const INPUTS_AHEAD_MAX: i32 = 128;

pub(crate) fn schema() -> Schema {
    Schema::builder().component::<Walker>().component::<Badge>().build()
}

pub(crate) fn messages() -> MessageSet {
    MessageSet::builder().message::<Shout>(channels::GAME_RELIABLE_ORDERED.0).build()
}

pub(crate) fn server_addr() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 4000))
}

/// A token for `player` at `now`, for the virtual server.
pub(crate) fn token(now: Time, player: u64) -> Box<[u8; 2048]> {
    token_for(now, player, server_addr())
}

/// A token that names any server.
pub(crate) fn token_for(now: Time, player: u64, server: SocketAddr) -> Box<[u8; 2048]> {
    let create_unix_s = UNIX_AT_ZERO_S + now.as_micros() / 1_000_000;
    let spec = TokenSpec {
        protocol_id: PROTOCOL,
        create_unix_s,
        expire_unix_s: create_unix_s + 60,
        timeout_s: 5,
        client_id: player,
        servers: vec![server],
        user_data: [0; 256],
    };
    // Equal runs need equal tokens, so the keys are not the operating system's; no two tokens have the same.
    let mut drawn = fastrand::Rng::with_seed(player ^ now.as_micros().rotate_left(32));
    let mut key = || Key::from_bytes(std::array::from_fn(|_| drawn.u8(..)));
    let (up, down) = (key(), key());
    let nonce = std::array::from_fn(|_| drawn.u8(..));
    mint_with(&spec, &Key::from_bytes(KEY), &up, &down, &nonce).expect("the specification is sound")
}

/// Which input's margin the server reports: the contract allows both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Margins {
    /// That of the input that was used, by the first datagram that carried it.
    Used,
    /// That of the newest input that arrived.
    Newest,
}

pub(crate) struct Seat {
    pub(crate) client: ClientId,
    pub(crate) net_id: NetId,
    pub(crate) state: Walker,
    view: ClientView,
    packet: InputPacket<Steer>,
    inputs: BTreeMap<Tick, (Steer, Time)>,
    missed: BTreeSet<Tick>,
    heard: bool,
    newest: Tick,
    last: Steer,
    repeats: u32,
    feedback: Feedback,
    pub(crate) starved: u64,
    pub(crate) shouts: Vec<u32>,
    pub(crate) telemetry: Option<Telemetry>,
    /// It asked for the schema and has not been answered.
    asked: bool,
    /// How far what the player saw lies behind the server's tick, when it acted last.
    pub(crate) view_age_ticks: f32,
}

pub(crate) struct TestServer {
    pub(crate) session: Server,
    pub(crate) schema: Schema,
    pub(crate) history: History,
    pub(crate) tick: Tick,
    pub(crate) seats: BTreeMap<u64, Seat>,
    pub(crate) margins: Margins,
    pub(crate) ended: Vec<(ClientId, DisconnectReason)>,
    /// What it says of its inputs.
    pub(crate) inputs_hash: u64,
    /// How a walker is put into a frame: another build's server has another component of that name.
    pub(crate) dress: fn(&mut EntityWriter<'_>, &Walker),
    wanderers: Vec<(NetId, Walker)>,
    rng: fastrand::Rng,
    next_id: u32,
    out: BitWriter,
}

impl TestServer {
    pub(crate) fn new(seed: u64, wanderers: usize) -> Self {
        let mut config = ServerConfig::new(PROTOCOL, Key::from_bytes(KEY));
        config.unix_at_zero_s = UNIX_AT_ZERO_S;
        config.seed = seed;
        config.challenge_key = Key::from_bytes([9; 32]);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut place = || Walker::at(rng.f32() * 80.0 - 40.0, rng.f32() * 80.0 - 40.0);
        let wanderers = (0..wanderers as u32).map(|n| (NetId(n), place())).collect::<Vec<_>>();
        Self {
            session: Server::new(config),
            schema: schema(),
            history: History::default(),
            tick: Tick(FIRST_TICK),
            seats: BTreeMap::new(),
            margins: Margins::Used,
            ended: Vec::new(),
            inputs_hash: inputs_hash::<Steer>(),
            dress: |entity, walker| entity.component(walker),
            next_id: wanderers.len() as u32,
            wanderers,
            rng,
            out: BitWriter::new(),
        }
    }

    /// When `tick` is simulated.
    pub(crate) fn time_of(tick: Tick) -> Time {
        Time::from_micros(u64::from(tick.0 - FIRST_TICK) * 1_000_000 / u64::from(HZ))
    }

    pub(crate) fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.session.handle_datagram(now, from, datagram);
        self.handle_events(now);
        let (tick, margins) = (self.tick, self.margins);
        for seat in self.seats.values_mut() {
            while let Some((channel, message)) = self.session.poll_message(seat.client) {
                let mut from = BitReader::new(&message);
                match channel {
                    channels::STATE => {
                        seat.packet.decode_into(&mut from).expect("our client writes what we read");
                        seat.accept(now, tick, margins);
                    }
                    channels::CONTROL => {
                        match ClientWord::decode(&mut from).expect("our client writes what we read") {
                            ClientWord::Telemetry(telemetry) => seat.telemetry = Some(telemetry),
                            ClientWord::DescribeSchema => seat.asked = true,
                        }
                    }
                    _ => seat.shouts.push(messages().decode::<Shout>(&message).expect("a shout").number),
                }
            }
        }
    }

    /// Simulates the next tick and tells everybody.
    pub(crate) fn simulate(&mut self, now: Time) {
        self.session.step(now);
        self.handle_events(now);
        self.tick = self.tick.next();
        let (tick, margins) = (self.tick, self.margins);
        for seat in self.seats.values_mut() {
            let input = seat.take_input(now, tick, margins);
            step::<Field>(&mut seat.state, &input, StepContext::new(tick, HZ));
        }
        for (_, walker) in &mut self.wanderers {
            let steer = Steer { forward: self.rng.bool(), turn: self.rng.i32(-1..=1) };
            step::<Field>(walker, &steer, StepContext::new(tick, HZ));
        }
        self.extract();
        self.replicate(now);
        self.session.flush(now);
    }

    /// Puts a player elsewhere, in another life.
    pub(crate) fn respawn(&mut self, player: u64, x: f32, y: f32) {
        let seat = self.seats.get_mut(&player).expect("the player is seated");
        let life = seat.state.life + 1;
        seat.state = Walker { life, ..Walker::at(x, y) };
    }

    /// Pushes a player aside, which no client could predict.
    pub(crate) fn shove(&mut self, player: u64, x: f32) {
        let seat = self.seats.get_mut(&player).expect("the player is seated");
        seat.state.x += x;
        seat.state.snap();
    }

    pub(crate) fn shout(&mut self, now: Time, player: u64, number: u32) {
        let (channel, bytes) = messages().encode(&Shout { number }).expect("registered");
        let client = self.seats[&player].client;
        self.session.send(now, client, netcode::ChannelId(channel), &bytes).expect("the channel has room");
    }

    fn handle_events(&mut self, now: Time) {
        while let Some(event) = self.session.poll_event() {
            match event {
                ServerEvent::Connected { client, player, .. } => self.seat(now, client, player),
                ServerEvent::Disconnected { client, reason } => {
                    self.ended.push((client, reason));
                    self.seats.retain(|_, seat| seat.client != client);
                }
            }
        }
    }

    fn seat(&mut self, now: Time, client: ClientId, player: u64) {
        let net_id = NetId(self.next_id);
        self.next_id += 1;
        let welcome = Control::Welcome {
            tick_hz: HZ,
            snapshot_every: 1,
            tick: self.tick,
            schema_hash: self.schema.hash(),
            messages_hash: messages().hash(),
            inputs_hash: self.inputs_hash,
            player,
        };
        for word in [welcome, Control::Owns { net_id }] {
            self.session
                .send(now, client, channels::CONTROL, &word.to_bytes())
                .expect("a fresh channel has room");
        }
        self.seats.insert(player, Seat::new(client, net_id, Walker::at(player as f32, 0.0)));
    }

    fn extract(&mut self) {
        let Self { history, schema, seats, wanderers, tick, dress, .. } = self;
        history.extract(*tick, |frame| {
            for (id, walker) in wanderers.iter() {
                frame.push(schema, *id, |entity| dress(entity, walker));
            }
            for seat in seats.values() {
                frame.push(schema, seat.net_id, |entity| {
                    dress(entity, &seat.state);
                    entity.component(&Badge { score: tick.0 / 60 });
                });
            }
        });
    }

    fn replicate(&mut self, now: Time) {
        let everybody: Vec<NetId> = self.history.newest().expect("just extracted").entities().collect();
        for seat in self.seats.values_mut() {
            if std::mem::take(&mut seat.asked) {
                let word = Control::Schema(self.schema.describe());
                let sent = self.session.send(now, seat.client, channels::CONTROL, &word.to_bytes());
                sent.expect("a fresh channel has room");
            }
            // The own entity has the first place.
            let weight = |id: &NetId| (*id, if *id == seat.net_id { 1e6 } else { 1.0 });
            let relevant: Vec<_> = everybody.iter().map(weight).collect();
            let budget_bits = self.session.budget_bytes(seat.client) * 8;
            self.out.clear();
            seat.view.encode(
                &self.schema,
                &self.history,
                &relevant,
                seat.feedback,
                budget_bits,
                &mut self.out,
            );
            seat.feedback.late_inputs = 0;
            self.session
                .send(now, seat.client, channels::STATE, self.out.as_bytes())
                .expect("state fits its budget");
        }
    }
}

impl Seat {
    fn new(client: ClientId, net_id: NetId, state: Walker) -> Self {
        Self {
            client,
            net_id,
            state,
            view: ClientView::new(),
            packet: InputPacket::default(),
            inputs: BTreeMap::new(),
            missed: BTreeSet::new(),
            heard: false,
            newest: Tick(0),
            last: Steer::default(),
            repeats: 0,
            feedback: Feedback::default(),
            starved: 0,
            shouts: Vec::new(),
            telemetry: None,
            asked: false,
            view_age_ticks: 0.0,
        }
    }

    fn accept(&mut self, now: Time, simulated: Tick, margins: Margins) {
        self.heard = true;
        if let Some(ack) = self.packet.ack {
            self.view.ack(ack);
        }
        let view = &self.packet.view;
        self.view_age_ticks = simulated.since(view.tick) as f32 - f32::from(view.fraction) / 256.0;
        if margins == Margins::Newest && self.packet.newest > self.newest {
            self.newest = self.packet.newest;
            let due = TestServer::time_of(self.newest);
            self.feedback.input_margin = sixteenths(due.since(now)) - sixteenths(now.since(due));
        }
        let oldest = self.packet.newest.offset(1 - self.packet.inputs.len() as i32);
        for (place, input) in self.packet.inputs.iter().enumerate() {
            let tick = oldest.offset(place as i32);
            if (1..=INPUTS_AHEAD_MAX).contains(&tick.since(simulated)) {
                self.inputs.entry(tick).or_insert_with(|| (input.clone(), now));
            } else if self.missed.remove(&tick) {
                let late = now.since(TestServer::time_of(tick));
                self.feedback.late_inputs = self.feedback.late_inputs.saturating_add(1);
                if margins == Margins::Used {
                    self.feedback.input_margin = self.feedback.input_margin.min(-sixteenths(late));
                }
            }
        }
    }

    fn take_input(&mut self, now: Time, tick: Tick, margins: Margins) -> Steer {
        match self.inputs.remove(&tick) {
            Some((input, arrived)) => {
                self.feedback.input_tick = Some(tick);
                if margins == Margins::Used {
                    self.feedback.input_margin = sixteenths(now.since(arrived));
                }
                self.repeats = 0;
                self.last = input;
            }
            None => {
                if self.heard {
                    self.missed.insert(tick);
                    self.starved += 1;
                }
                self.repeats += 1;
                if self.repeats > REPEATS_MAX {
                    self.last = Steer::default();
                }
            }
        }
        self.last.clone()
    }
}

fn sixteenths(span: Duration) -> i16 {
    (span.as_secs_f64() * f64::from(HZ) * 16.0).min(2047.0) as i16
}
