//! The boards' routes: parse, call, render. Nothing is read from SQL that the ranks can answer.

#![allow(unused_qualifications, reason = "utoipa's macro writes the paths of parameter structs out")]

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::cursor;
use super::rules::{AMONG_MAX, Board as BoardRules, RADIUS_DEFAULT, RADIUS_MAX, ROWS_DEFAULT, ROWS_MAX};
use crate::accounts::tokens::Caller;
use crate::api::{Board, BoardEntry, BoardInfo, BoardList, Problem};
use crate::app::App;
use crate::clock::UnixMs;
use crate::http::Routes;
use crate::http::answers::{Asked, Limited, Signed, Stored};
use crate::http::extract::{Params, Segment};
use crate::http::problem::ApiError;
use crate::ids::PlayerId;
use crate::store::{BoardId, EntryRow};

/// All routes of the role `leaderboards`.
pub fn routes() -> Routes {
    Routes::new()
        .get("/v1/leaderboards", list)
        .get("/v1/leaderboards/{board}", top)
        .get("/v1/leaderboards/{board}/around-me", around_me)
        .get("/v1/leaderboards/{board}/among", among)
        .merge(super::tournaments::routes())
}

/// The document of the role's routes.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.merge(super::tournaments::Document::openapi());
    document
}

#[derive(OpenApi)]
#[openapi(paths(list, top, around_me, among))]
struct Document;

/// Which rows of which part of a board.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TopParams {
    /// 1 to 100; 10 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// The ranks of this region only, on boards that are kept by region.
    #[param(example = "eu-west")]
    region: Option<String>,
}

/// How many rows on either side.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AroundParams {
    /// 0 to 50; 5 unless given.
    #[param(minimum = 0, maximum = 50)]
    radius: Option<u64>,
    /// The ranks of this region only, on boards that are kept by region.
    region: Option<String>,
}

/// Whom to compare.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AmongParams {
    /// 1 to 100 ids of players, separated by commas.
    #[param(example = "4503599627370496,4503599627370497")]
    players: String,
    /// The ranks of this region only, on boards that are kept by region.
    region: Option<String>,
}

/// Which boards there are.
#[utoipa::path(
    get, path = "/v1/leaderboards", tag = "leaderboards",
    responses(
        (status = 200, description = "all of them, with their seasons", body = BoardList),
        Limited,
    )
)]
async fn list(State(app): State<App>) -> Json<BoardList> {
    let now = UnixMs::now();
    let info = |board: &BoardRules| BoardInfo {
        rule: board.rule.clone(),
        season: board.at(now).season,
        next_season_unix_ms: board.next_season(now).map(|at| at.0),
        open: board.is_open(now),
    };
    Json(BoardList { boards: app.boards().iter().map(info).collect() })
}

/// A page of a board.
#[utoipa::path(
    get, path = "/v1/leaderboards/{board}", tag = "leaderboards",
    params(("board" = String, Path, description = "as GET /v1/leaderboards names it"), TopParams),
    responses(
        (status = 200, description = "best first", body = Board),
        (status = 404, description = "board_not_found, region_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_limit, invalid_cursor", body = Problem, content_type = "application/problem+json"),
        Asked, Stored,
    )
)]
async fn top(
    State(app): State<App>,
    Segment(name): Segment,
    Params(params): Params<TopParams>,
) -> Result<Json<Board>, ApiError> {
    let view = View::find(&app, &name, params.region)?;
    let limit = rows(params.limit)?;
    let unknown = || ApiError::invalid("invalid_cursor", "the cursor is not one of ours");
    let after = params.cursor.map(|text| cursor::decode(&text).ok_or_else(unknown)).transpose()?;
    let rows = app.stores().ranks.page(&view.id, after, limit).await?;
    let full = rows.len() as u64 == limit;
    let next_cursor = rows.last().filter(|_| full).map(|last| cursor::encode(&last.standing));
    Ok(view.render(rows, next_cursor))
}

