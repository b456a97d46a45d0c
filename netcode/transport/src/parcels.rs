//! Datagrams back to back in one allocation. Owns: the bytes and where each datagram ends. Must never know: sockets,
//! threads, or what a head says of its datagram.
//!
//! A burst costs one copy a datagram and no allocation once the largest burst was seen. What goes to one peer in a
//! row lies in a row: just what segmentation offload wants.

use std::ops::Range;

use crate::DATAGRAM_BYTES_MAX;

/// A burst of datagrams, each with a head of type `H`.
#[derive(Debug)]
pub(crate) struct Parcels<H> {
    bytes: Vec<u8>,
    heads: Vec<(H, usize)>,
}

impl<H> Default for Parcels<H> {
    fn default() -> Self {
        Self { bytes: Vec::new(), heads: Vec::new() }
    }
}

impl<H: Copy> Parcels<H> {
    /// Copies `datagram` in.
    pub(crate) fn push(&mut self, head: H, datagram: &[u8]) {
        debug_assert!(datagram.len() <= DATAGRAM_BYTES_MAX);
        self.bytes.extend_from_slice(datagram);
        self.heads.push((head, self.bytes.len()));
    }

    /// Copies the first `count` datagrams of `other` in.
    pub(crate) fn extend(&mut self, other: &Self, count: usize) {
        let Some(last) = count.checked_sub(1) else { return };
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes[..other.heads[last].1]);
        self.heads.extend(other.heads[..count].iter().map(|&(head, end)| (head, end + offset)));
    }

    /// Forgets all; keeps the room.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.heads.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Bytes of the first `count` datagrams.
    pub(crate) fn bytes_of(&self, count: usize) -> usize {
        count.checked_sub(1).map_or(0, |last| self.heads[last].1)
    }

    pub(crate) fn head(&self, index: usize) -> H {
        self.heads[index].0
    }

    /// The bytes of a run of datagrams, as one slice.
    pub(crate) fn run(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[self.bytes_of(range.start)..self.bytes_of(range.end)]
    }

    /// Hands on every datagram, in order.
    pub(crate) fn for_each(&mut self, accept: &mut dyn FnMut(&H, &mut [u8])) {
        let mut start = 0;
        for (head, end) in &self.heads {
            accept(head, &mut self.bytes[start..*end]);
            start = *end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcels(all: &[&[u8]]) -> Parcels<usize> {
        let mut parcels = Parcels::default();
        for (index, bytes) in all.iter().enumerate() {
            parcels.push(index, bytes);
        }
        parcels
    }

    fn read(parcels: &mut Parcels<usize>) -> Vec<(usize, Vec<u8>)> {
        let mut all = Vec::new();
        parcels.for_each(&mut |head, bytes| all.push((*head, bytes.to_vec())));
        all
    }

    #[test]
    fn what_went_in_comes_out_in_order() {
        let mut all = parcels(&[b"one", b"", b"three"]);
        assert_eq!(read(&mut all), [(0, b"one".to_vec()), (1, vec![]), (2, b"three".to_vec())]);
        assert_eq!((all.len(), all.bytes_of(3), all.bytes_of(0)), (3, 8, 0));
        all.clear();
        assert!(all.is_empty() && read(&mut all).is_empty());
    }

    #[test]
    fn a_part_of_a_burst_can_be_appended() {
        let mut all = parcels(&[b"a"]);
        all.extend(&parcels(&[b"bb", b"ccc", b"dropped"]), 2);
        all.extend(&parcels(&[b"x"]), 0);
        assert_eq!(read(&mut all), [(0, b"a".to_vec()), (0, b"bb".to_vec()), (1, b"ccc".to_vec())]);
    }

    #[test]
    fn a_run_is_one_slice() {
        let all = parcels(&[b"a", b"bb", b"cc", b"d"]);
        assert_eq!(all.run(1..3), b"bbcc");
        assert_eq!(all.run(0..1), b"a");
        assert_eq!(all.head(2), 2);
    }
}
