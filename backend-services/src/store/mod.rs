//! Where things last. Two engines behind the same functions: SQLite in a file (embedded, the default) and
//! Postgres with Redis (production). One suite, `tests/store_contract.rs`, holds for both.
//!
//! Stores hold no rules: what a write should be is decided elsewhere and handed in; what must hold under
//! races (one account a secret, one live match a player, one count a result) is held by keys and by updates
//! that name the state they expect. An acknowledged write survives the crash of any one process.

mod accounts;
mod board_memory;
mod board_mirror;
mod boards;
mod boards_review;
mod boards_season;
mod boards_sql;
mod boards_write;
mod careers;
mod db;
mod keys;
mod matches;
mod migrate;
mod parties;
mod ranking;
mod ranks;
mod ratings;
mod results;
mod sanctions;
mod seats;
mod states;
mod suspicions;
mod tickets;
mod wal_disk;

use std::path::Path;

pub use accounts::{Account, Family, NewAccount};
pub use board_memory::BoardMemory;
pub use board_mirror::{BoardMirror, FORGOTTEN_AFTER};
pub use boards::{BoardId, Change, EntryRow, Operator, SCORE_LIMIT, ScoreWrite, Standing};
pub use boards_review::HeldScore;
pub use boards_season::ClosedSeason;
pub use boards_write::{ScoreWriter, Written};
pub use careers::{Career, Fate, Progress};
pub use db::Db;
pub use keys::ServiceKey;
pub use matches::{LiveMatch, MatchState, OpenMatch};
pub use parties::{PartyRow, PartyWrite};
pub use ranking::Ranking;
pub use ranks::{RankCopy, Ranks};
pub use ratings::{OffsetRow, RatingRow};
pub use results::{Before, CountedMatch, Finished, FinishedMatch, Outcome, Reported};
pub use sanctions::{BanChange, BanRow, NewSanction, SanctionRow};
pub use seats::{JoinFault, MatchSeat, RunningMatch};
pub use states::StateRow;
pub use suspicions::SuspicionRow;

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A key that must be unique exists already.
    #[error("the key exists already")]
    Conflict,
    /// Every connection is in use: the caller should come back later.
    #[error("the store is busy")]
    Busy,
    /// The engine failed or cannot be reached.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
    /// The mirror failed or cannot be reached.
    #[error("redis failed: {0}")]
    Redis(#[from] redis::RedisError),
    /// The schema could not be brought up to date.
    #[error("the schema could not be migrated: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row holds what no version of this program writes.
    #[error("the store holds a malformed {0}")]
    Malformed(&'static str),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(inner) if inner.is_unique_violation() => Self::Conflict,
            sqlx::Error::PoolTimedOut => Self::Busy,
            _ => Self::Database(error),
        }
    }
}

/// The stores of one process.
#[derive(Clone)]
pub struct Stores {
    /// The truth.
    pub db: Db,
    /// The boards' ranks: a copy of the truth that answers fast.
    pub ranks: Ranks,
}

impl Stores {
    /// SQLite in `folder`, made if it is not there.
    ///
    /// # Errors
    /// The folder is not writable, or the file is not a database of ours.
    pub async fn embedded(folder: &Path) -> Result<Self, StoreError> {
        let db = Db::sqlite(&folder.join("backend.sqlite")).await?;
        migrate::up(&db).await?;
        let copy = RankCopy::Memory(BoardMemory::new(db.clone()));
        Ok(Self { ranks: Ranks::new(db.clone(), copy), db })
    }

    /// Postgres for the truth and Redis for the ranks.
    ///
    /// # Errors
    /// One of the two cannot be reached.
    pub async fn production(
        database_url: &str,
        redis_url: &str,
        connections_max: u32,
    ) -> Result<Self, StoreError> {
        let db = Db::postgres(database_url, connections_max).await?;
        migrate::up(&db).await?;
        let copy = RankCopy::Redis(BoardMirror::connect(redis_url, db.clone()).await?);
        Ok(Self { ranks: Ranks::new(db.clone(), copy), db })
    }

    /// Postgres without the ranks: for commands that only read the match log.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn log_of_postgres(database_url: &str) -> Result<Db, StoreError> {
        Db::postgres(database_url, 1).await
    }

    /// Whether every part answers.
    ///
    /// # Errors
    /// What does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db.ping().await?;
        self.ranks.ping().await
    }

    /// Takes the schema back to nothing. For tests and for an operator who means it.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn migrate_down(&self) -> Result<(), StoreError> {
        migrate::down(&self.db).await
    }

    /// Brings the schema up to date, as starting does.
    ///
    /// # Errors
    /// The engine failed, or a migration that was applied has been changed since.
    pub async fn migrate_up(&self) -> Result<(), StoreError> {
        migrate::up(&self.db).await
    }

    /// Waits for running statements and closes the connections.
    pub async fn close(&self) {
        if let Err(error) = self.ranks.forget_told().await {
            tracing::warn!(%error, "outbox not emptied; the ranks will be told again");
        }
        self.db.close().await;
    }
}
