//! The routes that a season gives: its archive, joining a tournament, and the player's cohort. Parse, call, render.

#![allow(unused_qualifications, reason = "utoipa's macro writes the paths of parameter structs out")]

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::routes::{View, find, rows};
use super::rules::{AMONG_MAX, ROWS_MAX};
use crate::accounts::tokens::Caller;
use crate::api::{Board, Cohort, Problem, Season, SeasonList};
use crate::app::App;
use crate::clock::UnixMs;
use crate::http::Routes;
use crate::http::answers::{Asked, Named, Signed, Stored};
use crate::http::extract::{Params, Segment};
use crate::http::problem::ApiError;
use crate::store::{BoardId, ClosedSeason};

/// The routes of seasons.
pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/v1/leaderboards/{board}/seasons", seasons)
        .get("/v1/leaderboards/{board}/archive", archive)
        .post("/v1/leaderboards/{board}/join", join)
        .get("/v1/leaderboards/{board}/cohort", cohort)
}

/// The document of these routes.
#[derive(OpenApi)]
#[openapi(paths(seasons, archive, join, cohort))]
pub(super) struct Document;

/// Which seasons.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SeasonParams {
    /// Only seasons that began before this moment, milliseconds since 1970: the oldest of the page before.
    before: Option<i64>,
}

/// Which rows of which season.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ArchiveParams {
    /// As the list of seasons names it.
    season: i64,
    /// Ranks after this one; 0 unless given.
    after_rank: Option<u64>,
    /// 1 to 100; 10 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
}

/// The seasons that are over, newest first.
#[utoipa::path(
    get, path = "/v1/leaderboards/{board}/seasons", tag = "leaderboards",
    params(("board" = String, Path, description = "as GET /v1/leaderboards names it"), SeasonParams),
    responses(
        (status = 200, description = "at most 100, newest first", body = SeasonList),
        (status = 404, description = "board_not_found", body = Problem, content_type = "application/problem+json"),
        Asked, Stored,
    )
)]
async fn seasons(
    State(app): State<App>,
    Segment(name): Segment,
    Params(params): Params<SeasonParams>,
) -> Result<Json<SeasonList>, ApiError> {
    let board = find(&app, &name)?;
    let before = params.before.unwrap_or(i64::MAX);
    let closed = app.stores().db.closed_seasons(&board.rule.name, before, ROWS_MAX).await?;
    let season = |closed: ClosedSeason| Season {
        season: closed.season,
        closed_unix_ms: closed.closed.0,
        members: closed.members,
    };
    Ok(Json(SeasonList { seasons: closed.into_iter().map(season).collect() }))
}

/// The final order of a season that is over.
#[utoipa::path(
    get, path = "/v1/leaderboards/{board}/archive", tag = "leaderboards",
    params(("board" = String, Path, description = "as GET /v1/leaderboards names it"), ArchiveParams),
    responses(
        (status = 200, description = "best first; none for a season that never was or is not closed", body = Board),
        (status = 404, description = "board_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_limit", body = Problem, content_type = "application/problem+json"),
        Asked, Stored,
    )
)]
async fn archive(
    State(app): State<App>,
    Segment(name): Segment,
    Params(params): Params<ArchiveParams>,
) -> Result<Json<Board>, ApiError> {
    let board = find(&app, &name)?;
    let limit = rows(params.limit)?;
    let id = BoardId::new(&board.rule.name, params.season);
    let rows = app.stores().db.archived_page(&id, params.after_rank.unwrap_or(0), limit).await?;
    Ok(View { board, id, region: None }.render(rows, None))
}

/// Takes part in the season of now. Joining again changes nothing.
#[utoipa::path(
    post, path = "/v1/leaderboards/{board}/join", tag = "leaderboards", security(("bearer" = [])),
    params(("board" = String, Path, description = "as GET /v1/leaderboards names it")),
    responses(
        (status = 204, description = "the player takes part"),
        (status = 404, description = "board_not_found, not_joinable", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "board_closed", body = Problem, content_type = "application/problem+json"),
        Named, Signed, Stored,
    )
)]
async fn join(
    State(app): State<App>,
    caller: Caller,
    Segment(name): Segment,
) -> Result<StatusCode, ApiError> {
    let (board, now) = (find(&app, &name)?, UnixMs::now());
    if !board.rule.joined_only {
        return Err(ApiError::not_found("not_joinable", "everybody takes part in this board"));
    }
    if !board.is_open(now) {
        return Err(ApiError::conflict("board_closed", "this board takes no scores now"));
    }
    app.stores().db.join_board(&board.at(now), caller.player).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The player's cohort in the season of now: at most 100 players who are compared with each other. The first time
/// that a player asks, the next free seat is the player's until the season ends.
#[utoipa::path(
    get, path = "/v1/leaderboards/{board}/cohort", tag = "leaderboards", security(("bearer" = [])),
    params(("board" = String, Path, description = "as GET /v1/leaderboards names it")),
    responses(
        (status = 200, description = "best first, ranks within the cohort; who has no score is only counted", body = Cohort),
        (status = 404, description = "board_not_found, no_cohorts", body = Problem, content_type = "application/problem+json"),
        Named, Signed, Stored,
    )
)]
async fn cohort(
    State(app): State<App>,
    caller: Caller,
    Segment(name): Segment,
) -> Result<Json<Cohort>, ApiError> {
    let board = find(&app, &name)?;
    if !board.rule.cohorts {
        return Err(ApiError::not_found("no_cohorts", "this board has no cohorts"));
    }
    let id = board.at(UnixMs::now());
    let (cohort, members) = app.stores().db.cohort_of(&id, caller.player, AMONG_MAX as u64).await?;
    let mut rows = app.stores().ranks.among(&id, &members).await?;
    for (rank, row) in (1..).zip(&mut rows) {
        row.rank = rank;
    }
    let Json(board) = View { board, id, region: None }.render(rows, None);
    Ok(Json(Cohort { cohort, members: members.len() as u64, board }))
}
