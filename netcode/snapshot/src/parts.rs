//! How much a snapshot may be, and the messages it came to. Must never know an entity.

use netcode_wire::BitWriter;

use crate::PARTS_MAX;

/// What one snapshot may be: bytes of each message and of all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of the first part: it may share its datagram with other messages.
    pub first_bytes: usize,
    /// Bytes of every further part.
    pub part_bytes: usize,
    /// Bytes of all parts together.
    pub total_bytes: usize,
}

/// The parts of one snapshot, each a message. Keeps its memory from one snapshot to the next.
#[derive(Debug, Default)]
pub struct Parts {
    writers: Vec<BitWriter>,
    len: usize,
}

impl Budget {
    /// One message.
    #[must_use]
    pub const fn one(bytes: usize) -> Self {
        Self { first_bytes: bytes, part_bytes: 0, total_bytes: bytes }
    }

    /// As many messages of `part_bytes` as `total_bytes` hold.
    #[must_use]
    pub const fn several(part_bytes: usize, total_bytes: usize) -> Self {
        Self { first_bytes: part_bytes, part_bytes, total_bytes }
    }

    /// Bits of part `index` when those before it have `used_bytes`; 0: there is no such part.
    pub(crate) fn part_bits(&self, index: usize, used_bytes: usize) -> usize {
        let limit = if index == 0 { self.first_bytes } else { self.part_bytes };
        if index >= PARTS_MAX { 0 } else { limit.min(self.total_bytes.saturating_sub(used_bytes)) * 8 }
    }
}

impl Parts {
    /// No parts yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { writers: Vec::new(), len: 0 }
    }

    /// The messages, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.writers[..self.len].iter().map(BitWriter::as_bytes)
    }

    /// Number of messages.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all messages.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    /// Makes it one message: what `write` writes. Gives what that gives.
    pub fn one<R>(&mut self, write: impl FnOnce(&mut BitWriter) -> R) -> R {
        self.clear();
        write(self.push())
    }

    pub(crate) fn last_bytes(&self) -> usize {
        self.writers[..self.len].last().map_or(0, BitWriter::byte_len)
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// An empty message after the others.
    pub(crate) fn push(&mut self) -> &mut BitWriter {
        if self.len == self.writers.len() {
            self.writers.push(BitWriter::new());
        }
        self.len += 1;
        let writer = &mut self.writers[self.len - 1];
        writer.clear();
        writer
    }
}
