//! A bad path between a swarm and its server: a thread that carries datagrams through the seeded weather of
//! `netcode-sim`, one conditioner a direction. Must never know what is inside a datagram.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use netcode_sim::{Conditioner, Profile};
use netcode_wire::Time;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A bound relay that does not carry yet.
#[derive(Debug)]
pub(super) struct Relay {
    front: UdpSocket,
    up: Conditioner,
    down: Conditioner,
}

/// A relay that carries until it is dropped.
#[derive(Debug)]
pub(super) struct Carrying {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Binds; `seed` decides the weather of both directions.
    pub(super) fn bind(profile: Profile, seed: u64) -> anyhow::Result<Self> {
        Ok(Self {
            front: contest::open()?,
            up: Conditioner::new(profile, seed.wrapping_mul(2)),
            down: Conditioner::new(profile, seed.wrapping_mul(2) + 1),
        })
    }

    /// Where clients believe the server to be.
    pub(super) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.front.local_addr()?)
    }

    /// Begins to carry to and from `server`.
    pub(super) fn start(self, server: SocketAddr) -> anyhow::Result<Carrying> {
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&stop);
        let mut road = Road {
            relay: self,
            server,
            backs: Vec::new(),
            of_client: HashMap::new(),
            epoch: Instant::now(),
            buffer: vec![0; 2048],
        };
        let thread = thread::Builder::new().name("relay".into()).spawn(move || {
            while !shared.load(Ordering::Acquire) {
                if let Err(error) = road.turn() {
                    eprintln!("relay: {error:#}");
                    return;
                }
            }
        })?;
        Ok(Carrying { stop, thread: Some(thread) })
    }
}

impl Drop for Carrying {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Road {
    relay: Relay,
    server: SocketAddr,
    /// The socket that stands for each client before the server.
    backs: Vec<(SocketAddr, UdpSocket)>,
    of_client: HashMap<SocketAddr, usize>,
    epoch: Instant,
    buffer: Vec<u8>,
}

impl Road {
    /// Waits for a datagram or for one to be due, and carries all there is.
    fn turn(&mut self) -> anyhow::Result<()> {
        self.sleep()?;
        while let Ok((len, from)) = self.relay.front.recv_from(&mut self.buffer) {
            if !self.of_client.contains_key(&from) {
                self.of_client.insert(from, self.backs.len());
                self.backs.push((from, contest::open()?));
            }
            self.relay.up.push(now(self.epoch), from, &self.buffer[..len]);
        }
        for (client, back) in &self.backs {
            while let Ok((len, _)) = back.recv_from(&mut self.buffer) {
                self.relay.down.push(now(self.epoch), *client, &self.buffer[..len]);
            }
        }
        self.deliver();
        Ok(())
    }

    fn deliver(&mut self) {
        let now = now(self.epoch);
        while let Some((client, bytes)) = self.relay.up.poll(now) {
            let back = &self.backs[self.of_client[&client]].1;
            // A full socket loses the datagram, as a path would.
            let _ = back.send_to(&bytes, self.server);
            self.relay.up.recycle(bytes);
        }
        while let Some((client, bytes)) = self.relay.down.poll(now) {
            let _ = self.relay.front.send_to(&bytes, client);
            self.relay.down.recycle(bytes);
        }
    }

    fn sleep(&self) -> anyhow::Result<()> {
        let due = self.relay.up.next_due().into_iter().chain(self.relay.down.next_due()).min();
        let wait = due.map_or(IDLE, |due| due.since(now(self.epoch)).min(IDLE));
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.as_nanos() as _ };
        let sockets = std::iter::once(&self.relay.front).chain(self.backs.iter().map(|(_, back)| back));
        let mut fds: Vec<PollFd<'_>> = sockets.map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        match poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn now(epoch: Instant) -> Time {
    Time::ZERO + epoch.elapsed()
}

/// How long the relay sleeps at most, so that it sees its end.
const IDLE: Duration = Duration::from_millis(50);
