//! A UDP socket with its own threads: the tick thread never waits for the kernel.
//! Owns: two threads (one that receives, one that sends), their rings, their end. Must never know: packets, sessions.
//!
//! | direction | ring | full |
//! |---|---|---|
//! | in | kernel → receiving thread → ring → [`UdpThread::receive_timed`] | drop the newest, count `dropped_ring_full` |
//! | out | [`Carrier::send`] gathers → [`Carrier::flush`] → ring → sending thread → kernel | drop the newest, count `dropped_send_full` |
//!
//! The receiving thread keeps the kernel's buffer from running over between ticks. It does not wake for every
//! datagram: after each look it rests ([`UdpThreadConfig::gather`]). Nothing is late for that, since the tick thread
//! itself empties the socket when it reads, and arrivals carry the kernel's stamp.
//!
//! Both threads sleep in the kernel or on the ring, and end when the carrier is dropped: what was flushed before is
//! still sent.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use netcode_wire::Ecn;

use super::{
    Abilities, SocketOptions, TransportError,
    socket::{Failure, NativeSocket, ReceiveBuffers},
};
use crate::{
    Arrival, Carrier, CarrierCounters, DATAGRAM_BYTES_MAX,
    counters::{SharedCounters, add, count},
    parcels::Parcels,
    ring::Ring,
};

/// How [`UdpThread`] is set up.
#[derive(Clone, Copy, Debug)]
pub struct UdpThreadConfig {
    /// The socket's own options.
    pub socket: SocketOptions,
    /// Datagrams that wait unread at most, in each direction: so many times their length is the most memory used.
    pub ring_datagrams_max: usize,
    /// How long the receiving thread rests after it has read, and so lets datagrams gather in the kernel's buffer.
    /// While the tick thread empties that before it is half full, the rests grow up to 16 ms. Zero: no rest, and one
    /// wake-up for each datagram that comes alone. What sleeps in [`UdpThread::wait`] is woken as much later.
    pub gather: Duration,
    /// Who makes the system calls that send.
    pub send_from: SendFrom,
}

/// Who sends what [`Carrier::flush`] hands over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendFrom {
    /// A thread of its own. The tick thread pays a copy a datagram, and waits for nothing.
    #[default]
    OwnThread,
    /// The thread that flushes. Less work in sum, all of it within the tick: for many small servers on one machine.
    TickThread,
}

impl Default for UdpThreadConfig {
    fn default() -> Self {
        // 4096 = four ticks of 1024 clients that send one datagram a tick. 4 ms = 250 wake-ups a second at most; the
        // smallest common kernel buffer (416 KiB with its overhead) holds as much of 45 000 datagrams a second.
        Self {
            socket: SocketOptions::default(),
            ring_datagrams_max: 4096,
            gather: Duration::from_millis(4),
            send_from: SendFrom::OwnThread,
        }
    }
}

/// A UDP socket whose input and output run on threads of their own.
#[derive(Debug)]
pub struct UdpThread {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    receiver: Option<JoinHandle<()>>,
    sender: Option<JoinHandle<()>>,
    arrived: Parcels<Arrival>,
    outgoing: Parcels<(SocketAddr, Ecn)>,
}

#[derive(Debug)]
struct Shared {
    socket: NativeSocket,
    /// Whoever holds it reads the socket: either the receiving thread or, at its tick, the tick thread.
    reader: Mutex<Reader>,
    inbox: Ring<Arrival>,
    outbox: Ring<(SocketAddr, Ecn)>,
    counters: SharedCounters,
    stopping: AtomicBool,
    gather: Duration,
    rest_max: Duration,
    send_from: SendFrom,
}

#[derive(Debug)]
struct Reader {
    buffers: ReceiveBuffers,
    burst: Parcels<Arrival>,
    /// The most datagrams that one look found since the receiving thread last rested.
    found_max: usize,
}

/// What a look at the socket found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Everything there was.
    Emptied,
    /// As much as one look may take: there is more.
    More,
    /// An error that may stay.
    Failed,
}

