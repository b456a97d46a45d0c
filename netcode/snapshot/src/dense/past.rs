//! What a predictor is shown, and the predictors there are. Owns arithmetic that gives equal bits on both sides:
//! integers, and `f64` by `+ − × ÷ √` only. Must never know how a prediction is used.

use netcode_wire::Tick;

use super::flight::Flight;
use super::world::{Track, World, columns_of};
use crate::{ComponentId, Field, FieldKind, NetId, Schema};

/// Predicts the columns of a component at [`Past::tick`], in sixteenths of a step. The slice holds the last known
/// columns when it is called; what is left as it is stays predicted so. The same function must run on both sides and
/// must give equal bits there: it may use integers, and `f64` with `+ − × ÷ sqrt`, but no other functions of floats.
///
/// It is called before a component is coded, and again whenever a column without order (the index of a rotation's
/// largest component, a mode) turned out otherwise than predicted: [`Past::told`] then holds what is known by now.
pub type Predict = fn(past: &Past<'_>, columns: &mut [i64]);

/// The states of one component of one entity that both sides surely hold, newest first.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    pub(super) schema: &'a Schema,
    pub(super) world: &'a World,
    pub(super) flight: &'a Flight,
    pub(super) tick: Tick,
    pub(super) track: &'a Track,
    pub(super) component: ComponentId,
    pub(super) first: usize,
    pub(super) len: usize,
    pub(super) told: &'a [u32],
}

impl<'a> Past<'a> {
    /// The tick to predict.
    #[must_use]
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// Whose component it is.
    #[must_use]
    pub fn id(&self) -> NetId {
        self.track.id.entity()
    }

    /// Number of states known: at least one, at most [`PAST_MAX`](super::PAST_MAX) + 1.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.world.past_len(self.track)
    }

    /// State `age`, 0 the newest; ages past the oldest give the oldest.
    #[must_use]
    pub fn state(&self, age: usize) -> (Tick, &'a [u32]) {
        let (tick, columns) = self.world.past(self.track, age.min(self.len() - 1));
        (tick, &columns[self.first..self.first + self.len])
    }

    /// The newest state that is at least `ticks` older than the newest one; else the oldest.
    #[must_use]
    pub fn before(&self, ticks: i32) -> (Tick, &'a [u32]) {
        let newest = self.state(0).0;
        let age = (1..self.len()).find(|age| newest.since(self.state(*age).0) >= ticks);
        self.state(age.unwrap_or(usize::MAX))
    }

    /// Ticks from the newest state to the one predicted.
    #[must_use]
    pub fn ahead(&self) -> i32 {
        self.tick.since(self.state(0).0)
    }

    /// The columns that are known already, from the first: where there are more than before, the rest is predicted
    /// again.
    #[must_use]
    pub fn told(&self) -> &'a [u32] {
        self.told
    }

    /// The fields of the component.
    #[must_use]
    pub fn fields(&self) -> &'a [Field] {
        self.schema.fields(self.component)
    }

    /// The past of another entity's component: a leader, a vehicle, a parent.
    #[must_use]
    pub fn of(&self, id: NetId, component: ComponentId) -> Option<Past<'a>> {
        let track = &self.world.tracks()[self.world.find(id)?];
        let (first, len) = columns_of(self.schema, track.mask, component)?;
        Some(Past { track, component, first, len, told: &[], ..*self })
    }

    /// This component at the tick that is predicted, where this snapshot has told it before: entities that were told of
    /// lately come in the order of their ids.
    #[must_use]
    pub fn now(&self) -> Option<&'a [u32]> {
        self.flight.component(self.schema, self.track.id, self.component)
    }

    /// The component's place in the schema.
    #[must_use]
    pub fn component(&self) -> ComponentId {
        self.component
    }
}

/// The predictor of `#[net(predictor = "linear")]`: what has order goes on as it went between the two newest states,
/// angles the short way round; rotations turn on at the same angular velocity; the rest stays.
pub fn linear(past: &Past<'_>, columns: &mut [i64]) {
    let fields = past.fields();
    let ((newest, now), (earlier, before)) = (past.state(0), past.before(LINEAR_TICKS));
    let span = i64::from(newest.since(earlier));
    if span <= 0 {
        return;
    }
    let ahead = i64::from(past.ahead().clamp(0, AHEAD_MAX));
    let mut place = 0;
    while place < columns.len() {
        if let Some(max) = rotation_at(fields, place) {
            rotation(past, place, max, &before[place..place + 4], span, ahead, columns);
            place += 4;
            continue;
        }
        let unused = 32 - u32::from(fields[place].bits);
        if fields[place].kind != FieldKind::Opaque {
            let moved = now[place].wrapping_sub(before[place]);
            let moved = i64::from((moved << unused) as i32 >> unused);
            columns[place] = i64::from(now[place]) * 16 + moved * 16 * ahead / span;
        }
        place += 1;
    }
}

