//! What sessions of other libraries share: whatever those libraries leave to whoever drives them. Owns nothing that our
//! own sessions use; must never know which library asks.
//!
//! | file | owns |
//! |---|---|
//! | `door` | connect tokens: who may come in |
//! | `seats` | clients by id, player and address |
//! | `outgoing` | datagrams that wait to be polled |
//! | `order` | what makes an unreliable channel drop stale messages |

mod door;
mod order;
mod outgoing;
mod seats;

#[cfg(feature = "renet")]
pub(crate) use door::Mark;
#[cfg(feature = "laminar")]
pub(crate) use door::Visitor;
pub(crate) use door::{Claim, Door};
pub(crate) use order::Order;
pub(crate) use outgoing::Outgoing;
pub(crate) use seats::{Seat, Seats};

use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "laminar")]
use std::time::Duration;

use netcode_proto::SendError;
use netcode_proto::channels::{ChannelId, ChannelKind, ChannelSet};

/// What `channel` promises, if it takes a message of `length` bytes.
pub(crate) fn admit(
    channels: &ChannelSet,
    channel: ChannelId,
    length: usize,
) -> Result<ChannelKind, SendError> {
    let kind = channels.kind(channel).ok_or(SendError::NoSuchChannel(channel.0))?;
    let limit = channels.message_bytes_max;
    if length > limit {
        return Err(SendError::MessageTooLong { length, limit });
    }
    Ok(kind)
}

#[cfg(feature = "laminar")]
/// A token's timeout; `None` where it says never.
pub(crate) fn patience(timeout_s: i32) -> Option<Duration> {
    let seconds = u64::try_from(timeout_s).ok().filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs)
}

/// Runs another library's code on bytes of a peer's making; `None` when it panicked, which must cost that peer its
/// session and nobody else theirs. What `act` was changing must not be used again.
pub(crate) fn contained<R>(act: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(act)).ok()
}

/// How often a goodbye is said: nobody acknowledges it, so one of ten gets through.
pub(crate) const GOODBYES: usize = 10;
