//! Numbers on a grid: ranges, angles, rotations. Owns rounding; must never know which field it rounds.
//!
//! Every codec obeys one law: `quantise(restore(q)) == q` for every `q` that `quantise` gives, so that a value
//! once rounded stays where it is. All arithmetic runs in `f64` with basic operations only: equal bits on
//! every machine that follows IEEE 754.

use core::f64::consts::{FRAC_1_SQRT_2, TAU};

/// An interval cut into steps: a number becomes the index of its nearest grid point.
///
/// The grid is `min, min + step, …` up to the point nearest to `max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    min: f32,
    step: f32,
    last: u32,
}

impl Range {
    /// A grid from `min` to `max` with points `step` apart.
    ///
    /// # Panics
    /// When the bounds are not finite or not ordered, or when `step` is finer than `f32` resolves at the ends
    /// of the interval (2^-22 of the greater magnitude): then the grid could not hold its law. In a `const`
    /// this is an error of compilation.
    #[must_use]
    pub const fn new(min: f32, max: f32, step: f32) -> Self {
        assert!(min.is_finite() && max.is_finite() && step.is_finite(), "bounds and step are finite");
        assert!(min < max && step > 0.0, "min < max and step > 0");
        let (a, b) = (min.abs() as f64, max.abs() as f64);
        let magnitude = if a > b { a } else { b };
        assert!(step as f64 * 4_194_304.0 >= magnitude, "step is finer than f32 resolves over this range");
        let last = ((max as f64 - min as f64) / step as f64 + 0.5) as u32;
        assert!(last > 0, "the interval holds at least one step");
        Self { min, step, last }
    }

    /// Bits that hold every index.
    #[must_use]
    pub const fn bits(&self) -> u32 {
        32 - self.last.leading_zeros()
    }

    /// The greatest index.
    #[must_use]
    pub const fn last(&self) -> u32 {
        self.last
    }

    /// The lower end of the grid.
    #[must_use]
    pub const fn min(&self) -> f32 {
        self.min
    }

    /// The distance between grid points.
    #[must_use]
    pub const fn step(&self) -> f32 {
        self.step
    }

    /// Index of the grid point nearest to `value`; values outside go to the ends, NaN to `min`.
    #[inline]
    #[must_use]
    pub const fn quantise(&self, value: f32) -> u32 {
        // `as` saturates: below zero and NaN become 0.
        let index = ((value as f64 - self.min as f64) / self.step as f64 + 0.5) as u32;
        if index > self.last { self.last } else { index }
    }

    /// The value of grid point `index`; an index past the end gives the last point.
    #[inline]
    #[must_use]
    pub const fn restore(&self, index: u32) -> f32 {
        let index = if index > self.last { self.last } else { index };
        (self.min as f64 + index as f64 * self.step as f64) as f32
    }

    /// `restore(quantise(value))`: the grid point nearest to `value`.
    #[must_use]
    pub const fn snap(&self, value: f32) -> f32 {
        self.restore(self.quantise(value))
    }
}

/// An angle in radians, cut into `2^bits` equal parts of the turn; it wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Angle {
    bits: u32,
}

impl Angle {
    /// A turn of `2^bits` parts.
    ///
    /// # Panics
    /// When `bits` is not in `1..=20`: finer parts than `f32` resolves near ±π.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        assert!(bits >= 1 && bits <= 20, "an angle has 1 to 20 bits");
        Self { bits }
    }

    /// Bits that hold every index.
    #[must_use]
    pub const fn bits(&self) -> u32 {
        self.bits
    }

    /// Index of the part nearest to `radians`, whatever the number of turns; what is not finite gives 0.
    #[inline]
    #[must_use]
    pub const fn quantise(&self, radians: f32) -> u32 {
        let parts = (1u64 << self.bits) as f64;
        let turns = radians as f64 / TAU;
        // `as` truncates towards zero; a negative fraction is lifted by one turn.
        let fraction = turns - turns as i64 as f64;
        let fraction = if fraction < 0.0 { fraction + 1.0 } else { fraction };
        // Beyond 2^63 turns the fraction means nothing: held in range by the mask and the saturating cast.
        (fraction * parts + 0.5) as u32 & ((1 << self.bits) - 1)
    }

    /// The angle of part `index`, in `-π..π`; high bits of `index` are ignored.
    #[inline]
    #[must_use]
    pub const fn restore(&self, index: u32) -> f32 {
        let parts = 1i64 << self.bits;
        let index = index as i64 & (parts - 1);
        let signed = if index >= parts / 2 { index - parts } else { index };
        (signed as f64 * TAU / parts as f64) as f32
    }

    /// `restore(quantise(radians))`.
    #[must_use]
    pub const fn snap(&self, radians: f32) -> f32 {
        self.restore(self.quantise(radians))
    }
}