/// The greatest code of a rotation whose four columns begin at `place`, when one does.
#[must_use]
pub fn rotation_at(fields: &[Field], place: usize) -> Option<u32> {
    let [largest, a, b, c] = fields.get(place..place + 4)? else { return None };
    // Ranges, angles and integers have a step; the parts of a rotation have none.
    let is_part = |field: &Field| field.kind == FieldKind::Linear && field.step == 0.0 && field.max == a.max;
    (largest.kind == FieldKind::Opaque && largest.max == 3 && [a, b, c].into_iter().all(is_part))
        .then_some(a.max)
}

/// Predicts a rotation from where it was `span` ticks before the newest state.
fn rotation(
    past: &Past<'_>,
    place: usize,
    max: u32,
    before: &[u32],
    span: i64,
    ahead: i64,
    columns: &mut [i64],
) {
    let now = Turn::unpack(&past.state(0).1[place..place + 4], max);
    let turn = now.after(&Turn::unpack(before, max).inverse());
    let predicted = turn.times(ahead as f64 / span as f64).after(&now);
    predicted.pack(past.told().get(place).copied(), max, &mut columns[place..place + 4]);
}

/// A rotation as a predictor calculates with it: `[x, y, z, w]`, of about unit length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Turn(pub [f64; 4]);

impl Turn {
    /// From the four columns of a rotation whose codes run to `max`.
    #[must_use]
    pub fn unpack(columns: &[u32], max: u32) -> Self {
        let (mut parts, mut squares, mut code) = ([0.0; 4], 0.0, columns[1..].iter());
        let largest = (columns[0] & 3) as usize;
        for (place, part) in parts.iter_mut().enumerate() {
            if place != largest {
                let value = f64::from(*code.next().expect("three codes")) / f64::from(max);
                *part = (value * 2.0 - 1.0) * std::f64::consts::FRAC_1_SQRT_2;
                squares += *part * *part;
            }
        }
        parts[largest] = (1.0f64 - squares).max(0.0).sqrt();
        Self(parts)
    }

    /// As predicted columns: without the component `largest`, or without the largest one when that is not told yet. How
    /// doubtful the choice is then lies in the sixteenths of the first column.
    pub fn pack(&self, largest: Option<u32>, max: u32, columns: &mut [i64]) {
        let parts = self.0;
        let size = |place: usize| parts[place] * parts[place];
        let best = (1..4).fold(0, |best, place| if size(place) > size(best) { place } else { best });
        let next = (0..4).filter(|place| *place != best).map(size).fold(0.0, f64::max);
        let doubt = 7 - (((size(best) - next) * 24.0) as i64).clamp(0, 7);
        columns[0] = best as i64 * 16 + doubt;
        let left_out = largest.map_or(best, |largest| (largest & 3) as usize);
        let sign = if parts[left_out] < 0.0 { -1.0 } else { 1.0 };
        let small = (0..4).filter(|place| *place != left_out);
        for (column, place) in columns[1..].iter_mut().zip(small) {
            let value = (sign * parts[place] / std::f64::consts::FRAC_1_SQRT_2 + 1.0) * 0.5 * f64::from(max);
            *column = (value * 16.0 + 0.5) as i64;
        }
    }

    /// This rotation after another one.
    #[must_use]
    pub fn after(&self, first: &Self) -> Self {
        let ([ax, ay, az, aw], [bx, by, bz, bw]) = (self.0, first.0);
        Self([
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ])
    }

    /// The way back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let [x, y, z, w] = self.0;
        Self([-x, -y, -z, w])
    }

    /// About the same axis, `times` as far, the short way round. Exact for small turns only: the sine of the half angle
    /// is multiplied, not the angle.
    #[must_use]
    pub fn times(&self, times: f64) -> Self {
        let [x, y, z, w] = self.0;
        let times = if w < 0.0 { -times } else { times };
        let axis = [x * times, y * times, z * times];
        let squares: f64 = axis.iter().map(|part| part * part).sum();
        // Beyond 2 × 64° the sine means nothing any more: held there.
        let (scale, w) = if squares < 0.81 {
            (1.0, (1.0 - squares).sqrt())
        } else {
            (0.9 / squares.sqrt(), (1.0f64 - 0.81).sqrt())
        };
        Self([axis[0] * scale, axis[1] * scale, axis[2] * scale, w])
    }

    /// A vector, turned.
    #[must_use]
    pub fn turn(&self, vector: [f64; 3]) -> [f64; 3] {
        let [x, y, z] = vector;
        let [x, y, z, _] = self.after(&Self([x, y, z, 0.0])).after(&self.inverse()).0;
        [x, y, z]
    }
}

/// Velocity is taken over so many ticks: over one, rounding would be multiplied by how far is predicted.
const LINEAR_TICKS: i32 = 3;
/// Nothing is predicted further: half a second at 60 Hz.
const AHEAD_MAX: i32 = 32;
