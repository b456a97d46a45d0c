//! Whole-byte readers and writers, little-endian and bounds-checked. Must never know a field's meaning.

use crate::WireError;

/// Reads little-endian fields from a borrowed buffer.
#[derive(Debug, Clone)]
pub struct ByteReader<'a> {
    rest: &'a [u8],
}

impl<'a> ByteReader<'a> {
    /// A reader at the first byte of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `len` bytes, borrowed.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`] when fewer are left; nothing is consumed then. So for every read below.
    pub fn slice(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(WireError::UnexpectedEnd)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes, copied.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::UnexpectedEnd)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Four bytes, two's complement.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Sixteen bytes.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn u128(&mut self) -> Result<u128, WireError> {
        self.array().map(u128::from_le_bytes)
    }

    /// Bytes not yet read.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Everything not yet read, without consuming it.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Writes little-endian fields into a borrowed buffer.
#[derive(Debug)]
pub struct ByteWriter<'a> {
    out: &'a mut [u8],
    written: usize,
}

impl<'a> ByteWriter<'a> {
    /// A writer at the first byte of `out`.
    #[must_use]
    pub const fn new(out: &'a mut [u8]) -> Self {
        Self { out, written: 0 }
    }

    /// Copies `bytes`.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`] when there is no room; nothing is written then. So for every write below.
    pub fn slice(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let room = self.out.get_mut(self.written..).and_then(|rest| rest.get_mut(..bytes.len()));
        room.ok_or(WireError::UnexpectedEnd)?.copy_from_slice(bytes);
        self.written += bytes.len();
        Ok(())
    }

    /// One byte.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn u8(&mut self, value: u8) -> Result<(), WireError> {
        self.slice(&[value])
    }

    /// Two bytes.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn u16(&mut self, value: u16) -> Result<(), WireError> {
        self.slice(&value.to_le_bytes())
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn u32(&mut self, value: u32) -> Result<(), WireError> {
        self.slice(&value.to_le_bytes())
    }

    /// Four bytes, two's complement.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn i32(&mut self, value: i32) -> Result<(), WireError> {
        self.slice(&value.to_le_bytes())
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn u64(&mut self, value: u64) -> Result<(), WireError> {
        self.slice(&value.to_le_bytes())
    }

    /// Sixteen bytes.
    ///
    /// # Errors
    /// [`WireError::UnexpectedEnd`].
    pub fn u128(&mut self, value: u128) -> Result<(), WireError> {
        self.slice(&value.to_le_bytes())
    }

    /// Fills what is left with zeros.
    pub fn pad(&mut self) {
        self.out[self.written..].fill(0);
        self.written = self.out.len();
    }

    /// Bytes written.
    #[must_use]
    pub const fn written(&self) -> usize {
        self.written
    }

    /// Bytes of room left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.out.len() - self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_the_round_trip() -> Result<(), WireError> {
        let mut buffer = [0xee; 40];
        let mut writer = ByteWriter::new(&mut buffer);
        writer.u8(1)?;
        writer.u16(0x0203)?;
        writer.u32(0x0405_0607)?;
        writer.i32(-2)?;
        writer.u64(u64::MAX - 1)?;
        writer.u128(3)?;
        writer.slice(&[9, 8])?;
        assert_eq!((writer.written(), writer.remaining()), (37, 3));
        writer.pad();

        assert_eq!(&buffer[..3], &[1, 3, 2], "little-endian");
        let mut reader = ByteReader::new(&buffer);
        assert_eq!((reader.u8()?, reader.u16()?, reader.u32()?), (1, 0x0203, 0x0405_0607));
        assert_eq!((reader.i32()?, reader.u64()?, reader.u128()?), (-2, u64::MAX - 1, 3));
        assert_eq!(reader.slice(2)?, &[9, 8]);
        assert_eq!(reader.rest(), &[0, 0, 0]);
        Ok(())
    }

    #[test]
    fn ends_are_checked_and_leave_the_cursor() {
        let mut reader = ByteReader::new(&[1, 2, 3]);
        assert_eq!(reader.u32(), Err(WireError::UnexpectedEnd));
        assert_eq!(reader.slice(usize::MAX), Err(WireError::UnexpectedEnd));
        assert_eq!(reader.remaining(), 3);
        let mut buffer = [0; 3];
        let mut writer = ByteWriter::new(&mut buffer);
        assert_eq!(writer.u32(1), Err(WireError::UnexpectedEnd));
        assert_eq!(writer.written(), 0);
    }
}
