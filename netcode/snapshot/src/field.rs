//! One column: how many bits it has and how its values lie. Must never know which component it belongs to.

use std::fmt;

use netcode_wire::quant::{Angle, Quat, Range};

/// What the values of a column mean to each other: chooses how a change is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Neighbouring values are near: coded as a difference.
    Linear,
    /// As `Linear`, and the last value is a neighbour of the first.
    Wrapping,
    /// Values have no order (flags, enumerations, names): coded whole.
    Opaque,
}

/// One quantised column: a `u32` not greater than `max`, which fits in `bits`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// `field` or `field.x`: for people and for the schema's hash.
    pub name: &'static str,
    /// Width on the wire, `1..=32`.
    pub bits: u8,
    /// How values lie.
    pub kind: FieldKind,
    /// Greatest value; a decoder refuses greater ones.
    pub max: u32,
    /// The quantity that value 0 stands for, where that has a meaning; else 0.
    pub min: f32,
    /// The quantity between two values, where that has a meaning; else 0.
    pub step: f32,
}

/// What stands in for a column's values where another build sends none, or some that this build does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fallback {
    /// In place of a column that is not sent: `#[net(default = …)]`.
    pub missing: Option<u32>,
    /// In place of values greater than the column's `max`: the variant marked `#[net(unknown)]`.
    pub unknown: Option<u32>,
    /// Whether the values are an enum's variants.
    pub is_enum: bool,
}

impl Field {
    /// A column of grid points.
    #[must_use]
    pub const fn range(name: &'static str, range: Range) -> Self {
        let (bits, max) = (range.bits() as u8, range.last());
        Self { name, bits, kind: FieldKind::Linear, max, min: range.min(), step: range.step() }
    }

    /// A column of parts of a turn.
    #[must_use]
    pub const fn angle(name: &'static str, angle: Angle) -> Self {
        let bits = angle.bits() as u8;
        let step = (std::f64::consts::TAU / (1u64 << bits) as f64) as f32;
        Self { name, bits, kind: FieldKind::Wrapping, max: low_bits(bits), min: 0.0, step }
    }

    /// A column of unsigned integers. Signed ones are stored with an offset of half the range: `min` says so.
    #[must_use]
    pub const fn integer(name: &'static str, bits: u8, signed: bool) -> Self {
        assert!(bits >= 1 && bits <= 32, "an integer column has 1 to 32 bits");
        let min = if signed { -((1u64 << (bits - 1)) as f32) } else { 0.0 };
        Self { name, bits, kind: FieldKind::Linear, max: low_bits(bits), min, step: 1.0 }
    }

    /// A column whose values have no order, `0..=max`.
    #[must_use]
    pub const fn opaque(name: &'static str, max: u32) -> Self {
        let bits = if max == 0 { 1 } else { 32 - max.leading_zeros() };
        Self { name, bits: bits as u8, kind: FieldKind::Opaque, max, min: 0.0, step: 0.0 }
    }

    /// A component of a rotation's smallest three.
    #[must_use]
    pub const fn rotation(name: &'static str, quat: Quat) -> Self {
        let bits = quat.bits() as u8;
        // Codes run to twice the code of zero: 2 × (2^(bits-1) − 1).
        Self { name, bits, kind: FieldKind::Linear, max: low_bits(bits) - 1, min: 0.0, step: 0.0 }
    }
}

/// The form of the values, for people: `a range of 25601 values from -64 by 0.005`.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = u64::from(self.max) + 1;
        match self.kind {
            FieldKind::Opaque => write!(f, "{values} values without order"),
            FieldKind::Wrapping => write!(f, "a turn in {values} parts"),
            FieldKind::Linear if self.step == 0.0 => write!(f, "part of a rotation in {values} values"),
            FieldKind::Linear => write!(f, "a range of {values} values from {} by {}", self.min, self.step),
        }
    }
}

/// A word whose `bits` low bits are set.
pub(crate) const fn low_bits(bits: u8) -> u32 {
    if bits >= 32 { u32::MAX } else { (1 << bits) - 1 }
}
