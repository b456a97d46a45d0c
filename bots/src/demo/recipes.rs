//! What each of the demo's processes is told: its flags, its secrets, and the fleet's autoscaler.
//! Knows nothing of how a process is started or kept alive.

use std::{collections::BTreeMap, ffi::OsString, net::SocketAddr, path::Path};

use anyhow::Context;
use netcode_token::Key;
use server_runtime::Transport;

use super::processes::Recipe;
use crate::{cli::DemoArgs, role::Role};

/// How long players have to say that they are ready; bots say it at once, but for those who have just lost a server.
const READY_CHECK_S: u32 = 5;
/// The only region: this machine, as far away as the simulated network makes it.
pub(super) const REGION: &str = "local";
/// A seat that was left is filled while so much of the match is left.
const BACKFILL_LEFT: f64 = 1.0 / 3.0;
/// A local server is up in a second; a slow machine takes two.
const SERVER_START_S: u32 = 2;
/// How often the fleet asks for its size. A cluster asks every 30 s, and keeps more servers for it.
const SYNC_S: u32 = 1;
/// Servers of a demo at most.
const SERVERS_MAX: u32 = 64;
/// The fleet shrinks after its need was lower for so long.
const SHRINK_AFTER_S: u32 = 30;

/// What the children share and nobody else may know; made anew for every run.
pub(super) struct Secrets {
    key: Key,
    service_token: String,
}

impl Secrets {
    pub(super) fn new() -> Self {
        Self { key: Key::generate(), service_token: Key::generate().to_hex() }
    }

    fn env(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("TICKWRIGHT_KEY".to_owned(), self.key.to_hex()),
            ("TICKWRIGHT_SERVICE_TOKEN".to_owned(), self.service_token.clone()),
        ])
    }
}

/// The backend's process.
pub(super) fn backend_recipe(
    args: &DemoArgs,
    state: &Path,
    secrets: &Secrets,
    fleet_grpc: SocketAddr,
    fleet_http: SocketAddr,
) -> Recipe {
    let flags = flags([
        ("--role", "all".to_owned()),
        ("--listen", format!("127.0.0.1:{}", args.backend_port)),
        ("--grpc-listen", "127.0.0.1:0".to_owned()),
        ("--state", state.join("backend").display().to_string()),
        ("--allocator", format!("http://{fleet_grpc}")),
        ("--fleet-http", format!("http://{fleet_http}")),
        ("--match-size", args.match_size.to_string()),
        ("--match-seconds", args.match_seconds.to_string()),
        ("--team-size", args.team_size().to_string()),
        ("--ready-check", READY_CHECK_S.to_string()),
        ("--regions", REGION.to_owned()),
    ]);
    let left = f64::from(args.match_seconds) * BACKFILL_LEFT;
    let backfill = (!args.no_backfill).then(|| format!("--backfill-left={left:.1}"));
    // Servers take WebSockets at the number of their UDP port.
    let browsers = (args.transport == Transport::WebSocket).then_some("--websocket-url=ws://{address}/");
    let args = flags
        .chain([Some("--exit-with-parent"), browsers].into_iter().flatten().map(OsString::from))
        .chain(backfill.map(OsString::from))
        .collect();
    Recipe { role: Role::Backend, args, env: secrets.env(), logs: state.to_owned() }
}

/// The autoscaler's process.
pub(super) fn autoscaler_recipe(args: &DemoArgs, state: &Path) -> Recipe {
    let flags = flags([
        ("--listen", "127.0.0.1:0".to_owned()),
        ("--state", state.join("autoscaler").display().to_string()),
        ("--match-seconds", args.match_seconds.to_string()),
        ("--server-start-seconds", SERVER_START_S.to_string()),
        ("--sync-seconds", SYNC_S.to_string()),
        ("--servers-min", args.warm.to_string()),
        ("--servers-max", SERVERS_MAX.to_string()),
        ("--shrink-after-seconds", SHRINK_AFTER_S.to_string()),
    ]);
    let args = flags.chain(["--exit-with-parent".into()]).collect();
    Recipe { role: Role::Autoscaler, args, env: BTreeMap::new(), logs: state.to_owned() }
}

/// What the fleet is told of its size, as a cluster would be: ask the predictive policy, and while it is away keep a
/// buffer of warm servers.
pub(super) fn write_autoscaler(args: &DemoArgs, state: &Path, webhook: SocketAddr) -> anyhow::Result<()> {
    let buffer = serde_json::json!({ "bufferSize": args.warm, "minReplicas": 0, "maxReplicas": SERVERS_MAX });
    let object = serde_json::json!({
        "apiVersion": "autoscaling.agones.dev/v1",
        "kind": "FleetAutoscaler",
        "metadata": { "name": "arena" },
        "spec": {
            "fleetName": "arena",
            "policy": { "type": "Chain", "chain": [
                { "id": "predict", "type": "Webhook", "webhook": { "url": format!("http://{webhook}/scale") } },
                { "id": "buffer", "type": "Buffer", "buffer": buffer },
            ] },
            "sync": { "type": "FixedInterval", "fixedInterval": { "seconds": SYNC_S } },
        },
    });
    let path = state.join("autoscaler.json");
    std::fs::write(&path, format!("{object:#}\n")).with_context(|| format!("cannot write {}", path.display()))
}

/// The fleet's process, which starts the game servers.
pub(super) fn fleet_recipe(
    args: &DemoArgs,
    state: &Path,
    secrets: &Secrets,
    grpc: SocketAddr,
    http: SocketAddr,
    backend_grpc: SocketAddr,
) -> anyhow::Result<Recipe> {
    let executable = std::env::current_exe().context("cannot find this executable")?;
    let flags = flags([
        ("--name", "arena".to_owned()),
        ("--listen", grpc.to_string()),
        ("--http", http.to_string()),
        ("--autoscaler", state.join("autoscaler.json").display().to_string()),
        ("--replicas", args.warm.to_string()),
        ("--max", SERVERS_MAX.to_string()),
        ("--state", state.join("fleet").display().to_string()),
        ("--env", format!("TICKWRIGHT_BACKEND=http://{backend_grpc}")),
        ("--env", format!("TICKWRIGHT_RESULT_SPOOL={}", state.join("results").display())),
        ("--env", format!("TICKWRIGHT_RECORD_DIR={}", state.join("recordings").display())),
    ]);
    let server = ["role", Role::ArenaServer.name(), "--", "--port", "{port}", "--exit-with-parent"];
    let args = flags
        .chain(["--exit-with-parent", "--"].map(OsString::from))
        .chain([executable.into_os_string()])
        .chain(server.map(OsString::from))
        .chain(["--tick-rate".into(), args.tick_rate.to_string().into()])
        .chain(["--transport".into(), args.transport.name().into()])
        .collect();
    Ok(Recipe { role: Role::Fleet, args, env: secrets.env(), logs: state.to_owned() })
}

fn flags<const N: usize>(pairs: [(&str, String); N]) -> impl Iterator<Item = OsString> + use<N> {
    let words: Vec<OsString> =
        pairs.into_iter().flat_map(|(name, value)| [name.into(), value.into()]).collect();
    words.into_iter()
}

/// Gives a flag that is there another value.
pub(super) fn set_flag(args: &mut [OsString], name: &str, value: SocketAddr) {
    if let Some(index) = args.iter().position(|arg| arg == name)
        && let Some(slot) = args.get_mut(index + 1)
    {
        *slot = value.to_string().into();
    }
}
