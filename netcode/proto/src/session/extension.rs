//! What two ends agree on beyond the standard: the offer, its acceptance, the keys that follow from it. Must never
//! know a socket address or a timer.
//!
//! The offer rides where a plain server looks at nothing: in the last four bytes of a client's keep-alive, which a
//! plain client leaves zero. The acceptance is a packet type of its own, sent to who offered and to nobody else:
//!
//! | bytes | field |
//! |---|---|
//! | 4 | connection id |
//! | 1 | cipher: 0 ChaCha20-Poly1305, 1 AES-256-GCM |
//! | 1 | flags: bit 0, probes of the path's MTU are answered; bit 1, packets are marked and marks told |
//! | 2 | zeros |
//! | 16 | salt |

use netcode_token::Key;
use netcode_token::aead::{Cipher, PacketKey};
use netcode_wire::{ByteReader, ByteWriter, WireError};

use super::Extensions;

/// What a client is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) aes_hardware: bool,
    /// Probes of the path's MTU are answered, and longer datagrams taken.
    pub(crate) path_mtu: bool,
    /// Packets are marked for congestion, and marks are told.
    pub(crate) ecn: bool,
}

impl Offer {
    /// What an end with these settings offers.
    pub(crate) const fn of(extensions: Extensions) -> Self {
        Self { aes_hardware: extensions.aes_hardware, path_mtu: extensions.path_mtu, ecn: extensions.ecn }
    }

    pub(crate) fn encode(self) -> u32 {
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        OFFER_MARK
            | bit(self.aes_hardware, OFFER_AES)
            | bit(self.path_mtu, OFFER_MTU)
            | bit(self.ecn, OFFER_ECN)
    }

    /// The offer in a keep-alive's text; `None` when it makes none. Bits that are not ours yet are a newer client's.
    pub(crate) fn decode(keep_alive: &[u8]) -> Option<Self> {
        let word = u32::from_le_bytes(*keep_alive.last_chunk()?);
        let has = |bit| word & bit != 0;
        let offer = Self { aes_hardware: has(OFFER_AES), path_mtu: has(OFFER_MTU), ecn: has(OFFER_ECN) };
        (word & OFFER_MASK == OFFER_MARK).then_some(offer)
    }
}

/// By what a server finds a session when it does not know the address: drawn, so that nobody can guess it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId(u32);

impl ConnectionId {
    pub(crate) const fn from_bytes(bytes: [u8; CONNECTION_ID_LEN]) -> Self {
        Self(u32::from_le_bytes(bytes))
    }

    pub(crate) const fn to_bytes(self) -> [u8; CONNECTION_ID_LEN] {
        self.0.to_le_bytes()
    }
}

/// What a server makes of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) id: ConnectionId,
    pub(crate) cipher: Cipher,
    /// Whether both ends answer probes of the path's MTU.
    pub(crate) path_mtu: bool,
    /// Whether both ends mark their packets and tell of marks.
    pub(crate) ecn: bool,
    /// Fresh for every session: no two sessions of one token ever seal under the same extended keys.
    pub(crate) salt: [u8; SALT_LEN],
}

impl Accept {
    pub(crate) fn encode(&self) -> [u8; ACCEPT_TEXT_LEN] {
        let mut text = [0; ACCEPT_TEXT_LEN];
        self.write(&mut text).expect("the text's length is the sum of its fields");
        text
    }

    fn write(&self, out: &mut [u8]) -> Result<(), WireError> {
        let mut writer = ByteWriter::new(out);
        writer.slice(&self.id.to_bytes())?;
        writer.u8(match self.cipher {
            Cipher::ChaCha20Poly1305 => 0,
            Cipher::Aes256Gcm => 1,
        })?;
        let mtu = if self.path_mtu { ACCEPT_MTU } else { 0 };
        let ecn = if self.ecn { ACCEPT_ECN } else { 0 };
        writer.slice(&[mtu | ecn, 0, 0])?;
        writer.slice(&self.salt)
    }

    /// Reads an acceptance; `None` when it names a cipher that we do not know.
    pub(crate) fn decode(text: &[u8]) -> Option<Self> {
        let mut input = ByteReader::new(text);
        let id = ConnectionId::from_bytes(input.array().ok()?);
        let cipher = match input.u8().ok()? {
            0 => Cipher::ChaCha20Poly1305,
            1 => Cipher::Aes256Gcm,
            _ => return None,
        };
        let [flags, _, _] = input.array::<3>().ok()?;
        let (path_mtu, ecn) = (flags & ACCEPT_MTU != 0, flags & ACCEPT_ECN != 0);
        Some(Self { id, cipher, path_mtu, ecn, salt: input.array().ok()? })
    }

