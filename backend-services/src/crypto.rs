//! Randomness, hashes and comparisons for secrets. It must never know what the secrets open.

use aws_lc_rs::{constant_time, digest, hmac, rand};
use data_encoding::BASE64URL_NOPAD;

/// SHA-256 of a secret: all that the stores ever see of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash(pub(crate) [u8; 32]);

impl SecretHash {
    /// Of a secret with at least 128 bits of entropy; no salt or stretching is needed for those.
    pub fn of(secret: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
        Self(hash)
    }
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

/// `N` bytes from the operating system.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

pub(crate) fn random_u64() -> u64 {
    u64::from_le_bytes(random_bytes())
}

/// 256 random bits as 43 characters of base64url.
pub(crate) fn random_token() -> String {
    BASE64URL_NOPAD.encode(&random_bytes::<32>())
}

/// 256 bits that only the holder of `key` and of `parent` can compute, as text.
pub(crate) fn derive_token(key: &[u8], purpose: &str, parent: &str) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(purpose.as_bytes());
    context.update(&[0]);
    context.update(parent.as_bytes());
    BASE64URL_NOPAD.encode(context.sign().as_ref())
}

/// Equality that takes as long whatever differs.
pub(crate) fn equal_secrets(one: &str, other: &str) -> bool {
    constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_tokens_depend_on_all_their_parts() {
        let token = derive_token(b"key", "refresh", "parent");
        assert_eq!(token, derive_token(b"key", "refresh", "parent"));
        for other in [
            derive_token(b"other", "refresh", "parent"),
            derive_token(b"key", "other", "parent"),
            derive_token(b"key", "refresh", "other"),
        ] {
            assert_ne!(token, other);
        }
        assert_eq!(token.len(), 43);
    }

    #[test]
    fn secrets_are_compared_whole() {
        assert!(equal_secrets("abc", "abc"));
        assert!(!equal_secrets("abc", "abd") && !equal_secrets("abc", "ab") && !equal_secrets("", "a"));
    }

    #[test]
    fn a_hash_does_not_print() {
        assert_eq!(format!("{:?}", SecretHash::of("secret")), "SecretHash(..)");
    }
}
