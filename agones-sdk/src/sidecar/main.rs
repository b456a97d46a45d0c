//! Owns: the `sidecar` command: flags in, a ready line out, an orderly end.
//! Must never know: how the sidecar answers.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use clap::Parser;
use serde_json::json;

use super::{Manner, Sidecar, SidecarConfig};
use crate::client::{GRPC_PORT_DEFAULT, HTTP_PORT_DEFAULT};
use crate::command;
use crate::state::State;

/// A local Agones sidecar that answers like the real one.
#[derive(Parser, Debug)]
#[command(name = "sidecar")]
struct Flags {
    /// Address that both ports listen on
    #[arg(long, default_value = "127.0.0.1")]
    address: IpAddr,
    /// gRPC port; 0 chooses a free one
    #[arg(long, default_value_t = GRPC_PORT_DEFAULT, env = "AGONES_SDK_GRPC_PORT")]
    grpc_port: u16,
    /// HTTP port; 0 chooses a free one
    #[arg(long, default_value_t = HTTP_PORT_DEFAULT, env = "AGONES_SDK_HTTP_PORT")]
    http_port: u16,
    /// Judge health and keep final states, as in a cluster, instead of imitating `sdk-server --local`
    #[arg(long)]
    managed: bool,
    /// Answer with the documented error codes instead of upstream's UNKNOWN
    #[arg(long)]
    strict_errors: bool,
    /// Stop when stdin ends
    #[arg(long)]
    exit_with_parent: bool,
}

/// Runs a sidecar until SIGTERM or Ctrl-C. `args` begin with the program's name, as
/// [`std::env::args_os`] gives them. Blocks.
pub fn sidecar_main(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<()> {
    let Some(flags) = command::parse::<Flags>(args)? else { return Ok(()) };
    command::run(run(flags))
}

async fn run(flags: Flags) -> anyhow::Result<()> {
    let at = |port| SocketAddr::new(flags.address, port);
    let mut config = SidecarConfig::local(at(flags.grpc_port), at(flags.http_port));
    config.strict_errors = flags.strict_errors;
    if flags.managed {
        config.manner = Manner::Managed;
        config.game_server.status_mut().state = State::Scheduled.name().into();
    }
    let end = command::end_requested(flags.exit_with_parent)?;
    let sidecar = Sidecar::start(config).await.context("not started")?;
    let (grpc, http) = (sidecar.grpc_addr().to_string(), sidecar.http_addr().to_string());
    command::print_line(&json!({ "ready": true, "grpc": grpc, "http": http }));
    end.await;
    sidecar.stop().await;
    Ok(())
}
