//! Received messages until the application takes them. Owns their memory; must never know how they came.
//!
//! Short messages lie back to back in one buffer, which a reader that keeps up keeps as small as what one packet
//! brings: no allocation and no reference count for each. Long ones have their own memory, and only their place in the
//! order lies between the short ones.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | channel |
//! | 4 | length of the short message that follows; [`LONG`]: the next long one |

use std::collections::VecDeque;

use bytes::Bytes;

use super::slabs::Slabs;
use crate::channels::{ChannelId, MESSAGE_OVERHEAD_BYTES};

/// The queue behind `receive`.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    short: Vec<u8>,
    /// Where in `short` the next head stands.
    read: usize,
    long: VecDeque<Bytes>,
    bytes: usize,
}

impl Inbox {
    /// Queues a message that still lies in a packet.
    pub(super) fn push_copy(&mut self, channel: u8, message: &[u8]) {
        if message.len() > SHORT_BYTES_MAX {
            return self.push(channel, Bytes::copy_from_slice(message));
        }
        self.make_room(message.len());
        self.head(channel, message.len() as u32);
        self.short.extend_from_slice(message);
        self.bytes += message.len() + MESSAGE_OVERHEAD_BYTES;
    }

    /// Queues a message that has its own memory.
    pub(super) fn push(&mut self, channel: u8, message: Bytes) {
        self.make_room(0);
        self.head(channel, LONG);
        self.bytes += message.len() + MESSAGE_OVERHEAD_BYTES;
        self.long.push_back(message);
    }

    /// The next message, a short one copied into `slabs`.
    pub(super) fn pop(&mut self, slabs: &mut Slabs) -> Option<(ChannelId, Bytes)> {
        match self.next()? {
            (channel, Next::Long(message)) => Some((channel, message)),
            (channel, Next::Short(message)) => Some((channel, slabs.copy(message))),
        }
    }

    /// Lets `accept` look at the next message; whether there was one.
    pub(super) fn pop_with(&mut self, accept: &mut dyn FnMut(ChannelId, &[u8])) -> bool {
        match self.next() {
            Some((channel, Next::Long(message))) => accept(channel, &message),
            Some((channel, Next::Short(message))) => accept(channel, message),
            None => return false,
        }
        true
    }

    /// Bytes waiting, with overhead.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.read == self.short.len()
    }

    fn head(&mut self, channel: u8, len: u32) {
        self.short.push(channel);
        self.short.extend_from_slice(&len.to_le_bytes());
    }

    fn next(&mut self) -> Option<(ChannelId, Next<'_>)> {
        let (head, rest) = self.short[self.read..].split_first_chunk::<HEAD_BYTES>()?;
        let (channel, len) = (ChannelId(head[0]), u32::from_le_bytes([head[1], head[2], head[3], head[4]]));
        if len == LONG {
            self.read += HEAD_BYTES;
            let message = self.long.pop_front()?;
            self.bytes -= message.len() + MESSAGE_OVERHEAD_BYTES;
            return Some((channel, Next::Long(message)));
        }
        let len = len as usize;
        self.read += HEAD_BYTES + len;
        self.bytes -= len + MESSAGE_OVERHEAD_BYTES;
        Some((channel, Next::Short(&rest[..len])))
    }

    /// What was taken makes room for what comes; memory that a burst took is given back once it is empty.
    fn make_room(&mut self, len: usize) {
        if self.is_empty() {
            self.short.clear();
            self.read = 0;
            if self.short.capacity() > KEEP_BYTES + len {
                self.short = Vec::new();
                self.long = VecDeque::new();
            }
        } else if self.read >= KEEP_BYTES && self.read * 2 >= self.short.len() {
            self.short.drain(..self.read);
            self.read = 0;
        }
    }
}

/// A message on its way out.
enum Next<'a> {
    Short(&'a [u8]),
    Long(Bytes),
}

const HEAD_BYTES: usize = 5;
/// In place of a length: the message is the next long one. No short one is as long.
const LONG: u32 = u32::MAX;
/// Longer messages have memory of their own: a packet holds none of them whole.
const SHORT_BYTES_MAX: usize = 1200;
/// Capacity that an empty inbox keeps: a few packets.
const KEEP_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_keep_their_order_whoever_reads() {
        let (mut inbox, mut slabs) = (Inbox::default(), Slabs::new(4096));
        let mut rng = fastrand::Rng::with_seed(5);
        let mut expected = VecDeque::new();
        for round in 0..5000_u32 {
            let message = vec![round as u8; rng.usize(0..300)];
            if rng.u8(..) < 20 {
                inbox.push(1, Bytes::from(message.clone()));
            } else {
                inbox.push_copy(1, &message);
            }
            expected.push_back(message);
            for _ in 0..rng.usize(0..3) {
                let Some(due) = expected.pop_front() else { break };
                if rng.bool() {
                    assert_eq!(inbox.pop(&mut slabs), Some((ChannelId(1), Bytes::from(due))));
                } else {
                    assert!(inbox.pop_with(&mut |_, message| assert_eq!(message, due)));
                }
            }
            let bytes: usize = expected.iter().map(|message| message.len() + MESSAGE_OVERHEAD_BYTES).sum();
            assert_eq!((inbox.bytes(), inbox.is_empty()), (bytes, expected.is_empty()));
            assert!(inbox.short.capacity() <= 4 * (bytes + KEEP_BYTES), "{}", inbox.short.capacity());
        }
    }

    #[test]
    fn a_burst_is_given_back() {
        let (mut inbox, mut slabs) = (Inbox::default(), Slabs::new(4096));
        (0..100).for_each(|_| inbox.push_copy(0, &[1; 1000]));
        while inbox.pop(&mut slabs).is_some() {}
        inbox.push_copy(0, &[1; 1000]);
        assert!(inbox.short.capacity() <= 2 * KEEP_BYTES);
    }
}
