//! The law by seeds: whatever is lost, late or doubled, and however small the budget, every entity that a client
//! shows has exactly the columns that the server's frame had at the entity's stamp; what is gone goes; and
//! nothing waits for ever. A failure names its seed.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use glam::Vec2;
use netcode_derive::Replicate;
use netcode_snapshot::{
    Ack, Budget, ClientView, ComponentId, EntityWriter, Feedback, Frame, History, NetId, Parts, Receiver,
    ReceiverLimits, Schema, SharedBits, SnapshotError, SnapshotHeader,
};
use netcode_wire::{BitReader, BitWriter, Tick};

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Pose {
    #[net(range(-64.0..=64.0), step = 0.005)]
    pos: Vec2,
    #[net(range(-20.0..=20.0), step = 0.02)]
    vel: Vec2,
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

fn schema() -> Schema {
    Schema::builder().component::<Pose>().component::<Health>().component::<Marker>().build()
}

#[derive(Clone, Debug)]
struct Entity {
    pose: Option<Pose>,
    health: Option<Health>,
    marker: bool,
}

/// A world that churns: motion, jumps, components that come and go, births and deaths.
struct World {
    rng: Rng,
    next_id: u32,
    entities: BTreeMap<NetId, Entity>,
    churn: f64,
}

impl World {
    fn new(seed: u64, count: usize, churn: f64) -> Self {
        let mut world = Self { rng: Rng::with_seed(seed), next_id: 1, entities: BTreeMap::new(), churn };
        (0..count).for_each(|_| world.spawn());
        world
    }

    fn spawn(&mut self) {
        let id = NetId(self.next_id);
        self.next_id += self.rng.u32(1..20);
        let rng = &mut self.rng;
        let pose = Pose {
            pos: Vec2::new(rng.f32() * 128.0 - 64.0, rng.f32() * 128.0 - 64.0),
            vel: Vec2::new(rng.f32() * 40.0 - 20.0, rng.f32() * 40.0 - 20.0),
            heading: rng.f32() * 6.0,
        };
        let health = Health { hp: rng.u8(..), shielded: rng.bool(), owner: NetId(rng.u32(..)) };
        let (has_pose, has_health, marker) = (rng.f32() < 0.9, rng.bool(), rng.bool());
        let entity = Entity { pose: has_pose.then_some(pose), health: has_health.then_some(health), marker };
        self.entities.insert(id, entity);
    }

    fn step(&mut self) {
        let rng = &mut self.rng;
        let churn = self.churn;
        self.entities.retain(|_, _| rng.f64() >= churn / 4.0);
        for entity in self.entities.values_mut() {
            if let Some(pose) = &mut entity.pose {
                if rng.f64() < churn {
                    pose.vel = Vec2::new(rng.f32() * 40.0 - 20.0, rng.f32() * 40.0 - 20.0);
                } else if rng.f64() < churn {
                    pose.vel = Vec2::ZERO;
                }
                pose.pos = (pose.pos + pose.vel / 60.0).clamp(Vec2::splat(-64.0), Vec2::splat(64.0));
                pose.heading += pose.vel.x * 0.01;
            }
            if let Some(health) = &mut entity.health {
                if rng.f64() < churn {
                    health.hp = rng.u8(..);
                }
                health.shielded ^= rng.f64() < churn;
            }
            if rng.f64() < churn {
                entity.marker ^= true;
            }
            if rng.f64() < churn / 2.0 {
                entity.health = match entity.health {
                    Some(_) => None,
                    None => Some(Health { hp: rng.u8(..), shielded: false, owner: NetId(7) }),
                };
            }
        }
        // As many births as deaths, on average.
        for _ in 0..self.entities.len() {
            if self.rng.f64() < churn / 4.0 {
                self.spawn();
            }
        }
        if self.entities.is_empty() {
            self.spawn();
        }
    }

    fn fill(&self, schema: &Schema, frame: &mut Frame) {
        for (id, entity) in &self.entities {
            frame.push(schema, *id, |writer: &mut EntityWriter<'_>| {
                // Out of order on purpose: the frame sorts.
                if entity.marker {
                    writer.component(&Marker);
                }
                if let Some(health) = &entity.health {
                    writer.component(health);
                }
                if let Some(pose) = &entity.pose {
                    writer.component(pose);
                }
            });
        }
    }
}