/// A rotation by its three smallest components, `bits` each, and 2 bits that say which one is missing.
///
/// Source: "smallest three", G. Fiedler, *Snapshot Compression* (2015). The grid has a point at zero exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quat {
    bits: u32,
}

impl Quat {
    /// A rotation with `bits` bits a component.
    ///
    /// # Panics
    /// When `bits` is not in `2..=20`.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        assert!(bits >= 2 && bits <= 20, "a quaternion component has 2 to 20 bits");
        Self { bits }
    }

    /// Bits of one small component; the index of the largest has 2 more. In all `2 + 3 × bits`.
    #[must_use]
    pub const fn bits(&self) -> u32 {
        self.bits
    }

    /// `[x, y, z, w]` → `[index of the largest, a, b, c]`. Needs no unit length; zero and NaN give identity.
    #[must_use]
    pub fn quantise(&self, xyzw: [f32; 4]) -> [u32; 4] {
        // Rounding can make another component the largest one: go on until the choice is its own image.
        let mut codes = self.round(xyzw);
        for _ in 0..8 {
            let again = self.round(self.restore(codes));
            if again == codes {
                return codes;
            }
            codes = again;
        }
        // Deliberate: two codes that map onto each other name one rotation; the lesser one stands for both.
        codes.min(self.round(self.restore(codes)))
    }

    /// `[index of the largest, a, b, c]` → `[x, y, z, w]` of unit length. Any code gives a rotation.
    #[must_use]
    pub fn restore(&self, codes: [u32; 4]) -> [f32; 4] {
        let half = self.half();
        let [largest, small @ ..] = codes;
        let small = small.map(|code| (f64::from(code.min(2 * half)) / f64::from(half) - 1.0) * FRAC_1_SQRT_2);
        let squares: f64 = small.iter().map(|part| part * part).sum();
        // No encoder writes three components whose squares exceed one; held on the unit sphere all the same.
        let scale = if squares > 1.0 { 1.0 / sqrt(squares) } else { 1.0 };
        let missing = sqrt((1.0 - squares).max(0.0));
        let mut rest = small.into_iter();
        let largest = (largest & 3) as usize;
        core::array::from_fn(|place| match place == largest {
            true => missing as f32,
            false => (rest.next().unwrap_or(0.0) * scale) as f32,
        })
    }

    /// `restore(quantise(xyzw))`.
    #[must_use]
    pub fn snap(&self, xyzw: [f32; 4]) -> [f32; 4] {
        self.restore(self.quantise(xyzw))
    }

    fn round(&self, xyzw: [f32; 4]) -> [u32; 4] {
        let squares: f64 = xyzw.iter().map(|&part| f64::from(part) * f64::from(part)).sum();
        if !squares.is_finite() || squares < 1e-12 {
            return [3, self.half(), self.half(), self.half()];
        }
        let mut largest = 0;
        for place in 1..4 {
            if xyzw[place].abs() > xyzw[largest].abs() {
                largest = place;
            }
        }
        // q and -q are one rotation: the missing component is made positive.
        let length = if xyzw[largest] < 0.0 { -sqrt(squares) } else { sqrt(squares) };
        let half = f64::from(self.half());
        let mut codes = [largest as u32; 4];
        let small = xyzw.iter().enumerate().filter(|(place, _)| *place != largest);
        for (code, (_, &part)) in codes[1..].iter_mut().zip(small) {
            let steps = (f64::from(part) / length / FRAC_1_SQRT_2 + 1.0) * half + 0.5;
            *code = (steps as u32).min(2 * self.half());
        }
        codes
    }

    /// The code of zero; codes run from 0 to twice that.
    const fn half(&self) -> u32 {
        (1 << (self.bits - 1)) - 1
    }
}

