//! The parties' routes: parse, call, render.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa::OpenApi;

use super::fresh_code;
use super::rules::{MEMBERS_MAX, Party as Kept, REGIONS_MAX};
use crate::accounts::tokens::Caller;
use crate::api::{
    Party, PartyHeartbeat, PartyInvite, PartyInvites, PartyJoin, PartyMember, PartyPlayer, PartyRequest,
    PartyTicketRequest, Problem, Ticket, TicketRequest,
};
use crate::app::App;
use crate::clock::UnixMs;
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
        .get("/v1/parties/invites", invites)
        .delete("/v1/parties/invites/{id}", turn_down)
        .get("/v1/parties/me", mine)
        .post("/v1/parties/me/heartbeat", heartbeat)
        .post("/v1/parties/me/code", renew)
        .post("/v1/parties/me/invites", invite)
        .post("/v1/parties/me/leader", promote)
        .post("/v1/parties/me/ticket", queue)
        .delete("/v1/parties/me", leave)
        .delete("/v1/parties/me/members/{id}", kick)
}

/// The document of these routes.
#[derive(OpenApi)]
#[openapi(paths(
    create, join, invites, turn_down, mine, heartbeat, renew, invite, promote, queue, leave, kick
))]
pub struct Document;

/// Founds a party, with a code for others to join by. Whoever is in one gets that.
#[utoipa::path(
    post, path = "/v1/parties", tag = "parties", security(("bearer" = [])),
    request_body = PartyRequest,
    responses(
        (status = 201, description = "founded; the caller leads it", body = Party),
        (status = 200, description = "the party that the caller is in already", body = Party),
        (status = 400, description = "malformed_json, unreadable_body", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token, account_gone", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "payload_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not_json", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body, invalid_size", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<PartyRequest>,
) -> Result<(StatusCode, Json<Party>), ApiError> {
    let size = request.members_max.map_or(MEMBERS_MAX, usize::from);
    if !(2..=MEMBERS_MAX).contains(&size) {
        return Err(ApiError::invalid("invalid_size", format!("members_max must be 2 to {MEMBERS_MAX}")));
    }
    let matchmaker = app.matchmaker()?;
    let (party, new) = matchmaker.parties.create(caller.player, size).await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, render(&app, &party)?))
}

