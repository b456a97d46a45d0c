//! One entity's columns as bits, whole or against an earlier state. Owns the code of a column; must never know
//! which client reads it, nor which entities travel beside it: the bits stand alone and may be shared.
//!
//! | bits | a row, whole | a row, against an earlier one |
//! |---|---|---|
//! | 1 | | 1 = the same components as before |
//! | schema's length | which components | (when not the same) which components |
//! | … | each: columns at full width | each: new ones whole; others 1 bit changed, then a code a column |
//!
//! A column's code: a flag turns (1 bit); a narrow or opaque column is `0` or `1` and its value; a wide one is
//! `0` the same, `10` and a short difference, `110` and a middling one, `111` and its value. Differences are
//! taken modulo the column's width, zigzagged, less one (zero has its own code).

use netcode_wire::{BitReader, BitWriter, WireError};

use crate::field::low_bits;
use crate::frame::Entity;
use crate::{ComponentId, Field, FieldKind, Frame, Schema};

/// How one column is coded; made from its [`Field`] once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColumnCode {
    bits: u8,
    max: u32,
    /// Widths of the short and the middling difference; 0: the column has none.
    short: u8,
    middling: u8,
}

impl ColumnCode {
    pub(crate) fn new(field: &Field) -> Self {
        let bits = field.bits;
        assert!(
            (1..=32).contains(&bits) && field.max <= low_bits(bits),
            "field {} fits its bits",
            field.name
        );
        // Below 5 bits the prefix costs what the difference saves. The widths follow from what moves: at 60 Hz
        // against a baseline six ticks old, a position of 15 bits moves by some hundred steps, a velocity of
        // 12 bits by some ten: two fifths and two thirds of the width.
        let (short, middling) = match field.kind {
            FieldKind::Opaque => (0, 0),
            _ if bits < 5 => (0, 0),
            _ => ((bits * 2).div_ceil(5), (bits * 2).div_ceil(3)),
        };
        Self { bits, max: field.max, short, middling }
    }

    #[inline]
    fn encode_whole(&self, value: u32, out: &mut BitWriter) {
        debug_assert!(value <= self.max, "a quantised value fits its column");
        out.write_bits(u64::from(value), u32::from(self.bits));
    }

    #[inline]
    fn decode_whole(&self, from: &mut BitReader<'_>) -> Result<u32, WireError> {
        self.check(from.read_bits(u32::from(self.bits))? as u32)
    }

    #[inline]
    fn encode_change(&self, value: u32, before: u32, out: &mut BitWriter) {
        if value == before {
            out.write_bool(false);
        } else if self.bits == 1 {
            out.write_bool(true);
        } else if self.short == 0 {
            out.write_bits(1 | u64::from(value) << 1, 1 + u32::from(self.bits));
        } else {
            let code = u64::from(self.difference(value, before));
            if code >> self.short == 0 {
                out.write_bits(0b01 | code << 2, 2 + u32::from(self.short));
            } else if code >> self.middling == 0 {
                out.write_bits(0b011 | code << 3, 3 + u32::from(self.middling));
            } else {
                out.write_bits(0b111 | u64::from(value) << 3, 3 + u32::from(self.bits));
            }
        }
    }

    #[inline]
    fn decode_change(&self, before: u32, from: &mut BitReader<'_>) -> Result<u32, WireError> {
        if !from.read_bool()? {
            return Ok(before);
        }
        if self.bits == 1 {
            return self.check(before ^ 1);
        }
        if self.short == 0 {
            return self.decode_whole(from);
        }
        let width = match (from.read_bool()?, self.short) {
            (false, short) => short,
            (true, _) if from.read_bool()? => return self.decode_whole(from),
            (true, _) => self.middling,
        };
        let code = from.read_bits(u32::from(width))? as u32;
        self.check(self.apply(before, code))
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

/// Writes an entity whole.
pub(crate) fn encode_whole(schema: &Schema, entity: &Entity<'_>, out: &mut BitWriter) {
    out.write_bits(entity.mask(), schema.len() as u32);
    for (component, columns) in entity.parts() {
        encode_columns(schema.codes(component), columns, out);
    }
}

/// Reads an entity written whole into the end of `frame`.
pub(crate) fn decode_whole(
    schema: &Schema,
    frame: &mut Frame,
    from: &mut BitReader<'_>,
) -> Result<(), WireError> {
    for component in components(from.read_bits(schema.len() as u32)?) {
        decode_columns(schema, component, frame, from)?;
    }
    Ok(())
}

/// Writes an entity against an earlier state of it.
pub(crate) fn encode_change(schema: &Schema, entity: &Entity<'_>, before: &Entity<'_>, out: &mut BitWriter) {
    let mask = entity.mask();
    let same = mask == before.mask();
    out.write_bool(same);
    if !same {
        out.write_bits(mask, schema.len() as u32);
    }
    for (component, columns) in entity.parts() {
        let codes = schema.codes(component);
        let Some(old) = before.columns(component) else {
            encode_columns(codes, columns, out);
            continue;
        };
        out.write_bool(columns != old);
        if columns != old {
            let values = columns.iter().zip(old);
            codes.iter().zip(values).for_each(|(code, (value, old))| code.encode_change(*value, *old, out));
        }
    }
}

/// Reads an entity written against an earlier state into the end of `frame`.
pub(crate) fn decode_change(
    schema: &Schema,
    before: &Entity<'_>,
    frame: &mut Frame,
    from: &mut BitReader<'_>,
) -> Result<(), WireError> {
    let mask = if from.read_bool()? { before.mask() } else { from.read_bits(schema.len() as u32)? };
    for component in components(mask) {
        let Some(old) = before.columns(component) else {
            decode_columns(schema, component, frame, from)?;
            continue;
        };
        let columns = frame.add_part(component, old.len());
        columns.copy_from_slice(old);
        if from.read_bool()? {
            for (code, column) in schema.codes(component).iter().zip(columns) {
                *column = code.decode_change(*column, from)?;
            }
        }
    }
    Ok(())
}

fn encode_columns(codes: &[ColumnCode], columns: &[u32], out: &mut BitWriter) {
    codes.iter().zip(columns).for_each(|(code, value)| code.encode_whole(*value, out));
}

fn decode_columns(
    schema: &Schema,
    component: ComponentId,
    frame: &mut Frame,
    from: &mut BitReader<'_>,
) -> Result<(), WireError> {
    let codes = schema.codes(component);
    for (code, column) in codes.iter().zip(frame.add_part(component, codes.len())) {
        *column = code.decode_whole(from)?;
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
