//! A game server without a game, for the local fleet: this test program once more, told by its environment to live
//! the life of a server instead of testing.

use std::io::Read as _;

use agones_sdk::client::Sdk;

/// With this in its environment the program is a server.
pub const SWITCH: &str = "TICKWRIGHT_TEST_SERVER";

/// How the fleet starts it.
pub fn command() -> Vec<String> {
    let program = std::env::current_exe().expect("our own program");
    [program.to_str().expect("a UTF-8 path"), "--exact", "fake_server::lives_as_a_server", "--nocapture"]
        .map(str::to_owned)
        .into()
}

#[test]
fn lives_as_a_server() {
    // Deliberate: an ordinary test run has nothing to test here.
    if std::env::var_os(SWITCH).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let sdk = Sdk::from_env().await.expect("a sidecar");
        let _pings = sdk.spawn_health(std::time::Duration::from_millis(500));
        sdk.ready().await.expect("ready");
        // Until the fleet is gone, or asks for the end by a signal.
        tokio::task::spawn_blocking(|| while matches!(std::io::stdin().read(&mut [0; 64]), Ok(1..)) {})
            .await
            .expect("no panic");
    });
}
