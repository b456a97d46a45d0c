//! What a client tells of itself for the live view: its prediction beside the truth. Opt-in, a few times a
//! second. Owns its bits; must never know who looks at it, and nothing in the game may depend on it.
//!
//! | bits | field |
//! |---|---|
//! | 8 | version: 1 |
//! | 32 | tick |
//! | 7 | columns, 0..=64 |
//! | 32 each | the columns |
//! | varint each | mispredictions, correction, round trip, interpolation delay, loss, the client's clock |

use netcode_wire::{BitReader, BitWriter, Tick, WireError};

use crate::COLUMNS_MAX;

/// A client's own account of how it fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// The client tick of `predicted`.
    pub tick: Tick,
    /// Columns of the predicted component of the player's own entity; empty when there is none.
    pub predicted: Vec<u32>,
    /// Mispredictions since the connection began.
    pub mispredictions: u32,
    /// The last correction, in millionths of the game's unit of distance.
    pub correction_um: u32,
    /// Round trip, microseconds.
    pub rtt_us: u32,
    /// How far behind the newest snapshot others are shown, microseconds.
    pub interpolation_delay_us: u32,
    /// Packets lost, in 1/65536.
    pub loss: u16,
    /// The client's own clock when this was sent, microseconds. The server echoes it
    /// ([`Control::Heard`](crate::Control::Heard)), which times reliable messages both ways.
    pub sent_us: u64,
}

impl Telemetry {
    /// Writes the account; columns beyond [`COLUMNS_MAX`] are left out.
    pub fn encode(&self, out: &mut BitWriter) {
        out.write_bits(VERSION, 8);
        out.write_bits(u64::from(self.tick.0), 32);
        let columns = &self.predicted[..self.predicted.len().min(COLUMNS_MAX)];
        out.write_bits(columns.len() as u64, COUNT_BITS);
        columns.iter().for_each(|column| out.write_bits(u64::from(*column), 32));
        for number in [self.mispredictions, self.correction_um, self.rtt_us, self.interpolation_delay_us] {
            out.write_varint(u64::from(number));
        }
        out.write_varint(u64::from(self.loss));
        out.write_varint(self.sent_us);
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// Too few bits, another version, or too many columns.
    pub fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError> {
        if from.read_bits(8)? != VERSION {
            return Err(WireError::Malformed("version of telemetry"));
        }
        let tick = Tick(from.read_bits(32)? as u32);
        let count = from.read_bits(COUNT_BITS)? as usize;
        if count > COLUMNS_MAX {
            return Err(WireError::TooLong { length: count, limit: COLUMNS_MAX });
        }
        let mut predicted = Vec::with_capacity(count);
        for _ in 0..count {
            predicted.push(from.read_bits(32)? as u32);
        }
        Ok(Self {
            tick,
            predicted,
            mispredictions: number(from)?,
            correction_um: number(from)?,
            rtt_us: number(from)?,
            interpolation_delay_us: number(from)?,
            loss: number(from)?,
            sent_us: from.read_varint()?,
        })
    }
}

fn number<T: TryFrom<u64>>(from: &mut BitReader<'_>) -> Result<T, WireError> {
    T::try_from(from.read_varint()?).map_err(|_| WireError::Malformed("number in telemetry"))
}

const VERSION: u64 = 1;
const COUNT_BITS: u32 = 7;
