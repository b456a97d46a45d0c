//! The dense codec's law by seeds: whatever is lost, late or doubled, and however small the budget, every snapshot that
//! is not stale decodes, and every entity that a client shows has exactly the columns that the server's frame had at the
//! entity's stamp; what is gone goes; nothing waits for ever. A failure names its seed.

use std::collections::BTreeMap;

use fastrand::Rng;
use glam::{Quat, Vec2};
use netcode_derive::Replicate;
use netcode_snapshot::{
    Ack, ComponentId, DenseReceiver, DenseView, Feedback, Frame, History, NetId, ReceiverLimits, Schema,
    SnapshotError,
};
use netcode_wire::{BitReader, BitWriter, Tick};

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(predictor = "linear")]
struct Pose {
    #[net(range(-64.0..=64.0), step = 0.005)]
    pos: Vec2,
    #[net(quat, bits = 9)]
    turn: Quat,
    #[net(angle, bits = 12)]
    heading: f32,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Health {
    #[net(bits = 7)]
    hp: u8,
    shielded: bool,
    owner: NetId,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Marker;

#[derive(Clone, Debug)]
struct Entity {
    pose: Option<Pose>,
    vel: Vec2,
    health: Option<Health>,
    marker: bool,
}

struct Case {
    seed: u64,
    churn: f64,
    loss: f64,
    delay: u32,
    spread: u32,
    budget_bits: std::ops::Range<usize>,
    /// Ticks without any acknowledgement, now and then.
    silences: bool,
    /// Of the ticks, how many are not sent.
    skips: f64,
}

const CALM: Case = Case {
    seed: 0,
    churn: 0.02,
    loss: 0.02,
    delay: 2,
    spread: 1,
    budget_bits: 9_000..9_001,
    silences: false,
    skips: 0.0,
};

struct Run<'a> {
    case: &'a Case,
    /// Least and further delay of a way, ticks.
    delay: (u32, u32),
    rng: Rng,
    schema: Schema,
    history: History,
    truth: BTreeMap<Tick, Frame>,
    world: BTreeMap<NetId, Entity>,
    next_id: u32,
    view: DenseView,
    receiver: DenseReceiver,
    down: Vec<(u32, Vec<u8>)>,
    up: Vec<(u32, Ack)>,
    now: u32,
    silent_until: u32,
    decoded: u32,
    complete: u32,
    wrong_since: BTreeMap<NetId, Tick>,
    age_max: i32,
}

impl<'a> Run<'a> {
    fn new(case: &'a Case) -> Self {
        let schema =
            Schema::builder().component::<Pose>().component::<Health>().component::<Marker>().build();
        let mut run = Self {
            case,
            delay: (case.delay, case.spread),
            rng: Rng::with_seed(case.seed),
            view: DenseView::new(&schema),
            receiver: DenseReceiver::new(&schema, ReceiverLimits::default()),
            schema,
            history: History::new(128),
            truth: BTreeMap::new(),
            world: BTreeMap::new(),
            next_id: 1,
            down: Vec::new(),
            up: Vec::new(),
            now: 0,
            silent_until: 0,
            decoded: 0,
            complete: 0,
            wrong_since: BTreeMap::new(),
            age_max: 0,
        };
        (0..30).for_each(|_| run.spawn());
        run
    }

    fn spawn(&mut self) {
        let rng = &mut self.rng;
        let id = NetId(self.next_id);
        self.next_id += rng.u32(1..20);
        let pose = Pose {
            pos: Vec2::new(rng.f32() * 128.0 - 64.0, rng.f32() * 128.0 - 64.0),
            turn: Quat::IDENTITY,
            heading: rng.f32() * 6.0,
        };
        let health = Health { hp: rng.u8(..), shielded: rng.bool(), owner: NetId(rng.u32(..)) };
        let (has_pose, has_health, marker) = (rng.f32() < 0.9, rng.bool(), rng.bool());
        let vel = Vec2::new(rng.f32() * 40.0 - 20.0, rng.f32() * 40.0 - 20.0);
        let (pose, health) = (has_pose.then_some(pose), has_health.then_some(health));
        self.world.insert(id, Entity { pose, vel, health, marker });
    }

