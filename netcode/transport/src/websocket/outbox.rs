//! What waits to be sent on one connection. Owns the queue and its two bounds; must never know TCP.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// A queue that would rather lose the old than keep the new waiting.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    /// Wakes the connection's writer.
    pub(super) changed: Notify,
    datagrams_max: usize,
    stale_after: Duration,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Instant, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
    dropped: u64,
}

impl Outbox {
    pub(super) fn new(datagrams_max: usize, stale_after: Duration) -> Self {
        assert!(datagrams_max > 0, "a queue needs room for at least one datagram");
        Self { queue: Mutex::default(), changed: Notify::new(), datagrams_max, stale_after }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a copy of `datagram`; the oldest gives way where there is no room. True where the queue was empty: then
    /// the writer is to be woken; otherwise it was already, and is not done yet.
    #[must_use]
    pub(super) fn push(&self, now: Instant, datagram: &[u8]) -> bool {
        let mut queue = self.lock();
        let was_empty = queue.waiting.is_empty();
        if queue.waiting.len() >= self.datagrams_max {
            queue.drop_oldest();
        }
        let mut buffer = queue.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(datagram);
        queue.waiting.push_back((now, buffer));
        was_empty
    }

    /// The oldest datagram that is not stale. Hand its buffer to [`Outbox::give_back`] afterwards.
    pub(super) fn pop(&self, now: Instant) -> Option<Vec<u8>> {
        let mut queue = self.lock();
        while let Some((at, _)) = queue.waiting.front() {
            if now.saturating_duration_since(*at) <= self.stale_after {
                return queue.waiting.pop_front().map(|(_, buffer)| buffer);
            }
            queue.drop_oldest();
        }
        None
    }

    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        self.lock().spare.push(buffer);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// How many were dropped since this was last asked.
    pub(super) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.lock().dropped)
    }
}

impl Queue {
    fn drop_oldest(&mut self) {
        if let Some((_, buffer)) = self.waiting.pop_front() {
            self.spare.push(buffer);
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Duration = Duration::from_millis(100);

    #[test]
    fn the_oldest_gives_way() {
        let (outbox, now) = (Outbox::new(3, STALE), Instant::now());
        let woken: Vec<_> = (0..5u8).map(|n| outbox.push(now, &[n])).collect();
        assert_eq!(woken, [true, false, false, false, false]);
        let left: Vec<_> = std::iter::from_fn(|| outbox.pop(now)).collect();
        assert_eq!(left, [[2], [3], [4]]);
        assert_eq!((outbox.take_dropped(), outbox.take_dropped()), (2, 0));
    }

    #[test]
    fn what_waited_too_long_is_dropped() {
        let (outbox, now) = (Outbox::new(8, STALE), Instant::now());
        assert!(outbox.push(now, b"old"));
        assert!(!outbox.push(now + STALE, b"new"));
        assert_eq!(outbox.pop(now + STALE * 3 / 2).as_deref(), Some(&b"new"[..]));
        assert_eq!(outbox.take_dropped(), 1);
        assert!(outbox.is_empty());
    }

    #[test]
    fn buffers_are_used_again() {
        let (outbox, now) = (Outbox::new(2, STALE), Instant::now());
        assert!(outbox.push(now, &[1; 300]));
        let buffer = outbox.pop(now).expect("just pushed");
        let place = buffer.as_ptr();
        outbox.give_back(buffer);
        assert!(outbox.push(now, &[2; 200]));
        let second = outbox.pop(now).expect("just pushed");
        assert_eq!(second.as_ptr(), place);
    }
}