/// One way of a bad network: loses, doubles, delays.
struct Way<T> {
    rng: Rng,
    loss: f64,
    delay: u32,
    spread: u32,
    flying: Vec<(u32, T)>,
}

impl<T: Clone> Way<T> {
    fn new(seed: u64, loss: f64, delay: u32, spread: u32) -> Self {
        Self { rng: Rng::with_seed(seed), loss, delay, spread, flying: Vec::new() }
    }

    fn push(&mut self, now: u32, what: T) {
        let copies = if self.rng.f64() < 0.1 { 2 } else { 1 };
        for _ in 0..copies {
            if self.rng.f64() >= self.loss {
                let due = now + self.delay + self.rng.u32(0..=self.spread);
                self.flying.push((due, what.clone()));
            }
        }
    }

    fn poll(&mut self, now: u32) -> Vec<T> {
        let due = |entry: &(u32, T)| entry.0 <= now;
        let (ready, flying) = self.flying.drain(..).partition(due);
        self.flying = flying;
        let mut ready: Vec<_> = ready;
        self.rng.shuffle(&mut ready);
        ready.into_iter().map(|(_, what)| what).collect()
    }
}

struct Case {
    seed: u64,
    entities: usize,
    churn: f64,
    loss: f64,
    delay: u32,
    spread: u32,
    budget_bits: std::ops::Range<usize>,
    /// Bytes of a part, when a snapshot comes in parts; the budget is that of all.
    part_bytes: Option<usize>,
    /// Of the entities, how many are in view at a time.
    in_view: f64,
    /// Ticks without any acknowledgement, now and then.
    silences: bool,
    /// Snapshots are taken every so many ticks.
    every: u32,
    /// Of those, how many are left out.
    skips: f64,
}

struct Run {
    schema: Schema,
    history: History,
    /// Every frame there was: what the stamps are held against.
    truth: BTreeMap<Tick, Frame>,
    world: World,
    view: ClientView,
    bits: SharedBits,
    parts: Parts,
    parts_max: usize,
    receiver: Receiver,
    down: Way<Vec<u8>>,
    up: Way<Ack>,
    rng: Rng,
    hidden: BTreeMap<NetId, bool>,
    now: u32,
    silent_until: u32,
    in_view: BTreeMap<Tick, Vec<NetId>>,
    wrong_since: BTreeMap<NetId, Tick>,
    age_max: i32,
    decoded: u32,
}

impl Run {
    fn new(case: &Case) -> Self {
        let seed = case.seed;
        Self {
            schema: schema(),
            history: History::new(128),
            truth: BTreeMap::new(),
            world: World::new(seed, case.entities, case.churn),
            view: ClientView::new(),
            bits: SharedBits::new(),
            parts: Parts::new(),
            parts_max: 0,
            receiver: Receiver::new(ReceiverLimits::default()),
            down: Way::new(seed ^ 1, case.loss, case.delay, case.spread),
            up: Way::new(seed ^ 2, case.loss, case.delay, case.spread),
            rng: Rng::with_seed(seed ^ 3),
            hidden: BTreeMap::new(),
            now: 0,
            silent_until: 0,
            in_view: BTreeMap::new(),
            wrong_since: BTreeMap::new(),
            age_max: 0,
            decoded: 0,
        }
    }

    fn tick(&mut self, case: &Case) {
        self.now += 1;
        self.world.step();
        if self.now.is_multiple_of(case.every) && self.rng.f64() >= case.skips {
            self.send(case);
        }
        for bytes in self.down.poll(self.now) {
            self.take(&bytes, case.seed);
        }
        if case.silences && self.rng.f64() < 0.005 {
            self.silent_until = self.now + self.rng.u32(10..200);
        }
        if let Some(ack) = self.receiver.ack()
            && self.now >= self.silent_until
        {
            self.up.push(self.now, ack);
        }
        for ack in self.up.poll(self.now) {
            self.view.ack(ack);
        }
        // What was never sent is ignored.
        self.view.ack(Ack::new(Tick(self.now + 5), self.rng.u32(..)));
        self.view.ack(Ack::new(Tick(self.rng.u32(..)), u32::MAX));
    }

