//! One way to run SQL on either engine: the statements are the same text, only the connection differs.
//!
//! Owns pools, transactions, argument and column types. It must never know a table. The statements keep to
//! what SQLite and Postgres share: `$n` parameters, `ON CONFLICT`, `RETURNING`, 64-bit integers, doubles,
//! text and bytes.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Connection as _, Postgres, Row as _, Sqlite, Transaction};

use super::StoreError;
use super::wal_disk::WalDisk;

/// How long a caller waits for a free connection before it is told that the store is busy.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that read beside the one that writes; SQLite readers never wait for the writer in WAL mode.
const SQLITE_READERS: u32 = 4;

/// A database of either engine; cloning shares it.
#[derive(Clone)]
pub struct Db(Engine);

#[derive(Clone)]
pub(super) enum Engine {
    /// One connection writes, so that writers queue in order instead of colliding.
    Sqlite {
        write: SqlitePool,
        read: SqlitePool,
        disk: Arc<WalDisk>,
    },
    Postgres(PgPool),
}

/// A transaction: dropped without `commit`, it never happened.
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>, Arc<WalDisk>),
    Postgres(Transaction<'static, Postgres>),
}

/// A row, read by column number.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// An argument of a statement.
#[derive(Clone)]
pub(super) enum Value {
    Int(i64),
    MaybeInt(Option<i64>),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    /// A list: an array in Postgres, JSON text in SQLite.
    Ints(Vec<i64>),
    /// The same of text.
    Texts(Vec<String>),
}

impl Db {
    pub(super) async fn sqlite(file: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged write outlives even the machine: `WalDisk` syncs after the commit, once for all that have
            // committed meanwhile, where SQLite itself would sync once for each with nobody else writing.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(ACQUIRE_TIMEOUT)
            .foreign_keys(true);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let write = pool(1).connect_with(options.clone()).await?;
        let read = pool(SQLITE_READERS).connect_with(options).await?;
        let disk = Arc::new(WalDisk::beside(file));
        Ok(Self(Engine::Sqlite { write, read, disk }))
    }

