//! The connect token as the client carries it, and how the backend mints it. Must never know a session.
//!
//! | bytes | field |
//! |---|---|
//! | 13 | version, `NETCODE 1.02\0` |
//! | 8 | protocol id |
//! | 8 | created, unix seconds |
//! | 8 | expires, unix seconds |
//! | 24 | nonce of the private part |
//! | 1024 | private part, sealed |
//! | 4 | timeout, seconds, signed |
//! | 4 + n | server addresses |
//! | 32 | key from client to server |
//! | 32 | key from server to client |
//! | rest | zeros up to 2048 |

use std::net::SocketAddr;

use netcode_wire::{ByteReader, ByteWriter, WireError};

use crate::{
    Key, NONCE_LEN, PRIVATE_LEN, SERVERS_MAX, Seat, TOKEN_LEN, TokenError, USER_DATA_LEN, VERSION, address,
    key, private,
};

/// What a backend decides about a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSpec {
    /// The game and its version: both sides must agree.
    pub protocol_id: u64,
    /// When it was made, unix seconds.
    pub create_unix_s: u64,
    /// When it ends to admit anyone, unix seconds. Not before `create_unix_s`.
    pub expire_unix_s: u64,
    /// Seconds of silence after which a side gives up; zero or less: never.
    pub timeout_s: i32,
    /// Who it admits.
    pub client_id: u64,
    /// Where it admits them, in the order to try: 1 to 32.
    pub servers: Vec<SocketAddr>,
    /// What the server shall know of them; see [`crate::Seat`].
    pub user_data: [u8; USER_DATA_LEN],
}

impl TokenSpec {
    /// Admits `seat` to `server` from `unix_s` on, for a minute; five seconds of silence end the session. For tests, bots
    /// and servers without a backend: a backend says all of it itself.
    ///
    /// ```
    /// use netcode_token::{Key, Seat, TOKEN_LEN, TokenSpec, mint};
    ///
    /// let seat = Seat { match_id: 0, player: 7, team: 1, rating_milli: 0, name: "seven".into() };
    /// let spec = TokenSpec::for_seat(&seat, 77, "127.0.0.1:4000".parse()?, 1_000_000);
    /// assert_eq!(mint(&spec, &Key::generate())?.len(), TOKEN_LEN);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn for_seat(seat: &Seat, protocol_id: u64, server: SocketAddr, unix_s: u64) -> Self {
        Self {
            protocol_id,
            create_unix_s: unix_s,
            expire_unix_s: unix_s + 60,
            timeout_s: 5,
            client_id: seat.player,
            servers: vec![server],
            user_data: seat.encode(),
        }
    }
}

/// What a client reads from a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicToken {
    /// The game and its version.
    pub protocol_id: u64,
    /// When it was made, unix seconds.
    pub create_unix_s: u64,
    /// When it ends to admit anyone, unix seconds.
    pub expire_unix_s: u64,
    /// Nonce of the private part.
    pub nonce: [u8; NONCE_LEN],
    /// The private part, sealed: handed on to the server as it is.
    pub private: Box<[u8; PRIVATE_LEN]>,
    /// Seconds of silence after which a side gives up; zero or less: never.
    pub timeout_s: i32,
    /// The servers to try, in order, 1 to 32.
    pub servers: Vec<SocketAddr>,
    /// Seals what the client sends.
    pub client_to_server: Key,
    /// Opens what the server sends.
    pub server_to_client: Key,
}

/// Mints a token with fresh session keys and nonce from the operating system's randomness.
///
/// # Errors
/// [`TokenError::Invalid`] when the spec names no server or more than 32, or expires before it is made.
pub fn mint(spec: &TokenSpec, private_key: &Key) -> Result<Box<[u8; TOKEN_LEN]>, TokenError> {
    let mut nonce = [0; NONCE_LEN];
    key::fill_random(&mut nonce);
    mint_with(spec, private_key, &Key::generate(), &Key::generate(), &nonce)
}

/// [`mint`] with everything random as an argument: for tests and vectors. A nonce must not serve twice.
///
/// # Errors
/// As [`mint`].
pub fn mint_with(
    spec: &TokenSpec,
    private_key: &Key,
    client_to_server: &Key,
    server_to_client: &Key,
    nonce: &[u8; NONCE_LEN],
) -> Result<Box<[u8; TOKEN_LEN]>, TokenError> {
    if !(1..=SERVERS_MAX).contains(&spec.servers.len()) {
        return Err(TokenError::Invalid("a token names 1 to 32 servers"));
    }
    if spec.expire_unix_s < spec.create_unix_s {
        return Err(TokenError::Invalid("it expires before it is made"));
    }
    let session = [client_to_server, server_to_client];
    let mut sealed = [0; PRIVATE_LEN];
    private::seal(&mut sealed, spec, private_key, session, nonce)?;
    let mut token = Box::new([0; TOKEN_LEN]);
    encode(&mut token, spec, &sealed, session, nonce)?;
    Ok(token)
}

impl PublicToken {
    /// Reads a token: the client's half of it.
    ///
    /// # Errors
    /// [`TokenError::Truncated`] when it is not [`TOKEN_LEN`] bytes, [`TokenError::Malformed`] when it is not
    /// a netcode 1.02 token.
    pub fn decode(token: &[u8]) -> Result<Self, TokenError> {
        if token.len() != TOKEN_LEN {
            return Err(TokenError::Truncated);
        }
        let mut input = ByteReader::new(token);
        if input.array()? != VERSION {
            return Err(TokenError::Malformed("version"));
        }
        let token = Self {
            protocol_id: input.u64()?,
            create_unix_s: input.u64()?,
            expire_unix_s: input.u64()?,
            nonce: input.array()?,
            private: Box::new(input.array()?),
            timeout_s: input.i32()?,
            servers: address::decode(&mut input)?,
            client_to_server: Key::from_bytes(input.array()?),
            server_to_client: Key::from_bytes(input.array()?),
        };
        if token.create_unix_s > token.expire_unix_s {
            return Err(TokenError::Malformed("it expires before it was made"));
        }
        Ok(token)
    }
}

fn encode(
    out: &mut [u8; TOKEN_LEN],
    spec: &TokenSpec,
    sealed: &[u8; PRIVATE_LEN],
    session: [&Key; 2],
    nonce: &[u8; NONCE_LEN],
) -> Result<(), WireError> {
    let mut writer = ByteWriter::new(out);
    writer.slice(&VERSION)?;
    writer.u64(spec.protocol_id)?;
    writer.u64(spec.create_unix_s)?;
    writer.u64(spec.expire_unix_s)?;
    writer.slice(nonce)?;
    writer.slice(sealed)?;
    writer.i32(spec.timeout_s)?;
    address::encode(&mut writer, &spec.servers)?;
    session.iter().try_for_each(|key| writer.slice(key.as_bytes()))
}
