//! The challenge: a note that the server hands to a client and reads again in its response, so that the
//! address is proven. Must never know an address or a session.
//!
//! | bytes | field |
//! |---|---|
//! | 8 | client id |
//! | 256 | user data |
//! | 20 | zeros |
//! | 16 | tag |
//!
//! Sealed with the server's challenge key, the challenge's own sequence as nonce, the mark of the token that it was
//! written for as associated data. Deliberate: the standard has none there, so that whoever holds two tokens of one
//! client id may answer for an address that is not his with the challenge of one that is. Only the server reads a
//! challenge, so nobody else can tell the difference.

use netcode_token::aead::{PacketKey, TAG_LEN};
use netcode_token::{Key, USER_DATA_LEN};

/// A token's mark: the tag of its private part.
pub(crate) type TokenMark = [u8; TAG_LEN];

/// Length of a sealed challenge, bytes.
pub(crate) const SEALED_CHALLENGE_LEN: usize = 300;
const TEXT_LEN: usize = SEALED_CHALLENGE_LEN - TAG_LEN;

/// Seals and opens challenges, numbering them.
#[derive(Debug)]
pub(crate) struct Challenger {
    key: PacketKey,
    next: u64,
}

impl Challenger {
    pub(crate) fn new(key: &Key) -> Self {
        Self { key: PacketKey::new(key), next: 0 }
    }

    /// A fresh challenge: its sequence, then the sealed note.
    pub(crate) fn seal(
        &mut self,
        client_id: u64,
        user_data: &[u8; USER_DATA_LEN],
        mark: &TokenMark,
    ) -> [u8; 8 + SEALED_CHALLENGE_LEN] {
        let sequence = self.next;
        self.next += 1;
        let mut bytes = [0; 8 + SEALED_CHALLENGE_LEN];
        bytes[..8].copy_from_slice(&sequence.to_le_bytes());
        bytes[8..8 + TEXT_LEN].copy_from_slice(&text(client_id, user_data));
        let tag = self.key.seal(sequence, mark, &mut bytes[8..8 + TEXT_LEN]);
        bytes[8 + TEXT_LEN..].copy_from_slice(&tag);
        bytes
    }

    /// Whose challenge a response carries; `None` when we never wrote it for that token.
    pub(crate) fn open(&self, response: &mut [u8], mark: &TokenMark) -> Option<u64> {
        let (sequence, sealed) = response.split_first_chunk_mut::<8>()?;
        let text = self.key.open(u64::from_le_bytes(*sequence), mark, sealed).ok()?;
        text.first_chunk().map(|client_id| u64::from_le_bytes(*client_id))
    }
}

fn text(client_id: u64, user_data: &[u8; USER_DATA_LEN]) -> [u8; TEXT_LEN] {
    let mut text = [0; TEXT_LEN];
    text[..8].copy_from_slice(&client_id.to_le_bytes());
    text[8..8 + USER_DATA_LEN].copy_from_slice(user_data);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_challenge_is_ours() {
        let golden = include_str!("../../../token/tests/netcode-1.02-vectors.txt").lines();
        let hex = golden.filter_map(|line| line.strip_prefix("CHALLENGE 300 ")).next().unwrap();
        let ours = text(0x0102_0304_0506_0708, &std::array::from_fn(|place| place as u8 ^ 0x5a));
        let ours: String = ours.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex.len(), 600);
        assert_eq!(hex.strip_prefix(&ours), Some("00".repeat(TAG_LEN).as_str()));
    }

    #[test]
    fn only_our_own_challenges_open() {
        let mut challenger = Challenger::new(&Key::from_bytes([5; 32]));
        let first = challenger.seal(7, &[1; USER_DATA_LEN], &[3; 16]);
        let second = challenger.seal(7, &[1; USER_DATA_LEN], &[3; 16]);
        assert_ne!(first[8..], second[8..], "every challenge has its own nonce");
        assert_eq!(challenger.open(&mut first.clone(), &[3; 16]), Some(7));
        for place in [0, 7, 8, 100, 307] {
            let mut forged = first;
            forged[place] ^= 1;
            assert_eq!(challenger.open(&mut forged, &[3; 16]), None);
        }
        assert_eq!(Challenger::new(&Key::from_bytes([6; 32])).open(&mut first.clone(), &[3; 16]), None);
        assert_eq!(challenger.open(&mut [], &[3; 16]), None);
        assert_eq!(challenger.open(&mut first.clone(), &[4; 16]), None, "written for another token");
    }
}
