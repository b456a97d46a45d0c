//! Handing results to the backend: tried again with back-off, within a bound, and said clearly when in vain.
//! Idempotent by match id, so trying again is always safe. With a spool a result is on disk before it is sent, and
//! stays there until the backend has answered: what this process cannot hand in, the next one on this machine does.

use std::sync::Arc;
use std::time::Duration;

use agones_sdk::Backoff;
use backend_proto::signature;
use backend_proto::{
    AUTHORIZATION, MatchResult, MatchesClient, PlayerResult, ReportLostRequest, SuspicionCount,
};
use operate::Secret;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::Board;
use super::signer::Signer;
use super::spool::{Kept, Spool};
use crate::room::{MatchReport, Report};
use crate::spec::format_match_id;
use crate::suspicion::Suspicion;

/// How long a result is tried.
pub(super) const TRY_WITHIN: Duration = Duration::from_secs(20);
/// Deadline of one call.
pub(super) const CALL_WITHIN: Duration = Duration::from_secs(3);
/// How often results that other processes left behind are looked for.
pub(super) const LEFT_BEHIND_EVERY: Duration = Duration::from_secs(5);
/// Longest reason that is sent, bytes.
const REASON_BYTES_MAX: usize = 256;

/// Where results go.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) backend: Option<String>,
    pub(super) service_token: Option<Secret>,
    pub(super) server: String,
    pub(super) region: String,
    pub(super) spool: Option<Spool>,
    pub(super) signer: Signer,
}

/// Why a call got no answer.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) why: String,
    /// No other answer is to be expected, however often it is tried.
    pub(super) for_good: bool,
}

/// Hands in one report; what became of it is noted on the board and in the log.
pub(super) async fn hand_in(to: Destination, report: Report, board: Arc<Board>) {
    let (match_id, outcome) = match report {
        // Open matches (id 0) are nobody's: no player waits for their result.
        Report::Closed | Report::Left(_) => return,
        Report::Ended(report) if report.match_id == 0 => return,
        Report::Voided { match_id: 0, .. } => return,
        Report::Ended(report) => (report.match_id, submit(&to, &report, &board).await),
        Report::Voided { match_id, reason } => (match_id, report_lost(&to, match_id, &reason).await),
    };
    to.signer.forget(match_id);
    let match_id = format_match_id(match_id);
    match &outcome {
        Ok(word) => tracing::info!(match_id, "result {word}"),
        Err(why) => tracing::error!(match_id, why, "result NOT handed in"),
    }
    board.note_result(outcome.unwrap_or_else(|why| format!("unsent: {why}")));
}

async fn submit(to: &Destination, report: &MatchReport, board: &Board) -> Result<String, String> {
    let result = message(to, report, board);
    // Signed before it is kept: who takes it over from the spool knows no key.
    let result = match to.signer.key_of(report.match_id) {
        Some(key) => signature::seal(&key, result),
        None => result,
    };
    let kept = to.spool.as_ref().map(|spool| spool.keep(result.clone())).transpose();
    let kept = kept.unwrap_or_else(|error| {
        tracing::error!(%error, "result not kept on disk; it is lost if the backend stays away");
        None
    });
    let handed_in = send(to, &result, TRY_WITHIN).await;
    let is_kept = kept.is_some();
    if let Some(kept) = kept {
        settle(kept, &handed_in);
    }
    handed_in.map(str::to_owned).map_err(|failed| match is_kept && !failed.for_good {
        true => format!("{}; kept in the spool", failed.why),
        false => failed.why,
    })
}

/// Hands in what others left behind, again and again, for as long as this process lives.
pub(super) async fn hand_in_left_behind(to: Destination) {
    let Some(spool) = to.spool.clone() else { return };
    loop {
        for kept in spool.take_over::<MatchResult>() {
            let handed_in = send(&to, &kept.message, CALL_WITHIN).await;
            let match_id = kept.message.match_id.clone();
            match &handed_in {
                Ok(word) => tracing::info!(match_id, "result from the spool {word}"),
                Err(failed) => {
                    tracing::warn!(match_id, why = failed.why, "result from the spool not handed in");
                }
            }
            let unreachable = matches!(&handed_in, Err(failed) if !failed.for_good);
            settle(kept, &handed_in);
            if unreachable {
                break;
            }
        }
        sleep(LEFT_BEHIND_EVERY).await;
    }
}

