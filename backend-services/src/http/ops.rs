//! Routes for operators: health, readiness, metrics and the API's document. Every role serves them.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::Routes;
use super::problem::ApiError;
use crate::app::App;

/// The operators' routes.
pub fn routes() -> Routes {
    Routes::new()
        .get("/healthz", healthz)
        .get("/readyz", readyz)
        .get("/metrics", metrics)
        .get("/openapi.json", document)
}

/// The process runs.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The process can serve: its stores answer and it is not on its way out.
async fn readyz(State(app): State<App>) -> Result<&'static str, ApiError> {
    if *app.draining().borrow() {
        return Err(ApiError::unavailable("draining", "this process is shutting down"));
    }
    app.stores().ping().await?;
    Ok("ready\n")
}

/// Prometheus' text format.
async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], app.render_metrics())
}

/// The OpenAPI document of the routes that this role serves.
async fn document(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let json = crate::openapi::document(app.role()).to_json().map_err(|error| {
        tracing::error!(%error, "document not rendered");
        ApiError::of_status(StatusCode::INTERNAL_SERVER_ERROR)
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json))
}
