//! Taking servers of a warm fleet: each once, then a room of one that is in use, by counter. Knows only the allocator's
//! contract and the address it is at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use agones_sdk::allocation::{
    AllocationRequest, AllocatorClient, CounterAction, CounterSelector, GameServerSelector, GameServerState,
};
use agones_sdk::fleet::Fleet;
use serde::Serialize;

use super::quantile;

/// One round.
#[derive(Debug, Serialize)]
pub struct TakeFigures {
    /// `servers`: each is taken once. `rooms`: each takes one more room of a server that is in use.
    pub round: &'static str,
    /// Servers of the fleet.
    pub servers: u32,
    /// Matchmakers that ask at once, one call each at a time.
    pub callers: u32,
    /// How many were taken.
    pub allocations: usize,
    /// A second.
    pub allocations_per_s: f64,
    /// A call, from its start to its answer.
    pub p50_ms: f64,
    /// The same.
    pub p99_ms: f64,
}

/// Both rounds.
pub(super) async fn rounds(
    fleet: &Fleet,
    servers: u32,
    callers: u32,
    allocations: u32,
) -> anyhow::Result<Vec<TakeFigures>> {
    let client = AllocatorClient::new(&format!("http://{}", fleet.grpc_addr()), Duration::from_secs(10))?;
    let whole = AllocationRequest::from_fleet("bench", [].into());
    let mut figures = Vec::new();
    for (name, count, request) in [("servers", servers, whole), ("rooms", allocations, one_room())] {
        let start = Instant::now();
        let times = round(callers, count, &client, &request).await?;
        let took = start.elapsed().as_secs_f64();
        figures.push(TakeFigures {
            round: name,
            servers,
            callers,
            allocations: times.len(),
            allocations_per_s: times.len() as f64 / took,
            p50_ms: quantile(&times, 0.5) * 1e3,
            p99_ms: quantile(&times, 0.99) * 1e3,
        });
    }
    Ok(figures)
}

/// One more room on a server that is in use.
fn one_room() -> AllocationRequest {
    let room = CounterSelector { min_available: 1, ..CounterSelector::default() };
    let in_use = GameServerSelector {
        game_server_state: GameServerState::Allocated.into(),
        counters: [("rooms".to_owned(), room)].into(),
        ..GameServerSelector::default()
    };
    let more = CounterAction { action: Some("Increment".into()), amount: Some(1), capacity: None };
    AllocationRequest {
        game_server_selectors: vec![in_use],
        counters: [("rooms".to_owned(), more)].into(),
        ..AllocationRequest::default()
    }
}

/// So many allocations by so many callers; how long each took, ascending.
async fn round(
    callers: u32,
    count: u32,
    client: &AllocatorClient,
    request: &AllocationRequest,
) -> anyhow::Result<Vec<Duration>> {
    let left = Arc::new(AtomicU32::new(count));
    let one_of = |left: &AtomicU32| {
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    };
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (client, request, left) = (client.clone(), request.clone(), Arc::clone(&left));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while one_of(&left) {
                    let asked = Instant::now();
                    client.allocate(request.clone()).await?;
                    times.push(asked.elapsed());
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    times.sort_unstable();
    Ok(times)
}
