//! Official clients against our sidecar, outside the workspace's dependency graph. What cannot be fetched is named on
//! standard error, past the test harness: nothing is left out in silence.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Stable and beta calls; player tracking is off, as it is upstream.
const CALLS: &str = "ready,allocate,setlabel,setannotation,gameserver,health,shutdown,watch,reserve,getcounter,\
                     updatecounter,setcountcounter,setcapacitycounter,getlist,updatelist,addlistvalue,removelistvalue";

/// Runs `client` with a sidecar in conformance mode; panics unless both are content.
fn conform(mut client: Command) {
    let mut sidecar = Command::new(env!("CARGO_BIN_EXE_sidecar"))
        .args(["--grpc-port", "0", "--http-port", "0", "--timeout", "120", "--test", CALLS])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(sidecar.stdout.take().unwrap()).lines().map(Result::unwrap);
    let ready: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    let (_, port) = ready["grpc"].as_str().unwrap().rsplit_once(':').unwrap();
    let output = client.env("AGONES_SDK_GRPC_PORT", port).output().unwrap();
    kill_process(Pid::from_child(&sidecar), Signal::TERM).unwrap();
    let last = lines.next().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(sidecar.wait().unwrap().success(), "{last}");
}

/// The folder with the package and what it needs, fetched by `npm ci`; `None` says why not.
fn node_client() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat/node");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compat-node");
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["package.json", "package-lock.json", "run.mjs"] {
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    if folder.join("node_modules/@google-cloud/agones-sdk").is_dir() {
        return Ok(folder);
    }
    let fetch =
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000"];
    match Command::new("npm").args(fetch).current_dir(&folder).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(folder),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("npm: {}", said.lines().next().unwrap_or("failed without a word")))
        }
        Err(error) => Err(format!("npm: {error}")),
    }
}

#[test]
fn the_official_node_client_gets_what_it_is_documented_to_get() {
    match node_client() {
        Ok(folder) => {
            let mut node = Command::new("node");
            node.arg("run.mjs").current_dir(folder);
            conform(node);
        }
        Err(why) => {
            // Not eprintln: the harness would keep it to itself.
            let mut stderr = std::io::stderr();
            writeln!(
                stderr,
                "\nNOT RUN: npm package @google-cloud/agones-sdk 1.61.0 against our sidecar ({why})\n"
            )
            .unwrap();
        }
    }
}
