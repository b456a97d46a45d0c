//! One entity's columns as bits, whole or against an earlier state. Owns the code of a column; must never know
//! which client reads it, nor which entities travel beside it: the bits stand alone and may be shared.
//!
//! | bits | a row, whole | a row, against an earlier one |
//! |---|---|---|
//! | 1 | | 1 = against where its movement leads |
//! | 1 | | 1 = the same components as before |
//! | schema's length | which components | (when not the same) which components |
//! | 1 | 1 = as seen from afar | (both: where one of the components is coarser from afar) |
//! | … | each: columns at full width | each: new ones whole; others 1 bit changed, then a code a column |
//!
//! What is coarser from afar is coded in steps of its own: each value of the row, of the baseline and of the older frame as
//! the nearest of those ([`Field::lower`](crate::Field)), whatever class the client holds.
//!
//! Where movement leads: what a column changed by from the older frame to the baseline goes on at that rate; opaque columns,
//! and components that the older frame lacks, stay. The encoder writes the shorter of both.
//!
//! A column's code: a flag turns (1 bit); a narrow or opaque column is `0` the same, or `1` and its value; a wide
//! one is 2 bits: `0` the same, `1` and a short difference, `2` and a middling one, `3` and its value.
//! Differences are taken modulo the column's width, zigzagged, less one (zero has its own code).

use netcode_wire::{BitReader, BitWriter, WireError};

use crate::far::Class;
use crate::field::low_bits;
use crate::frame::Entity;
use crate::{COLUMNS_MAX, ComponentId, Field, FieldKind, Frame, Schema};

/// How one column is coded; made from its [`Field`] once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColumnCode {
    bits: u8,
    max: u32,
    /// Widths of the short and the middling difference; 0: the column has none.
    short: u8,
    middling: u8,
    /// The same where movement is continued: what is left is less.
    short_left: u8,
    middling_left: u8,
    kind: FieldKind,
}

/// An entity in an older frame, and how far its movement from there to the baseline is continued: by `ahead / span`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Older<'a> {
    pub(crate) entity: Entity<'a>,
    /// Ticks from the baseline to what is coded.
    pub(crate) ahead: i32,
    /// Ticks from the older frame to the baseline, at least 1.
    pub(crate) span: i32,
}

impl ColumnCode {
    pub(crate) fn new(field: &Field) -> Self {
        let bits = field.bits;
        assert!(
            (1..=32).contains(&bits) && field.max <= low_bits(bits),
            "field {} fits its bits",
            field.name
        );
        // Below 5 bits the prefix costs what the difference saves. The widths were chosen on ships, dogfights and
        // bullets at 60 Hz against baselines 4 to 12 ticks old: of a dozen such codes, this one and one bit more
        // complicated were the shortest, about 43 bits for two positions, two velocities and an angle.
        let (short, middling) = match field.kind {
            FieldKind::Opaque => (0, 0),
            _ if bits < 5 => (0, 0),
            _ => (bits.div_ceil(2), (bits * 2).div_ceil(3)),
        };
        let (short_left, middling_left) =
            if short == 0 { (0, 0) } else { ((bits / 4).max(2), (bits / 2).max(3)) };
        Self { bits, max: field.max, short, middling, short_left, middling_left, kind: field.kind }
    }

    #[inline]
    fn encode_whole(&self, value: u32, out: &mut Packer<'_>) {
        debug_assert!(value <= self.max, "a quantised value fits its column");
        out.push(u64::from(value), self.bits);
    }

    #[inline]
    fn decode_whole(&self, from: &mut BitReader<'_>) -> Result<u32, WireError> {
        self.check(from.read_bits(u32::from(self.bits))? as u32)
    }

    #[inline]
    fn encode_change(&self, value: u32, before: u32, out: &mut Packer<'_>) {
        if self.short == 0 {
            match (value != before, self.bits) {
                (false, _) => out.push(0, 1),
                (true, 1) => out.push(1, 1),
                (true, bits) => out.push(1 | u64::from(value) << 1, 1 + bits),
            }
        } else if value == before {
            out.push(SAME, 2);
        } else {
            let code = u64::from(self.difference(value, before));
            if code >> self.short == 0 {
                out.push(SHORT | code << 2, 2 + self.short);
            } else if code >> self.middling == 0 {
                out.push(MIDDLING | code << 2, 2 + self.middling);
            } else {
                out.push(WHOLE | u64::from(value) << 2, 2 + self.bits);
            }
        }
    }

