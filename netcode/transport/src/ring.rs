//! A bounded queue of datagrams between two threads, with its buffers pooled.
//! Owns: the lock, the queue, the spare buffers. Must never know: sockets, or which side is which.
//!
//! Both sides hold the lock only to move pointers. The reading side takes everything at once, so that a tick costs
//! one lock however many datagrams came. After the first full use no buffer is allocated again.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::DATAGRAM_BYTES_MAX;

/// Room for one byte more than is allowed: a datagram that fills it was cut off, and is dropped as oversize.
const BUFFER_BYTES: usize = DATAGRAM_BYTES_MAX + 1;

/// One datagram in a pooled buffer.
#[derive(Debug)]
pub struct Datagram {
    /// Who sent it, or who it goes to.
    pub addr: SocketAddr,
    /// When the carrier saw it: closer to its true arrival than the tick that reads it.
    pub at: Instant,
    len: usize,
    buffer: Box<[u8]>,
}

impl Datagram {
    fn new() -> Self {
        let addr = SocketAddr::from(([0, 0, 0, 0], 0));
        Self { addr, at: Instant::now(), len: 0, buffer: vec![0; BUFFER_BYTES].into() }
    }

    /// The datagram's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// The datagram's bytes, to be decrypted in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.len]
    }

    /// The whole buffer, for a socket to write into; then [`Datagram::set_len`].
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    pub(crate) fn set_len(&mut self, len: usize) {
        debug_assert!(len <= self.buffer.len());
        self.len = len.min(self.buffer.len());
    }

    /// Copies `bytes` in; false, and nothing changed, where they are too long.
    pub(crate) fn fill(&mut self, addr: SocketAddr, bytes: &[u8]) -> bool {
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return false;
        }
        self.addr = addr;
        self.buffer[..bytes.len()].copy_from_slice(bytes);
        self.len = bytes.len();
        true
    }
}

#[derive(Debug)]
struct Inner {
    queue: VecDeque<Datagram>,
    spare: Vec<Datagram>,
    closed: bool,
}

/// The queue. Policy when full: the newest datagram is refused.
#[derive(Debug)]
pub(crate) struct Ring {
    inner: Mutex<Inner>,
    changed: Condvar,
    datagrams_max: usize,
}

impl Ring {
    pub(crate) fn new(datagrams_max: usize) -> Self {
        assert!(datagrams_max > 0, "a ring needs room for at least one datagram");
        let inner = Inner { queue: VecDeque::new(), spare: Vec::new(), closed: false };
        Self { inner: Mutex::new(inner), changed: Condvar::new(), datagrams_max }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere cannot leave pointers half moved, so a poisoned queue is still whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer to write the next datagram into: a used one where there is one.
    pub(crate) fn buffer(&self) -> Datagram {
        let spare = self.lock().spare.pop();
        spare.unwrap_or_else(Datagram::new)
    }

    /// Queues `datagram` and wakes the reader. Gives it back where the ring is full or closed.
    pub(crate) fn push(&self, datagram: Datagram) -> Result<(), Datagram> {
        let mut inner = self.lock();
        if inner.closed || inner.queue.len() >= self.datagrams_max {
            return Err(datagram);
        }
        inner.queue.push_back(datagram);
        drop(inner);
        self.changed.notify_one();
        Ok(())
    }

    /// Queues all of `batch` that fits under one lock, wakes the reader once, and returns how many were refused.
    /// `batch` is left empty; refused buffers go back to the pool.
    pub(crate) fn push_all(&self, batch: &mut Vec<Datagram>) -> usize {
        if batch.is_empty() {
            return 0;
        }
        let mut inner = self.lock();
        let room = if inner.closed { 0 } else { self.datagrams_max.saturating_sub(inner.queue.len()) };
        let taken = room.min(batch.len());
        let refused = batch.len() - taken;
        inner.queue.extend(batch.drain(..taken));
        inner.spare.append(batch);
        drop(inner);
        self.changed.notify_one();
        refused
    }

    /// Swaps everything queued into `into` (which must be empty) and gives back the buffers in `used`.
    pub(crate) fn take_all(&self, into: &mut VecDeque<Datagram>, used: &mut Vec<Datagram>) {
        debug_assert!(into.is_empty());
        let mut inner = self.lock();
        inner.spare.append(used);
        std::mem::swap(&mut inner.queue, into);
    }

    /// Like [`Ring::take_all`], but sleeps until there is something. False once the ring is closed and empty.
    pub(crate) fn take_all_blocking(&self, into: &mut VecDeque<Datagram>, used: &mut Vec<Datagram>) -> bool {
        debug_assert!(into.is_empty());
        let mut inner = self.lock();
        inner.spare.append(used);
        while inner.queue.is_empty() && !inner.closed {
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
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        !inner.queue.is_empty()
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

    fn datagram(ring: &Ring, byte: u8) -> Datagram {
        let mut datagram = ring.buffer();
        assert!(datagram.fill(SocketAddr::from(([127, 0, 0, 1], 1)), &[byte]));
        datagram
    }

    #[test]
    fn a_full_ring_refuses_the_newest() {
        let ring = Ring::new(2);
        assert!(ring.push(datagram(&ring, 1)).is_ok());
        assert!(ring.push(datagram(&ring, 2)).is_ok());
        assert!(ring.push(datagram(&ring, 3)).is_err());
        let (mut taken, mut used) = (VecDeque::new(), Vec::new());
        ring.take_all(&mut taken, &mut used);
        assert_eq!(taken.iter().map(|d| d.bytes()[0]).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_batch_that_does_not_fit_is_cut_and_counted() {
        let ring = Ring::new(3);
        let mut batch = (0..5).map(|n| datagram(&ring, n)).collect();
        assert_eq!(ring.push_all(&mut batch), 2);
        assert!(batch.is_empty());
    }

    #[test]
    fn buffers_come_back_from_the_pool() {
        let ring = Ring::new(4);
        let first = datagram(&ring, 7);
        let place = first.buffer.as_ptr();
        assert!(ring.push(first).is_ok());
        let (mut taken, mut used) = (VecDeque::new(), Vec::new());
        ring.take_all(&mut taken, &mut used);
        used.extend(taken.drain(..));
        ring.take_all(&mut taken, &mut used);
        assert_eq!(ring.buffer().buffer.as_ptr(), place);
    }

    #[test]
    fn closing_wakes_the_reader_after_the_rest_is_read() {
        let ring = Ring::new(4);
        assert!(ring.push(datagram(&ring, 1)).is_ok());
        ring.close();
        assert!(ring.push(datagram(&ring, 2)).is_err());
        let (mut taken, mut used) = (VecDeque::new(), Vec::new());
        assert!(ring.take_all_blocking(&mut taken, &mut used));
        taken.clear();
        assert!(!ring.take_all_blocking(&mut taken, &mut used));
    }

    #[test]
    fn what_is_too_long_is_not_taken() {
        let ring = Ring::new(1);
        let mut datagram = ring.buffer();
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        assert!(!datagram.fill(addr, &[0; DATAGRAM_BYTES_MAX + 1]));
        assert!(datagram.fill(addr, &[0; DATAGRAM_BYTES_MAX]));
    }
}
