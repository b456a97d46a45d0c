//! What the backend has not acknowledged, as files: one a message, named by it. Owns the folder's layout; must never
//! know how a message is sent.
//!
//! | file | what it is |
//! |---|---|
//! | `NAME.result`, `NAME.state` | to be sent: the message's bytes, whole and on disk before the file's name exists |
//! | `NAME.refused` | the backend will never take it; kept for a human |
//! | `NAME.PID.part` | being written; left behind only by a crash, and never read |
//!
//! Servers of one machine may share the folder: who sends a file holds its lock, which ends with the process.
//! Sending twice is harmless, since every message counts once.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use backend_proto::MatchResult;
use backend_proto::players_v1::SaveRequest;

/// Files that one look at the folder takes in; the rest waits for the next.
const FILES_MAX: usize = 1000;
/// No message is larger; the backend takes no more either.
const BYTES_MAX: u64 = 64 * 1024;

/// A message that may wait in the folder.
pub(super) trait Spooled: prost::Message + Default + Clone {
    /// How its files' names end.
    const EXTENSION: &'static str;

    /// What its file is called, without the end: its own among all messages that may wait, and no path.
    fn stem(&self) -> String;
}

impl Spooled for MatchResult {
    const EXTENSION: &'static str = "result";

    fn stem(&self) -> String {
        // The id is ours: a UUID's text has no path in it.
        self.match_id.clone()
    }
}

impl Spooled for SaveRequest {
    const EXTENSION: &'static str = "state";

    fn stem(&self) -> String {
        // The name is checked where it is declared: it has no path in it.
        format!("{}-{}-{}-{}", self.player_id, self.name, self.fence, self.sequence)
    }
}

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Spool(PathBuf);

/// A message that is to be sent, held against other servers on this machine.
#[derive(Debug)]
pub(super) struct Kept<M> {
    pub(super) message: M,
    path: PathBuf,
    /// Holds the lock; nobody reads it.
    _lock: File,
}

impl Spool {
    /// In this folder, which is made, for its owner alone: whoever may write there may forge results.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        builder.recursive(true).create(folder)?;
        Ok(Self(folder.to_owned()))
    }

    /// Keeps a message until [`Kept::forget`] or [`Kept::set_aside`]. It is on disk when this returns.
    pub(super) fn keep<M: Spooled>(&self, message: M) -> io::Result<Kept<M>> {
        let stem = message.stem();
        let path = self.0.join(format!("{stem}.{}", M::EXTENSION));
        let part = self.0.join(format!("{stem}.{}.part", std::process::id()));
        let mut file = File::create(&part)?;
        file.lock()?;
        file.write_all(&message.encode_to_vec())?;
        file.sync_all()?;
        fs::rename(&part, &path)?;
        // The name itself is on disk once the folder is.
        File::open(&self.0)?.sync_all()?;
        Ok(Kept { message, path, _lock: file })
    }

    /// Messages of this type that nobody is sending.
    pub(super) fn take_over<M: Spooled>(&self) -> Vec<Kept<M>> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let ours = paths.filter(|path| path.extension().is_some_and(|extension| extension == M::EXTENSION));
        ours.take(FILES_MAX).filter_map(|path| take(&path)).collect()
    }
}

impl<M> Kept<M> {
    /// The backend has it.
    pub(super) fn forget(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "acknowledged, and not removed; it will be sent again");
        }
    }

    /// The backend will never take it.
    pub(super) fn set_aside(self) {
        if let Err(error) = fs::rename(&self.path, self.path.with_extension("refused")) {
            tracing::warn!(%error, path = %self.path.display(), "refused, and not set aside");
        }
    }
}

/// The message in this file, unless another process is at it or it is none.
fn take<M: Spooled>(path: &Path) -> Option<Kept<M>> {
    let file = File::open(path).ok()?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return None,
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, path = %path.display(), "not locked");
            return None;
        }
    }
    // Between our opening and locking it, whoever had it may have removed it.
    if !path.exists() {
        return None;
    }
    let mut bytes = Vec::new();
    let read = (&file).take(BYTES_MAX + 1).read_to_end(&mut bytes);
    let whole = read.is_ok_and(|length| length as u64 <= BYTES_MAX);
    let named = |message: &M| path.file_stem().is_some_and(|stem| *stem == *message.stem());
    match M::decode(&bytes[..]).ok().filter(|message| whole && named(message)) {
        Some(message) => Some(Kept { message, path: path.to_owned(), _lock: file }),
        None => {
            tracing::error!(path = %path.display(), "not what its name says; set aside");
            let _kept_either_way = fs::rename(path, path.with_extension("refused"));
            None
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where it fails")]
mod tests {
    use prost::Message as _;

    use super::*;

    fn result(match_id: &str) -> MatchResult {
        MatchResult { match_id: match_id.into(), server: "s".into(), ..MatchResult::default() }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_kept_outlives_its_keeper_and_what_is_forgotten_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("deep/spool")).unwrap();
        let kept = spool.keep(result("a")).unwrap();
        assert!(spool.take_over::<MatchResult>().is_empty(), "its keeper is at it");
        drop(kept);
        let taken = spool.take_over::<MatchResult>();
        assert_eq!(taken.iter().map(|kept| &kept.message).collect::<Vec<_>>(), [&result("a")]);
        assert!(spool.take_over::<MatchResult>().is_empty(), "one at a time");
        taken.into_iter().for_each(Kept::forget);
        assert!(spool.take_over::<MatchResult>().is_empty() && names(&spool.0).is_empty());
    }

    #[test]
    fn what_is_no_result_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        fs::write(folder.path().join("noise.result"), [0xff; 40]).unwrap();
        fs::write(folder.path().join("empty.result"), []).unwrap();
        fs::write(folder.path().join("other.result"), result("mine").encode_to_vec()).unwrap();
        fs::write(folder.path().join("large.result"), vec![0; 70_000]).unwrap();
        fs::write(folder.path().join("a.1.part"), [1, 2]).unwrap();
        assert!(spool.take_over::<MatchResult>().is_empty());
        spool.keep(result("refused")).unwrap().set_aside();
        let expected = [
            "a.1.part",
            "empty.refused",
            "large.refused",
            "noise.refused",
            "other.refused",
            "refused.refused",
        ];
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn messages_of_both_kinds_share_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let state = |sequence| {
            let name = "arena".to_owned();
            SaveRequest { player_id: 7, name, fence: 2, sequence, ..SaveRequest::default() }
        };
        drop(spool.keep(result("a")).unwrap());
        drop((spool.keep(state(1)).unwrap(), spool.keep(state(2)).unwrap()));
        assert_eq!(names(folder.path()), ["7-arena-2-1.state", "7-arena-2-2.state", "a.result"]);
        let mut taken = spool.take_over::<SaveRequest>();
        taken.sort_by_key(|kept| kept.message.sequence);
        assert_eq!(taken.into_iter().map(|kept| kept.message).collect::<Vec<_>>(), [state(1), state(2)]);
        assert_eq!(spool.take_over::<MatchResult>().len(), 1);
    }
}
