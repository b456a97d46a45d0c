//! The one error of this crate: why bytes could not be read or written. Knows nothing of who sent them.

use core::fmt;

/// Why a value could not be read from, or written to, a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// The input ended before the value did, or the output has no room for it.
    UnexpectedEnd,
    /// The bytes are there but no encoder writes them so; the text names the field.
    Malformed(&'static str),
    /// A declared length exceeds the limit for that field.
    TooLong {
        /// The length that was declared, in the field's own unit.
        length: usize,
        /// The greatest length allowed.
        limit: usize,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedEnd => f.write_str("buffer ended before the value did"),
            Self::Malformed(what) => write!(f, "malformed {what}"),
            Self::TooLong { length, limit } => write!(f, "length {length} exceeds the limit of {limit}"),
        }
    }
}

impl core::error::Error for WireError {}