    #[inline]
    fn decode_change(&self, before: u32, from: &mut BitReader<'_>) -> Result<u32, WireError> {
        if self.short == 0 {
            return match (from.read_bool()?, self.bits) {
                (false, _) => Ok(before),
                (true, 1) => self.check(before ^ 1),
                (true, _) => self.decode_whole(from),
            };
        }
        let width = match from.read_bits(2)? {
            SAME => return Ok(before),
            SHORT => self.short,
            MIDDLING => self.middling,
            _ => return self.decode_whole(from),
        };
        let code = from.read_bits(u32::from(width))? as u32;
        self.check(self.apply(before, code))
    }

    /// As this, for what is left of a movement that was continued.
    fn left(&self) -> Self {
        Self { short: self.short_left, middling: self.middling_left, ..*self }
    }

    /// Where `older → before` leads.
    fn continued(&self, before: u32, older: u32, (ahead, span): (i32, i32)) -> u32 {
        let moved = match self.kind {
            FieldKind::Opaque => return before,
            FieldKind::Linear => i64::from(before) - i64::from(older),
            FieldKind::Wrapping => {
                let unused = 32 - u32::from(self.bits);
                i64::from((before.wrapping_sub(older) << unused) as i32 >> unused)
            }
        };
        let (ahead, span) = (i64::from(ahead), i64::from(span));
        // To the nearest, halves up: integers alone, equal on every machine.
        let to = i64::from(before) + (2 * moved * ahead + span).div_euclid(2 * span);
        match self.kind {
            FieldKind::Wrapping => to as u32 & low_bits(self.bits),
            _ => to.clamp(0, i64::from(self.max)) as u32,
        }
    }

    /// Zigzag of the difference modulo the column's width, less one. `value != before`.
    fn difference(&self, value: u32, before: u32) -> u32 {
        let unused = 32 - u32::from(self.bits);
        // Shifted to the top and back: the sign of the column's own width.
        let signed = (value.wrapping_sub(before) << unused) as i32 >> unused;
        ((signed << 1) ^ (signed >> 31)) as u32 - 1
    }

    fn apply(&self, before: u32, code: u32) -> u32 {
        let zigzag = code.wrapping_add(1);
        let signed = (zigzag >> 1) as i32 ^ -((zigzag & 1) as i32);
        before.wrapping_add_signed(signed) & low_bits(self.bits)
    }

    fn check(&self, value: u32) -> Result<u32, WireError> {
        if value > self.max { Err(WireError::Malformed("column beyond its range")) } else { Ok(value) }
    }
}

/// Writes an entity whole; `class`: what it is told as, which its columns are rounded to already.
pub(crate) fn encode_whole(schema: &Schema, entity: &Entity<'_>, class: Class, out: &mut BitWriter) {
    let mut out = Packer::new(out);
    let mask = entity.mask();
    out.push(mask, schema.len() as u8);
    let coarser = encode_class(schema, mask, class, &mut out);
    for (component, columns) in entity.parts() {
        match coarser >> component.0 & 1 {
            0 => encode_columns(schema.codes(component), columns, &mut out),
            _ => {
                let mut far = [0; COLUMNS_MAX];
                let far = lower(schema, component, columns, &mut far);
                encode_columns(schema.far_codes(component), far, &mut out);
            }
        }
    }
    out.finish();
}

/// Writes as what the entity is told, where that makes a difference; gives the components that are told coarsely, a bit each.
fn encode_class(schema: &Schema, mask: u64, class: Class, out: &mut Packer<'_>) -> u64 {
    let coarser = mask & schema.coarser();
    if coarser != 0 {
        out.push(u64::from(class.is_far()), 1);
    }
    if class.is_far() { coarser } else { 0 }
}