/// An answer ends a result's time in the spool; no answer does not.
fn settle(kept: Kept<MatchResult>, handed_in: &Result<&'static str, Failed>) {
    match handed_in {
        Ok(REFUSED) | Err(Failed { for_good: true, .. }) => kept.set_aside(),
        Ok(_) => kept.forget(),
        Err(_) => drop(kept),
    }
}

async fn send(to: &Destination, result: &MatchResult, within: Duration) -> Result<&'static str, Failed> {
    let call = async |mut client: MatchesClient<Channel>| {
        let reply = client.submit_result(to.request(result.clone())?).await?.into_inner();
        for withheld in &reply.withheld {
            let (board, player, reason) = (&withheld.board, withheld.player_id, &withheld.reason);
            tracing::warn!(board, player, reason, "score withheld for review");
        }
        Ok(match (reply.accepted, reply.duplicate) {
            (true, false) => "submitted",
            (true, true) => "duplicate",
            (false, _) => REFUSED,
        })
    };
    to.try_within(within, call).await
}

fn message(to: &Destination, report: &MatchReport, board: &Board) -> MatchResult {
    let player = |player: &crate::room::PlayerReport| PlayerResult {
        player_id: player.player.0,
        score: player.line.score,
        kills: player.line.kills,
        deaths: player.line.deaths,
        placement: player.placement,
        seconds_played: player.seconds_played,
        quit: player.quit,
        team: player.team.map(u32::from),
        party: player.party,
        suspicions: player.suspicions.iter().map(suspicion).collect(),
    };
    MatchResult {
        match_id: format_match_id(report.match_id),
        server: to.server.clone(),
        started_unix_ms: board.unix_ms(report.started_us),
        ended_unix_ms: board.unix_ms(report.ended_us),
        players: report.players.iter().map(player).collect(),
        region: to.region.clone(),
        ..MatchResult::default()
    }
}

fn suspicion((kind, count): (Suspicion, u64)) -> SuspicionCount {
    SuspicionCount { kind: kind.name().to_owned(), count }
}

async fn report_lost(to: &Destination, match_id: u128, reason: &str) -> Result<String, String> {
    let cut = reason.floor_char_boundary(REASON_BYTES_MAX);
    let request = ReportLostRequest {
        match_id: format_match_id(match_id),
        reason: reason[..cut].to_owned(),
        ..ReportLostRequest::default()
    };
    let request = match to.signer.key_of(match_id) {
        Some(key) => signature::seal_lost(&key, request),
        None => request,
    };
    let call = async |mut client: MatchesClient<Channel>| {
        client.report_lost(to.request(request.clone())?).await?;
        Ok("reported as lost")
    };
    to.try_within(TRY_WITHIN, call).await.map(str::to_owned).map_err(|failed| failed.why)
}

impl Destination {
    pub(super) fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        if let Some(token) = &self.service_token {
            let value = format!("Bearer {}", token.0).parse();
            let value = value.map_err(|_| Status::invalid_argument("service token is not ASCII"))?;
            request.metadata_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// Calls until there is an answer, a refusal that trying again cannot change, or no time left.
    pub(super) async fn try_within<T>(
        &self,
        within: Duration,
        call: impl AsyncFn(MatchesClient<Channel>) -> Result<T, Status>,
    ) -> Result<T, Failed> {
        let waits = |why: String| Failed { why, for_good: false };
        let Some(url) = &self.backend else {
            return Err(waits("no backend is configured (TICKWRIGHT_BACKEND)".into()));
        };
        let endpoint =
            Endpoint::from_shared(url.clone()).map_err(|_| waits(format!("{url} is no endpoint")))?;
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
            let worth = is_worth_trying_again(status.code());
            if !worth || Instant::now() + pause >= give_up_at {
                let (message, code) = (status.message(), status.code());
                let why = format!("{url} after {failures} tries: {message} ({code:?})");
                // A wrong token is a matter of configuration: the next process may have the right one.
                let misconfigured =
                    matches!(code, Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented);
                return Err(Failed { why, for_good: !worth && !misconfigured });
            }
            sleep(pause).await;
        }
    }
}

/// The backend knows the match and will not count it, or does not know it.
const REFUSED: &str = "refused";

/// Whether the same call may fare better later.
pub(super) fn is_worth_trying_again(code: Code) -> bool {
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
