//! A server and players under virtual time and seeded weather; the law is checked at every snapshot.
//! Owns: time, the links, the players' hands.

use std::{net::SocketAddr, time::Duration};

use netcode::{Client, ClientConfig, Tick, Time, client::Key};
use netcode_sim::{Conditioner, Profile};

use crate::{
    game::{Field, Steer},
    server::{PROTOCOL, TestServer, messages, schema, server_addr, token},
};

/// When a player's frames come.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Frames {
    /// Every so many microseconds.
    Every(u64),
    /// When the client says that a tick is due.
    WhenDue,
}

pub(crate) struct Player {
    pub(crate) id: u64,
    pub(crate) client: Client<Field>,
    token: Box<[u8; 2048]>,
    pub(crate) up: Conditioner,
    pub(crate) down: Conditioner,
    pub(crate) frames: Frames,
    /// Frames at which the law was checked.
    pub(crate) lawful: u64,
    /// The server is not honest: the law is not checked.
    pub(crate) unlawful: bool,
    /// The longest way that the drawn walker went between two frames.
    pub(crate) longest_stride: f32,
    /// Samples asked for in one frame at most.
    pub(crate) samples_max: u32,
    /// What the measure counted while the client's own code ran.
    pub(crate) measured: u64,
    measure: Measure,
    addr: SocketAddr,
    next_frame: Time,
    drawn: Option<(f32, f32)>,
    rng: fastrand::Rng,
    steer: Steer,
}

/// Runs the client's code and says what it cost, in whatever a test measures.
pub(crate) type Measure = fn(&mut dyn FnMut()) -> u64;

pub(crate) struct World {
    pub(crate) now: Time,
    /// What is measured of players that join from now on.
    pub(crate) measure: Measure,
    pub(crate) server: TestServer,
    pub(crate) players: Vec<Player>,
    seed: u64,
}

impl World {
    pub(crate) fn new(seed: u64, wanderers: usize) -> Self {
        let server = TestServer::new(seed, wanderers);
        Self { now: Time::ZERO, measure: unmeasured, server, players: Vec::new(), seed }
    }

    /// Seats a player behind a link of its own, with default settings.
    pub(crate) fn join(&mut self, id: u64, profile: Profile, frames: Frames) -> usize {
        self.join_with(id, profile, frames, |_| {})
    }

    pub(crate) fn join_with(
        &mut self,
        id: u64,
        profile: Profile,
        frames: Frames,
        set: impl FnOnce(&mut ClientConfig),
    ) -> usize {
        let mut config = ClientConfig::new(PROTOCOL);
        config.messages = messages();
        set(&mut config);
        let token = token(self.now, id);
        let client = Client::connect(self.now, &*token, schema(), config).expect("the token is sound");
        self.seat(id, client, token, profile, frames)
    }

    /// A player's process has died without a word; it starts again, elsewhere, with nothing but its token.
    pub(crate) fn crash_and_resume(&mut self, crashed: usize, profile: Profile, frames: Frames) -> usize {
        let Player { id, token, up, down, .. } = &mut self.players[crashed];
        up.set_down(true);
        down.set_down(true);
        let (id, token) = (*id, token.clone());
        let mut config = ClientConfig::new(PROTOCOL);
        config.messages = messages();
        let fresh = Key::from_bytes([self.players.len() as u8; 32]);
        let client = Client::resume(self.now, &*token, &fresh, schema(), config).expect("the token is sound");
        self.seat(id, client, token, profile, frames)
    }

    fn seat(
        &mut self,
        id: u64,
        client: Client<Field>,
        token: Box<[u8; 2048]>,
        profile: Profile,
        frames: Frames,
    ) -> usize {
        let number = self.players.len() as u64;
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(number * 17);
        self.players.push(Player {
            id,
            client,
            token,
            up: Conditioner::new(profile, seed + 1),
            down: Conditioner::new(profile, seed + 2),
            frames,
            lawful: 0,
            unlawful: false,
            longest_stride: 0.0,
            samples_max: 0,
            measured: 0,
            measure: self.measure,
            addr: SocketAddr::from(([10, 0, 1, 1], 5000 + number as u16)),
            // Nobody's frames begin when a tick does.
            next_frame: self.now + Duration::from_micros(number * 1_733 + 311),
            drawn: None,
            rng: fastrand::Rng::with_seed(seed + 3),
            steer: Steer::default(),
        });
        self.players.len() - 1
    }

