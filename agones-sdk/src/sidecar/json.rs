//! Owns: the gateway's JSON: protojson with proto names, 64-bit integers as strings, defaults written out.
//! Must never know: which route a body came from.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::proto::beta::{Counter, List};
use crate::proto::sdk::GameServer;
use crate::proto::sdk::game_server::{ObjectMeta, Spec, Status};

/// A GameServer.
pub(crate) fn game_server(server: &GameServer) -> Value {
    json!({
        "object_meta": server.object_meta.as_ref().map(object_meta),
        "spec": server.spec.as_ref().map(spec),
        "status": server.status.as_ref().map(status),
    })
}

/// A counter.
pub(super) fn counter(counter: &Counter) -> Value {
    json!({
        "name": counter.name,
        "count": counter.count.to_string(),
        "capacity": counter.capacity.to_string(),
    })
}

/// A list.
pub(super) fn list(list: &List) -> Value {
    json!({ "name": list.name, "capacity": list.capacity.to_string(), "values": list.values })
}

/// A body as an object; an empty body is an empty object, as the gateway reads it.
pub(super) fn parse_object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Refusal::Invalid("body is not an object".into())),
        Err(error) => Err(Refusal::Invalid(error.to_string())),
    }
}

/// A string field; missing or null is empty.
pub(super) fn text(object: &Map<String, Value>, key: &str) -> Result<String, Refusal> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Refusal::Invalid(format!("{key} is not a string"))),
    }
}

/// A 64-bit integer, written as a string or a number; missing or null is `None`.
pub(super) fn int64(object: &Map<String, Value>, key: &str) -> Result<Option<i64>, Refusal> {
    let found = match object.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_i64(),
    };
    found.map(Some).ok_or_else(|| Refusal::Invalid(format!("{key} is not a 64-bit integer")))
}

/// Strings; missing or null is none.
pub(super) fn texts(object: &Map<String, Value>, key: &str) -> Result<Vec<String>, Refusal> {
    let refusal = || Refusal::Invalid(format!("{key} is not a list of strings"));
    match object.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => {
            values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(refusal)).collect()
        }
        Some(_) => Err(refusal()),
    }
}

fn object_meta(meta: &ObjectMeta) -> Value {
    json!({
        "name": meta.name,
        "namespace": meta.namespace,
        "uid": meta.uid,
        "resource_version": meta.resource_version,
        "generation": meta.generation.to_string(),
        "creation_timestamp": meta.creation_timestamp.to_string(),
        "deletion_timestamp": meta.deletion_timestamp.to_string(),
        "annotations": meta.annotations,
        "labels": meta.labels,
    })
}

fn spec(spec: &Spec) -> Value {
    let health = spec.health.as_ref().map(|health| {
        json!({
            "disabled": health.disabled,
            "period_seconds": health.period_seconds,
            "failure_threshold": health.failure_threshold,
            "initial_delay_seconds": health.initial_delay_seconds,
        })
    });
    json!({ "health": health })
}

fn status(status: &Status) -> Value {
    let counters: BTreeMap<_, _> = status
        .counters
        .iter()
        .map(|(name, c)| (name, json!({ "count": c.count.to_string(), "capacity": c.capacity.to_string() })))
        .collect();
    let lists: BTreeMap<_, _> = status
        .lists
        .iter()
        .map(|(name, l)| (name, json!({ "capacity": l.capacity.to_string(), "values": l.values })))
        .collect();
    let addresses: Vec<_> =
        status.addresses.iter().map(|a| json!({ "type": a.r#type, "address": a.address })).collect();
    let ports: Vec<_> = status.ports.iter().map(|p| json!({ "name": p.name, "port": p.port })).collect();
    let players = status.players.as_ref().map(|players| {
        json!({
            "count": players.count.to_string(),
            "capacity": players.capacity.to_string(),
            "ids": players.ids,
        })
    });
    json!({
        "state": status.state,
        "address": status.address,
        "addresses": addresses,
        "ports": ports,
        "players": players,
        "counters": counters,
        "lists": lists,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_as_strings_or_numbers() {
        let object = parse_object(br#"{"a":"5","b":6,"c":null,"d":"x","e":1.5}"#).unwrap();
        assert_eq!(int64(&object, "a"), Ok(Some(5)));
        assert_eq!(int64(&object, "b"), Ok(Some(6)));
        assert_eq!(int64(&object, "c"), Ok(None));
        assert!(int64(&object, "d").is_err() && int64(&object, "e").is_err());
    }

    #[test]
    fn hostile_bodies_are_refused_not_panicked_on() {
        assert!(parse_object(b" \n").unwrap().is_empty());
        let deep = vec![b'['; 100_000];
        for body in [&b"["[..], b"[]", b"1", b"{\"a\"", b"\xff\xfe", &deep] {
            assert!(parse_object(body).is_err());
        }
        let object = parse_object(br#"{"values":["a",1],"key":7}"#).unwrap();
        assert!(texts(&object, "values").is_err() && text(&object, "key").is_err());
    }
}
