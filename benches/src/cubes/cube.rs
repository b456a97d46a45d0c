//! The cube as a component, and what a game knows of how its cubes move. Must never know how it is coded.

use netcode_snapshot::dense::{Past, Turn};
use netcode_snapshot::{Field, FieldKind, NetId, Replicate};

/// One cube in the columns of G. Fiedler's data: `interacting, x, y, z, largest, a, b, c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cube(pub(super) [u32; COLUMNS]);

/// Columns of a cube.
pub(super) const COLUMNS: usize = 8;

impl Replicate for Cube {
    const NAME: &'static str = "Cube";
    const FIELDS: &'static [Field] = &[
        Field::opaque("interacting", 1),
        axis("position.x"),
        axis("position.y"),
        axis("position.z"),
        Field::opaque("orientation.largest", 3),
        part("orientation.a"),
        part("orientation.b"),
        part("orientation.c"),
    ];
    const PREDICT: Option<netcode_snapshot::dense::Predict> = Some(predict);

    fn quantise(&self, out: &mut [u32]) {
        out.copy_from_slice(&self.0);
    }

    fn restore(columns: &[u32]) -> Self {
        Self(std::array::from_fn(|place| columns[place]))
    }

    fn interpolate(from: &Self, to: &Self, t: f32) -> Self {
        if t < 1.0 { *from } else { *to }
    }
}

/// 512 units a metre, ±32 m.
const fn axis(name: &'static str) -> Field {
    Field {
        name,
        bits: 15,
        kind: FieldKind::Linear,
        max: 32_767,
        min: -32.0,
        step: 1.0 / 512.0,
        far_shift: 0,
    }
}

/// 9 bits of ±1/√2.
const fn part(name: &'static str) -> Field {
    Field { name, bits: 9, kind: FieldKind::Linear, max: 511, min: 0.0, step: 0.0, far_shift: 0 }
}

/// What the game knows: the player's cube (entity 0) rolls, others fly, slide and rest by themselves, or they stick to
/// the player's and turn with it as one body. Which of the two a cube does is read off its own past: by which it would
/// have come to where it is.
fn predict(past: &Past<'_>, columns: &mut [i64]) {
    let body = Body::of(past.state(0).1);
    let alone = coast(past, &body);
    let expected = match led(past, &body) {
        Some((led, share)) => blend(&alone, &led, share),
        None => alone,
    };
    for (column, position) in columns[1..4].iter_mut().zip(expected.position) {
        *column = (position * 16.0 + 0.5) as i64;
    }
    // A cube does not sink into the ground.
    expected.turn.pack(past.told().get(4).copied(), CODE_MAX, &mut columns[4..8]);
}

/// Where it comes to when it goes on as it went.
fn coast(past: &Past<'_>, body: &Body) -> Body {
    let ahead = f64::from(past.ahead());
    let (newest, _) = past.state(0);
    let step = |ticks: i32| {
        let (tick, columns) = past.before(ticks);
        let span = f64::from(newest.since(tick).max(1));
        let before = Body::of(columns);
        let moved: [f64; 3] =
            std::array::from_fn(|axis| (body.position[axis] - before.position[axis]) / span);
        (moved, body.turn.after(&before.turn.inverse()).times(ahead / span))
    };
    let ((fast, turn), (_, slow)) = (step(1), step(3));
    // Contact takes from slow motion, and rounding is half of what is seen of it.
    let speed: f64 = fast.iter().map(|axis| axis.abs()).sum();
    let kept = if speed < 4.0 { 0.5 } else { 0.95 };
    let position = std::array::from_fn(|axis| body.position[axis] + fast[axis] * ahead * kept);
    let turn = mean(&turn, &slow, 0.5);
    Body { position, turn: turn.after(&body.turn) }
}

/// Where it comes to when it sticks to the player's cube, and how much that is to be believed.
fn led(past: &Past<'_>, body: &Body) -> Option<(Body, f64)> {
    let leader = past.of(LEADER, past.component()).filter(|_| past.id() != LEADER)?;
    let (leader_now, leader_then) = (Body::of(leader.now()?), Body::of(leader.state(0).1));
    // The same question of the past, which is known.
    let span = past.ahead().min(SPAN_MAX);
    let ((tick, columns), (leader_tick, leader_columns)) = (past.before(span), leader.before(span));
    if tick != leader_tick {
        return None;
    }
    let (before, leader_before) = (Body::of(columns), Body::of(leader_columns));
    let by_leader = carry(&before, &leader_before, &leader_then).distance(body);
    let span = f64::from(past.state(0).0.since(tick));
    let (before_tick, columns) = past.before(past.state(0).0.since(tick) + 1);
    let earlier = Body::of(columns);
    let ticks = f64::from(tick.since(before_tick).max(1));
    let by_itself = Body {
        position: std::array::from_fn(|axis| {
            before.position[axis] + (before.position[axis] - earlier.position[axis]) * span / ticks
        }),
        turn: body.turn,
    };
    let by_itself = by_itself.distance(body);
    let share = if by_leader < by_itself * 0.7 {
        0.95
    } else if by_leader < by_itself * 1.5 {
        0.5
    } else {
        return None;
    };
    Some((carry(body, &leader_then, &leader_now), share))
}

/// Position in units, and rotation.
#[derive(Debug, Clone, Copy)]
struct Body {
    position: [f64; 3],
    turn: Turn,
}

impl Body {
    fn of(columns: &[u32]) -> Self {
        let position = std::array::from_fn(|axis| f64::from(columns[1 + axis]));
        Self { position, turn: Turn::unpack(&columns[4..8], CODE_MAX) }
    }

    fn distance(&self, other: &Self) -> f64 {
        (0..3).map(|axis| (self.position[axis] - other.position[axis]).powi(2)).sum::<f64>().sqrt()
    }
}

/// Where a body comes to that is fixed to another one, which moves from `then` to `now`.
fn carry(body: &Body, then: &Body, now: &Body) -> Body {
    let turn = now.turn.after(&then.turn.inverse());
    let arm = turn.turn(std::array::from_fn(|axis| body.position[axis] - then.position[axis]));
    Body {
        position: std::array::from_fn(|axis| now.position[axis] + arm[axis]),
        turn: turn.after(&body.turn),
    }
}

fn blend(a: &Body, b: &Body, share: f64) -> Body {
    Body {
        position: std::array::from_fn(|axis| {
            a.position[axis] + (b.position[axis] - a.position[axis]) * share
        }),
        turn: mean(&a.turn, &b.turn, share),
    }
}

/// The chord between two rotations, of unit length.
fn mean(a: &Turn, b: &Turn, share: f64) -> Turn {
    let dot: f64 = a.0.iter().zip(b.0).map(|(a, b)| a * b).sum();
    let sign = if dot < 0.0 { -1.0 } else { 1.0 };
    let chord: [f64; 4] = std::array::from_fn(|part| a.0[part] + (b.0[part] * sign - a.0[part]) * share);
    let length = chord.iter().map(|part| part * part).sum::<f64>().sqrt();
    if length > 1e-6 { Turn(chord.map(|part| part / length)) } else { *a }
}

const LEADER: NetId = NetId(0);
const CODE_MAX: u32 = 511;
const SPAN_MAX: i32 = 6;
