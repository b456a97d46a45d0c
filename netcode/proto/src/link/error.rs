//! Why a link refuses: the programmer's message, or the peer's body.

use netcode_wire::WireError;

/// Why a message was not taken. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The channel holds all that it may until the peer acknowledges or the rate allows.
    #[error("channel is full")]
    ChannelFull,
    /// The message is longer than the channel set allows.
    #[error("message of {length} bytes exceeds the limit of {limit}")]
    MessageTooLong {
        /// The message's length in bytes.
        length: usize,
        /// The channel set's limit in bytes.
        limit: usize,
    },
    /// The channel set has no such channel.
    #[error("no channel {0}")]
    NoSuchChannel(u8),
}

/// What an authenticated peer did that no honest one does. The connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The body cannot be read.
    #[error("peer sent a malformed body: {0}")]
    Malformed(&'static str),
    /// The peer acknowledged a packet that was never sent to it.
    #[error("peer acknowledged packet {0}, which was never sent")]
    AckOfUnsent(u64),
    /// The peer told of more congestion marks, or of more erased ones, than packets were sent to it.
    #[error("peer told of {told} marks, but {sent} packets were sent")]
    MarksOfUnsent {
        /// What the peer has told so far.
        told: u64,
        /// Packets sent to it so far.
        sent: u64,
    },
    /// The peer used a channel that the set does not have.
    #[error("peer sent on channel {0}, which does not exist")]
    NoSuchChannel(u8),
    /// A message is longer than the channel set allows.
    #[error("peer sent a message of {0} bytes, over the limit")]
    MessageTooLong(usize),
    /// Two pieces of one message contradict each other.
    #[error("peer contradicted an earlier piece of the same message")]
    Contradiction,
    /// A reliable message lies farther ahead than any sender may go.
    #[error("peer ran ahead of the reliable window")]
    WindowExceeded,
    /// Messages held back for missing ones exceed what any sender may leave unacknowledged.
    #[error("peer exceeded the reassembly bound")]
    ReassemblyExceeded,
}

impl From<WireError> for LinkError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::UnexpectedEnd => Self::Malformed("ended early"),
            WireError::Malformed(what) => Self::Malformed(what),
            WireError::TooLong { length, .. } => Self::MessageTooLong(length),
        }
    }
}
