//! A bounded run of entries, one a tick: chunks of bytes of which the oldest make room. Owns the bound; must never know
//! what an entry says.
//!
//! | bytes of a chunk, again and again | |
//! |---|---|
//! | varint | length of the entry |
//! | n | the entry; the first one is of the chunk's first tick, the next ones of those that follow |

use std::collections::VecDeque;

/// Entries of ticks in a row.
#[derive(Debug)]
pub(crate) struct Tape {
    chunks: VecDeque<Chunk>,
    /// Capacity of all chunks.
    bytes: usize,
    bytes_max: usize,
    lost: bool,
}

/// A part of a tape that can be read without those before it, where whoever writes sees to that.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The tick of its first entry.
    pub(crate) first_tick: u32,
    pub(crate) bytes: Vec<u8>,
}

impl Tape {
    /// An empty tape that never takes more than `bytes_max`.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { chunks: VecDeque::new(), bytes: 0, bytes_max, lost: false }
    }

    /// Whether an entry of `len` bytes goes into the chunk under way.
    pub(crate) fn fits(&self, len: usize) -> bool {
        let spare = self.chunks.back().map_or(0, |chunk| chunk.bytes.capacity() - chunk.bytes.len());
        len + LENGTH_BYTES_MAX <= spare
    }

    /// Adds the entry of `tick`; where it does not fit, a new chunk begins with it, and the oldest go. False: it is longer
    /// than the whole tape may be, and is not there.
    pub(crate) fn push(&mut self, tick: u32, entry: &[u8]) -> bool {
        if !self.fits(entry.len()) && !self.begin(tick, entry.len() + LENGTH_BYTES_MAX) {
            return false;
        }
        let chunk = self.chunks.back_mut().expect("one fits");
        write_varint(&mut chunk.bytes, entry.len() as u64);
        chunk.bytes.extend_from_slice(entry);
        true
    }

    /// [`Tape::push`] into a chunk of its own: the entry must not be read after another one.
    pub(crate) fn push_first(&mut self, tick: u32, entry: &[u8]) -> bool {
        self.begin(tick, entry.len() + LENGTH_BYTES_MAX) && self.push(tick, entry)
    }

    fn begin(&mut self, tick: u32, least: usize) -> bool {
        let capacity = least.max(CHUNK_BYTES.min(self.bytes_max / CHUNKS_MIN));
        let mut spare = None;
        while self.bytes + capacity > self.bytes_max {
            let Some(oldest) = self.chunks.pop_front() else { return false };
            self.lost = true;
            self.bytes -= oldest.bytes.capacity();
            spare = Some(oldest.bytes).filter(|bytes| bytes.capacity() == capacity);
        }
        let mut bytes = spare.unwrap_or_else(|| Vec::with_capacity(capacity));
        bytes.clear();
        self.bytes += bytes.capacity();
        self.chunks.push_back(Chunk { first_tick: tick, bytes });
        true
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
        (self.bytes, self.lost) = (0, true);
    }

    /// Whether the beginning is gone.
    pub(crate) fn has_lost(&self) -> bool {
        self.lost
    }

    pub(crate) fn chunks(&self) -> impl ExactSizeIterator<Item = &Chunk> {
        self.chunks.iter()
    }

    /// Bytes of memory that it holds.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes
    }
}

/// Appends a number in groups of seven bits, the lowest first; the high bit says that more follow.
#[inline]
pub(crate) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes such a number from the front of `bytes`; `None` when there is none.
pub(crate) fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Takes a length and as many bytes from the front of `bytes`.
pub(crate) fn read_entry<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(read_varint(bytes)?).ok()?;
    let (entry, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(entry)
}

/// What a chunk takes: half a minute of a small match.
const CHUNK_BYTES: usize = 64 << 10;
/// A small tape still has so many chunks, so that little is lost at a time.
const CHUNKS_MIN: usize = 16;
/// 2^35 bytes are more than any entry has.
const LENGTH_BYTES_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(tape: &Tape) -> Vec<(u32, Vec<u8>)> {
        let mut all = Vec::new();
        for chunk in tape.chunks() {
            let (mut tick, mut bytes) = (chunk.first_tick, &chunk.bytes[..]);
            while let Some(entry) = read_entry(&mut bytes) {
                all.push((tick, entry.to_vec()));
                tick += 1;
            }
            assert!(bytes.is_empty());
        }
        all
    }

    #[test]
    fn a_full_tape_keeps_the_newest_and_its_bound() {
        let mut tape = Tape::new(10_000);
        for tick in 0..5000_u32 {
            assert!(tape.push(tick, &vec![tick as u8; tick as usize % 300]));
            assert!(tape.held_bytes() <= 10_000, "{}", tape.held_bytes());
        }
        let all = entries(&tape);
        assert!(tape.has_lost() && all.len() > 40, "{}", all.len());
        for (index, (tick, entry)) in all.iter().rev().enumerate() {
            assert_eq!((*tick, entry.len()), (4999 - index as u32, *tick as usize % 300));
        }
        assert!(!tape.push(5000, &vec![0; 20_000]), "longer than all of it");
    }

    #[test]
    fn numbers_come_back_and_cut_ones_are_refused() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            assert_eq!(read_varint(&mut &bytes[..]), Some(value));
            assert_eq!(read_varint(&mut &bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(read_varint(&mut &[0xff; 11][..]), None);
    }
}