    pub(super) async fn postgres(url: &str, connections_max: u32) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.application_name("tickwright-backend");
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await?;
        Ok(Self(Engine::Postgres(pool)))
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.0
    }

    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match &self.0 {
            // IMMEDIATE takes the write lock at once: a read that turns into a write cannot fail half-way.
            Engine::Sqlite { write, disk, .. } => {
                Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?, Arc::clone(disk))
            }
            Engine::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Rows of a statement that only reads.
    pub(super) async fn rows(&self, sql: &'static str, args: &[Value]) -> Result<Vec<Row>, StoreError> {
        Ok(match &self.0 {
            Engine::Sqlite { read, .. } => {
                sqlite(sql, args).fetch_all(read).await?.into_iter().map(Row::Sqlite).collect()
            }
            Engine::Postgres(pool) => {
                postgres(sql, args).fetch_all(pool).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The first row of a statement that only reads.
    pub(super) async fn row(&self, sql: &'static str, args: &[Value]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Runs one writing statement by itself; the number of rows that it changed.
    pub(super) async fn execute(&self, sql: &'static str, args: &[Value]) -> Result<u64, StoreError> {
        Ok(match &self.0 {
            Engine::Sqlite { write, disk, .. } => {
                let changed = sqlite(sql, args).execute(write).await?.rows_affected();
                disk.sync().await?;
                changed
            }
            Engine::Postgres(pool) => postgres(sql, args).execute(pool).await?.rows_affected(),
        })
    }

    /// Waits until whatever was committed before is on the disk, `commit_soon` included.
    pub(super) async fn settle(&self) -> Result<(), StoreError> {
        match &self.0 {
            Engine::Sqlite { disk, .. } => disk.sync().await,
            // A commit that was acknowledged is in the log; `commit_soon` is followed by one that waits.
            Engine::Postgres(_) => Ok(()),
        }
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.rows("SELECT 1", &[]).await.map(drop)
    }

    pub(super) async fn close(&self) {
        match &self.0 {
            Engine::Sqlite { write, read, .. } => {
                read.close().await;
                write.close().await;
            }
            Engine::Postgres(pool) => pool.close().await,
        }
    }
}

/// A Postgres connection of one's own, for who writes all the time: the pool tests each of its connections before and
/// after every statement, which are two more round trips. Made when it is first used.
pub(super) struct Line {
    options: Arc<PgConnectOptions>,
    held: Option<PgConnection>,
}

impl Line {
    /// To the same database; none with SQLite, whose writers share one connection anyway.
    pub(super) fn of(db: &Db) -> Option<Self> {
        match &db.0 {
            Engine::Sqlite { .. } => None,
            Engine::Postgres(pool) => Some(Self { options: pool.connect_options(), held: None }),
        }
    }

    /// Runs one statement. A connection that was lost is made anew, once; the statement may then run twice.
    pub(super) async fn rows(&mut self, sql: &'static str, args: &[Value]) -> Result<Vec<Row>, StoreError> {
        let again = self.held.is_some();
        match self.try_rows(sql, args).await {
            Err(_) if again && self.held.is_none() => self.try_rows(sql, args).await,
            done => done,
        }
    }

    async fn try_rows(&mut self, sql: &'static str, args: &[Value]) -> Result<Vec<Row>, StoreError> {
        // Taken out while it is in use: if the caller gives up, nobody meets it half-way through a statement.
        let mut connection = match self.held.take() {
            Some(connection) => connection,
            None => {
                let connecting = PgConnection::connect_with(&self.options);
                tokio::time::timeout(ACQUIRE_TIMEOUT, connecting).await.map_err(|_| StoreError::Busy)??
            }
        };
        let rows = postgres(sql, args).fetch_all(&mut connection).await;
        // What the database itself refuses leaves the connection as it was.
        if matches!(rows, Ok(_) | Err(sqlx::Error::Database(_))) {
            self.held = Some(connection);
        }
        Ok(rows?.into_iter().map(Row::Postgres).collect())
    }
}

impl Tx {
    pub(super) async fn rows(&mut self, sql: &'static str, args: &[Value]) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(tx, _) => {
                sqlite(sql, args).fetch_all(&mut **tx).await?.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(tx) => {
                postgres(sql, args).fetch_all(&mut **tx).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    pub(super) async fn row(&mut self, sql: &'static str, args: &[Value]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    pub(super) async fn execute(&mut self, sql: &'static str, args: &[Value]) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(tx, _) => sqlite(sql, args).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => postgres(sql, args).execute(&mut **tx).await?.rows_affected(),
        })
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx, disk) => {
                tx.commit().await?;
                disk.sync().await?;
            }
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// Commits for all to see, and for every crash of ours to survive; the disk has it with the next `commit`, `execute`
    /// or `settle`. A machine that fails before that has lost it, and nothing that came after.
    pub(super) async fn commit_soon(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx, _) => tx.commit().await?,
            Self::Postgres(mut tx) => {
                sqlx::query("SET LOCAL synchronous_commit = off").execute(&mut *tx).await?;
                tx.commit().await?;
            }
        }
        Ok(())
    }
}

macro_rules! columns {
    ($($(#[$doc:meta])* $name:ident: $type:ty)+) => {$(
        $(#[$doc])*
        pub(super) fn $name(&self, column: usize) -> Result<$type, StoreError> {
            Ok(match self {
                Self::Sqlite(row) => row.try_get(column)?,
                Self::Postgres(row) => row.try_get(column)?,
            })
        }
    )+};
}

impl Row {
    columns! {
        int: i64
        float: f64
        text: String
        text_or_null: Option<String>
        int_or_null: Option<i64>
        float_or_null: Option<f64>
        bytes: Vec<u8>
        bytes_or_null: Option<Vec<u8>>
    }
}

type SqliteQuery = sqlx::query::Query<'static, Sqlite, sqlx::sqlite::SqliteArguments>;
type PostgresQuery = sqlx::query::Query<'static, Postgres, sqlx::postgres::PgArguments>;

fn sqlite(sql: &'static str, args: &[Value]) -> SqliteQuery {
    args.iter().fold(sqlx::query(sql), |query, arg| match arg.clone() {
        Value::Int(value) => query.bind(value),
        Value::MaybeInt(value) => query.bind(value),
        Value::Float(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
        Value::Ints(values) => query.bind(serde_json::json!(values).to_string()),
        Value::Texts(values) => query.bind(serde_json::json!(values).to_string()),
    })
}

fn postgres(sql: &'static str, args: &[Value]) -> PostgresQuery {
    args.iter().fold(sqlx::query(sql), |query, arg| match arg.clone() {
        Value::Int(value) => query.bind(value),
        Value::MaybeInt(value) => query.bind(value),
        Value::Float(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
        Value::Ints(values) => query.bind(values),
        Value::Texts(values) => query.bind(values),
    })
}

macro_rules! from {
    ($($type:ty => |$value:ident| $made:expr;)+) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $made
            }
        }
    )+};
}

from! {
    i64 => |value| Self::Int(value);
    Option<i64> => |value| Self::MaybeInt(value);
    f64 => |value| Self::Float(value);
    &str => |value| Self::Text(value.to_owned());
    String => |value| Self::Text(value);
    &[u8] => |value| Self::Bytes(value.to_vec());
    Vec<i64> => |value| Self::Ints(value);
    Vec<String> => |value| Self::Texts(value);
    crate::ids::PlayerId => |value| Self::Int(value.as_i64());
    crate::ids::MatchId => |value| Self::Text(value.to_string());
    crate::ids::SessionId => |value| Self::Text(value.to_string());
    crate::crypto::SecretHash => |value| Self::Bytes(value.0.to_vec());
    crate::clock::UnixMs => |value| Self::Int(value.0);
}

/// The arguments of a statement, in order.
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::store::db::Value::from($value)),*] };
}
pub(super) use args;
