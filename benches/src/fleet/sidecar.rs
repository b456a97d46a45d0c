//! How fast a sidecar in a process of its own answers. Knows the SDK's calls and nothing behind them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agones_sdk::client::{ConnectOptions, Sdk};
use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::quantile;

/// One kind of call.
#[derive(Debug, Serialize)]
pub struct SidecarFigures {
    /// Which.
    pub call: &'static str,
    /// Callers, one call each at a time, over one connection.
    pub callers: u32,
    /// A second.
    pub calls_per_s: f64,
    /// From a call to its answer.
    pub p50_us: f64,
    /// The same.
    pub p99_us: f64,
}

/// What is asked.
#[derive(Clone, Copy)]
enum Kind {
    GetGameServer,
    SetLabel,
    UpdateCounter,
    Health,
}

#[derive(Deserialize)]
struct Ready {
    grpc: String,
}

/// A sidecar that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _dead = self.0.kill();
        let _buried = self.0.wait();
    }
}

/// Every kind of call for so long, by one caller and by sixteen.
pub(super) async fn measure(each: Duration) -> anyhow::Result<Vec<SidecarFigures>> {
    let flags = ["sidecar", "--grpc-port", "0", "--http-port", "0", "--exit-with-parent"];
    let mut child = Command::new(std::env::current_exe()?)
        .args(["role", super::SIDECAR, &serde_json::to_string(&flags)?])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take().context("a child without standard output")?;
    let _sidecar = Running(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let ready: Ready = serde_json::from_str(&line).context("the sidecar's ready line")?;
    let sdk = Sdk::connect(ConnectOptions::new(format!("http://{}", ready.grpc))).await?;
    sdk.set_counter_capacity("rooms", i64::MAX).await?;
    let mut figures = Vec::new();
    for (name, kind) in [
        ("GetGameServer", Kind::GetGameServer),
        ("SetLabel", Kind::SetLabel),
        ("UpdateCounter", Kind::UpdateCounter),
        ("Health", Kind::Health),
    ] {
        for callers in [1, 16] {
            figures.push(calls(&sdk, name, kind, callers, each).await?);
        }
    }
    Ok(figures)
}

async fn calls(
    sdk: &Sdk,
    name: &'static str,
    kind: Kind,
    callers: u32,
    each: Duration,
) -> anyhow::Result<SidecarFigures> {
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let sdk = sdk.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                while start.elapsed() < each {
                    let asked = Instant::now();
                    call(&sdk, kind, caller).await?;
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
    let us = |share| quantile(&times, share) * 1e6;
    let calls_per_s = times.len() as f64 / took;
    Ok(SidecarFigures { call: name, callers, calls_per_s, p50_us: us(0.5), p99_us: us(0.99) })
}

async fn call(sdk: &Sdk, kind: Kind, caller: u32) -> anyhow::Result<()> {
    match kind {
        Kind::GetGameServer => drop(sdk.game_server().await?),
        Kind::SetLabel => sdk.set_label("caller", &caller.to_string()).await?,
        Kind::UpdateCounter => drop(sdk.move_counter("rooms", 1).await?),
        Kind::Health => sdk.health().await?,
    }
    Ok(())
}
