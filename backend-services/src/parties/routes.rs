//! The parties' routes: parse, call, render.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa::OpenApi;

use super::rules::Party as Kept;
use crate::accounts::tokens::Caller;
use crate::api::{
    Party, PartyHeartbeat, PartyJoin, PartyMember, PartyPlayer, PartyTicketRequest, Problem, Ticket,
    TicketRequest,
};
use crate::app::App;
use crate::http::Routes;
use crate::http::extract::{Body, Segment};
use crate::http::problem::ApiError;
use crate::ids::PlayerId;
use crate::matchmaking::routes::render as render_ticket;

/// All REST routes of parties.
pub fn routes() -> Routes {
    Routes::new()
        .post("/v1/parties", create)
        .post("/v1/parties/join", join)
        .get("/v1/parties/me", mine)
        .post("/v1/parties/me/heartbeat", heartbeat)
        .post("/v1/parties/me/invites", invite)
        .post("/v1/parties/me/leader", promote)
        .post("/v1/parties/me/ticket", queue)
        .delete("/v1/parties/me", leave)
        .delete("/v1/parties/me/members/{id}", kick)
}

/// The document of these routes.
#[derive(OpenApi)]
#[openapi(paths(create, join, mine, heartbeat, invite, promote, queue, leave, kick))]
pub struct Document;

/// Founds a party, with a code for others to join by. Whoever is in one gets that.
#[utoipa::path(
    post, path = "/v1/parties", tag = "parties", security(("bearer" = [])),
    responses(
        (status = 201, description = "founded; the caller leads it", body = Party),
        (status = 200, description = "the party that the caller is in already", body = Party),
        (status = 401, description = "token_required, token_expired, invalid_token, account_gone", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "in_another_party: joined meanwhile", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(State(app): State<App>, caller: Caller) -> Result<(StatusCode, Json<Party>), ApiError> {
    let (party, new) = app.matchmaker()?.parties.create(caller.player).await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, render(&party)))
}

