//! The head of every snapshot, and of every part of one that comes in several messages. Owns its bits; must never
//! know the entities that follow.
//!
//! | bits | field |
//! |---|---|
//! | 32 | tick |
//! | 1 + 6 | has baseline; `tick − baseline`, 1..=63 |
//! | 1 + 6 | with a baseline only: has an older one; `baseline − older`, 1..=63 |
//! | 1 | complete |
//! | 1 | the codec of what follows: 0 shared, 1 dense |
//! | 1 + 6 | one of several parts (never dense ones); which, from 0 |
//! | 1 + 8n | has input tick; `tick − input_tick` as a signed varint |
//! | 12 | input margin, two's complement |
//! | 1 + 8 | any late inputs; how many |
//! | 1 + 8n | any entities that are in view and were not told of yet; how many, a varint |
//!
//! The last four are in part 0 only. After its last record a part of several says in 1 bit whether it is the last one.
//! Each part is a message of its own: it is decoded and acknowledged without the others.

use netcode_wire::{BitReader, BitWriter, Tick, WireError};

use crate::{PARTS_MAX, RECEIVER_TICKS};

/// What a client learns with each snapshot beside the world itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The tick of the world that follows.
    pub tick: Tick,
    /// The frame that deltas are taken against: one that the client said it holds.
    pub baseline: Option<Tick>,
    /// A frame before the baseline, held too: movement from there to the baseline may be continued.
    pub older: Option<Tick>,
    /// Whether everything that changed is in (all parts together): then an entity not mentioned is as it was. What
    /// [`Receiver::decode`](crate::Receiver::decode) gives says it only once every part has come.
    pub complete: bool,
    /// Whether the dense codec wrote what follows.
    pub dense: bool,
    /// Which part of several this is; `None`: all of the snapshot.
    pub part: Option<u8>,
    /// The last input of this client that was simulated.
    pub input_tick: Option<Tick>,
    /// How early the input of `input_tick` first arrived before it was due, in 1/16 ticks; negative: that of the latest
    /// of those that came too late since the last snapshot. Held within
    /// ±2047 (128 ticks).
    pub input_margin: i16,
    /// Inputs that came too late since the last snapshot.
    pub late_inputs: u8,
    /// Entities in view that no snapshot has told of yet, this one included: how much of the world is still to come.
    pub missing: u32,
}

impl SnapshotHeader {
    /// Writes 57 bits or more (49 for a later part).
    pub fn encode(&self, out: &mut BitWriter) {
        out.write_bits(u64::from(self.tick.0), 32);
        out.write_bool(self.baseline.is_some());
        if let Some(baseline) = self.baseline {
            debug_assert!(
                (1..RECEIVER_TICKS as i32).contains(&self.tick.since(baseline)),
                "the client holds it"
            );
            out.write_bits(self.tick.since(baseline) as u64, AGE_BITS);
            out.write_bool(self.older.is_some());
            if let Some(older) = self.older {
                out.write_bits(baseline.since(older) as u64, AGE_BITS);
            }
        }
        out.write_bool(self.complete);
        out.write_bool(self.dense);
        debug_assert!(!self.dense || self.part.is_none(), "dense snapshots are one message");
        out.write_bool(self.part.is_some());
        if let Some(part) = self.part {
            debug_assert!(usize::from(part) < PARTS_MAX, "the part has a number");
            out.write_bits(u64::from(part), PART_BITS);
        }
        if !self.has_feedback() {
            return;
        }
        out.write_bool(self.input_tick.is_some());
        if let Some(input_tick) = self.input_tick {
            out.write_signed_varint(i64::from(self.tick.since(input_tick)));
        }
        let margin = self.input_margin.clamp(-MARGIN_MAX, MARGIN_MAX);
        out.write_bits(margin as u64, MARGIN_BITS);
        out.write_bool(self.late_inputs > 0);
        if self.late_inputs > 0 {
            out.write_bits(u64::from(self.late_inputs), 8);
        }
        out.write_bool(self.missing > 0);
        if self.missing > 0 {
            out.write_varint(u64::from(self.missing));
        }
    }

