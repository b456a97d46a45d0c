//! The matchmaker's routes: parse, call, render.

#![allow(unused_qualifications, reason = "utoipa's macro writes the paths of parameter structs out")]

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::desk::{Place, Status, View};
use super::pool::Reason;
use crate::accounts::tokens::Caller;
use crate::api::{MatchAddress, Problem, Ticket, TicketRequest, TicketStatus};
use crate::app::App;
use crate::http::Routes;
use crate::http::extract::{Body, Params, Segment};
use crate::http::problem::ApiError;
use crate::ids::TicketId;

/// The longest that one request waits.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// All REST routes of the role `matchmaking`.
pub fn routes() -> Routes {
    Routes::new()
        .post("/v1/matchmaking/tickets", enqueue)
        .get("/v1/matchmaking/tickets/{id}", ticket)
        .delete("/v1/matchmaking/tickets/{id}", cancel)
        .get("/v1/matchmaking/match", running_match)
}

/// The document of these routes.
#[derive(OpenApi)]
#[openapi(paths(enqueue, ticket, cancel, running_match))]
pub struct Document;

/// How long to wait.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WaitParams {
    /// Answer when the ticket stops being queued, or after so many milliseconds; 0 unless given.
    #[param(minimum = 0, maximum = 30000)]
    wait_ms: Option<u64>,
}

/// Queues for a match. Whoever is queued gets the ticket that stands.
#[utoipa::path(
    post, path = "/v1/matchmaking/tickets", tag = "matchmaking", security(("bearer" = [])),
    request_body = TicketRequest,
    responses(
        (status = 201, description = "queued; a player whose match still runs waits for its end", body = Ticket),
        (status = 200, description = "the ticket that stood already", body = Ticket),
        (status = 400, description = "malformed_json", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token, account_gone", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "ticket_not_found: it ended meanwhile; ask again", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "payload_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not_json", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body, unknown_mode", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "queue_full, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn enqueue(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<TicketRequest>,
) -> Result<(StatusCode, Json<Ticket>), ApiError> {
    let (view, new) = app.matchmaker()?.enqueue(caller, &request.mode).await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, render(&app, &view)))
}

/// A ticket; with `wait_ms` a long poll.
#[utoipa::path(
    get, path = "/v1/matchmaking/tickets/{id}", tag = "matchmaking", security(("bearer" = [])),
    params(("id" = String, Path, description = "the ticket's id"), WaitParams),
    responses(
        (status = 200, description = "where it stands", body = Ticket),
        (status = 400, description = "malformed_query, malformed_path", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "ticket_not_found: queue again", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_wait", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn ticket(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
    Params(params): Params<WaitParams>,
) -> Result<Json<Ticket>, ApiError> {
    let wait = Duration::from_millis(params.wait_ms.unwrap_or(0));
    if wait > WAIT_MAX {
        let detail = format!("wait_ms must be 0 to {}", WAIT_MAX.as_millis());
        return Err(ApiError::invalid("invalid_wait", detail));
    }
    let view = app.matchmaker()?.ticket(caller, parse(&id)?, wait, app.draining()).await?;
    Ok(render(&app, &view))
}

/// Takes a ticket back.
#[utoipa::path(
    delete, path = "/v1/matchmaking/tickets/{id}", tag = "matchmaking", security(("bearer" = [])),
    params(("id" = String, Path, description = "the ticket's id")),
    responses(
        (status = 204, description = "it is out of the queue"),
        (status = 400, description = "malformed_path", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "ticket_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "already_matched", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<StatusCode, ApiError> {
    app.matchmaker()?.cancel(caller, parse(&id)?)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The player's running match, with a fresh connect token to come back.
#[utoipa::path(
    get, path = "/v1/matchmaking/match", tag = "matchmaking", security(("bearer" = [])),
    responses(
        (status = 200, description = "where it is played", body = MatchAddress),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_running_match", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "store_busy, store_unavailable, no_connect_token", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn running_match(State(app): State<App>, caller: Caller) -> Result<Json<MatchAddress>, ApiError> {
    Ok(Json(render_place(&app, &app.matchmaker()?.running_match(caller).await?)))
}

fn parse(id: &str) -> Result<TicketId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("ticket_not_found", "you have no such ticket; queue again"))
}

fn render(app: &App, view: &View) -> Json<Ticket> {
    let (status, matched) = match &view.status {
        Status::Queued => (TicketStatus::Queued, None),
        Status::Matched(place) => (TicketStatus::Matched, Some(render_place(app, place))),
        Status::Expired => (TicketStatus::Expired, None),
        Status::Cancelled => (TicketStatus::Cancelled, None),
    };
    Json(Ticket {
        ticket_id: view.id.to_string(),
        status,
        waited_ms: millis(view.waited),
        estimate_ms: view.estimate.map(millis),
        reason: view.reason.map(sentence),
        matched,
    })
}

fn render_place(app: &App, place: &Place) -> MatchAddress {
    MatchAddress {
        match_id: place.id.to_string(),
        server_address: place.address.clone(),
        websocket_url: app.browser_url().map(|url| url.of(&place.address)),
        connect_token: place.connect_token.clone(),
        expires_in_s: place.token_expires.saturating_duration_since(Instant::now()).as_secs(),
    }
}

fn sentence(reason: Reason) -> String {
    match reason {
        Reason::InMatch => "your running match has not ended yet".to_owned(),
        Reason::FindingServer => "opponents are found; a server is being prepared".to_owned(),
        Reason::TooFew { near, needed } if near < needed => {
            format!("{near} of {needed} players near your rating are waiting; the range widens as you wait")
        }
        Reason::TooFew { .. } => "enough players are waiting; your match is being formed".to_owned(),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
