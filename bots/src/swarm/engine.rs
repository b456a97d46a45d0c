//! The threads that drive players, and the door through which journeys hand them in.
//!
//! A player needs a millisecond's attention sixty times a second and must never wait for another's REST call, so
//! players live on plain threads of their own, apart from the async journeys. Knows nothing of accounts and queues.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::Context;
use netcode_sim::Profile;
use netcode_wire::Time;
use server_runtime::Transport;
use tokio::{runtime::Handle, sync::oneshot};

use super::player::{Ending, Outcome, Player, PlayerSpec};

/// How often a thread looks at its players. A tick is 16.7 ms; a millisecond keeps measured latencies honest.
const ROUND: Duration = Duration::from_millis(1);

/// Drives any number of players on a fixed number of threads.
#[derive(Debug)]
pub struct Engine {
    threads: Vec<Worker>,
    next: AtomicUsize,
    transport: Transport,
    seed: u64,
}

#[derive(Debug)]
struct Worker {
    orders: Mutex<mpsc::Sender<Order>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Order {
    Play(PlayerSpec, oneshot::Sender<Outcome>),
    LeaveAll,
    Stop,
}

impl Engine {
    /// Starts `threads` threads whose players all come by `transport` and live behind `profile`.
    pub fn start(threads: u32, profile: Profile, transport: Transport, seed: u64) -> anyhow::Result<Self> {
        let workers = (0..threads.max(1)).map(|index| {
            let (sender, receiver) = mpsc::channel();
            let thread = std::thread::Builder::new()
                .name(format!("players-{index}"))
                .spawn(move || Round::new(profile).run(&receiver))
                .context("cannot start a network thread")?;
            Ok(Worker { orders: Mutex::new(sender), thread: Mutex::new(Some(thread)) })
        });
        let threads = workers.collect::<anyhow::Result<_>>()?;
        Ok(Self { threads, next: AtomicUsize::new(0), transport, seed })
    }

    /// Connects with `token` and plays until the match is over, the server is lost, everybody leaves, or the player has
    /// had enough. A WebSocket goes to `websocket_url`; without one, to the server that the token names.
    pub async fn play(
        &self,
        token: Vec<u8>,
        websocket_url: Option<String>,
        leave_after: Option<Duration>,
    ) -> Outcome {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(index as u64);
        let (transport, runtime) = (self.transport, Handle::current());
        let spec = PlayerSpec { token, transport, websocket_url, runtime, seed, leave_after };
        let (sender, receiver) = oneshot::channel();
        let worker = &self.threads[index % self.threads.len()];
        worker.order(Order::Play(spec, sender));
        receiver.await.unwrap_or_else(|_| Outcome::lost("the network thread ended"))
    }

    /// Lets every player say goodbye; their `play` calls return.
    pub fn leave_all(&self) {
        for worker in &self.threads {
            worker.order(Order::LeaveAll);
        }
    }

    /// Ends the threads. Players still in are dropped without a goodbye.
    pub fn stop(&self) {
        for worker in &self.threads {
            worker.order(Order::Stop);
            let thread = worker.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            if let Some(thread) = thread
                && thread.join().is_err()
            {
                tracing::error!("a network thread panicked");
            }
        }
    }
}

impl Worker {
    fn order(&self, order: Order) {
        let orders = self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A worker that is gone drops the order, and with it the answer's sender: the caller hears of it there.
        let _gone = orders.send(order);
    }
}

/// One thread's players and its clock.
struct Round {
    profile: Profile,
    epoch: Instant,
    players: Vec<(Player, oneshot::Sender<Outcome>)>,
    leaving: bool,
    stopped: bool,
}

impl Round {
    fn new(profile: Profile) -> Self {
        Self { profile, epoch: Instant::now(), players: Vec::new(), leaving: false, stopped: false }
    }

    fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn run(mut self, orders: &mpsc::Receiver<Order>) {
        while !self.stopped {
            let wait = if self.players.is_empty() { Duration::from_millis(100) } else { ROUND };
            match orders.recv_timeout(wait) {
                Ok(order) => self.obey(order),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(order) = orders.try_recv() {
                self.obey(order);
            }
            self.drive();
        }
    }

    fn obey(&mut self, order: Order) {
        let now = self.now();
        match order {
            // Whoever comes when all leave is not let in.
            Order::Play(_, answer) if self.leaving => drop(answer.send(Outcome::none(Ending::Left))),
            Order::Play(spec, answer) => {
                match Player::join(&spec, &self.profile, now) {
                    Ok(player) => self.players.push((player, answer)),
                    // Nobody waits for the answer any more: then nobody needs it.
                    Err(reason) => drop(answer.send(Outcome::lost(&reason))),
                }
            }
            Order::LeaveAll => {
                self.leaving = true;
                for (player, _) in &mut self.players {
                    player.leave(now);
                }
            }
            Order::Stop => self.stopped = true,
        }
    }

    fn drive(&mut self) {
        let mut index = 0;
        while index < self.players.len() {
            let now = self.now();
            let (player, answer) = &mut self.players[index];
            // The journey that waited is gone: say goodbye rather than play on for nobody.
            if answer.is_closed() {
                player.leave(now);
            }
            match player.drive(now) {
                None => index += 1,
                Some(ending) => {
                    let (player, answer) = self.players.swap_remove(index);
                    let stay = player.into_stay();
                    // As above: an answer nobody waits for may be dropped.
                    drop(answer.send(Outcome { ending, stay }));
                }
            }
        }
    }
}

impl Outcome {
    /// A stay that never was.
    pub fn lost(reason: &str) -> Self {
        Self::none(Ending::Lost(reason.to_owned()))
    }

    fn none(ending: Ending) -> Self {
        Self { ending, stay: crate::report::Stay::new() }
    }
}
