//! All servers that the matchmaker can have: regions with their clusters, asked in the order of the rules, again
//! where a race was lost, and never for more than is ready.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::policy::{self, Rank};
use super::warm::{Gate, Outcome};
use super::{AllocationFault, Allocator, Selection, Server, Wanted, region, retry};

/// A match has a server by then, or its tickets wait on.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often the ready servers are counted.
const COUNT_EVERY: Duration = Duration::from_millis(100);
/// A count that takes longer is none.
const COUNT_TIMEOUT: Duration = Duration::from_secs(1);

/// One region: the clusters in it.
#[derive(Debug)]
pub struct Region {
    /// As players' latencies name it.
    pub name: String,
    /// At least one.
    pub clusters: Vec<Cluster>,
}

/// One cluster: a place that hands out servers, and when it is asked.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    allocator: Arc<dyn Allocator>,
    rank: Rank,
    /// Which of its servers are ours.
    selection: Selection,
    gate: Mutex<Gate>,
}

impl Cluster {
    /// A cluster that nothing is known of yet; `name` is for logs.
    pub fn new(name: String, allocator: Arc<dyn Allocator>, rank: Rank, selection: Selection) -> Self {
        Self { name, allocator, rank, selection, gate: Mutex::default() }
    }

    fn room(&self, now: Instant) -> u32 {
        lock(&self.gate).room(now)
    }
}

/// All regions; cloning shares them.
#[derive(Clone, Debug)]
pub struct Servers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    regions: Vec<Region>,
    deadline: Duration,
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
    /// These regions, in the order in which they are preferred where nobody measured latencies.
    pub fn new(regions: Vec<Region>) -> Self {
        Self::with_deadline(regions, DEADLINE)
    }

    /// The same, with another limit to how long a match looks for a server.
    pub fn with_deadline(regions: Vec<Region>, deadline: Duration) -> Self {
        Self(Arc::new(Inner { regions, deadline, admitted: Mutex::default() }))
    }

    /// One cluster, whatever its region is called.
    pub fn single(allocator: impl Allocator + 'static, selection: Selection) -> Self {
        let cluster = Cluster::new(String::new(), Arc::new(allocator), Rank::default(), selection);
        Self::new(vec![Region { name: String::new(), clusters: vec![cluster] }])
    }

    /// The regions' names, in the order of the configuration; one empty name where there are no regions.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.0.regions.iter().map(|region| region.name.as_str())
    }

    /// So many more matches could have a server right now: form no more than that.
    pub fn room(&self, now: Instant) -> usize {
        let room: u32 =
            self.0.regions.iter().flat_map(|region| &region.clusters).map(|cluster| cluster.room(now)).sum();
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

    /// Tries one cluster after the other, the best region first. After a missed deadline nobody else is asked, since
    /// a server may be ours already.
    async fn look(&self, wanted: &Wanted, begun: Instant) -> Result<Server, AllocationFault> {
        let mut worst = AllocationFault::NoneReady;
        for (region, cluster) in self.order(wanted, begun) {
            match self.take(region, cluster, wanted, begun).await {
                Ok(server) => return Ok(server),
                Err(deadline @ AllocationFault::Deadline(_)) => return Err(deadline),
                Err(AllocationFault::NoneReady) => {}
                Err(fault) => {
                    tracing::debug!(cluster = cluster.name, %fault, "cluster passed over");
                    // The first that is not just empty is what is told.
                    if worst == AllocationFault::NoneReady {
                        worst = fault;
                    }
                }
            }
        }
        Err(worst)
    }

    /// The clusters in the order in which they are asked: by region, in it those with ready servers first, then by
    /// priority and weight.
    fn order(&self, wanted: &Wanted, now: Instant) -> Vec<(&str, &Cluster)> {
        let regions = &self.0.regions;
        let names: Vec<&str> = self.regions().collect();
        let has_room = |index: usize| regions[index].clusters.iter().any(|cluster| cluster.room(now) > 0);
        let ranked = region::rank(&names, &wanted.latencies, wanted.latency_max_ms, has_room);
        ranked
            .iter()
            .flat_map(|ranked| {
                let clusters = &regions[ranked.index].clusters;
                let ranks: Vec<Rank> = clusters.iter().map(|cluster| cluster.rank).collect();
                let mut order = policy::order(&ranks, fastrand::f64);
                order.sort_by_key(|index| clusters[*index].room(now) == 0);
                let name = regions[ranked.index].name.as_str();
                order.into_iter().map(move |index| (name, &clusters[index]))
            })
            .collect()
    }

    /// Asks one cluster, again where a race was lost.
    async fn take(
        &self,
        region: &str,
        cluster: &Cluster,
        wanted: &Wanted,
        begun: Instant,
    ) -> Result<Server, AllocationFault> {
        lock(&cluster.gate).begin();
        let mut ending = Ending { gate: &cluster.gate, outcome: Outcome::Failed };
        let request = wanted.request(&cluster.selection, region);
        let mut tries = 0;
        loop {
            let left = self.0.deadline.saturating_sub(begun.elapsed());
            let answer = tokio::time::timeout(left, cluster.allocator.allocate(request.clone())).await;
            tries += 1;
            let left = self.0.deadline.saturating_sub(begun.elapsed());
            match answer {
                Err(_) => return Err(AllocationFault::Deadline(self.0.deadline)),
                Ok(Err(AllocationFault::Contention)) => match retry::pause(tries, fastrand::f64(), left) {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(AllocationFault::Contention),
                },
                Ok(found) => {
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
            self.count().await;
        }
    }

    /// Counts once, everywhere at the same time: a cluster that hangs must not make the others' counts old.
    pub async fn count(&self) {
        let mut counts = JoinSet::new();
        for (r, c) in self
            .0
            .regions
            .iter()
            .enumerate()
            .flat_map(|(r, region)| (0..region.clusters.len()).map(move |c| (r, c)))
        {
            let servers = self.clone();
            counts.spawn(async move {
                let cluster = &servers.0.regions[r].clusters[c];
                lock(&cluster.gate).ask();
                if let Ok(Some(ready)) = tokio::time::timeout(COUNT_TIMEOUT, cluster.allocator.ready()).await
                {
                    lock(&cluster.gate).learn(ready, Instant::now());
                }
            });
        }
        while counts.join_next().await.is_some() {}
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
