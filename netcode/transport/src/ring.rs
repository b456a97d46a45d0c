//! A bounded queue of datagrams between two threads. Owns: the lock, the queue, the sleep of its reader. Must never
//! know: sockets, or which side is which.
//!
//! Whole bursts change hands by swapping buffers under the lock, so a tick costs one lock and no copy however many
//! datagrams came. Nothing is allocated once the buffers have seen their largest burst.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::parcels::Parcels;

#[derive(Debug)]
struct Inner<H> {
    queue: Parcels<H>,
    closed: bool,
    /// Someone sleeps on `changed`: without one, a push makes no system call.
    waiting: bool,
}

/// The queue. Policy when full: the newest datagrams are refused.
#[derive(Debug)]
pub(crate) struct Ring<H> {
    inner: Mutex<Inner<H>>,
    changed: Condvar,
    datagrams_max: usize,
}

/// What became of a burst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pushed {
    pub(crate) datagrams: usize,
    pub(crate) bytes: usize,
    pub(crate) refused: usize,
}

impl<H: Copy> Ring<H> {
    pub(crate) fn new(datagrams_max: usize) -> Self {
        assert!(datagrams_max > 0, "a ring needs room for at least one datagram");
        let inner = Inner { queue: Parcels::default(), closed: false, waiting: false };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), datagrams_max }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<H>> {
        // A panic elsewhere cannot leave buffers half swapped, so a poisoned queue is still whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues what fits of `burst` under one lock and wakes the reader once. `burst` is left empty.
    pub(crate) fn push_all(&self, burst: &mut Parcels<H>) -> Pushed {
        if burst.is_empty() {
            return Pushed::default();
        }
        let mut inner = self.lock();
        let room = if inner.closed { 0 } else { self.datagrams_max.saturating_sub(inner.queue.len()) };
        let datagrams = room.min(burst.len());
        let pushed = Pushed { datagrams, bytes: burst.bytes_of(datagrams), refused: burst.len() - datagrams };
        if inner.queue.is_empty() && pushed.refused == 0 {
            std::mem::swap(&mut inner.queue, burst);
        } else {
            inner.queue.extend(burst, datagrams);
        }
        let wake = std::mem::take(&mut inner.waiting);
        drop(inner);
        if wake {
            self.changed.notify_all();
        }
        burst.clear();
        pushed
    }

    /// Swaps everything queued into `into`; what `into` held is forgotten.
    pub(crate) fn take_all(&self, into: &mut Parcels<H>) {
        into.clear();
        std::mem::swap(&mut self.lock().queue, into);
    }

    /// Like [`Ring::take_all`], but sleeps until there is something. False once the ring is closed and empty.
    pub(crate) fn take_all_blocking(&self, into: &mut Parcels<H>) -> bool {
        into.clear();
        let mut inner = self.lock();
        while inner.queue.is_empty() && !inner.closed {
            inner.waiting = true;
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut inner.queue, into);
        !into.is_empty()
    }

    /// Sleeps until something is queued, at most `timeout`; whether something is.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut inner = self.lock();
        while inner.queue.is_empty() && !inner.closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            inner.waiting = true;
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        !inner.queue.is_empty()
    }

    /// How many datagrams wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// Nothing more goes in; a sleeping reader wakes, empties the queue and stops.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst(bytes: &[u8]) -> Parcels<()> {
        let mut burst = Parcels::default();
        for byte in bytes {
            burst.push((), &[*byte]);
        }
        burst
    }

    fn read(parcels: &mut Parcels<()>) -> Vec<u8> {
        let mut all = Vec::new();
        parcels.for_each(&mut |(), bytes| all.push(bytes[0]));
        all
    }

    #[test]
    fn a_full_ring_refuses_the_newest() {
        let ring = Ring::new(3);
        let mut second = burst(&[3, 4, 5]);
        assert_eq!(ring.push_all(&mut burst(&[1, 2])), Pushed { datagrams: 2, bytes: 2, refused: 0 });
        assert_eq!(ring.push_all(&mut second), Pushed { datagrams: 1, bytes: 1, refused: 2 });
        assert!(second.is_empty());
        let mut taken = Parcels::default();
        ring.take_all(&mut taken);
        assert_eq!(read(&mut taken), [1, 2, 3]);
        ring.take_all(&mut taken);
        assert!(taken.is_empty());
    }

    #[test]
    fn a_burst_longer_than_the_ring_is_cut() {
        let ring = Ring::new(2);
        assert_eq!(ring.push_all(&mut burst(&[1, 2, 3])), Pushed { datagrams: 2, bytes: 2, refused: 1 });
    }

    #[test]
    fn closing_wakes_the_reader_after_the_rest_is_read() {
        let ring = Ring::new(4);
        ring.push_all(&mut burst(&[1]));
        ring.close();
        assert_eq!(ring.push_all(&mut burst(&[2])).refused, 1);
        let mut taken = Parcels::default();
        assert!(ring.take_all_blocking(&mut taken));
        assert_eq!(read(&mut taken), [1]);
        assert!(!ring.take_all_blocking(&mut taken));
    }

    #[test]
    fn a_sleeping_reader_is_woken_by_a_push() {
        let ring = Ring::new(4);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| ring.wait(Duration::from_secs(60)));
            while !ring.lock().waiting {
                std::thread::yield_now();
            }
            ring.push_all(&mut burst(&[1]));
            assert!(reader.join().unwrap());
        });
        assert!(ring.wait(Duration::ZERO));
    }
}
