//! The folder that recordings are written to. Owns their names and how many are kept; must never know what is in one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Writes `bytes` as the newest recording of `folder`, which is made when missing; the oldest beyond
/// [`RECORDINGS_KEPT`] go. Servers of one machine may share it.
pub(crate) fn save(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{name}.{EXTENSION}"));
    // A reader never sees half of one.
    let draft = folder.join(format!("{name}.draft"));
    fs::write(&draft, bytes)?;
    fs::rename(&draft, &path)?;
    prune(folder);
    Ok(path)
}

/// Deliberate: what cannot be listed or removed stays; another server may have been faster.
fn prune(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut all: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == EXTENSION))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    all.sort_unstable();
    for (_, path) in all.iter().rev().skip(RECORDINGS_KEPT) {
        let _ = fs::remove_file(path);
    }
}

/// So many recordings stay in a folder.
const RECORDINGS_KEPT: usize = 64;
const EXTENSION: &str = "twrec";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_and_others_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        for number in 0..RECORDINGS_KEPT + 3 {
            save(folder.path(), &format!("match-{number:03}"), &[1]).unwrap();
        }
        let count = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(count, RECORDINGS_KEPT + 1);
        assert!(folder.path().join(format!("match-{:03}.{EXTENSION}", RECORDINGS_KEPT + 2)).exists());
    }
}
