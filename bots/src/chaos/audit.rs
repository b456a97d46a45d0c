//! What players were told, asked for again at the end by the accounts that they made at the start.

use std::time::{Duration, Instant};

use backend_services::api::OutcomeStatus;
use serde::Serialize;

use crate::{
    backend::{Backend, BackendError},
    witness::{Account, Witness},
};

/// How often matches that are still open are asked for.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Audit {
    /// Accounts that were made.
    pub(super) accounts: usize,
    /// Results that players were told.
    pub(super) results: usize,
    /// What is not as it was told.
    pub(super) lost: Vec<String>,
}

/// Logs every account in again and compares; open matches may take `within` to end.
pub(super) async fn audit(backend: &Backend, witness: &Witness, within: Duration) -> Audit {
    let accounts = witness.accounts();
    let mut audit = Audit { accounts: accounts.len(), ..Audit::default() };
    let give_up = Instant::now() + within;
    for (player, account) in &accounts {
        audit.results += account.told.len();
        match compare(backend, player, account, give_up).await {
            Ok(lost) => audit.lost.extend(lost),
            Err(error) => audit.lost.push(format!("player {player}: {error}")),
        }
    }
    audit
}

/// What is not as this player was told.
async fn compare(
    backend: &Backend,
    player: &str,
    account: &Account,
    give_up: Instant,
) -> Result<Vec<String>, BackendError> {
    let mut lost = Vec::new();
    let session = backend.login(&account.credentials).await?;
    if session.player_id != *player {
        lost.push(format!("player {player} is {} now", session.player_id));
    }
    let token = &session.access_token;
    for (match_id, told) in &account.told {
        let now = backend.outcome(token, match_id, Duration::ZERO).await?;
        if now.status != OutcomeStatus::Counted || now.result.as_ref() != Some(told) {
            lost.push(format!("player {player}: match {match_id} was told otherwise"));
        }
    }
    let progress = backend.progression(token).await?;
    let earned: u64 = account.told.values().map(|told| told.experience).sum();
    if progress.experience < earned || progress.matches < account.told.len() as u64 {
        lost.push(format!("player {player}: told of {earned} experience, has {}", progress.experience));
    }
    while let Some(open) = backend.running_match(token).await? {
        if Instant::now() >= give_up {
            lost.push(format!("player {player}: match {} never ends", open.match_id));
            break;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(lost)
}
