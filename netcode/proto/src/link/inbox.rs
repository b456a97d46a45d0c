//! Received messages until the application takes them. Owns their memory; must never know how they came.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::channels::{ChannelId, MESSAGE_OVERHEAD_BYTES};

/// The queue behind `receive`.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    queue: VecDeque<(ChannelId, Bytes)>,
    bytes: usize,
    /// Short messages share allocations; `reserve` takes a slab back once all its messages are gone, so that
    /// a reader that keeps up costs none.
    slab: BytesMut,
}

impl Inbox {
    /// Queues a message that still lies in a packet.
    pub(super) fn push_copy(&mut self, channel: u8, message: &[u8]) {
        let owned = if message.len() > SHARED_BYTES_MAX {
            Bytes::copy_from_slice(message)
        } else {
            if self.slab.capacity() - self.slab.len() < message.len() {
                self.slab.reserve(SLAB_BYTES);
            }
            self.slab.extend_from_slice(message);
            self.slab.split().freeze()
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
const SHARED_BYTES_MAX: usize = 512;
const SLAB_BYTES: usize = 2048;
