//! Datagrams that wait to be polled, in buffers that are used again. Must never know what is in them.

use std::collections::VecDeque;
use std::net::SocketAddr;

use netcode_proto::{Counters, Transmit};
use netcode_wire::Ecn;

/// A queue of datagrams; the newest beyond [`DATAGRAMS_MAX`] are dropped and counted.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    queue: VecDeque<(SocketAddr, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
    polled: Vec<u8>,
    pub(crate) counters: Counters,
}

impl Outgoing {
    pub(crate) fn push(&mut self, to: SocketAddr, datagram: &[u8]) {
        if self.queue.len() >= DATAGRAMS_MAX {
            self.counters.outbox_overflowed += 1;
            return;
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(datagram);
        self.counters.datagrams_out += 1;
        self.counters.bytes_out += datagram.len() as u64;
        self.queue.push_back((to, buffer));
    }

    pub(crate) fn poll(&mut self) -> Option<Transmit<'_>> {
        let (to, bytes) = self.queue.pop_front()?;
        let done = std::mem::replace(&mut self.polled, bytes);
        if self.spare.len() < SPARE_MAX {
            self.spare.push(done);
        }
        Some(Transmit { to, ecn: Ecn::NotCapable, bytes: &self.polled })
    }

    pub(crate) fn note_received(&mut self, bytes: usize) {
        self.counters.datagrams_in += 1;
        self.counters.bytes_in += bytes as u64;
    }
}

/// Four datagrams for each of 4096 clients: a whole tick, unless nobody polls.
const DATAGRAMS_MAX: usize = 16_384;
/// Buffers kept for the next tick.
const SPARE_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_polls_is_bounded_and_counted() {
        let to = SocketAddr::from(([10, 0, 0, 1], 1));
        let mut outgoing = Outgoing::default();
        for n in 0..DATAGRAMS_MAX + 3 {
            outgoing.push(to, &n.to_le_bytes());
        }
        let polled = std::iter::from_fn(|| outgoing.poll().map(|transmit| transmit.bytes.to_vec()));
        assert_eq!(polled.count(), DATAGRAMS_MAX);
        assert_eq!(outgoing.counters.outbox_overflowed, 3);
    }
}