impl UdpThread {
    /// Binds `addr` (port 0: any free one) and starts both threads.
    ///
    /// # Errors
    /// The address cannot be bound, the socket cannot be set up, or there is no thread to be had.
    pub fn open(addr: SocketAddr, config: UdpThreadConfig) -> Result<Self, TransportError> {
        let socket = NativeSocket::open(addr, &config.socket)?;
        let local_addr = socket.local_addr()?;
        let reader =
            Reader { buffers: socket.buffers(RECEIVE_BATCH), burst: Parcels::default(), found_max: 0 };
        // Without the kernel's stamps, an arrival is dated by the look that found it.
        let stamped = socket.abilities().batched;
        let gather = if stamped { config.gather } else { config.gather.min(GATHER_UNSTAMPED_MAX) };
        let rest_max = if stamped { REST_MAX.max(gather) } else { gather };
        let shared = Arc::new(Shared {
            socket,
            reader: Mutex::new(reader),
            inbox: Ring::new(config.ring_datagrams_max),
            outbox: Ring::new(config.ring_datagrams_max),
            counters: SharedCounters::default(),
            stopping: AtomicBool::new(false),
            gather,
            rest_max,
            send_from: config.send_from,
        });
        let mut opened = Self {
            shared: Arc::clone(&shared),
            local_addr,
            receiver: None,
            sender: None,
            arrived: Parcels::default(),
            outgoing: Parcels::default(),
        };
        opened.receiver = Some(spawn("udp-receive", &shared, Shared::receive_all)?);
        if config.send_from == SendFrom::OwnThread {
            opened.sender = Some(spawn("udp-send", &shared, Shared::send_all)?);
        }
        Ok(opened)
    }

    /// [`Carrier::receive_arrivals`] for a caller that wants the moment of arrival and the sender.
    pub fn receive_timed(&mut self, accept: &mut dyn FnMut(Instant, SocketAddr, &mut [u8])) -> usize {
        self.receive_arrivals(&mut |arrival, bytes| accept(arrival.at, arrival.from, bytes))
    }

    /// Sleeps until a datagram is there to be read, at most `timeout`; whether there is one.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.shared.inbox.wait(timeout)
    }

    /// What the socket can do on this system.
    pub fn abilities(&self) -> Abilities {
        self.shared.socket.abilities()
    }

    fn wake_receiver(&self) {
        let mut target = self.local_addr;
        match target.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => target.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => target.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        // If this is lost, the end of its wait ends the thread a little later.
        let _ = self.shared.socket.udp().send_to(&[], target);
    }
}

impl Carrier for UdpThread {
    fn receive_arrivals(&mut self, accept: &mut dyn FnMut(&Arrival, &mut [u8])) -> usize {
        self.shared.look();
        self.shared.inbox.take_all(&mut self.arrived);
        self.arrived.for_each(accept);
        self.arrived.len()
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.send_marked(to, Ecn::NotCapable, datagram);
    }

    fn send_marked(&mut self, to: SocketAddr, ecn: Ecn, datagram: &[u8]) {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            count(&self.shared.counters.dropped_oversize);
            return;
        }
        self.outgoing.push((to, ecn), datagram);
        if self.outgoing.len() >= GATHER_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.sender.is_none() {
            self.shared.send_burst(&self.outgoing);
            self.outgoing.clear();
            return;
        }
        let pushed = self.shared.outbox.push_all(&mut self.outgoing);
        add(&self.shared.counters.dropped_send_full, pushed.refused);
    }

    fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    fn counters(&self) -> CarrierCounters {
        self.shared.counters.read()
    }
}

