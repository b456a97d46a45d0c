//! Fixed parts that several targets share: keys, addresses, tokens, sealing as an attacker with the right key
//! would do it. Written from STANDARD.md; must never use a parser's own encoder where it checks that parser.

use std::net::SocketAddr;

use netcode_proto::ServerConfig;
use netcode_token::aead::{Cipher, PacketKey};
use netcode_token::{KEY_LEN, Key, NONCE_LEN, PublicToken, Seat, TOKEN_LEN, TokenSpec, mint_with};

pub(super) const PROTOCOL: u64 = 0x5449_434b_5752_4947;
pub(super) const UNIX: u64 = 1_700_000_000;
/// Seconds of silence after which either side gives up.
pub(super) const TIMEOUT_S: i32 = 5;

pub(super) fn server_address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 4000))
}

/// Where the client with this number lives.
pub(super) fn client_address(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, 1], 5000 + number as u16))
}

pub(super) fn private_key() -> Key {
    Key::from_bytes([7; 32])
}

pub(super) fn server_config() -> ServerConfig {
    ServerConfig {
        challenge_key: Key::from_bytes([9; 32]),
        public_addresses: vec![server_address()],
        clients_max: 4,
        unix_at_zero_s: UNIX,
        seed: 1,
        ..ServerConfig::new(PROTOCOL, private_key())
    }
}

/// A token of `player`, the `number`-th ever made: sound, and the same in every run.
pub(super) fn token(player: u64, number: u16, unix_s: u64) -> Box<[u8; TOKEN_LEN]> {
    let spec = TokenSpec {
        protocol_id: PROTOCOL,
        create_unix_s: unix_s,
        expire_unix_s: unix_s + 30,
        timeout_s: TIMEOUT_S,
        client_id: player,
        servers: vec![server_address()],
        user_data: Seat { player, ..Seat::default() }.encode(),
    };
    let mut nonce = [0; NONCE_LEN];
    nonce[..2].copy_from_slice(&number.to_le_bytes());
    let key = |salt: u8| {
        let mut bytes = [salt; KEY_LEN];
        bytes[..2].copy_from_slice(&number.to_le_bytes());
        Key::from_bytes(bytes)
    };
    mint_with(&spec, &private_key(), &key(1), &key(2), &nonce).expect("a sound spec")
}

/// The two keys of a token, as an attacker who was given it has them: client to server, server to client.
pub(super) fn keys(token: &[u8]) -> [PacketKey; 2] {
    let token = PublicToken::decode(token).expect("our own token");
    [PacketKey::new(&token.client_to_server), PacketKey::new(&token.server_to_client)]
}

/// A sealed packet of any kind, sequence and text, whether or not the standard allows them. `id` stands after the
/// prefix in the extended form; `width` is how many bytes of the sequence are written.
pub(super) fn seal(key: &PacketKey, kind: u8, id: &[u8], sequence: u64, width: u8, text: &[u8]) -> Vec<u8> {
    let width = usize::from(width.clamp(1, 8));
    let prefix = kind & 0x0f | (width as u8) << 4;
    let written = &sequence.to_le_bytes()[..width];
    let mut nonce = [0; 8];
    nonce[..width].copy_from_slice(written);
    let mut text = text.to_vec();
    let associated = [b"NETCODE 1.02\0", &PROTOCOL.to_le_bytes()[..], &[prefix], id].concat();
    let tag = key.seal(u64::from_le_bytes(nonce), &associated, &mut text);
    [&[prefix], id, written, &text, &tag].concat()
}

/// A peer with true keys, of the token and of the extended form once its acceptance was seen: seals what it likes.
pub(super) struct Sealer {
    secrets: [Key; 2],
    plain: [PacketKey; 2],
    extended: Option<([PacketKey; 2], [u8; 4])>,
}

impl Sealer {
    pub(super) fn new(token: &[u8]) -> Self {
        let plain = keys(token);
        let token = PublicToken::decode(token).expect("our own token");
        Self { secrets: [token.client_to_server, token.server_to_client], plain, extended: None }
    }

    /// Learns the extended keys from a server's acceptance, and gives the text of any other packet from the server.
    pub(super) fn overhear(&mut self, datagram: &[u8]) -> Option<(u8, Vec<u8>)> {
        let prefix = *datagram.first()?;
        let width = usize::from(prefix >> 4);
        let mut sequence = [0; 8];
        sequence.get_mut(..width)?.copy_from_slice(datagram.get(1..=width)?);
        let mut sealed = datagram.get(1 + width..)?.to_vec();
        let associated = [b"NETCODE 1.02\0", &PROTOCOL.to_le_bytes()[..], &[prefix]].concat();
        let key = match (&self.extended, prefix & 8) {
            (Some((keys, _)), 8) => &keys[1],
            _ => &self.plain[1],
        };
        let text = key.open(u64::from_le_bytes(sequence), &associated, &mut sealed).ok()?.to_vec();
        if prefix & 0x0f == 7 {
            let cipher = if text[4] == 1 { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 };
            let key = |secret: &Key| {
                PacketKey::with_cipher(&secret.derive(&[b"tickwright extended session 1", &text]), cipher)
            };
            self.extended = Some((self.secrets.each_ref().map(key), [text[0], text[1], text[2], text[3]]));
        }
        Some((prefix & 0x0f, text))
    }

    /// A packet to the server (`to` 0) or to the client (1), of the form that its kind asks for.
    pub(super) fn seal(&self, to: usize, kind: u8, sequence: u64, width: u8, text: &[u8]) -> Vec<u8> {
        let (key, id) = match &self.extended {
            Some((keys, id)) if kind & 8 != 0 => (&keys[to], if to == 0 { &id[..] } else { &[] }),
            _ => (&self.plain[to], &[][..]),
        };
        seal(key, kind, id, sequence, width, text)
    }
}
