//! `POST /scale` for Agones, health and metrics for operators. Parses, calls, renders.

use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn;
use axum::routing::{get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;

use super::desk::Desk;
use super::review::FleetAutoscaleReview;
use crate::clock::UnixMs;
use crate::http::around_unlimited;
use crate::http::extract::{BODY_BYTES_MAX, Body};
use crate::http::problem::ApiError;

/// Everything that the autoscaler's process serves.
pub fn router(desk: Desk, metrics: Option<PrometheusHandle>) -> Router {
    let metrics =
        move || std::future::ready(metrics.as_ref().map(PrometheusHandle::render).unwrap_or_default());
    Router::new()
        .route("/scale", post(scale))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async || "ready\n"))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(around_unlimited))
        .with_state(desk)
}

/// Agones takes an answer of status 200 only; on any other it keeps the fleet as it is and asks again.
async fn scale(
    State(desk): State<Desk>,
    Body(review): Body<FleetAutoscaleReview>,
) -> Result<Json<FleetAutoscaleReview>, ApiError> {
    let (request, seen) =
        review.question().map_err(|fault| ApiError::invalid("invalid_review", fault.to_string()))?;
    let decision = desk
        .decide(&request.namespace, &request.name, seen, UnixMs::now().as_secs())
        .map_err(|fault| ApiError::unavailable("too_many_fleets", fault.to_string()))?;
    tracing::info!(
        fleet = request.name,
        from = seen.replicas,
        to = decision.replicas,
        allocated = seen.allocated,
        rate = decision.rate,
        "fleet size"
    );
    metrics::gauge!("fleet_replicas_wanted", "fleet" => request.name.clone())
        .set(f64::from(decision.replicas));
    metrics::gauge!("fleet_arrivals_per_second", "fleet" => request.name.clone()).set(decision.rate);
    Ok(Json(review.answered(decision)))
}
