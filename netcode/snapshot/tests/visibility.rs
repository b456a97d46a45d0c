//! What only some may see reaches nobody else, byte for byte: the snapshots of a client are the same whatever the secrets
//! are, whether there are any, and whoever else is served from the same shared bits.

use fastrand::Rng;
use netcode_derive::Replicate;
use netcode_snapshot::{
    Ack, Audience, Budget, ClientView, DenseReceiver, DenseView, Feedback, Frame, History, NetId, Parts,
    Receiver, ReceiverLimits, Replicate, Schema, SharedBits, SnapshotError,
};
use netcode_wire::{BitReader, BitWriter, Tick};

const TEAM: Audience = Audience::custom(2);
const ENTITIES: u32 = 9;
/// The player whose secrets they are, one of its team, and a stranger.
const OWNER: usize = 0;
const MATE: usize = 1;
const STRANGER: usize = 2;

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(visible = "owner")]
struct Purse {
    gold: u16,
    #[net(range(0.0..=1.0), step = 0.01)]
    luck: f32,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Place {
    #[net(range(-64.0..=64.0), step = 0.005)]
    x: f32,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(visible = TEAM)]
struct Plan {
    target: Option<NetId>,
}

fn schema() -> Schema {
    Schema::builder().component::<Purse>().component::<Place>().component::<Plan>().build()
}

/// What is secret about an entity at a tick, by the seed of the secrets.
fn secrets(seed: u64, id: u32, tick: u32) -> (Option<Purse>, Option<Plan>) {
    let mut rng = Rng::with_seed(seed << 32 | u64::from(id) << 16 | u64::from(tick / 3));
    let mut purse = Purse { gold: rng.u16(..), luck: rng.f32() };
    purse.snap();
    let plan = Plan { target: Some(NetId(rng.u32(..ENTITIES))) };
    (rng.bool().then_some(purse), rng.bool().then_some(plan))
}

fn place(id: u32, tick: u32) -> Place {
    let mut place = Place { x: (id * 7 + tick / (1 + id)) as f32 % 60.0 };
    place.snap();
    place
}

fn fill(schema: &Schema, frame: &mut Frame, seed: u64, tick: u32) {
    for id in 0..ENTITIES {
        // Somebody comes and goes.
        if id == tick / 30 % 12 {
            continue;
        }
        let (purse, plan) = secrets(seed, id, tick);
        frame.push(schema, NetId(id), |entity| {
            purse.iter().for_each(|purse| entity.component(purse));
            entity.component(&place(id, tick));
            plan.iter().for_each(|plan| entity.component(plan));
        });
    }
}

/// Entity 0 is the owner's, entities up to 3 its team's.
fn relevant(viewer: usize, frame: &Frame) -> Vec<(NetId, f32)> {
    let mut relevant: Vec<_> = frame.entities().map(|id| (id, 1.0)).collect();
    if viewer == OWNER {
        relevant.push((NetId(0).seen_by(Audience::OWNER), 1.0));
    }
    if viewer == MATE || viewer == OWNER {
        relevant.extend((0..3).map(|id| (NetId(id).seen_by(TEAM), 1.0)));
    }
    relevant
}

enum Sender {
    Shared(Box<ClientView>),
    Dense(Box<DenseView>),
}

enum Reader {
    Shared(Box<Receiver>),
    Dense(Box<DenseReceiver>),
}

/// Everything that was sent to each viewer in a match whose secrets are of `seed`. What arrives is what was sent to the
/// viewer so far, so equal bytes lead to equal acknowledgements.
fn play(seed: u64, is_dense: bool, budget_bytes: usize) -> [Vec<Vec<u8>>; 3] {
    let schema = schema();
    let (mut history, mut bits, mut parts) = (History::default(), SharedBits::new(), Parts::new());
    let mut ends: Vec<(Sender, Reader)> = (0..3)
        .map(|_| match is_dense {
            false => (Sender::Shared(Box::default()), Reader::Shared(Box::default())),
            true => (
                Sender::Dense(Box::new(DenseView::new(&schema))),
                Reader::Dense(Box::new(DenseReceiver::new(&schema, ReceiverLimits::default()))),
            ),
        })
        .collect();
    let mut rng = Rng::with_seed(7);
    let mut sent = [const { Vec::new() }; 3];
    for tick in 1..240 {
        history.extract(Tick(tick), |frame| fill(&schema, frame, seed, tick));
        let truth = history.newest().expect("just extracted");
        for (viewer, (sender, reader)) in ends.iter_mut().enumerate() {
            let relevant = relevant(viewer, truth);
            let messages: Vec<Vec<u8>> = match sender {
                Sender::Shared(view) => {
                    let shared = (&schema, &history, &mut bits);
                    let budget = Budget::several(budget_bytes, budget_bytes * 2);
                    view.encode_parts(shared, &relevant, Feedback::default(), budget, &mut parts);
                    parts.iter().map(<[u8]>::to_vec).collect()
                }
                Sender::Dense(view) => {
                    let mut out = BitWriter::new();
                    view.encode(
                        &schema,
                        &history,
                        &relevant,
                        Feedback::default(),
                        budget_bytes * 8,
                        &mut out,
                    );
                    vec![out.into_bytes()]
                }
            };
            let ack = take(&schema, reader, &messages, &mut rng);
            if let Some(ack) = ack.filter(|_| rng.u8(..4) > 0) {
                match sender {
                    Sender::Shared(view) => view.ack(ack),
                    Sender::Dense(view) => view.ack(ack),
                }
            }
            sent[viewer].extend(messages);
            check(&schema, reader, viewer, seed);
        }
    }
    sent
}

fn take(schema: &Schema, reader: &mut Reader, messages: &[Vec<u8>], rng: &mut Rng) -> Option<Ack> {
    for message in messages {
        let lost = rng.u8(..4) == 0;
        let mut from = BitReader::new(message);
        let taken = match reader {
            _ if lost => continue,
            Reader::Shared(receiver) => receiver.decode(schema, &mut from),
            Reader::Dense(receiver) => receiver.decode(schema, &mut from),
        };
        assert!(matches!(taken, Ok(_) | Err(SnapshotError::UnknownBaseline(_))), "{taken:?}");
    }
    match reader {
        Reader::Shared(receiver) => receiver.ack(),
        Reader::Dense(receiver) => receiver.ack(),
    }
}

/// Everything shown is as it was at its own tick, and nothing is shown that is not for this viewer.
fn check(schema: &Schema, reader: &Reader, viewer: usize, seed: u64) {
    let latest = match reader {
        Reader::Shared(receiver) => receiver.latest(),
        Reader::Dense(receiver) => receiver.latest(),
    };
    for id in latest.into_iter().flat_map(Frame::entities) {
        let frame = latest.expect("it has entities");
        assert!(id.0 < ENTITIES, "{id}");
        let stamp = |id| frame.stamp(id).map(|tick| tick.0);
        let at = stamp(id).expect("it is shown");
        assert_eq!(frame.get::<Place>(schema, id), Some(place(id.0, at)));
        let (purse, plan) = (frame.get::<Purse>(schema, id), frame.get::<Plan>(schema, id));
        if let Some(at) = stamp(id.seen_by(Audience::OWNER)) {
            assert!(viewer == OWNER && id.0 == 0, "{id} to {viewer}");
            assert_eq!(purse, secrets(seed, id.0, at).0);
        } else {
            assert_eq!(purse, None);
        }
        if let Some(at) = stamp(id.seen_by(TEAM)) {
            assert!(viewer != STRANGER && id.0 < 3, "{id} to {viewer}");
            // Whom it leads to may not be shown.
            let led = secrets(seed, id.0, at).1.map(|plan| plan.target.filter(|id| frame.contains(*id)));
            assert_eq!(plan.map(|plan| plan.target), led);
        } else {
            assert_eq!(plan, None);
        }
    }
}

#[test]
fn a_strangers_bytes_say_nothing_of_secrets() {
    // With room for everything, and with so little that who is told of depends on sizes.
    for (is_dense, budget_bytes) in [(false, 1100), (true, 1100), (false, 40), (true, 40)] {
        let [ours, mates, strangers] = play(1, is_dense, budget_bytes);
        let [other_ours, other_mates, other_strangers] = play(2, is_dense, budget_bytes);
        assert_eq!(strangers, other_strangers, "dense: {is_dense}, {budget_bytes} bytes");
        assert!(ours != other_ours && mates != other_mates, "those who may see them are told");
    }
}

#[test]
fn what_only_some_see_changes_without_the_rest() {
    let schema = schema();
    let mut history = History::default();
    let mut purse = Purse { gold: 5, luck: 0.5 };
    history.extract(Tick(1), |frame| {
        for id in [4, 2] {
            frame.push(&schema, NetId(id), |entity| {
                entity.component(&purse);
                entity.component(&place(id, 1));
            });
        }
    });
    purse.gold = 6;
    let id = schema.id_of::<Purse>().expect("registered");
    // Row 1 is entity 4.
    let frame = history.update(Tick(2), |frame| frame.set(1, id, &purse));
    assert_eq!(frame.get::<Purse>(&schema, NetId(4)), Some(purse));
    assert_eq!(frame.get::<Purse>(&schema, NetId(2)).map(|purse| purse.gold), Some(5));
    let secret = NetId(4).seen_by(Audience::OWNER);
    assert_eq!((frame.stamp(NetId(4)), frame.stamp(secret)), (Some(Tick(1)), Some(Tick(2))));
    assert_eq!(frame.entities().collect::<Vec<_>>(), [NetId(2), NetId(4)]);
    assert_eq!(frame.components(NetId(4)).count(), 2);
    assert_eq!(schema.audiences().collect::<Vec<_>>(), [Audience::OWNER, TEAM]);
    assert_eq!((secret.entity(), secret.is_part(), NetId(4).is_part()), (NetId(4), true, false));
}
