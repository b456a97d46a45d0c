//! A binary range coder: bits of any probability become bytes and come back. Must never know what a bit means nor
//! where its probability is from.
//!
//! 64-bit range, renormalised by 32 bits, carries propagated into bytes already written (G. N. N. Martin, *Range
//! encoding* (1979), in its binary form). The end is cut to the fewest bytes: a decoder reads zeros past it.

/// What turns a modelled bit into output or takes it from input: one code path serves both sides.
pub(super) trait Coder {
    /// One bit whose probability of being 1 is `p / 65536`, `0 < p < 65536`. The encoder writes `bit` and gives it
    /// back; the decoder ignores `bit` and gives what was written.
    fn bit(&mut self, p: u32, bit: bool) -> bool;

    /// Whether more was asked for than was ever written: then nothing read since means anything.
    fn is_exhausted(&self) -> bool {
        false
    }
}

/// Writes. Keeps its memory over `clear`.
#[derive(Debug)]
pub(super) struct Encoder {
    low: u64,
    range: u64,
    out: Vec<u8>,
}

/// Reads.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    code: u64,
    range: u64,
    bytes: &'a [u8],
    place: usize,
}

impl Encoder {
    pub(super) const fn new() -> Self {
        Self { low: 0, range: u64::MAX, out: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        (self.low, self.range) = (0, u64::MAX);
        self.out.clear();
    }

    /// Ends the message: its bytes. Zeros at their end are cut, but none from before the end.
    pub(super) fn finish(&mut self) -> &[u8] {
        let body = self.out.len();
        // Any number in low..low + range will do: the one with the most zeros at its end.
        for zeros in (0..=64).rev().step_by(8) {
            let mask = if zeros == 64 { u64::MAX } else { (1 << zeros) - 1 };
            let (up, carry) = self.low.overflowing_add(mask);
            let value = up & !mask;
            if value.wrapping_sub(self.low) < self.range {
                if carry {
                    self.carry();
                }
                self.out.extend_from_slice(&value.to_be_bytes());
                break;
            }
        }
        while self.out.len() > body && self.out.last() == Some(&0) {
            self.out.pop();
        }
        &self.out
    }

    fn carry(&mut self) {
        for byte in self.out.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }
}

impl Coder for Encoder {
    #[inline]
    fn bit(&mut self, p: u32, bit: bool) -> bool {
        debug_assert!(p > 0 && p < 1 << 16, "a probability is neither 0 nor 1");
        let bound = (self.range >> 16) * u64::from(p);
        if bit {
            self.range = bound;
        } else {
            let (low, carry) = self.low.overflowing_add(bound);
            self.low = low;
            self.range -= bound;
            if carry {
                self.carry();
            }
        }
        if self.range < 1 << 32 {
            self.out.extend_from_slice(&((self.low >> 32) as u32).to_be_bytes());
            self.low <<= 32;
            self.range <<= 32;
        }
        bit
    }
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self { code: 0, range: u64::MAX, bytes, place: 0 };
        decoder.code = u64::from(decoder.word()) << 32 | u64::from(decoder.word());
        decoder
    }

    fn word(&mut self) -> u32 {
        let rest = self.bytes.get(self.place..).unwrap_or_default();
        self.place += 4;
        match rest.first_chunk() {
            Some(word) => u32::from_be_bytes(*word),
            None => {
                rest.iter().enumerate().fold(0, |word, (at, byte)| word | u32::from(*byte) << (24 - 8 * at))
            }
        }
    }
}

impl Coder for Decoder<'_> {
    #[inline]
    fn bit(&mut self, p: u32, _: bool) -> bool {
        let bound = (self.range >> 16) * u64::from(p);
        let bit = self.code < bound;
        if bit {
            self.range = bound;
        } else {
            self.code -= bound;
            self.range -= bound;
        }
        if self.range < 1 << 32 {
            self.code = self.code << 32 | u64::from(self.word());
            self.range <<= 32;
        }
        bit
    }

    fn is_exhausted(&self) -> bool {
        // Eight bytes are read ahead, of which the end may have cut all: what lies further was never written.
        self.place > self.bytes.len() + 8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bits: &[(u32, bool)]) -> usize {
        let mut encoder = Encoder::new();
        for (p, bit) in bits {
            encoder.bit(*p, *bit);
        }
        let bytes = encoder.finish().to_vec();
        let mut decoder = Decoder::new(&bytes);
        for (place, (p, bit)) in bits.iter().enumerate() {
            assert_eq!(decoder.bit(*p, false), *bit, "bit {place}");
            assert!(!decoder.is_exhausted());
        }
        bytes.len()
    }

    #[test]
    fn what_is_expected_costs_little() {
        assert_eq!(check(&[]), 0);
        assert!(check(&[(65_000, true); 1000]) <= 2);
        assert!((1000..=1001).contains(&check(&[(32_768, true), (32_768, false)].repeat(4000))));
        // Carries run through a long row of ones.
        assert!(check(&vec![(1, false); 100_000]) < 8);
        check(&[(65_535, false); 2000]);
    }

    proptest! {
        #[test]
        fn every_row_of_bits_returns(bits in prop::collection::vec((1u32..65_536, any::<bool>()), 0..2000)) {
            check(&bits);
        }

        #[test]
        fn likely_bits_return(bits in prop::collection::vec((0u32..40, any::<bool>(), any::<u8>()), 0..2000)) {
            let likely: Vec<_> = bits
                .iter()
                .map(|(near, high, luck)| {
                    let p = if *high { 65_535 - near } else { 1 + near };
                    (p, *high != (*luck == 0))
                })
                .collect();
            check(&likely);
        }
    }
}
