//! Every kind of field that a derive knows: there and back, on the grid, and never a panic.

use glam::{Quat, Vec2, Vec3};
use netcode_derive::{Enumeration, Input, Message, Replicate};
use netcode_snapshot::{Enumeration as _, Field, Input as _, Message as _, NetId, Replicate as _};
use netcode_wire::{BitReader, BitWriter, Tick, WireError};
use proptest::prelude::*;

const HALF: f32 = 64.0;

#[derive(Enumeration, Clone, Copy, Debug, Default, PartialEq)]
enum Mode {
    #[default]
    Idle,
    Busy,
    Gone,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(predicted)]
struct Everything {
    #[net(range(-HALF..=HALF), step = 0.005)]
    height: f32,
    #[net(range(-64.0..=64.0), step = 0.01)]
    pos: Vec2,
    #[net(range(-1000.0..=1000.0), step = 0.001)]
    far: Vec3,
    #[net(angle, bits = 12)]
    heading: f32,
    #[net(quat, bits = 10)]
    turn: Quat,
    #[net(raw)]
    exact: f32,
    #[net(raw)]
    exact_pair: Vec2,
    #[net(bits = 7)]
    hp: u8,
    ammo: u16,
    score: u32,
    #[net(signed, bits = 6)]
    lean: i8,
    depth: i16,
    #[net(bits = 20)]
    balance: i32,
    #[net(opaque)]
    seed: u32,
    player: u64,
    debt: i64,
    alive: bool,
    target: NetId,
    #[net(enumeration)]
    mode: Mode,
}

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
#[net(interpolate = "none")]
struct Pair(#[net(range(0.0..=1.0), step = 0.25)] f32, bool);

#[derive(Replicate, Clone, Copy, Debug, PartialEq)]
struct Marker;

#[derive(Input, Clone, Debug, Default, PartialEq)]
struct Controls {
    #[net(range(-1.0..=1.0), step = 0.125)]
    thrust: f32,
    #[net(range(-1.0..=1.0), step = 0.5)]
    aim: Vec2,
    fire: bool,
    #[net(enumeration)]
    mode: Mode,
}

#[derive(Message, Clone, Debug, PartialEq)]
struct Chat {
    from: NetId,
    #[net(max = 16)]
    text: String,
    #[net(max = 8)]
    blob: Vec<u8>,
    #[net(max = 4)]
    hits: Vec<Hit>,
    reply_to: Option<Tick>,
    volume: f32,
    plain: (),
}

#[derive(Message, Clone, Debug, PartialEq)]
struct Hit {
    #[net(range(0.0..=100.0), step = 1.0)]
    damage: f32,
    total: i32,
    big: u64,
    #[net(enumeration)]
    mode: Mode,
}

#[derive(Message, Clone, Debug, PartialEq)]
enum Event {
    Started,
    Hit { by: NetId, hit: Hit },
    Over(u8, bool),
}

fn columns(value: &Everything) -> Vec<u32> {
    let mut columns = vec![0; Everything::FIELDS.len()];
    value.quantise(&mut columns);
    columns
}

fn in_range(field: &Field, value: u32) -> bool {
    value <= field.max && u64::from(value) < 1 << field.bits
}

fn floats(count: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(prop_oneof![4 => -70f32..70.0, 1 => any::<f32>()], count)
}

prop_compose! {
    fn everything()(
        f in floats(14),
        i in any::<(u8, u16, u32, i8, i16, i32)>(),
        j in any::<(u32, u64, i64, bool, u32)>(),
        mode in 0u32..3,
    ) -> Everything {
        Everything {
            height: f[0],
            pos: Vec2::new(f[1], f[2]),
            far: Vec3::new(f[3], f[4], f[5]),
            heading: f[6],
            turn: Quat::from_xyzw(f[7], f[8], f[9], f[10]),
            exact: f[11],
            exact_pair: Vec2::new(f[12], f[13]),
            hp: i.0, ammo: i.1, score: i.2, lean: i.3, depth: i.4, balance: i.5, seed: j.0, player: j.1,
            debt: j.2, alive: j.3, target: NetId(j.4), mode: Mode::from_index(mode),
        }
    }
}

proptest! {
    #[test]
    fn rounding_twice_is_rounding_once(value in everything()) {
        let once = columns(&value);
        for (field, column) in Everything::FIELDS.iter().zip(&once) {
            prop_assert!(in_range(field, *column), "{} {}", field.name, column);
        }
        let restored = Everything::restore(&once);
        prop_assert_eq!(columns(&restored), once);
    }

    #[test]
    fn rounding_stays_near(value in everything()) {
        let restored = Everything::restore(&columns(&value));
        if value.height.abs() <= HALF {
            prop_assert!((restored.height - value.height).abs() <= 0.0026);
        }
        if value.far.x.abs() <= 1000.0 {
            prop_assert!((restored.far.x - value.far.x).abs() <= 0.0006);
        }
        prop_assert_eq!(restored.exact.to_bits(), value.exact.to_bits());
        prop_assert_eq!(restored.hp, value.hp.min(127));
        prop_assert_eq!((restored.ammo, restored.score, restored.seed), (value.ammo, value.score, value.seed));
        prop_assert_eq!((restored.lean, restored.depth), (value.lean.clamp(-32, 31), value.depth));
        prop_assert_eq!(restored.balance, value.balance.clamp(-(1 << 19), (1 << 19) - 1));
        prop_assert_eq!((restored.player, restored.debt), (value.player, value.debt));
        prop_assert_eq!((restored.alive, restored.target, restored.mode), (value.alive, value.target, value.mode));
    }

    #[test]
    fn any_columns_restore(wild in prop::collection::vec(any::<u32>(), Everything::FIELDS.len())) {
        let restored = Everything::restore(&wild);
        for (field, column) in Everything::FIELDS.iter().zip(columns(&restored)) {
            prop_assert!(in_range(field, column), "{}", field.name);
        }
    }

    #[test]
    fn the_ends_of_a_blend_are_its_ends(from in everything(), to in everything()) {
        let (from, to) = (Everything::restore(&columns(&from)), Everything::restore(&columns(&to)));
        let (start, end) = (Everything::interpolate(&from, &to, 0.0), Everything::interpolate(&from, &to, 1.0));
        prop_assert_eq!((start.pos, start.hp, start.mode), (from.pos, from.hp, from.mode));
        prop_assert!(end.pos.distance(to.pos) < 1e-3);
        prop_assert_eq!((end.hp, end.mode), (to.hp, to.mode));
    }

    #[test]
    fn inputs_return(thrust in -2f32..2.0, x in any::<f32>(), fire: bool, mode in 0u32..3) {
        let mut input = Controls { thrust, aim: Vec2::new(x, thrust), fire, mode: Mode::from_index(mode) };
        let mut out = BitWriter::new();
        input.encode(&mut out);
        prop_assert_eq!(out.bit_len(), Controls::BITS as usize);
        input.snap();
        prop_assert_eq!(&Controls::decode(&mut BitReader::new(out.as_bytes())), &Ok(input.clone()));
        let snapped = input.clone();
        input.snap();
        prop_assert_eq!(input, snapped);
    }

    #[test]
    fn messages_return(
        from: u32, text in "\\PC{0,8}", blob in prop::collection::vec(any::<u8>(), 0..=8),
        hits in prop::collection::vec((0u32..=100, any::<i32>(), any::<u64>(), 0u32..3), 0..=4),
        reply_to: Option<u32>, volume: f32,
    ) {
        prop_assume!(text.len() <= 16 && !volume.is_nan());
        let hits = hits.into_iter().map(|(damage, total, big, mode)| {
            Hit { damage: damage as f32, total, big, mode: Mode::from_index(mode) }
        });
        let reply_to = reply_to.map(Tick);
        let chat = Chat { from: NetId(from), text, blob, hits: hits.collect(), reply_to, volume, plain: () };
        let mut out = BitWriter::new();
        chat.encode(&mut out);
        prop_assert_eq!(Chat::decode(&mut BitReader::new(out.as_bytes())), Ok(chat));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Chat::decode(&mut BitReader::new(&bytes));
        let _ = Event::decode(&mut BitReader::new(&bytes));
        if let Ok(controls) = Controls::decode(&mut BitReader::new(&bytes)) {
            let mut snapped = controls.clone();
            snapped.snap();
            prop_assert_eq!(controls, snapped);
        }
    }
}

#[test]
fn widths_are_what_the_attributes_say() {
    let bits =
        |name: &str| Everything::FIELDS.iter().find(|field| field.name == name).map(|field| field.bits);
    assert_eq!(bits("height"), Some(15));
    assert_eq!(bits("pos.y"), Some(14));
    assert_eq!(bits("far.z"), Some(21));
    assert_eq!(bits("heading"), Some(12));
    assert_eq!(bits("turn.largest"), Some(2));
    assert_eq!(bits("turn.c"), Some(10));
    assert_eq!(bits("hp"), Some(7));
    assert_eq!(bits("score"), Some(32));
    assert_eq!(bits("lean"), Some(6));
    assert_eq!(bits("player.high"), Some(32));
    assert_eq!(bits("alive"), Some(1));
    assert_eq!(bits("mode"), Some(2));
    // thrust 17 points, aim 5 points twice, a flag, three modes.
    assert_eq!(Controls::BITS, 5 + 3 + 3 + 1 + 2);
    assert_eq!(Marker::FIELDS.len(), 0);
    assert_eq!((Everything::NAME, Pair::FIELDS[0].name), ("Everything", "0"));
}

#[test]
fn attributes_of_the_type_arrive() {
    let flags = [(Everything::PREDICTED, Everything::INTERPOLATED), (Pair::PREDICTED, Pair::INTERPOLATED)];
    assert_eq!(flags, [(true, true), (false, false)]);
    assert_eq!(Pair::interpolate(&Pair(0.0, false), &Pair(1.0, true), 0.5), Pair(0.0, false));
    assert_eq!(Pair::interpolate(&Pair(0.0, false), &Pair(1.0, true), 1.0), Pair(1.0, true));
    let mut pair = Pair(0.3, true);
    pair.snap();
    assert_eq!(pair, Pair(0.25, true));
}

#[test]
fn angles_blend_the_short_way() {
    let at = |heading: f32| Everything { heading, ..Everything::restore(&vec![0; Everything::FIELDS.len()]) };
    let between = Everything::interpolate(&at(3.0), &at(-3.0), 0.5).heading;
    assert!((between.abs() - std::f32::consts::PI).abs() < 1e-5, "{between}");
}

#[test]
fn rotations_blend_to_unit_length() {
    let base = Everything::restore(&vec![0; Everything::FIELDS.len()]);
    let (from, to) = (Quat::from_rotation_x(0.2), -Quat::from_rotation_x(1.0));
    let between =
        Everything::interpolate(&Everything { turn: from, ..base }, &Everything { turn: to, ..base }, 0.5);
    assert!(between.turn.angle_between(Quat::from_rotation_x(0.6)) < 1e-3);
}

#[test]
fn values_that_no_encoder_writes_are_refused() {
    // Thrust has 17 points in 5 bits: index 31 is none of them.
    let read = Controls::decode(&mut BitReader::new(&[0xff; 8]));
    assert_eq!(read, Err(WireError::Malformed("field beyond its range")));
    // Three variants in 2 bits: index 3 is none of them.
    let read = Event::decode(&mut BitReader::new(&[0xff; 8]));
    assert_eq!(read, Err(WireError::Malformed("field beyond its range")));
}

#[test]
fn lengths_beyond_the_limit_are_cut_and_refused() {
    let hit = Hit { damage: 1.0, total: -1, big: 1 << 40, mode: Mode::Gone };
    let long = Chat {
        from: NetId(1),
        text: "äääääääää".into(),
        blob: vec![7; 20],
        hits: vec![hit.clone(); 9],
        reply_to: None,
        volume: 0.0,
        plain: (),
    };
    let mut out = BitWriter::new();
    long.encode(&mut out);
    let read = Chat::decode(&mut BitReader::new(out.as_bytes())).expect("what was cut is readable");
    assert_eq!((read.text.as_str(), read.blob.len(), read.hits.len()), ("ääääääää", 8, 4));
    // The length of `text` follows 32 bits of `from`, in 5 bits: 31 is beyond 16.
    let read = Chat::decode(&mut BitReader::new(&[0xff; 64]));
    assert_eq!(read, Err(WireError::TooLong { length: 31, limit: 16 }));
}

#[test]
fn variants_return() {
    let hit = Hit { damage: 3.0, total: i32::MIN, big: u64::MAX, mode: Mode::Busy };
    for event in [Event::Started, Event::Hit { by: NetId(9), hit }, Event::Over(200, true)] {
        let mut out = BitWriter::new();
        event.encode(&mut out);
        assert_eq!(Event::decode(&mut BitReader::new(out.as_bytes())), Ok(event));
    }
}

/// As a facade would name it.
mod renamed {
    pub(crate) use netcode_snapshot as snapshot;
}

#[derive(Enumeration, Clone, Copy, Debug, PartialEq)]
#[net(crate = renamed::snapshot)]
enum Colour {
    Red,
    Blue,
}

#[derive(Replicate, Input, Message, Clone, Copy, Debug, PartialEq)]
#[net(crate = renamed::snapshot)]
struct Paint(#[net(enumeration)] Colour, #[net(bits = 3)] u8);

impl Default for Paint {
    fn default() -> Self {
        Self(Colour::Red, 0)
    }
}

#[test]
fn the_crate_may_have_another_name() {
    let paint = Paint(Colour::Blue, 5);
    let mut out = BitWriter::new();
    netcode_snapshot::Input::encode(&paint, &mut out);
    netcode_snapshot::Message::encode(&paint, &mut out);
    assert_eq!(out.bit_len(), 8);
    let mut from = BitReader::new(out.as_bytes());
    assert_eq!(<Paint as netcode_snapshot::Input>::decode(&mut from), Ok(paint));
    assert_eq!(<Paint as netcode_snapshot::Message>::decode(&mut from), Ok(paint));
    assert_eq!(Paint::FIELDS.len(), 2);
}
