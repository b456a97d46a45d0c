//! Why a token was refused or could not be made. Knows nothing of who asked.

use netcode_wire::WireError;

/// Why a token could not be minted, read or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token's bytes do not follow the standard.
    #[error("token is malformed: {0}")]
    Malformed(&'static str),
    /// The token's bytes end too early.
    #[error("token is cut short")]
    Truncated,
    /// The private part does not open with this key, protocol and expiry.
    #[error("token was not sealed with this key for this protocol and expiry")]
    Forged,
    /// The wish for a token breaks the standard.
    #[error("token cannot be minted: {0}")]
    Invalid(&'static str),
    /// The text is not the hexadecimal form of a 32-byte key.
    #[error("key is not 64 hexadecimal digits")]
    BadHex,
}

impl From<WireError> for TokenError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Malformed(what) => Self::Malformed(what),
            WireError::UnexpectedEnd | WireError::TooLong { .. } => Self::Truncated,
        }
    }
}
