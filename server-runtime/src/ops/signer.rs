//! The key by which this server signs what it says of its match. Comes with the allocation, in an annotation of its
//! own; must never reach a room, a game, a log, a page or a file.

use std::sync::{Arc, Mutex, PoisonError};

use agones_sdk::GameServer;
use backend_proto::signature::{RESULT_KEY_ANNOTATION, ResultKey};

/// Holds the key of the match being played; cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Signer(Arc<Mutex<Option<(u128, ResultKey)>>>);

impl Signer {
    /// Takes the key that came with this match's allocation. Without one its result goes unsigned, as backends of
    /// before signatures take it.
    pub(super) fn learn(&self, match_id: u128, server: &GameServer) {
        let Some(text) = server.annotation(RESULT_KEY_ANNOTATION) else { return };
        match text.parse() {
            Ok(key) => *self.lock() = Some((match_id, key)),
            Err(error) => tracing::error!(%error, "the match's key cannot be read; its result goes unsigned"),
        }
    }

    /// The key of this match, if it is the one that is played and has one.
    pub(super) fn key_of(&self, match_id: u128) -> Option<ResultKey> {
        self.lock().as_ref().filter(|(id, _)| *id == match_id).map(|(_, key)| key.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(u128, ResultKey)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
