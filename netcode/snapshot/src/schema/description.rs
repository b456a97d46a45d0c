//! A schema in bits: what a server says of its columns to a client of another build. Owns the bits; must never know what
//! the reader makes of it.
//!
//! | bits | field |
//! |---|---|
//! | 7 | components, 0..=64 |
//! | 8 + 8n | of each: its name, 1..=96 bytes of UTF-8 |
//! | 2 | predictor of the dense codec: 0 none, 1 linear, 2 the game's own |
//! | 7 | columns, 0..=64 |
//! | 8 + 8n | of each: its name |
//! | 1 | whether all else is as in the column before; if not: |
//! | 2 | kind: 0 linear, 1 wrapping, 2 opaque; 3: it is coarser from afar, and there follow: |
//! | 5, 2 | by how many bits (1..=31), and the kind: 0 or 1 |
//! | 5 | bits, less one |
//! | `bits` | greatest value |
//! | 1, 32 + 32 | whether it measures something: then the quantity of value 0, and from one value to the next (IEEE 754) |
//!
//! One schema has one form: what could be written shorter is refused.

use netcode_wire::{BitReader, BitWriter, WireError};

use super::{Component, Fnv, PredictorKind};
use crate::{COLUMNS_MAX, COMPONENTS_MAX, Field, FieldKind};

