//! Bit streams, least significant bit first. Owns packing and unpacking; must never know a field's meaning.
//!
//! | value | bits |
//! |---|---|
//! | `write_bits(v, n)` | the `n` low bits of `v`, lowest first |
//! | bool | 1 |
//! | varint | groups of 7 value bits, low group first, each followed by 1 bit "more follows"; shortest form only |
//! | signed varint | zigzag (0, −1, 1, −2, … → 0, 1, 2, 3, …) as a varint |

use alloc::vec::Vec;

use crate::WireError;

/// Writes bits into a buffer that it owns and that `clear` keeps for the next use.
#[derive(Debug, Clone, Default)]
pub struct BitWriter {
    /// Always at least `SLACK` bytes longer than what is written, so that a write is one unaligned store.
    bytes: Vec<u8>,
    bit_len: usize,
}

impl BitWriter {
    /// An empty writer.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), bit_len: 0 }
    }

    /// An empty writer with room for `bytes` bytes before it allocates again.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        let mut writer = Self::new();
        writer.bytes.resize(bytes + SLACK, 0);
        writer
    }

    /// Appends the `bits` low bits of `value`; higher bits of `value` are ignored.
    ///
    /// # Panics
    /// When `bits` exceeds 64: the caller's fault.
    #[inline]
    pub fn write_bits(&mut self, value: u64, bits: u32) {
        assert!(bits <= 64, "at most 64 bits at a time");
        if bits == 0 {
            return;
        }
        let value = if bits == 64 { value } else { value & ((1 << bits) - 1) };
        let (index, used) = (self.bit_len / 8, (self.bit_len % 8) as u32);
        if self.bytes.len() < index + SLACK {
            self.bytes.resize((index + SLACK) * 2, 0);
        }
        let partial = if used == 0 { 0 } else { u64::from(self.bytes[index]) };
        self.bytes[index..index + 8].copy_from_slice(&(partial | (value << used)).to_le_bytes());
        if used + bits > 64 {
            self.bytes[index + 8] = (value >> (64 - used)) as u8;
        }
        self.bit_len += bits as usize;
    }

    /// Appends one bit.
    #[inline]
    pub fn write_bool(&mut self, value: bool) {
        self.write_bits(u64::from(value), 1);
    }

    /// Appends an unsigned number in 8 to 80 bits, shorter the smaller it is.
    #[inline]
    pub fn write_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.write_bits((value & 0x7f) | 0x80, 8);
            value >>= 7;
        }
        self.write_bits(value, 8);
    }

    /// Appends a signed number in 8 to 80 bits, shorter the nearer it is to zero.
    #[inline]
    pub fn write_signed_varint(&mut self, value: i64) {
        self.write_varint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Appends whole bytes, wherever in a byte the stream stands.
    pub fn write_bytes(&mut self, bytes: &[u8]) {
        self.append_bits(bytes, bytes.len() * 8);
    }

    /// Appends the first `bit_len` bits of `bytes`: what another writer's `as_bytes` and `bit_len` give.
    ///
    /// # Panics
    /// When `bytes` holds fewer than `bit_len` bits: the caller's fault.
    pub fn append_bits(&mut self, bytes: &[u8], bit_len: usize) {
        assert!(bit_len <= bytes.len() * 8, "more bits than bytes");
        let (words, rest) = (bit_len / 64, bit_len % 64);
        for word in bytes[..words * 8].chunks_exact(8) {
            self.write_bits(word_of(word), 64);
        }
        let tail = &bytes[words * 8..];
        let mut last = [0; 8];
        let tail_len = rest.div_ceil(8);
        last[..tail_len].copy_from_slice(&tail[..tail_len]);
        self.write_bits(u64::from_le_bytes(last), rest as u32);
    }

    /// Forgets what was written and keeps the memory.
    pub fn clear(&mut self) {
        self.bit_len = 0;
    }

    /// Forgets everything after the first `bit_len` bits; does nothing when there are fewer.
    pub fn truncate(&mut self, bit_len: usize) {
        if bit_len >= self.bit_len {
            return;
        }
        self.bit_len = bit_len;
        if !bit_len.is_multiple_of(8) {
            self.bytes[bit_len / 8] &= (1 << (bit_len % 8)) - 1;
        }
    }

    /// Bits written.
    #[must_use]
    pub const fn bit_len(&self) -> usize {
        self.bit_len
    }

    /// Bytes written, the last one counted whole.
    #[must_use]
    pub const fn byte_len(&self) -> usize {
        self.bit_len.div_ceil(8)
    }

    /// What was written; the last byte is padded with zeros.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.byte_len()]
    }

    /// What was written, as an owned buffer; the last byte is padded with zeros.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.byte_len());
        self.bytes
    }
}

