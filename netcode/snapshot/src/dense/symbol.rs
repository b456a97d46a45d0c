//! Numbers as rows of binary decisions. Owns which decisions there are; must never know where a number is from.
//!
//! | nodes | decision |
//! |---|---|
//! | 0 | a flag; or: the number is zero; or: the value is the expected one |
//! | 1 | negative |
//! | 2..=17 | the magnitude has more bits (Elias's gamma code, *Universal codeword sets*, 1975) |
//! | 18..=28 | the bit below the highest |
//! | 29..=41 | the one below that, given the first |
//! | none | every lower bit: even odds |
//!
//! An unexpected value without order is told in 18..=41 when it has up to four bits, and else at even odds.

use super::mix::{Contexts, Model};
use super::range::Coder;

/// One number that was coded, with all that its probabilities depended on: what training needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    pub(super) column: u16,
    pub(super) contexts: Contexts,
    pub(super) kind: Kind,
    pub(super) value: i64,
}

/// How a number is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 0 or 1.
    Flag,
    /// Near zero, of either sign, at most 33 bits.
    Signed,
    /// The expected value, or another one of so many bits.
    Opaque { bits: u8, expected: u32 },
    /// So many bits at even odds.
    Raw { bits: u8 },
}

/// Codes `symbol`; its value is right afterwards on both sides.
pub(super) fn code<C: Coder>(model: &Model, coder: &mut C, symbol: &mut Symbol) {
    let (column, contexts) = (usize::from(symbol.column), symbol.contexts);
    symbol.value = walk(symbol.kind, symbol.value, &mut |node, bit| {
        let p = node.map_or(1 << 15, |node| model.predict(column, &contexts, node));
        coder.bit(p, bit)
    });
}

/// Teaches the model that `symbol` was coded.
pub(super) fn train(model: &mut Model, symbol: &Symbol) {
    walk(symbol.kind, symbol.value, &mut |node, bit| {
        if let Some(node) = node {
            model.train(usize::from(symbol.column), &symbol.contexts, node, bit);
        }
        bit
    });
}

/// Goes through the decisions of a number. `ask` is given the node and the bit that `value` asks for, and gives the bit
/// that holds: where the value is not known yet, only what `ask` gives counts.
fn walk(kind: Kind, value: i64, ask: &mut impl FnMut(Option<usize>, bool) -> bool) -> i64 {
    match kind {
        Kind::Flag => i64::from(ask(Some(0), value != 0)),
        Kind::Signed => walk_signed(value, ask),
        Kind::Raw { bits } => walk_raw(bits, value, ask),
        Kind::Opaque { expected, .. } if ask(Some(0), value == i64::from(expected)) => i64::from(expected),
        Kind::Opaque { bits, .. } if bits > TREE_BITS_MAX => walk_raw(bits, value, ask),
        Kind::Opaque { bits, .. } => {
            let mut prefix = 1;
            for place in (0..bits).rev() {
                let bit = ask(Some(BELOW + prefix), value >> place & 1 == 1);
                prefix = prefix << 1 | usize::from(bit);
            }
            prefix as i64 - (1 << bits)
        }
    }
}

fn walk_signed(value: i64, ask: &mut impl FnMut(Option<usize>, bool) -> bool) -> i64 {
    if ask(Some(0), value == 0) {
        return 0;
    }
    let is_negative = ask(Some(1), value < 0);
    let size = value.unsigned_abs().max(1);
    let wanted = 63 - size.leading_zeros();
    let mut bits = 0;
    while bits < SIZE_BITS_MAX && ask(Some(MORE + bits.min(15) as usize), wanted > bits) {
        bits += 1;
    }
    let mut prefix = 1u64;
    for place in (0..bits).rev() {
        let node = match bits - 1 - place {
            0 => Some(BELOW + bits.min(10) as usize),
            1 => Some(SECOND + bits.min(5) as usize * 2 + (prefix & 1) as usize),
            _ => None,
        };
        prefix = prefix << 1 | u64::from(ask(node, size >> place & 1 == 1));
    }
    if is_negative { -(prefix as i64) } else { prefix as i64 }
}

fn walk_raw(bits: u8, value: i64, ask: &mut impl FnMut(Option<usize>, bool) -> bool) -> i64 {
    (0..bits).rev().fold(0, |read, place| read << 1 | i64::from(ask(None, value >> place & 1 == 1)))
}

const MORE: usize = 2;
const BELOW: usize = 18;
const SECOND: usize = 29;
/// Of a magnitude's bits, the highest left out.
const SIZE_BITS_MAX: u32 = 33;
const TREE_BITS_MAX: u8 = 4;
const _: () = assert!(BELOW + (1 << TREE_BITS_MAX) <= super::mix::NODES && SECOND + 11 < super::mix::NODES);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::mix::SETS;
    use super::super::range::{Decoder, Encoder};
    use super::*;

    /// Codes the numbers, training as they go, and reads them back; gives the bytes.
    fn check(symbols: &[(Kind, i64)]) -> usize {
        let symbol = |kind, value| Symbol { column: 1, contexts: [2; SETS], kind, value };
        let (mut model, mut encoder) = (Model::new(2), Encoder::new());
        for (kind, value) in symbols {
            let mut symbol = symbol(*kind, *value);
            code(&model, &mut encoder, &mut symbol);
            assert_eq!(symbol.value, *value);
            train(&mut model, &symbol);
        }
        let bytes = encoder.finish().to_vec();
        let (mut model, mut decoder) = (Model::new(2), Decoder::new(&bytes));
        for (kind, value) in symbols {
            let mut symbol = symbol(*kind, -77);
            code(&model, &mut decoder, &mut symbol);
            assert_eq!(symbol.value, *value, "{kind:?}");
            train(&mut model, &symbol);
        }
        bytes.len()
    }

    #[test]
    fn small_numbers_become_cheap() {
        let small: Vec<_> = (0..800).map(|n| (Kind::Signed, i64::from(n % 3 - 1))).collect();
        // log2(3) bits each, and what learning costs.
        assert!(check(&small) < 175, "{}", check(&small));
        assert!(check(&[(Kind::Opaque { bits: 32, expected: 9 }, 9)].repeat(800)) < 15);
    }

    proptest! {
        #[test]
        fn every_number_returns(signed in prop::collection::vec((0u32..34, any::<i64>()), 0..40), bits in 1u8..=32, values in prop::collection::vec(any::<(u32, u32)>(), 0..20)) {
            let mask = crate::field::low_bits(bits);
            let signed = signed.into_iter().map(|(size, value)| (Kind::Signed, value >> (63 - size)));
            let opaque = values.into_iter().flat_map(|(value, expected)| {
                let (value, expected) = (value & mask, expected & mask);
                let kind = Kind::Opaque { bits, expected };
                [(kind, value.into()), (kind, expected.into()), (Kind::Raw { bits }, value.into()), (Kind::Flag, (value & 1).into())]
            });
            check(&signed.chain(opaque).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_give_numbers(bytes in prop::collection::vec(any::<u8>(), 0..40), bits in 1u8..=32) {
            let (model, mut decoder) = (Model::new(1), Decoder::new(&bytes));
            for kind in [Kind::Signed, Kind::Opaque { bits, expected: 0 }, Kind::Signed, Kind::Flag] {
                let mut symbol = Symbol { column: 0, contexts: [255; SETS], kind, value: 0 };
                code(&model, &mut decoder, &mut symbol);
                prop_assert!(symbol.value.unsigned_abs() < 1 << 34);
            }
        }
    }
}
