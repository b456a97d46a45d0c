//! Owns: the two probes that Kubernetes makes of a sidecar: its own health, and its game server's.
//! Must never know: how health is judged.

use std::sync::Arc;

use axum::Router;
use axum::extract::State as Shares;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use super::shared::Shared;
use crate::state::State;

/// Serves until the sidecar stops. `/healthz`: the sidecar lives; `/gshealthz`: its game server is not Unhealthy.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let stopped = shared.stopped();
    let router = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/gshealthz", get(game_server))
        .with_state(shared);
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::warn!(%error, "sidecar's probes ended");
    }
}

async fn game_server(Shares(shared): Shares<Arc<Shared>>) -> (StatusCode, &'static str) {
    match shared.current().state() {
        Some(State::Unhealthy) => (StatusCode::INTERNAL_SERVER_ERROR, ""),
        _ => (StatusCode::OK, "ok"),
    }
}
