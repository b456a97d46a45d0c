//! Why a snapshot could not be taken. Must never know what the client does about it.

use netcode_wire::{Tick, WireError};

use crate::NetId;

/// Why a snapshot was refused. The receiver is as it was before in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not newer than the newest one decoded: late or a duplicate. Nothing is wrong.
    #[error("snapshot {0} is not newer than the newest one decoded")]
    Stale(Tick),
    /// It builds on a frame that this receiver no longer holds, or never held.
    #[error("snapshot builds on frame {0}, which is not held")]
    UnknownBaseline(Tick),
    /// It changes an entity that its baseline does not have.
    #[error("snapshot changes entity {0}, which its baseline does not have")]
    UnknownEntity(NetId),
    /// It would show more entities than the receiver's limit.
    #[error("snapshot shows more than {0} entities")]
    TooManyEntities(usize),
    /// The bits themselves are wrong.
    #[error("snapshot is unreadable: {0}")]
    Wire(#[from] WireError),
}
