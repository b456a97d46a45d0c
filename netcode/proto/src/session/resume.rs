//! The resumption request: how a client that lost everything but its token comes back to its session. Must never know
//! a session's state.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | 8 |
//! | 1077 | as in a request |
//! | 32 | fresh: drawn by the client, another one at every start |
//! | 4 | offer, sealed |
//! | 16 | tag |
//!
//! The client cannot know which sequences it used before it crashed. So it never seals with the token's keys again: all
//! its keys are derived from them and `fresh`, and count from zero. The server's salt makes them fresh on its side too:
//! a request that is played back leads to keys that nobody ever used.

use netcode_token::Key;
use netcode_token::aead::{PacketKey, TAG_LEN};

use super::extension::Offer;
use super::packet::{REQUEST_BYTES, Request};
use super::peer::SessionKeys;

/// A resumption request as it came.
#[derive(Debug)]
pub(crate) struct Resume<'a> {
    pub(crate) request: Request<'a>,
    pub(crate) fresh: Key,
    proof: &'a mut [u8],
}

impl<'a> Resume<'a> {
    /// Whether a datagram claims to be one; everything else is checked by `decode`.
    pub(crate) fn is_claimed(datagram: &[u8]) -> bool {
        datagram.first() == Some(&RESUME_PREFIX)
    }

    /// Reads a resumption request of this version and protocol.
    pub(crate) fn decode(datagram: &'a mut [u8], protocol_id: u64) -> Option<Self> {
        if datagram.len() != RESUME_LEN {
            return None;
        }
        let (request, rest) = datagram.split_at_mut(REQUEST_BYTES);
        let (fresh, proof) = rest.split_first_chunk_mut::<FRESH_LEN>()?;
        let request = Request::decode(request, protocol_id)?;
        Some(Self { request, fresh: Key::from_bytes(*fresh), proof })
    }

    /// Writes one: `request` is the token's, `client_to_server` its key.
    pub(crate) fn encode(
        request: &[u8; REQUEST_BYTES],
        client_to_server: &Key,
        fresh: &Key,
        offer: Offer,
    ) -> Box<[u8]> {
        let mut bytes = Vec::with_capacity(RESUME_LEN);
        bytes.push(RESUME_PREFIX);
        bytes.extend_from_slice(&request[1..]);
        bytes.extend_from_slice(fresh.as_bytes());
        let mut text = offer.encode().to_le_bytes();
        let tag = proof_key(client_to_server, fresh).seal(0, &[], &mut text);
        bytes.extend_from_slice(&text);
        bytes.extend_from_slice(&tag);
        bytes.into_boxed_slice()
    }

    /// What the sender offers, if it has the token's key: who copied a request off the wire has not.
    pub(crate) fn offer(&mut self, client_to_server: &Key) -> Option<Offer> {
        let text = proof_key(client_to_server, &self.fresh).open(0, &[], self.proof).ok()?;
        Offer::decode(text)
    }
}

/// The keys that stand in for the token's in a resumed session.
pub(crate) fn resumed_keys(keys: &SessionKeys, fresh: &Key) -> SessionKeys {
    let derive = |key: &Key| key.derive(&[RESUMED_PURPOSE, fresh.as_bytes()]);
    SessionKeys { seal: derive(&keys.seal), open: derive(&keys.open) }
}

/// Seals one text, the proof: every `fresh` makes another key.
fn proof_key(client_to_server: &Key, fresh: &Key) -> PacketKey {
    PacketKey::new(&client_to_server.derive(&[PROOF_PURPOSE, fresh.as_bytes()]))
}

const RESUME_PREFIX: u8 = 8;
const FRESH_LEN: usize = 32;
const PROOF_PURPOSE: &[u8] = b"tickwright resume proof 1";
const RESUMED_PURPOSE: &[u8] = b"tickwright resumed session 1";
/// Length of a resumption request, bytes.
pub(crate) const RESUME_LEN: usize = REQUEST_BYTES + FRESH_LEN + 4 + TAG_LEN;

const _: () = assert!(RESUME_LEN <= super::DATAGRAM_BYTES_BASE);

#[cfg(test)]
mod tests {
    use netcode_token::{NONCE_LEN, PRIVATE_LEN};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_proof_takes_the_tokens_key_and_covers_the_fresh_part() {
        let (key, fresh) = (Key::from_bytes([1; 32]), Key::from_bytes([2; 32]));
        let request = Request::encode(7, 9, &[3; NONCE_LEN], &[4; PRIVATE_LEN]);
        let bytes =
            Resume::encode(&request, &key, &fresh, Offer { aes_hardware: true, path_mtu: true, ecn: true });
        assert_eq!((bytes.len(), Resume::is_claimed(&bytes)), (1130, true));
        let offer = |bytes: &[u8], key: &Key| {
            let mut bytes = bytes.to_vec();
            Resume::decode(&mut bytes, 7).expect("well formed").offer(key)
        };
        assert_eq!(offer(&bytes, &key), Some(Offer { aes_hardware: true, path_mtu: true, ecn: true }));
        assert_eq!(offer(&bytes, &Key::from_bytes([5; 32])), None);
        for place in REQUEST_BYTES..RESUME_LEN {
            let mut bent = bytes.to_vec();
            bent[place] ^= 1;
            assert_eq!(offer(&bent, &key), None, "byte {place}");
        }
        assert!(Resume::decode(&mut bytes.to_vec(), 8).is_none());
        assert!(Resume::decode(&mut bytes[..RESUME_LEN - 1].to_vec(), 7).is_none());
    }

    #[test]
    fn every_fresh_part_makes_other_keys() {
        let keys = SessionKeys { seal: Key::from_bytes([1; 32]), open: Key::from_bytes([2; 32]) };
        let first = resumed_keys(&keys, &Key::from_bytes([3; 32]));
        let second = resumed_keys(&keys, &Key::from_bytes([4; 32]));
        let all = [&keys.seal, &keys.open, &first.seal, &first.open, &second.seal, &second.open];
        for (place, one) in all.iter().enumerate() {
            assert!(all[place + 1..].iter().all(|other| one != other), "{place}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), RESUME_LEN - 2..RESUME_LEN + 3), protocol in any::<u64>()) {
            prop_assert!(Resume::decode(&mut bytes, protocol).is_none());
        }
    }
}
