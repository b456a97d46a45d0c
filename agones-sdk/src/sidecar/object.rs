//! Owns: a GameServer object as people write it (`agones.dev/v1`, JSON or YAML), and following a file that holds one.
//! Must never know: who is told of a change.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};

use super::health::HealthPolicy;
use super::shared::Shared;
use crate::proto::sdk::GameServer;
use crate::proto::sdk::game_server::status::{Address, CounterStatus, ListStatus, Port};
use crate::proto::sdk::game_server::{ObjectMeta, Spec, Status, spec};
use crate::state::State;
use crate::text;

/// A change of the file is seen within this time.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectText {
    metadata: MetaText,
    spec: SpecText,
    status: StatusText,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MetaText {
    name: String,
    namespace: String,
    uid: String,
    resource_version: String,
    generation: i64,
    creation_timestamp: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SpecText {
    health: HealthText,
    counters: BTreeMap<String, CounterText>,
    lists: BTreeMap<String, ListText>,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct HealthText {
    disabled: bool,
    period_seconds: i32,
    failure_threshold: i32,
    initial_delay_seconds: i32,
}

impl Default for HealthText {
    /// Agones' own.
    fn default() -> Self {
        Self { disabled: false, period_seconds: 5, failure_threshold: 3, initial_delay_seconds: 5 }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StatusText {
    state: String,
    address: String,
    ports: Vec<PortText>,
    addresses: Vec<AddressText>,
    counters: Option<BTreeMap<String, CounterText>>,
    lists: Option<BTreeMap<String, ListText>>,
}

#[derive(Deserialize)]
struct PortText {
    name: String,
    port: i32,
}

#[derive(Deserialize)]
struct AddressText {
    r#type: String,
    address: String,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct CounterText {
    count: i64,
    capacity: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListText {
    capacity: i64,
    values: Vec<String>,
}

/// Parses a GameServer. Counters and lists are those of its status, or else those that its spec begins with; an object
/// without a state is one that is Ready.
///
/// # Errors
/// One line: it is none.
pub(crate) fn parse(source: &str) -> Result<GameServer, String> {
    let ObjectText { metadata, spec, status } = text::parse(source)?;
    let created = metadata.creation_timestamp.map(|text| {
        chrono::DateTime::parse_from_rfc3339(&text)
            .map(|time| time.timestamp())
            .map_err(|error| format!("metadata.creationTimestamp {text:?}: {error}"))
    });
    let state = if status.state.is_empty() { State::Ready.name() } else { &status.state };
    let state: State = state.parse().map_err(|error| format!("status.state: {error}"))?;
    let health = spec.health;
    if !health.disabled && (health.period_seconds < 1 || health.failure_threshold < 1) {
        return Err("spec.health: periodSeconds and failureThreshold must be above 0".into());
    }
    let counter =
        |(name, c): (String, CounterText)| (name, CounterStatus { count: c.count, capacity: c.capacity });
    let list = |(name, l): (String, ListText)| (name, ListStatus { capacity: l.capacity, values: l.values });
    Ok(GameServer {
        object_meta: Some(ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            creation_timestamp: created.transpose()?.unwrap_or(0),
            deletion_timestamp: 0,
            annotations: metadata.annotations,
            labels: metadata.labels,
        }),
        spec: Some(Spec {
            health: Some(spec::Health {
                disabled: health.disabled,
                period_seconds: health.period_seconds,
                failure_threshold: health.failure_threshold,
                initial_delay_seconds: health.initial_delay_seconds,
            }),
        }),
        status: Some(Status {
            state: state.name().into(),
            address: status.address,
            ports: status.ports.into_iter().map(|p| Port { name: p.name, port: p.port }).collect(),
            addresses: status
                .addresses
                .into_iter()
                .map(|a| Address { r#type: a.r#type, address: a.address })
                .collect(),
            counters: status.counters.unwrap_or(spec.counters).into_iter().map(counter).collect(),
            lists: status.lists.unwrap_or(spec.lists).into_iter().map(list).collect(),
            ..Status::default()
        }),
    })
}

/// Reads a GameServer from a file.
///
/// # Errors
/// One line that names the file.
pub fn load(path: &Path) -> Result<GameServer, String> {
    let source = text::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    parse(&source).map_err(|error| format!("{}: {error}", path.display()))
}

/// How the object wants its health to be judged.
pub fn health_of(server: &GameServer) -> HealthPolicy {
    let Some(health) = server.spec.as_ref().and_then(|spec| spec.health.as_ref()) else {
        return HealthPolicy::default();
    };
    let seconds = |seconds: i32| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    HealthPolicy {
        disabled: health.disabled,
        period: seconds(health.period_seconds).max(Duration::from_secs(1)),
        failure_threshold: u32::try_from(health.failure_threshold).unwrap_or(1),
        initial_delay: seconds(health.initial_delay_seconds),
    }
}

/// Replaces the object whenever the file becomes another, until the sidecar stops. A file that holds no GameServer
/// leaves the object as it is; how health is judged stays as it was at the start.
pub(super) async fn follow(shared: Arc<Shared>, path: PathBuf) {
    // What tells two states of a file apart, wherever it was written or moved from.
    let stamp = |meta: Metadata| (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
    let mut known = path.metadata().ok().map(stamp);
    let stopped = shared.stopped();
    tokio::pin!(stopped);
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = &mut stopped => return,
        }
        let now = path.metadata().ok().map(stamp);
        if now.is_none() || now == known {
            continue;
        }
        known = now;
        match load(&path) {
            Ok(server) => {
                tracing::info!(path = %path.display(), "GameServer read again");
                shared.change(|model, _| model.replace(server));
            }
            Err(error) => tracing::error!(error, "GameServer stays as it was"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_people_write_it() {
        let yaml = "
apiVersion: agones.dev/v1
kind: GameServer
metadata:
  name: my-server
  uid: '99'
  creationTimestamp: 2026-02-20T16:04:04Z
  labels: { mode: dm }
spec:
  container: server
  health: { periodSeconds: 2, failureThreshold: 4 }
  counters: { rooms: { count: 1, capacity: 10 } }
  lists: { players: { capacity: 8, values: [a, b] } }
status:
  state: Allocated
  address: 10.0.0.7
  ports: [{ name: default, port: 7777 }]
";
        let server = parse(yaml).unwrap();
        assert_eq!((server.name(), server.uid(), server.label("mode")), ("my-server", "99", Some("dm")));
        assert_eq!((server.state(), server.port("default")), (Some(State::Allocated), Some(7777)));
        assert_eq!(server.creation_timestamp(), 1_771_603_444);
        let status = server.status.as_ref().unwrap();
        assert_eq!((status.counters["rooms"].capacity, status.lists["players"].values.len()), (10, 2));
        let health = health_of(&server);
        assert_eq!((health.period, health.failure_threshold), (Duration::from_secs(2), 4));
        assert_eq!(health.initial_delay, Duration::from_secs(5));
    }

    #[test]
    fn what_is_left_out_has_a_meaning() {
        let server = parse("{}").unwrap();
        assert_eq!((server.state(), server.name()), (Some(State::Ready), ""));
        let emptied =
            parse(r#"{"spec":{"counters":{"rooms":{"capacity":9}}},"status":{"counters":{}}}"#).unwrap();
        assert!(emptied.status.unwrap().counters.is_empty());
        for wrong in [
            "[]",
            "status: {state: Reddy}",
            "metadata: {creationTimestamp: noon}",
            "{",
            "spec: {health: {periodSeconds: 0}}",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
