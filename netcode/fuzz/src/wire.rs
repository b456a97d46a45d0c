//! Readers and writers of bits and bytes: whatever is read is written again as the same bits, a refusal leaves the
//! position as documented, and no length is believed. Must never know what the bits mean.

use netcode_wire::{BitReader, BitWriter, ByteReader, ByteWriter, WireError};

use super::feed::{Digest, Feed, chunk};

/// A list of reads over a list of bytes: `chunk` of operations, then the data.
///
/// # Panics
/// When a law is broken.
pub fn bits(input: &[u8]) -> u64 {
    let mut feed = Feed::new(input);
    let operations = feed.chunk();
    let data = feed.rest();
    let (mut reader, mut writer, mut done) = (BitReader::new(data), BitWriter::new(), 0);
    for operation in operations {
        let before = reader.position_bits();
        let outcome = copy_bits(*operation, &mut reader, &mut writer);
        assert_eq!(reader.position_bits() + reader.remaining_bits(), data.len() * 8);
        if let Err(error) = outcome {
            let is_whole = !matches!(operation, 65 | 66);
            assert!(!is_whole || error == WireError::UnexpectedEnd, "{operation}: {error}");
            assert!(!is_whole || reader.position_bits() == before, "a short read consumes nothing");
            break;
        }
        assert_eq!(writer.bit_len(), reader.position_bits(), "operation {operation} has one form only");
        done += 1;
    }
    assert_same_bits(data, writer.as_bytes(), writer.bit_len());
    let mut digest = Digest::new();
    digest.add(writer.as_bytes());
    if done == 0 { 0 } else { digest.finish() }
}

fn copy_bits(operation: u8, reader: &mut BitReader<'_>, writer: &mut BitWriter) -> Result<(), WireError> {
    match operation {
        0..=64 => writer.write_bits(reader.read_bits(u32::from(operation))?, u32::from(operation)),
        65 => writer.write_varint(reader.read_varint()?),
        66 => writer.write_signed_varint(reader.read_signed_varint()?),
        67 => writer.write_bool(reader.read_bool()?),
        // Far more than there is, too.
        255 => writer.write_bytes(&reader.read_bytes(usize::MAX)?),
        _ => writer.write_bytes(&reader.read_bytes(usize::from(operation - 68))?),
    }
    Ok(())
}

/// The first `bits` bits of both are alike, and `copy` ends with zeros.
pub(super) fn assert_same_bits(original: &[u8], copy: &[u8], bits: usize) {
    assert_eq!(copy.len(), bits.div_ceil(8));
    let (whole, rest) = (bits / 8, bits % 8);
    assert_eq!(original[..whole], copy[..whole]);
    if rest > 0 {
        assert_eq!(original[whole] & ((1 << rest) - 1), copy[whole]);
    }
}

/// A list of reads of whole bytes.
///
/// # Panics
/// When a law is broken.
pub fn bytes(input: &[u8]) -> u64 {
    let mut feed = Feed::new(input);
    let operations = feed.chunk();
    let data = feed.rest();
    let mut buffer = vec![0xee; data.len()];
    let (mut reader, mut writer) = (ByteReader::new(data), ByteWriter::new(&mut buffer));
    for operation in operations {
        let before = reader.remaining();
        if let Err(error) = copy_bytes(*operation, &mut reader, &mut writer) {
            assert_eq!((error, reader.remaining()), (WireError::UnexpectedEnd, before));
            break;
        }
        assert_eq!(writer.remaining(), reader.remaining());
    }
    let written = writer.written();
    assert_eq!(reader.rest(), &data[written..]);
    assert_eq!(data[..written], buffer[..written]);
    let mut digest = Digest::new();
    digest.add(&buffer[..written]);
    if written == 0 { 0 } else { digest.finish() }
}

fn copy_bytes(
    operation: u8,
    reader: &mut ByteReader<'_>,
    writer: &mut ByteWriter<'_>,
) -> Result<(), WireError> {
    match operation {
        0 => writer.u8(reader.u8()?),
        1 => writer.u16(reader.u16()?),
        2 => writer.u32(reader.u32()?),
        3 => writer.i32(reader.i32()?),
        4 => writer.u64(reader.u64()?),
        5 => writer.u128(reader.u128()?),
        6 => writer.slice(&reader.array::<24>()?),
        7 => writer.slice(reader.slice(usize::MAX)?),
        _ => writer.slice(reader.slice(usize::from(operation - 8))?),
    }
}

/// What honest encoders give to [`bits`].
#[must_use]
pub fn bits_seeds() -> Vec<Vec<u8>> {
    let mut out = BitWriter::new();
    out.write_bits(5, 3);
    out.write_varint(u64::MAX);
    out.write_signed_varint(i64::MIN);
    out.write_varint(300);
    out.write_bool(true);
    out.write_bits(u64::MAX, 64);
    out.write_bytes(b"tick");
    let mixed = [chunk(&[3, 65, 66, 65, 67, 64, 72, 0, 255]), out.into_bytes()].concat();
    vec![mixed, [chunk(&[64, 65, 65]), vec![0xff; 24]].concat(), [chunk(&[1, 255]), vec![7]].concat()]
}

/// What honest encoders give to [`bytes`].
#[must_use]
pub fn bytes_seeds() -> Vec<Vec<u8>> {
    let data: Vec<u8> = (0..80).collect();
    vec![[chunk(&[0, 1, 2, 3, 4, 5, 6, 12, 7]), data.clone()].concat(), [chunk(&[88, 0]), data].concat()]
}
