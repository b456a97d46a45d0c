//! The schema's versions, embedded in the binary: `migrations/ENGINE/NNNN_NAME.{up,down}.sql`.
//!
//! Each is applied once, in a transaction, with its checksum kept; Postgres holds an advisory lock, and for
//! SQLite the transaction's own lock serves. It must never know what the tables are for.

use std::borrow::Cow;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::StoreError;
use super::db::{Db, Engine};

/// One version for both engines.
struct Version {
    number: i64,
    name: &'static str,
    sqlite: (&'static str, &'static str),
    postgres: (&'static str, &'static str),
}

macro_rules! version {
    ($number:literal, $name:literal) => {
        Version {
            number: $number,
            name: $name,
            sqlite: version!(@files "sqlite", $name),
            postgres: version!(@files "postgres", $name),
        }
    };
    (@files $engine:literal, $name:literal) => {
        (
            include_str!(concat!("../../migrations/", $engine, "/", $name, ".up.sql")),
            include_str!(concat!("../../migrations/", $engine, "/", $name, ".down.sql")),
        )
    };
}

const VERSIONS: &[Version] = &[
    version!(1, "0001_base"),
    version!(2, "0002_boards"),
    version!(3, "0003_ratings"),
    version!(4, "0004_matchmaking"),
    version!(5, "0005_parties"),
    version!(6, "0006_results"),
    version!(7, "0007_progression"),
    version!(8, "0008_states"),
    version!(9, "0009_sanctions"),
    version!(10, "0010_suspicions"),
];

pub(super) async fn up(db: &Db) -> Result<(), StoreError> {
    match db.engine() {
        Engine::Sqlite { write, .. } => migrator(|v| v.sqlite).run(write).await?,
        Engine::Postgres(pool) => migrator(|v| v.postgres).run(pool).await?,
    }
    Ok(())
}

pub(super) async fn down(db: &Db) -> Result<(), StoreError> {
    match db.engine() {
        Engine::Sqlite { write, .. } => migrator(|v| v.sqlite).undo(write, 0).await?,
        Engine::Postgres(pool) => migrator(|v| v.postgres).undo(pool, 0).await?,
    }
    Ok(())
}

fn migrator(files: impl Fn(&Version) -> (&'static str, &'static str)) -> Migrator {
    let both = |version: &Version| {
        let (up, down) = files(version);
        let one = |kind, sql: &'static str| {
            Migration::new(version.number, Cow::Borrowed(version.name), kind, sql.into_sql_str(), false)
        };
        [one(MigrationType::ReversibleUp, up), one(MigrationType::ReversibleDown, down)]
    };
    let mut migrator = Migrator::with_migrations(VERSIONS.iter().flat_map(both).collect());
    // Deliberate: versions of the schema that this program does not know are let be. A new release's schema holds while
    // the one before still runs, is started again, or is gone back to; see docs/operations.md.
    migrator.set_ignore_missing(true);
    migrator
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn note(db: &Db, sql: &'static str) {
        let Engine::Sqlite { write, .. } = db.engine() else { panic!("SQLite was opened") };
        sqlx::query(sql).execute(write).await.expect("the migrations' own table is there");
    }

    #[tokio::test]
    async fn a_later_releases_schema_is_let_be_and_a_changed_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Db::sqlite(&folder.path().join("x.sqlite")).await.expect("opens");
        up(&db).await.expect("goes up");
        note(&db, "INSERT INTO _sqlx_migrations VALUES (9999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 0)")
            .await;
        up(&db).await.expect("the program of before starts on the schema of after");
        note(&db, "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1").await;
        assert!(matches!(up(&db).await, Err(StoreError::Migration(_))));
    }
}
