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
//! The ack mask: 2 bits count of holes (0, 1, 2) and 5 bits each; or 3, and 32 bits as they are. Then of snapshots that
//! came in several parts (`snapshot.rs`), those of which not all parts were decoded:
//!
//! | bits | field |
//! |---|---|
//! | 1 | there are such |
//! | 3 | how many, less one |
//! | 6 + 6 + n | each, newest first: ticks before the newest; n less one; which of the first n parts were decoded |
//! | 6 | (after eight of them) how many ticks before the newest the acknowledgement speaks of |

use netcode_wire::{BitReader, BitWriter, Tick, WireError};

use crate::Input;

/// Most inputs in one packet: half a second at 60 Hz. Older ones are given up for lost.
pub const INPUTS_MAX: usize = 32;

/// Which snapshots a client decoded. Speaks of ticks that nothing more is decoded of: a snapshot of which parts may
/// still come is not acknowledged yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ack {
    /// The newest one.
    pub newest: Tick,
    /// Bit `n` is set when the one of tick `newest − 1 − n` was decoded too, all or some of its parts. A clear bit is
    /// final: a client never decodes a snapshot older than its newest.
    pub earlier: u32,
    /// Those of which some parts were decoded and others never will be.
    pub partial: Partial,
}

/// Snapshots that were decoded in part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Partial {
    /// Ticks before the newest, and which parts; the newest first.
    entries: [(u8, u64); PARTIAL_MAX],
    len: u8,
    /// When `entries` is full: ticks before the newest beyond which nothing is said.
    reach: u8,
}

/// What is known of one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Every part of it was decoded.
    Whole,
    /// These parts were decoded (bit `n`: part `n`), and no others ever will be.
    Parts(u64),
    /// Nothing of it was decoded nor ever will be.
    Lost,
    /// The acknowledgement does not say.
    Unknown,
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
        Self::new(newest, 0)
    }

    /// Whole snapshots: the newest, and of the 32 ticks before those whose bits are set.
    #[must_use]
    pub const fn new(newest: Tick, earlier: u32) -> Self {
        Self { newest, earlier, partial: Partial { entries: [(0, 0); PARTIAL_MAX], len: 0, reach: 0 } }
    }

    /// What is known of a tick.
    #[must_use]
    pub fn fate(&self, tick: Tick) -> Fate {
        let age = self.newest.since(tick);
        match age {
            0 => {}
            1..=REACH if age as u32 > self.partial.reach() => return Fate::Unknown,
            1..=REACH if self.earlier >> (age - 1) & 1 == 0 => return Fate::Lost,
            1..=REACH => {}
            _ => return Fate::Unknown,
        }
        let partial = self.partial.iter().find(|(partial, _)| i32::from(*partial) == age);
        partial.map_or(Fate::Whole, |(_, parts)| Fate::Parts(parts))
    }

    /// The same knowledge after another, newer snapshot was decoded: all of it, or only `parts` of it.
    #[must_use]
    pub fn advance(&self, newest: Tick, parts: Option<u64>) -> Self {
        let age = newest.since(self.newest);
        let earlier = match age {
            1..=REACH => ((u64::from(self.earlier) << 1 | 1) << (age - 1)) as u32,
            _ => 0,
        };
        Self { newest, earlier, partial: self.partial.advance(age, parts) }
    }

    fn encode(&self, out: &mut BitWriter) {
        out.write_bits(u64::from(self.newest.0), 32);
        let mut holes = !self.earlier;
        if holes.count_ones() > 2 {
            out.write_bits(3, 2);
            out.write_bits(u64::from(self.earlier), 32);
        } else {
            out.write_bits(u64::from(holes.count_ones()), 2);
            while holes != 0 {
                out.write_bits(u64::from(holes.trailing_zeros()), 5);
                holes &= holes - 1;
            }
        }
        self.partial.encode(out);
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
        Ok(Self { newest, earlier, partial: Partial::decode(from)? })
    }
}

impl Partial {
    /// Ticks before the newest and the parts that were decoded, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        self.entries[..usize::from(self.len)].iter().copied()
    }

    fn reach(&self) -> u32 {
        if usize::from(self.len) < PARTIAL_MAX { REACH as u32 } else { u32::from(self.reach) }
    }

    fn advance(&self, age: i32, parts: Option<u64>) -> Self {
        let mut next = Self { entries: [(0, 0); PARTIAL_MAX], len: 0, reach: REACH as u8 };
        parts.into_iter().for_each(|parts| next.push(0, parts));
        if !(0..=REACH).contains(&age) {
            return next.canonical();
        }
        if usize::from(self.len) == PARTIAL_MAX {
            next.reach = next.reach.min(self.reach.saturating_add(age as u8));
        }
        for (before, parts) in self.iter() {
            if i32::from(before) + age <= REACH {
                next.push(before + age as u8, parts);
            }
        }
        next.canonical()
    }

    /// As it is read again: the reach is written only when the list is full.
    fn canonical(mut self) -> Self {
        if usize::from(self.len) < PARTIAL_MAX {
            self.reach = 0;
        }
        self
    }

    /// Adds an older one; where there is no room, nothing is said of it and of what is older.
    fn push(&mut self, age: u8, parts: u64) {
        if let Some(entry) = self.entries.get_mut(usize::from(self.len)) {
            *entry = (age, parts);
            self.len += 1;
        } else {
            self.reach = self.reach.min(age - 1);
        }
    }

    fn encode(&self, out: &mut BitWriter) {
        out.write_bool(self.len > 0);
        if self.len == 0 {
            return;
        }
        out.write_bits(u64::from(self.len) - 1, 3);
        for (age, parts) in self.iter() {
            // At least one bit, though no receiver lists a snapshot without parts.
            let count = (64 - parts.leading_zeros()).max(1);
            out.write_bits(u64::from(age), AGE_BITS);
            out.write_bits(u64::from(count) - 1, 6);
            out.write_bits(parts, count);
        }
        if usize::from(self.len) == PARTIAL_MAX {
            out.write_bits(u64::from(self.reach), AGE_BITS);
        }
    }

    fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError> {
        let mut partial = Self::default();
        if !from.read_bool()? {
            return Ok(partial);
        }
        partial.len = from.read_bits(3)? as u8 + 1;
        for place in 0..usize::from(partial.len) {
            let age = from.read_bits(AGE_BITS)? as u8;
            let is_older = place == 0 || partial.entries[place - 1].0 < age;
            let count = from.read_bits(6)? as u32 + 1;
            let parts = from.read_bits(count)?;
            if !is_older || i32::from(age) > REACH || count > 1 && parts >> (count - 1) == 0 {
                return Err(WireError::Malformed("parts of a snapshot"));
            }
            partial.entries[place] = (age, parts);
        }
        if usize::from(partial.len) == PARTIAL_MAX {
            partial.reach = from.read_bits(AGE_BITS)? as u8;
            if i32::from(partial.reach) > REACH {
                return Err(WireError::Malformed("reach of an acknowledgement"));
            }
        }
        Ok(partial)
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
/// Snapshots decoded in part that an acknowledgement can name.
const PARTIAL_MAX: usize = 8;
/// Ticks before the newest that an acknowledgement speaks of.
const REACH: i32 = 32;
const AGE_BITS: u32 = 6;
const _: () = assert!(INPUTS_MAX == 1 << COUNT_BITS, "every count can be written");
