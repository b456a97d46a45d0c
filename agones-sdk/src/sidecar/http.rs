//! Owns: the HTTP gateway's routes over the shared model. Must never know: a rule.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State as Shares};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_stream::wrappers::WatchStream;
use tonic::Code;

use super::model::Model;
use super::refusal::Refusal;
use super::shared::{Shared, unix_now};
use super::{capacity, conformance, json, players};
use crate::proto::beta::{CounterUpdateRequest, List};
use crate::proto::sdk::game_server::Status;
use crate::state::State;

type Ctx = Shares<Arc<Shared>>;

/// Serves until the sidecar stops.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let stopped = shared.stopped();
    if let Err(error) = axum::serve(listener, router(shared)).with_graceful_shutdown(stopped).await {
        tracing::warn!(%error, "sidecar's HTTP server ended");
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/gameserver", get(game_server))
        .route("/watch/gameserver", get(watch))
        .route("/ready", post(|s, b| set_state(s, b, "ready", |m| m.set_state(State::Ready))))
        .route("/allocate", post(|s, b| set_state(s, b, "allocate", |m| m.allocate(unix_now()))))
        .route("/shutdown", post(|s, b| set_state(s, b, "shutdown", |m| m.set_state(State::Shutdown))))
        .route("/health", post(health))
        .route("/reserve", post(reserve))
        .route("/metadata/label", put(|s, b| set_metadata(s, b, "setlabel", Model::set_label)))
        .route("/metadata/annotation", put(|s, b| set_metadata(s, b, "setannotation", Model::set_annotation)))
        .route("/v1beta1/counters/{name}", get(get_counter).patch(update_counter))
        .route("/v1beta1/lists/{name}", get(get_list).patch(update_list).post(change_list))
        .route("/alpha/player/connect", post(|s, b| move_player(s, b, "playerconnect", players::connect)))
        .route("/alpha/player/disconnect", post(|s, b| move_player(s, b, "playerdisconnect", left)))
        .route("/alpha/player/capacity", get(player_capacity).put(set_player_capacity))
        .route("/alpha/player/count", get(player_count))
        .route("/alpha/player/connected", get(connected_players))
        .route("/alpha/player/connected/{id}", get(is_player_connected))
        .fallback(async || problem(Code::NotFound, "Not Found"))
        .method_not_allowed_fallback(async || problem(Code::Unimplemented, "Method Not Allowed"))
        .with_state(shared)
}

async fn game_server(Shares(shared): Ctx) -> Response {
    shared.note("gameserver");
    Json(json::game_server(&shared.current())).into_response()
}

/// Newline-delimited results, or one WebSocket message each.
async fn watch(
    Shares(shared): Ctx,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    shared.note("watch");
    let versions = WatchStream::new(shared.subscribe())
        .map(|server| json!({ "result": json::game_server(&server) }).to_string())
        .take_until(shared.stopped());
    match upgrade {
        Ok(upgrade) => upgrade.on_upgrade(|socket| watch_socket(socket, versions)),
        Err(_) => {
            let lines = versions.map(|version| Ok::<_, std::convert::Infallible>(version + "\n"));
            ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(lines)).into_response()
        }
    }
}

async fn watch_socket(mut socket: WebSocket, versions: impl Stream<Item = String>) {
    tokio::pin!(versions);
    loop {
        tokio::select! {
            version = versions.next() => {
                let Some(version) = version else { return };
                if socket.send(Message::text(version)).await.is_err() {
                    return;
                }
            }
            // What the peer says does not matter; that it is gone does.
            said = socket.recv() => if !matches!(said, Some(Ok(_))) { return },
        }
    }
}

async fn set_state(
    Shares(shared): Ctx,
    body: Bytes,
    call: &'static str,
    change: fn(&mut Model) -> bool,
) -> Response {
    if let Err(refusal) = json::parse_object(&body) {
        return bad_request(&refusal);
    }
    shared.note(call);
    shared.change(|model, _| change(model));
    empty()
}

