//! Keeps sanctions and wakes whoever waits for them: on this node at once, on others when they next look at the store, five
//! times a second while somebody waits there. Owns the waiting; must never know who is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::rules::Kind;
use crate::beats::Beats;
use crate::clock::UnixMs;
use crate::ids::PlayerId;
use crate::store::{BanChange, Db, NewSanction, SanctionRow, StoreError};

/// How often a node looks for what others have decided.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Sanctions in one answer.
const NEWS_MAX: i64 = 256;
/// A server that begins is told the bans since then: longer than any connect token of before lives.
const RECENT: Duration = Duration::from_secs(600);

/// The hub; cloning shares it.
#[derive(Clone)]
pub struct Hub {
    db: Db,
    last: Arc<watch::Sender<u64>>,
}

impl Hub {
    /// Over this database.
    pub fn new(db: Db) -> Self {
        Self { db, last: Arc::new(watch::Sender::new(0)) }
    }

    /// Keeps a sanction and tells of it; its number. `None`: there is no such player.
    ///
    /// # Errors
    /// The store failed; nothing was changed.
    pub async fn decide(
        &self,
        player: PlayerId,
        kind: Kind,
        reason: &str,
        actor: &str,
    ) -> Result<Option<u64>, StoreError> {
        let change = match kind {
            Kind::Kick => BanChange::Keep,
            Kind::Ban(until) => BanChange::Set(until),
            Kind::Unban => BanChange::Lift,
        };
        let now = UnixMs::now();
        let new = NewSanction { player, kind: kind.name(), change, reason, actor, now };
        let Some(number) = self.db.sanction(&new).await? else { return Ok(None) };
        tracing::info!(target: "audit", number, %player, ?kind, reason, actor, "sanction");
        metrics::counter!("sanctions_total", "kind" => kind.name()).increment(1);
        self.note(number);
        Ok(Some(number))
    }

    /// What was decided after `after`, and the number to ask with next time; waits up to `patience` for it. Without `after`:
    /// at once, what still matters to a server that begins.
    ///
    /// # Errors
    /// The store failed.
    pub async fn news(
        &self,
        after: Option<u64>,
        patience: Duration,
        mut drain: watch::Receiver<bool>,
    ) -> Result<(Vec<SanctionRow>, u64), StoreError> {
        let Some(after) = after else {
            let (last, now) = (self.db.last_sanction().await?, UnixMs::now());
            let since = UnixMs(now.0 - i64::try_from(RECENT.as_millis()).expect("minutes"));
            let mut recent = self.db.sanctions_since(since, last, NEWS_MAX).await?;
            // Who was kicked then may be here now, and rightly.
            recent.retain(|row| row.kind != Kind::Kick.name());
            return Ok((recent, last));
        };
        let end = tokio::time::Instant::now() + patience;
        // Before the look, so that what is decided meanwhile is not slept through.
        let mut bell = self.last.subscribe();
        loop {
            let rows = self.db.sanctions_after(after, NEWS_MAX).await?;
            if let Some(last) = rows.last().map(|row| row.number) {
                return Ok((rows, last));
            }
            let rung = bell.wait_for(|last| *last > after);
            tokio::select! {
                _ = rung => {}
                _ = drain.wait_for(|draining| *draining) => return Ok((Vec::new(), after)),
                () = tokio::time::sleep_until(end) => return Ok((Vec::new(), after)),
            }
        }
    }

    /// Looks for what other nodes have decided, until `drain` turns true.
    pub async fn follow(self, drain: watch::Receiver<bool>) {
        let mut beats = Beats::every(LOOK_EVERY, drain);
        while beats.next().await {
            if self.last.receiver_count() == 0 {
                continue;
            }
            match self.db.last_sanction().await {
                Ok(last) => self.note(last),
                Err(error) => tracing::warn!(%error, "sanctions of other nodes not looked for"),
            }
        }
    }

    fn note(&self, number: u64) {
        self.last.send_if_modified(|last| {
            let news = number > *last;
            *last = number.max(*last);
            news
        });
    }
}
