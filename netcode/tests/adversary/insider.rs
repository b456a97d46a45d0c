//! A player with a true token and no honour: shakes hands by hand, then seals whatever it likes. Written from
//! STANDARD.md; must never use our own client.

use std::net::SocketAddr;

use netcode_token::PublicToken;
use netcode_token::aead::PacketKey;

use super::parts::{self, PROTOCOL, client_address};

/// One dishonest player and its one session.
pub(crate) struct Insider {
    pub(crate) address: SocketAddr,
    request: Vec<u8>,
    /// To the server, from it.
    keys: [PacketKey; 2],
    pub(crate) sequence: u64,
    pub(crate) is_in: bool,
}

impl Insider {
    /// The `number`-th of them, with a token minted at `unix_s`.
    pub(crate) fn new(number: u16, unix_s: u64) -> Self {
        let token = parts::token(1_000_000 + u64::from(number), number, unix_s);
        Self {
            address: client_address(1000 + usize::from(number)),
            request: request(&token[..]),
            keys: parts::keys(&token[..]),
            sequence: 0,
            is_in: false,
        }
    }

    pub(crate) fn request(&self) -> Vec<u8> {
        self.request.clone()
    }

    /// What it says to a datagram from the server: the response to a challenge, else nothing.
    pub(crate) fn answer(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let prefix = *datagram.first()?;
        if prefix & 0x0f != 2 {
            self.is_in |= matches!(prefix & 0x0f, 4 | 5);
            return None;
        }
        let width = usize::from(prefix >> 4);
        let mut sequence = [0; 8];
        sequence[..width].copy_from_slice(datagram.get(1..=width)?);
        let mut sealed = datagram.get(1 + width..)?.to_vec();
        let associated = [b"NETCODE 1.02\0", &PROTOCOL.to_le_bytes()[..], &[prefix]].concat();
        let text = self.keys[1].open(u64::from_le_bytes(sequence), &associated, &mut sealed).ok()?.to_vec();
        Some(self.seal(3, &text))
    }

    /// A packet with the next sequence.
    pub(crate) fn seal(&mut self, kind: u8, text: &[u8]) -> Vec<u8> {
        self.sequence += 1;
        self.seal_as(kind, self.sequence, text)
    }

    /// A packet with any sequence, written as the standard writes it.
    pub(crate) fn seal_as(&self, kind: u8, sequence: u64, text: &[u8]) -> Vec<u8> {
        let width = (8 - sequence.leading_zeros() / 8).max(1) as u8;
        parts::seal(&self.keys[0], kind, &[], sequence, width, text)
    }
}

/// The request that a client sends with this token.
pub(crate) fn request(token: &[u8]) -> Vec<u8> {
    let token = PublicToken::decode(token).expect("a token");
    let numbers = [token.protocol_id.to_le_bytes(), token.expire_unix_s.to_le_bytes()].concat();
    [b"\0NETCODE 1.02\0", &numbers[..], &token.nonce, &token.private[..]].concat()
}
