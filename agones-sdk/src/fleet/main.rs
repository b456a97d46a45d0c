//! Owns: the `fleet` command: a ready line out, files read again at SIGHUP, an orderly end.
//! Must never know: how a fleet works, or what its flags are called.

use std::ffi::OsString;

use anyhow::Context;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::Fleet;
use super::flags::Flags;
use crate::command;

/// Runs a fleet until SIGTERM or Ctrl-C (or the end of stdin with `--exit-with-parent`), then drains it. SIGHUP reads
/// the files of `--autoscaler` and `--template` again.
/// `args` begin with the program's name, as
/// [`std::env::args_os`] gives them. Blocks.
pub fn fleet_main(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<()> {
    let Some(flags) = command::parse::<Flags>(args)? else { return Ok(()) };
    command::run(run(flags))
}

async fn run(flags: Flags) -> anyhow::Result<()> {
    let end = command::end_requested(flags.exit_with_parent)?;
    let mut again = signal(SignalKind::hangup()).context("SIGHUP cannot be caught")?;
    let fleet = Fleet::start(flags.config()?).await.context("not started")?;
    let (grpc, http) = (fleet.grpc_addr().to_string(), fleet.http_addr().to_string());
    command::print_line(&json!({ "ready": true, "grpc": grpc, "http": http }));
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            _ = again.recv() => match reread(&fleet, &flags) {
                Ok(()) => tracing::info!("files read again"),
                Err(error) => tracing::error!("files not taken over: {error:#}"),
            },
        }
    }
    tracing::info!("draining");
    fleet.drain().await;
    Ok(())
}

/// All of it or nothing: what is wrong in one file leaves the other as it was, too.
fn reread(fleet: &Fleet, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config()?;
    fleet.roll(config.template)?;
    fleet.autoscale(config.autoscaler)?;
    Ok(())
}
