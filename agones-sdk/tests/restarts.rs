//! A sidecar process that is killed by SIGKILL and started again: signs of life, watch and calls go on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agones_sdk::client::{ConnectOptions, Sdk};
use agones_sdk::{Backoff, State};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

/// A sidecar that ends with the test.
struct Killed {
    child: Child,
    grpc: String,
    http: String,
}

impl Killed {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sidecar"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        Self { child, grpc: text("grpc"), http: text("http") }
    }

    async fn state(&self) -> String {
        let url = format!("http://{}/gameserver", self.http);
        let server: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        server["status"]["state"].as_str().unwrap().to_owned()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // SIGKILL, as the kernel would when memory runs out.
        let _gone = self.child.kill();
        let _buried = self.child.wait();
    }
}

/// Two seconds of silence are Unhealthy, for the second sidecar as for the first: only pings that go on keep it Ready.
#[tokio::test(flavor = "multi_thread")]
async fn signs_of_life_and_watch_outlive_killed_sidecars() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("gs.yaml");
    let object = |state: &str| {
        format!(
            "metadata: {{name: mine}}\nspec: {{health: {{periodSeconds: 1, failureThreshold: 2, initialDelaySeconds: 0}}}}\n\
             status: {{state: {state}}}\n"
        )
    };
    std::fs::write(&file, object("Scheduled")).unwrap();
    let file = file.to_str().unwrap();
    let common = ["--managed", "--request-rate-limit=0", "--health-port=0", "--file", file];
    let start = |grpc: &str, http: &str| {
        Killed::start(&[&["--grpc-port", grpc, "--http-port", http][..], &common].concat())
    };
    let mut sidecar = start("0", "0");
    let port = |address: &str| address.rsplit_once(':').unwrap().1.to_owned();
    let (grpc, http) = (port(&sidecar.grpc), port(&sidecar.http));
    let backoff = Backoff { first: Duration::from_millis(10), max: Duration::from_millis(100) };
    let options = ConnectOptions { backoff, ..ConnectOptions::new(format!("http://{}", sidecar.grpc)) };
    let sdk = Sdk::connect(options).await.unwrap();
    let _pings = sdk.spawn_health(Duration::from_millis(100));
    let mut watch = sdk.watch();
    for round in 0..3 {
        timeout(SOON, sdk.ready()).await.unwrap().unwrap();
        let ready = async { while watch.next().await.state() != Some(State::Ready) {} };
        timeout(SOON, ready).await.expect("the watch goes on");
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert_eq!(sidecar.state().await, "Ready", "round {round}: its signs of life go on");
        drop(sidecar);
        sidecar = start(&grpc, &http);
        // A new sidecar has its object from the file again: the watch shows that it is another.
        let scheduled = async { while watch.next().await.state() != Some(State::Scheduled) {} };
        timeout(SOON, scheduled).await.expect("the watch resumes");
    }
}