/// Reads bits from a buffer; every read is checked against its end.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    /// A reader at the first bit of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next `bits` bits, lowest first.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`] when fewer are left; nothing is consumed then.
    ///
    /// # Panics
    /// When `bits` exceeds 64: the caller's fault.
    #[inline]
    pub fn read_bits(&mut self, bits: u32) -> Result<u64, WireError> {
        assert!(bits <= 64, "at most 64 bits at a time");
        if bits as usize > self.remaining_bits() {
            return Err(WireError::UnexpectedEnd);
        }
        if bits == 0 {
            return Ok(0);
        }
        let (index, used) = (self.position / 8, (self.position % 8) as u32);
        let tail = &self.bytes[index..];
        let mut value = word_of(tail) >> used;
        if used + bits > 64 {
            value |= u64::from(tail[8]) << (64 - used);
        }
        self.position += bits as usize;
        Ok(if bits == 64 { value } else { value & ((1 << bits) - 1) })
    }

    /// The next bit.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`] when none is left.
    #[inline]
    pub fn read_bool(&mut self) -> Result<bool, WireError> {
        Ok(self.read_bits(1)? == 1)
    }

    /// A number that `write_varint` wrote.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`] when it is cut short; [`WireError::Malformed`] when it exceeds 64 bits or
    /// is not in its shortest form.
    pub fn read_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let group = self.read_bits(8)?;
            let (low, more) = (group & 0x7f, group & 0x80 != 0);
            if shift == 63 && low > 1 {
                return Err(WireError::Malformed("varint: more than 64 bits"));
            }
            value |= low << shift;
            if !more {
                return if low == 0 && shift > 0 {
                    Err(WireError::Malformed("varint: not in its shortest form"))
                } else {
                    Ok(value)
                };
            }
        }
        Err(WireError::Malformed("varint: more than 64 bits"))
    }

    /// A number that `write_signed_varint` wrote.
    ///
    /// # Errors
    /// As [`BitReader::read_varint`].
    pub fn read_signed_varint(&mut self) -> Result<i64, WireError> {
        let zigzag = self.read_varint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// The next `len` bytes, wherever in a byte the stream stands. Allocates only what is really there.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`] when fewer are left.
    pub fn read_bytes(&mut self, len: usize) -> Result<Vec<u8>, WireError> {
        if len > self.remaining_bits() / 8 {
            return Err(WireError::UnexpectedEnd);
        }
        let mut out = Vec::with_capacity(len + 8);
        while out.len() + 8 <= len {
            out.extend_from_slice(&self.read_bits(64)?.to_le_bytes());
        }
        while out.len() < len {
            out.push(self.read_bits(8)? as u8);
        }
        Ok(out)
    }

    /// Bits not yet read, padding included.
    #[must_use]
    pub const fn remaining_bits(&self) -> usize {
        self.bytes.len() * 8 - self.position
    }

    /// Bits already read.
    #[must_use]
    pub const fn position_bits(&self) -> usize {
        self.position
    }
}

/// The first eight bytes as a little-endian word; missing ones read as zero.
#[inline]
fn word_of(bytes: &[u8]) -> u64 {
    if let Some(word) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*word);
    }
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

