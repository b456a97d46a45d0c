//! A double of the Kubernetes API server with Agones' allocation API: takes what the real one takes and refuses what it
//! refuses, with its `Status` objects.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::agones::Running;
use super::world::{Fault, World};

/// What our service account shows.
pub const TOKEN: &str = "the-account's-token";

/// Serves `world` as the fleet `arena` of the namespace `default`.
pub fn start(world: World) -> Running {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    let router = router(world);
    Running::spawn(address, async move {
        let listener = TcpListener::from_std(listener).expect("a socket");
        axum::serve(listener, router).await.expect("it serves");
    })
}

/// Its routes.
pub fn router(world: World) -> Router {
    Router::new()
        .route("/apis/allocation.agones.dev/v1/namespaces/{namespace}/gameserverallocations", post(allocate))
        .route("/apis/agones.dev/v1/namespaces/{namespace}/fleets/{fleet}", get(fleet))
        .with_state(world)
}

/// Kubernetes' way to say no.
fn refusal(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16() });
    (code, Json(status)).into_response()
}

fn is_known(headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|value| value == format!("Bearer {TOKEN}").as_str())
}

async fn fleet(
    State(world): State<World>,
    Path((namespace, fleet)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !is_known(&headers) {
        return refusal(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized");
    }
    if (namespace.as_str(), fleet.as_str()) != ("default", "arena") {
        return refusal(StatusCode::NOT_FOUND, "NotFound", &format!("fleets.agones.dev {fleet:?} not found"));
    }
    let status = json!({ "replicas": world.ready() + world.taken().len(), "readyReplicas": world.ready() });
    Json(json!({ "apiVersion": "agones.dev/v1", "kind": "Fleet", "status": status })).into_response()
}

async fn allocate(
    State(world): State<World>,
    Path(namespace): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !is_known(&headers) {
        return refusal(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized");
    }
    if headers.get(header::CONTENT_TYPE).is_none_or(|value| value != "application/json") {
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", "not JSON");
    }
    let Ok(object) = serde_json::from_slice::<Value>(&body) else {
        return refusal(StatusCode::BAD_REQUEST, "BadRequest", "the object is not JSON");
    };
    if let Err(why) = check(&object) {
        return refusal(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", &why);
    }
    let fault = world.ask();
    let empty = |state: &str| status(&object, json!({ "state": state }));
    match fault {
        Some(Fault::Contention) => return empty("Contention"),
        Some(Fault::Refused) => return refusal(StatusCode::FORBIDDEN, "Forbidden", "no such right"),
        Some(Fault::Silence) => std::future::pending().await,
        _ => {}
    }
    let spec = &object["spec"];
    let read = |value: &Value| serde_json::from_value(value.clone()).unwrap_or_default();
    let patch = (read(&spec["metadata"]["labels"]), read(&spec["metadata"]["annotations"]));
    let selectors = spec["selectors"].as_array().cloned().unwrap_or_default();
    let here = namespace == "default";
    let taken = selectors
        .iter()
        .filter(|_| here)
        .find_map(|selector| world.take(&read(&selector["matchLabels"]), (&patch.0, &patch.1)));
    let Some(made) = taken else { return empty("UnAllocated") };
    let made = if let Some(Fault::Bad(bad)) = fault { made.spoiled(bad) } else { made };
    let ports: Vec<Value> =
        made.ports.iter().map(|port| json!({ "name": "default", "port": port })).collect();
    let answer = json!({ "state": "Allocated", "gameServerName": made.name, "ports": ports, "address": made.address,
        "addresses": [], "nodeName": "n1", "source": "local",
        "metadata": { "labels": made.labels, "annotations": made.annotations } });
    status(&object, answer)
}

/// 201 in any case: that nothing was taken stands in the object.
fn status(object: &Value, status: Value) -> Response {
    let mut object = object.clone();
    object["status"] = status;
    (StatusCode::CREATED, Json(object)).into_response()
}

/// What the real one validates of the parts that we send.
fn check(object: &Value) -> Result<(), String> {
    if object["apiVersion"] != "allocation.agones.dev/v1" || object["kind"] != "GameServerAllocation" {
        return Err("the object is of another kind".to_owned());
    }
    let spec = object["spec"].as_object().ok_or("spec is missing")?;
    let known =
        ["multiClusterSetting", "selectors", "priorities", "scheduling", "metadata", "counters", "lists"];
    if let Some(unknown) = spec.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("unknown field spec.{unknown}"));
    }
    if !["Packed", "Distributed"].iter().any(|known| object["spec"]["scheduling"] == *known) {
        return Err("spec.scheduling is neither Packed nor Distributed".to_owned());
    }
    for selector in object["spec"]["selectors"].as_array().ok_or("spec.selectors is no list")? {
        if !["Ready", "Allocated"].iter().any(|known| selector["gameServerState"] == *known) {
            return Err("gameServerState is neither Ready nor Allocated".to_owned());
        }
    }
    for value in
        object["spec"]["metadata"]["labels"].as_object().into_iter().flat_map(|labels| labels.values())
    {
        // Kubernetes' rule for label values.
        let text = value.as_str().ok_or("a label is no text")?;
        let plain = |c: char| c.is_ascii_alphanumeric();
        let fits = text.len() <= 63
            && text.chars().all(|c| plain(c) || "-_.".contains(c))
            && (text.is_empty() || text.starts_with(plain))
            && (text.is_empty() || text.ends_with(plain));
        if !fits {
            return Err(format!("{text:?} is no label value"));
        }
    }
    Ok(())
}
