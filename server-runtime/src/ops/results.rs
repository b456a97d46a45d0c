//! Handing results to the backend: tried again with back-off, within a bound, and said clearly when in vain.
//! Idempotent by match id, so trying again is always safe.

use std::sync::Arc;
use std::time::Duration;

use agones_sdk::Backoff;
use backend_proto::{AUTHORIZATION, MatchResult, MatchesClient, PlayerResult, ReportLostRequest};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::Board;
use crate::room::{MatchReport, Report};
use crate::spec::format_match_id;

/// How long a result is tried.
const TRY_WITHIN: Duration = Duration::from_secs(20);
/// Deadline of one call.
const CALL_WITHIN: Duration = Duration::from_secs(3);
/// Longest reason that is sent, bytes.
const REASON_BYTES_MAX: usize = 256;

/// Where results go.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) backend: Option<String>,
    pub(super) service_token: Option<String>,
    pub(super) server: String,
    pub(super) region: String,
}

/// Hands in one report; what became of it is noted on the board and in the log.
pub(super) async fn hand_in(to: Destination, report: Report, board: Arc<Board>) {
    let (match_id, outcome) = match report {
        // Open matches (id 0) are nobody's: no player waits for their result.
        Report::Closed => return,
        Report::Ended(report) if report.match_id == 0 => return,
        Report::Voided { match_id: 0, .. } => return,
        Report::Ended(report) => (report.match_id, submit(&to, &report, &board).await),
        Report::Voided { match_id, reason } => (match_id, report_lost(&to, match_id, &reason).await),
    };
    let match_id = format_match_id(match_id);
    match &outcome {
        Ok(word) => tracing::info!(match_id, "result {word}"),
        Err(why) => tracing::error!(match_id, why, "result NOT handed in"),
    }
    board.note_result(outcome.unwrap_or_else(|why| format!("unsent: {why}")));
}

async fn submit(to: &Destination, report: &MatchReport, board: &Board) -> Result<String, String> {
    let player = |player: &crate::room::PlayerReport| PlayerResult {
        player_id: player.player.0,
        score: player.line.score,
        kills: player.line.kills,
        deaths: player.line.deaths,
        placement: player.placement,
        seconds_played: player.seconds_played,
        quit: player.quit,
    };
    let result = MatchResult {
        match_id: format_match_id(report.match_id),
        server: to.server.clone(),
        started_unix_ms: board.unix_ms(report.started_us),
        ended_unix_ms: board.unix_ms(report.ended_us),
        players: report.players.iter().map(player).collect(),
        region: to.region.clone(),
    };
    let call = async |mut client: MatchesClient<Channel>| {
        let reply = client.submit_result(to.request(result.clone())?).await?.into_inner();
        Ok(match (reply.accepted, reply.duplicate) {
            (true, false) => "submitted",
            (true, true) => "duplicate",
            (false, _) => "refused",
        })
    };
    to.try_within(TRY_WITHIN, call).await.map(str::to_owned)
}

async fn report_lost(to: &Destination, match_id: u128, reason: &str) -> Result<String, String> {
    let cut = reason.floor_char_boundary(REASON_BYTES_MAX);
    let request = ReportLostRequest { match_id: format_match_id(match_id), reason: reason[..cut].to_owned() };
    let call = async |mut client: MatchesClient<Channel>| {
        client.report_lost(to.request(request.clone())?).await?;
        Ok("reported as lost")
    };
    to.try_within(TRY_WITHIN, call).await.map(str::to_owned)
}

impl Destination {
    fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        if let Some(token) = &self.service_token {
            let value = format!("Bearer {token}").parse();
            let value = value.map_err(|_| Status::invalid_argument("service token is not ASCII"))?;
            request.metadata_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// Calls until there is an answer, a refusal that trying again cannot change, or no time left.
    async fn try_within<T>(
        &self,
        within: Duration,
        call: impl AsyncFn(MatchesClient<Channel>) -> Result<T, Status>,
    ) -> Result<T, String> {
        let Some(url) = &self.backend else {
            return Err("no backend is configured (TICKWRIGHT_BACKEND)".into());
        };
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|_| format!("{url} is no endpoint"))?;
        let client = MatchesClient::new(endpoint.connect_timeout(CALL_WITHIN).connect_lazy());
        let (backoff, give_up_at) = (Backoff::default(), Instant::now() + within);
        let mut failures = 0;
        loop {
            let status = match timeout(CALL_WITHIN, call(client.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer in time"),
            };
            failures += 1;
            let pause = backoff.jittered(failures);
            if !is_worth_trying_again(status.code()) || Instant::now() + pause >= give_up_at {
                return Err(format!(
                    "{url} after {failures} tries: {} ({:?})",
                    status.message(),
                    status.code()
                ));
            }
            sleep(pause).await;
        }
    }
}

/// Whether the same call may fare better later.
fn is_worth_trying_again(code: Code) -> bool {
    !matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
    )
}
