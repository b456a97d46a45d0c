//! How many allocations a second a warm local fleet gives, over gRPC as a matchmaker asks for them.
//!
//! ```text
//! cargo run --release -p agones-sdk --example allocations [servers] [callers] [allocations]
//! ```
//!
//! Two rounds: whole servers (each Ready server is taken once), and rooms (each allocation takes one more room of a
//! server that is in use, by counter). The servers are this same program started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agones_sdk::allocation::{
    AllocationRequest, AllocatorClient, CounterAction, CounterSelector, GameServerSelector, GameServerState,
};
use agones_sdk::client::Sdk;
use agones_sdk::fleet::{BufferPolicy, BufferSize, Fleet, FleetConfig, Template};
use agones_sdk::proto::sdk::game_server::status::CounterStatus;
use anyhow::Context;

const SERVER: &str = "--be-a-server";

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if args.first().is_some_and(|arg| arg == SERVER) {
        return runtime.block_on(serve());
    }
    let number = |index: usize, default: usize| args.get(index).map_or(Ok(default), |arg| arg.parse());
    runtime.block_on(measure(number(0, 32)?, number(1, 16)?, number(2, 5000)?))
}

/// A game server without a game.
async fn serve() -> anyhow::Result<()> {
    // The end of standard input is the end of the fleet.
    std::thread::spawn(|| {
        let _ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let sdk = Sdk::from_env().await?;
    let _pings = sdk.spawn_health(Duration::from_secs(1));
    sdk.ready().await?;
    std::future::pending().await
}

async fn measure(servers: usize, callers: usize, allocations: usize) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("allocations-{}", std::process::id()));
    let count = u32::try_from(servers)?;
    let mut template = Template::new(vec![std::env::current_exe()?.display().to_string(), SERVER.into()]);
    let capacity = i64::try_from(allocations)?;
    template.counters.insert("rooms".into(), CounterStatus { count: 0, capacity });
    let buffer = BufferPolicy { buffer: BufferSize::Count(count), min: count, max: count };
    let fleet = Fleet::start(FleetConfig {
        template,
        autoscaler: buffer.into(),
        limits: count..=count,
        ..FleetConfig::new("bench", Vec::new(), &folder)
    })
    .await?;
    let give_up = Instant::now() + Duration::from_secs(60);
    while fleet.census().ready < count {
        anyhow::ensure!(Instant::now() < give_up, "servers are not ready: {:?}", fleet.census());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let client = AllocatorClient::new(&format!("http://{}", fleet.grpc_addr()), Duration::from_secs(10))?;
    println!(
        "{:<8} {:>7} {:>7} {:>11} {:>13} {:>8} {:>8}",
        "round", "servers", "callers", "allocations", "allocations/s", "p50 ms", "p99 ms"
    );
    let whole = AllocationRequest::from_fleet("bench", [].into());
    round("servers", servers, callers, servers, &client, &whole).await?;
    round("rooms", servers, callers, allocations, &client, &one_room()).await?;
    fleet.drain().await;
    std::fs::remove_dir_all(&folder).context("folder of logs")
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

async fn round(
    name: &str,
    servers: usize,
    callers: usize,
    allocations: usize,
    client: &AllocatorClient,
    request: &AllocationRequest,
) -> anyhow::Result<()> {
    let left = Arc::new(AtomicUsize::new(allocations));
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (client, request, left) = (client.clone(), request.clone(), left.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
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
    let took = start.elapsed().as_secs_f64();
    times.sort_unstable();
    let quantile = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3;
    println!(
        "{name:<8} {servers:>7} {callers:>7} {:>11} {:>13.0} {:>8.2} {:>8.2}",
        times.len(),
        times.len() as f64 / took,
        quantile(50),
        quantile(99),
    );
    Ok(())
}
