//! What players are told of their matches: parse, call, render.

#![allow(unused_qualifications, reason = "utoipa's macro writes the paths of parameter structs out")]

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use utoipa::{IntoParams, OpenApi};

use crate::accounts::tokens::Caller;
use crate::api::{BoardRank, MatchOutcome, OutcomeStatus, PlayerOutcome, Problem};
use crate::app::App;
use crate::clock::UnixMs;
use crate::http::Routes;
use crate::http::extract::{Params, Segment};
use crate::http::problem::ApiError;
use crate::ids::{MatchId, PlayerId};
use crate::matchmaking::routes::WAIT_MAX;
use crate::store::{Fate, StoreError};

/// How often who waits looks at the store, whatever the news.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// All routes about matches; part of the role `matchmaking`.
pub fn routes() -> Routes {
    Routes::new().get("/v1/matches/{id}/outcome", outcome)
}

/// The document of these routes.
#[derive(OpenApi)]
#[openapi(paths(outcome))]
pub struct Document;

/// How long to wait.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WaitParams {
    /// Answer when the match stops being pending, or after so many milliseconds; 0 unless given.
    #[param(minimum = 0, maximum = 30000)]
    wait_ms: Option<u64>,
}

/// What the caller's match did to the caller, once its result has taken effect.
#[utoipa::path(
    get, path = "/v1/matches/{id}/outcome", tag = "matches", security(("bearer" = [])),
    params(("id" = String, Path, description = "the match's id"), WaitParams),
    responses(
        (status = 200, description = "where it stands", body = MatchOutcome),
        (status = 400, description = "malformed_path, malformed_query", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "match_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_wait", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn outcome(
    State(app): State<App>,
    caller: Caller,
    Segment(id): Segment,
    Params(params): Params<WaitParams>,
) -> Result<Json<MatchOutcome>, ApiError> {
    let unknown = || ApiError::not_found("match_not_found", "you were in no such match");
    let patience = Duration::from_millis(params.wait_ms.unwrap_or(0));
    if patience > WAIT_MAX {
        let detail = format!("wait_ms must be 0 to {}", WAIT_MAX.as_millis());
        return Err(ApiError::invalid("invalid_wait", detail));
    }
    let id: MatchId = id.parse().map_err(|_| unknown())?;
    let fate = settled(&app, id, caller.player, patience).await?.ok_or_else(unknown)?;
    render(&app, id, caller.player, fate).await.map(Json)
}

/// Where the match stands, at once or when it stops being pending, `patience` at most.
async fn settled(
    app: &App,
    id: MatchId,
    player: PlayerId,
    patience: Duration,
) -> Result<Option<Fate>, StoreError> {
    let end = Instant::now() + patience;
    let mut drain = app.draining();
    // From before the first look on: what happens between look and wait is heard.
    let mut news = app.news().listen();
    loop {
        let fate = app.stores().db.fate(id, player).await?;
        if fate != Some(Fate::Pending) || Instant::now() >= end || *drain.borrow() {
            return Ok(fate);
        }
        let look = end.min(Instant::now() + LOOK_EVERY);
        let heard = async {
            loop {
                match news.recv().await {
                    Ok(other) if other != id => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = heard => {}
            _ = drain.wait_for(|draining| *draining) => {}
            () = tokio::time::sleep_until(look) => {}
        }
    }
}

async fn render(app: &App, id: MatchId, player: PlayerId, fate: Fate) -> Result<MatchOutcome, ApiError> {
    let bare = |status| MatchOutcome { match_id: id.to_string(), status, result: None, boards: Vec::new() };
    let kept = match fate {
        Fate::Pending => return Ok(bare(OutcomeStatus::Pending)),
        Fate::Lost => return Ok(bare(OutcomeStatus::Lost)),
        Fate::GivenUp => return Ok(bare(OutcomeStatus::Void)),
        Fate::Counted(kept) => kept,
    };
    let result: Option<PlayerOutcome> =
        kept.map(|kept| serde_json::from_str(&kept)).transpose().map_err(|error| {
            tracing::error!(%error, %id, "kept outcome cannot be read");
            ApiError::from(StoreError::Malformed("outcome"))
        })?;
    let mut boards = Vec::new();
    for name in result.iter().flat_map(|result| &result.boards) {
        let Some(board) = app.boards().find(name) else { continue };
        let around = app.stores().ranks.around(&board.at(UnixMs::now()), player, 0).await?;
        if let Some(row) = around.and_then(|rows| rows.into_iter().next()) {
            boards.push(BoardRank {
                board: name.clone(),
                rank: row.rank,
                score: board.shown(row.standing.score),
            });
        }
    }
    Ok(MatchOutcome { result, boards, ..bare(OutcomeStatus::Counted) })
}
