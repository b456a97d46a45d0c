//! The bench's own scene, when no file is given: has it compiled and simulated. Must never know its physics.

use std::path::PathBuf;
use std::process::Command;

use anyhow::ensure;

use crate::compare::workspace;

/// The frames of the scene of a seed, in a file.
pub(super) fn simulate(seed: u64) -> anyhow::Result<PathBuf> {
    let peers = workspace().join("benches/peers");
    eprintln!("compiling and simulating the scene; a minute or more the first time");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    build.arg(peers.join("scene/Cargo.toml")).arg("--target-dir").arg(peers.join("target"));
    ensure!(build.status()?.success(), "the scene does not compile");
    let file = peers.join(format!("target/scene-{seed}.bin"));
    let mut scene = Command::new(peers.join("target/release/cubes-scene"));
    scene.arg(&file).args(["--seed", &seed.to_string()]);
    ensure!(scene.status()?.success(), "the scene cannot be simulated");
    Ok(file)
}
