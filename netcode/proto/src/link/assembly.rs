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
}

impl Assembly {
    /// Room for the message that `piece` belongs to. The caller has checked its total against a limit.
    pub(super) fn new(piece: Piece) -> Self {
        let seen = vec![0; piece.count.div_ceil(64) as usize];
        Self { bytes: vec![0; piece.total as usize], count: piece.count, missing: piece.count, seen }
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
}