    fn send(&mut self, case: &Case) {
        let (world, schema) = (&self.world, &self.schema);
        let frame = self.history.extract(Tick(self.now), |frame| world.fill(schema, frame)).clone();
        let mut relevant = Vec::new();
        for id in frame.entities() {
            let hidden = self.hidden.entry(id).or_insert(false);
            if self.rng.f64() < 0.02 {
                *hidden = self.rng.f64() >= case.in_view;
            }
            if !*hidden {
                relevant.push((id, 0.5 + self.rng.f32()));
            }
        }
        self.in_view.insert(frame.tick(), relevant.iter().map(|(id, _)| *id).collect());
        // Unknown to the frame: must be as if not there. Out of order: must not matter.
        relevant.push((NetId(u32::MAX), 1.0));
        self.rng.shuffle(&mut relevant);
        self.truth.insert(frame.tick(), frame);
        let budget = self.rng.usize(case.budget_bits.clone());
        let feedback = Feedback { input_tick: Some(Tick(self.now)), input_margin: -7, late_inputs: 1 };
        self.write(case, &relevant, feedback, budget);
    }

    /// Sends a snapshot; gives its bits.
    fn write(&mut self, case: &Case, relevant: &[(NetId, f32)], feedback: Feedback, budget: usize) -> usize {
        let Some(part_bytes) = case.part_bytes else {
            let mut out = BitWriter::new();
            // A prefix in the same message must not disturb.
            out.write_bits(5, 3);
            let stats = self.view.encode(&self.schema, &self.history, relevant, feedback, budget, &mut out);
            assert_eq!((stats.bits, stats.parts), (out.bit_len() - 3, 1));
            assert!(stats.bits <= budget.max(130), "seed {}: {} of {budget} bits", case.seed, stats.bits);
            self.down.push(self.now, out.into_bytes());
            return stats.bits;
        };
        let first_bytes = self.rng.usize(0..=part_bytes);
        let budget = Budget { first_bytes, part_bytes, total_bytes: budget / 8 };
        let shared = (&self.schema, &self.history, &mut self.bits);
        let stats = self.view.encode_parts(shared, relevant, feedback, budget, &mut self.parts);
        assert_eq!(stats.parts, self.parts.len());
        self.parts_max = self.parts_max.max(stats.parts);
        let bytes = self.parts.byte_len();
        assert!(bytes <= budget.total_bytes.max(17), "seed {}: {bytes} of {budget:?}", case.seed);
        for (index, part) in self.parts.iter().enumerate() {
            let limit = if index == 0 { first_bytes.max(17) } else { part_bytes };
            assert!(
                part.len() <= limit,
                "seed {}: {} bytes in part {index} of {budget:?}",
                case.seed,
                part.len()
            );
            // Three bits that say nothing, as before the other kind.
            let mut out = BitWriter::new();
            out.write_bits(5, 3);
            out.write_bytes(part);
            self.down.push(self.now, out.into_bytes());
        }
        stats.bits
    }