/// Joins a party by its code, or by its id if invited. Waiting tickets of the party and of the caller are taken back.
#[utoipa::path(
    post, path = "/v1/parties/join", tag = "parties", security(("bearer" = [])),
    request_body = PartyJoin,
    responses(
        (status = 200, description = "the caller is in it", body = Party),
        (status = 400, description = "malformed_json, unreadable_body", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token, account_gone", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "not_invited", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "party_not_found: no such party, or not its code of now", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "party_full, in_another_party", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "payload_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not_json", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body, code_or_id: exactly one of the two", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited, too_many_codes", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn join(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<PartyJoin>,
) -> Result<Json<Party>, ApiError> {
    if request.code.is_some() == request.party_id.is_some() {
        return Err(ApiError::invalid("code_or_id", "give either code or party_id"));
    }
    let (code, id) = (request.code.as_deref(), request.party_id.as_deref());
    render(&app, &app.matchmaker()?.join_party(caller.player, code, id).await?)
}

/// Parties that have invited the caller.
#[utoipa::path(
    get, path = "/v1/parties/invites", tag = "parties", security(("bearer" = [])),
    responses(
        (status = 200, description = "to join by id", body = PartyInvites),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn invites(State(app): State<App>, caller: Caller) -> Result<Json<PartyInvites>, ApiError> {
    let now = UnixMs::now();
    let invite = |party: &Kept| {
        let until = party.invited.iter().find(|invite| invite.player == caller.player.as_u64());
        let leader = party.members.iter().find(|member| member.player == party.leader);
        PartyInvite {
            party_id: party.id.clone(),
            leader: leader.map(|member| member.name.clone()).unwrap_or_default(),
            members: party.members.len(),
            expires_in_s: until.map_or(0, |invite| UnixMs(invite.until_ms).since(now).as_secs()),
        }
    };
    let inviting = app.matchmaker()?.parties.inviting(caller.player).await?;
    Ok(Json(PartyInvites { invites: inviting.iter().map(invite).collect() }))
}

/// Turns an invitation down.
#[utoipa::path(
    delete, path = "/v1/parties/invites/{id}", tag = "parties", security(("bearer" = [])),
    params(("id" = String, Path, description = "the party's id")),
    responses(
        (status = 204, description = "it is no more"),
        (status = 400, description = "malformed_path", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "party_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn turn_down(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<StatusCode, ApiError> {
    let change = |party: &mut Kept, _| {
        party.uninvite(caller.player);
        Ok(())
    };
    app.matchmaker()?.parties.change_of(&id, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The caller's party; asking says that the caller is there.
#[utoipa::path(
    get, path = "/v1/parties/me", tag = "parties", security(("bearer" = [])),
    responses(
        (status = 200, description = "as it is now; who was silent for too long is out", body = Party),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_party", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn mine(State(app): State<App>, caller: Caller) -> Result<Json<Party>, ApiError> {
    render(&app, &app.matchmaker()?.change_party(caller.player, |_, _| Ok(())).await?)
}

/// Says that the caller is there, and what it has measured. A leader who is silent for 30 s is followed by who is there,
/// and who is silent for 120 s is out, unless the deployment says otherwise; polling the party or its ticket is no silence.
#[utoipa::path(
    post, path = "/v1/parties/me/heartbeat", tag = "parties", security(("bearer" = [])),
    request_body = PartyHeartbeat,
    responses(
        (status = 200, description = "as the party is now", body = Party),
        (status = 400, description = "malformed_json, unreadable_body", body = Problem, content_type = "application/problem+json"),
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
    let (latencies, roles) = (request.latencies.as_ref(), request.roles.as_ref());
    let names = latencies.into_iter().flat_map(|ways| ways.keys()).chain(roles.into_iter().flatten());
    if latencies.is_some_and(|ways| ways.len() > REGIONS_MAX)
        || roles.is_some_and(|roles| roles.len() > matching::ROLES_MAX)
        || names.into_iter().any(|name| name.len() > matching::NAME_BYTES_MAX)
    {
        let detail = "at most 32 regions and 8 roles, with names of at most 64 bytes";
        return Err(ApiError::invalid("too_many", detail));
    }
    let change = |party: &mut Kept, _| party.measured(caller.player, latencies, roles);
    render(&app, &app.matchmaker()?.change_party(caller.player, change).await?)
}

/// Another code for the leader to give away; the old one works no more.
#[utoipa::path(
    post, path = "/v1/parties/me/code", tag = "parties", security(("bearer" = [])),
    responses(
        (status = 200, description = "with its new code", body = Party),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "not_the_leader", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_party", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn renew(State(app): State<App>, caller: Caller) -> Result<Json<Party>, ApiError> {
    let matchmaker = app.matchmaker()?;
    let life = matchmaker.parties.limits().code_life;
    let change = |party: &mut Kept, now: UnixMs| {
        party.led_by(caller.player)?;
        party.renew_code(fresh_code(), now.plus(life));
        Ok(())
    };
    render(&app, &matchmaker.change_party(caller.player, change).await?)
}

/// Invites a player, who may then join by the party's id. Any member may.
#[utoipa::path(
    post, path = "/v1/parties/me/invites", tag = "parties", security(("bearer" = [])),
    request_body = PartyPlayer,
    responses(
        (status = 200, description = "invited", body = Party),
        (status = 400, description = "malformed_json, unreadable_body", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_party, unknown_player", body = Problem, content_type = "application/problem+json"),
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
    let matchmaker = app.matchmaker()?;
    matchmaker.parties.known(who).await?;
    let change = |party: &mut Kept, now| party.invite(caller.player, who, now);
    render(&app, &matchmaker.change_party(caller.player, change).await?)
}

/// The leader hands the party over.
#[utoipa::path(
    post, path = "/v1/parties/me/leader", tag = "parties", security(("bearer" = [])),
    request_body = PartyPlayer,
    responses(
        (status = 200, description = "handed over", body = Party),
        (status = 400, description = "malformed_json, unreadable_body", body = Problem, content_type = "application/problem+json"),
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
    let change = |party: &mut Kept, _| party.promote(caller.player, who);
    render(&app, &app.matchmaker()?.change_party(caller.player, change).await?)
}

/// The leader queues the party as one ticket, which every member can ask for: it is never split. Its latencies are the
/// worst of what members have measured. Members find its id in the party; any of them may take it back.
#[utoipa::path(
    post, path = "/v1/parties/me/ticket", tag = "parties", security(("bearer" = [])),
    request_body = PartyTicketRequest,
    responses(
        (status = 201, description = "queued", body = Ticket),
        (status = 200, description = "the ticket that stood already", body = Ticket),
        (status = 400, description = "malformed_json, unreadable_body", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token, account_gone", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "not_the_leader, player_banned", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "no_party, ticket_not_found: it ended meanwhile", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "member_queued", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "payload_too_large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "not_json", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body, unknown_mode, party_size, unknown_region, unknown_role, invalid_attribute, invalid_ticket", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "not_served, store_busy, store_unavailable, queue_full", body = Problem, content_type = "application/problem+json"),
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
    let limits = *matchmaker.parties.limits();
    matchmaker.change_party(caller.player, |party, now| party.leave(caller.player, &limits, now)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The leader sends a member away, and the party gets another code. Its waiting ticket is taken back.
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
    let limits = *matchmaker.parties.limits();
    let change = |party: &mut Kept, now: UnixMs| {
        party.kick(caller.player, who, &limits, now)?;
        party.uninvite(who);
        party.renew_code(fresh_code(), now.plus(limits.code_life));
        Ok(())
    };
    matchmaker.change_party(caller.player, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(id: &str) -> Result<PlayerId, ApiError> {
    id.parse().map_err(|_| ApiError::invalid("invalid_player_id", "player_id is not a player's"))
}

fn render(app: &App, party: &Kept) -> Result<Json<Party>, ApiError> {
    let (now, away) = (UnixMs::now(), app.matchmaker()?.parties.limits().away);
    let left = |until: i64| UnixMs(until).since(now).as_secs();
    let member = |member: &super::rules::PartyMember| PartyMember {
        player_id: member.player.to_string(),
        display_name: member.name.clone(),
        leader: member.player == party.leader,
        here: now.since(member.seen) < away,
    };
    let open = party.invited.iter().filter(|invite| invite.until_ms > now.0);
    Ok(Json(Party {
        party_id: party.id.clone(),
        code: party.code.clone(),
        code_expires_in_s: left(party.code_until_ms),
        members_max: u8::try_from(party.members_max).unwrap_or(u8::MAX),
        members: party.members.iter().map(member).collect(),
        invited: open.map(|invite| invite.player.to_string()).collect(),
        ticket_id: party.ticket.clone(),
    }))
}
