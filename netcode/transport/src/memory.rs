//! Carriers that meet in this process's memory: tests, and a client beside its server.
//! Owns: the hub's table of queues. Must never know: time (the weather is `netcode-sim`'s).

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use netcode_wire::Ecn;

use crate::{Arrival, Carrier, CarrierCounters, DATAGRAM_BYTES_MAX};

/// Datagrams that one memory carrier holds unread; the newest beyond that is dropped and counted.
const QUEUE_DATAGRAMS_MAX: usize = 4096;

#[derive(Debug, Default)]
struct Inbox {
    datagrams: VecDeque<(SocketAddr, Ecn, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
    dropped_full: u64,
}

type Table = HashMap<SocketAddr, Inbox>;

/// The network that memory carriers share. Cheap to clone; every clone is the same network.
#[derive(Clone, Debug, Default)]
pub struct MemoryHub {
    table: Arc<Mutex<Table>>,
}

impl MemoryHub {
    /// An empty network.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a carrier at `addr`, or `None` where that address is taken.
    pub fn open(&self, addr: SocketAddr) -> Option<MemoryCarrier> {
        let mut table = self.lock();
        if table.contains_key(&addr) {
            return None;
        }
        table.insert(addr, Inbox::default());
        Some(MemoryCarrier { hub: self.clone(), addr, counters: CarrierCounters::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end in a [`MemoryHub`]: loses nothing and keeps the order while queues have room. Dropping it frees its
/// address.
#[derive(Debug)]
pub struct MemoryCarrier {
    hub: MemoryHub,
    addr: SocketAddr,
    counters: CarrierCounters,
}

impl MemoryCarrier {
    fn take(&self) -> Option<(SocketAddr, Ecn, Vec<u8>)> {
        self.hub.lock().get_mut(&self.addr)?.datagrams.pop_front()
    }

    fn give_back(&self, buffer: Vec<u8>) {
        if let Some(inbox) = self.hub.lock().get_mut(&self.addr) {
            inbox.spare.push(buffer);
        }
    }
}

impl Carrier for MemoryCarrier {
    fn receive_arrivals(&mut self, accept: &mut dyn FnMut(&Arrival, &mut [u8])) -> usize {
        let mut received = 0;
        let at = Instant::now();
        // The lock is not held while `accept` runs: it may well send.
        while let Some((from, ecn, mut bytes)) = self.take() {
            self.counters.datagrams_received += 1;
            self.counters.bytes_received += bytes.len() as u64;
            accept(&Arrival { from, at, ecn }, &mut bytes);
            self.give_back(bytes);
            received += 1;
        }
        received
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.send_marked(to, Ecn::NotCapable, datagram);
    }

    fn send_marked(&mut self, to: SocketAddr, ecn: Ecn, datagram: &[u8]) {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            self.counters.dropped_oversize += 1;
            return;
        }
        // Nobody at that address: lost without a word, as on a real network.
        if let Some(inbox) = self.hub.lock().get_mut(&to) {
            if inbox.datagrams.len() >= QUEUE_DATAGRAMS_MAX {
                inbox.dropped_full += 1;
            } else {
                let mut bytes = inbox.spare.pop().unwrap_or_default();
                bytes.clear();
                bytes.extend_from_slice(datagram);
                inbox.datagrams.push_back((self.addr, ecn, bytes));
            }
        }
        self.counters.datagrams_sent += 1;
        self.counters.bytes_sent += datagram.len() as u64;
    }

    fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    fn counters(&self) -> CarrierCounters {
        let dropped_ring_full = self.hub.lock().get(&self.addr).map_or(0, |inbox| inbox.dropped_full);
        CarrierCounters { dropped_ring_full, ..self.counters }
    }
}

impl Drop for MemoryCarrier {
    fn drop(&mut self) {
        self.hub.lock().remove(&self.addr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn read(carrier: &mut MemoryCarrier) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut all = Vec::new();
        carrier.receive(&mut |from, bytes| all.push((from, bytes.to_vec())));
        all
    }

    #[test]
    fn datagrams_arrive_in_order_with_their_sender() {
        let hub = MemoryHub::new();
        let (mut a, mut b) = (hub.open(addr(1)).unwrap(), hub.open(addr(2)).unwrap());
        a.send(addr(2), b"one");
        a.send(addr(2), b"two");
        assert_eq!(read(&mut b), [(addr(1), b"one".to_vec()), (addr(1), b"two".to_vec())]);
        assert_eq!(read(&mut b), []);
    }

    #[test]
    fn an_address_is_held_by_one_carrier_until_it_is_dropped() {
        let hub = MemoryHub::new();
        let first = hub.open(addr(1)).unwrap();
        assert!(hub.open(addr(1)).is_none());
        drop(first);
        assert!(hub.open(addr(1)).is_some());
    }

    #[test]
    fn a_full_inbox_drops_the_newest_and_counts_it() {
        let hub = MemoryHub::new();
        let (mut a, mut b) = (hub.open(addr(1)).unwrap(), hub.open(addr(2)).unwrap());
        for n in 0..=QUEUE_DATAGRAMS_MAX {
            a.send(addr(2), &(n as u32).to_le_bytes());
        }
        assert_eq!(read(&mut b).len(), QUEUE_DATAGRAMS_MAX);
        assert_eq!(b.counters().dropped_ring_full, 1);
    }

    #[test]
    fn one_may_answer_while_receiving() {
        let hub = MemoryHub::new();
        let (mut a, mut b) = (hub.open(addr(1)).unwrap(), hub.open(addr(2)).unwrap());
        let mut answer = hub.open(addr(3)).unwrap();
        a.send(addr(2), b"ping");
        b.receive(&mut |from, bytes| answer.send(from, bytes));
        assert_eq!(read(&mut a), [(addr(3), b"ping".to_vec())]);
    }
}
