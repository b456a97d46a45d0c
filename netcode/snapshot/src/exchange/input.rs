//! What a client says each tick: what it holds, what it saw, what its player did. Owns its bits; must never
//! know what an input means.
//!
//! | bits | field |
//! |---|---|
//! | 1 + 32 + ack mask | has ack; newest tick; which of the 32 ticks before were decoded |
//! | 32 + 8 | view: tick, fraction in 1/256 |
//! | 32 | newest input's tick |
//! | 5 | inputs less one |
//! | `I::BITS` | oldest input |
//! | 1, or 1 + `I::BITS` | each later one: 1 = as the one before; 0 = another, which follows |
//!
//! The ack mask: 2 bits count of holes (0, 1, 2) and 5 bits each; or 3, and 32 bits as they are.

use netcode_wire::{BitReader, BitWriter, Tick, WireError};

use crate::Input;

/// Most inputs in one packet: half a second at 60 Hz. Older ones are given up for lost.
pub const INPUTS_MAX: usize = 32;

/// Which snapshots a client decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ack {
    /// The newest one.
    pub newest: Tick,
    /// Bit `n` is set when the one of tick `newest − 1 − n` was decoded too. A clear bit is final: a client
    /// never decodes a snapshot older than its newest.
    pub earlier: u32,
}

/// The moment a player saw when acting: `tick + fraction / 256`, in server ticks. For lag compensation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewTime {
    /// The tick shown or just passed.
    pub tick: Tick,
    /// How far towards the next, in 1/256.
    pub fraction: u8,
}

/// One client tick's message to the server. Carries every input that may not have arrived yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InputPacket<I> {
    /// Which snapshots were decoded.
    pub ack: Option<Ack>,
    /// What the player saw at the newest input.
    pub view: ViewTime,
    /// The tick for which the last of `inputs` is meant.
    pub newest: Tick,
    /// One input a tick, oldest first, `1..=INPUTS_MAX`; the last one is that of `newest`.
    pub inputs: Vec<I>,
}

impl Ack {
    /// This one was decoded, and none of the 32 ticks before: what the first snapshot gives. Any other ack comes
    /// from [`Receiver::ack`](crate::Receiver::ack): a clear bit is a statement, not a lack of one.
    #[must_use]
    pub const fn only(newest: Tick) -> Self {
        Self { newest, earlier: 0 }
    }

    /// What is known of a tick: `Some(true)` decoded, `Some(false)` never will be, `None` beyond the mask.
    #[must_use]
    pub fn holds(&self, tick: Tick) -> Option<bool> {
        match self.newest.since(tick) {
            0 => Some(true),
            age @ 1..=32 => Some(self.earlier >> (age - 1) & 1 == 1),
            _ => None,
        }
    }

    /// The same knowledge after another, newer snapshot was decoded.
    #[must_use]
    pub fn advance(&self, newest: Tick) -> Self {
        let age = newest.since(self.newest);
        let earlier = match age {
            1..=32 => ((u64::from(self.earlier) << 1 | 1) << (age - 1)) as u32,
            _ => 0,
        };
        Self { newest, earlier }
    }

    fn encode(&self, out: &mut BitWriter) {
        out.write_bits(u64::from(self.newest.0), 32);
        let mut holes = !self.earlier;
        if holes.count_ones() > 2 {
            out.write_bits(3, 2);
            out.write_bits(u64::from(self.earlier), 32);
            return;
        }
        out.write_bits(u64::from(holes.count_ones()), 2);
        while holes != 0 {
            out.write_bits(u64::from(holes.trailing_zeros()), 5);
            holes &= holes - 1;
        }
    }

    fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError> {
        let newest = Tick(from.read_bits(32)? as u32);
        let earlier = match from.read_bits(2)? {
            3 => from.read_bits(32)? as u32,
            holes => {
                let mut earlier = u32::MAX;
                for _ in 0..holes {
                    earlier &= !(1 << from.read_bits(5)?);
                }
                earlier
            }
        };
        Ok(Self { newest, earlier })
    }
}

impl<I: Input> InputPacket<I> {
    /// Writes the packet; of more than [`INPUTS_MAX`] inputs the newest are kept. With none, the default
    /// input goes out, so that the acknowledgement always can.
    pub fn encode(&self, out: &mut BitWriter) {
        out.write_bool(self.ack.is_some());
        if let Some(ack) = self.ack {
            ack.encode(out);
        }
        out.write_bits(u64::from(self.view.tick.0), 32);
        out.write_bits(u64::from(self.view.fraction), 8);
        out.write_bits(u64::from(self.newest.0), 32);
        let kept = &self.inputs[self.inputs.len().saturating_sub(INPUTS_MAX)..];
        out.write_bits(kept.len().saturating_sub(1) as u64, COUNT_BITS);
        let Some((first, rest)) = kept.split_first() else {
            I::default().encode(out);
            return;
        };
        first.encode(out);
        let mut before = first;
        for input in rest {
            out.write_bool(input == before);
            if input != before {
                input.encode(out);
            }
            before = input;
        }
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// Too few bits, or an input that no encoder writes.
    pub fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError> {
        let mut packet = Self::default();
        packet.decode_into(from)?;
        Ok(packet)
    }

    /// Reads into an existing packet, whose memory is used again. After an error its contents mean nothing.
    ///
    /// # Errors
    /// As [`InputPacket::decode`].
    pub fn decode_into(&mut self, from: &mut BitReader<'_>) -> Result<(), WireError> {
        self.inputs.clear();
        self.ack = if from.read_bool()? { Some(Ack::decode(from)?) } else { None };
        self.view.tick = Tick(from.read_bits(32)? as u32);
        self.view.fraction = from.read_bits(8)? as u8;
        self.newest = Tick(from.read_bits(32)? as u32);
        let count = from.read_bits(COUNT_BITS)? + 1;
        let mut before = I::decode(from)?;
        for _ in 1..count {
            let next = if from.read_bool()? { before.clone() } else { I::decode(from)? };
            self.inputs.push(std::mem::replace(&mut before, next));
        }
        self.inputs.push(before);
        Ok(())
    }

    /// The inputs with the tick each is meant for, oldest first.
    pub fn ticks(&self) -> impl Iterator<Item = (Tick, &I)> {
        let count = self.inputs.len() as i32;
        self.inputs.iter().zip(0..).map(move |(input, place)| (self.newest.offset(place + 1 - count), input))
    }
}

const COUNT_BITS: u32 = 5;
const _: () = assert!(INPUTS_MAX == 1 << COUNT_BITS, "every count can be written");
