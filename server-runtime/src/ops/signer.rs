//! The keys by which this server signs what it says of its matches. Comes with the allocation, in an annotation of its
//! own; must never reach a room, a game, a log, a page or a file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use agones_sdk::GameServer;
use backend_proto::signature::ResultKey;

/// Holds the keys of the matches being played; cloning shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct Signer(Arc<Mutex<BTreeMap<u128, ResultKey>>>);

impl Signer {
    /// Takes the key that came with this match's allocation. Without one its result goes unsigned, as backends of
    /// before signatures take it.
    /// `annotation`: where the key is.
    pub(super) fn learn(&self, match_id: u128, server: &GameServer, annotation: &str) {
        let Some(text) = server.annotation(annotation) else { return };
        match text.parse() {
            Ok(key) => drop(self.lock().insert(match_id, key)),
            Err(error) => tracing::error!(%error, "the match's key cannot be read; its result goes unsigned"),
        }
    }

    /// The key of this match, if it is played here and has one.
    pub(super) fn key_of(&self, match_id: u128) -> Option<ResultKey> {
        self.lock().get(&match_id).cloned()
    }

    /// There is nothing more to be said of this match.
    pub(super) fn forget(&self, match_id: u128) {
        self.lock().remove(&match_id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u128, ResultKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
