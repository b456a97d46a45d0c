//! A tick of the simulation. Owns the arithmetic of ticks; must never know how long a tick lasts.

use core::fmt;

/// A server tick, counted from the start of the match. At 128 Hz a match may last 388 days.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u32);

impl Tick {
    /// The tick that follows; the last tick follows itself.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The tick `ticks` later (earlier when negative), held within the range of ticks.
    #[must_use]
    pub const fn offset(self, ticks: i32) -> Self {
        Self(self.0.saturating_add_signed(ticks))
    }

    /// `self - other` in ticks, held within the range of `i32`.
    #[must_use]
    pub const fn since(self, other: Self) -> i32 {
        let difference = self.0 as i64 - other.0 as i64;
        if difference > i32::MAX as i64 {
            i32::MAX
        } else if difference < i32::MIN as i64 {
            i32::MIN
        } else {
            difference as i32
        }
    }
}

impl fmt::Debug for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_saturate() {
        assert_eq!(Tick(7).next(), Tick(8));
        assert_eq!(Tick(u32::MAX).next(), Tick(u32::MAX));
        assert_eq!(Tick(3).offset(-5), Tick(0));
        assert_eq!(Tick(3).offset(4), Tick(7));
        assert_eq!(Tick(3).since(Tick(10)), -7);
        assert_eq!(Tick(u32::MAX).since(Tick(0)), i32::MAX);
        assert_eq!(Tick(0).since(Tick(u32::MAX)), i32::MIN);
    }
}
