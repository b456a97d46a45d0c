//! The matchmaker's routes: parse, call, render.

#![allow(unused_qualifications, reason = "utoipa's macro writes the paths of parameter structs out")]

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use matching::{Change, Explanation};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::ticket::State as Stand;
use super::{Place, View};
use crate::accounts::tokens::Caller;
use crate::api::{
    MatchAddress, Problem, ReadyAnswer, Ticket, TicketChange, TicketExplanation, TicketRequest, TicketStatus,
};
use crate::app::App;
use crate::http::Routes;
use crate::http::answers::{Asked, Bodied, Limited, Named, Signed};
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
        .get("/v1/matchmaking/tickets/{id}/explain", explain)
        .post("/v1/matchmaking/tickets/{id}/ready", ready)
        .post("/v1/matchmaking/tickets/{id}/deactivate", deactivate)
        .post("/v1/matchmaking/tickets/{id}/activate", activate)
        .get("/v1/matchmaking/match", running_match)
}

/// The document of these routes.
#[derive(OpenApi)]
#[openapi(paths(enqueue, ticket, cancel, explain, ready, deactivate, activate, running_match))]
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
        (status = 401, description = "token_required, token_expired, invalid_token, account_gone", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "player_banned: until when, and why", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "ticket_not_found: it ended meanwhile; ask again", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "in_party: its leader queues, member_queued", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body, unknown_mode, unknown_region, unknown_role, invalid_attribute, invalid_ticket", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "queue_full, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
        Bodied, Limited,
    )
)]
async fn enqueue(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<TicketRequest>,
) -> Result<(StatusCode, Json<Ticket>), ApiError> {
    let (view, new) = app.matchmaker()?.enqueue(caller, request).await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, render(&app, &view)))
}

