//! Owns: a local sidecar that answers like the real one over gRPC and HTTP.
//! Must never know: fleets, processes, or what runs behind a game server.

use std::ffi::OsString;

/// Runs a sidecar until SIGTERM or Ctrl-C. `args` are those after the program's name.
pub fn sidecar_main(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<()> {
    drop(args.into_iter());
    anyhow::bail!("under construction")
}