/// Reads what `encode_class` wrote.
fn decode_class(schema: &Schema, mask: u64, from: &mut BitReader<'_>) -> Result<u64, WireError> {
    let coarser = mask & schema.coarser();
    Ok(if coarser != 0 && from.read_bool()? { coarser } else { 0 })
}

/// A component's columns in steps of what is told from afar.
fn lower<'a>(
    schema: &Schema,
    component: ComponentId,
    columns: &[u32],
    far: &'a mut [u32; COLUMNS_MAX],
) -> &'a mut [u32] {
    let fields = schema.fields(component);
    let far = &mut far[..columns.len()];
    for ((far, value), field) in far.iter_mut().zip(columns).zip(fields) {
        *far = field.lower(*value);
    }
    far
}

/// Back to the component's own steps.
fn raise(schema: &Schema, component: ComponentId, columns: &mut [u32]) {
    let fields = schema.fields(component);
    columns.iter_mut().zip(fields).for_each(|(column, field)| *column = field.raise(*column));
}

/// Reads an entity written whole into the end of `frame`.
pub(crate) fn decode_whole(
    schema: &Schema,
    frame: &mut Frame,
    from: &mut BitReader<'_>,
) -> Result<(), WireError> {
    let mask = from.read_bits(schema.len() as u32)?;
    let coarser = decode_class(schema, mask, from)?;
    for component in components(mask) {
        decode_columns(schema, component, coarser, frame, from)?;
    }
    Ok(())
}

/// Writes an entity against an earlier state of it, or against where its movement from a still older one leads.
/// `scratch` is for trying which is shorter; `class` as for [`encode_whole`].
pub(crate) fn encode_change(
    schema: &Schema,
    entity: &Entity<'_>,
    before: &Entity<'_>,
    older: Option<&Older<'_>>,
    class: Class,
    (out, scratch): (&mut BitWriter, &mut BitWriter),
) {
    let start = out.bit_len();
    encode_against(schema, (entity, class), before, None, out);
    let Some(older) = older else { return };
    scratch.clear();
    encode_against(schema, (entity, class), before, Some(older), scratch);
    if scratch.bit_len() < out.bit_len() - start {
        out.truncate(start);
        out.append_bits(scratch.as_bytes(), scratch.bit_len());
    }
}

fn encode_against(
    schema: &Schema,
    (entity, class): (&Entity<'_>, Class),
    before: &Entity<'_>,
    older: Option<&Older<'_>>,
    out: &mut BitWriter,
) {
    let mut out = Packer::new(out);
    let same = entity.same_components(before);
    out.push(u64::from(older.is_some()) | u64::from(same) << 1, 2);
    if !same {
        out.push(entity.mask(), schema.len() as u8);
    }
    let coarser = match schema.coarser() {
        0 => 0,
        _ => encode_class(schema, entity.mask(), class, &mut out),
    };
    let mut earlier = before.parts();
    let mut continued = [0; COLUMNS_MAX];
    for (component, columns) in entity.parts() {
        let old = if same { earlier.next().map(|(_, old)| old) } else { before.columns(component) };
        let against =
            older.and_then(|older| Some((older.entity.columns(component)?, (older.ahead, older.span))));
        if coarser >> component.0 & 1 == 0 {
            encode_component(schema.codes(component), columns, (old, against), &mut continued, &mut out);
        } else {
            encode_coarse(schema, component, columns, (old, against), &mut out);
        }
    }
    out.finish();
}

/// A component's columns in an older frame, and how far the movement from there is continued.
type Against<'a> = (&'a [u32], (i32, i32));

