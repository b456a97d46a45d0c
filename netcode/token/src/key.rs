//! A 32-byte secret. Owns how it is made, compared and shown; must never know what it seals.

use std::fmt;

use aws_lc_rs::{constant_time, hkdf, rand};

use crate::TokenError;

/// Length of every key in netcode 1.02, bytes.
pub const KEY_LEN: usize = 32;

/// A 32-byte secret. It compares in constant time and never shows itself in logs.
#[derive(Clone)]
pub struct Key([u8; KEY_LEN]);

impl Key {
    /// A fresh key from the operating system's randomness.
    ///
    /// # Panics
    /// When the operating system gives no randomness: nothing that follows could be secret.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = [0; KEY_LEN];
        fill_random(&mut bytes);
        Self(bytes)
    }

    /// The key with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits of either case; white space around them is ignored.
    ///
    /// # Errors
    /// [`TokenError::BadHex`] for anything else.
    pub fn from_hex(text: &str) -> Result<Self, TokenError> {
        let digits = text.trim().as_bytes();
        if digits.len() != KEY_LEN * 2 {
            return Err(TokenError::BadHex);
        }
        let mut bytes = [0; KEY_LEN];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }

    /// The key as 64 lower-case hexadecimal digits: for configuration, never for logs.
    #[must_use]
    pub fn to_hex(&self) -> String {
        use fmt::Write;
        self.0.iter().fold(String::with_capacity(KEY_LEN * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Another key for another purpose: HKDF-SHA-256 (RFC 5869) with this key as secret, no salt, and `purpose` as
    /// info, its parts one after the other. Who knows the derived key learns nothing of this one, nor of those
    /// with another purpose.
    #[must_use]
    pub fn derive(&self, purpose: &[&[u8]]) -> Self {
        let secret = hkdf::Salt::none(hkdf::HKDF_SHA256).extract(&self.0);
        let mut bytes = [0; KEY_LEN];
        let output = secret.expand(purpose, hkdf::HKDF_SHA256).and_then(|output| output.fill(&mut bytes));
        output.expect("one block of output is within HKDF's limit of 255");
        Self(bytes)
    }

    /// The secret itself.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// Fills `bytes` from the operating system's randomness.
pub(crate) fn fill_random(bytes: &mut [u8]) {
    rand::fill(bytes).expect("the operating system provides randomness");
}

fn nibble(digit: u8) -> Result<u8, TokenError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(TokenError::BadHex),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_survives_the_round_trip() {
        let key = Key::generate();
        assert_eq!(Key::from_hex(&key.to_hex()), Ok(key.clone()));
        assert_eq!(Key::from_hex(&format!(" {}\n", key.to_hex().to_uppercase())), Ok(key));
        for wrong in ["", "00", &"g".repeat(64), &"0".repeat(63), &"é".repeat(32)] {
            assert_eq!(Key::from_hex(wrong), Err(TokenError::BadHex), "{wrong}");
        }
    }

    /// Computed with Python's `hmac`: extract = HMAC(0^32, key), expand = HMAC(extract, info ‖ 1), RFC 5869 §2.
    #[test]
    fn derived_keys_are_hkdf_and_depend_on_key_and_purpose() {
        let key = Key::from_bytes([7; KEY_LEN]);
        let derived = key.derive(&[b"one ", b"purpose"]);
        assert_eq!(derived.to_hex(), "87ed0aa939da1933f87acd5201f237aa16cf2518ac029e04d1fd3878d2e6cc58");
        assert_eq!(key.derive(&[b"one purpose"]), derived);
        assert_ne!(key.derive(&[b"another"]), derived);
        assert_ne!(Key::from_bytes([8; KEY_LEN]).derive(&[b"one purpose"]), derived);
        assert_ne!(derived, key);
    }

    #[test]
    fn keys_differ_and_hide() {
        assert_ne!(Key::generate(), Key::generate());
        assert_eq!(format!("{:?}", Key::from_bytes([7; KEY_LEN])), "Key(redacted)");
    }
}
