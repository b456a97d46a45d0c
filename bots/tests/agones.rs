//! Our game server, as it is, against our Agones sidecar in conformance mode, with the environment that a pod gives it.

mod support;

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use agones_sdk::sidecar::{Expected, Sidecar, SidecarConfig};

/// What a game server that nobody allocates asks of Agones in its life. The annotation that says where its admin port is
/// does not count: only one that carries the uid does.
const CALLS: &str = "gameserver,health,ready,watch,shutdown";

#[test]
fn our_game_server_passes_the_conformance_mode() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let sidecar = runtime.block_on(Sidecar::start(SidecarConfig::local(any, any))).expect("a sidecar");
    let mut server = Command::new(env!("CARGO_BIN_EXE_bots"))
        .args(["role", "arena-server", "--", "--port", "0"])
        .env("AGONES_SDK_GRPC_HOST", "http://127.0.0.1")
        .env("AGONES_SDK_GRPC_PORT", sidecar.grpc_addr().port().to_string())
        .env("AGONES_SDK_HTTP_PORT", sidecar.http_addr().port().to_string())
        .env("TICKWRIGHT_KEY", netcode_token::Key::generate().to_hex())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("bots starts");
    let seen =
        || ["gameserver", "health", "ready", "watch"].iter().all(|call| sidecar.calls().contains(call));
    support::wait("the server's first calls", Duration::from_secs(20), seen);
    assert!(sidecar.game_server().own_annotation("admin").is_some_and(|at| at.starts_with("127.0.0.1:")));
    support::kill(server.id(), "TERM");
    let status = server.wait().expect("an end");
    assert!(status.success(), "{status}");
    let expected: Expected = CALLS.parse().expect("known calls");
    assert_eq!(expected.compare(&sidecar.calls()), Ok(()));
}