/// A component against what it was, and where it was going; `continued` is scratch.
// Always: as a function of its own it costs the whole codec a twentieth (callgrind).
#[inline(always)]
fn encode_component(
    codes: &[ColumnCode],
    columns: &[u32],
    (old, against): (Option<&[u32]>, Option<Against<'_>>),
    continued: &mut [u32; COLUMNS_MAX],
    out: &mut Packer<'_>,
) {
    let Some(old) = old else { return encode_columns(codes, columns, out) };
    let Some((far, rate)) = against else {
        let changed = columns != old;
        out.push(u64::from(changed), 1);
        if changed {
            for ((code, value), old) in codes.iter().zip(columns).zip(old) {
                code.encode_change(*value, *old, out);
            }
        }
        return;
    };
    let continued = &mut continued[..old.len()];
    for (place, code) in codes.iter().enumerate() {
        continued[place] = code.continued(old[place], far[place], rate);
    }
    let changed = columns != continued;
    out.push(u64::from(changed), 1);
    if changed {
        for ((code, value), continued) in codes.iter().zip(columns).zip(continued) {
            code.left().encode_change(*value, *continued, out);
        }
    }
}

/// As [`encode_component`], in steps of what is told from afar.
#[inline(never)]
fn encode_coarse(
    schema: &Schema,
    component: ComponentId,
    columns: &[u32],
    (old, against): (Option<&[u32]>, Option<Against<'_>>),
    out: &mut Packer<'_>,
) {
    let mut rows = [[0; COLUMNS_MAX]; 4];
    let [now, before, older, continued] = &mut rows;
    let now = lower(schema, component, columns, now);
    let old = old.map(|old| &*lower(schema, component, old, before));
    let against = against.map(|(far, rate)| (&*lower(schema, component, far, older), rate));
    encode_component(schema.far_codes(component), now, (old, against), continued, out);
}

/// Reads an entity written against an earlier state into the end of `frame`.
pub(crate) fn decode_change(
    schema: &Schema,
    before: &Entity<'_>,
    older: Option<&Older<'_>>,
    frame: &mut Frame,
    from: &mut BitReader<'_>,
) -> Result<(), WireError> {
    let older = match (from.read_bool()?, older) {
        (false, _) => None,
        (true, Some(older)) => Some(older),
        (true, None) => return Err(WireError::Malformed("movement of an entity that was not held")),
    };
    let mask = if from.read_bool()? { before.mask() } else { from.read_bits(schema.len() as u32)? };
    let coarser = decode_class(schema, mask, from)?;
    for component in components(mask) {
        let Some(old) = before.columns(component) else {
            decode_columns(schema, component, coarser, frame, from)?;
            continue;
        };
        let columns = frame.add_part(component, old.len());
        let against =
            older.and_then(|older| Some((older.entity.columns(component)?, (older.ahead, older.span))));
        if coarser >> component.0 & 1 == 0 {
            columns.copy_from_slice(old);
            decode_component(schema.codes(component), columns, against, from)?;
        } else {
            let mut rows = [[0; COLUMNS_MAX]; 2];
            let [before, older] = &mut rows;
            columns.copy_from_slice(lower(schema, component, old, before));
            let against = against.map(|(far, rate)| (&*lower(schema, component, far, older), rate));
            decode_component(schema.far_codes(component), columns, against, from)?;
            raise(schema, component, columns);
        }
    }
    Ok(())
}

/// Reads a component over what it was.
fn decode_component(
    codes: &[ColumnCode],
    columns: &mut [u32],
    against: Option<Against<'_>>,
    from: &mut BitReader<'_>,
) -> Result<(), WireError> {
    let Some((far, rate)) = against else {
        if from.read_bool()? {
            for (code, column) in codes.iter().zip(columns) {
                *column = code.decode_change(*column, from)?;
            }
        }
        return Ok(());
    };
    let changed = from.read_bool()?;
    for ((code, column), far) in codes.iter().zip(columns).zip(far) {
        *column = code.continued(*column, *far, rate);
        if changed {
            *column = code.left().decode_change(*column, from)?;
        }
    }
    Ok(())
}

fn encode_columns(codes: &[ColumnCode], columns: &[u32], out: &mut Packer<'_>) {
    codes.iter().zip(columns).for_each(|(code, value)| code.encode_whole(*value, out));
}

fn decode_columns(
    schema: &Schema,
    component: ComponentId,
    coarser: u64,
    frame: &mut Frame,
    from: &mut BitReader<'_>,
) -> Result<(), WireError> {
    let is_coarse = coarser >> component.0 & 1 == 1;
    let codes = if is_coarse { schema.far_codes(component) } else { schema.codes(component) };
    let columns = frame.add_part(component, codes.len());
    for (code, column) in codes.iter().zip(&mut *columns) {
        *column = code.decode_whole(from)?;
    }
    if is_coarse {
        raise(schema, component, columns);
    }
    Ok(())
}

/// The components of a presence mask, ascending.
fn components(mut mask: u64) -> impl Iterator<Item = ComponentId> {
    std::iter::from_fn(move || {
        let component = ComponentId(u8::try_from(mask.trailing_zeros()).ok().filter(|_| mask != 0)?);
        mask &= mask - 1;
        Some(component)
    })
}

/// Gathers the codes of an entity in a word and writes whole words: a column costs a shift, not a write.
struct Packer<'a> {
    out: &'a mut BitWriter,
    word: u64,
    used: u32,
}

impl<'a> Packer<'a> {
    fn new(out: &'a mut BitWriter) -> Self {
        Self { out, word: 0, used: 0 }
    }

    /// `value` has no bits above `bits`, which is at most 64.
    #[inline]
    fn push(&mut self, value: u64, bits: u8) {
        let bits = u32::from(bits);
        debug_assert!(bits == 64 || value >> bits == 0, "the value fits its bits");
        // 63: a full word is written before the next push, so that no shift reaches the word's width.
        if self.used + bits > 63 {
            self.out.write_bits(self.word, self.used);
            (self.word, self.used) = (0, 0);
        }
        self.word |= value << self.used;
        self.used += bits;
    }

    fn finish(self) {
        self.out.write_bits(self.word, self.used);
    }
}

const SAME: u64 = 0;
const SHORT: u64 = 1;
const MIDDLING: u64 = 2;
const WHOLE: u64 = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(bits: u8, max: u32, kind: FieldKind) -> Field {
        Field { name: "x", bits, kind, max, min: 0.0, step: 0.0, far_shift: 0 }
    }

    fn check(field: &Field, value: u32, before: u32) -> usize {
        let code = ColumnCode::new(field);
        let mut out = BitWriter::new();
        let mut packer = Packer::new(&mut out);
        code.encode_change(value, before, &mut packer);
        packer.finish();
        let mut from = BitReader::new(out.as_bytes());
        assert_eq!(code.decode_change(before, &mut from), Ok(value), "{field:?} {before} -> {value}");
        assert_eq!(from.position_bits(), out.bit_len());
        out.bit_len()
    }

    #[test]
    fn changes_cost_what_the_table_says() {
        let position = field(15, 25_600, FieldKind::Linear);
        let costs = [(100, 2), (101, 10), (228, 10), (229, 12), (612, 12), (613, 17), (25_600, 17)];
        costs.into_iter().for_each(|(value, bits)| assert_eq!(check(&position, value, 100), bits, "{value}"));
        let angle = field(12, 4095, FieldKind::Wrapping);
        assert_eq!(check(&angle, 4090, 3), 8);
        let flag = field(1, 1, FieldKind::Opaque);
        assert_eq!([check(&flag, 0, 0), check(&flag, 1, 0), check(&flag, 0, 1)], [1, 1, 1]);
        let name = field(32, u32::MAX, FieldKind::Opaque);
        assert_eq!([check(&name, 7, 7), check(&name, u32::MAX, 7)], [1, 33]);
    }

    proptest! {
        #[test]
        fn every_change_returns(bits in 1u8..=32, linear: bool, a: u32, b: u32, near in -40i32..40) {
            let max = low_bits(bits);
            let kind = if linear { FieldKind::Linear } else { FieldKind::Opaque };
            let (a, b) = (a & max, b & max);
            check(&field(bits, max, kind), a, b);
            check(&field(bits, max, kind), b.wrapping_add_signed(near) & max, b);
        }

        #[test]
        fn any_bits_give_a_value_in_range(bits in 1u8..=32, below: u32, before: u32, bytes: [u8; 8]) {
            let max = low_bits(bits) - below % (low_bits(bits) / 2 + 1);
            let code = ColumnCode::new(&field(bits, max, FieldKind::Linear));
            let before = before % max.max(1);
            if let Ok(value) = code.decode_change(before, &mut BitReader::new(&bytes)) {
                prop_assert!(value <= max);
            }
        }
    }
}