    /// Lets `span` pass.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.next_event().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.deliver_up();
            self.tick_server();
            for player in &mut self.players {
                player.deliver_down(self.now, &self.server);
                player.play_frame(self.now);
            }
        }
        self.now = end;
    }

    pub(crate) fn run_secs(&mut self, secs: u64) {
        self.run(Duration::from_secs(secs));
    }

    fn next_event(&self) -> Option<Time> {
        let server = TestServer::time_of(self.server.tick.next());
        let links = self.players.iter().flat_map(|p| [p.up.next_due(), p.down.next_due()]).flatten();
        let frames = self.players.iter().map(|player| player.next_frame);
        links.chain(frames).chain([server]).min()
    }

    fn deliver_up(&mut self) {
        for player in &mut self.players {
            while let Some((_, mut datagram)) = player.up.poll(self.now) {
                self.server.handle_datagram(self.now, player.addr, &mut datagram);
                player.up.recycle(datagram);
            }
        }
        self.send_down();
    }

    fn tick_server(&mut self) {
        if TestServer::time_of(self.server.tick.next()) <= self.now {
            self.server.simulate(self.now);
        }
        self.send_down();
    }

    fn send_down(&mut self) {
        while let Some(transmit) = self.server.session.poll_transmit() {
            if let Some(player) = self.players.iter_mut().find(|player| player.addr == transmit.to) {
                player.down.push(self.now, server_addr(), transmit.bytes);
            }
        }
    }
}

impl Player {
    fn deliver_down(&mut self, now: Time, server: &TestServer) {
        while let Some((from, mut datagram)) = self.down.poll(now) {
            let before = self.client.stats().snapshots_received;
            let client = &mut self.client;
            self.measured += (self.measure)(&mut || client.handle_datagram(now, from, &mut datagram));
            self.down.recycle(datagram);
            if !self.unlawful && self.client.stats().snapshots_received > before {
                self.check_law(server);
            }
        }
        self.send_up(now);
    }

    /// Bit for bit: everything shown is what the server had at that tick.
    fn check_law(&mut self, server: &TestServer) {
        let shown = self.client.receiver().latest().expect("one was just decoded");
        let truth = server.history.frame(shown.tick()).expect("the server still has it");
        assert!(shown.same_state(truth), "player {} at {:?}", self.id, shown.tick());
        self.lawful += 1;
    }

    fn play_frame(&mut self, now: Time) {
        if self.next_frame > now {
            return;
        }
        let mut samples = 0;
        let (client, rng, steer) = (&mut self.client, &mut self.rng, &mut self.steer);
        self.measured += (self.measure)(&mut || {
            client.advance(now, &mut |_: Tick, _| {
                samples += 1;
                // A hand changes its mind about three times a second.
                if rng.f32() < 0.05 {
                    *steer = Steer { forward: rng.f32() < 0.8, turn: rng.i32(-1..=1) };
                }
                steer.clone()
            });
        });
        self.samples_max = self.samples_max.max(samples);
        self.measure_stride();
        self.send_up(now);
        self.next_frame = match (self.frames, self.client.next_tick_at()) {
            (Frames::WhenDue, Some(due)) => due.max(now + Duration::from_micros(200)),
            (Frames::WhenDue, None) => now + Duration::from_millis(5),
            (Frames::Every(micros), _) => now + Duration::from_micros(micros),
        };
    }

    fn measure_stride(&mut self) {
        let drawn = self.client.smoothed().map(|walker| (walker.x, walker.y));
        if let (Some(before), Some(after)) = (self.drawn, drawn) {
            self.longest_stride = self.longest_stride.max((before.0 - after.0).hypot(before.1 - after.1));
        }
        self.drawn = drawn;
    }

    fn send_up(&mut self, now: Time) {
        while let Some(transmit) = self.client.poll_transmit() {
            self.up.push(now, transmit.to, transmit.bytes);
        }
    }
}

fn unmeasured(run: &mut dyn FnMut()) -> u64 {
    run();
    0
}
