//! What our client and our server say to each other beside the columns: one file a message. Owns their bytes;
//! must never know a channel's reliability, a session or an ECS.
//!
//! | message | way | file |
//! |---|---|---|
//! | [`SnapshotHeader`], before the columns | server → client, state channel | `snapshot.rs` |
//! | [`InputPacket`] | client → server, state channel | `input.rs` |
//! | [`Control`] | server → client, control channel | `control.rs` |
//! | [`ClientWord`]: [`Telemetry`], or a wish | client → server, control channel | `client_word.rs`, `telemetry.rs` |
//! | game messages, framed by [`MessageSet`] | both, game channels | `message_set.rs` |

mod client_word;
mod control;
mod input;
mod message_set;
mod snapshot;
mod telemetry;

pub use client_word::ClientWord;
pub use control::Control;
pub use input::{Ack, Fate, INPUTS_MAX, InputPacket, Partial, ViewTime};
pub use message_set::{MessageError, MessageSet, MessageSetBuilder};
pub use snapshot::SnapshotHeader;
pub use telemetry::Telemetry;
