//! Owns: the allocator's REST form, `POST /gameserverallocation`: protojson in and out, and its status codes.
//! Must never know: which server is taken, or why.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Shares;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use tonic::{Code, Status};

use super::roster::Roster;
use super::rpc;
use crate::proto::allocation::allocation_request::SchedulingStrategy;
use crate::proto::allocation::game_server_selector::GameServerState;
use crate::proto::allocation::label_match_expressions::Operator;
use crate::proto::allocation::{
    AllocationRequest, AllocationResponse, CounterAction, CounterSelector, GameServerSelector,
    LabelMatchExpressions, ListAction, ListSelector, MetaPatch, Priority, priority,
};

/// Takes one server.
pub(super) async fn allocate(Shares(roster): Shares<Arc<Roster>>, body: Bytes) -> Response {
    let request = match read(&body) {
        Ok(request) => request,
        Err(error) => return problem(&Status::invalid_argument(error.to_string())),
    };
    match rpc::allocate(&roster, &request) {
        Ok(response) => Json(render(&response)).into_response(),
        Err(status) => problem(&status),
    }
}

/// An object; an empty body is an empty one, as the gateway reads it: any Ready server.
fn read(body: &[u8]) -> serde_json::Result<AllocationRequest> {
    if body.is_empty() {
        return Ok(AllocationRequest::default());
    }
    let object: Map<String, Value> = serde_json::from_slice(body)?;
    serde_json::from_value::<RequestText>(Value::Object(object)).map(Into::into)
}

