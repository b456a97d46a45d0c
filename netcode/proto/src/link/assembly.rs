//! A message being put together from its pieces. Knows no channel and no packet.

use super::body::Piece;
use super::error::LinkError;

/// A message of known length, some of whose pieces have come.
#[derive(Debug)]
pub(super) struct Assembly {
    bytes: Vec<u8>,
    count: u32,
    missing: u32,
    seen: Vec<u64>,
    /// How often the sender cut it anew.
    recuts: u8,
}

impl Assembly {
    /// Room for the message that `piece` belongs to. The caller has checked its total against a limit.
    pub(super) fn new(piece: Piece) -> Self {
        let seen = vec![0; piece.count.div_ceil(64) as usize];
        Self {
            bytes: vec![0; piece.total as usize],
            count: piece.count,
            missing: piece.count,
            seen,
            recuts: 0,
        }
    }

    /// Whether to take a piece in. One of a finer cut says that the sender cut the message anew, for a narrower path: it
    /// begins again, in the same memory. One of a coarser cut came late: it is ignored.
    pub(super) fn follow(&mut self, piece: Piece) -> Result<bool, LinkError> {
        let same_message = piece.total as usize == self.bytes.len();
        if same_message && piece.count > self.count {
            self.recuts += 1;
            if self.recuts > RECUTS_MAX {
                return Err(LinkError::Contradiction);
            }
            (self.count, self.missing) = (piece.count, piece.count);
            self.seen.clear();
            self.seen.resize(piece.count.div_ceil(64) as usize, 0);
        }
        Ok(!same_message || piece.count == self.count)
    }

    /// Takes a piece in; a repeated one changes nothing. True when the message is whole.
    pub(super) fn accept(&mut self, piece: Piece, bytes: &[u8]) -> Result<bool, LinkError> {
        if (piece.count, piece.total as usize) != (self.count, self.bytes.len()) {
            return Err(LinkError::Contradiction);
        }
        let (word, bit) = (piece.index as usize / 64, 1 << (piece.index % 64));
        if self.seen[word] & bit == 0 {
            self.seen[word] |= bit;
            self.missing -= 1;
            self.bytes[piece.span()].copy_from_slice(bytes);
        }
        Ok(self.missing == 0)
    }

    /// Bytes of the whole message.
    pub(super) fn total(&self) -> usize {
        self.bytes.len()
    }

    /// The message; meaningful once `accept` said true.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// How often a sender may cut a message anew. On its way down a path has three lengths, and pieces never grow again.
const RECUTS_MAX: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_and_any_repeats_give_the_message() {
        let mut rng = fastrand::Rng::with_seed(2);
        for _ in 0..200 {
            let message: Vec<u8> = (0..rng.usize(2..5000)).map(|_| rng.u8(..)).collect();
            let total = message.len() as u32;
            // The fewest pieces of a random step: what a sender does.
            let count = total.div_ceil(rng.u32(1..total));
            let mut order: Vec<u32> = (0..count).chain(0..count / 2).collect();
            rng.shuffle(&mut order);
            let mut assembly = Assembly::new(Piece { index: 0, count, total });
            let whole = order.iter().filter(|index| {
                let piece = Piece { index: **index, count, total };
                assembly.accept(piece, &message[piece.span()]).expect("honest")
            });
            assert!(whole.count() > 0);
            assert_eq!(assembly.into_bytes(), message);
        }
    }

    #[test]
    fn a_different_cut_of_the_same_message_is_a_contradiction() {
        let mut assembly = Assembly::new(Piece { index: 0, count: 2, total: 10 });
        let check = |assembly: &mut Assembly, piece: Piece| {
            assert_eq!(assembly.accept(piece, &[0; 10][..piece.span().len()]), Err(LinkError::Contradiction));
        };
        check(&mut assembly, Piece { index: 0, count: 3, total: 10 });
        check(&mut assembly, Piece { index: 0, count: 2, total: 12 });
    }

    #[test]
    fn a_finer_cut_begins_again_and_a_coarser_one_is_late() {
        let message: Vec<u8> = (0..3000).map(|at| at as u8).collect();
        let piece = |index, count| Piece { index, count, total: 3000 };
        let mut assembly = Assembly::new(piece(0, 3));
        let take = |assembly: &mut Assembly, piece: Piece| {
            assembly
                .follow(piece)
                .and_then(|takes| Ok(takes && assembly.accept(piece, &message[piece.span()])?))
        };
        assert_eq!(take(&mut assembly, piece(0, 3)), Ok(false));
        assert_eq!(take(&mut assembly, piece(1, 3)), Ok(false));
        for index in 0..5 {
            assert_eq!(take(&mut assembly, piece(index, 6)), Ok(false));
            assert_eq!(take(&mut assembly, piece(2, 3)), Ok(false), "late");
        }
        assert_eq!(take(&mut assembly, piece(5, 6)), Ok(true));
        assert_eq!(assembly.into_bytes(), message);
    }

    #[test]
    fn nobody_cuts_for_ever() {
        let piece = |count| Piece { index: 0, count, total: 3000 };
        let mut assembly = Assembly::new(piece(2));
        let outcome: Vec<_> = (3..=8).map(|count| assembly.follow(piece(count))).collect();
        assert!(outcome[..4].iter().all(|one| *one == Ok(true)));
        assert_eq!(outcome[4], Err(LinkError::Contradiction));
    }
}
