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

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<(Instant, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
    dropped: u64,
    last_push: Instant,
}

impl Outbox {
    pub(super) fn new(datagrams_max: usize, stale_after: Duration) -> Self {
        assert!(datagrams_max > 0, "a queue needs room for at least one datagram");
        let queue =
            Queue { waiting: VecDeque::new(), spare: Vec::new(), dropped: 0, last_push: Instant::now() };
        Self { queue: Mutex::new(queue), changed: Notify::new(), datagrams_max, stale_after }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a copy of `datagram`; what is stale gives way, and the oldest where there is no room. True where the
    /// queue was empty: then the writer is to be woken; otherwise it was already, and is not done yet.
    #[must_use]
    pub(super) fn push(&self, now: Instant, datagram: &[u8]) -> bool {
        let mut queue = self.lock();
        let was_empty = queue.waiting.is_empty();
        queue.last_push = now;
        queue.drop_stale(now, self.stale_after);
        if queue.waiting.len() >= self.datagrams_max {
            queue.drop_oldest();
        }
        let mut buffer = queue.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(datagram);
        queue.waiting.push_back((now, buffer));
        was_empty
    }

    /// The oldest datagram that is not stale, in exchange for a buffer that is no longer needed (or an empty one).
    pub(super) fn pop(&self, now: Instant, used: Vec<u8>) -> Option<Vec<u8>> {
        let mut queue = self.lock();
        // One that never held anything is no buffer yet.
        if used.capacity() > 0 {
            queue.spare.push(used);
        }
        queue.drop_stale(now, self.stale_after);
        queue.waiting.pop_front().map(|(_, buffer)| buffer)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// When something was last queued; at first, when the queue was made.
    pub(super) fn last_push(&self) -> Instant {
        self.lock().last_push
    }

    /// How many were dropped since this was last asked.
    pub(super) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.lock().dropped)
    }
}

impl Queue {
    fn drop_stale(&mut self, now: Instant, stale_after: Duration) {
        while self.waiting.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > stale_after) {
            self.drop_oldest();
        }
    }

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

    fn pop(outbox: &Outbox, now: Instant) -> Option<Vec<u8>> {
        outbox.pop(now, Vec::new())
    }

    #[test]
    fn the_oldest_gives_way() {
        let (outbox, now) = (Outbox::new(3, STALE), Instant::now());
        let woken: Vec<_> = (0..5u8).map(|n| outbox.push(now, &[n])).collect();
        assert_eq!(woken, [true, false, false, false, false]);
        let left: Vec<_> = std::iter::from_fn(|| pop(&outbox, now)).collect();
        assert_eq!(left, [[2], [3], [4]]);
        assert_eq!((outbox.take_dropped(), outbox.take_dropped()), (2, 0));
    }

    #[test]
    fn what_waited_too_long_is_dropped() {
        let (outbox, now) = (Outbox::new(8, STALE), Instant::now());
        assert!(outbox.push(now, b"old"));
        assert!(!outbox.push(now + STALE, b"new"));
        assert_eq!(pop(&outbox, now + STALE * 3 / 2).as_deref(), Some(&b"new"[..]));
        assert_eq!(outbox.take_dropped(), 1);
        assert!(outbox.is_empty());
    }

    #[test]
    fn while_nobody_takes_it_holds_what_is_fresh_and_no_more() {
        let (outbox, start) = (Outbox::new(64, STALE), Instant::now());
        for n in 0..600u32 {
            let _ = outbox.push(start + STALE / 10 * n, &n.to_le_bytes());
            let held = outbox.lock();
            assert!(held.waiting.len() <= 11 && held.waiting.len() + held.spare.len() <= 12);
        }
        assert_eq!(outbox.last_push(), start + STALE / 10 * 599);
        assert_eq!(outbox.take_dropped(), 600 - 11);
    }

    #[test]
    fn buffers_are_used_again() {
        let (outbox, now) = (Outbox::new(2, STALE), Instant::now());
        assert!(outbox.push(now, &[1; 300]));
        let buffer = pop(&outbox, now).expect("just pushed");
        let place = buffer.as_ptr();
        assert_eq!(outbox.pop(now, buffer), None);
        assert!(outbox.push(now, &[2; 200]));
        let again = pop(&outbox, now).expect("just pushed");
        assert_eq!(again.as_ptr(), place);
    }
}