impl Drop for UdpThread {
    fn drop(&mut self) {
        self.flush();
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.outbox.close();
        self.shared.inbox.close();
        self.wake_receiver();
        for thread in [self.sender.take(), self.receiver.take()].into_iter().flatten() {
            // A thread that panicked has already said so; there is nothing left to save.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The receiving thread.
    fn receive_all(&self) {
        let holds = self.socket.datagrams_held_min();
        let mut rest = self.gather;
        while !self.stopping() {
            self.socket.wait_readable(READ_TIMEOUT);
            match self.look() {
                Look::More => continue,
                Look::Failed => thread::sleep(ERROR_PAUSE),
                Look::Emptied => thread::sleep(rest),
            }
            let found_max = std::mem::take(&mut self.reader().found_max);
            // Longer and longer while the tick thread alone empties the kernel's buffer before it is half full.
            rest = if found_max > holds / 2 { self.gather } else { (rest * 2).min(self.rest_max) };
        }
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        // A panic elsewhere leaves at worst a burst behind, which is queued with the next.
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves what the kernel holds into the ring.
    fn look(&self) -> Look {
        let mut reader = self.reader();
        let Reader { buffers, burst, found_max } = &mut *reader;
        let mut look = Look::More;
        while look == Look::More && burst.len() < LOOK_MAX {
            let batch = self.socket.receive_batch(buffers, &self.counters, &mut |arrival, datagram| {
                burst.push(*arrival, datagram);
            });
            look = match batch.map_err(|error| Failure::of(&error)) {
                Ok(()) | Err(Failure::Passing) => Look::More,
                Err(Failure::WouldBlock) => Look::Emptied,
                Err(Failure::PathMtu | Failure::Other) => Look::Failed,
            };
        }
        *found_max = burst.len().max(*found_max);
        // Under the reader's lock, so that two looks queue in the order in which they read.
        let pushed = self.inbox.push_all(burst);
        drop(reader);
        self.counters.received(pushed.datagrams, pushed.bytes);
        if look == Look::Failed {
            count(&self.counters.errors);
        }
        if !self.stopping() {
            add(&self.counters.dropped_ring_full, pushed.refused);
        }
        look
    }

    /// The sending thread.
    fn send_all(&self) {
        let mut burst = Parcels::default();
        while self.outbox.take_all_blocking(&mut burst) {
            self.send_burst(&burst);
        }
    }

    fn send_burst(&self, burst: &Parcels<(SocketAddr, Ecn)>) {
        let mut start = 0;
        while start < burst.len() {
            start += self.send_some(burst, start);
        }
    }

    /// Sends as much of `burst` from `start` on as one call takes, and returns how many datagrams that was.
    fn send_some(&self, burst: &Parcels<(SocketAddr, Ecn)>, start: usize) -> usize {
        let count = self.socket.run_len(burst, start);
        let bytes = burst.run(start..start + count);
        if count > 1 {
            let segment_bytes = burst.run(start..start + 1).len();
            if self.patiently(|| self.socket.send_run(burst.head(start), bytes, segment_bytes)).is_ok() {
                self.counters.sent(count, bytes.len());
                return count;
            }
            // One by one, each gets its own verdict: the offload may be what was refused.
        }
        for index in start..start + count {
            self.send_one(burst.head(index), burst.run(index..index + 1));
        }
        count
    }

    fn send_one(&self, to: (SocketAddr, Ecn), datagram: &[u8]) {
        match self.patiently(|| self.socket.send(to, datagram)) {
            Ok(()) => self.counters.sent(1, datagram.len()),
            Err(failure) => failure.count_unsent(&self.counters),
        }
    }

    /// Tries, and where the kernel has no room the sending thread waits once for some; the tick thread never does.
    fn patiently(&self, try_send: impl Fn() -> io::Result<()>) -> Result<(), Failure> {
        let first = try_send().map_err(|error| Failure::of(&error));
        if first != Err(Failure::WouldBlock) || self.send_from == SendFrom::TickThread {
            return first;
        }
        self.socket.wait_writable(WRITE_TIMEOUT);
        try_send().map_err(|error| Failure::of(&error))
    }
}

fn spawn(name: &str, shared: &Arc<Shared>, run: fn(&Shared)) -> Result<JoinHandle<()>, TransportError> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name(name.into()).spawn(move || run(&shared)).map_err(TransportError::Thread)
}

/// How long the receiving thread may sleep past the end of its carrier at worst, and how often an idle one wakes.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the sending thread waits for room in the kernel's buffer: longer, and what waits behind is stale.
const WRITE_TIMEOUT: Duration = Duration::from_millis(10);
/// The pause after an error of the socket that may stay.
const ERROR_PAUSE: Duration = Duration::from_millis(5);
/// The longest rest: a tick thread at 60 Hz has looked in the meantime.
const REST_MAX: Duration = Duration::from_millis(16);
/// The longest rest where arrivals carry no stamp.
const GATHER_UNSTAMPED_MAX: Duration = Duration::from_millis(1);
/// Buffers of one receiving call.
const RECEIVE_BATCH: usize = 32;
/// Datagrams that one look takes, so that a flood cannot hold the tick thread for ever.
const LOOK_MAX: usize = 4096;
/// Datagrams gathered before they are pushed without waiting for [`Carrier::flush`].
const GATHER_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_thread_allocates_for_a_datagram() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let carrier = UdpThread::open(any, UdpThreadConfig::default()).expect("loopback has free ports");
        let mut burst = Parcels::default();
        for n in 0..200u16 {
            // Four in a row to the carrier itself are one segmented send; what follows is sent one by one.
            let len = if n < 100 { 200 } else { 100 + usize::from(n) };
            burst.push((carrier.local_addr(), Ecn::Ect0), &[7; 400][..len]);
        }
        let mut taken = Parcels::default();
        let mut turn = || {
            carrier.shared.send_burst(&burst);
            carrier.shared.look();
            carrier.shared.inbox.take_all(&mut taken);
        };
        // Three buffers take turns: each must have seen its largest burst, which the receiving thread may have split.
        (0..50).for_each(|_| turn());
        // The receiving thread's looks are the same code; it holds the lock for the rare one that comes between.
        let allocations = (0..50).map(|_| allocation_counter::measure(&mut turn).count_total).min();
        assert_eq!(allocations, Some(0));
        let counters = carrier.counters();
        assert_eq!((counters.datagrams_sent, counters.errors), (20_000, 0));
    }
}