// A write touches the 8 bytes from its first byte on, and one more when it straddles them.
const SLACK: usize = 9;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bits_are_packed_lowest_first() {
        let mut writer = BitWriter::new();
        writer.write_bits(0b101, 3);
        writer.write_bool(true);
        writer.write_bits(0xabcd, 16);
        assert_eq!(writer.as_bytes(), [0xdd, 0xbc, 0x0a]);
        assert_eq!((writer.bit_len(), writer.byte_len()), (20, 3));
    }

    #[test]
    fn high_bits_of_a_value_do_not_leak() {
        let mut writer = BitWriter::new();
        writer.write_bits(u64::MAX, 5);
        writer.write_bits(0, 3);
        assert_eq!(writer.into_bytes(), [0x1f]);
    }

    #[test]
    fn clear_and_truncate_leave_no_old_bits() {
        let mut writer = BitWriter::with_capacity(4);
        writer.write_bits(u64::MAX, 64);
        writer.truncate(10);
        assert_eq!(writer.as_bytes(), [0xff, 0x03]);
        writer.clear();
        writer.write_bits(1, 2);
        assert_eq!(writer.as_bytes(), [1]);
    }

    #[test]
    fn varints_refuse_what_no_encoder_writes() {
        let check = |bytes: &[u8], expected| assert_eq!(BitReader::new(bytes).read_varint(), expected);
        check(&[0x7f], Ok(127));
        check(&[0x80, 0x01], Ok(128));
        check(&[0x80, 0x00], Err(WireError::Malformed("varint: not in its shortest form")));
        check(&[0x80], Err(WireError::UnexpectedEnd));
        check(&[0xff; 9], Err(WireError::UnexpectedEnd));
        check(&[0xff; 11], Err(WireError::Malformed("varint: more than 64 bits")));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], Ok(u64::MAX));
    }

    #[test]
    fn a_short_read_consumes_nothing_and_allocates_nothing() {
        let mut reader = BitReader::new(&[0xff]);
        assert_eq!(reader.read_bits(9), Err(WireError::UnexpectedEnd));
        assert_eq!(reader.read_bytes(usize::MAX / 16), Err(WireError::UnexpectedEnd));
        assert_eq!(reader.read_bits(8), Ok(0xff));
        assert_eq!(reader.remaining_bits(), 0);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(values in prop::collection::vec((any::<u64>(), 0u32..=64), 0..60)) {
            let mut writer = BitWriter::new();
            for &(value, bits) in &values {
                writer.write_bits(value, bits);
                writer.write_varint(value);
                writer.write_signed_varint(value as i64);
                writer.write_bytes(&value.to_le_bytes()[..(bits % 9) as usize]);
            }
            let bytes = writer.as_bytes();
            let mut reader = BitReader::new(bytes);
            for &(value, bits) in &values {
                let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
                prop_assert_eq!(reader.read_bits(bits)?, value & mask);
                prop_assert_eq!(reader.read_varint()?, value);
                prop_assert_eq!(reader.read_signed_varint()?, value as i64);
                prop_assert_eq!(reader.read_bytes((bits % 9) as usize)?, &value.to_le_bytes()[..(bits % 9) as usize]);
            }
            prop_assert_eq!(reader.position_bits(), writer.bit_len());
            prop_assert!(reader.remaining_bits() < 8);
        }

        #[test]
        fn appended_bits_equal_written_bits(lead in 0u32..9, bits in prop::collection::vec(any::<bool>(), 0..300)) {
            let mut inner = BitWriter::new();
            bits.iter().for_each(|&bit| inner.write_bool(bit));
            let mut outer = BitWriter::new();
            outer.write_bits(0, lead);
            outer.append_bits(inner.as_bytes(), inner.bit_len());
            let mut direct = BitWriter::new();
            direct.write_bits(0, lead);
            bits.iter().for_each(|&bit| direct.write_bool(bit));
            prop_assert_eq!(outer.as_bytes(), direct.as_bytes());
            prop_assert_eq!(outer.bit_len(), direct.bit_len());
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), ops in prop::collection::vec(0u32..70, 0..40)) {
            let mut reader = BitReader::new(&bytes);
            for op in ops {
                let _ = match op {
                    65 => reader.read_varint().map(|_| ()),
                    66 => reader.read_signed_varint().map(|_| ()),
                    67.. => reader.read_bytes(op as usize - 60).map(|_| ()),
                    bits => reader.read_bits(bits).map(|_| ()),
                };
            }
        }
    }

    #[test]
    fn empty_is_empty() {
        assert_eq!(BitWriter::new().as_bytes(), vec![0u8; 0]);
        assert_eq!(BitReader::new(&[]).read_bytes(0), Ok(vec![]));
    }
}
