//! The gRPC service for game servers: parse, call, render. Every call is idempotent by match id.

use std::sync::Arc;

use backend_proto::{
    AUTHORIZATION, MatchResult, Matches, MatchesServer, ReportLostReply, ReportLostRequest,
    SubmitResultReply, Withheld,
};
use rating::TrueSkill2;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use super::earnings::{self, earnings};
use super::rules::{self, newcomer};
use crate::clock::UnixMs;
use crate::crypto::equal_secrets;
use crate::leaderboards::rules::Boards;
use crate::matchmaking::desk::Desk;
use crate::store::{Finished, HeldScore, RatingRow, StoreError, Stores};

/// A result may have so many bytes; 255 players need some 15 KiB.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// More of a reason is not logged.
const REASON_CHARS_MAX: usize = 256;

/// Takes results.
pub struct MatchService {
    stores: Stores,
    boards: Boards,
    desk: Desk,
    model: Arc<TrueSkill2>,
}

/// Lets only holders of the service token through.
#[derive(Clone)]
pub struct Guard {
    expected: String,
}

impl Guard {
    /// For this token.
    pub fn new(service_token: &str) -> Self {
        Self { expected: format!("Bearer {service_token}") }
    }
}

/// The service behind its guard.
pub fn service(
    stores: Stores,
    boards: Boards,
    desk: Desk,
    model: Arc<TrueSkill2>,
    guard: Guard,
) -> InterceptedService<MatchesServer<MatchService>, Guard> {
    let server = MatchesServer::new(MatchService { stores, boards, desk, model });
    InterceptedService::new(server.max_decoding_message_size(MESSAGE_BYTES_MAX), guard)
}

impl tonic::service::Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let given = request.metadata().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        if given.is_some_and(|given| equal_secrets(given, &self.expected)) {
            return Ok(request);
        }
        Err(Status::unauthenticated("send the service token as authorization: Bearer …"))
    }
}

#[tonic::async_trait]
impl Matches for MatchService {
    async fn submit_result(
        &self,
        request: Request<MatchResult>,
    ) -> Result<Response<SubmitResultReply>, Status> {
        let result = request.into_inner();
        let checked = rules::check(&result).map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        earnings::check(&self.boards, &checked, &result)
            .map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        let (record, now) = (record(&result), UnixMs::now());
        let mut held = Vec::new();
        let outcome = |before: &[RatingRow]| {
            let mut outcome = rules::outcome(&self.model, &checked, &result.players, before, now);
            // Ratings fit every board and the rest was checked above: there is no fault left.
            let earned = earnings(&self.boards, &checked, &result, &outcome.ratings, now).unwrap_or_default();
            held.clone_from(&earned.held);
            (outcome.scores, outcome.held) = (earned.scores, earned.held);
            outcome
        };
        let db = &self.stores.db;
        let finished = db
            .finish_match(checked.id, &checked.players, &record, now, newcomer(), outcome)
            .await
            .map_err(|error| failed(&error))?;
        match finished.verdict {
            Finished::Counted => {
                tracing::info!(id = %checked.id, server = result.server, withheld = held.len(), "match result counted");
                metrics::counter!("matches_finished_total").increment(1);
                self.desk.players_freed();
                let done = self.stores.ranks.apply(&finished.changes).await;
                if let Err(error) = db.board_outbox_done(&done).await {
                    tracing::warn!(%error, "outbox not emptied; the ranks will be told again");
                }
            }
            Finished::Refused => tracing::warn!(id = %checked.id, "result of a match that is not running"),
            Finished::Duplicate => {}
            Finished::Stranger(player) => {
                return Err(Status::invalid_argument(format!("player {player} is not in this match")));
            }
        }
        let accepted = matches!(finished.verdict, Finished::Counted | Finished::Duplicate);
        let duplicate = finished.verdict == Finished::Duplicate;
        Ok(Response::new(SubmitResultReply { accepted, duplicate, withheld: withheld(&held) }))
    }

    async fn report_lost(
        &self,
        request: Request<ReportLostRequest>,
    ) -> Result<Response<ReportLostReply>, Status> {
        let report = request.into_inner();
        let id = report.match_id.parse().map_err(|_| Status::invalid_argument("match_id is not a UUID"))?;
        let changed =
            self.stores.db.give_up_match(id, UnixMs::now()).await.map_err(|error| failed(&error))?;
        if changed {
            let reason: String = report.reason.chars().take(REASON_CHARS_MAX).collect();
            tracing::warn!(%id, ?reason, "match given up by its server");
            metrics::counter!("matches_lost_total").increment(1);
            self.desk.players_freed();
        }
        Ok(Response::new(ReportLostReply { changed }))
    }
}

/// What the server is told of scores that wait; their copies for regions go without saying.
fn withheld(held: &[HeldScore]) -> Vec<Withheld> {
    let named = held.iter().filter(|held| !held.write.board.name.contains('@'));
    let withheld = |held: &HeldScore| Withheld {
        board: held.write.board.name.to_string(),
        player_id: held.write.player.as_u64(),
        reason: held.reason.clone(),
    };
    named.map(withheld).collect()
}

fn failed(error: &StoreError) -> Status {
    tracing::error!(%error, "store failed");
    Status::unavailable("the store cannot be reached; try again")
}

/// The result as it is kept, for replays of the log.
fn record(result: &MatchResult) -> String {
    let player = |entry: &backend_proto::PlayerResult| {
        serde_json::json!({
            "player_id": entry.player_id, "score": entry.score, "kills": entry.kills, "deaths": entry.deaths,
            "placement": entry.placement, "seconds_played": entry.seconds_played, "quit": entry.quit,
        })
    };
    serde_json::json!({
        "server": result.server, "region": result.region, "started_unix_ms": result.started_unix_ms, "ended_unix_ms": result.ended_unix_ms,
        "players": result.players.iter().map(player).collect::<Vec<_>>(),
    })
    .to_string()
}
