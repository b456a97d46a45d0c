//! A keyed hash for tables whose keys strangers choose: nobody who lacks the key can make them collide.
//!
//! SipHash-1-3 (Aumasson and Bernstein, *SipHash: a fast short-input PRF*, 2012; 1 round a word and 3 at the end,
//! as Rust's own maps use). Ours, because the standard one draws its key from the operating system, and equal
//! runs need equal keys. Must never know what it hashes.

use std::hash::{BuildHasher, Hasher};

use netcode_token::Key;

/// Makes hashers under one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyedHash([u64; 2]);

impl KeyedHash {
    /// A key drawn from a secret and a seed: unpredictable by the one, repeatable by both.
    pub(crate) fn new(secret: &Key, seed: u64) -> Self {
        let word = |place: usize| {
            u64::from_le_bytes(*secret.as_bytes()[place * 8..].first_chunk().expect("a key has four words"))
        };
        let draw = |low: usize, high: usize| {
            let mut hasher = SipHasher::new([word(low), word(high)]);
            hasher.write_u64(seed);
            hasher.finish()
        };
        Self([draw(0, 1), draw(2, 3)])
    }

    /// The hash of one number.
    pub(crate) fn of(self, number: u64) -> u64 {
        self.hash_one(number)
    }
}

impl BuildHasher for KeyedHash {
    type Hasher = SipHasher;
    fn build_hasher(&self) -> SipHasher {
        SipHasher::new(self.0)
    }
}

/// SipHash-1-3 over a stream of writes.
#[derive(Debug, Clone)]
pub(crate) struct SipHasher {
    v: [u64; 4],
    /// Bytes not yet a whole word, low first.
    tail: u64,
    tail_len: u32,
    length: u64,
}

impl SipHasher {
    fn new([k0, k1]: [u64; 2]) -> Self {
        // "somepseudorandomlygeneratedbytes", as in the paper.
        let v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        Self { v, tail: 0, tail_len: 0, length: 0 }
    }

    fn absorb(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.v[0] ^= word;
    }

    fn round(&mut self) {
        let [mut v0, mut v1, mut v2, mut v3] = self.v;
        v0 = v0.wrapping_add(v1);
        v1 = v1.rotate_left(13) ^ v0;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v3);
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.wrapping_add(v3);
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v2 = v2.rotate_left(32);
        self.v = [v0, v1, v2, v3];
    }

    /// Takes in the `len` (1 to 8) low bytes of `word`; the others are zero.
    fn take(&mut self, word: u64, len: u32) {
        self.length += u64::from(len);
        self.tail |= word << (8 * self.tail_len);
        if self.tail_len + len < 8 {
            self.tail_len += len;
            return;
        }
        let full = self.tail;
        self.absorb(full);
        let taken = 8 - self.tail_len;
        self.tail = if taken == 8 { 0 } else { word >> (8 * taken) };
        self.tail_len = len - taken;
    }
}

impl Hasher for SipHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.take(u64::from_le_bytes(word), chunk.len() as u32);
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.take(u64::from(number), 1);
    }

    fn write_u16(&mut self, number: u16) {
        self.take(u64::from(number), 2);
    }

    fn write_u32(&mut self, number: u32) {
        self.take(u64::from(number), 4);
    }

    fn write_u64(&mut self, number: u64) {
        self.take(number, 8);
    }

    fn finish(&self) -> u64 {
        let mut end = self.clone();
        end.absorb(self.length << 56 | self.tail);
        end.v[2] ^= 0xff;
        for _ in 0..3 {
            end.round();
        }
        end.v.iter().fold(0, |hash, word| hash ^ word)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    #[allow(deprecated, reason = "the standard library's own SipHash-1-3 is the yardstick")]
    fn it_is_siphash_1_3() {
        // The key of zeros is the one under which the standard library lets its SipHash-1-3 be compared.
        for text in ["", "a", "1234567", "12345678", "123456789", "a longer text of more than two words"] {
            let mut ours = SipHasher::new([0, 0]);
            ours.write(text.as_bytes());
            let mut theirs = std::hash::DefaultHasher::new();
            theirs.write(text.as_bytes());
            assert_eq!(ours.finish(), theirs.finish(), "{text}");
        }
    }

    #[test]
    fn secret_and_seed_both_matter() {
        let (a, b) = (Key::from_bytes([1; 32]), Key::from_bytes([2; 32]));
        let hashes = [KeyedHash::new(&a, 1).of(7), KeyedHash::new(&a, 2).of(7), KeyedHash::new(&b, 1).of(7)];
        assert!(hashes[0] != hashes[1] && hashes[0] != hashes[2] && hashes[1] != hashes[2]);
        assert_eq!(KeyedHash::new(&a, 1).of(7), hashes[0]);
    }

    proptest! {
        #[test]
        fn the_cut_of_the_stream_does_not_matter(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8)) {
            let mut pieces = SipHasher::new([1, 2]);
            parts.iter().for_each(|part| pieces.write(part));
            let mut whole = SipHasher::new([1, 2]);
            whole.write(&parts.concat());
            prop_assert_eq!(pieces.finish(), whole.finish());
        }
    }
}