/// A refusal as the gateway writes it.
fn problem(status: &Status) -> Response {
    let http = match status.code() {
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Aborted => StatusCode::CONFLICT,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let code = status.code() as i32;
    (http, Json(json!({ "code": code, "message": status.message(), "details": [] }))).into_response()
}

fn render(response: &AllocationResponse) -> Value {
    let int64 = |value: Option<i64>| value.map(|value| value.to_string());
    let counters: BTreeMap<_, _> = response
        .counters
        .iter()
        .map(|(name, c)| (name, json!({ "count": int64(c.count), "capacity": int64(c.capacity) })))
        .collect();
    let lists: BTreeMap<_, _> = response
        .lists
        .iter()
        .map(|(name, list)| (name, json!({ "values": list.values, "capacity": int64(list.capacity) })))
        .collect();
    let ports: Vec<_> = response.ports.iter().map(|p| json!({ "name": p.name, "port": p.port })).collect();
    let addresses: Vec<_> =
        response.addresses.iter().map(|a| json!({ "type": a.r#type, "address": a.address })).collect();
    let metadata = response.metadata.as_ref();
    json!({
        "gameServerName": response.game_server_name,
        "ports": ports,
        "address": response.address,
        "nodeName": response.node_name,
        "source": response.source,
        "metadata": metadata.map(|meta| json!({ "labels": meta.labels, "annotations": meta.annotations })),
        "addresses": addresses,
        "counters": counters,
        "lists": lists,
    })
}

/// A field that is missing or null has its default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// A 64-bit integer, written as a string or a number.
#[derive(Clone, Copy, Debug, Default)]
struct Int64(i64);

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let found = match Value::deserialize(from)? {
            Value::String(text) => text.parse().ok(),
            number => number.as_i64(),
        };
        found.map(Self).ok_or_else(|| serde::de::Error::custom("expected a 64-bit integer"))
    }
}

/// An enum's value by name or by number; a number that has no name is the first, as protobuf reads it.
fn choice<'de, D: Deserializer<'de>>(from: D, by_name: fn(&str) -> Option<i32>) -> Result<i32, D::Error> {
    let wrong = |value: &Value| serde::de::Error::custom(format!("{value} is none of the enum's values"));
    match Value::deserialize(from)? {
        Value::Null => Ok(0),
        Value::String(name) => by_name(&name).ok_or_else(|| wrong(&Value::String(name))),
        number => number.as_i64().and_then(|n| i32::try_from(n).ok()).ok_or_else(|| wrong(&number)),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RequestText {
    #[serde(deserialize_with = "or_default")]
    namespace: String,
    required_game_server_selector: Option<SelectorText>,
    #[serde(deserialize_with = "or_default")]
    preferred_game_server_selectors: Vec<SelectorText>,
    #[serde(deserialize_with = "scheduling")]
    scheduling: i32,
    meta_patch: Option<PatchText>,
    metadata: Option<PatchText>,
    #[serde(deserialize_with = "or_default")]
    game_server_selectors: Vec<SelectorText>,
    #[serde(deserialize_with = "or_default")]
    priorities: Vec<PriorityText>,
    #[serde(deserialize_with = "or_default")]
    counters: BTreeMap<String, CounterActionText>,
    #[serde(deserialize_with = "or_default")]
    lists: BTreeMap<String, ListActionText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PatchText {
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SelectorText {
    #[serde(deserialize_with = "or_default")]
    match_labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    match_expressions: Vec<ExpressionText>,
    #[serde(deserialize_with = "state")]
    game_server_state: i32,
    #[serde(deserialize_with = "or_default")]
    counters: BTreeMap<String, CounterSelectorText>,
    #[serde(deserialize_with = "or_default")]
    lists: BTreeMap<String, ListSelectorText>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ExpressionText {
    key: String,
    #[serde(deserialize_with = "operator")]
    operator: i32,
    #[serde(deserialize_with = "or_default")]
    values: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CounterSelectorText {
    #[serde(deserialize_with = "or_default")]
    min_count: Int64,
    #[serde(deserialize_with = "or_default")]
    max_count: Int64,
    #[serde(deserialize_with = "or_default")]
    min_available: Int64,
    #[serde(deserialize_with = "or_default")]
    max_available: Int64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListSelectorText {
    #[serde(deserialize_with = "or_default")]
    contains_value: String,
    #[serde(deserialize_with = "or_default")]
    min_available: Int64,
    #[serde(deserialize_with = "or_default")]
    max_available: Int64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PriorityText {
    #[serde(deserialize_with = "priority_type")]
    r#type: i32,
    key: String,
    #[serde(deserialize_with = "priority_order")]
    order: i32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CounterActionText {
    action: Option<String>,
    amount: Option<Int64>,
    capacity: Option<Int64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListActionText {
    #[serde(deserialize_with = "or_default")]
    add_values: Vec<String>,
    capacity: Option<Int64>,
    #[serde(deserialize_with = "or_default")]
    delete_values: Vec<String>,
}

fn scheduling<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    choice(from, |name| SchedulingStrategy::from_str_name(name).map(i32::from))
}

fn state<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    choice(from, |name| GameServerState::from_str_name(name).map(i32::from))
}

fn operator<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    choice(from, |name| Operator::from_str_name(name).map(i32::from))
}

fn priority_type<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    choice(from, |name| priority::Type::from_str_name(name).map(i32::from))
}

fn priority_order<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    choice(from, |name| priority::Order::from_str_name(name).map(i32::from))
}

impl From<RequestText> for AllocationRequest {
    fn from(text: RequestText) -> Self {
        let counter = |(name, c): (String, CounterActionText)| {
            let (amount, capacity) = (c.amount.map(|n| n.0), c.capacity.map(|n| n.0));
            (name, CounterAction { action: c.action, amount, capacity })
        };
        let list = |(name, l): (String, ListActionText)| {
            let (add_values, delete_values) = (l.add_values, l.delete_values);
            (name, ListAction { add_values, capacity: l.capacity.map(|n| n.0), delete_values })
        };
        let selectors = |texts: Vec<SelectorText>| texts.into_iter().map(Into::into).collect();
        let priority = |p: PriorityText| Priority { r#type: p.r#type, key: p.key, order: p.order };
        Self {
            namespace: text.namespace,
            multi_cluster_setting: None,
            required_game_server_selector: text.required_game_server_selector.map(Into::into),
            preferred_game_server_selectors: selectors(text.preferred_game_server_selectors),
            scheduling: text.scheduling,
            meta_patch: text.meta_patch.map(Into::into),
            metadata: text.metadata.map(Into::into),
            game_server_selectors: selectors(text.game_server_selectors),
            priorities: text.priorities.into_iter().map(priority).collect(),
            counters: text.counters.into_iter().map(counter).collect(),
            lists: text.lists.into_iter().map(list).collect(),
        }
    }
}

impl From<PatchText> for MetaPatch {
    fn from(text: PatchText) -> Self {
        Self { labels: text.labels, annotations: text.annotations }
    }
}

impl From<SelectorText> for GameServerSelector {
    fn from(text: SelectorText) -> Self {
        let expression =
            |e: ExpressionText| LabelMatchExpressions { key: e.key, operator: e.operator, values: e.values };
        let counter = |(name, c): (String, CounterSelectorText)| {
            let (min_count, max_count) = (c.min_count.0, c.max_count.0);
            let (min_available, max_available) = (c.min_available.0, c.max_available.0);
            (name, CounterSelector { min_count, max_count, min_available, max_available })
        };
        let list = |(name, l): (String, ListSelectorText)| {
            let (min_available, max_available) = (l.min_available.0, l.max_available.0);
            (name, ListSelector { contains_value: l.contains_value, min_available, max_available })
        };
        Self {
            match_labels: text.match_labels,
            game_server_state: text.game_server_state,
            counters: text.counters.into_iter().map(counter).collect(),
            lists: text.lists.into_iter().map(list).collect(),
            match_expressions: text.match_expressions.into_iter().map(expression).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_protojson_writes_it() {
        let body = r#"{
            "namespace": "default",
            "gameServerSelectors": [{
                "matchLabels": {"agones.dev/fleet": "f"},
                "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["a"]}],
                "gameServerState": "ALLOCATED",
                "counters": {"rooms": {"minAvailable": "1", "maxCount": 5}},
                "lists": {"players": {"containsValue": "p", "minAvailable": "2"}}
            }, {"gameServerState": 0, "counters": null}],
            "priorities": [{"type": "List", "key": "players", "order": "Descending"}],
            "scheduling": "Distributed",
            "metadata": {"labels": {"mode": "dm"}},
            "counters": {"rooms": {"action": "Increment", "amount": "1"}},
            "lists": {"players": {"addValues": ["p1"], "deleteValues": ["p0"], "capacity": "20"}},
            "somethingNewer": true
        }"#;
        let request = read(body.as_bytes()).unwrap();
        let [first, second] = &request.game_server_selectors[..] else { panic!("{request:?}") };
        assert_eq!(first.game_server_state(), GameServerState::Allocated);
        assert_eq!(first.match_expressions[0].operator(), Operator::NotIn);
        assert_eq!((first.counters["rooms"].min_available, first.counters["rooms"].max_count), (1, 5));
        assert_eq!(
            (first.lists["players"].contains_value.as_str(), first.lists["players"].min_available),
            ("p", 2)
        );
        assert_eq!(*second, GameServerSelector::default());
        assert_eq!(request.scheduling(), SchedulingStrategy::Distributed);
        assert_eq!(request.priorities[0].order(), priority::Order::Descending);
        assert_eq!(request.counters["rooms"].amount, Some(1));
        assert_eq!(request.lists["players"].capacity, Some(20));
        assert_eq!(request.metadata.unwrap().labels["mode"], "dm");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let deep = "[".repeat(100_000);
        for body in
            ["[]", "{", "{\"scheduling\":\"Sideways\"}", "{\"counters\":{\"a\":{\"amount\":\"x\"}}}", &deep]
        {
            assert!(read(body.as_bytes()).is_err(), "{}", &body[..body.len().min(40)]);
        }
        for nothing in ["", "{}"] {
            assert_eq!(read(nothing.as_bytes()).unwrap(), AllocationRequest::default());
        }
    }
}
