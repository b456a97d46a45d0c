//! The private part of a connect token: what the backend tells the game server through the client's hands.
//!
//! Must never know who carries it. Sealed it is 1024 bytes; open it is
//!
//! | bytes | field |
//! |---|---|
//! | 8 | client id |
//! | 4 | timeout, seconds, signed |
//! | 4 + n | server addresses |
//! | 32 | key from client to server |
//! | 32 | key from server to client |
//! | 256 | user data |
//! | rest | zeros up to 1008, then the tag |

use std::net::SocketAddr;

use netcode_wire::{ByteReader, ByteWriter, WireError};

use crate::{Key, NONCE_LEN, PRIVATE_LEN, TokenError, TokenSpec, USER_DATA_LEN, VERSION, address, aead};

/// What a server reads from a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateToken {
    /// Who it admits.
    pub client_id: u64,
    /// Seconds of silence after which a side gives up; zero or less: never.
    pub timeout_s: i32,
    /// The servers it is valid on, 1 to 32.
    pub servers: Vec<SocketAddr>,
    /// Opens what the client seals.
    pub client_to_server: Key,
    /// Seals what the client opens.
    pub server_to_client: Key,
    /// What the backend wrote for the application.
    pub user_data: Box<[u8; USER_DATA_LEN]>,
}

/// Opens the private part in place and reads it.
///
/// # Errors
/// [`TokenError::Truncated`] when `sealed` is not [`PRIVATE_LEN`] bytes, [`TokenError::Forged`] when it was
/// not sealed with these very arguments, [`TokenError::Malformed`] when the backend wrote nonsense.
pub fn open_private(
    sealed: &mut [u8],
    nonce: &[u8; NONCE_LEN],
    protocol_id: u64,
    expire_unix_s: u64,
    key: &Key,
) -> Result<PrivateToken, TokenError> {
    if sealed.len() != PRIVATE_LEN {
        return Err(TokenError::Truncated);
    }
    let associated = associated(protocol_id, expire_unix_s);
    let text = aead::open_extended(key, nonce, &associated, sealed).map_err(|_| TokenError::Forged)?;
    let mut input = ByteReader::new(text);
    Ok(PrivateToken {
        client_id: input.u64()?,
        timeout_s: input.i32()?,
        servers: address::decode(&mut input)?,
        client_to_server: Key::from_bytes(input.array()?),
        server_to_client: Key::from_bytes(input.array()?),
        user_data: Box::new(input.array()?),
    })
}

/// Writes and seals the private part into `out`.
pub(crate) fn seal(
    out: &mut [u8; PRIVATE_LEN],
    spec: &TokenSpec,
    key: &Key,
    session: [&Key; 2],
    nonce: &[u8; NONCE_LEN],
) -> Result<(), WireError> {
    let (text, tag) = out.split_at_mut(PRIVATE_LEN - aead::TAG_LEN);
    let mut writer = ByteWriter::new(text);
    writer.u64(spec.client_id)?;
    writer.i32(spec.timeout_s)?;
    address::encode(&mut writer, &spec.servers)?;
    session.iter().try_for_each(|key| writer.slice(key.as_bytes()))?;
    writer.slice(&spec.user_data)?;
    writer.pad();
    let associated = associated(spec.protocol_id, spec.expire_unix_s);
    tag.copy_from_slice(&aead::seal_extended(key, nonce, &associated, text));
    Ok(())
}

/// Version, protocol id, expiry: what the seal binds besides the text.
fn associated(protocol_id: u64, expire_unix_s: u64) -> [u8; 29] {
    let mut bytes = [0; 29];
    bytes[..13].copy_from_slice(&VERSION);
    bytes[13..21].copy_from_slice(&protocol_id.to_le_bytes());
    bytes[21..].copy_from_slice(&expire_unix_s.to_le_bytes());
    bytes
}

// 32 IPv6 addresses of 19 bytes fit beside everything else.
const _: () = assert!(8 + 4 + 4 + 32 * 19 + 64 + USER_DATA_LEN + aead::TAG_LEN <= PRIVATE_LEN);