    fn step(&mut self) {
        let (rng, churn) = (&mut self.rng, self.case.churn);
        self.world.retain(|_, _| rng.f64() >= churn / 4.0);
        for entity in self.world.values_mut() {
            if rng.f64() < churn {
                entity.vel = match rng.bool() {
                    true => Vec2::new(rng.f32() * 40.0 - 20.0, rng.f32() * 40.0 - 20.0),
                    false => Vec2::ZERO,
                };
            }
            if let Some(pose) = &mut entity.pose {
                pose.pos = (pose.pos + entity.vel / 60.0).clamp(Vec2::splat(-64.0), Vec2::splat(64.0));
                pose.heading += entity.vel.x * 0.01;
                pose.turn = (Quat::from_rotation_z(entity.vel.y * 0.003) * pose.turn).normalize();
            }
            if let Some(health) = &mut entity.health
                && rng.f64() < churn
            {
                (health.hp, health.shielded) = (rng.u8(..), rng.bool());
            }
            entity.marker ^= rng.f64() < churn;
            if rng.f64() < churn / 2.0 {
                entity.health = match entity.health {
                    Some(_) => None,
                    None => Some(Health { hp: rng.u8(..), shielded: false, owner: NetId(7) }),
                };
            }
        }
        for _ in 0..30 {
            if self.rng.f64() < churn / 4.0 {
                self.spawn();
            }
        }
    }

    fn tick(&mut self) {
        self.now += 1;
        self.step();
        if self.rng.f64() >= self.case.skips {
            let budget = self.rng.usize(self.case.budget_bits.clone());
            self.send(budget);
        }
        self.carry();
        if self.case.silences && self.rng.f64() < 0.005 {
            self.silent_until = self.now + self.rng.u32(10..200);
        }
        // What was never sent is ignored.
        self.view.ack(Ack::new(Tick(self.now + 5), u32::MAX));
        self.view.ack(Ack::only(Tick(self.rng.u32(..))));
    }

    fn send(&mut self, budget: usize) -> usize {
        let (world, schema) = (&self.world, &self.schema);
        let frame = self.history.extract(Tick(self.now), |frame| {
            for (id, entity) in world {
                frame.push(schema, *id, |writer| {
                    entity.pose.iter().for_each(|pose| writer.component(pose));
                    entity.health.iter().for_each(|health| writer.component(health));
                    entity.marker.then(|| writer.component(&Marker));
                });
            }
        });
        let relevant: Vec<_> = frame.entities().map(|id| (id, 1.0)).collect();
        self.truth.insert(frame.tick(), frame.clone());
        let mut out = BitWriter::new();
        // A prefix in the same message must not disturb.
        out.write_bits(5, 3);
        let feedback = Feedback { input_tick: Some(Tick(self.now)), input_margin: -7, late_inputs: 1 };
        let stats = self.view.encode(&self.schema, &self.history, &relevant, feedback, budget, &mut out);
        let seed = self.case.seed;
        assert_eq!(stats.bits, out.bit_len() - 3);
        assert!(stats.bits <= budget.max(150), "seed {seed}: {} of {budget} bits", stats.bits);
        for _ in 0..1 + usize::from(self.rng.f64() < 0.1) {
            if self.rng.f64() >= self.case.loss {
                let due = self.now + self.delay.0 + self.rng.u32(0..=self.delay.1);
                self.down.push((due, out.as_bytes().to_vec()));
            }
        }
        stats.bits
    }

    fn carry(&mut self) {
        let mut due: Vec<_> = self.down.extract_if(.., |(due, _)| *due <= self.now).collect();
        self.rng.shuffle(&mut due);
        for (_, bytes) in due {
            self.take(&bytes);
        }
        if let Some(ack) = self.receiver.ack()
            && self.now >= self.silent_until
            && self.rng.f64() >= self.case.loss
        {
            self.up.push((self.now + self.delay.0 + self.rng.u32(0..=self.delay.1), ack));
        }
        let due: Vec<_> = self.up.extract_if(.., |(due, _)| *due <= self.now).collect();
        due.into_iter().for_each(|(_, ack)| self.view.ack(ack));
    }

