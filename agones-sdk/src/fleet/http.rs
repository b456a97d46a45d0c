//! Owns: the fleet's HTTP pages. Must never know: how anything on them came about.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State as Shares;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::report::ServerReport;
use super::rest;
use super::roster::Roster;

type Ctx = Shares<Arc<Roster>>;

/// Serves until the fleet stops.
pub(super) async fn serve(roster: Arc<Roster>, listener: TcpListener) {
    let stopped = roster.stopped();
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route(
            "/gameservers.json",
            get(async |Shares(roster): Ctx| -> Json<Vec<ServerReport>> { Json(roster.reports()) }),
        )
        .route("/gameserverallocation", post(rest::allocate))
        .route("/finals.json", get(async |Shares(roster): Ctx| -> Json<Vec<Value>> { Json(roster.finals()) }))
        .with_state(roster);
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::warn!(%error, "fleet's HTTP server ended");
    }
}

async fn healthz(Shares(roster): Ctx) -> Json<Value> {
    let mut page = json!(roster.census());
    page["status"] = json!(if roster.is_stopping() { "draining" } else { "ok" });
    page["fleet"] = json!(roster.config.name);
    page["allocations"] = json!(roster.allocations.load(Ordering::Relaxed));
    page["generation"] = json!(roster.generation().number);
    page["autoscaler"] = roster.autoscaling();
    Json(page)
}