    /// The extended key of the direction whose key in the token is `secret`. Whatever was sealed before was sealed
    /// under another key: sequences need not begin anew, nor could they meet if they did.
    pub(crate) fn key(&self, secret: &Key) -> PacketKey {
        let text = self.encode();
        PacketKey::with_cipher(&secret.derive(&[KEY_PURPOSE, &text]), self.cipher)
    }
}

/// Length of a connection id, bytes.
pub(crate) const CONNECTION_ID_LEN: usize = 4;
/// Length of an acceptance's text, bytes.
pub(crate) const ACCEPT_TEXT_LEN: usize = CONNECTION_ID_LEN + 4 + SALT_LEN;
const SALT_LEN: usize = 16;
const KEY_PURPOSE: &[u8] = b"tickwright extended session 1";
// "TW" in the upper half of a field that a plain client leaves zero, and bit 0 for the extended form itself.
const OFFER_MARK: u32 = 0x5457_0001;
const OFFER_MASK: u32 = 0xffff_0001;
const OFFER_AES: u32 = 2;
const OFFER_MTU: u32 = 4;
const OFFER_ECN: u32 = 8;
const ACCEPT_MTU: u8 = 1;
const ACCEPT_ECN: u8 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_keep_alive_offers_nothing() {
        const NONE: Offer = Offer { aes_hardware: false, path_mtu: false, ecn: false };
        let check = |text: [u8; 8], expected| assert_eq!(Offer::decode(&text), expected, "{text:?}");
        check([0; 8], None);
        check([7, 0, 0, 0, 64, 0, 0, 0], None);
        check([0xff; 8], None);
        check([0, 0, 0, 0, 0, 0, 0x57, 0x54], None);
        check([0, 0, 0, 0, 1, 0, 0x57, 0x54], Some(NONE));
        check([9, 9, 9, 9, 3, 0, 0x57, 0x54], Some(Offer { aes_hardware: true, ..NONE }));
        check([0, 0, 0, 0, 9, 0, 0x57, 0x54], Some(Offer { ecn: true, ..NONE }));
        check([0, 0, 0, 0, 0xf5, 0xff, 0x57, 0x54], Some(Offer { path_mtu: true, ..NONE }));
        assert_eq!(Offer::decode(&[]), None);
    }

    #[test]
    fn every_part_of_an_acceptance_makes_another_key() {
        let base = Accept {
            id: ConnectionId::from_bytes([9; 4]),
            cipher: Cipher::ChaCha20Poly1305,
            path_mtu: false,
            ecn: false,
            salt: [1; SALT_LEN],
        };
        let (secret, other) = (Key::from_bytes([1; 32]), Key::from_bytes([2; 32]));
        let tag = |accept: &Accept, secret| accept.key(secret).seal(0, b"", &mut [0; 8]);
        let mut salted = base;
        salted.salt[15] ^= 1;
        let moved = Accept { id: ConnectionId::from_bytes([8; 4]), ..base };
        let faster = Accept { cipher: Cipher::Aes256Gcm, ..base };
        let tags = [
            tag(&base, &secret),
            tag(&base, &other),
            tag(&salted, &secret),
            tag(&moved, &secret),
            tag(&faster, &secret),
            tag(&Accept { path_mtu: true, ..base }, &secret),
            tag(&Accept { ecn: true, ..base }, &secret),
            PacketKey::new(&secret).seal(0, b"", &mut [0; 8]),
        ];
        for (place, one) in tags.iter().enumerate() {
            assert!(tags[place + 1..].iter().all(|another| one != another), "{place}");
        }
    }

    proptest! {
        #[test]
        fn texts_survive_the_round_trip_and_random_ones_never_panic(
            (id, [aes, path_mtu, ecn], salt) in (any::<[u8; 4]>(), any::<[bool; 3]>(), any::<[u8; SALT_LEN]>()),
            bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let cipher = if aes { Cipher::Aes256Gcm } else { Cipher::ChaCha20Poly1305 };
            let accept = Accept { id: ConnectionId::from_bytes(id), cipher, path_mtu, ecn, salt };
            prop_assert_eq!(Accept::decode(&accept.encode()), Some(accept));
            prop_assert_eq!(accept.id.to_bytes(), id);
            let offer = Offer { aes_hardware: aes, path_mtu, ecn };
            prop_assert_eq!(Offer::decode(&offer.encode().to_le_bytes()), Some(offer));
            let read = Accept::decode(&bytes);
            prop_assert_eq!(read.is_some(), bytes.len() >= ACCEPT_TEXT_LEN && bytes[4] < 2);
            Offer::decode(&bytes);
        }
    }
}
