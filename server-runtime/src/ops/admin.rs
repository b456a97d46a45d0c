//! The admin port: health, readiness, metrics, status, live view. Reads the board; must never write to it nor
//! reach the tick thread, but for the wish to have a recording. It has no password and is bound to loopback unless an operator says otherwise.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200 while the tick thread lives, else 503 |
//! | `/readyz` | 200 while new players may come, else 503 |
//! | `/metrics` | Prometheus text |
//! | `/status.json` | [`crate::Status`] |
//! | POST `/recording` | 202: what was recorded so far is being written to the folder for recordings |
//! | `/`, `/live.js`, `/live` | the live view: page, script, WebSocket |

use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::{State, WebSocketUpgrade};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

use super::{Board, live, metrics};

const PAGE: &str = include_str!("../live/assets/index.html");
const SCRIPT: &str = include_str!("../live/assets/live.js");

/// Serves until the runtime ends.
pub(super) async fn serve(listener: TcpListener, board: Arc<Board>) {
    let served = async {
        listener.set_nonblocking(true)?;
        axum::serve(tokio::net::TcpListener::from_std(listener)?, router(board)).await
    };
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin port is closed");
    }
}

/// All paths.
pub(super) fn router(board: Arc<Board>) -> Router {
    Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/live.js", get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)))
        .route("/live", get(watch))
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/metrics", get(prometheus))
        .route("/status.json", get(status))
        .route("/recording", post(record))
        .with_state(board)
}

async fn health(State(board): State<Arc<Board>>) -> Response {
    yes_or_no(board.is_alive(), "ok\n", "the tick thread is stuck\n")
}

async fn readiness(State(board): State<Arc<Board>>) -> Response {
    yes_or_no(board.is_alive() && board.is_open(), "ready\n", "not open to new players\n")
}

async fn prometheus(State(board): State<Arc<Board>>) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, metrics::render(&board.status())).into_response()
}

async fn status(State(board): State<Arc<Board>>) -> Response {
    axum::Json(board.status().as_ref()).into_response()
}

async fn record(State(board): State<Arc<Board>>) -> Response {
    board.ask_for_recording();
    (StatusCode::ACCEPTED, "asked for; the log says where it is\n").into_response()
}

async fn watch(State(board): State<Arc<Board>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(live::MESSAGE_BYTES_MAX).on_upgrade(async move |socket| {
        live::feed(socket, board.watch()).await;
    })
}

fn yes_or_no(yes: bool, good: &'static str, bad: &'static str) -> Response {
    if yes { good.into_response() } else { (StatusCode::SERVICE_UNAVAILABLE, bad).into_response() }
}
