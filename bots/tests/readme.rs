//! Every command of the README runs as it stands there.

mod support;

use std::{
    fs,
    process::{Command, Output},
};

/// The fenced `sh` blocks of the README, in order.
fn blocks() -> Vec<String> {
    let readme = fs::read_to_string(support::workspace().join("README.md")).expect("there is a README");
    readme
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("a fence that closes").trim().to_owned())
        .collect()
}

fn bash(script: &str) -> Output {
    Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(support::workspace())
        // The outer cargo's settings must not leak into the commands a reader would type.
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("RUSTFLAGS")
        .output()
        .expect("bash is part of every Debian")
}

#[test]
fn every_command_of_the_readme_runs() {
    let blocks = blocks();
    assert!(blocks.len() >= 4, "the README has its commands in sh blocks: {blocks:?}");
    assert_eq!(&blocks[..2], ["cargo run --release", "scripts/test"], "the two commands come first");
    let ci = fs::read_to_string(support::workspace().join(".ci/run")).expect("CI has its script");
    assert!(
        ci.contains("exec scripts/test"),
        "the second command is what CI runs, so it is not run again here"
    );
    for block in blocks.iter().filter(|block| *block != "scripts/test") {
        // The first command runs until Ctrl-C: give it one after a while, and expect a clean end and a table.
        let script = if block == "cargo run --release" {
            format!("timeout --preserve-status -s INT 25 {block}")
        } else {
            block.clone()
        };
        let output = bash(&script);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{block}\n{}\n{out}\n{err}", output.status);
        // Whatever plays ends with its table; the benches have tables of their own.
        if block.contains("--check-config") {
            assert!(out.contains("tick-rate = 60") && out.contains("[balance]"), "{block}\n{out}\n{err}");
        } else if !block.contains("-p benches") {
            assert!(out.contains("server tick p50"), "{block}: no table\n{out}\n{err}");
        }
    }
}

#[test]
fn every_path_of_the_readme_exists() {
    let readme = fs::read_to_string(support::workspace().join("README.md")).expect("there is a README");
    let links = readme.split("](").skip(1).map(|rest| rest.split(')').next().expect("a link that closes"));
    for link in links.filter(|link| !link.starts_with("http") && !link.starts_with('#')) {
        let path = link.split('#').next().expect("a path before the fragment");
        assert!(support::workspace().join(path).exists(), "README links to {path}, which is not there");
    }
}
