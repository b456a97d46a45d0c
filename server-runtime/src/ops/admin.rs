//! The admin port: health, readiness, metrics, status, live view, and the few things that an operator may ask of a running
//! server. Reads the board; must never reach the tick thread, but for the wish to have a recording and what a reload
//! brings. Who may: see [`super::gate`].
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200 while the tick thread lives, else 503; asks for no token |
//! | `/readyz` | 200 while new players may come, else 503; asks for no token |
//! | `/metrics` | Prometheus text |
//! | `/status.json` | [`crate::Status`] |
//! | `/debug/players` | everyone who had a seat: [`crate::PlayerStatus`] as JSON |
//! | POST `/recording` | 202: what was recorded so far is being written to the folder for recordings |
//! | POST `/reload` | what came of reading the settings file again; 422: it was refused, 409: there is none |
//! | `/log-level`, POST or PUT | which log lines are written; the body says which from now on |
//! | POST `/login` | 204 and a cookie, for a browser that shows the token once |
//! | `/`, `/live.js` | the live view's page and script, which ask for no token: they tell nothing |
//! | `/live` | the live view's WebSocket |

use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State, WebSocketUpgrade};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use operate::logs::{self, LogFilter};

use super::gate::{Gate, Verdict};
use super::reload::Reloader;
use super::{Board, live, metrics};
use crate::configure::ReloadError;

const PAGE: &str = include_str!("../live/assets/index.html");
const SCRIPT: &str = include_str!("../live/assets/live.js");
/// Longest body of a request: a log filter.
const BODY_BYTES_MAX: usize = 2048;

/// What the port's handlers share.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) board: Arc<Board>,
    pub(super) gate: Arc<Gate>,
    /// Absent where no server runs: a recording is shown.
    pub(super) reloader: Option<Arc<Reloader>>,
}

/// Serves until the runtime ends.
pub(super) async fn serve(listener: TcpListener, desk: Desk) {
    let served = async {
        listener.set_nonblocking(true)?;
        axum::serve(tokio::net::TcpListener::from_std(listener)?, router(desk)).await
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin port is closed");
    }
}

/// All paths.
fn router(desk: Desk) -> Router {
    let guarded = Router::new()
        .route("/live", get(watch))
        .route("/metrics", get(prometheus))
        .route("/status.json", get(status))
        .route("/debug/players", get(players))
        .route("/recording", post(record))
        .route("/reload", post(reload))
        .route("/log-level", get(log_level).post(set_log_level).put(set_log_level))
        .route("/login", post(login))
        .route_layer(from_fn_with_state(Arc::clone(&desk.gate), guard));
    Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/live.js", get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)))
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .merge(guarded)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(harden))
        .with_state(desk)
}

async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    match gate.check(request.headers()) {
        Verdict::Welcome => next.run(request).await,
        Verdict::Unknown => {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"tickwright admin\"")];
            (StatusCode::UNAUTHORIZED, challenge, "send Authorization: Bearer TOKEN\n").into_response()
        }
        Verdict::Foreign => {
            (StatusCode::FORBIDDEN, "not by this name, nor from another page\n").into_response()
        }
    }
}

/// What a browser should never do with our answers: keep them, guess their kind, show them in another's frame, or tell
/// where it came from.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn health(State(desk): State<Desk>) -> Response {
    yes_or_no(desk.board.is_alive(), "ok\n", "the tick thread is stuck\n")
}

async fn readiness(State(desk): State<Desk>) -> Response {
    yes_or_no(desk.board.is_alive() && desk.board.is_open(), "ready\n", "not open to new players\n")
}

async fn prometheus(State(desk): State<Desk>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    let reloads = desk.reloader.as_ref().map(|reloader| reloader.counts()).unwrap_or_default();
    let text =
        metrics::render(&desk.board.status(), reloads, desk.gate.refused(), &desk.board.agones_state());
    (content_type, text).into_response()
}

async fn status(State(desk): State<Desk>) -> Response {
    axum::Json(desk.board.status().as_ref()).into_response()
}

async fn players(State(desk): State<Desk>) -> Response {
    axum::Json(&desk.board.status().players).into_response()
}

async fn record(State(desk): State<Desk>) -> Response {
    desk.board.ask_for_recording();
    (StatusCode::ACCEPTED, "asked for; the log says where it is\n").into_response()
}

async fn reload(State(desk): State<Desk>) -> Response {
    let Some(reloader) = &desk.reloader else { return StatusCode::NOT_FOUND.into_response() };
    match reloader.reload("the admin port") {
        Ok(reloaded) => axum::Json(reloaded).into_response(),
        Err(error) => {
            let status = match error {
                ReloadError::NoFile => StatusCode::CONFLICT,
                ReloadError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            };
            (status, axum::Json(serde_json::json!({ "error": error.to_string() }))).into_response()
        }
    }
}

async fn log_level() -> Response {
    match logs::filter() {
        Some(filter) => format!("{}\n", filter.as_str()).into_response(),
        None => (StatusCode::CONFLICT, "log lines are the program's own choice here\n").into_response(),
    }
}

async fn set_log_level(wanted: String) -> Response {
    let filter: LogFilter = match wanted.parse() {
        Ok(filter) => filter,
        Err(error) => return (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")).into_response(),
    };
    if logs::set_filter(&filter) {
        tracing::info!(filter = filter.as_str(), "log lines by the admin port's choice");
    }
    log_level().await
}

async fn login(State(desk): State<Desk>) -> Response {
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, desk.gate.cookie())]).into_response()
}

async fn watch(State(desk): State<Desk>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(live::MESSAGE_BYTES_MAX).on_upgrade(async move |socket| {
        live::feed(socket, desk.board.watch()).await;
    })
}

fn yes_or_no(yes: bool, good: &'static str, bad: &'static str) -> Response {
    if yes { good.into_response() } else { (StatusCode::SERVICE_UNAVAILABLE, bad).into_response() }
}
