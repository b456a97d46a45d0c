//! Components that are told less often than every tick: when they change for clients, and that both ways of extraction
//! agree on it.

use netcode_derive::Replicate;
use netcode_snapshot::{ClientView, Feedback, Frame, History, NetId, Receiver, Schema};
use netcode_wire::{BitReader, BitWriter, Tick};

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Place {
    #[net(bits = 16)]
    x: u32,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(every = 6)]
struct Mood {
    #[net(bits = 16)]
    value: u32,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(every = 4, visible = "owner")]
struct Ammo {
    #[net(bits = 16)]
    left: u32,
}

const ENTITIES: u32 = 7;

fn schema() -> Schema {
    Schema::builder().component::<Mood>().component::<Place>().component::<Ammo>().build()
}

/// Everything changes at every tick.
fn whole(schema: &Schema, frame: &mut Frame, tick: u32) {
    for id in 0..ENTITIES {
        frame.push(schema, NetId(id), |entity| {
            entity.component(&Place { x: tick });
            entity.component(&Mood { value: tick });
            entity.component(&Ammo { left: tick });
        });
    }
}

fn changes(schema: &Schema, frame: &mut Frame, tick: u32) {
    let id = |component: Option<_>| component.expect("registered");
    for row in 0..ENTITIES as usize {
        frame.set(row, id(schema.id_of::<Place>()), &Place { x: tick });
        frame.set(row, id(schema.id_of::<Mood>()), &Mood { value: tick });
        frame.set(row, id(schema.id_of::<Ammo>()), &Ammo { left: tick });
    }
}

/// The last tick not after `now` at which it is the entity's turn; `first` while there was none.
fn turn(every: u32, id: u32, (first, now): (u32, u32)) -> u32 {
    (first..=now).rev().find(|tick| (tick + id).is_multiple_of(every)).unwrap_or(first).max(first)
}

#[test]
fn turns_come_round_and_both_ways_of_extraction_agree() {
    let schema = schema();
    let (mut extracted, mut updated) = (History::default(), History::default());
    for tick in 10..80 {
        // Now and then the list of entities is gathered anew in both.
        let is_new = tick == 10 || tick % 23 == 0;
        extracted.extract(Tick(tick), |frame| whole(&schema, frame, tick));
        match is_new {
            true => updated.extract(Tick(tick), |frame| whole(&schema, frame, tick)),
            false => updated.update(Tick(tick), |frame| changes(&schema, frame, tick)),
        };
        let (frame, other) = (extracted.newest().expect("extracted"), updated.newest().expect("updated"));
        assert!(frame.same_state(other), "at {tick}");
        for id in (0..ENTITIES).map(NetId) {
            assert_eq!((frame.stamp(id), other.stamp(id)), (Some(Tick(tick)), Some(Tick(tick))));
            assert_eq!(frame.get(&schema, id), Some(Place { x: tick }));
            assert_eq!(
                frame.get(&schema, id),
                Some(Mood { value: turn(6, id.0, (10, tick)) }),
                "{id} at {tick}"
            );
            assert_eq!(
                frame.get(&schema, id),
                Some(Ammo { left: turn(4, id.0, (10, tick)) }),
                "{id} at {tick}"
            );
        }
    }
}

#[test]
fn turns_are_not_missed_where_frames_are_rarer_than_ticks() {
    let schema = schema();
    let mut history = History::default();
    for tick in (9..90).step_by(3) {
        history.extract(Tick(tick), |frame| whole(&schema, frame, tick));
        let frame = history.newest().expect("extracted");
        for id in (0..ENTITIES).map(NetId) {
            let mood: Mood = frame.get(&schema, id).expect("it is there");
            assert!(tick - mood.value < 6, "{id} at {tick}: {mood:?}");
        }
    }
}

#[test]
fn what_is_held_back_costs_nothing_and_comes_when_nothing_else_changes() {
    let schema = Schema::builder().component::<Mood>().build();
    let (mut history, mut view, mut receiver) = (History::default(), ClientView::new(), Receiver::default());
    let mut told = Vec::new();
    for tick in 1..20 {
        let mood = Mood { value: if tick < 7 { 1 } else { 2 } };
        let id = schema.id_of::<Mood>().expect("registered");
        match tick {
            1 => history
                .extract(Tick(1), |frame| frame.push(&schema, NetId(1), |entity| entity.component(&mood))),
            _ => history.update(Tick(tick), |frame| {
                // It changes once, long before its turn.
                if tick == 7 {
                    frame.set(0, id, &mood);
                }
            }),
        };
        let mut out = BitWriter::new();
        let stats = view.encode(&schema, &history, &[(NetId(1), 1.0)], Feedback::default(), 9_000, &mut out);
        told.extend((stats.updates + stats.spawns > 0).then_some(tick));
        receiver.decode(&schema, &mut BitReader::new(out.as_bytes())).expect("sound");
        view.ack(receiver.ack().expect("decoded"));
        let shown = receiver.latest().and_then(|frame| frame.get::<Mood>(&schema, NetId(1)));
        assert_eq!(shown, Some(Mood { value: if tick < 11 { 1 } else { 2 } }), "at {tick}");
    }
    // Its turns are 5, 11 and 17: at 11 the change is told, and but for the appearance nothing else.
    assert_eq!(told, [1, 11]);
}
