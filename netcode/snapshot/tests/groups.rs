//! Entities that appear together: whatever is lost, however little fits, and in whichever codec, nobody sees a part of a
//! group come; and what can never come as a whole comes all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use fastrand::Rng;
use netcode_derive::Replicate;
use netcode_snapshot::{
    Ack, AdaptiveView, Audience, Budget, CodecChoice, Feedback, Frame, History, NetId, Parts, Receiver,
    Schema, SharedBits,
};
use netcode_wire::{BitReader, Tick};

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Thing {
    #[net(bits = 20)]
    x: u32,
    #[net(bits = 20)]
    y: u32,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(visible = "owner")]
struct Purse(#[net(bits = 16)] u32);

/// Bytes that no code makes shorter.
#[derive(Replicate, Clone, Debug, PartialEq)]
struct Cargo {
    #[net(max = 200)]
    bytes: Vec<u8>,
}

fn schema() -> Schema {
    Schema::builder().component::<Thing>().component::<Purse>().component::<Cargo>().build()
}

struct Case {
    seed: u64,
    codec: &'static [CodecChoice],
    loss: f64,
    budget: std::ops::Range<usize>,
    part_bytes: usize,
}

const ENTITIES: u32 = 60;

/// Every third entity is on its own; the others are groups of about four, their ids far apart from each other.
fn group_of(id: u32) -> Option<NonZeroU32> {
    if id.is_multiple_of(3) { None } else { NonZeroU32::new(1 + id % 10) }
}

/// Plays a case; gives how many groups appeared.
fn play(case: &Case) -> usize {
    let schema = schema();
    let mut rng = Rng::with_seed(case.seed);
    let (mut history, mut receiver) = (History::default(), Receiver::default());
    let mut view = AdaptiveView::new(case.codec[0]);
    let (mut bits, mut parts) = (SharedBits::new(), Parts::new());
    let mut x: Vec<u32> = (0..ENTITIES).map(|_| rng.u32(..1 << 20)).collect();
    // Who is in sight: groups come and go as one, and single members are born and die.
    let (mut sight, mut alive) = (vec![true; 11], vec![true; ENTITIES as usize]);
    let mut listed: BTreeMap<u32, BTreeSet<NetId>> = BTreeMap::new();
    let mut flying: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut acks: Vec<(u32, Ack)> = Vec::new();
    let mut shown: BTreeSet<NetId> = BTreeSet::new();
    let mut appearances = 0;
    for now in 1..600 {
        x.iter_mut().for_each(|x| *x = (*x + rng.u32(..3)) % (1 << 20));
        sight.iter_mut().for_each(|sight| *sight ^= rng.f64() < 0.02);
        alive.iter_mut().for_each(|alive| *alive ^= rng.f64() < 0.002);
        let living: Vec<u32> = (0..ENTITIES).filter(|id| alive[*id as usize]).collect();
        history.extract(Tick(now), |frame| {
            for id in &living {
                frame.push(&schema, NetId(*id), |entity| {
                    entity.component(&Thing { x: x[*id as usize], y: *id });
                    entity.component(&Purse(now & 0xff));
                    group_of(*id).into_iter().for_each(|group| entity.group(group));
                });
            }
        });
        let mut relevant = Vec::new();
        for id in living.iter().filter(|id| sight[group_of(**id).map_or(0, |group| group.get() as usize)]) {
            relevant.push((NetId(*id), 0.2 + rng.f32()));
            if id % 4 == 0 {
                relevant.push((NetId(*id).seen_by(Audience::OWNER), 0.2 + rng.f32()));
            }
        }
        listed.insert(now, relevant.iter().map(|(id, _)| *id).collect());
        view.choose(case.codec[now as usize / 70 % case.codec.len()]);
        let total_bytes = rng.usize(case.budget.clone());
        let first_bytes = if rng.bool() { case.part_bytes } else { case.part_bytes * 3 / 4 };
        let budget = Budget { first_bytes, part_bytes: case.part_bytes, total_bytes };
        let shared = (&schema, &history, &mut bits);
        let stats = view.encode_parts(shared, &relevant, Feedback::default(), budget, &mut parts);
        assert_eq!(stats.torn, 0, "seed {}: every group fits", case.seed);
        for part in parts.iter() {
            if rng.f64() >= case.loss {
                flying.push((now + rng.u32(2..5), part.to_vec()));
            }
        }
        let mut due = Vec::new();
        flying.retain(|(at, bytes)| {
            if *at <= now {
                due.push(bytes.clone());
            }
            *at > now
        });
        for bytes in due {
            let Ok(header) = receiver.decode(&schema, &mut BitReader::new(&bytes)) else { continue };
            let latest = receiver.latest().expect("decoded");
            let now_shown = names(latest);
            appearances += check(&shown, &now_shown, &listed[&header.tick.0], case.seed);
            shown = now_shown;
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
    appearances
}

/// Everything that is shown, by the names of the parts.
fn names(frame: &Frame) -> BTreeSet<NetId> {
    frame.walk().map(|(id, ..)| id).collect()
}

/// Whoever came brought all of its group that was listed.
fn check(before: &BTreeSet<NetId>, now: &BTreeSet<NetId>, listed: &BTreeSet<NetId>, seed: u64) -> usize {
    let group = |id: &NetId| group_of(id.entity().0);
    let came: BTreeSet<NonZeroU32> = now.difference(before).filter_map(group).collect();
    for id in listed.iter().filter(|id| group(id).is_some_and(|group| came.contains(&group))) {
        assert!(now.contains(id), "seed {seed}: {id} of {:?} is missing", group(id));
    }
    came.len()
}

#[test]
fn nobody_sees_a_part_of_a_group_come() {
    use CodecChoice::{Dense, Shared};
    let codecs: [&[CodecChoice]; 3] = [&[Shared], &[Dense], &[Shared, Dense]];
    for round in 0..18 {
        let (loss, is_wide) = ([0.0, 0.15, 0.4][round / 3 % 3], round >= 9);
        let (part_bytes, budget) = if is_wide { (120, 120..500) } else { (120, 80..130) };
        let case = Case { seed: round as u64, codec: codecs[round % 3], loss, budget, part_bytes };
        let appearances = play(&case);
        assert!(appearances > 30, "seed {round}: {appearances} groups came");
    }
}

/// A group of `members` of about 200 bytes each, to a client that takes `bytes` a snapshot; gives how many members it
/// shows after each tick, and when a group fell apart.
fn cargo(codec: CodecChoice, members: u32, bytes: impl Fn(u32) -> usize) -> (Vec<usize>, Vec<u32>) {
    let schema = schema();
    let mut rng = Rng::with_seed(4);
    let (mut history, mut receiver, mut view) =
        (History::default(), Receiver::default(), AdaptiveView::new(codec));
    let (mut bits, mut parts) = (SharedBits::new(), Parts::new());
    let load: Vec<Cargo> =
        (0..members).map(|_| Cargo { bytes: (0..200).map(|_| rng.u8(..)).collect() }).collect();
    let (mut shown, mut torn) = (Vec::new(), Vec::new());
    for now in 1..300 {
        history.extract(Tick(now), |frame| {
            frame.push(&schema, NetId(0), |entity| entity.component(&Thing { x: now, y: 0 }));
            for (at, cargo) in load.iter().enumerate() {
                frame.push(&schema, NetId(at as u32 + 1), |entity| {
                    entity.component(cargo);
                    entity.group(NonZeroU32::MIN);
                });
            }
        });
        let relevant: Vec<_> = history.newest().expect("one").entities().map(|id| (id, 1.0)).collect();
        let shared = (&schema, &history, &mut bits);
        let budget = Budget::one(bytes(now));
        let stats = view.encode_parts(shared, &relevant, Feedback::default(), budget, &mut parts);
        torn.extend((stats.torn > 0).then_some(now));
        for part in parts.iter() {
            receiver.decode(&schema, &mut BitReader::new(part)).expect("nothing was lost");
        }
        view.ack(receiver.ack().expect("decoded"));
        let latest = receiver.latest().expect("decoded");
        shown.push(latest.entities().filter(|id| id.0 > 0).count());
        assert!(now < 3 || latest.contains(NetId(0)), "who is alone does not wait for a group");
    }
    (shown, torn)
}

#[test]
fn a_group_waits_for_a_message_that_holds_it_and_falls_apart_when_there_is_none() {
    for codec in [CodecChoice::Shared, CodecChoice::Dense] {
        // Narrow at first: it waits, and comes whole.
        let (shown, torn) = cargo(codec, 4, |now| if now < 60 { 500 } else { 1100 });
        assert!(shown[..58].iter().all(|shown| *shown == 0) && shown[62..].iter().all(|shown| *shown == 4));
        assert!(shown.iter().all(|shown| [0, 4].contains(shown)) && torn.is_empty(), "{codec:?} {torn:?}");
        // Longer than any message: two seconds, then one by one.
        let (shown, torn) = cargo(codec, 9, |_| 700);
        assert!(shown[..119].iter().all(|shown| *shown == 0), "{codec:?} {shown:?}");
        assert_eq!((shown.last(), torn.is_empty()), (Some(&9), false), "{codec:?} {torn:?}");
    }
}

#[test]
fn a_group_may_change_without_anything_else() {
    let schema = schema();
    let mut history = History::default();
    history.extract(Tick(1), |frame| {
        for id in 0..3 {
            frame.push(&schema, NetId(id), |entity| entity.component(&Thing { x: 1, y: 1 }));
        }
    });
    history.update(Tick(2), |frame| (1..3).for_each(|row| frame.set_group(row, NonZeroU32::new(7))));
    let (mut view, mut receiver) = (AdaptiveView::new(CodecChoice::Shared), Receiver::default());
    let (mut bits, mut parts) = (SharedBits::new(), Parts::new());
    // Room for two, of whom the one alone is the most urgent.
    let relevant = [(NetId(0), 2.0), (NetId(1), 1.0), (NetId(2), 1.0)];
    let shared = (&schema, &history, &mut bits);
    view.encode_parts(shared, &relevant, Feedback::default(), Budget::one(23), &mut parts);
    receiver.decode(&schema, &mut BitReader::new(parts.iter().next().expect("one"))).expect("as sent");
    assert_eq!(receiver.latest().expect("decoded").entities().collect::<Vec<_>>(), [NetId(0)]);
}
