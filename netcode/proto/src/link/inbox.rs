//! Received messages until the application takes them. Owns their memory; must never know how they came.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::channels::{ChannelId, MESSAGE_OVERHEAD_BYTES};

/// The queue behind `receive`.
#[derive(Debug)]
pub(super) struct Inbox {
    queue: VecDeque<(ChannelId, Bytes)>,
    bytes: usize,
    /// Messages of a packet or less share allocations. There are two: when the first is used up, the other
    /// one's messages have long been taken, and it is taken back. A reader that keeps up costs none.
    slabs: [BytesMut; 2],
    /// A new slab's size: grows until two of them are enough.
    slab_bytes: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { queue: VecDeque::new(), bytes: 0, slabs: Default::default(), slab_bytes: SLAB_BYTES_MIN }
    }
}

impl Inbox {
    /// Queues a message that still lies in a packet.
    pub(super) fn push_copy(&mut self, channel: u8, message: &[u8]) {
        let owned = if message.len() > SHARED_BYTES_MAX {
            Bytes::copy_from_slice(message)
        } else {
            // A slab that is used up to the last byte gives its memory away with that byte: one is always left.
            if self.slabs[0].capacity() <= message.len() {
                self.slabs.swap(0, 1);
                self.renew(message.len());
            }
            self.slabs[0].extend_from_slice(message);
            self.slabs[0].split().freeze()
        };
        self.push(channel, owned);
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
        self.slab_bytes = grown.max((SLAB_MESSAGES * len).next_power_of_two()).min(SLAB_BYTES_MAX);
        *slab = BytesMut::with_capacity(self.slab_bytes.max(2 * len));
    }

    /// Queues a message that has its own memory.
    pub(super) fn push(&mut self, channel: u8, message: Bytes) {
        self.bytes += message.len() + MESSAGE_OVERHEAD_BYTES;
        self.queue.push_back((ChannelId(channel), message));
    }

    pub(super) fn pop(&mut self) -> Option<(ChannelId, Bytes)> {
        let (channel, message) = self.queue.pop_front()?;
        self.bytes -= message.len() + MESSAGE_OVERHEAD_BYTES;
        Some((channel, message))
    }

    /// Bytes waiting, with overhead.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Longer messages get memory of their own.
const SHARED_BYTES_MAX: usize = 1200;
/// The first slab's size: the inputs of three packets.
const SLAB_BYTES_MIN: usize = 128;
/// Messages of the longest kind that a slab is made for.
const SLAB_MESSAGES: usize = 4;
/// The greatest slab's size: beyond it a reader that falls behind pays by allocations.
const SLAB_BYTES_MAX: usize = 4096;