/// The components and columns of a schema, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaDescription {
    pub(super) components: Vec<ComponentDescription>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ComponentDescription {
    pub(super) name: String,
    pub(super) predictor: PredictorKind,
    pub(super) columns: Vec<ColumnDescription>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ColumnDescription {
    pub(super) name: String,
    /// Without its name.
    pub(super) field: Field,
}

impl SchemaDescription {
    pub(super) fn of(components: &[Component]) -> Self {
        let column = |field: &Field| ColumnDescription {
            name: field.name.to_owned(),
            field: Field { name: "", ..*field },
        };
        let component = |component: &Component| ComponentDescription {
            name: component.name.clone().into_owned(),
            predictor: component.predictor,
            columns: component.fields.iter().map(column).collect(),
        };
        Self { components: components.iter().map(component).collect() }
    }

    /// The [`Schema::hash`](crate::Schema::hash) of the schema that it describes.
    #[must_use]
    pub fn hash(&self) -> u64 {
        let mut hash = Fnv::new();
        for component in &self.components {
            hash.text(&component.name);
            hash.number(component.predictor as u64);
            hash.number(component.columns.len() as u64);
            for ColumnDescription { name, field } in &component.columns {
                hash.field(name, field);
            }
        }
        hash.finish()
    }

    /// Bytes that [`SchemaDescription::encode`] writes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        let mut out = BitWriter::new();
        self.encode(&mut out);
        out.byte_len()
    }

    /// Writes the description.
    pub fn encode(&self, out: &mut BitWriter) {
        out.write_bits(self.components.len() as u64, COUNT_BITS);
        for component in &self.components {
            write_name(&component.name, out);
            out.write_bits(component.predictor as u64, 2);
            out.write_bits(component.columns.len() as u64, COUNT_BITS);
            let mut before = None;
            for ColumnDescription { name, field } in &component.columns {
                write_name(name, out);
                let is_alike = before.is_some_and(|before| same_bits(before, field));
                out.write_bool(is_alike);
                if !is_alike {
                    write_field(field, out);
                }
                before = Some(field);
            }
        }
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// Too few bits, a name twice or too long, or a column that cannot be.
    pub fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError> {
        let mut components: Vec<ComponentDescription> = Vec::new();
        for _ in 0..count(from, COMPONENTS_MAX)? {
            let component = ComponentDescription::decode(from)?;
            if components.iter().any(|known| known.name == component.name) {
                return Err(WireError::Malformed("two components of one name"));
            }
            components.push(component);
        }
        Ok(Self { components })
    }
}

impl ComponentDescription {
    fn decode(from: &mut BitReader<'_>) -> Result<Self, WireError> {
        let name = read_name(from)?;
        let predictor = match from.read_bits(2)? {
            0 => PredictorKind::None,
            1 => PredictorKind::Linear,
            2 => PredictorKind::Given,
            _ => return Err(WireError::Malformed("kind of predictor")),
        };
        let mut columns: Vec<ColumnDescription> = Vec::new();
        for _ in 0..count(from, COLUMNS_MAX)? {
            let name = read_name(from)?;
            if columns.iter().any(|known| known.name == name) {
                return Err(WireError::Malformed("two columns of one name"));
            }
            let before = columns.last().map(|column| column.field);
            let field = match (from.read_bool()?, before) {
                (true, Some(before)) => before,
                (true, None) => return Err(WireError::Malformed("column like one that is not there")),
                (false, before) => read_field(from, before.as_ref())?,
            };
            columns.push(ColumnDescription { name, field });
        }
        Ok(Self { name, predictor, columns })
    }
}

fn write_field(field: &Field, out: &mut BitWriter) {
    let Field { bits, kind, max, min, step, far_shift, .. } = *field;
    if far_shift > 0 {
        out.write_bits(COARSER, 2);
        out.write_bits(u64::from(far_shift), 5);
    }
    out.write_bits(kind as u64, 2);
    out.write_bits(u64::from(bits - 1), 5);
    out.write_bits(u64::from(max), u32::from(bits));
    let is_measure = min.to_bits() != 0 || step.to_bits() != 0;
    out.write_bool(is_measure);
    if is_measure {
        out.write_bits(u64::from(min.to_bits()), 32);
        out.write_bits(u64::from(step.to_bits()), 32);
    }
}

/// A column that is not as the one `before`.
fn read_field(from: &mut BitReader<'_>, before: Option<&Field>) -> Result<Field, WireError> {
    let (far_shift, kind) = match from.read_bits(2)? {
        COARSER => match from.read_bits(5)? as u8 {
            0 => return Err(WireError::Malformed("column that is coarser by nothing")),
            far_shift => (far_shift, from.read_bits(2)?),
        },
        kind => (0, kind),
    };
    let kind = match kind {
        0 => FieldKind::Linear,
        1 => FieldKind::Wrapping,
        2 => FieldKind::Opaque,
        _ => return Err(WireError::Malformed("kind of column")),
    };
    let bits = from.read_bits(5)? as u8 + 1;
    let max = from.read_bits(u32::from(bits))? as u32;
    let is_measure = from.read_bool()?;
    let (min, step) = if is_measure { (read_float(from)?, read_float(from)?) } else { (0.0, 0.0) };
    let field = Field { name: "", bits, kind, max, min, step, far_shift };
    let is_left = kind != FieldKind::Opaque && far_shift < bits && max >> far_shift > 0;
    if far_shift > 0 && !is_left {
        return Err(WireError::Malformed("column that is coarser than it is long"));
    }
    let is_longer = is_measure && min.to_bits() == 0 && step.to_bits() == 0;
    if is_longer || before.is_some_and(|before| same_bits(before, &field)) {
        return Err(WireError::Malformed("column in a longer form than it has"));
    }
    Ok(field)
}

fn same_bits(a: &Field, b: &Field) -> bool {
    let floats = |field: &Field| (field.min.to_bits(), field.step.to_bits());
    (a.bits, a.kind, a.max, a.far_shift) == (b.bits, b.kind, b.max, b.far_shift) && floats(a) == floats(b)
}

fn read_float(from: &mut BitReader<'_>) -> Result<f32, WireError> {
    Ok(f32::from_bits(from.read_bits(32)? as u32))
}

fn count(from: &mut BitReader<'_>, limit: usize) -> Result<usize, WireError> {
    let length = from.read_bits(COUNT_BITS)? as usize;
    if length > limit { Err(WireError::TooLong { length, limit }) } else { Ok(length) }
}

fn write_name(name: &str, out: &mut BitWriter) {
    debug_assert!((1..=NAME_BYTES_MAX).contains(&name.len()), "the builder has checked it");
    out.write_bits(name.len() as u64, 8);
    out.write_bytes(name.as_bytes());
}

fn read_name(from: &mut BitReader<'_>) -> Result<String, WireError> {
    let length = from.read_bits(8)? as usize;
    if !(1..=NAME_BYTES_MAX).contains(&length) {
        return Err(WireError::TooLong { length, limit: NAME_BYTES_MAX });
    }
    String::from_utf8(from.read_bytes(length)?).map_err(|_| WireError::Malformed("name that is not UTF-8"))
}

/// Bytes of a component's or column's name, at most.
pub const NAME_BYTES_MAX: usize = 96;
/// Bytes of a description, at most: with what is around it, it fits in one message of the standard channels (64 KiB).
pub const DESCRIPTION_BYTES_MAX: usize = 60 * 1024;
const COUNT_BITS: u32 = 7;
/// In place of a kind.
const COARSER: u64 = 3;
