//! Owns: bringing the fleet to its size and keeping it there. Must never know: how a server lives.

use std::sync::Arc;
use std::time::Instant;

use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep_until;

use super::crash::CrashLoop;
use super::roll;
use super::roster::Roster;
use super::server::{self, End};
use crate::sidecar::SidecarError;

/// So many letters and digits make a server's name its own, as in Kubernetes.
const SUFFIX: usize = 5;

type Ended = Result<Result<End, SidecarError>, JoinError>;

/// Supervises until the fleet stops, and then until the last server is gone.
pub(super) async fn run(roster: Arc<Roster>) {
    let stopped = roster.stopped();
    tokio::pin!(stopped);
    let mut lives = JoinSet::new();
    let mut crashes = CrashLoop::default();
    loop {
        let wait = adjust(&roster, &mut lives, &crashes);
        let timer = async {
            match wait {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => {}
            () = roster.changed.notified() => {}
            Some(ended) = lives.join_next() => handle_end(ended, &mut crashes),
            () = &mut stopped => break,
        }
    }
    while let Some(ended) = lives.join_next().await {
        handle_end(ended, &mut crashes);
    }
}

/// Starts or retires servers towards the policy's number. Returns when to look again, if a crash loop holds it up.
fn adjust(
    roster: &Arc<Roster>,
    lives: &mut JoinSet<Result<End, SidecarError>>,
    crashes: &CrashLoop,
) -> Option<Instant> {
    roster.ask_at_change();
    let desired = roster.desired();
    let (newest, old) = roster.counts();
    let step = roll::step(desired, roster.config.rolling, newest, old);
    if step.retire + step.retire_old > 0 {
        roster.retire(step.retire, step.retire_old);
    }
    if step.start > 0
        && let Some(open_at) = crashes.open_at().filter(|at| *at > Instant::now())
    {
        return Some(open_at);
    }
    let generation = roster.generation();
    for _ in 0..step.start {
        roster.expect(&generation);
        lives.spawn(server::live(roster.clone(), new_name(roster), generation.clone()));
    }
    None
}

fn handle_end(ended: Ended, crashes: &mut CrashLoop) {
    match ended {
        Ok(Ok(End::Asked)) => {}
        Ok(Ok(End::Crashed { started, ready_for })) => {
            crashes.handle_crash(started, ready_for, Instant::now());
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "server was not created");
            let now = Instant::now();
            crashes.handle_crash(now, std::time::Duration::ZERO, now);
        }
        Err(error) => tracing::error!(%error, "server's task ended"),
    }
}

fn new_name(roster: &Roster) -> String {
    // As Kubernetes: no vowels and nothing that looks like one, so that no words appear.
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let suffix: String = (0..SUFFIX).map(|_| char::from(LETTERS[fastrand::usize(..LETTERS.len())])).collect();
    format!("{}-{suffix}", roster.config.name)
}
