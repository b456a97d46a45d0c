//! What a carrier moved and dropped, by cause. Owns the numbers; must never know who reads them.

use std::{
    ops::Add,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// A reading of one carrier's counters, all since it opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CarrierCounters {
    /// Datagrams handed to the caller or put in its ring.
    pub datagrams_received: u64,
    /// Bytes of those, without UDP and IP headers.
    pub bytes_received: u64,
    /// Datagrams given to the kernel (or to the memory hub).
    pub datagrams_sent: u64,
    /// Bytes of those, without UDP and IP headers.
    pub bytes_sent: u64,
    /// Arrived while the receiving ring was full: the newest is dropped.
    pub dropped_ring_full: u64,
    /// Longer than [`crate::DATAGRAM_BYTES_MAX`].
    pub dropped_oversize: u64,
    /// To be sent while the sending ring was full, or the kernel would have blocked.
    pub dropped_send_full: u64,
    /// To be sent, but too long for the path and not to be fragmented.
    pub dropped_path_mtu: u64,
    /// Arrived with a sender's address that no peer of the network can have (see [`crate::Joined`]).
    pub dropped_forged: u64,
    /// The kernel refused to send or to receive for any other reason (no route, address family, …); of a WebSocket
    /// carrier: connections that came to nothing or were closed for what the peer did.
    pub errors: u64,
}

impl Add for CarrierCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            datagrams_received: self.datagrams_received + other.datagrams_received,
            bytes_received: self.bytes_received + other.bytes_received,
            datagrams_sent: self.datagrams_sent + other.datagrams_sent,
            bytes_sent: self.bytes_sent + other.bytes_sent,
            dropped_ring_full: self.dropped_ring_full + other.dropped_ring_full,
            dropped_oversize: self.dropped_oversize + other.dropped_oversize,
            dropped_send_full: self.dropped_send_full + other.dropped_send_full,
            dropped_path_mtu: self.dropped_path_mtu + other.dropped_path_mtu,
            dropped_forged: self.dropped_forged + other.dropped_forged,
            errors: self.errors + other.errors,
        }
    }
}

/// The same numbers, shared between the threads of one carrier.
#[derive(Debug, Default)]
pub(crate) struct SharedCounters {
    pub(crate) datagrams_received: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) datagrams_sent: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) dropped_ring_full: AtomicU64,
    pub(crate) dropped_oversize: AtomicU64,
    pub(crate) dropped_send_full: AtomicU64,
    pub(crate) dropped_path_mtu: AtomicU64,
    pub(crate) errors: AtomicU64,
}

impl SharedCounters {
    pub(crate) fn received(&self, datagrams: usize, bytes: usize) {
        add(&self.datagrams_received, datagrams);
        add(&self.bytes_received, bytes);
    }

    pub(crate) fn sent(&self, datagrams: usize, bytes: usize) {
        add(&self.datagrams_sent, datagrams);
        add(&self.bytes_sent, bytes);
    }

    pub(crate) fn read(&self) -> CarrierCounters {
        CarrierCounters {
            datagrams_received: self.datagrams_received.load(Relaxed),
            bytes_received: self.bytes_received.load(Relaxed),
            datagrams_sent: self.datagrams_sent.load(Relaxed),
            bytes_sent: self.bytes_sent.load(Relaxed),
            dropped_ring_full: self.dropped_ring_full.load(Relaxed),
            dropped_oversize: self.dropped_oversize.load(Relaxed),
            dropped_send_full: self.dropped_send_full.load(Relaxed),
            dropped_path_mtu: self.dropped_path_mtu.load(Relaxed),
            dropped_forged: 0,
            errors: self.errors.load(Relaxed),
        }
    }
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Counts some; most often none, which costs nothing.
pub(crate) fn add(counter: &AtomicU64, some: usize) {
    if some > 0 {
        counter.fetch_add(some as u64, Relaxed);
    }
}
