//! A first-in-first-out store of bytes with lasting offsets: many small messages in one buffer that is
//! reused. Knows no message.

use std::collections::VecDeque;

/// Bytes between a released offset and an end that grows.
#[derive(Debug, Default)]
pub(super) struct ByteRing {
    bytes: VecDeque<u8>,
    base: u64,
}

impl ByteRing {
    /// Appends and gives the offset under which `copy_to` finds the bytes again.
    pub(super) fn push(&mut self, bytes: &[u8]) -> u64 {
        let at = self.base + self.bytes.len() as u64;
        self.bytes.extend(bytes);
        at
    }

    /// Forgets everything before `offset`; a buffer that a burst blew up is given back once it is empty.
    pub(super) fn release_to(&mut self, offset: u64) {
        let gone = offset.saturating_sub(self.base).min(self.bytes.len() as u64);
        self.bytes.drain(..gone as usize);
        self.base += gone;
        if self.bytes.is_empty() && self.bytes.capacity() > KEEP_BYTES {
            self.bytes = VecDeque::new();
        }
    }

    /// Appends `len` bytes from `offset` to `out`; less when they were released.
    pub(super) fn copy_to(&self, offset: u64, len: usize, out: &mut Vec<u8>) {
        let (first, second) = self.bytes.as_slices();
        let start = offset.saturating_sub(self.base) as usize;
        let end = (start + len).min(self.bytes.len());
        let split = first.len();
        if start < split {
            out.extend_from_slice(&first[start..end.min(split)]);
        }
        if end > split {
            out.extend_from_slice(&second[start.max(split) - split..end - split]);
        }
    }
}

/// Capacity that an empty ring keeps.
const KEEP_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_by_offset_across_the_seam() {
        let mut ring = ByteRing::default();
        let mut kept: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        for round in 0..500_usize {
            let bytes: Vec<u8> = (0..round % 61).map(|at| (round * 7 + at) as u8).collect();
            let at = ring.push(&bytes);
            kept.push_back((at, bytes));
            if kept.len() > 5 {
                let (at, bytes) = kept.pop_front().expect("just checked");
                ring.release_to(at + bytes.len() as u64);
            }
            for (at, bytes) in &kept {
                let mut out = Vec::new();
                ring.copy_to(*at, bytes.len(), &mut out);
                assert_eq!(&out, bytes);
            }
        }
    }

    #[test]
    fn an_empty_ring_gives_a_burst_back() {
        let mut ring = ByteRing::default();
        ring.push(&vec![1; 100_000]);
        ring.release_to(u64::MAX);
        assert_eq!(ring.bytes.capacity(), 0);
        assert_eq!(ring.push(&[2]), 100_000);
    }
}
