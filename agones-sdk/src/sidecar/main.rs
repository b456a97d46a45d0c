//! Owns: the `sidecar` command: flags in, a ready line out, an orderly end.
//! Must never know: how the sidecar answers.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use serde_json::json;
use tokio::time::sleep;

use super::{Expected, Manner, Sidecar, SidecarConfig, health_of, load_game_server};
use crate::client::{GRPC_PORT_DEFAULT, HTTP_PORT_DEFAULT};
use crate::state::State;
use crate::{command, uid};

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
    /// A GameServer (JSON or YAML) instead of the built-in one; followed when it changes
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Conformance mode: exit with 0 if exactly these calls were made in the end, with 1 otherwise
    #[arg(long, value_name = "CALL,CALL")]
    test: Option<Expected>,
    /// Stop after so many seconds; 0: never
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    timeout: u64,
    /// Listen only after so many seconds, as a sidecar that comes late
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    delay: u64,
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

/// Runs a sidecar until SIGTERM, Ctrl-C or its timeout. `args` begin with the program's name, as
/// [`std::env::args_os`] gives them. Blocks. The exit code is 1 if the conformance mode found a deviation.
pub fn sidecar_main(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let Some(flags) = command::parse::<Flags>(args)? else { return Ok(ExitCode::SUCCESS) };
    let mut outcome = ExitCode::SUCCESS;
    command::run(async { run(flags).await.map(|code| outcome = code) })?;
    Ok(outcome)
}

async fn run(flags: Flags) -> anyhow::Result<ExitCode> {
    let config = config(&flags)?;
    let end = command::end_requested(flags.exit_with_parent)?;
    tokio::pin!(end);
    tokio::select! {
        () = sleep(Duration::from_secs(flags.delay)) => {}
        () = &mut end => return Ok(ExitCode::SUCCESS),
    }
    let sidecar = Sidecar::start(config).await.context("not started")?;
    let (grpc, http) = (sidecar.grpc_addr().to_string(), sidecar.http_addr().to_string());
    command::print_line(&json!({ "ready": true, "grpc": grpc, "http": http }));
    let timeout = async {
        match flags.timeout {
            0 => std::future::pending().await,
            seconds => sleep(Duration::from_secs(seconds)).await,
        }
    };
    tokio::select! {
        () = &mut end => {}
        () = timeout => {}
    }
    sidecar.stop().await;
    let Some(expected) = &flags.test else { return Ok(ExitCode::SUCCESS) };
    let compared = expected.compare(&sidecar.calls());
    command::print_line(&json!({
        "conformant": compared.is_ok(),
        "calls": sidecar.calls(),
        "missing": compared.as_ref().err().map_or(&[][..], |deviation| &deviation.missing),
        "unexpected": compared.as_ref().err().map_or(&[][..], |deviation| &deviation.unexpected),
    }));
    match compared {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(deviation) => {
            tracing::error!("{deviation}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn config(flags: &Flags) -> anyhow::Result<SidecarConfig> {
    let at = |port| SocketAddr::new(flags.address, port);
    let mut config = SidecarConfig::local(at(flags.grpc_port), at(flags.http_port));
    config.strict_errors = flags.strict_errors;
    if flags.test.is_some() {
        // Nobody can know it who has not asked for the object.
        config.game_server.meta_mut().uid = uid::random();
    }
    if flags.managed {
        config.manner = Manner::Managed;
        config.game_server.status_mut().state = State::Scheduled.name().into();
    }
    if let Some(path) = &flags.file {
        config.game_server = load_game_server(path).map_err(anyhow::Error::msg)?;
        config.health = health_of(&config.game_server);
        config.file = Some(path.clone());
    }
    Ok(config)
}
