//! The gRPC service for game servers: parse, call, render. Every call is idempotent by match id.

use backend_proto::{
    AUTHORIZATION, MatchResult, Matches, MatchesServer, ReportLostReply, ReportLostRequest, SubmitResultReply,
};
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use super::rules::{self, newcomer};
use crate::clock::UnixMs;
use crate::crypto::equal_secrets;
use crate::matchmaking::desk::Desk;
use crate::store::{Db, Finished, StoreError};

/// A result may have so many bytes; 255 players need some 15 KiB.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// More of a reason is not logged.
const REASON_CHARS_MAX: usize = 256;

/// Takes results.
pub struct MatchService {
    db: Db,
    desk: Desk,
}

/// Lets only holders of the service token through.
#[derive(Clone)]
pub struct Guard {
    expected: String,
}

/// The service behind its guard.
pub fn service(
    db: Db,
    desk: Desk,
    service_token: &str,
) -> InterceptedService<MatchesServer<MatchService>, Guard> {
    let server = MatchesServer::new(MatchService { db, desk }).max_decoding_message_size(MESSAGE_BYTES_MAX);
    InterceptedService::new(server, Guard { expected: format!("Bearer {service_token}") })
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
        let record = record(&result);
        let outcome = |before: &[_]| rules::outcome(&checked.players, &result.players, before);
        let finished = self
            .db
            .finish_match(checked.id, &checked.players, &record, UnixMs::now(), newcomer(), outcome)
            .await
            .map_err(|error| failed(&error))?;
        match finished {
            Finished::Counted => {
                tracing::info!(id = %checked.id, server = result.server, "match result counted");
                metrics::counter!("matches_finished_total").increment(1);
                self.desk.players_freed();
            }
            Finished::Refused => tracing::warn!(id = %checked.id, "result of a match that is not running"),
            Finished::Duplicate => {}
            Finished::Stranger(player) => {
                return Err(Status::invalid_argument(format!("player {player} is not in this match")));
            }
        }
        let accepted = matches!(finished, Finished::Counted | Finished::Duplicate);
        Ok(Response::new(SubmitResultReply { accepted, duplicate: finished == Finished::Duplicate }))
    }

    async fn report_lost(
        &self,
        request: Request<ReportLostRequest>,
    ) -> Result<Response<ReportLostReply>, Status> {
        let report = request.into_inner();
        let id = report.match_id.parse().map_err(|_| Status::invalid_argument("match_id is not a UUID"))?;
        let changed = self.db.lose_match(id, UnixMs::now()).await.map_err(|error| failed(&error))?;
        if changed {
            let reason: String = report.reason.chars().take(REASON_CHARS_MAX).collect();
            tracing::warn!(%id, ?reason, "match given up by its server");
            metrics::counter!("matches_lost_total").increment(1);
            self.desk.players_freed();
        }
        Ok(Response::new(ReportLostReply { changed }))
    }
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
        "server": result.server, "started_unix_ms": result.started_unix_ms, "ended_unix_ms": result.ended_unix_ms,
        "players": result.players.iter().map(player).collect::<Vec<_>>(),
    })
    .to_string()
}
