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
    /// Low bits that are rounded away for who sees the entity from afar ([`Field::coarser`]); 0: none.
    pub far_shift: u8,
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
        Self { name, bits, kind: FieldKind::Linear, max, min: range.min(), step: range.step(), far_shift: 0 }
    }

    /// A column of parts of a turn.
    #[must_use]
    pub const fn angle(name: &'static str, angle: Angle) -> Self {
        let bits = angle.bits() as u8;
        let step = (std::f64::consts::TAU / (1u64 << bits) as f64) as f32;
        Self { name, bits, kind: FieldKind::Wrapping, max: low_bits(bits), min: 0.0, step, far_shift: 0 }
    }

    /// A column of unsigned integers. Signed ones are stored with an offset of half the range: `min` says so.
    #[must_use]
    pub const fn integer(name: &'static str, bits: u8, signed: bool) -> Self {
        assert!(bits >= 1 && bits <= 32, "an integer column has 1 to 32 bits");
        let min = if signed { -((1u64 << (bits - 1)) as f32) } else { 0.0 };
        Self { name, bits, kind: FieldKind::Linear, max: low_bits(bits), min, step: 1.0, far_shift: 0 }
    }

    /// A column whose values have no order, `0..=max`.
    #[must_use]
    pub const fn opaque(name: &'static str, max: u32) -> Self {
        let bits = if max == 0 { 1 } else { 32 - max.leading_zeros() };
        Self { name, bits: bits as u8, kind: FieldKind::Opaque, max, min: 0.0, step: 0.0, far_shift: 0 }
    }

    /// A component of a rotation's smallest three.
    #[must_use]
    pub const fn rotation(name: &'static str, quat: Quat) -> Self {
        let bits = quat.bits() as u8;
        // Codes run to twice the code of zero: 2 × (2^(bits-1) − 1).
        let max = low_bits(bits) - 1;
        Self { name, bits, kind: FieldKind::Linear, max, min: 0.0, step: 0.0, far_shift: 0 }
    }

    /// The same column, that travels with `shift` bits less to who sees the entity from afar: rounded to the nearest of
    /// every `2^shift` values (`#[net(far_step = …)]`, `#[net(far_bits = …)]`).
    ///
    /// # Panics
    /// When the values have no order, or nothing would be left; in a `const` this is an error of compilation.
    #[must_use]
    pub const fn coarser(self, shift: u8) -> Self {
        assert!(
            shift == 0 || !matches!(self.kind, FieldKind::Opaque),
            "values without order are not rounded"
        );
        assert!(
            shift < self.bits && self.max >> shift > 0,
            "rounded so far, nothing would be left of the column"
        );
        Self { far_shift: shift, ..self }
    }

    /// [`Field::coarser`], to steps of `far_step` at most: a power of two times its own step.
    ///
    /// # Panics
    /// When that is less than two of its own steps; in a `const` this is an error of compilation.
    #[must_use]
    pub const fn with_far_step(self, far_step: f32) -> Self {
        let shift = Self::shift_to(self.step, far_step);
        assert!(shift > 0, "`far_step` is at least twice the step");
        self.coarser(shift)
    }

    /// By how many bits steps of `step` must be cut for steps of `far_step` at most: for [`Field::coarser`].
    #[must_use]
    pub const fn shift_to(step: f32, far_step: f32) -> u8 {
        let mut shift = 0;
        // A step that was written as a decimal number is not twice another one to the last bit.
        while shift < 31 && step as f64 * (2u64 << shift) as f64 <= far_step as f64 * 1.000_001 {
            shift += 1;
        }
        shift
    }

    /// The column as it travels to who is far: of the numbers that [`Field::lower`] gives.
    pub(crate) fn far(&self) -> Self {
        let max = self.lower(self.max);
        match self.kind {
            FieldKind::Wrapping => {
                let bits = self.bits - self.far_shift;
                Self { bits, max: low_bits(bits), far_shift: 0, ..*self }
            }
            _ => Self { bits: (32 - max.leading_zeros()) as u8, max, far_shift: 0, ..*self },
        }
    }

    /// Which of the far column's values is nearest to `value`.
    #[inline]
    pub(crate) fn lower(&self, value: u32) -> u32 {
        let half = (1u64 << self.far_shift) >> 1;
        let lowered = ((u64::from(value) + half) >> self.far_shift) as u32;
        match self.kind {
            FieldKind::Wrapping => lowered & low_bits(self.bits - self.far_shift),
            _ => lowered,
        }
    }

    /// The value of this column that a far column's value stands for: `lower(raise(far)) == far`.
    #[inline]
    pub(crate) fn raise(&self, far: u32) -> u32 {
        let raised = u64::from(far) << self.far_shift;
        match self.kind {
            FieldKind::Wrapping => raised as u32 & low_bits(self.bits),
            // The greatest value is nearer to the last far one than what lies beyond it.
            _ => raised.min(u64::from(self.max)) as u32,
        }
    }

    /// The nearest value that can be seen from afar.
    #[must_use]
    pub fn coarse(&self, value: u32) -> u32 {
        if self.far_shift == 0 { value } else { self.raise(self.lower(value)) }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_far_step_is_the_greatest_that_is_not_beyond_what_was_said() {
        let shifts = [
            (0.005, 0.1, 4),
            (0.005, 0.08, 4),
            (0.005, 0.079, 3),
            (1.0, 1.0, 0),
            (1.0, 1.9, 0),
            (0.1, 0.8, 3),
        ];
        for (step, far_step, shift) in shifts {
            assert_eq!(Field::shift_to(step, far_step), shift, "{step} {far_step}");
        }
    }

    proptest! {
        #[test]
        fn what_was_rounded_stays_and_lies_within_half_a_far_step(
            bits in 2u8..=32, cut in 1u8..32, value in any::<u32>(), max in any::<u32>(), wraps in any::<bool>(),
        ) {
            let shift = (cut % bits).max(1);
            let (kind, max) = match wraps {
                true => (FieldKind::Wrapping, low_bits(bits)),
                false => (FieldKind::Linear, (max & low_bits(bits)).max(1 << (bits - 1))),
            };
            let field = Field { kind, max, ..Field::integer("x", bits, false) }.coarser(shift);
            let value = if max == u32::MAX { value } else { value % (max + 1) };
            let (coarse, far) = (field.coarse(value), field.far());
            prop_assert!(coarse <= max && field.coarse(coarse) == coarse);
            prop_assert!(field.lower(value) <= far.max && far.bits <= 32);
            prop_assert_eq!(field.lower(field.raise(field.lower(value))), field.lower(value));
            let apart = u64::from(coarse.abs_diff(value));
            let apart = if wraps { apart.min((1u64 << bits) - apart) } else { apart };
            prop_assert!(apart <= 1 << (shift - 1), "{} became {}", value, coarse);
        }
    }
}
