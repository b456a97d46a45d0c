//! The gRPC service for game servers: parse, call, render. Every call is idempotent by match id, and counts only as
//! the word of its match's own server: the service token says that a game server speaks, the signature which one. Wishes
//! for players (`backfill`) have no signature: the service token alone admits them.

use backend_proto::signature::{self, REFUSAL_CODE, SignatureFault};
use backend_proto::{
    AUTHORIZATION, CancelBackfillReply, CancelBackfillRequest, MatchResult, Matches, MatchesServer,
    ReportLostReply, ReportLostRequest, RequestBackfillReply, RequestBackfillRequest, SubmitResultReply,
    Withheld,
};
use tokio::sync::watch;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use super::backfill;
use super::effects::Judge;
use super::news::News;
use super::record;
use super::rules::{self, newcomer};
use crate::clock::UnixMs;
use crate::crypto::equal_secrets;
use crate::ids::MatchId;
use crate::matchmaking::Matchmaker;
use crate::matchmaking::backfill::BackfillFault;
use crate::store::{Before, Finished, HeldScore, Reported, StoreError, Stores};

/// A result may have so many bytes; 255 players need some 15 KiB.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// More of a reason is not logged.
const REASON_CHARS_MAX: usize = 256;

/// Takes results.
pub struct MatchService {
    stores: Stores,
    judge: Judge,
    matchmaker: Matchmaker,
    news: News,
    unsigned: Unsigned,
    draining: watch::Receiver<bool>,
}

/// What becomes of results without a signature, of matches that have a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// They do not count.
    Refused,
    /// They count: for as long as servers run that know no signatures.
    Taken,
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
    judge: Judge,
    matchmaker: Matchmaker,
    news: News,
    unsigned: Unsigned,
    guard: Guard,
    draining: watch::Receiver<bool>,
) -> InterceptedService<MatchesServer<MatchService>, Guard> {
    let service = MatchService { stores, judge, matchmaker, news, unsigned, draining };
    let server = MatchesServer::new(service);
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
        let result = self.vouched(request.into_inner()).await?;
        let checked = rules::check(&result).map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        self.judge.check(&checked, &result).map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        let (record, now) = (record::write(&result), UnixMs::now());
        let mut held = Vec::new();
        let outcome = |before: &Before| {
            let outcome = self.judge.outcome(&checked, &result, before);
            held.clone_from(&outcome.held);
            outcome
        };
        let db = &self.stores.db;
        let reported = Reported { id: checked.id, players: &checked.players, record: &record, now };
        let finished =
            db.finish_match(reported, newcomer(), outcome).await.map_err(|error| failed(&error))?;
        match finished.verdict {
            Finished::Counted => {
                tracing::info!(id = %checked.id, server = result.server, withheld = held.len(), "match result counted");
                metrics::counter!("matches_finished_total").increment(1);
                self.matchmaker.desk.players_freed();
                self.stores.ranks.tell(&finished.changes).await;
                // The ranks first: whoever is told asks them next.
                self.news.tell(checked.id).await;
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
        self.vouch_loss(id, &report).await?;
        let changed =
            self.stores.db.give_up_match(id, UnixMs::now()).await.map_err(|error| failed(&error))?;
        if changed {
            let reason: String = report.reason.chars().take(REASON_CHARS_MAX).collect();
            tracing::warn!(%id, ?reason, "match given up by its server");
            metrics::counter!("matches_lost_total").increment(1);
            self.matchmaker.desk.players_freed();
            self.news.tell(id).await;
        }
        Ok(Response::new(ReportLostReply { changed }))
    }

    async fn request_backfill(
        &self,
        request: Request<RequestBackfillRequest>,
    ) -> Result<Response<RequestBackfillReply>, Status> {
        let wish = backfill::wish(&request.into_inner())
            .map_err(|fault| Status::invalid_argument(fault.to_string()))?;
        let told = self.matchmaker.backfill(&wish, self.draining.clone()).await;
        let told = told.map_err(|fault| match fault {
            BackfillFault::Terms(fault) => Status::invalid_argument(fault.to_string()),
            BackfillFault::Store(error) => failed(&error),
        })?;
        Ok(Response::new(backfill::reply(told)))
    }

    async fn cancel_backfill(
        &self,
        request: Request<CancelBackfillRequest>,
    ) -> Result<Response<CancelBackfillReply>, Status> {
        let id: MatchId = request
            .into_inner()
            .match_id
            .parse()
            .map_err(|_| Status::invalid_argument("match_id is not a UUID"))?;
        let changed = self.matchmaker.cancel_backfill(id).await.map_err(|error| failed(&error))?;
        Ok(Response::new(CancelBackfillReply { changed }))
    }
}

impl MatchService {
    /// The result as its match's own server said it.
    async fn vouched(&self, result: MatchResult) -> Result<MatchResult, Status> {
        let id = result.match_id.parse();
        let id = id.map_err(|_| Status::invalid_argument(rules::ResultFault::MatchId.to_string()))?;
        let key = self.stores.db.result_key(id).await.map_err(|error| failed(&error))?;
        let Some(key) = key else { return Ok(result) };
        match signature::open(&key, &result) {
            Ok(said) => Ok(said),
            Err(SignatureFault::Missing) if self.unsigned == Unsigned::Taken => Ok(result),
            Err(fault) => Err(disbelieved(id, fault)),
        }
    }

    async fn vouch_loss(&self, id: MatchId, report: &ReportLostRequest) -> Result<(), Status> {
        let key = self.stores.db.result_key(id).await.map_err(|error| failed(&error))?;
        match key.map_or(Ok(()), |key| signature::check_lost(&key, report)) {
            Err(SignatureFault::Missing) if self.unsigned == Unsigned::Taken => Ok(()),
            checked => checked.map_err(|fault| disbelieved(id, fault)),
        }
    }
}

/// Without a signature the same result may count later, once the operator lets it; with a wrong one it never will.
fn disbelieved(id: MatchId, fault: SignatureFault) -> Status {
    tracing::warn!(%id, why = fault.code(), "a word on a match that is not its server's");
    metrics::counter!("matches_disbelieved_total", "why" => fault.code()).increment(1);
    let mut status = match fault {
        SignatureFault::Missing => Status::permission_denied(fault.to_string()),
        SignatureFault::Wrong => Status::invalid_argument(fault.to_string()),
    };
    status.metadata_mut().insert(REFUSAL_CODE, MetadataValue::from_static(fault.code()));
    status
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
