//! All servers that the matchmaker can have: regions with their allocators, asked in the order of the rules, again
//! where a race was lost, and never for more than is ready.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::region;
use super::warm::{Gate, Outcome};
use super::{AllocationFault, Allocator, Selection, Server, Wanted, retry};

/// A match has a server by then, or its tickets wait on.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often the ready servers are counted.
const COUNT_EVERY: Duration = Duration::from_millis(100);

/// One region: where its servers are had.
#[derive(Debug)]
struct Region {
    name: String,
    allocator: Arc<dyn Allocator>,
    gate: Mutex<Gate>,
}

/// All regions; cloning shares them.
#[derive(Clone, Debug)]
pub struct Servers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    regions: Vec<Region>,
    selection: Selection,
    /// Admitted matches that have not begun to look.
    admitted: Mutex<u32>,
}

/// A match may look for a server now. Dropping it unused gives the room back.
#[derive(Debug)]
pub struct Admission(Servers);

impl Drop for Admission {
    fn drop(&mut self) {
        *lock(&self.0.0.admitted) -= 1;
    }
}

impl Servers {
    /// One region, whatever it is called, behind one allocator.
    pub fn single(allocator: impl Allocator + 'static, selection: Selection) -> Self {
        let region = Region { name: String::new(), allocator: Arc::new(allocator), gate: Mutex::default() };
        Self(Arc::new(Inner { regions: vec![region], selection, admitted: Mutex::default() }))
    }

    /// The regions' names, in the order of the configuration; one empty name where there are no regions.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.0.regions.iter().map(|region| region.name.as_str())
    }

    /// So many more matches could have a server right now: form no more than that.
    pub fn room(&self, now: Instant) -> usize {
        let room: u32 = self.0.regions.iter().map(|region| lock(&region.gate).room(now)).sum();
        usize::try_from(room.saturating_sub(*lock(&self.0.admitted))).unwrap_or(usize::MAX)
    }

    /// Takes a place in the room for one match, before it is formed or right after; `None` if there is none.
    pub fn admit(&self, now: Instant) -> Option<Admission> {
        if self.room(now) == 0 {
            return None;
        }
        *lock(&self.0.admitted) += 1;
        Some(Admission(self.clone()))
    }

    /// Takes a server for an admitted match, within 5 s.
    ///
    /// # Errors
    /// There is none; the tickets wait on.
    pub async fn allocate(&self, admission: Admission, wanted: &Wanted) -> Result<Server, AllocationFault> {
        let begun = Instant::now();
        drop(admission);
        let found = self.look(wanted, begun).await;
        metrics::histogram!("allocation_seconds").record(begun.elapsed().as_secs_f64());
        let outcome = found.as_ref().map_or_else(kind, |_| "taken");
        metrics::counter!("allocations_total", "outcome" => outcome).increment(1);
        found
    }

    /// Tries one region after the other. A region that has none, or cannot be asked, is followed by the next best;
    /// after a missed deadline nobody else is asked, since the server may be ours already.
    async fn look(&self, wanted: &Wanted, begun: Instant) -> Result<Server, AllocationFault> {
        let regions = &self.0.regions;
        let names: Vec<&str> = self.regions().collect();
        let has_room = |index: usize| lock(&regions[index].gate).room(begun) > 0;
        let mut fault = AllocationFault::NoneReady;
        for ranked in region::rank(&names, &wanted.latencies, wanted.latency_max_ms, has_room) {
            match self.take(&regions[ranked.index], wanted, begun).await {
                Ok(server) => return Ok(server),
                Err(deadline @ AllocationFault::Deadline(_)) => return Err(deadline),
                // What the best region said is what is told.
                Err(other) if fault == AllocationFault::NoneReady => fault = other,
                Err(_) => {}
            }
        }
        Err(fault)
    }

    /// Asks one region, again where a race was lost.
    async fn take(
        &self,
        region: &Region,
        wanted: &Wanted,
        begun: Instant,
    ) -> Result<Server, AllocationFault> {
        lock(&region.gate).begin();
        let mut ending = Ending { gate: &region.gate, outcome: Outcome::Failed };
        let mut tries = 0;
        loop {
            let found = region.allocator.allocate(wanted.request(&self.0.selection)).await;
            tries += 1;
            let left = DEADLINE.saturating_sub(begun.elapsed());
            match found {
                Err(AllocationFault::Contention) => match retry::pause(tries, fastrand::f64(), left) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(AllocationFault::Contention),
                },
                found => {
                    ending.outcome = match &found {
                        Ok(_) => Outcome::Taken,
                        Err(AllocationFault::NoneReady) => Outcome::NoneReady,
                        Err(_) => Outcome::Failed,
                    };
                    return found;
                }
            }
        }
    }

    /// Counts the ready servers until `drain` turns true, where somebody says how many there are.
    pub async fn watch(self, mut drain: watch::Receiver<bool>) {
        let mut clock = tokio::time::interval(COUNT_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = drain.wait_for(|draining| *draining) => return,
                _ = clock.tick() => {}
            }
            for region in &self.0.regions {
                lock(&region.gate).ask();
                if let Some(ready) = region.allocator.ready().await {
                    lock(&region.gate).learn(ready, Instant::now());
                }
            }
        }
    }
}

/// Tells the gate of an allocation's end, also where its task was dropped.
struct Ending<'a> {
    gate: &'a Mutex<Gate>,
    outcome: Outcome,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        lock(self.gate).end(self.outcome, Instant::now(), fastrand::f64());
    }
}

fn kind(fault: &AllocationFault) -> &'static str {
    match fault {
        AllocationFault::NoneReady => "none_ready",
        AllocationFault::Contention => "contention",
        AllocationFault::Unreachable(_) => "unreachable",
        AllocationFault::Deadline(_) => "deadline",
        AllocationFault::Refused(_) => "refused",
        AllocationFault::BadReply(_) => "bad_reply",
    }
}

/// What these locks guard is whole at every point where a panic could happen.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
