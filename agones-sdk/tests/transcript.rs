//! The sidecar against a recorded transcript of the real `sdk-server --local`, compared as parsed JSON.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

use agones_sdk::sidecar::{FeatureGates, Sidecar, SidecarConfig};
use reqwest::{Client, Method};
use serde_json::{Value, json};

const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

async fn start(strict_errors: bool) -> (Sidecar, String) {
    let config = SidecarConfig { strict_errors, ..SidecarConfig::local(ANY.into(), ANY.into()) };
    let sidecar = Sidecar::start(config).await.unwrap();
    let base = format!("http://{}", sidecar.http_addr());
    (sidecar, base)
}

async fn ask(base: &str, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = Client::new().request(method, format!("{base}{path}"));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_owned());
    }
    let response = request.send().await.unwrap();
    let (status, body) = (response.status().as_u16(), response.bytes().await.unwrap());
    (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}

/// `METHOD path body` → status and answer, one after another against one sidecar.
async fn check(base: &str, line: &str, status: u16, expected: &Value) {
    let mut words = line.splitn(3, ' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let found = ask(base, method, path, words.next()).await;
    assert_eq!(found, (status, expected.clone()), "{line}");
}

fn error(code: i32, message: &str) -> Value {
    json!({ "code": code, "message": message, "details": [] })
}

fn fixture(created: &Value) -> Value {
    json!({
        "object_meta": {
            "name": "local", "namespace": "default", "uid": "1234", "resource_version": "v1",
            "generation": "1", "creation_timestamp": created, "deletion_timestamp": "0",
            "annotations": { "annotation": "true" }, "labels": { "islocal": "true" },
        },
        "spec": { "health": {
            "disabled": false, "period_seconds": 3, "failure_threshold": 5, "initial_delay_seconds": 10,
        } },
        "status": {
            "state": "Ready", "address": "127.0.0.1", "addresses": [],
            "ports": [{ "name": "default", "port": 7777 }], "players": null,
            "counters": { "rooms": { "count": "1", "capacity": "10" } },
            "lists": { "players": { "capacity": "100", "values": ["test0", "test1", "test2"] } },
        },
    })
}

#[tokio::test]
async fn the_start_is_the_fixture() {
    let (_sidecar, base) = start(false).await;
    let (status, server) = ask(&base, "GET", "/gameserver", None).await;
    let created = &server["object_meta"]["creation_timestamp"];
    let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
        - created.as_str().unwrap().parse::<u64>().unwrap();
    assert!(age < 60);
    assert_eq!((status, &server), (200, &fixture(created)));
}

#[tokio::test]
async fn lifecycle_and_metadata() {
    let (_sidecar, base) = start(false).await;
    let ok = json!({});
    for line in [
        "POST /ready {}",
        "POST /allocate {}",
        "POST /shutdown {}",
        "POST /health {}",
        "POST /reserve {\"seconds\":\"2\"}",
        "PUT /metadata/label {\"key\":\"foo\",\"value\":\"bar\"}",
        "PUT /metadata/annotation {\"key\":\"foo\",\"value\":\"baz\"}",
    ] {
        check(&base, line, 200, &ok).await;
    }
    check(&base, "POST /health", 400, &Value::Null).await;
    let (_, server) = ask(&base, "GET", "/gameserver", None).await;
    assert_eq!(server["object_meta"]["labels"], json!({ "agones.dev/sdk-foo": "bar", "islocal": "true" }));
    let annotations = json!({ "agones.dev/sdk-foo": "baz", "annotation": "true" });
    assert_eq!(server["object_meta"]["annotations"], annotations);
    assert_eq!(server["status"]["state"], "Reserved");
    check(&base, "GET /nosuch", 404, &error(5, "Not Found")).await;
    let (status, _) = ask(&base, "POST", "/ready", Some("[1")).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn counters() {
    let (_sidecar, base) = start(false).await;
    let rooms =
        |count: &str, capacity: &str| json!({ "name": "rooms", "count": count, "capacity": capacity });
    let path = "/v1beta1/counters";
    check(&base, &format!("GET {path}/rooms"), 200, &rooms("1", "10")).await;
    let missing = error(2, "not found. nope Counter not found");
    check(&base, &format!("GET {path}/nope"), 500, &missing).await;
    check(&base, &format!("PATCH {path}/rooms {{\"count\":\"5\"}}"), 200, &rooms("5", "10")).await;
    check(&base, &format!("PATCH {path}/rooms {{\"countDiff\":\"1\"}}"), 200, &rooms("6", "10")).await;
    let range = "out of range. Count must be within range [0,Capacity]. Found Count: 106, Capacity: 10";
    check(&base, &format!("PATCH {path}/rooms {{\"countDiff\":\"100\"}}"), 500, &error(2, range)).await;
    check(&base, &format!("PATCH {path}/rooms {{\"capacity\":\"20\"}}"), 200, &rooms("6", "20")).await;
}

#[tokio::test]
async fn lists_and_player_tracking() {
    let (_sidecar, base) = start(false).await;
    let list = |capacity: &str, values: &[&str]| json!({ "name": "players", "capacity": capacity, "values": values });
    let path = "/v1beta1/lists/players";
    check(&base, &format!("GET {path}"), 200, &list("100", &["test0", "test1", "test2"])).await;
    let four = list("100", &["test0", "test1", "test2", "p9"]);
    check(&base, &format!("POST {path}:addValue {{\"value\":\"p9\"}}"), 200, &four).await;
    let exists = error(2, "already exists. Value: p9 already in List: players");
    check(&base, &format!("POST {path}:addValue {{\"value\":\"p9\"}}"), 500, &exists).await;
    let missing = error(2, "not found. Value: zz not found in List: players");
    check(&base, &format!("POST {path}:removeValue {{\"value\":\"zz\"}}"), 500, &missing).await;
    let smaller = list("50", &["test0", "test1", "test2", "p9"]);
    check(&base, &format!("PATCH {path} {{\"capacity\":\"50\"}}"), 200, &smaller).await;
    let range = error(2, "out of range. Capacity must be within range [0,1000]. Found Capacity: 120");
    check(&base, &format!("PATCH {path} {{\"capacity\":\"120\"}}"), 500, &range).await;
    let off = error(2, "PlayerTracking not enabled");
    for line in [
        "POST /alpha/player/connect {}",
        "POST /alpha/player/disconnect {\"playerID\":\"a\"}",
        "PUT /alpha/player/capacity {\"count\":\"2\"}",
        "GET /alpha/player/capacity",
        "GET /alpha/player/count",
        "GET /alpha/player/connected/a",
        "GET /alpha/player/connected",
    ] {
        check(&base, line, 500, &off).await;
    }
    check(&base, "GET /alpha/player/nosuch", 404, &error(5, "Not Found")).await;
}

#[tokio::test]
async fn player_tracking_behind_its_gate() {
    let gates = FeatureGates { player_tracking: true, counts_and_lists: false };
    let config = SidecarConfig { gates, ..SidecarConfig::local(ANY.into(), ANY.into()) };
    let sidecar = Sidecar::start(config).await.unwrap();
    let base = format!("http://{}", sidecar.http_addr());
    let yes = |bool: bool| json!({ "bool": bool });
    let full = error(2, "Players are already at capacity");
    let id = "{\"playerID\":\"a\"}";
    check(&base, &format!("POST /alpha/player/connect {id}"), 500, &full).await;
    check(&base, "PUT /alpha/player/capacity {\"count\":\"2\"}", 200, &json!({})).await;
    check(&base, "GET /alpha/player/capacity", 200, &json!({ "count": "2" })).await;
    check(&base, &format!("POST /alpha/player/connect {id}"), 200, &yes(true)).await;
    check(&base, &format!("POST /alpha/player/connect {id}"), 200, &yes(false)).await;
    check(&base, "GET /alpha/player/count", 200, &json!({ "count": "1" })).await;
    check(&base, "GET /alpha/player/connected/a", 200, &yes(true)).await;
    check(&base, "GET /alpha/player/connected", 200, &json!({ "list": ["a"] })).await;
    let (_, server) = ask(&base, "GET", "/gameserver", None).await;
    assert_eq!(server["status"]["players"], json!({ "count": "1", "capacity": "2", "ids": ["a"] }));
    check(&base, &format!("POST /alpha/player/disconnect {id}"), 200, &yes(true)).await;
    check(&base, "GET /alpha/player/connected/a", 200, &yes(false)).await;
    // The other gate closes what is open otherwise.
    check(&base, "GET /v1beta1/counters/rooms", 500, &error(2, "CountsAndLists not enabled")).await;
}

#[tokio::test]
async fn the_watch_starts_with_what_is() {
    let (_sidecar, base) = start(false).await;
    check(&base, "PUT /metadata/label {\"key\":\"foo\",\"value\":\"bar\"}", 200, &json!({})).await;
    let (_, server) = ask(&base, "GET", "/gameserver", None).await;
    let mut watch = reqwest::get(format!("{base}/watch/gameserver")).await.unwrap();
    let line: Value = serde_json::from_slice(&watch.chunk().await.unwrap().unwrap()).unwrap();
    assert_eq!(line, json!({ "result": server }));
    let labels = json!({ "agones.dev/sdk-foo": "bar", "islocal": "true" });
    assert_eq!(line["result"]["object_meta"]["labels"], labels);
}

#[tokio::test]
async fn strict_errors_carry_the_documented_codes() {
    let (_sidecar, base) = start(true).await;
    let missing = error(5, "not found. nope Counter not found");
    check(&base, "GET /v1beta1/counters/nope", 404, &missing).await;
    let exists = error(6, "already exists. Value: test0 already in List: players");
    check(&base, "POST /v1beta1/lists/players:addValue {\"value\":\"test0\"}", 409, &exists).await;
    let missing = error(5, "not found. Value: zz not found in List: players");
    check(&base, "POST /v1beta1/lists/players:removeValue {\"value\":\"zz\"}", 404, &missing).await;
    check(&base, "GET /v1beta1/lists/nope", 404, &error(5, "not found. nope List not found")).await;
    let range = "out of range. Count must be within range [0,Capacity]. Found Count: 101, Capacity: 10";
    check(&base, "PATCH /v1beta1/counters/rooms {\"countDiff\":\"100\"}", 400, &error(11, range)).await;
    let range = "out of range. Capacity must be within range [0,1000]. Found Capacity: 120";
    check(&base, "PATCH /v1beta1/lists/players {\"capacity\":\"120\"}", 400, &error(11, range)).await;
    let full = "out of range. No available capacity. Current Capacity: 3, List Size: 3";
    let three = json!({ "name": "players", "capacity": "3", "values": ["test0", "test1", "test2"] });
    check(&base, "PATCH /v1beta1/lists/players {\"capacity\":\"3\"}", 200, &three).await;
    check(&base, "POST /v1beta1/lists/players:addValue {\"value\":\"p\"}", 400, &error(11, full)).await;
    let closed = error(12, "PlayerTracking not enabled");
    check(&base, "GET /alpha/player/count", 501, &closed).await;
}
