//! What derived code calls. Not an interface for people: it may change with the macros. Must never know a game.

pub use netcode_wire::quant::{Angle, Quat, Range};
pub use netcode_wire::{BitReader, BitWriter, WireError};

use crate::Enumeration;

/// The number between two others.
#[must_use]
pub fn lerp(from: f32, to: f32, t: f32) -> f32 {
    from + (to - from) * t
}

/// The angle between two others, the short way round; radians.
#[must_use]
pub fn lerp_angle(from: f32, to: f32, t: f32) -> f32 {
    use std::f32::consts::{PI, TAU};
    from + ((to - from + PI).rem_euclid(TAU) - PI) * t
}

/// The rotation between two others, the short way round: the chord, normalised.
#[must_use]
pub fn lerp_quat(from: [f32; 4], to: [f32; 4], t: f32) -> [f32; 4] {
    let dot: f32 = (0..4).map(|place| from[place] * to[place]).sum();
    let sign = if dot < 0.0 { -1.0 } else { 1.0 };
    let chord: [f32; 4] = std::array::from_fn(|place| lerp(from[place], to[place] * sign, t));
    let length = chord.iter().map(|part| part * part).sum::<f32>().sqrt();
    if length > 1e-6 { chord.map(|part| part / length) } else { from }
}

/// A value without a between.
#[must_use]
pub fn step<T: Clone>(from: &T, to: &T, t: f32) -> T {
    if t < 1.0 { from.clone() } else { to.clone() }
}

/// A signed integer in `bits` bits: held in range, then offset by half the range.
#[must_use]
pub fn quantise_signed(value: i64, bits: u32) -> u32 {
    let half = 1i64 << (bits - 1);
    (value.clamp(-half, half - 1) + half) as u32
}

/// The inverse of [`quantise_signed`].
#[must_use]
pub fn restore_signed(column: u32, bits: u32) -> i64 {
    i64::from(column) - (1i64 << (bits - 1))
}

/// An unsigned integer in `bits` bits: held in range.
#[must_use]
pub fn quantise_unsigned(value: u64, bits: u32) -> u32 {
    value.min((1u64 << bits) - 1) as u32
}

/// Bytes as columns: how many, then four a column, the first in the lowest eight bits; what lies beyond `max` is cut off.
#[must_use]
pub fn pack_bytes<const N: usize>(bytes: &[u8], max: usize) -> [u32; N] {
    let kept = &bytes[..bytes.len().min(max)];
    let mut columns = [0; N];
    columns[0] = kept.len() as u32;
    for (column, four) in columns[1..].iter_mut().zip(kept.chunks(4)) {
        *column = four.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    columns
}

/// Text as columns; what lies beyond `max` bytes is cut off at a character's edge.
#[must_use]
pub fn pack_text<const N: usize>(text: &str, max: usize) -> [u32; N] {
    pack_bytes(&text.as_bytes()[..text.floor_char_boundary(max)], max)
}

/// The inverse of [`pack_bytes`].
#[must_use]
pub fn unpack_bytes(columns: &[u32]) -> Vec<u8> {
    let Some((len, words)) = columns.split_first() else { return Vec::new() };
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.truncate(*len as usize);
    bytes
}

/// The inverse of [`pack_text`]; what is not UTF-8 (which no encoder writes) is replaced.
#[must_use]
pub fn unpack_text(columns: &[u32]) -> String {
    String::from_utf8(unpack_bytes(columns))
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Refuses the discriminant of no variant, unless one is marked to stand for it.
///
/// # Errors
/// No variant has this discriminant.
pub fn check_variant<T: Enumeration>(column: u32) -> Result<(), WireError> {
    let known = T::UNKNOWN.is_some() || T::from_index(column).index() == column;
    if known { Ok(()) } else { Err(WireError::Malformed("variant of an enumeration")) }
}

/// Reads a column and holds it to its greatest value.
///
/// # Errors
/// Too few bits, or a greater value.
pub fn read_column(from: &mut BitReader<'_>, bits: u32, max: u32) -> Result<u32, WireError> {
    let column = from.read_bits(bits)? as u32;
    if column > max { Err(WireError::Malformed("field beyond its range")) } else { Ok(column) }
}

/// Writes the length of a string or list; what lies beyond `max` must be cut off by the caller.
pub fn write_len(out: &mut BitWriter, len: usize, max: usize) {
    out.write_bits(len.min(max) as u64, len_bits(max));
}

/// Reads a length.
///
/// # Errors
/// Too few bits, or beyond `max`.
pub fn read_len(from: &mut BitReader<'_>, max: usize) -> Result<usize, WireError> {
    let length = from.read_bits(len_bits(max))? as usize;
    if length > max { Err(WireError::TooLong { length, limit: max }) } else { Ok(length) }
}

/// Writes a string; what lies beyond `max` bytes is cut off at a character's edge.
pub fn write_str(out: &mut BitWriter, text: &str, max: usize) {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    write_len(out, end, max);
    out.write_bytes(&text.as_bytes()[..end]);
}

/// Reads a string.
///
/// # Errors
/// Too few bits, too long, or not UTF-8.
pub fn read_string(from: &mut BitReader<'_>, max: usize) -> Result<String, WireError> {
    let len = read_len(from, max)?;
    String::from_utf8(from.read_bytes(len)?).map_err(|_| WireError::Malformed("text that is not UTF-8"))
}

/// Writes bytes; what lies beyond `max` is cut off.
pub fn write_blob(out: &mut BitWriter, bytes: &[u8], max: usize) {
    let kept = &bytes[..bytes.len().min(max)];
    write_len(out, kept.len(), max);
    out.write_bytes(kept);
}

/// Reads bytes.
///
/// # Errors
/// Too few bits, or too long.
pub fn read_blob(from: &mut BitReader<'_>, max: usize) -> Result<Vec<u8>, WireError> {
    let len = read_len(from, max)?;
    from.read_bytes(len)
}

const fn len_bits(max: usize) -> u32 {
    usize::BITS - max.leading_zeros()
}
