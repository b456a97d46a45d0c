//! What a player may see of the states that games keep: one's own. Parse, call, render.

use axum::Json;
use axum::extract::State;
use utoipa::OpenApi;

use super::rules;
use crate::accounts::tokens::Caller;
use crate::api::{PlayerState, Problem};
use crate::app::App;
use crate::http::Routes;
use crate::http::answers::{Named, Signed, Stored};
use crate::http::extract::Segment;
use crate::http::problem::ApiError;

/// All routes of players' states; part of the role `accounts`.
pub fn routes() -> Routes {
    Routes::new().get("/v1/me/states/{name}", state)
}

/// The document of these routes.
#[derive(OpenApi)]
#[openapi(paths(state))]
pub struct Document;

/// What a game keeps of the caller between matches.
#[utoipa::path(
    get, path = "/v1/me/states/{name}", tag = "accounts", security(("bearer" = [])),
    params(("name" = String, Path, description = "which of the game's states")),
    responses(
        (status = 200, description = "as it was saved last", body = PlayerState),
        (status = 404, description = "state_not_found: no game has saved it yet", body = Problem, content_type = "application/problem+json"),
        Named, Signed, Stored,
    )
)]
async fn state(
    State(app): State<App>,
    caller: Caller,
    Segment(name): Segment,
) -> Result<Json<PlayerState>, ApiError> {
    let unknown = || ApiError::not_found("state_not_found", "nothing has been saved under this name");
    rules::check_name(&name).map_err(|_| unknown())?;
    let row = app.stores().db.state(caller.player, &name).await?.ok_or_else(unknown)?;
    let document = row.document.ok_or_else(unknown)?;
    // Checked when it was saved.
    let document = serde_json::from_str(&document).map_err(|_| unknown())?;
    Ok(Json(PlayerState { name, version: row.version, document, saved_unix_ms: row.saved.0 }))
}
