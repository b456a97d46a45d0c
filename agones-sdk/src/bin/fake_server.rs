//! Owns: a game server without a game: it lives the Agones lifecycle and misbehaves as asked.
//! Must never know: a fleet. For trying a fleet and a sidecar by hand, and for their tests.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use agones_sdk::client::{Sdk, SdkError};
use agones_sdk::{GameServer, State};
use clap::Parser;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// A game server without a game.
#[derive(Parser, Clone, Debug)]
struct Flags {
    /// The port it pretends to serve
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Milliseconds between signs of life
    #[arg(long, default_value_t = 200)]
    health_ms: u64,
    /// Stops giving signs of life this many milliseconds after Ready
    #[arg(long)]
    silent_after_ms: Option<u64>,
    /// Exits with code 3 before it is Ready
    #[arg(long)]
    fail: bool,
    /// Length of a match in milliseconds; without it a match never ends
    #[arg(long)]
    match_ms: Option<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    if flags.fail {
        eprintln!("fake-server: failing as asked");
        return ExitCode::from(3);
    }
    std::thread::spawn(|| {
        let mut sink = [0; 64];
        while matches!(std::io::stdin().read(&mut sink), Ok(1..)) {}
        // The fleet is gone.
        std::process::exit(4);
    });
    match serve(flags).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fake-server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(flags: Flags) -> Result<(), SdkError> {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return Ok(()) };
    let sdk = Sdk::from_env().await?;
    let pings = sdk.spawn_health(Duration::from_millis(flags.health_ms));
    sdk.set_annotation("port", &flags.port.to_string()).await?;
    sdk.ready().await?;
    say(&json!({ "ready": true, "udp": format!("127.0.0.1:{}", flags.port) }));
    let alive = async {
        let Some(silent_after) = flags.silent_after_ms else { return std::future::pending().await };
        sleep(Duration::from_millis(silent_after)).await;
        drop(pings);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = alive => {}
        server = play(&sdk, flags.match_ms) => {
            say(&json!({ "final": { "match": server.annotation("tickwright.dev/match") } }));
        }
        _ = terminate.recv() => {}
    }
    sdk.shutdown().await
}

/// Waits for the allocation, and then for the match's end.
async fn play(sdk: &Sdk, match_ms: Option<u64>) -> GameServer {
    let mut watch = sdk.watch();
    loop {
        let server = watch.next().await;
        if server.state() != Some(State::Allocated) {
            continue;
        }
        match match_ms {
            Some(length) => sleep(Duration::from_millis(length)).await,
            None => std::future::pending().await,
        }
        return server;
    }
}

fn say(value: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    // Nobody may be listening any more.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}
