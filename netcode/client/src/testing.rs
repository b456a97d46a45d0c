//! A game of one dimension for this crate's unit tests, written out by hand.

use netcode_snapshot::{Field, Input, Replicate};
use netcode_wire::{BitReader, BitWriter, WireError, quant::Range};

use crate::{Game, StepContext};

/// One step to the left or to the right.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Push {
    right: bool,
}

impl Push {
    pub(crate) fn to(right: bool) -> Self {
        Self { right }
    }
}

impl Input for Push {
    const BITS: u32 = 1;

    fn encode(&self, out: &mut BitWriter) {
        out.write_bool(self.right);
    }

    fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError> {
        Ok(Self { right: from.read_bool()? })
    }

    fn snap(&mut self) {}
}

/// Where a runner is, and in which life.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) x: f32,
    pub(crate) life: u32,
}

const X: Range = Range::new(-64.0, 64.0, 0.01);

impl Replicate for Place {
    const NAME: &'static str = "Place";
    const FIELDS: &'static [Field] = &[Field::range("x", X), Field::integer("life", 8, false)];

    fn quantise(&self, out: &mut [u32]) {
        out[0] = X.quantise(self.x);
        out[1] = self.life & 0xff;
    }

    fn restore(columns: &[u32]) -> Self {
        Self { x: X.restore(columns[0]), life: columns[1] }
    }

    fn interpolate(from: &Self, to: &Self, t: f32) -> Self {
        let life = if t < 1.0 { from.life } else { to.life };
        Self { x: from.x + (to.x - from.x) * t, life }
    }
}

/// The rules: a push is worth 7 units a second to the right and 3 to the left.
pub(crate) struct Runner;

impl Game for Runner {
    type Input = Push;
    type State = Place;

    fn step(state: &mut Place, input: &Push, context: StepContext) {
        state.x += if input.right { 7.0 } else { -3.0 } * context.dt;
    }

    fn same_life(before: &Place, after: &Place) -> bool {
        before.life == after.life
    }

    fn distance(a: &Place, b: &Place) -> f32 {
        (a.x - b.x).abs()
    }
}

/// The columns of a state.
pub(crate) fn columns(state: &Place) -> Vec<u32> {
    let mut row = vec![0; Place::FIELDS.len()];
    state.quantise(&mut row);
    row
}