/// The rows around the player's own.
#[utoipa::path(
    get, path = "/v1/leaderboards/{board}/around-me", tag = "leaderboards", security(("bearer" = [])),
    params(("board" = String, Path, description = "as GET /v1/leaderboards names it"), AroundParams),
    responses(
        (status = 200, description = "best first; the player's own row among them", body = Board),
        (status = 404, description = "board_not_found, region_not_found, not_ranked", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_radius", body = Problem, content_type = "application/problem+json"),
        Asked, Signed, Stored,
    )
)]
async fn around_me(
    State(app): State<App>,
    caller: Caller,
    Segment(name): Segment,
    Params(params): Params<AroundParams>,
) -> Result<Json<Board>, ApiError> {
    let view = View::find(&app, &name, params.region)?;
    let radius = params.radius.unwrap_or(RADIUS_DEFAULT);
    if radius > RADIUS_MAX {
        return Err(ApiError::invalid("invalid_radius", format!("radius must be 0 to {RADIUS_MAX}")));
    }
    let rows = app.stores().ranks.around(&view.id, caller.player, radius).await?;
    let rows =
        rows.ok_or_else(|| ApiError::not_found("not_ranked", "you have no score on this board yet"))?;
    Ok(view.render(rows, None))
}

/// The rows of some players, with their ranks on the whole board: friends, a team, a cohort of one's own.
///
/// Friends are not known here yet: the client says whom it means.
#[utoipa::path(
    get, path = "/v1/leaderboards/{board}/among", tag = "leaderboards",
    params(("board" = String, Path, description = "as GET /v1/leaderboards names it"), AmongParams),
    responses(
        (status = 200, description = "best first; who has no score is left out", body = Board),
        (status = 404, description = "board_not_found, region_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "invalid_players", body = Problem, content_type = "application/problem+json"),
        Asked, Stored,
    )
)]
async fn among(
    State(app): State<App>,
    Segment(name): Segment,
    Params(params): Params<AmongParams>,
) -> Result<Json<Board>, ApiError> {
    let view = View::find(&app, &name, params.region)?;
    let invalid = || ApiError::invalid("invalid_players", format!("players must be 1 to {AMONG_MAX} ids"));
    let players = params.players.split(',').map(str::parse).collect::<Result<Vec<PlayerId>, _>>();
    let players = players.map_err(|_| invalid())?;
    if players.len() > AMONG_MAX {
        return Err(invalid());
    }
    let rows = app.stores().ranks.among(&view.id, &players).await?;
    Ok(view.render(rows, None))
}

/// How many rows are asked for.
pub(super) fn rows(limit: Option<u64>) -> Result<u64, ApiError> {
    let limit = limit.unwrap_or(ROWS_DEFAULT);
    if !(1..=ROWS_MAX).contains(&limit) {
        return Err(ApiError::invalid("invalid_limit", format!("limit must be 1 to {ROWS_MAX}")));
    }
    Ok(limit)
}

/// The board of this name.
pub(super) fn find<'a>(app: &'a App, name: &str) -> Result<&'a BoardRules, ApiError> {
    let board = app.boards().find(name);
    board.ok_or_else(|| ApiError::not_found("board_not_found", "there is no board of this name"))
}

/// A board as it is looked at: in a season, whole or in a region.
pub(super) struct View<'a> {
    pub(super) board: &'a BoardRules,
    pub(super) id: BoardId,
    pub(super) region: Option<String>,
}

impl<'a> View<'a> {
    fn find(app: &'a App, name: &str, region: Option<String>) -> Result<Self, ApiError> {
        let (board, now) = (find(app, name)?, UnixMs::now());
        let missing = || ApiError::not_found("region_not_found", "this board has no such region");
        let id = match &region {
            None => board.at(now),
            Some(region) if board.rule.by_region => board.in_region(region, now).map_err(|_| missing())?,
            Some(_) => return Err(missing()),
        };
        Ok(Self { board, id, region })
    }

    pub(super) fn render(self, rows: Vec<EntryRow>, next_cursor: Option<String>) -> Json<Board> {
        let entry = |row: EntryRow| BoardEntry {
            rank: row.rank,
            player_id: row.standing.player.to_string(),
            display_name: row.display_name,
            score: self.board.shown(row.standing.score),
            reached_unix_ms: row.standing.reached.0,
        };
        Json(Board {
            board: self.board.rule.name.clone(),
            season: self.id.season,
            region: self.region,
            entries: rows.into_iter().map(entry).collect(),
            next_cursor,
        })
    }
}
