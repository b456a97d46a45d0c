//! Owns: a local fleet of server processes, each with its sidecar, and the allocator in front of them.
//! Must never know: what the processes serve.
//!
//! HTTP: `/healthz` → `{"status":"ok","fleet":…,"ready":n,"allocated":n,"starting":n,"desired":n,"crashes":n}`;
//! `/gameservers.json` → `[{"name","state","address","port","ports":[{"name","port"}],"labels":{},"annotations":{},
//! "admin":"127.0.0.1:1"|null,"pid","restarts","started_unix_ms","log","ready":{…}|null}]` (`ready` is the server's own
//! `{"ready":true,…}` line on stdout, `admin` its annotation `tickwright.dev/admin` or that line's `admin`);
//! `/finals.json` → `[{"server","unix_ms","final":{…}}]`, the last 256 `{"final":{…}}` lines, oldest first.

use std::ffi::OsString;

/// Runs a fleet until SIGTERM or Ctrl-C (or end of stdin with `--exit-with-parent`), then drains it.
/// `args` are those after the program's name.
pub fn fleet_main(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<()> {
    drop(args.into_iter());
    anyhow::bail!("under construction")
}
