//! The boards' ranks: in Redis where there is one, in this process otherwise. Either is a copy of what SQL
//! holds; while it is not whole, or fails, SQL itself is asked.
//!
//! Whoever has brought changes to disk tells the ranks of them ([`Ranks::tell`]). With Redis each change also left a
//! row in the outbox table, for the case that its process dies in between; rows that were told are deleted many at
//! once by the next [`Ranks::keep_up`].

use std::sync::{Arc, Mutex, PoisonError};

use super::StoreError;
use super::board_memory::BoardMemory;
use super::board_mirror::BoardMirror;
use super::boards::{BoardId, Change, EntryRow, Standing};
use super::db::Db;
use crate::clock::UnixMs;
use crate::ids::PlayerId;

/// Outbox rows that were told and are not deleted yet; more are left to whoever drains the outbox.
const TOLD_MAX: usize = 1 << 20;

/// Ranks; cloning shares them.
#[derive(Clone)]
pub struct Ranks {
    db: Db,
    copy: RankCopy,
    told: Arc<Mutex<Vec<i64>>>,
}

/// Where the copy lives.
#[derive(Clone)]
pub enum RankCopy {
    /// In this process.
    Memory(BoardMemory),
    /// In Redis.
    Redis(BoardMirror),
}

impl Ranks {
    pub(super) fn new(db: Db, copy: RankCopy) -> Self {
        Self { db, copy, told: Arc::default() }
    }

    /// The copy itself.
    pub fn copy(&self) -> &RankCopy {
        &self.copy
    }

    /// As `Db::board_page`.
    ///
    /// # Errors
    /// SQL was asked and failed.
    pub async fn page(
        &self,
        board: &BoardId,
        after: Option<Standing>,
        limit: u64,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let copied = match &self.copy {
            RankCopy::Memory(memory) => memory.page(board, after, limit),
            RankCopy::Redis(mirror) => usable(mirror.page(board, after, limit).await),
        };
        match copied {
            Some(rows) => Ok(rows),
            None => self.db.board_page(board, after, limit).await,
        }
    }

    /// As `Db::board_around`.
    ///
    /// # Errors
    /// SQL was asked and failed.
    pub async fn around(
        &self,
        board: &BoardId,
        of: PlayerId,
        radius: u64,
    ) -> Result<Option<Vec<EntryRow>>, StoreError> {
        let copied = match &self.copy {
            RankCopy::Memory(memory) => memory.around(board, of, radius),
            RankCopy::Redis(mirror) => usable(mirror.around(board, of, radius).await),
        };
        match copied {
            Some(rows) => Ok(rows),
            None => self.db.board_around(board, of, radius).await,
        }
    }

    /// As `Db::board_among`.
    ///
    /// # Errors
    /// SQL was asked and failed.
    pub async fn among(&self, board: &BoardId, players: &[PlayerId]) -> Result<Vec<EntryRow>, StoreError> {
        let copied = match &self.copy {
            RankCopy::Memory(memory) => memory.among(board, players),
            RankCopy::Redis(mirror) => usable(mirror.among(board, players).await),
        };
        match copied {
            Some(rows) => Ok(rows),
            None => self.db.board_among(board, players).await,
        }
    }

    /// Tells the copy of changes that are on disk. A copy that fails learns of them later, from the outbox.
    pub async fn tell(&self, changes: &[Change]) {
        match &self.copy {
            RankCopy::Memory(memory) => memory.apply(changes),
            RankCopy::Redis(mirror) => {
                if let Err(error) = mirror.apply(changes).await {
                    tracing::warn!(%error, "ranks not told of a change; the outbox keeps it");
                    return;
                }
            }
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let room = TOLD_MAX - told.len();
        told.extend(changes.iter().filter_map(|change| change.outbox).take(room));
    }

    /// Deletes the outbox rows that were told. Those that stay after a failure are told again, which changes nothing.
    ///
    /// # Errors
    /// SQL failed.
    pub async fn forget_told(&self) -> Result<(), StoreError> {
        let told = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        self.db.board_outbox_done(told).await
    }

    /// Forgets a closed season.
    ///
    /// # Errors
    /// Redis failed.
    pub async fn forget(&self, board: &BoardId) -> Result<(), StoreError> {
        match &self.copy {
            RankCopy::Memory(memory) => {
                memory.forget(board);
                Ok(())
            }
            RankCopy::Redis(mirror) => mirror.forget(board).await,
        }
    }

    /// Makes the copy whole if it is not, and brings over what was left behind: the first time everything, so that
    /// a process that starts knows all that is on disk; from then on what whoever wrote it did not live to tell.
    /// True if the copy had to be rebuilt.
    ///
    /// # Errors
    /// Either store failed.
    pub async fn keep_up(&self, now: UnixMs) -> Result<bool, StoreError> {
        self.forget_told().await?;
        match &self.copy {
            RankCopy::Memory(memory) => memory.heal().await,
            RankCopy::Redis(mirror) => {
                let healed = mirror.heal().await?;
                mirror.catch_up(now).await?;
                Ok(healed)
            }
        }
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        match &self.copy {
            RankCopy::Memory(_) => Ok(()),
            RankCopy::Redis(mirror) => mirror.ping().await,
        }
    }
}

/// What the copy said, unless it failed or is not whole.
fn usable<T>(answer: Result<Option<T>, StoreError>) -> Option<T> {
    let answer = answer.unwrap_or_else(|error| {
        tracing::warn!(%error, "board ranks failed; asking SQL");
        None
    });
    if answer.is_none() {
        metrics::counter!("board_mirror_misses_total").increment(1);
    }
    answer
}