    fn take(&mut self, bytes: &[u8], seed: u64) {
        let mut from = BitReader::new(bytes);
        assert_eq!(from.read_bits(3), Ok(5));
        let before = self.receiver.ack();
        match self.receiver.decode(&self.schema, &mut from) {
            Ok(header) => {
                assert!(from.remaining_bits() < 16, "seed {seed}: all bits are read");
                let feedback = if header.has_feedback() { (-7, 1) } else { (0, 0) };
                assert_eq!((header.input_margin, header.late_inputs), feedback);
                self.decoded += 1;
                self.hold_law(header, seed);
            }
            Err(SnapshotError::Stale(tick)) => {
                assert!(self.receiver.latest().is_some_and(|frame| frame.tick() >= tick));
                assert_eq!(self.receiver.ack(), before);
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }

    fn hold_law(&mut self, header: SnapshotHeader, seed: u64) {
        let shown = self.receiver.latest().expect("one was decoded");
        assert_eq!(shown.tick(), header.tick);
        for id in shown.entities() {
            let stamp = shown.stamp(id).expect("shown");
            let then = &self.truth[&stamp];
            for component in (0..3).map(ComponentId) {
                let (client, server) = (shown.columns(id, component), then.columns(id, component));
                assert_eq!(client, server, "seed {seed}: {id} at {} as of {stamp}", header.tick);
            }
        }
        self.measure_waits(header.tick, header.complete, seed);
    }

    /// How long any entity, in view or out of it, has been shown otherwise than it is.
    fn measure_waits(&mut self, tick: Tick, complete: bool, seed: u64) {
        let (shown, now) = (self.receiver.latest().expect("one was decoded"), &self.truth[&tick]);
        let empty = Vec::new();
        let in_view = self.in_view.get(&tick).unwrap_or(&empty);
        let is_right = |id: NetId| match in_view.contains(&id) {
            true => {
                shown.contains(id)
                    && (0..3).map(ComponentId).all(|c| shown.columns(id, c) == now.columns(id, c))
            }
            false => !shown.contains(id),
        };
        let all: BTreeSet<_> = in_view.iter().copied().chain(shown.entities()).collect();
        self.wrong_since.retain(|id, _| all.contains(id) && !is_right(*id));
        for id in all.into_iter().filter(|id| !is_right(*id)) {
            assert!(!complete, "seed {seed}: complete, but {id} is not as it is at {tick}");
            let since = *self.wrong_since.entry(id).or_insert(tick);
            self.age_max = self.age_max.max(tick.since(since));
        }
    }

    /// The world stands still: the client must come to show exactly what is in view, and silence must be free.
    fn settle(&mut self, case: &Case) {
        (self.world.churn, self.silent_until) = (0.0, 0);
        for entity in self.world.entities.values_mut() {
            if let Some(pose) = &mut entity.pose {
                pose.vel = Vec2::ZERO;
            }
        }
        (self.down.loss, self.up.loss) = (0.0, 0.0);
        let in_view: BTreeMap<_, _> = self.world.entities.keys().map(|id| (*id, self.rng.bool())).collect();
        let relevant: Vec<_> = in_view.iter().filter(|(_, seen)| **seen).map(|(id, _)| (*id, 1.0)).collect();
        let mut bits = usize::MAX;
        for _ in 0..600 {
            self.now += 1;
            self.in_view.insert(Tick(self.now), relevant.iter().map(|(id, _)| *id).collect());
            let (world, schema) = (&self.world, &self.schema);
            let frame = self.history.extract(Tick(self.now), |frame| world.fill(schema, frame)).clone();
            self.truth.insert(frame.tick(), frame);
            let feedback = Feedback { input_tick: None, input_margin: -7, late_inputs: 1 };
            bits = self.write(case, &relevant, feedback, case.budget_bits.end.max(500));
            for bytes in self.down.poll(self.now) {
                self.take(&bytes, case.seed);
            }
            if let Some(ack) = self.receiver.ack() {
                self.up.push(self.now, ack);
            }
            for ack in self.up.poll(self.now) {
                self.view.ack(ack);
            }
        }
        let shown = self.receiver.latest().expect("something was decoded");
        let wanted: Vec<_> = relevant.iter().map(|(id, _)| *id).collect();
        assert_eq!(shown.entities().collect::<Vec<_>>(), wanted, "seed {}", case.seed);
        assert!(bits <= 78, "seed {}: {bits} bits say that nothing changed", case.seed);
        assert_eq!(self.view.entities(), wanted.len(), "seed {}: nothing is remembered for ever", case.seed);
    }
}

fn check(case: &Case) -> Run {
    let mut run = Run::new(case);
    (0..500).for_each(|_| run.tick(case));
    assert!(run.decoded > 20, "seed {}: only {} decoded", case.seed, run.decoded);
    run.settle(case);
    run
}

const CALM: Case = Case {
    seed: 0,
    entities: 30,
    churn: 0.02,
    loss: 0.02,
    delay: 2,
    spread: 1,
    budget_bits: 9_000..9_001,
    part_bytes: None,
    in_view: 0.7,
    silences: false,
    every: 1,
    skips: 0.0,
};

#[test]
fn on_a_good_network() {
    for seed in 0..20 {
        check(&Case { seed, ..CALM });
    }
}

#[test]
fn under_loss_and_reorder() {
    for seed in 100..120 {
        check(&Case { seed, loss: 0.3, delay: 3, spread: 8, churn: 0.1, ..CALM });
    }
}

#[test]
fn on_a_slow_network() {
    for seed in 200..210 {
        // A round trip of 50 to 90 ticks: baselines at and beyond the edge of the ring.
        check(&Case { seed, delay: 25, spread: 20, churn: 0.05, ..CALM });
    }
}

#[test]
fn when_acknowledgements_fall_silent() {
    for seed in 300..320 {
        check(&Case { seed, silences: true, churn: 0.1, loss: 0.1, spread: 4, ..CALM });
    }
}

#[test]
fn in_tiny_budgets() {
    for seed in 400..420 {
        check(&Case { seed, budget_bits: 0..900, loss: 0.1, churn: 0.03, spread: 3, ..CALM });
    }
}

#[test]
fn in_tiny_budgets_and_silence() {
    for seed in 500..515 {
        let case = Case { seed, budget_bits: 100..700, loss: 0.2, silences: true, spread: 6, ..CALM };
        check(&Case { entities: 80, ..case });
    }
}

#[test]
fn at_a_third_of_the_tick_rate() {
    for seed in 600..615 {
        check(&Case { seed, every: 3, loss: 0.1, spread: 4, silences: true, ..CALM });
    }
}

#[test]
fn at_irregular_ticks_on_a_slow_network() {
    for seed in 800..830 {
        let case = Case { seed, skips: 0.9, churn: 0.05, delay: 20, spread: 40, silences: true, ..CALM };
        check(&Case { budget_bits: 300..2_000, ..case });
    }
}

#[test]
fn nothing_waits_for_ever() {
    for seed in 700..710 {
        // 60 moving entities of about 60 bits, and room for about 10 a tick; a tenth is lost.
        let case = Case { seed, entities: 60, budget_bits: 700..701, loss: 0.1, churn: 0.005, ..CALM };
        let run = check(&Case { in_view: 1.0, ..case });
        assert!(run.age_max <= 60, "seed {seed}: waited {} ticks", run.age_max);
    }
}

#[test]
fn in_parts() {
    let mut parts_max = 0;
    for seed in 900..920 {
        let case = Case { seed, entities: 80, churn: 0.05, part_bytes: Some(160), in_view: 0.9, ..CALM };
        parts_max = check(&case).parts_max.max(parts_max);
    }
    assert!(parts_max >= 3, "{parts_max} parts");
}

#[test]
fn in_parts_that_are_lost_and_overtake() {
    for seed in 1000..1030 {
        let case = Case { seed, entities: 80, churn: 0.1, loss: 0.2, delay: 2, spread: 3, ..CALM };
        check(&Case { part_bytes: Some(130), budget_bits: 4_000..9_000, silences: seed % 2 == 0, ..case });
    }
}

#[test]
fn in_many_small_parts_on_a_slow_network() {
    for seed in 1100..1115 {
        let case = Case { seed, entities: 60, churn: 0.05, loss: 0.1, delay: 15, spread: 20, ..CALM };
        check(&Case { part_bytes: Some(80), budget_bits: 0..6_000, silences: true, ..case });
    }
}

#[test]
fn in_parts_nothing_waits_for_ever() {
    for seed in 1200..1210 {
        // Room for about 25 of 60 in three parts; a tenth of the parts is lost.
        let case = Case { seed, entities: 60, budget_bits: 2_880..2_881, loss: 0.1, churn: 0.005, ..CALM };
        let run = check(&Case { in_view: 1.0, part_bytes: Some(120), spread: 0, ..case });
        assert!(run.parts_max > 1 && run.age_max <= 60, "seed {seed}: waited {} ticks", run.age_max);
    }
}
