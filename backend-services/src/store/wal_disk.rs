//! When SQLite's commits are on the disk: one sync for everybody who committed before it began. Owns the log file's sync;
//! must never know a statement.
//!
//! With `synchronous = NORMAL` SQLite writes a commit to its log and does not wait for the disk; a log that is synced up to
//! some commit has every commit before it, whole, since each frame carries a checksum over all frames before (SQLite,
//! "WAL-mode File Format", 4.3). So waiting for one sync that began after the commit is as safe as
//! `synchronous = FULL`, which syncs once for each commit while nobody else can write.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::StoreError;

/// The write-ahead log beside a database file.
pub(super) struct WalDisk {
    path: PathBuf,
    /// Callers so far, each after its commit.
    called: AtomicU64,
    /// All callers up to this one are on the disk.
    synced: Mutex<u64>,
}

impl WalDisk {
    /// The log of this database.
    pub(super) fn beside(database: &Path) -> Self {
        let mut name = database.as_os_str().to_owned();
        name.push("-wal");
        Self { path: name.into(), called: AtomicU64::new(0), synced: Mutex::new(0) }
    }

    /// Returns once what the caller has committed is on the disk.
    pub(super) async fn sync(&self) -> Result<(), StoreError> {
        let own = self.called.fetch_add(1, Ordering::SeqCst) + 1;
        let mut synced = self.synced.lock().await;
        if *synced >= own {
            return Ok(());
        }
        let all = self.called.load(Ordering::SeqCst);
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || match File::open(path) {
            Ok(log) => log.sync_data(),
            // No log: everything is in the database, synced when it was moved there.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        });
        done.await
            .map_err(|_| StoreError::Malformed("sync"))?
            .map_err(|error| StoreError::Database(error.into()))?;
        *synced = all;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn one_sync_serves_all_who_waited_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Arc::new(WalDisk::beside(&folder.path().join("db")));
        disk.sync().await.expect("no log is no fault");
        std::fs::write(folder.path().join("db-wal"), b"x").expect("a file");
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let disk = Arc::clone(&disk);
            callers.spawn(async move { disk.sync().await });
        }
        while let Some(done) = callers.join_next().await {
            done.expect("no panic").expect("synced");
        }
        assert_eq!(*disk.synced.lock().await, 33);
        // What cannot be synced is not said to be.
        let broken = WalDisk::beside(&folder.path().join("db-wal/x"));
        broken.sync().await.expect_err("not a folder");
        assert_eq!(*broken.synced.lock().await, 0);
    }
}
