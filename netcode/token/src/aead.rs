//! Sealing and opening in place. Owns the ciphers; must never know what is inside or whose sequence it is.
//!
//! Packets: ChaCha20-Poly1305 (RFC 8439), or AES-256-GCM where both ends agreed on it (NIST SP 800-38D), 12-byte
//! nonce. Tokens: XChaCha20-Poly1305, 24-byte nonce
//! (draft-irtf-cfrg-xchacha-03): HChaCha20 turns key and the first 16 bytes into a subkey, the last 8 follow
//! four zero bytes as the nonce.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use crate::{Key, NONCE_LEN};

/// Length of the authentication tag that follows every sealed text, bytes.
pub const TAG_LEN: usize = 16;

/// What packets are sealed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// ChaCha20-Poly1305 (RFC 8439): the standard's, and the faster one without AES in hardware.
    ChaCha20Poly1305,
    /// AES-256-GCM (NIST SP 800-38D): a third of the cost, where the processor has AES and carry-less multiplication.
    Aes256Gcm,
}

/// Whether this processor has AES and carry-less multiplication: what [`Cipher::Aes256Gcm`] needs to be the
/// faster one, and to take the same time whatever the key.
#[must_use]
pub fn has_aes_hardware() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let found = std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let found = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let found = false;
    found
}

/// A key whose schedule was set up once: what a session seals and opens its packets with.
pub struct PacketKey(LessSafeKey);

/// The text was not sealed with this key, nonce and associated data. It holds no hint why, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed text is not authentic")]
pub struct Forgery;

impl PacketKey {
    /// Sets up the key schedule of the standard's cipher.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self::with_cipher(key, Cipher::ChaCha20Poly1305)
    }

    /// Sets up the key schedule of `cipher`. One key must never serve two ciphers: see [`Key::derive`].
    #[must_use]
    pub fn with_cipher(key: &Key, cipher: Cipher) -> Self {
        let algorithm = match cipher {
            Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Cipher::Aes256Gcm => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, key.as_bytes()).expect("both ciphers' keys are 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Encrypts `text` in place and gives the tag to write after it. A `sequence` must never seal two texts.
    ///
    /// `sequence` becomes the 12-byte nonce: four zero bytes, then the number, little-endian.
    #[must_use]
    pub fn seal(&self, sequence: u64, associated: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
        self.seal_with(nonce_of(sequence), associated, text)
    }

    /// Decrypts `sealed` (text, then tag) in place; the text is what comes back.
    ///
    /// # Errors
    /// [`Forgery`] when it is not authentic or shorter than a tag. `sealed` then holds nothing of meaning.
    pub fn open<'a>(
        &self,
        sequence: u64,
        associated: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], Forgery> {
        self.open_with(nonce_of(sequence), associated, sealed)
    }

    fn seal_with(&self, nonce: [u8; 12], associated: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(associated), text);
        let tag = tag.expect("a text is far shorter than the cipher's limit of 256 GiB");
        *tag.as_ref().first_chunk().expect("the cipher's tag is 16 bytes")
    }

    fn open_with<'a>(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], Forgery> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, Aad::from(associated), sealed).map_err(|_| Forgery)
    }
}

impl fmt::Debug for PacketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PacketKey(redacted)")
    }
}

/// Encrypts `text` in place with XChaCha20-Poly1305 and gives the tag to write after it.
#[must_use]
pub fn seal_extended(
    key: &Key,
    nonce: &[u8; NONCE_LEN],
    associated: &[u8],
    text: &mut [u8],
) -> [u8; TAG_LEN] {
    let (subkey, nonce) = extend(key, nonce);
    PacketKey::new(&subkey).seal_with(nonce, associated, text)
}

/// Decrypts `sealed` (text, then tag) in place with XChaCha20-Poly1305; the text is what comes back.
///
/// # Errors
/// [`Forgery`] when it is not authentic or shorter than a tag.
pub fn open_extended<'a>(
    key: &Key,
    nonce: &[u8; NONCE_LEN],
    associated: &[u8],
    sealed: &'a mut [u8],
) -> Result<&'a mut [u8], Forgery> {
    let (subkey, nonce) = extend(key, nonce);
    PacketKey::new(&subkey).open_with(nonce, associated, sealed)
}

fn nonce_of(sequence: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&sequence.to_le_bytes());
    nonce
}

/// Key and 24-byte nonce of XChaCha20 → key and 12-byte nonce of ChaCha20.
fn extend(key: &Key, nonce: &[u8; NONCE_LEN]) -> (Key, [u8; 12]) {
    let (head, tail) = nonce.split_first_chunk::<16>().expect("24 bytes begin with 16");
    let mut short = [0; 12];
    short[4..].copy_from_slice(tail);
    (hchacha20(key, head), short)
}

