//! Memory for copies of short messages that are lent out. Must never know who holds them, nor for how long.

use bytes::{Bytes, BytesMut};

/// Short messages share allocations. There are two: when the first is used up, the other one's messages have long been
/// dropped, and it is taken back. Who drops them in time costs no allocation.
#[derive(Debug)]
pub(crate) struct Slabs {
    slabs: [BytesMut; 2],
    /// A new slab's size: grows until two of them are enough.
    slab_bytes: usize,
    /// The greatest slab's size: beyond it a reader that falls behind pays by allocations.
    slab_bytes_max: usize,
}

impl Slabs {
    /// None yet; each of them will have at most `slab_bytes_max`.
    pub(crate) fn new(slab_bytes_max: usize) -> Self {
        Self { slabs: Default::default(), slab_bytes: SLAB_BYTES_MIN, slab_bytes_max }
    }

    /// A copy of `message`.
    pub(super) fn copy(&mut self, message: &[u8]) -> Bytes {
        // A slab that is used up to the last byte gives its memory away with that byte: one is always left.
        if self.slabs[0].capacity() <= message.len() {
            self.slabs.swap(0, 1);
            self.renew(message.len());
        }
        self.slabs[0].extend_from_slice(message);
        self.slabs[0].split().freeze()
    }

    /// Makes room for `len` bytes and one more in the first slab.
    fn renew(&mut self, len: usize) {
        let slab = &mut self.slabs[0];
        // All of it: a smaller wish would be granted from what lies behind the last message.
        if slab.try_reclaim(self.slab_bytes.max(len + 1)) {
            return;
        }
        let is_lent = slab.capacity() > 0 && !slab.try_reclaim(slab.capacity() + 1);
        // A first slab holds four such messages; one that is still lent when its turn comes was too small.
        let grown = if is_lent { self.slab_bytes * 2 } else { self.slab_bytes };
        self.slab_bytes = grown.max((SLAB_MESSAGES * len).next_power_of_two()).min(self.slab_bytes_max);
        *slab = BytesMut::with_capacity(self.slab_bytes.max(2 * len));
    }
}

/// The first slab's size: the inputs of three packets.
const SLAB_BYTES_MIN: usize = 128;
/// Messages of the longest kind that a slab is made for.
const SLAB_MESSAGES: usize = 4;
/// What the slabs of one link may have each.
pub(super) const LINK_SLAB_BYTES_MAX: usize = 4096;