/// Square root by Newton's method: `core` has none, and equal bits everywhere matter more than the last one.
fn sqrt(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    // Halving the exponent gives a start within 6 %; five steps reach the precision of f64.
    let mut root = f64::from_bits((value.to_bits() >> 1) + (1023 << 51));
    for _ in 0..5 {
        root = 0.5 * (root + value / root);
    }
    root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_range_counts_its_bits() {
        const POSITION: Range = Range::new(-64.0, 64.0, 0.005);
        assert_eq!(POSITION.bits(), 15);
        assert_eq!(POSITION.quantise(-64.0), 0);
        assert_eq!(POSITION.quantise(64.0), 25_600);
        assert_eq!(Range::new(0.0, 1.0, 1.0).bits(), 1);
    }

    #[test]
    fn what_lies_outside_goes_to_the_ends() {
        let range = Range::new(-1.0, 1.0, 0.5);
        let check = |value: f32, expected| assert_eq!(range.quantise(value), expected, "{value}");
        check(-9.0, 0);
        check(9.0, 4);
        check(f32::NEG_INFINITY, 0);
        check(f32::INFINITY, 4);
        check(f32::NAN, 0);
        check(0.2, 2);
        assert_eq!(range.restore(u32::MAX), 1.0);
    }

    #[test]
    fn angles_wrap() {
        let angle = Angle::new(12);
        assert_eq!(angle.quantise(0.1), angle.quantise(0.1 + core::f32::consts::TAU));
        assert_eq!(angle.quantise(-0.0001), 0);
        for wild in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN] {
            assert!(angle.quantise(wild) < 4096);
        }
        assert!((angle.restore(2048) + core::f32::consts::PI).abs() < 1e-6);
    }

    #[test]
    fn identity_is_exact() {
        let quat = Quat::new(9);
        assert_eq!(quat.snap([0.0, 0.0, 0.0, 1.0]), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(quat.snap([f32::NAN; 4]), [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(quat.snap([0.0; 4]), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn the_root_is_the_root() {
        for value in [1e-300, 1e-9, 0.25, 0.5, 1.0, 2.0, 3.999, 1e9, 1e300] {
            assert!((sqrt(value) * sqrt(value) / value - 1.0).abs() < 1e-15, "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_range_holds_its_law(min in -1e4f32..1e4, width in 0.1f32..1e4, fineness in 1.0f32..2e4, value in -3e4f32..3e4) {
            let step = (width / fineness).max(min.abs().max((min + width).abs()) / 4e6);
            let range = Range::new(min, min + width, step);
            let index = range.quantise(value);
            prop_assert!(u64::from(index) < 1 << range.bits());
            prop_assert_eq!(range.quantise(range.restore(index)), index);
            if value >= min && value <= min + width {
                prop_assert!((range.restore(index) - value).abs() <= step * 1.01, "{} {}", range.restore(index), value);
            }
        }

        #[test]
        fn an_angle_holds_its_law(bits in 1u32..=20, radians in -100f32..100.0, wild in any::<f32>()) {
            let angle = Angle::new(bits);
            for value in [radians, wild] {
                let index = angle.quantise(value);
                prop_assert!(index < 1 << bits);
                prop_assert_eq!(angle.quantise(angle.restore(index)), index);
            }
            let turns = f64::from(radians - angle.snap(radians)) / TAU;
            let error = (turns - turns.round()).abs();
            prop_assert!(error <= 0.5 / f64::from(1u32 << bits) + 1e-5);
        }

        #[test]
        fn a_rotation_holds_its_law(bits in 2u32..=20, parts in prop::array::uniform4(-1f32..1.0), wild in prop::array::uniform4(any::<f32>())) {
            let quat = Quat::new(bits);
            for value in [parts, wild, parts.map(f32::signum), parts.map(f32::round)] {
                let codes = quat.quantise(value);
                prop_assert!(codes[0] < 4 && codes[1..].iter().all(|code| *code < 1 << bits));
                let restored = quat.restore(codes);
                prop_assert_eq!(quat.quantise(restored), codes);
                let length: f32 = restored.iter().map(|part| part * part).sum();
                prop_assert!((length - 1.0).abs() < 1e-4);
            }
        }

        #[test]
        fn a_fine_rotation_is_near(parts in prop::array::uniform4(-1f32..1.0)) {
            let length = parts.iter().map(|part| part * part).sum::<f32>().sqrt();
            prop_assume!(length > 0.1);
            let restored = Quat::new(12).snap(parts);
            let dot: f32 = parts.iter().zip(restored).map(|(a, b)| a * b / length).sum();
            prop_assert!(dot.abs() > 0.999_99);
        }

        #[test]
        fn any_code_is_a_rotation(bits in 2u32..=20, codes in prop::array::uniform4(any::<u32>())) {
            let length: f32 = Quat::new(bits).restore(codes).iter().map(|part| part * part).sum();
            prop_assert!((length - 1.0).abs() < 1e-4);
        }
    }
}
