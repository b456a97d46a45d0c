//! Received messages until the application takes them. Owns their memory; must never know how they came.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::channels::{ChannelId, MESSAGE_OVERHEAD_BYTES};

/// The queue behind `receive`.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    queue: VecDeque<(ChannelId, Bytes)>,
    bytes: usize,
    /// Messages of a packet or less share allocations. There are two: when the first is used up, the other
    /// one's messages have long been taken, and `reserve` takes it back. A reader that keeps up costs none.
    slabs: [BytesMut; 2],
}

impl Inbox {
    /// Queues a message that still lies in a packet.
    pub(super) fn push_copy(&mut self, channel: u8, message: &[u8]) {
        let owned = if message.len() > SHARED_BYTES_MAX {
            Bytes::copy_from_slice(message)
        } else {
            if self.slabs[0].capacity() < message.len() {
                self.slabs.swap(0, 1);
                self.slabs[0].reserve(SLAB_BYTES.max(2 * message.len()));
            }
            self.slabs[0].extend_from_slice(message);
            self.slabs[0].split().freeze()
        };
        self.push(channel, owned);
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
/// A slab's least size: short messages of some packets.
const SLAB_BYTES: usize = 512;