    /// How many bits `encode` writes.
    #[must_use]
    pub fn bits(&self) -> usize {
        let optional = |is_there: bool, bits: u32| 1 + if is_there { bits as usize } else { 0 };
        let head = 32
            + 1
            + self.baseline.map_or(0, |_| AGE_BITS as usize + optional(self.older.is_some(), AGE_BITS))
            + 2
            + optional(self.part.is_some(), PART_BITS);
        if !self.has_feedback() {
            return head;
        }
        let age = self.input_tick.map_or(0, |input_tick| i64::from(self.tick.since(input_tick)));
        let zigzag = ((age << 1) ^ (age >> 63)) as u64;
        head + optional(self.input_tick.is_some(), varint_bits(zigzag))
            + MARGIN_BITS as usize
            + optional(self.late_inputs > 0, 8)
            + optional(self.missing > 0, varint_bits(self.missing.into()))
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// Too few bits, or ticks outside their range.
    pub fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError> {
        let tick = Tick(from.read_bits(32)? as u32);
        let baseline = if from.read_bool()? { Some(earlier(tick, from.read_bits(AGE_BITS)?)?) } else { None };
        let older = match baseline {
            Some(baseline) if from.read_bool()? => Some(earlier(baseline, from.read_bits(AGE_BITS)?)?),
            _ => None,
        };
        let (complete, dense) = (from.read_bool()?, from.read_bool()?);
        let part = if from.read_bool()? { Some(from.read_bits(PART_BITS)? as u8) } else { None };
        if dense && part.is_some() {
            return Err(WireError::Malformed("part of a dense snapshot"));
        }
        let head = Self { tick, baseline, older, complete, dense, part, ..Self::default() };
        if !head.has_feedback() {
            return Ok(head);
        }
        let input_tick =
            if from.read_bool()? { Some(tick_near(tick, from.read_signed_varint()?)?) } else { None };
        // Sign extension from 12 bits: shifted to the top of 16 and back.
        let input_margin =
            ((from.read_bits(MARGIN_BITS)? as u16) << (16 - MARGIN_BITS)) as i16 >> (16 - MARGIN_BITS);
        let late_inputs = if from.read_bool()? { from.read_bits(8)? as u8 } else { 0 };
        let missing = if from.read_bool()? { from.read_varint()? } else { 0 };
        let missing =
            u32::try_from(missing).map_err(|_| WireError::Malformed("number of entities to come"))?;
        Ok(Self { input_tick, input_margin, late_inputs, missing, ..head })
    }

    /// Ticks from the baseline to this one, and from the older baseline to the baseline; (0, 1) without them.
    pub(crate) fn ages(&self) -> (i32, i32) {
        match (self.baseline, self.older) {
            (Some(baseline), Some(older)) => (self.tick.since(baseline), baseline.since(older)),
            _ => (0, 1),
        }
    }

    /// Whether it tells of the client's inputs: the whole snapshot or its part 0.
    #[must_use]
    pub fn has_feedback(&self) -> bool {
        self.part.unwrap_or(0) == 0
    }
}

/// What a varint takes: 7 bits of its value in 8.
fn varint_bits(value: u64) -> u32 {
    8 * (64 - (value | 1).leading_zeros()).div_ceil(7)
}

fn earlier(tick: Tick, age: u64) -> Result<Tick, WireError> {
    match tick.0.checked_sub(age as u32) {
        Some(baseline) if age > 0 => Ok(Tick(baseline)),
        _ => Err(WireError::Malformed("baseline of a snapshot")),
    }
}

/// `tick − age`, when that is a tick.
pub(super) fn tick_near(tick: Tick, age: i64) -> Result<Tick, WireError> {
    let wanted = i64::from(tick.0).checked_sub(age).and_then(|wanted| u32::try_from(wanted).ok());
    wanted.map(Tick).ok_or(WireError::Malformed("tick out of range"))
}

const AGE_BITS: u32 = 6;
const PART_BITS: u32 = 6;
const MARGIN_BITS: u32 = 12;
const MARGIN_MAX: i16 = (1 << (MARGIN_BITS - 1)) - 1;
const _: () = assert!(RECEIVER_TICKS == 1 << AGE_BITS, "every age of a held baseline can be written");
const _: () = assert!(PARTS_MAX == 1 << PART_BITS, "every part can be written");