/// Joins a party by its code, or by its id if invited. A waiting ticket of the party is taken back.
#[utoipa::path(
    post, path = "/v1/parties/join", tag = "parties", security(("bearer" = [])), request_body = PartyJoin,
    responses(
        (status = 200, description = "the caller is in it", body = Party),
        (status = 400, description = "malformed_json", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token, account_gone", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "not_invited", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "party_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "party_full, in_another_party", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "payload_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not_json", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn join(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<PartyJoin>,
) -> Result<Json<Party>, ApiError> {
    let matchmaker = app.matchmaker()?;
    let (code, id) = (request.code.as_deref(), request.party_id.as_deref());
    let party = matchmaker.parties.join(caller.player, code, id).await?;
    matchmaker.withdraw(&party).await?;
    Ok(render(&party))
}

/// The caller's party; asking says that the caller is there.
#[utoipa::path(
    get, path = "/v1/parties/me", tag = "parties", security(("bearer" = [])),
    responses(
        (status = 200, description = "as it is now; members silent for 120 s are out", body = Party),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_party", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn mine(State(app): State<App>, caller: Caller) -> Result<Json<Party>, ApiError> {
    Ok(render(&app.matchmaker()?.party(caller.player, None).await?))
}

/// Says that the caller is there, and what it has measured. Within 30 s, or another member leads.
#[utoipa::path(
    post, path = "/v1/parties/me/heartbeat", tag = "parties", security(("bearer" = [])), request_body = PartyHeartbeat,
    responses(
        (status = 200, description = "as the party is now", body = Party),
        (status = 400, description = "malformed_json", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_party", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "payload_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not_json", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body, too_many: 32 regions and 8 roles at most", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn heartbeat(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<PartyHeartbeat>,
) -> Result<Json<Party>, ApiError> {
    let names = request.latencies.keys().chain(&request.roles);
    if request.latencies.len() > 32
        || request.roles.len() > 8
        || names.into_iter().any(|name| name.len() > 64)
    {
        let detail = "at most 32 regions and 8 roles, with names of at most 64 bytes";
        return Err(ApiError::invalid("too_many", detail));
    }
    let measured = Some((request.latencies, request.roles));
    Ok(render(&app.matchmaker()?.party(caller.player, measured).await?))
}

/// Invites a player, who may then join by the party's id.
#[utoipa::path(
    post, path = "/v1/parties/me/invites", tag = "parties", security(("bearer" = [])), request_body = PartyPlayer,
    responses(
        (status = 200, description = "invited", body = Party),
        (status = 400, description = "malformed_json", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_party", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "too_many_invites", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "payload_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not_json", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body, invalid_player_id", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn invite(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<PartyPlayer>,
) -> Result<Json<Party>, ApiError> {
    let who = parse(&request.player_id)?;
    let parties = &app.matchmaker()?.parties;
    Ok(render(&parties.change(caller.player, |party, _| party.invite(caller.player, who)).await?.0))
}

/// The leader hands the party over.
#[utoipa::path(
    post, path = "/v1/parties/me/leader", tag = "parties", security(("bearer" = [])), request_body = PartyPlayer,
    responses(
        (status = 200, description = "handed over", body = Party),
        (status = 400, description = "malformed_json", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "not_the_leader", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_party, not_a_member", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "payload_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not_json", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body, invalid_player_id", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn promote(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<PartyPlayer>,
) -> Result<Json<Party>, ApiError> {
    let who = parse(&request.player_id)?;
    let parties = &app.matchmaker()?.parties;
    Ok(render(&parties.change(caller.player, |party, _| party.promote(caller.player, who)).await?.0))
}

/// The leader queues the party as one ticket, which every member can ask for. Its latencies are the worst of what
/// members have measured; the party is never split.
#[utoipa::path(
    post, path = "/v1/parties/me/ticket", tag = "parties", security(("bearer" = [])), request_body = PartyTicketRequest,
    responses(
        (status = 201, description = "queued", body = Ticket),
        (status = 200, description = "the ticket that stood already", body = Ticket),
        (status = 400, description = "malformed_json", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token, account_gone", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "not_the_leader", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_party, ticket_not_found: it ended meanwhile", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "member_queued", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "payload_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not_json", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body, unknown_mode, party_size, unknown_region, unknown_role, invalid_attribute, invalid_ticket", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, queue_full, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn queue(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<PartyTicketRequest>,
) -> Result<(StatusCode, Json<Ticket>), ApiError> {
    let request = TicketRequest {
        mode: request.mode,
        build: request.build,
        attributes: request.attributes,
        ..TicketRequest::default()
    };
    let (view, new) = app.matchmaker()?.enqueue_own_party(caller.player, request).await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, render_ticket(&app, &view)))
}

/// Leaves the party; another member leads on. Its waiting ticket is taken back.
#[utoipa::path(
    delete, path = "/v1/parties/me", tag = "parties", security(("bearer" = [])),
    responses(
        (status = 204, description = "left"),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_party", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn leave(State(app): State<App>, caller: Caller) -> Result<StatusCode, ApiError> {
    let matchmaker = app.matchmaker()?;
    let change = |party: &mut Kept, now| {
        let before = party.clone();
        party.leave(caller.player, now).map(|()| before)
    };
    let (_, before) = matchmaker.parties.change(caller.player, change).await?;
    matchmaker.withdraw(&before).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The leader sends a member away. The party's waiting ticket is taken back.
#[utoipa::path(
    delete, path = "/v1/parties/me/members/{id}", tag = "parties", security(("bearer" = [])),
    params(("id" = String, Path, description = "the member's player id")),
    responses(
        (status = 204, description = "sent away"),
        (status = 400, description = "malformed_path", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "not_the_leader", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_party, not_a_member", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_player_id", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn kick(State(app): State<App>, caller: Caller, Segment(id): Segment) -> Result<StatusCode, ApiError> {
    let who = parse(&id)?;
    let matchmaker = app.matchmaker()?;
    let change = |party: &mut Kept, now| {
        let before = party.clone();
        party.kick(caller.player, who, now).map(|()| before)
    };
    let (_, before) = matchmaker.parties.change(caller.player, change).await?;
    matchmaker.withdraw(&before).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(id: &str) -> Result<PlayerId, ApiError> {
    id.parse().map_err(|_| ApiError::invalid("invalid_player_id", "player_id is not a player's"))
}

fn render(party: &Kept) -> Json<Party> {
    let member = |member: &super::rules::PartyMember| PartyMember {
        player_id: member.player.to_string(),
        display_name: member.name.clone(),
        leader: member.player == party.leader,
    };
    Json(Party {
        party_id: party.id.clone(),
        code: party.code.clone(),
        members: party.members.iter().map(member).collect(),
        invited: party.invited.iter().map(u64::to_string).collect(),
    })
}
