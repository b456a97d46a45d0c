//! A UDP socket with its own threads: the tick thread never waits for the kernel.
//! Owns: two threads (one that receives, one that sends), their rings, their end. Must never know: packets, sessions.
//!
//! | direction | ring | full |
//! |---|---|---|
//! | in | kernel → receiving thread → ring → [`UdpThread::receive_timed`] | drop the newest, count `dropped_ring_full` |
//! | out | [`Carrier::send`] gathers → [`Carrier::flush`] → ring → sending thread → kernel | drop the newest, count `dropped_send_full` |
//!
//! Both threads sleep in the kernel or on the ring, and end when the carrier is dropped: what was flushed before is
//! still sent.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    Carrier, CarrierCounters, DATAGRAM_BYTES_MAX, Datagram, SocketOptions, TransportError,
    counters::{SharedCounters, count},
    ring::Ring,
    udp::Failure,
};

/// How [`UdpThread`] is set up.
#[derive(Clone, Copy, Debug)]
pub struct UdpThreadConfig {
    /// The socket's own options.
    pub socket: SocketOptions,
    /// Datagrams that wait unread at most, in each direction. Each costs 2 KiB once it was used.
    pub ring_datagrams_max: usize,
}

impl Default for UdpThreadConfig {
    fn default() -> Self {
        // 4096 = four ticks of 1024 clients that send one datagram a tick.
        Self { socket: SocketOptions::default(), ring_datagrams_max: 4096 }
    }
}

/// A UDP socket whose input and output run on threads of their own.
#[derive(Debug)]
pub struct UdpThread {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    receiver: Option<JoinHandle<()>>,
    sender: Option<JoinHandle<()>>,
    arrived: VecDeque<Datagram>,
    used: Vec<Datagram>,
    outgoing: Vec<Datagram>,
}

#[derive(Debug)]
struct Shared {
    socket: UdpSocket,
    inbox: Ring,
    outbox: Ring,
    counters: SharedCounters,
    stopping: AtomicBool,
}

impl UdpThread {
    /// Binds `addr` (port 0: any free one) and starts both threads.
    ///
    /// # Errors
    /// The address cannot be bound, the socket cannot be set up, or there is no thread to be had.
    pub fn open(addr: SocketAddr, config: UdpThreadConfig) -> Result<Self, TransportError> {
        let socket = config.socket.bind(addr)?;
        // A second way out of a blocked read, should the wake-up datagram of `Drop` be filtered.
        socket.set_read_timeout(Some(READ_TIMEOUT)).map_err(TransportError::Configure)?;
        let local_addr = socket.local_addr().map_err(TransportError::Configure)?;
        let shared = Arc::new(Shared {
            socket,
            inbox: Ring::new(config.ring_datagrams_max),
            outbox: Ring::new(config.ring_datagrams_max),
            counters: SharedCounters::default(),
            stopping: AtomicBool::new(false),
        });
        let mut opened = Self {
            shared: Arc::clone(&shared),
            local_addr,
            receiver: None,
            sender: None,
            arrived: VecDeque::new(),
            used: Vec::new(),
            outgoing: Vec::new(),
        };
        opened.receiver = Some(spawn("udp-receive", &shared, Shared::receive_all)?);
        opened.sender = Some(spawn("udp-send", &shared, Shared::send_all)?);
        Ok(opened)
    }

    /// Like [`Carrier::receive`], with the moment at which each datagram arrived: what round-trip times and input
    /// margins are to be measured by, since a tick may read a datagram up to a tick late.
    pub fn receive_timed(&mut self, accept: &mut dyn FnMut(Instant, SocketAddr, &mut [u8])) -> usize {
        self.shared.inbox.take_all(&mut self.arrived, &mut self.used);
        let received = self.arrived.len();
        while let Some(mut datagram) = self.arrived.pop_front() {
            accept(datagram.at, datagram.addr, datagram.bytes_mut());
            self.used.push(datagram);
        }
        received
    }

    /// Sleeps until a datagram is there to be read, at most `timeout`; whether there is one.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.shared.inbox.wait(timeout)
    }

    fn wake_receiver(&self) {
        let mut target = self.local_addr;
        match target.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => target.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => target.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        // If this is lost, the read timeout ends the thread a little later.
        let _ = self.shared.socket.send_to(&[], target);
    }
}

impl Carrier for UdpThread {
    fn receive(&mut self, accept: &mut dyn FnMut(SocketAddr, &mut [u8])) -> usize {
        self.receive_timed(&mut |_, from, bytes| accept(from, bytes))
    }

    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        let mut buffer = self.shared.outbox.buffer();
        if buffer.fill(to, datagram) {
            self.outgoing.push(buffer);
        } else {
            count(&self.shared.counters.dropped_oversize);
        }
        if self.outgoing.len() >= GATHER_MAX {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let refused = self.shared.outbox.push_all(&mut self.outgoing);
        self.shared.counters.dropped_send_full.fetch_add(refused as u64, Ordering::Relaxed);
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
        let mut datagram = self.inbox.buffer();
        while !self.stopping() {
            match self.socket.recv_from(datagram.room()) {
                Ok((len, _)) if len > DATAGRAM_BYTES_MAX => count(&self.counters.dropped_oversize),
                Ok((len, from)) => {
                    datagram.addr = from;
                    datagram.at = Instant::now();
                    datagram.set_len(len);
                    datagram = self.accept(datagram);
                }
                Err(error) => self.pause_after(&error),
            }
        }
    }

    /// Queues `datagram` and returns the buffer for the next one.
    fn accept(&self, datagram: Datagram) -> Datagram {
        let len = datagram.bytes().len();
        match self.inbox.push(datagram) {
            Ok(()) => {
                self.counters.received(len);
                self.inbox.buffer()
            }
            Err(refused) => {
                if !self.stopping() {
                    count(&self.counters.dropped_ring_full);
                }
                refused
            }
        }
    }

    /// An error that stays must not become a busy loop.
    fn pause_after(&self, error: &io::Error) {
        if Failure::of(error) == Failure::Other {
            count(&self.counters.errors);
            thread::sleep(ERROR_PAUSE);
        }
    }

    /// The sending thread.
    fn send_all(&self) {
        let (mut batch, mut used) = (VecDeque::new(), Vec::new());
        while self.outbox.take_all_blocking(&mut batch, &mut used) {
            while let Some(datagram) = batch.pop_front() {
                self.send_one(&datagram);
                used.push(datagram);
            }
        }
    }

    fn send_one(&self, datagram: &Datagram) {
        match self.socket.send_to(datagram.bytes(), datagram.addr) {
            Ok(_) => self.counters.sent(datagram.bytes().len()),
            Err(error) if Failure::of(&error) == Failure::WouldBlock => {
                count(&self.counters.dropped_send_full);
            }
            Err(_) => count(&self.counters.errors),
        }
    }
}

fn spawn(name: &str, shared: &Arc<Shared>, run: fn(&Shared)) -> Result<JoinHandle<()>, TransportError> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name(name.into()).spawn(move || run(&shared)).map_err(TransportError::Thread)
}

/// How long the receiving thread may sleep past the end of its carrier at worst.
const READ_TIMEOUT: Duration = Duration::from_millis(250);
/// The pause after an error of the socket that may stay.
const ERROR_PAUSE: Duration = Duration::from_millis(5);
/// Datagrams gathered before they are pushed without waiting for [`Carrier::flush`].
const GATHER_MAX: usize = 64;
