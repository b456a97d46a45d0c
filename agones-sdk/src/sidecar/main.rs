//! Owns: the `sidecar` command: a ready line out, an orderly end.
//! Must never know: what its flags are called, or how the sidecar answers.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::flags::Flags;
use super::{Expected, Sidecar, probe};
use crate::command;
use crate::state::State;

/// Runs a sidecar until SIGTERM, Ctrl-C or its timeout. `args` begin with the program's name, as
/// [`std::env::args_os`] gives them. Blocks. The exit code is 1 if the conformance mode found a deviation.
pub fn sidecar_main(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let Some(flags) = command::parse::<Flags>(args)? else { return Ok(ExitCode::SUCCESS) };
    let mut outcome = ExitCode::SUCCESS;
    command::run(async { run(flags).await.map(|code| outcome = code) })?;
    Ok(outcome)
}

async fn run(flags: Flags) -> anyhow::Result<ExitCode> {
    let config = flags.config()?;
    let end = command::end_requested(flags.exit_with_parent)?;
    tokio::pin!(end);
    tokio::select! {
        () = sleep(Duration::from_secs(flags.delay)) => {}
        () = &mut end => return Ok(ExitCode::SUCCESS),
    }
    let probes = match flags.probe_address() {
        Some(at) => Some(TcpListener::bind(at).await.with_context(|| format!("cannot listen on {at}"))?),
        None => None,
    };
    let sidecar = Sidecar::start(config).await.context("not started")?;
    let health = probes.as_ref().and_then(|listener| listener.local_addr().ok());
    let probing = probes.map(|listener| tokio::spawn(probe::serve(sidecar.shared.clone(), listener)));
    let (grpc, http) = (sidecar.grpc_addr().to_string(), sidecar.http_addr().to_string());
    command::print_line(&json!({ "ready": true, "grpc": grpc, "http": http, "health": health }));
    let timeout = async {
        match flags.timeout {
            0 => std::future::pending().await,
            seconds => sleep(Duration::from_secs(seconds)).await,
        }
    };
    tokio::select! {
        () = end => {
            if flags.waits_for_shutdown() {
                wait_for_shutdown(&sidecar, flags.exit_with_parent).await?;
            }
        }
        () = timeout => {}
    }
    sidecar.stop().await;
    command::end_servers(probing).await;
    Ok(flags
        .test
        .as_ref()
        .map_or(ExitCode::SUCCESS, |expected| conclude(&sidecar, expected, &flags.sdk_name)))
}

/// As the real one in a pod: whoever ends it still has calls to make, until its server's end or a second wish to end.
async fn wait_for_shutdown(sidecar: &Sidecar, stdin_too: bool) -> anyhow::Result<()> {
    let again = command::end_requested(stdin_too)?;
    let mut states = sidecar.subscribe();
    tracing::info!("waiting for the game server's Shutdown");
    tokio::select! {
        _ = states.wait_for(|server| server.state().is_some_and(State::is_final)) => {}
        () = again => {}
    }
    Ok(())
}

/// The conformance mode's last word, and its exit code.
fn conclude(sidecar: &Sidecar, expected: &Expected, sdk_name: &str) -> ExitCode {
    let compared = expected.compare(&sidecar.calls());
    command::print_line(&json!({
        "conformant": compared.is_ok(),
        "sdk": sdk_name,
        "calls": sidecar.calls(),
        "missing": compared.as_ref().err().map_or(&[][..], |deviation| &deviation.missing),
        "unexpected": compared.as_ref().err().map_or(&[][..], |deviation| &deviation.unexpected),
    }));
    match compared {
        Ok(()) => ExitCode::SUCCESS,
        Err(deviation) => {
            tracing::error!(sdk_name, "{deviation}");
            ExitCode::FAILURE
        }
    }
}
