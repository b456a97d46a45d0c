//! Owns: Agones' Buffer policy, as a pure function: so many servers beside the allocated ones.
//! Must never know: which servers there are.

use std::str::FromStr;

/// How many Ready servers to keep beside the allocated ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferSize {
    /// So many.
    Count(u32),
    /// So many that they are this share of all, 1–99.
    Percent(u32),
}

/// Agones' `FleetAutoscaler` policy "Buffer".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferPolicy {
    /// The warm pool.
    pub buffer: BufferSize,
    /// Never fewer servers than this.
    pub min: u32,
    /// Never more servers than this.
    pub max: u32,
}

/// Why a buffer policy is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BufferError {
    /// Not a count above zero.
    #[error("buffer must be above 0")]
    EmptyBuffer,
    /// Not a share.
    #[error("buffer percentage must be between 1% and 99%, found {0}%")]
    Percent(u32),
    /// A share of nothing is nothing: the fleet would never start.
    #[error("min must be at least 1 with a buffer in percent")]
    MinForPercent,
    /// The minimum would not hold the buffer.
    #[error("min must be 0 or at least the buffer ({buffer}), found {min}")]
    MinBelowBuffer {
        /// The minimum.
        min: u32,
        /// The buffer.
        buffer: u32,
    },
    /// The maximum would not hold the buffer.
    #[error("max must be at least the buffer ({buffer}), found {max}")]
    MaxBelowBuffer {
        /// The maximum.
        max: u32,
        /// The buffer.
        buffer: u32,
    },
    /// No number is in between.
    #[error("min ({min}) must not be above max ({max})")]
    MinAboveMax {
        /// The minimum.
        min: u32,
        /// The maximum.
        max: u32,
    },
}

/// What the policy wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desired {
    /// How many servers.
    pub replicas: u32,
    /// Whether minimum or maximum decided.
    pub limited: bool,
}

impl BufferPolicy {
    /// Agones' own rules of validity.
    pub fn validate(&self) -> Result<(), BufferError> {
        let Self { buffer, min, max } = *self;
        match buffer {
            BufferSize::Count(0) => return Err(BufferError::EmptyBuffer),
            BufferSize::Count(buffer) if max < buffer => {
                return Err(BufferError::MaxBelowBuffer { max, buffer });
            }
            BufferSize::Count(buffer) if min != 0 && min < buffer => {
                return Err(BufferError::MinBelowBuffer { min, buffer });
            }
            BufferSize::Percent(percent) if !(1..=99).contains(&percent) => {
                return Err(BufferError::Percent(percent));
            }
            BufferSize::Percent(_) if min == 0 => return Err(BufferError::MinForPercent),
            _ => {}
        }
        if min > max { Err(BufferError::MinAboveMax { min, max }) } else { Ok(()) }
    }

    /// How many servers a fleet with so many allocated ones should have.
    pub fn desired(&self, allocated: u32) -> Desired {
        let wanted = match self.buffer {
            BufferSize::Count(buffer) => allocated.saturating_add(buffer),
            BufferSize::Percent(percent) => {
                let others = u64::from(100 - percent.min(99));
                u32::try_from((u64::from(allocated) * 100).div_ceil(others)).unwrap_or(u32::MAX)
            }
        };
        let replicas = wanted.max(self.min).min(self.max);
        Desired { replicas, limited: replicas != wanted }
    }
}

impl FromStr for BufferSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = |_| format!("{text:?} is neither a count nor a percentage");
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().map(Self::Percent).map_err(error),
            None => text.parse().map(Self::Count).map_err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(buffer: &str, min: u32, max: u32, allocated: u32, replicas: u32, limited: bool) {
        let policy = BufferPolicy { buffer: buffer.parse().unwrap(), min, max };
        assert_eq!(policy.validate(), Ok(()));
        assert_eq!(policy.desired(allocated), Desired { replicas, limited }, "{policy:?}");
    }

    #[test]
    fn allocated_plus_buffer_within_the_limits() {
        check("2", 0, 10, 0, 2, false);
        check("2", 0, 10, 5, 7, false);
        check("2", 0, 10, 9, 10, true);
        check("2", 4, 10, 0, 4, true);
        check("2", 0, 10, u32::MAX, 10, true);
        // ceil(allocated × 100 / (100 − percent))
        check("20%", 1, 100, 8, 10, false);
        check("20%", 1, 100, 9, 12, false);
        check("50%", 1, 100, 0, 1, true);
        check("99%", 1, 1000, 3, 300, false);
    }

    #[test]
    fn what_agones_refuses_is_refused() {
        let refused = |buffer: &str, min, max| {
            BufferPolicy { buffer: buffer.parse().unwrap(), min, max }.validate().unwrap_err()
        };
        assert_eq!(refused("0", 0, 1), BufferError::EmptyBuffer);
        assert_eq!(refused("3", 0, 2), BufferError::MaxBelowBuffer { max: 2, buffer: 3 });
        assert_eq!(refused("3", 2, 9), BufferError::MinBelowBuffer { min: 2, buffer: 3 });
        assert_eq!(refused("3", 9, 5), BufferError::MinAboveMax { min: 9, max: 5 });
        assert_eq!(refused("100%", 1, 5), BufferError::Percent(100));
        assert_eq!(refused("10%", 0, 5), BufferError::MinForPercent);
        assert!("many".parse::<BufferSize>().is_err() && "-1".parse::<BufferSize>().is_err());
    }
}
