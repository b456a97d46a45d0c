//! What a client says on the control channel. Owns which word it is; must never know what the server answers.
//!
//! | first byte | word |
//! |---|---|
//! | 1 | telemetry (`telemetry.rs`, whose version this byte is) |
//! | 2 | describe your schema; nothing follows |

use netcode_wire::{BitReader, BitWriter, WireError};

use crate::Telemetry;

/// A word from a client to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientWord {
    /// How the client fares.
    Telemetry(Telemetry),
    /// The schema that the welcome names is not the client's own: it needs
    /// [`Control::Schema`](crate::Control::Schema) before it can read a snapshot. Said once; a server answers once.
    DescribeSchema,
}

impl ClientWord {
    /// Writes the word.
    pub fn encode(&self, out: &mut BitWriter) {
        match self {
            Self::Telemetry(telemetry) => telemetry.encode(out),
            Self::DescribeSchema => out.write_bits(DESCRIBE_SCHEMA, 8),
        }
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// Too few bits, a word that does not exist, or what [`Telemetry::decode`] refuses.
    pub fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError> {
        let mut ahead = from.clone();
        if ahead.read_bits(8)? == DESCRIBE_SCHEMA {
            *from = ahead;
            return Ok(Self::DescribeSchema);
        }
        Telemetry::decode(from).map(Self::Telemetry)
    }
}

const DESCRIBE_SCHEMA: u64 = 2;