/// A stream of pings in HTTP is a body of JSON objects; a body without any is an error, as at the real one.
async fn health(Shares(shared): Ctx, body: Bytes) -> Response {
    let mut pings = serde_json::Deserializer::from_slice(&body).into_iter::<serde_json::Map<String, Value>>();
    match pings.next() {
        // The real one's wrapper says no more than this.
        None => return StatusCode::BAD_REQUEST.into_response(),
        Some(Err(error)) => return bad_request(&Refusal::Invalid(error.to_string())),
        Some(Ok(_)) => {
            shared.note("health");
            shared.change(|model, _| model.handle_ping());
        }
    }
    empty()
}

async fn reserve(Shares(shared): Ctx, body: Bytes) -> Response {
    let seconds = json::parse_object(&body).and_then(|object| json::int64(&object, "seconds"));
    let seconds = match seconds {
        Ok(seconds) => seconds.unwrap_or(0),
        Err(refusal) => return bad_request(&refusal),
    };
    shared.note("reserve");
    match shared.change(|model, now| model.reserve(seconds, now)) {
        Ok(()) => empty(),
        Err(refusal) => refused(&shared, &refusal),
    }
}

async fn set_metadata(
    Shares(shared): Ctx,
    body: Bytes,
    call: &'static str,
    set: fn(&mut Model, &str, &str) -> Result<(), Refusal>,
) -> Response {
    let pair = json::parse_object(&body)
        .and_then(|object| Ok((json::text(&object, "key")?, json::text(&object, "value")?)));
    let (key, value) = match pair {
        Ok(pair) => pair,
        Err(refusal) => return bad_request(&refusal),
    };
    shared.note_metadata(call, &value);
    match shared.change(|model, _| set(model, &key, &value)) {
        Ok(()) => empty(),
        Err(refusal) => refused(&shared, &refusal),
    }
}

async fn get_counter(Shares(shared): Ctx, Path(name): Path<String>) -> Response {
    shared.note("getcounter");
    capacity_call(&shared, json::counter, |status, _| capacity::counter(status, &name))
}

async fn update_counter(Shares(shared): Ctx, Path(name): Path<String>, body: Bytes) -> Response {
    let update = json::parse_object(&body).and_then(|object| {
        Ok(CounterUpdateRequest {
            name,
            count: json::int64(&object, "count")?,
            capacity: json::int64(&object, "capacity")?,
            count_diff: json::int64(&object, "countDiff")?.unwrap_or(0),
        })
    });
    match update {
        Ok(update) => {
            conformance::of_update(&update).for_each(|call| shared.note(call));
            capacity_call(&shared, json::counter, |status, _| capacity::update_counter(status, &update))
        }
        Err(refusal) => bad_request(&refusal),
    }
}

async fn get_list(Shares(shared): Ctx, Path(name): Path<String>) -> Response {
    shared.note("getlist");
    capacity_call(&shared, json::list, |status, _| capacity::list(status, &name))
}

/// The body's fields are the mask.
async fn update_list(Shares(shared): Ctx, Path(name): Path<String>, body: Bytes) -> Response {
    let update = json::parse_object(&body).and_then(|object| {
        let capacity = json::int64(&object, "capacity")?.unwrap_or(0);
        let list = List { name, capacity, values: json::texts(&object, "values")? };
        let mask = object.keys().filter(|key| *key != "name").cloned().collect::<Vec<_>>();
        Ok((list, mask))
    });
    match update {
        Ok((list, mask)) => {
            shared.note("updatelist");
            capacity_call(&shared, json::list, |status, max| capacity::update_list(status, &list, &mask, max))
        }
        Err(refusal) => bad_request(&refusal),
    }
}

