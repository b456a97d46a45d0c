//! Owns: the `fleet` command: flags in, a ready line out, an orderly end.
//! Must never know: how a fleet works.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use serde_json::json;

use super::{BufferPolicy, BufferSize, Fleet, FleetConfig};
use crate::command;
use crate::sidecar::HealthPolicy;

/// A local fleet: server processes, each with an Agones sidecar, behind an Agones allocator.
#[derive(Parser, Debug)]
#[command(name = "fleet")]
struct Flags {
    /// The fleet's name
    #[arg(long, default_value = "local")]
    name: String,
    /// Where the allocator (gRPC) listens; port 0 chooses a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where the HTTP pages listen; port 0 chooses a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    http: SocketAddr,
    /// Ready servers to keep beside the allocated ones: a count, or a share such as 25%
    #[arg(long, default_value = "2")]
    buffer: BufferSize,
    /// Never fewer servers than this
    #[arg(long, default_value_t = 0)]
    min: u32,
    /// Never more servers than this
    #[arg(long, default_value_t = 64)]
    max: u32,
    /// Folder for the servers' logs
    #[arg(long)]
    state: PathBuf,
    /// More environment for the servers; {port} and {name} are filled in
    #[arg(long, value_name = "K=V", value_parser = parse_pair)]
    env: Vec<(String, String)>,
    /// More labels on every server
    #[arg(long, value_name = "K=V", value_parser = parse_pair)]
    label: Vec<(String, String)>,
    /// From where the servers' ports are chosen
    #[arg(long, default_value = "20000-29999", value_parser = parse_range)]
    ports: RangeInclusive<u16>,
    /// A sign of life is due in each period of so many seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    health_period: u64,
    /// So many missed periods in a row make a server Unhealthy
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    health_failures: u32,
    /// The first period starts so many seconds after the server
    #[arg(long, default_value_t = 5)]
    health_delay: u64,
    /// Seconds between SIGTERM and SIGKILL
    #[arg(long, default_value_t = 10)]
    grace: u64,
    /// Drain and exit when stdin ends
    #[arg(long)]
    exit_with_parent: bool,
    /// Program and arguments of a server; {port} and {name} are filled in
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs a fleet until SIGTERM or Ctrl-C (or the end of stdin with `--exit-with-parent`), then drains it.
/// `args` begin with the program's name, as
/// [`std::env::args_os`] gives them. Blocks.
pub fn fleet_main(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<()> {
    let Some(flags) = command::parse::<Flags>(args)? else { return Ok(()) };
    command::run(run(flags))
}

async fn run(flags: Flags) -> anyhow::Result<()> {
    let end = command::end_requested(flags.exit_with_parent)?;
    let fleet = Fleet::start(config(flags)).await.context("not started")?;
    let (grpc, http) = (fleet.grpc_addr().to_string(), fleet.http_addr().to_string());
    command::print_line(&json!({ "ready": true, "grpc": grpc, "http": http }));
    end.await;
    tracing::info!("draining");
    fleet.drain().await;
    Ok(())
}

fn config(flags: Flags) -> FleetConfig {
    FleetConfig {
        name: flags.name,
        command: flags.command,
        env: flags.env,
        labels: flags.label,
        policy: BufferPolicy { buffer: flags.buffer, min: flags.min, max: flags.max },
        state_dir: flags.state,
        listen: flags.listen,
        http: flags.http,
        ports: flags.ports,
        health: HealthPolicy {
            disabled: false,
            period: Duration::from_secs(flags.health_period),
            failure_threshold: flags.health_failures,
            initial_delay: Duration::from_secs(flags.health_delay),
        },
        grace: Duration::from_secs(flags.grace),
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected K=V".into()),
    }
}

fn parse_range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let bounds = text.split_once('-').and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
    match bounds {
        Some((low, high)) if 0 < low && low <= high => Ok(low..=high),
        _ => Err("expected LOW-HIGH, such as 20000-29999".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<FleetConfig, String> {
        let args = ["fleet"].into_iter().chain(args.split_whitespace()).map(OsString::from);
        let flags = command::parse::<Flags>(args).map_err(|error| error.to_string())?;
        Ok(config(flags.expect("no help was asked for")))
    }

    #[test]
    fn flags_become_a_configuration() {
        let config =
            parse("--name arena --buffer 25% --min 1 --max 8 --state x --env A=b=c --ports 7000-8000 -- srv --p {port}")
                .unwrap();
        assert_eq!(config.policy, BufferPolicy { buffer: BufferSize::Percent(25), min: 1, max: 8 });
        assert_eq!(config.env, [("A".to_owned(), "b=c".to_owned())]);
        assert_eq!((config.ports, config.command.len()), (7000..=8000, 3));
    }

    #[test]
    fn wrong_flags_are_one_line() {
        for args in ["", "--state x", "--nope", "--state x --env A -- srv", "--state x --ports 9-1 -- srv"] {
            let error = parse(args).unwrap_err();
            assert!(!error.contains('\n') && error.len() < 200, "{error}");
        }
    }
}
