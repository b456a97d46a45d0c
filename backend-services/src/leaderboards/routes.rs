//! The boards' routes: parse, call, render. Ranks come from the mirror where there is one and it is whole, and
//! from SQL otherwise.

#![allow(unused_qualifications, reason = "utoipa's macro writes the paths of parameter structs out")]

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::rules::{self, BoardRule, RADIUS_DEFAULT, RADIUS_MAX, ROWS_DEFAULT, ROWS_MAX};
use crate::accounts::tokens::Caller;
use crate::api::{Board, BoardEntry, Problem};
use crate::app::App;
use crate::http::Routes;
use crate::http::extract::{Params, Segment};
use crate::http::problem::ApiError;
use crate::ids::PlayerId;
use crate::store::{EntryRow, StoreError, Stores};

/// All routes of the role `leaderboards`.
pub fn routes() -> Routes {
    Routes::new().get("/v1/leaderboards/{board}", top).get("/v1/leaderboards/{board}/around-me", around_me)
}

/// The document of these routes.
#[derive(OpenApi)]
#[openapi(paths(top, around_me))]
pub struct Document;

/// How many rows.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TopParams {
    /// 1 to 100; 10 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// How many rows on either side.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AroundParams {
    /// 0 to 50; 5 unless given.
    #[param(minimum = 0, maximum = 50)]
    radius: Option<u64>,
}

/// The first rows of a board.
#[utoipa::path(
    get, path = "/v1/leaderboards/{board}", tag = "leaderboards",
    params(("board" = String, Path, description = "arena-score or arena-rating"), TopParams),
    responses(
        (status = 200, description = "best first", body = Board),
        (status = 400, description = "malformed_query, malformed_path", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "board_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_limit", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn top(
    State(app): State<App>,
    Segment(name): Segment,
    Params(params): Params<TopParams>,
) -> Result<Json<Board>, ApiError> {
    let board = find(&name)?;
    let limit = params.limit.unwrap_or(ROWS_DEFAULT);
    if !(1..=ROWS_MAX).contains(&limit) {
        return Err(ApiError::invalid("invalid_limit", format!("limit must be 1 to {ROWS_MAX}")));
    }
    Ok(render(board, page(app.stores(), board, 0, limit).await?))
}

/// The rows around the player's own.
#[utoipa::path(
    get, path = "/v1/leaderboards/{board}/around-me", tag = "leaderboards", security(("bearer" = [])),
    params(("board" = String, Path, description = "arena-score or arena-rating"), AroundParams),
    responses(
        (status = 200, description = "best first; the player's own row among them", body = Board),
        (status = 400, description = "malformed_query, malformed_path", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "board_not_found, not_ranked", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_radius", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn around_me(
    State(app): State<App>,
    caller: Caller,
    Segment(name): Segment,
    Params(params): Params<AroundParams>,
) -> Result<Json<Board>, ApiError> {
    let board = find(&name)?;
    let radius = params.radius.unwrap_or(RADIUS_DEFAULT);
    if radius > RADIUS_MAX {
        return Err(ApiError::invalid("invalid_radius", format!("radius must be 0 to {RADIUS_MAX}")));
    }
    let rank = rank(app.stores(), board, caller.player).await?;
    let rank =
        rank.ok_or_else(|| ApiError::not_found("not_ranked", "you have no score on this board yet"))?;
    let (skip, limit) = rules::around(rank, radius);
    Ok(render(board, page(app.stores(), board, skip, limit).await?))
}

fn find(name: &str) -> Result<BoardRule, ApiError> {
    rules::board(name).ok_or_else(|| ApiError::not_found("board_not_found", "there is no board of this name"))
}

fn render(board: BoardRule, rows: Vec<EntryRow>) -> Json<Board> {
    let entry = |row: EntryRow| BoardEntry {
        rank: row.rank,
        player_id: row.player.to_string(),
        display_name: row.display_name,
        score: row.score,
    };
    Json(Board { board: board.name.to_owned(), entries: rows.into_iter().map(entry).collect() })
}

async fn page(stores: &Stores, board: BoardRule, skip: u64, limit: u64) -> Result<Vec<EntryRow>, StoreError> {
    if let Some(mirror) = &stores.mirror
        && let Some(rows) = usable(mirror.page(board.name, skip, limit).await)
    {
        return Ok(rows);
    }
    stores.db.board_page(board.name, skip, limit).await
}

async fn rank(stores: &Stores, board: BoardRule, player: PlayerId) -> Result<Option<u64>, StoreError> {
    if let Some(mirror) = &stores.mirror
        && let Some(rank) = usable(mirror.rank(board.name, player).await)
    {
        return Ok(rank);
    }
    stores.db.board_rank(board.name, player).await
}

/// What the mirror said, unless it failed or is not whole: then SQL is asked.
fn usable<T>(answer: Result<Option<T>, StoreError>) -> Option<T> {
    let answer = answer.unwrap_or_else(|error| {
        tracing::warn!(%error, "board mirror failed; asking SQL");
        None
    });
    if answer.is_none() {
        metrics::counter!("board_mirror_misses_total").increment(1);
    }
    answer
}