/// `POST /v1beta1/lists/{name}:addValue` and `…:removeValue`.
async fn change_list(Shares(shared): Ctx, Path(path): Path<String>, body: Bytes) -> Response {
    type Rule = fn(&mut Status, &str, &str) -> Result<List, Refusal>;
    let (call, rule): (_, Rule) = match path.rsplit_once(':') {
        Some((_, "addValue")) => ("addlistvalue", capacity::add_list_value),
        Some((_, "removeValue")) => ("removelistvalue", capacity::remove_list_value),
        _ => return problem(Code::NotFound, "Not Found"),
    };
    let name = path.rsplit_once(':').map_or("", |(name, _)| name);
    match json::parse_object(&body).and_then(|object| json::text(&object, "value")) {
        Ok(value) => {
            shared.note(call);
            capacity_call(&shared, json::list, |status, _| rule(status, name, &value))
        }
        Err(refusal) => bad_request(&refusal),
    }
}

fn left(status: &mut Status, id: &str) -> Result<bool, Refusal> {
    Ok(players::disconnect(status, id))
}

async fn move_player(
    Shares(shared): Ctx,
    body: Bytes,
    call: &'static str,
    rule: fn(&mut Status, &str) -> Result<bool, Refusal>,
) -> Response {
    match json::parse_object(&body).and_then(|object| json::text(&object, "playerID")) {
        Ok(id) => {
            players_call(&shared, call, &id, |status| rule(status, &id), |moved| json!({ "bool": moved }))
        }
        Err(refusal) => bad_request(&refusal),
    }
}

async fn set_player_capacity(Shares(shared): Ctx, body: Bytes) -> Response {
    match json::parse_object(&body).and_then(|object| json::int64(&object, "count")) {
        Ok(count) => {
            let rule = |status: &mut Status| players::set_capacity(status, count.unwrap_or(0));
            players_call(&shared, "setplayercapacity", "", rule, |()| json!({}))
        }
        Err(refusal) => bad_request(&refusal),
    }
}

async fn player_capacity(Shares(shared): Ctx) -> Response {
    let capacity = |status: &mut Status| Ok(players::of(status).capacity);
    players_call(&shared, "getplayercapacity", "", capacity, |count| json!({ "count": count.to_string() }))
}

async fn player_count(Shares(shared): Ctx) -> Response {
    let count = |status: &mut Status| Ok(players::of(status).count);
    players_call(&shared, "getplayercount", "", count, |count| json!({ "count": count.to_string() }))
}

async fn connected_players(Shares(shared): Ctx) -> Response {
    let ids = |status: &mut Status| Ok(players::of(status).ids);
    players_call(&shared, "getconnectedplayers", "", ids, |ids| json!({ "list": ids }))
}

async fn is_player_connected(Shares(shared): Ctx, Path(id): Path<String>) -> Response {
    let here = |status: &mut Status| Ok(players::is_here(&players::of(status), &id));
    players_call(&shared, "isplayerconnected", &id, here, |here| json!({ "bool": here }))
}

fn players_call<T>(
    shared: &Shared,
    call: &'static str,
    id: &str,
    rule: impl FnOnce(&mut Status) -> Result<T, Refusal>,
    render: impl FnOnce(T) -> Value,
) -> Response {
    match shared.players_call(call, id, rule) {
        Ok(found) => Json(render(found)).into_response(),
        Err(refusal) => refused(shared, &refusal),
    }
}

fn capacity_call<T>(
    shared: &Shared,
    render: fn(&T) -> Value,
    rule: impl FnOnce(&mut Status, i64) -> Result<T, Refusal>,
) -> Response {
    match shared.capacity_call(rule) {
        Ok(found) => Json(render(&found)).into_response(),
        Err(refusal) => refused(shared, &refusal),
    }
}

fn empty() -> Response {
    Json(json!({})).into_response()
}

/// A body that is no request is the caller's fault in every manner.
fn bad_request(refusal: &Refusal) -> Response {
    problem(Code::InvalidArgument, &refusal.to_string())
}

fn refused(shared: &Shared, refusal: &Refusal) -> Response {
    problem(refusal.code(shared.strict_errors), &refusal.to_string())
}

/// An error as the gateway writes it: the gRPC code, and the HTTP status that belongs to it.
fn problem(code: Code, message: &str) -> Response {
    let http = match code {
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists => StatusCode::CONFLICT,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (http, Json(json!({ "code": code as i32, "message": message, "details": [] }))).into_response()
}
