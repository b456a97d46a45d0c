//! Owns: what the fleet's pages say of its servers. Must never know: who reads it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::roster::Member;

/// How many servers are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Census {
    /// How many there should be.
    pub desired: u32,
    /// Not Ready yet.
    pub starting: u32,
    /// Free to be allocated.
    pub ready: u32,
    /// Out of the pool by their own wish.
    pub reserved: u32,
    /// In use.
    pub allocated: u32,
    /// Ending.
    pub ending: u32,
    /// How many processes have ended unasked since the start.
    pub crashes: u64,
}

impl Census {
    /// Servers that are here to stay.
    pub fn living(&self) -> u32 {
        self.starting + self.ready + self.reserved + self.allocated
    }
}

/// A server as `/gameservers.json` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ServerReport {
    /// Its name.
    pub name: String,
    /// Its state's name.
    pub state: String,
    /// Its address.
    pub address: String,
    /// Its first port; `None` until it has one.
    pub port: Option<u16>,
    /// All its ports, `{"name","port"}`.
    pub ports: Vec<Value>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Where its admin pages are, if it said so.
    pub admin: Option<String>,
    /// Its process; `None` between two.
    pub pid: Option<u32>,
    /// How often its process was started again before it was Ready.
    pub restarts: u32,
    /// When it was created, milliseconds since the Unix epoch.
    pub started_unix_ms: u128,
    /// How many signs of life it has given.
    pub health_pings: u64,
    /// Its log files, without the endings `.stdout.log` and `.stderr.log`.
    pub log: String,
    /// Its own ready line.
    pub ready: Option<Value>,
}

impl Member {
    /// As `/gameservers.json` shows it.
    pub(super) fn report(&self) -> ServerReport {
        let server = self.sidecar.game_server();
        let details = self.details().clone();
        let meta = server.object_meta.clone().unwrap_or_default();
        let status = server.status.clone().unwrap_or_default();
        let said = details.ready_line.as_ref().and_then(|line| line.get("admin")).and_then(Value::as_str);
        let admin = said.or_else(|| server.own_annotation(ADMIN_ANNOTATION)).map(str::to_owned);
        ServerReport {
            name: meta.name,
            state: status.state,
            address: status.address,
            port: details.port,
            ports: status.ports.iter().map(|p| json!({ "name": p.name, "port": p.port })).collect(),
            labels: meta.labels,
            annotations: meta.annotations,
            admin,
            pid: details.pid,
            restarts: details.restarts,
            started_unix_ms: self.started_unix.as_millis(),
            health_pings: self.sidecar.health_pings(),
            log: self.log.display().to_string(),
            ready: details.ready_line,
        }
    }
}

/// Where a server may say that its admin pages are. No slash in it: the SDK's prefix has the only one.
const ADMIN_ANNOTATION: &str = "admin";
