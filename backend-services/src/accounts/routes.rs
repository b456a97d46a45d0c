//! The accounts' routes: parse, call, render.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa::OpenApi;

use super::rules::ACCESS_LIFETIME;
use super::service::Opened;
use super::tokens::Caller;
use crate::api::{LoginRequest, Me, Problem, Rating, RefreshRequest, RegisterRequest, Session};
use crate::app::App;
use crate::clock::UnixMs;
use crate::http::Routes;
use crate::http::answers::{Bodied, Stored};
use crate::http::extract::Body;
use crate::http::problem::ApiError;

/// All routes of the role `accounts`.
pub fn routes() -> Routes {
    Routes::new()
        .post("/v1/auth/guest/register", register)
        .post("/v1/auth/guest/login", log_in)
        .post("/v1/auth/refresh", refresh)
        .post("/v1/auth/logout", log_out)
        .get("/v1/me", me)
        .get("/.well-known/jwks.json", jwks)
}

/// The document of these routes.
#[derive(OpenApi)]
#[openapi(paths(register, log_in, refresh, log_out, me, jwks))]
pub struct Document;

/// Makes a guest account and logs it in.
#[utoipa::path(
    post, path = "/v1/auth/guest/register", tag = "accounts", request_body = RegisterRequest,
    responses(
        (status = 201, description = "the account and its first session", body = Session),
        (status = 409, description = "secret_exists: log in instead", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body, weak_device_secret, invalid_display_name", body = Problem, content_type = "application/problem+json"),
        Bodied, Stored,
    )
)]
async fn register(
    State(app): State<App>,
    Body(request): Body<RegisterRequest>,
) -> Result<(StatusCode, Json<Session>), ApiError> {
    let opened =
        app.accounts().register(&request.device_secret, &request.display_name, UnixMs::now()).await?;
    Ok((StatusCode::CREATED, render(opened)))
}

/// Logs a guest account in.
#[utoipa::path(
    post, path = "/v1/auth/guest/login", tag = "accounts", request_body = LoginRequest,
    responses(
        (status = 200, description = "a new session", body = Session),
        (status = 403, description = "player_banned: until when, and why", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "unknown_secret", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body", body = Problem, content_type = "application/problem+json"),
        Bodied, Stored,
    )
)]
async fn log_in(
    State(app): State<App>,
    Body(request): Body<LoginRequest>,
) -> Result<Json<Session>, ApiError> {
    Ok(render(app.accounts().log_in(&request.device_secret, UnixMs::now()).await?))
}

/// Trades a refresh token for the next pair.
#[utoipa::path(
    post, path = "/v1/auth/refresh", tag = "accounts", request_body = RefreshRequest,
    responses(
        (status = 200, description = "the next pair of tokens", body = Session),
        (status = 403, description = "player_banned: until when, and why", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "invalid_refresh_token, refresh_token_reused, account_gone", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_body", body = Problem, content_type = "application/problem+json"),
        Bodied, Stored,
    )
)]
async fn refresh(
    State(app): State<App>,
    Body(request): Body<RefreshRequest>,
) -> Result<Json<Session>, ApiError> {
    Ok(render(app.accounts().refresh(&request.refresh_token, UnixMs::now()).await?))
}

/// Ends the session of a refresh token.
#[utoipa::path(
    post, path = "/v1/auth/logout", tag = "accounts", request_body = RefreshRequest,
    responses(
        (status = 204, description = "the session is over, or never was"),
        (status = 422, description = "invalid_body", body = Problem, content_type = "application/problem+json"),
        Bodied, Stored,
    )
)]
async fn log_out(
    State(app): State<App>,
    Body(request): Body<RefreshRequest>,
) -> Result<StatusCode, ApiError> {
    app.accounts().log_out(&request.refresh_token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The player behind the access token.
#[utoipa::path(
    get, path = "/v1/me", tag = "accounts", security(("bearer" = [])),
    responses(
        (status = 200, description = "the player", body = Me),
        (status = 401, description = "token_required, token_expired, invalid_token, account_gone", body = Problem, content_type = "application/problem+json"),
        Stored,
    )
)]
async fn me(State(app): State<App>, caller: Caller) -> Result<Json<Me>, ApiError> {
    let db = &app.stores().db;
    let account = db.account(caller.player).await?;
    let account = account.ok_or_else(|| ApiError::unauthorized("account_gone", "the account is gone"))?;
    let rating = db.rating(caller.player).await?.unwrap_or_else(crate::matches::rules::newcomer);
    Ok(Json(Me {
        player_id: account.player.to_string(),
        display_name: account.display_name,
        created_unix_ms: account.created.0,
        rating: Rating {
            mu: rating.mu,
            sigma: rating.sigma,
            matches: u32::try_from(rating.matches).unwrap_or(u32::MAX),
        },
    }))
}

/// The public keys of access tokens.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", tag = "accounts",
    responses((status = 200, description = "a JWK set (RFC 7517)", body = Object))
)]
async fn jwks(State(app): State<App>) -> Json<serde_json::Value> {
    Json(app.tokens().jwks())
}

fn render(opened: Opened) -> Json<Session> {
    Json(Session {
        player_id: opened.account.player.to_string(),
        display_name: opened.account.display_name,
        access_token: opened.access_token,
        refresh_token: opened.refresh_token,
        expires_in_s: ACCESS_LIFETIME.as_secs(),
    })
}