    fn take(&mut self, bytes: &[u8]) {
        let seed = self.case.seed;
        let mut from = BitReader::new(bytes);
        assert_eq!(from.read_bits(3), Ok(5));
        let before = self.receiver.ack();
        let header = match self.receiver.decode(&self.schema, &mut from) {
            Ok(header) => header,
            Err(SnapshotError::Stale(tick)) => {
                assert!(before.is_some_and(|ack| ack.newest >= tick));
                return;
            }
            Err(error) => panic!("seed {seed}: {error} at {}", self.now),
        };
        self.decoded += 1;
        self.complete += u32::from(header.complete);
        let shown = self.receiver.latest().expect("one was decoded");
        for id in shown.entities() {
            let stamp = shown.stamp(id).expect("shown");
            for component in (0..3).map(ComponentId) {
                let truth = self.truth[&stamp].columns(id, component);
                assert_eq!(shown.columns(id, component), truth, "seed {seed}: {id} as of {stamp}");
            }
        }
        let now = &self.truth[&header.tick];
        assert!(!header.complete || shown.same_state(now), "seed {seed}: complete, and otherwise than it is");
        let is_right = |id: NetId| {
            shown.contains(id) == now.contains(id)
                && (0..3).map(ComponentId).all(|it| shown.columns(id, it) == now.columns(id, it))
        };
        let wrong: Vec<_> = now.entities().chain(shown.entities()).filter(|id| !is_right(*id)).collect();
        self.wrong_since.retain(|id, _| wrong.contains(id));
        for id in wrong {
            let since = *self.wrong_since.entry(id).or_insert(header.tick);
            self.age_max = self.age_max.max(header.tick.since(since));
        }
    }

    /// The world stands still on a path that is well: the client comes to show it, and silence is nearly free.
    fn settle(&mut self) {
        (self.silent_until, self.delay) = (0, (10, 3));
        let mut bits = usize::MAX;
        for _ in 0..400 {
            self.now += 1;
            bits = self.send(self.case.budget_bits.end.max(600));
            self.carry();
        }
        let (shown, now) = (self.receiver.latest(), self.history.newest());
        let (shown, now) = (shown.expect("decoded"), &self.truth[&now.expect("sent").tick()]);
        assert!(shown.same_state(now), "seed {}: not what it is", self.case.seed);
        assert!(bits <= 110, "seed {}: {bits} bits say that nothing changed", self.case.seed);
    }
}

fn check(case: &Case) -> i32 {
    let mut run = Run::new(case);
    (0..400).for_each(|_| run.tick());
    assert!(run.decoded > 15, "seed {}: only {} decoded", case.seed, run.decoded);
    run.settle();
    run.age_max
}

#[test]
fn on_a_good_network() {
    for seed in 0..12 {
        check(&Case { seed, ..CALM });
    }
}

#[test]
fn under_loss_and_reorder() {
    for seed in 100..112 {
        check(&Case { seed, loss: 0.3, delay: 3, spread: 8, churn: 0.1, ..CALM });
    }
}

#[test]
fn on_a_slow_network() {
    for seed in 200..208 {
        // A round trip of 50 to 90 ticks: baselines at and beyond the edge of the ring.
        check(&Case { seed, delay: 25, spread: 20, churn: 0.05, ..CALM });
    }
}

#[test]
fn when_acknowledgements_fall_silent() {
    for seed in 300..312 {
        check(&Case { seed, silences: true, churn: 0.1, loss: 0.1, spread: 4, ..CALM });
    }
}

#[test]
fn in_tiny_budgets_and_silence() {
    for seed in 400..412 {
        let case = Case { seed, budget_bits: 0..900, loss: 0.2, churn: 0.03, spread: 6, ..CALM };
        check(&Case { silences: seed % 2 == 0, ..case });
    }
}

#[test]
fn at_irregular_ticks_on_a_slow_network() {
    for seed in 500..515 {
        let case = Case { seed, skips: 0.9, churn: 0.05, delay: 20, spread: 40, silences: true, ..CALM };
        check(&Case { budget_bits: 300..2_000, ..case });
    }
}

#[test]
fn nothing_waits_for_ever() {
    for seed in 600..606 {
        let age = check(&Case { seed, budget_bits: 500..501, loss: 0.1, churn: 0.005, ..CALM });
        assert!((1..=60).contains(&age), "seed {seed}: waited {age} ticks");
    }
}
