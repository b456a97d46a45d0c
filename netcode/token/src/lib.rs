//! Connect tokens and packet encryption of netcode 1.02: all that the backend and the game server share.
//!
//! Owns keys, the AEAD, the 2048-byte connect token and the seat written into its user data. Must never know
//! a socket, a session or a clock: times are arguments. The bytes are numbered in `netcode/STANDARD.md`.

mod address;
pub mod aead;
mod error;
mod key;
mod private;
mod public;
mod seat;

pub use error::TokenError;
pub use key::{KEY_LEN, Key};
pub use private::{PrivateToken, open_private};
pub use public::{PublicToken, TokenSpec, mint, mint_with};
pub use seat::{NAME_BYTES_MAX, Seat};

/// Length of a connect token, bytes.
pub const TOKEN_LEN: usize = 2048;
/// Length of the sealed private part inside a token, tag included, bytes.
pub const PRIVATE_LEN: usize = 1024;
/// Length of the nonce that seals the private part, bytes.
pub const NONCE_LEN: usize = 24;
/// Length of what the application may carry inside a token, bytes.
pub const USER_DATA_LEN: usize = 256;
/// Most servers that one token may name.
pub const SERVERS_MAX: usize = 32;
/// What every token and every packet's associated data begins with.
pub const VERSION: [u8; 13] = *b"NETCODE 1.02\0";
