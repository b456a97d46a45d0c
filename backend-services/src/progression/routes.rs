//! The routes of progression: parse, call, render. Oneself sees all, others what is reached.

use axum::Json;
use axum::extract::State;
use utoipa::OpenApi;

use super::rules::{Achievement, Rules};
use crate::accounts::tokens::Caller;
use crate::api::{AchievementProgress, Achievements, Problem, Progression};
use crate::app::App;
use crate::http::Routes;
use crate::http::extract::Segment;
use crate::http::problem::ApiError;
use crate::ids::PlayerId;
use crate::store::Career;

/// All routes of progression; part of the role `leaderboards`.
pub fn routes() -> Routes {
    Routes::new()
        .get("/v1/me/progression", my_progression)
        .get("/v1/me/achievements", my_achievements)
        .get("/v1/players/{id}/progression", progression)
        .get("/v1/players/{id}/achievements", achievements)
}

/// The document of these routes.
#[derive(OpenApi)]
#[openapi(paths(my_progression, my_achievements, progression, achievements))]
pub struct Document;

/// The caller's experience and level.
#[utoipa::path(
    get, path = "/v1/me/progression", tag = "progression", security(("bearer" = [])),
    responses(
        (status = 200, description = "as of the last match that counted", body = Progression),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn my_progression(State(app): State<App>, caller: Caller) -> Result<Json<Progression>, ApiError> {
    let career = app.stores().db.career(caller.player).await?;
    Ok(Json(render(app.progression(), caller.player, &career)))
}

/// All achievements there are, and how far the caller is.
#[utoipa::path(
    get, path = "/v1/me/achievements", tag = "progression", security(("bearer" = [])),
    responses(
        (status = 200, description = "in the order of the rules", body = Achievements),
        (status = 401, description = "token_required, token_expired, invalid_token", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn my_achievements(State(app): State<App>, caller: Caller) -> Result<Json<Achievements>, ApiError> {
    let career = app.stores().db.career(caller.player).await?;
    Ok(Json(list(app.progression(), caller.player, &career, |_| true)))
}

/// Anybody's experience and level.
#[utoipa::path(
    get, path = "/v1/players/{id}/progression", tag = "progression",
    params(("id" = String, Path, description = "the player's id")),
    responses(
        (status = 200, description = "as of the last match that counted", body = Progression),
        (status = 400, description = "malformed_path", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "player_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn progression(State(app): State<App>, Segment(id): Segment) -> Result<Json<Progression>, ApiError> {
    let (player, career) = find(&app, &id).await?;
    Ok(Json(render(app.progression(), player, &career)))
}

/// The achievements that anybody has reached.
#[utoipa::path(
    get, path = "/v1/players/{id}/achievements", tag = "progression",
    params(("id" = String, Path, description = "the player's id")),
    responses(
        (status = 200, description = "in the order of the rules", body = Achievements),
        (status = 400, description = "malformed_path", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "player_not_found", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "rate_limited", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "store_busy, store_unavailable", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn achievements(State(app): State<App>, Segment(id): Segment) -> Result<Json<Achievements>, ApiError> {
    let (player, career) = find(&app, &id).await?;
    let reached = |row: &AchievementProgress| row.unlocked_unix_ms.is_some();
    Ok(Json(list(app.progression(), player, &career, reached)))
}

async fn find(app: &App, id: &str) -> Result<(PlayerId, Career), ApiError> {
    let unknown = || ApiError::not_found("player_not_found", "there is no such player");
    let player: PlayerId = id.parse().map_err(|_| unknown())?;
    let db = &app.stores().db;
    db.account(player).await?.ok_or_else(unknown)?;
    Ok((player, db.career(player).await?))
}

fn render(rules: &Rules, player: PlayerId, career: &Career) -> Progression {
    let level = rules.levels.of(career.experience);
    Progression {
        player_id: player.to_string(),
        level,
        experience: career.experience,
        level_begins: rules.levels.begins(level),
        next_level_begins: (level < rules.levels.max).then(|| rules.levels.begins(level + 1)),
        matches: career.matches,
    }
}

fn list(
    rules: &Rules,
    player: PlayerId,
    career: &Career,
    shown: impl Fn(&AchievementProgress) -> bool,
) -> Achievements {
    let row = |achievement: &Achievement| {
        let progress = career.achievements.get(&achievement.name).copied().unwrap_or_default();
        AchievementProgress {
            name: achievement.name.clone(),
            title: achievement.title.clone(),
            counts: achievement.counts,
            over: achievement.over,
            mode: achievement.mode.clone(),
            goal: achievement.goal,
            // A goal may have been lowered since.
            value: progress.value.min(achievement.goal),
            unlocked_unix_ms: progress.unlocked,
            experience: achievement.experience,
        }
    };
    let rows = rules.achievements.iter().map(row).filter(shown);
    Achievements { player_id: player.to_string(), achievements: rows.collect() }
}
