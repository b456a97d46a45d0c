//! The gRPC service for game servers and operators: scores by name, and reviews. Parse, call, render.

use std::sync::Arc;

use backend_proto::boards_v1::{
    DecideReviewReply, DecideReviewRequest, Fate, ListReviewsReply, ListReviewsRequest, Review, Score,
    SubmitScoresReply, SubmitScoresRequest,
};
use backend_proto::{Boards as BoardsApi, BoardsServer};
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use super::rules::{Board, Boards};
use super::scribe::{self, Scribe, ScribeFault};
use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId};
use crate::matches::rpc::Guard;
use crate::store::{HeldScore, ScoreWrite, StoreError, Stores};

/// 255 scores need some 15 KiB.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Scores of one call.
const SCORES_MAX: usize = 255;
/// Reviews in one answer.
const REVIEWS_MAX: u32 = 100;

/// Takes scores and verdicts.
pub struct BoardService {
    stores: Stores,
    boards: Boards,
    scribe: Scribe,
}

/// The service behind its guard.
pub fn service(
    stores: Stores,
    boards: Boards,
    scribe: Scribe,
    guard: Guard,
) -> InterceptedService<BoardsServer<BoardService>, Guard> {
    let service = BoardsServer::new(BoardService { stores, boards, scribe });
    InterceptedService::new(service.max_decoding_message_size(MESSAGE_BYTES_MAX), guard)
}

/// What a score asks of the store.
enum Plan {
    /// The write of this number; its region's follows it.
    Write(usize),
    Hold,
    Refuse,
}

#[derive(Default)]
struct Plans {
    plans: Vec<Plan>,
    writes: Vec<ScoreWrite>,
    held: Vec<HeldScore>,
}

#[tonic::async_trait]
impl BoardsApi for BoardService {
    async fn submit_scores(
        &self,
        request: Request<SubmitScoresRequest>,
    ) -> Result<Response<SubmitScoresReply>, Status> {
        let now = UnixMs::now();
        let Plans { plans, writes, held } = self.plan(&request.into_inner(), now)?;
        if !held.is_empty() {
            self.stores.db.hold_scores(&held, now).await.map_err(|error| failed(&error))?;
        }
        let written = match writes.is_empty() {
            true => Vec::new(),
            false => self.scribe.write(writes).await.map_err(busy)?,
        };
        let fates = plans.iter().map(|plan| i32::from(fate(plan, &written))).collect();
        Ok(Response::new(SubmitScoresReply { fates }))
    }

    async fn list_reviews(
        &self,
        request: Request<ListReviewsRequest>,
    ) -> Result<Response<ListReviewsReply>, Status> {
        let limit = match request.into_inner().limit {
            0 => REVIEWS_MAX,
            limit if limit <= REVIEWS_MAX => limit,
            _ => return Err(Status::invalid_argument(format!("limit must be 0 to {REVIEWS_MAX}"))),
        };
        let held = self.stores.db.held_scores(limit.into()).await.map_err(|error| failed(&error))?;
        let review = |(held, at): (HeldScore, UnixMs)| {
            let board = self.boards.find(&held.write.board.name);
            Review {
                source: held.write.source.to_string(),
                board: held.write.board.name.to_string(),
                player_id: held.write.player.as_u64(),
                score: board.map_or(held.write.value, |board| board.shown(held.write.value)),
                reason: held.reason,
                at_unix_ms: at.0,
            }
        };
        Ok(Response::new(ListReviewsReply { reviews: held.into_iter().map(review).collect() }))
    }

    async fn decide_review(
        &self,
        request: Request<DecideReviewRequest>,
    ) -> Result<Response<DecideReviewReply>, Status> {
        let verdict = request.into_inner();
        let player = player(verdict.player_id)?;
        let decided = self
            .stores
            .db
            .decide_review(&verdict.source, &verdict.board, player, verdict.count)
            .await
            .map_err(|error| failed(&error))?;
        let Some(changes) = decided else {
            return Ok(Response::new(DecideReviewReply { decided: false }));
        };
        tracing::info!(
            board = verdict.board,
            player = verdict.player_id,
            counted = verdict.count,
            "score reviewed"
        );
        self.stores.ranks.tell(&changes).await;
        Ok(Response::new(DecideReviewReply { decided: true }))
    }
}

impl BoardService {
    fn plan(&self, request: &SubmitScoresRequest, now: UnixMs) -> Result<Plans, Status> {
        let source: MatchId =
            request.source_id.parse().map_err(|_| Status::invalid_argument("source_id is not a UUID"))?;
        let source: Arc<str> = source.to_string().into();
        if request.scores.is_empty() || request.scores.len() > SCORES_MAX {
            return Err(Status::invalid_argument(format!("a call has 1 to {SCORES_MAX} scores")));
        }
        let mut planned = Plans::default();
        for (index, score) in request.scores.iter().enumerate() {
            let (board, player) = (self.find(&score.board)?, player(score.player_id)?);
            let same = |other: &Score| other.board == score.board && other.player_id == score.player_id;
            if request.scores[..index].iter().any(same) {
                return Err(Status::invalid_argument(format!("{} has player {player} twice", score.board)));
            }
            let writes = board
                .writes(player, score.score, &request.region, &source, now)
                .map_err(|fault| Status::invalid_argument(fault.to_string()))?;
            planned.plans.push(match board.doubt(score.score, None) {
                _ if !board.is_open(now) => Plan::Refuse,
                Some(reason) => {
                    planned.held.extend(HeldScore::of(writes, reason));
                    Plan::Hold
                }
                None => {
                    let first = planned.writes.len();
                    planned.writes.extend(writes);
                    Plan::Write(first)
                }
            });
        }
        Ok(planned)
    }

    fn find(&self, name: &str) -> Result<&Board, Status> {
        self.boards.find(name).ok_or_else(|| Status::not_found(format!("there is no board {name:?}")))
    }
}

fn fate(plan: &Plan, written: &[scribe::Fate]) -> Fate {
    match plan {
        Plan::Hold => Fate::Withheld,
        Plan::Refuse => Fate::Refused,
        Plan::Write(index) => match written.get(*index) {
            Some(scribe::Fate::Counted) => Fate::Counted,
            Some(scribe::Fate::Duplicate) => Fate::Duplicate,
            Some(scribe::Fate::Refused) | None => Fate::Refused,
        },
    }
}

fn player(id: u64) -> Result<PlayerId, Status> {
    PlayerId::new(id).ok_or_else(|| Status::invalid_argument(format!("player_id {id} is not a player's")))
}

fn busy(fault: ScribeFault) -> Status {
    match fault {
        ScribeFault::Busy => Status::resource_exhausted(fault.to_string()),
        ScribeFault::Store => Status::unavailable(fault.to_string()),
    }
}

fn failed(error: &StoreError) -> Status {
    tracing::error!(%error, "store failed");
    Status::unavailable("the store cannot be reached; try again")
}
