//! What is told more coarsely, and less often, to who is far: the law in both classes whatever is lost and whoever comes
//! near, that nobody far learns what only the near are told, and what it saves.

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;
use glam::{Quat, Vec3};
use netcode_derive::Replicate;
use netcode_snapshot::{
    Ack, AdaptiveView, Budget, CodecChoice, ComponentId, Feedback, Frame, History, NetId, Parts, Receiver,
    Schema, SchemaDescription, SharedBits,
};
use netcode_wire::{BitReader, BitWriter, Tick};

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(far(beyond = 60.0, every = 3), predictor = "linear")]
struct Pose {
    #[net(range(-500.0..=500.0), step = 0.001, far_step = 0.1)]
    at: Vec3,
    #[net(quat, bits = 12, far_bits = 6)]
    turn: Quat,
    #[net(angle, bits = 12, far_bits = 5)]
    aim: f32,
    #[net(bits = 7)]
    hull: u8,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(every = 2, far(beyond = 60.0, every = 5))]
struct Mood {
    #[net(bits = 10)]
    value: u32,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Score(#[net(bits = 16)] u32);

fn schema() -> Schema {
    Schema::builder().component::<Mood>().component::<Pose>().component::<Score>().build()
}

/// Things that drift and turn; `fine` moves them by less than anybody far can see.
struct World {
    rng: Rng,
    things: Vec<(Pose, Mood, Score)>,
}

impl World {
    fn new(seed: u64, count: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut next = || rng.f32() * 2.0 - 1.0;
        let things = (0..count)
            .map(|_| {
                let turn = Quat::from_xyzw(next(), next(), next(), next()).normalize();
                let pose =
                    Pose { at: Vec3::new(next(), next(), next()) * 400.0, turn, aim: next(), hull: 100 };
                (pose, Mood { value: 0 }, Score(0))
            })
            .collect();
        Self { rng, things }
    }

    fn step(&mut self, tick: u32) {
        for (index, (pose, mood, score)) in self.things.iter_mut().enumerate() {
            if index % 4 != 0 {
                let turn = Quat::from_rotation_z(0.02 + index as f32 * 0.001);
                pose.at += Vec3::new(0.03, 0.011, 0.005 * index as f32);
                pose.turn = (turn * pose.turn).normalize();
                pose.aim += 0.05;
            }
            mood.value = tick % 1000;
            score.0 += u32::from(self.rng.f32() < 0.05);
            pose.hull -= u8::from(pose.hull > 1 && self.rng.f32() < 0.02);
        }
    }

    fn fill(&self, schema: &Schema, frame: &mut Frame, offset: f32) {
        for (index, (pose, mood, score)) in self.things.iter().enumerate() {
            frame.push(schema, NetId(index as u32 * 3 + 1), |entity| {
                entity.component(&Pose { at: pose.at + Vec3::splat(offset), ..*pose });
                // Some have none, and some have nothing that distance makes coarser.
                if index % 3 > 0 {
                    entity.component(mood);
                }
                entity.component(score);
            });
        }
    }
}

struct Case {
    seed: u64,
    codec: &'static [CodecChoice],
    loss: f64,
    budget: std::ops::Range<usize>,
    /// How often an entity comes near or goes far, a tick.
    restless: f64,
}

/// Plays a case; gives how many changes of class were shown.
fn play(case: &Case) -> usize {
    let schema = schema();
    let mut rng = Rng::with_seed(case.seed);
    let (mut world, mut history) = (World::new(case.seed, 24), History::default());
    let (mut view, mut receiver) = (AdaptiveView::new(case.codec[0]), Receiver::default());
    let (mut bits, mut parts) = (SharedBits::new(), Parts::new());
    let (mut truth, mut listed) = (BTreeMap::new(), BTreeMap::new());
    let mut far = vec![false; world.things.len()];
    let mut flying: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut acks: Vec<(u32, Ack)> = Vec::new();
    let mut shown: BTreeMap<NetId, bool> = BTreeMap::new();
    let mut changes = 0;
    for now in 1..400 {
        world.step(now);
        history.extract(Tick(now), |frame| world.fill(&schema, frame, 0.0));
        let frame = history.newest().expect("extracted");
        let mut relevant = Vec::new();
        for (index, id) in frame.entities().enumerate() {
            far[index] ^= rng.f64() < case.restless;
            if rng.f64() > 0.01 {
                relevant.push((if far[index] { id.from_afar() } else { id }, 0.5 + rng.f32()));
            }
        }
        listed.insert(now, far.clone());
        truth.insert(now, frame.clone());
        if rng.f64() < 0.1 {
            // The order must not matter, and of two names of one entity the nearer holds.
            relevant.extend(
                relevant.clone().iter().filter(|it| !it.0.is_far()).map(|it| (it.0.from_afar(), 9.0)),
            );
            rng.shuffle(&mut relevant);
        }
        view.choose(case.codec[now as usize / 60 % case.codec.len()]);
        let budget =
            Budget::several(rng.usize(case.budget.clone()).min(1100), rng.usize(case.budget.clone()));
        view.encode_parts((&schema, &history, &mut bits), &relevant, Feedback::default(), budget, &mut parts);
        for part in parts.iter() {
            if rng.f64() >= case.loss {
                flying.push((now + rng.u32(2..6), part.to_vec()));
            }
        }
        let (due, later) = flying.drain(..).partition(|it| it.0 <= now);
        flying = later;
        let due: Vec<(u32, Vec<u8>)> = due;
        for (_, bytes) in due {
            // What is too old, or stands on what was lost, is refused; that is another test's.
            if receiver.decode(&schema, &mut BitReader::new(&bytes)).is_err() {
                continue;
            }
            let latest = receiver.latest().expect("decoded");
            for id in latest.entities() {
                let stamp = latest.stamp(id).expect("it is there").0;
                let (frame, is_far): (&Frame, bool) = (&truth[&stamp], listed[&stamp][id.0 as usize / 3]);
                check(&schema, latest, frame, (id, is_far), case.seed);
                changes += usize::from(shown.insert(id, is_far).is_some_and(|before| before != is_far));
            }
        }
        if let Some(ack) = receiver.ack().filter(|_| rng.f64() >= case.loss) {
            acks.push((now + 3, ack));
        }
        acks.retain(|(due, ack)| {
            if *due <= now {
                view.ack(*ack);
            }
            *due > now
        });
    }
    changes
}

/// The client's columns are those of the server's frame, as they are told to the class.
fn check(schema: &Schema, latest: &Frame, frame: &Frame, (id, is_far): (NetId, bool), seed: u64) {
    for component in (0..schema.len() as u8).map(ComponentId) {
        let told = match is_far {
            true => frame.columns_from_afar(id, component),
            false => frame.columns(id, component),
        };
        let context = format!("seed {seed}: {id} {component:?} at {:?}, far: {is_far}", frame.tick());
        assert_eq!(latest.columns(id, component), told, "{context}");
        if let (true, Some(told)) = (is_far, told) {
            let exact =
                told.iter().zip(schema.fields(component)).all(|(value, it)| it.coarse(*value) == *value);
            assert!(exact, "{context}: finer than it may be");
        }
    }
}

#[test]
fn every_class_holds_the_law_whatever_is_lost_and_whoever_comes_near() {
    use CodecChoice::{Dense, Shared};
    let codecs: [&[CodecChoice]; 3] = [&[Shared], &[Dense], &[Shared, Dense]];
    for (round, codec) in codecs.into_iter().cycle().take(18).enumerate() {
        let loss = [0.0, 0.1, 0.4][round / 3 % 3];
        let budget = if round % 2 == 0 { 2000..2400 } else { 60..300 };
        let case = Case { seed: round as u64, codec, loss, budget, restless: 0.03 };
        let changes = play(&case);
        assert!(changes > 50, "seed {round}: {changes} changes of class were shown");
    }
}

/// The bytes that a client gets of a world, all of it far or near, that lies `offset` beside where it should.
fn bytes(codec: CodecChoice, is_far: bool, offset: f32) -> Vec<Vec<u8>> {
    let schema = schema();
    let (mut world, mut history) = (World::new(5, 30), History::default());
    // On the coarse grid's points, so that a small offset stays on this side of half a step.
    for (pose, ..) in &mut world.things {
        pose.at = (pose.at / 6.4).round() * 6.4;
    }
    let (mut view, mut receiver) = (AdaptiveView::new(codec), Receiver::default());
    let (mut bits, mut parts) = (SharedBits::new(), Parts::new());
    let mut sent = Vec::new();
    for now in 1..60 {
        for (pose, mood, _) in &mut world.things {
            pose.at += Vec3::splat(0.064);
            mood.value = now;
        }
        let offset = offset * (now % 3) as f32;
        history.extract(Tick(now), |frame| world.fill(&schema, frame, offset));
        let ids = history.newest().expect("extracted").entities();
        let relevant: Vec<_> = ids.map(|id| (if is_far { id.from_afar() } else { id }, 1.0)).collect();
        let budget = Budget::several(1100, 20_000);
        view.encode_parts((&schema, &history, &mut bits), &relevant, Feedback::default(), budget, &mut parts);
        for part in parts.iter() {
            receiver.decode(&schema, &mut BitReader::new(part)).expect("nothing was lost");
            sent.push(part.to_vec());
        }
        if let (true, Some(ack)) = (now > 4, receiver.ack()) {
            view.ack(ack);
        }
    }
    sent
}

#[test]
fn who_is_far_never_receives_the_fine_bits() {
    for codec in [CodecChoice::Shared, CodecChoice::Dense] {
        assert_eq!(bytes(codec, true, 0.0), bytes(codec, true, 0.006), "{codec:?}");
        assert_ne!(
            bytes(codec, false, 0.0),
            bytes(codec, false, 0.006),
            "{codec:?}: it can be seen from near"
        );
    }
}

#[test]
fn far_costs_less_than_near() {
    for (codec, share) in [(CodecChoice::Shared, 0.7), (CodecChoice::Dense, 0.7)] {
        let [near, far] = [false, true].map(|is_far| {
            let schema = schema();
            let (mut world, mut history) = (World::new(5, 100), History::default());
            let (mut view, mut receiver) = (AdaptiveView::new(codec), Receiver::default());
            let (mut bits, mut parts, mut total) = (SharedBits::new(), Parts::new(), 0);
            let mut acks = VecDeque::new();
            for now in 1..200 {
                world.step(now);
                // Nothing that goes on as it went: what a predictor knows costs nobody anything.
                for (pose, ..) in &mut world.things {
                    let rng = &mut world.rng;
                    pose.at += Vec3::new(rng.f32(), rng.f32(), rng.f32()) * 0.2 - 0.1;
                    pose.turn = (Quat::from_rotation_y(rng.f32() * 0.1 - 0.05) * pose.turn).normalize();
                }
                history.extract(Tick(now), |frame| world.fill(&schema, frame, 0.0));
                let ids = history.newest().expect("extracted").entities();
                let relevant: Vec<_> =
                    ids.map(|id| (if is_far { id.from_afar() } else { id }, 1.0)).collect();
                let budget = Budget::one(20_000);
                let shared = (&schema, &history, &mut bits);
                view.encode_parts(shared, &relevant, Feedback::default(), budget, &mut parts);
                for part in parts.iter() {
                    receiver.decode(&schema, &mut BitReader::new(part)).expect("nothing was lost");
                    total += if now > 20 { part.len() } else { 0 };
                }
                acks.push_back(receiver.ack().expect("decoded"));
                if acks.len() > 6 {
                    view.ack(acks.pop_front().expect("there are seven"));
                }
            }
            total as f64
        });
        println!("{codec:?}: near {near} bytes, far {far}: {:.2}", far / near);
        assert!(far < near * share, "{codec:?}: near {near} bytes, far {far}");
    }
}

#[test]
fn turns_come_round_from_afar_and_both_ways_of_extraction_agree() {
    let schema = schema();
    let (mut extracted, mut updated) = (History::default(), History::default());
    let id = |component: Option<_>| component.expect("registered");
    let (mood_id, pose_id) = (id(schema.id_of::<Mood>()), id(schema.id_of::<Pose>()));
    let mut pose = World::new(3, 1).things[0].0;
    for tick in 10..120 {
        let mood = Mood { value: tick };
        pose.at.x += 0.02;
        let fill = |frame: &mut Frame| {
            for id in 0..7 {
                frame.push(&schema, NetId(id), |entity| {
                    entity.component(&mood);
                    entity.component(&pose);
                });
            }
        };
        extracted.extract(Tick(tick), fill);
        match tick == 10 || tick % 23 == 0 {
            true => updated.extract(Tick(tick), fill),
            false => updated.update(Tick(tick), |frame| {
                for row in 0..7 {
                    frame.set(row, mood_id, &mood);
                    frame.set(row, pose_id, &pose);
                }
            }),
        };
        let (frame, other) = (extracted.newest().expect("extracted"), updated.newest().expect("updated"));
        for id in (0..7).map(NetId) {
            let turn = (10..=tick).rev().find(|tick| (tick + id.0).is_multiple_of(5)).unwrap_or(10);
            assert_eq!(frame.columns_from_afar(id, mood_id), Some(&[turn][..]), "{id} at {tick}");
            for component in [mood_id, pose_id] {
                assert_eq!(frame.columns(id, component), other.columns(id, component));
                let (ours, theirs) =
                    (frame.columns_from_afar(id, component), other.columns_from_afar(id, component));
                assert_eq!(ours, theirs, "{id} at {tick}");
            }
            assert_eq!(frame.stamp(id), other.stamp(id));
            assert_eq!(frame.stamp_from_afar(id), other.stamp_from_afar(id), "{id} at {tick}");
            let stamp = frame.stamp_from_afar(id).expect("it is there").0;
            // Five steps of 0.02 make one of the coarse grid's 0.064, give or take one.
            assert!(tick - stamp < 5, "{id} at {tick}: {stamp}");
        }
    }
}

#[test]
fn another_build_is_told_how_coarse_it_is() {
    let ours = schema();
    let mut out = BitWriter::new();
    ours.describe().encode(&mut out);
    let described =
        SchemaDescription::decode(&mut BitReader::new(out.as_bytes())).expect("it was just written");
    assert_eq!((&described, described.hash()), (&ours.describe(), ours.hash()));
    // A build whose poses are as fine from afar as from near: other bits, and so another schema.
    #[derive(Replicate)]
    #[net(rename = "Pose")]
    struct Plain {
        #[net(range(-500.0..=500.0), step = 0.001)]
        at: Vec3,
        #[net(quat, bits = 12)]
        turn: Quat,
        #[net(angle, bits = 12)]
        aim: f32,
        #[net(bits = 7)]
        hull: u8,
    }
    let theirs = Schema::builder().component::<Plain>().build();
    assert_ne!(theirs.hash(), Schema::builder().component::<Pose>().build().hash());
    let reading = theirs.reading(&described).expect("the same columns on the same grids");
    let (mut world, mut history) = (World::new(9, 6), History::default());
    let (mut view, mut receiver) = (AdaptiveView::new(CodecChoice::Shared), Receiver::default());
    let (mut bits, mut parts) = (SharedBits::new(), Parts::new());
    for now in 1..40 {
        world.step(now);
        history.extract(Tick(now), |frame| world.fill(&ours, frame, 0.0));
        let frame = history.newest().expect("extracted");
        let relevant: Vec<_> = frame.entities().map(|id| (id.from_afar(), 1.0)).collect();
        let shared = (&ours, &history, &mut bits);
        view.encode_parts(shared, &relevant, Feedback::default(), Budget::one(9000), &mut parts);
        for part in parts.iter() {
            receiver.decode(&reading, &mut BitReader::new(part)).expect("nothing was lost");
        }
        view.ack(receiver.ack().expect("decoded"));
        let latest = receiver.latest().expect("decoded");
        for (index, id) in frame.entities().enumerate() {
            let plain: Plain = latest.get(&reading, id).expect("it is shown");
            let pose = world.things[index].0;
            assert!(plain.at.distance(pose.at) < 0.4 && plain.hull.abs_diff(pose.hull) <= 3, "{id}");
            assert!(
                plain.turn.dot(pose.turn).abs() > 0.99 && (plain.aim - pose.aim).abs() % 6.0 < 0.4,
                "{id}"
            );
        }
    }
}