/// HChaCha20 (draft-irtf-cfrg-xchacha-03, §2.2): the ChaCha20 rounds without the final addition; the first
/// and last rows are the subkey.
fn hchacha20(key: &Key, nonce: &[u8; 16]) -> Key {
    let word = |bytes: &[u8], place: usize| {
        u32::from_le_bytes(*bytes[place * 4..].first_chunk().expect("the row has four words"))
    };
    let mut state: [u32; 16] = std::array::from_fn(|place| match place {
        0..4 => CONSTANTS[place],
        4..12 => word(key.as_bytes(), place - 4),
        _ => word(nonce, place - 12),
    });
    for _ in 0..10 {
        for column in 0..4 {
            quarter(&mut state, column, column + 4, column + 8, column + 12);
        }
        for column in 0..4 {
            quarter(&mut state, column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4);
        }
    }
    let mut subkey = [0; 32];
    let rows = state[..4].iter().chain(&state[12..]);
    for (out, value) in subkey.chunks_exact_mut(4).zip(rows) {
        out.copy_from_slice(&value.to_le_bytes());
    }
    Key::from_bytes(subkey)
}

/// The quarter round of RFC 8439, §2.1.
fn quarter(state: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (rotate_d, rotate_b) in [(16, 12), (8, 7)] {
        state[a] = state[a].wrapping_add(state[b]);
        state[d] = (state[d] ^ state[a]).rotate_left(rotate_d);
        state[c] = state[c].wrapping_add(state[d]);
        state[b] = (state[b] ^ state[c]).rotate_left(rotate_b);
    }
}

// "expand 32-byte k", RFC 8439 §2.3.
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::from_bytes(std::array::from_fn(|place| place as u8))
    }

    /// The vector of draft-irtf-cfrg-xchacha-03, §2.2.1.
    #[test]
    fn hchacha20_gives_the_drafts_subkey() {
        let nonce = [0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0, 0x31, 0x41, 0x59, 0x27];
        let expected = "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc";
        assert_eq!(hchacha20(&key(), &nonce).to_hex(), expected);
    }

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does() {
        for cipher in [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm] {
            what_is_sealed_opens(&PacketKey::with_cipher(&key(), cipher));
        }
    }

    fn what_is_sealed_opens(key: &PacketKey) {
        let mut sealed = b"a salute".to_vec();
        let tag = key.seal(7, b"context", &mut sealed);
        sealed.extend_from_slice(&tag);
        assert_eq!(key.open(7, b"context", &mut sealed.clone()).as_deref(), Ok(&b"a salute"[..]));
        assert_eq!(key.open(8, b"context", &mut sealed.clone()), Err(Forgery));
        assert_eq!(key.open(7, b"Context", &mut sealed.clone()), Err(Forgery));
        for place in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[place] ^= 1;
            assert_eq!(key.open(7, b"context", &mut flipped), Err(Forgery), "byte {place}");
        }
        for len in 0..sealed.len() {
            assert_eq!(key.open(7, b"context", &mut sealed[..len].to_vec()), Err(Forgery));
        }
    }

    /// Test case 13 of McGrew and Viega, *The Galois/Counter Mode of Operation*, appendix B: no text, key and nonce
    /// of zeros; and 14: one block of zeros.
    #[test]
    fn aes_gcm_is_the_papers() {
        let check = |text: &mut [u8], sealed: &str, tag: &str| {
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let key = PacketKey::with_cipher(&Key::from_bytes([0; 32]), Cipher::Aes256Gcm);
            assert_eq!(hex(&key.seal(0, b"", text)), tag);
            assert_eq!(hex(text), sealed);
        };
        check(&mut [], "", "530f8afbc74536b9a963b4f1c4cb738b");
        let sealed = "cea7403d4d606b6e074ec5d3baf39d18";
        check(&mut [0; 16], sealed, "d0d1c8a799996bf0265b98b5d48ab919");
    }

    #[test]
    fn the_ciphers_differ() {
        let seal = |cipher| PacketKey::with_cipher(&key(), cipher).seal(0, b"", &mut [0; 4]);
        assert_ne!(seal(Cipher::ChaCha20Poly1305), seal(Cipher::Aes256Gcm));
    }

    #[test]
    fn the_extended_cipher_uses_all_of_its_nonce() {
        let mut sealed = vec![1, 2, 3];
        let nonce = [9; NONCE_LEN];
        let tag = seal_extended(&key(), &nonce, b"", &mut sealed);
        sealed.extend_from_slice(&tag);
        assert_eq!(open_extended(&key(), &nonce, b"", &mut sealed.clone()).as_deref(), Ok(&[1, 2, 3][..]));
        for place in 0..NONCE_LEN {
            let mut other = nonce;
            other[place] ^= 0x80;
            assert_eq!(open_extended(&key(), &other, b"", &mut sealed.clone()), Err(Forgery));
        }
    }
}
