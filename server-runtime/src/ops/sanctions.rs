//! Kicks and bans that operators decide, as they come: asks the backend and waits for its answer, again and again, and goes
//! on after the last one it knows, however often the backend is restarted. Must never know a session.

use std::sync::mpsc;
use std::time::Duration;

use agones_sdk::Backoff;
use backend_proto::SanctionsClient;
use backend_proto::players_v1::sanction::Kind;
use backend_proto::players_v1::{NewsReply, NewsRequest, Sanction};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::Command;
use super::results::{CALL_WITHIN, Destination};
use crate::player::PlayerId;

/// How long one question waits for news.
const WAIT_MS: u32 = 5000;

/// What an operator decided of a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Out of this match.
    Kick,
    /// Out of everything; until then, Unix milliseconds, or for ever.
    Ban { until_unix_ms: Option<i64> },
    /// May come again.
    Unban,
}

/// Passes on what is decided, for as long as this process lives.
pub(super) async fn follow(to: Destination, commands: mpsc::Sender<Command>) {
    let Some(channel) = to.channel() else { return };
    let client = SanctionsClient::new(channel);
    // Short: whoever is banned while the backend comes back is to be gone soon after.
    let backoff = Backoff { max: Duration::from_millis(500), ..Backoff::default() };
    let (mut after, mut failures) = (None, 0);
    loop {
        match ask(&to, client.clone(), after).await {
            Ok(reply) => {
                failures = 0;
                after = Some(reply.last);
                for (player, verdict) in reply.sanctions.iter().filter_map(read) {
                    tracing::info!(player = player.0, ?verdict, "an operator has decided");
                    if commands.send(Command::Sanction { player, verdict }).is_err() {
                        return;
                    }
                }
            }
            Err(status) if status.code() == Code::Unimplemented => {
                return tracing::warn!(
                    "the backend knows no sanctions: kicks and bans do not reach this server"
                );
            }
            Err(status) => {
                if failures == 0 {
                    tracing::warn!(why = status.message(), "kicks and bans are not heard right now");
                }
                failures += 1;
                sleep(backoff.jittered(failures)).await;
            }
        }
    }
}

async fn ask(
    to: &Destination,
    mut client: SanctionsClient<Channel>,
    after: Option<u64>,
) -> Result<NewsReply, Status> {
    let within = CALL_WITHIN + Duration::from_millis(WAIT_MS.into());
    let request = to.request(NewsRequest { after, wait_ms: WAIT_MS })?;
    let answer = timeout(within, client.news(request)).await;
    Ok(answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))?.into_inner())
}

fn read(sanction: &Sanction) -> Option<(PlayerId, Verdict)> {
    let until_unix_ms = (sanction.until_unix_ms != 0).then_some(sanction.until_unix_ms);
    let verdict = match sanction.kind() {
        Kind::Kick => Verdict::Kick,
        Kind::Ban => Verdict::Ban { until_unix_ms },
        Kind::Unban => Verdict::Unban,
        // Of a newer backend.
        Kind::Unknown => return None,
    };
    Some((PlayerId(sanction.player_id), verdict))
}