/// A ticket; with `wait_ms` a long poll.
#[utoipa::path(
    get, path = "/v1/matchmaking/tickets/{id}", tag = "matchmaking", security(("bearer" = [])),
    params(("id" = String, Path, description = "the ticket's id"), WaitParams),
    responses(
        (status = 200, description = "where it stands", body = Ticket),
        (status = 403, description = "player_banned: until when, and why", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "ticket_not_found: queue again", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_wait", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable, no_connect_token", body = Problem, content_type = "application/problem+json"),
        Asked, Signed, Limited,
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
        (status = 404, description = "ticket_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "already_matched", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable, no_connect_token", body = Problem, content_type = "application/problem+json"),
        Named, Signed, Limited,
    )
)]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<StatusCode, ApiError> {
    app.matchmaker()?.cancel(caller, parse(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Why a ticket waits, and what would change it.
#[utoipa::path(
    get, path = "/v1/matchmaking/tickets/{id}/explain", tag = "matchmaking", security(("bearer" = [])),
    params(("id" = String, Path, description = "the ticket's id")),
    responses(
        (status = 200, description = "counted from the rules as they stand at its age", body = TicketExplanation),
        (status = 404, description = "ticket_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "ticket_over", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
        Named, Signed, Limited,
    )
)]
async fn explain(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<Json<TicketExplanation>, ApiError> {
    let told = app.matchmaker()?.explain(caller, parse(&id)?).await?;
    Ok(Json(render_explanation(&told)))
}

/// Answers a ready check, for the caller alone. A ticket whose players all accept waits for the others; one no takes the
/// whole ticket out of the queue, and the tickets of the others wait on as old as they are.
#[utoipa::path(
    post, path = "/v1/matchmaking/tickets/{id}/ready", tag = "matchmaking", security(("bearer" = [])),
    params(("id" = String, Path, description = "the ticket's id")), request_body = ReadyAnswer,
    responses(
        (status = 200, description = "counted; the same answer again changes nothing", body = Ticket),
        (status = 400, description = "malformed_path, malformed_json, unreadable_body", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "ticket_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "no_ready_check: nobody asks; ready_check_over: too late, or of another check; already_matched: too late to decline", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "payload_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not_json", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable, no_connect_token", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn ready(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
    Body(answer): Body<ReadyAnswer>,
) -> Result<Json<Ticket>, ApiError> {
    let view = app.matchmaker()?.answer(caller, parse(&id)?, &answer).await?;
    Ok(render(&app, &view))
}

/// The ticket looks for nobody until it is activated; it keeps its age.
#[utoipa::path(
    post, path = "/v1/matchmaking/tickets/{id}/deactivate", tag = "matchmaking", security(("bearer" = [])),
    params(("id" = String, Path, description = "the ticket's id")),
    responses(
        (status = 204, description = "it is inactive"),
        (status = 404, description = "ticket_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "already_matched", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
        Named, Signed, Limited,
    )
)]
async fn deactivate(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<StatusCode, ApiError> {
    app.matchmaker()?.deactivate(caller, parse(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The ticket looks for opponents again, as old as it is.
#[utoipa::path(
    post, path = "/v1/matchmaking/tickets/{id}/activate", tag = "matchmaking", security(("bearer" = [])),
    params(("id" = String, Path, description = "the ticket's id")),
    responses(
        (status = 204, description = "it is active"),
        (status = 404, description = "ticket_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "already_matched", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
        Named, Signed, Limited,
    )
)]
async fn activate(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<StatusCode, ApiError> {
    app.matchmaker()?.activate(caller, parse(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The player's running match, with a fresh connect token to come back.
#[utoipa::path(
    get, path = "/v1/matchmaking/match", tag = "matchmaking", security(("bearer" = [])),
    responses(
        (status = 200, description = "where it is played", body = MatchAddress),
        (status = 403, description = "player_banned: until when, and why", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_running_match", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "store_busy, store_unavailable, no_connect_token", body = Problem, content_type = "application/problem+json"),
        Signed, Limited,
    )
)]
async fn running_match(State(app): State<App>, caller: Caller) -> Result<Json<MatchAddress>, ApiError> {
    Ok(Json(render_place(&app, &app.matchmaker()?.running_match(caller).await?)))
}

fn parse(id: &str) -> Result<TicketId, ApiError> {
    id.parse().map_err(|_| ApiError::not_found("ticket_not_found", "you have no such ticket; queue again"))
}

pub(crate) fn render(app: &App, view: &View) -> Json<Ticket> {
    let status = match &view.state {
        Stand::Queued | Stand::Held | Stand::Starting(_) | Stand::Offered(_) => TicketStatus::Queued,
        Stand::Paused => TicketStatus::Inactive,
        Stand::Asked(_) => TicketStatus::ReadyCheck,
        Stand::Matched { .. } => TicketStatus::Matched,
        Stand::Expired => TicketStatus::Expired,
        Stand::Cancelled => TicketStatus::Cancelled,
        Stand::NotReady(_) => TicketStatus::NotReady,
    };
    Json(Ticket {
        ticket_id: view.id.to_string(),
        status,
        waited_ms: millis(view.waited),
        estimate_ms: view.estimate.map(millis),
        reason: view.reason.clone(),
        ready_check: view.check.clone(),
        matched: view.place.as_ref().map(|place| render_place(app, place)),
    })
}

fn render_explanation(told: &Explanation) -> TicketExplanation {
    let change = |change: &Change| {
        let mut made = TicketChange {
            change: String::new(),
            wait_ms: None,
            region: None,
            latency_ms: None,
            key: None,
            players: None,
        };
        match change {
            Change::Wait { wait_ms, players } => {
                (made.wait_ms, made.players) = (Some(*wait_ms), Some(*players));
                "wait".clone_into(&mut made.change);
            }
            Change::Region { region, latency_ms, players } => {
                (made.region, made.latency_ms) = (Some(region.clone()), Some(*latency_ms));
                made.players = Some(*players);
                "region".clone_into(&mut made.change);
            }
            Change::Attribute { key, players } => {
                (made.key, made.players) = (Some(key.clone()), Some(*players));
                "attribute".clone_into(&mut made.change);
            }
            Change::Activate => "activate".clone_into(&mut made.change),
        }
        made
    };
    TicketExplanation {
        blocker: told.blocker.name().to_owned(),
        waited_ms: told.waited_ms,
        needed: told.needed,
        waiting: told.waiting,
        within_reach: told.within_reach,
        lost_to_skill: told.lost_to_skill,
        lost_to_latency: told.lost_to_latency,
        lost_to_attributes: told.lost_to_attributes,
        lost_to_avoiding: told.lost_to_avoiding,
        skill_range: told.skill_range,
        latency_limit_ms: told.latency_limit_ms,
        changes: told.changes.iter().map(change).collect(),
        sentence: told.sentence.clone(),
    }
}

fn render_place(app: &App, place: &Place) -> MatchAddress {
    MatchAddress {
        match_id: place.id.to_string(),
        server_address: place.address.clone(),
        websocket_url: app.browser_url().map(|url| url.of(&place.address)),
        connect_token: place.connect_token.clone(),
        expires_in_s: place.token_expires.saturating_duration_since(Instant::now()).as_secs(),
        filled: place.filled,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
