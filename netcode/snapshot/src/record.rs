//! The head of one entity's record in a snapshot: whose it is and what happens to it. Must never know columns.
//!
//! | bits | meaning |
//! |---|---|
//! | `0` | the id after the last one (the first record: id 0) |
//! | `10`, 4 | 1..=16 ids skipped |
//! | `110`, 8 | 17..=272 ids skipped |
//! | `1110`, 16 | 273..=65,808 ids skipped |
//! | `11110`, 32 | 65,809 ids skipped or more |
//! | `11111` | no more records |
//!
//! After the id: `0` changes (against the baseline), `10` appears or is replaced (whole), `11` is gone.

use netcode_wire::{BitReader, BitWriter, WireError};

use crate::NetId;

/// What a record does to its entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Change,
    Whole,
    Gone,
}

/// Writes ids that ascend.
#[derive(Debug, Default)]
pub(crate) struct IdWriter {
    next: u64,
}

/// Reads them.
#[derive(Debug, Default)]
pub(crate) struct IdReader {
    next: u64,
}

impl Action {
    /// Its bits, and how many.
    pub(crate) const fn code(self) -> (u64, u32) {
        match self {
            Self::Change => (0b0, 1),
            Self::Whole => (0b01, 2),
            Self::Gone => (0b11, 2),
        }
    }
}

impl IdWriter {
    /// The bits that name `id`, and how many; what happens to it follows.
    #[inline]
    pub(crate) fn head(&mut self, id: NetId) -> (u64, u32) {
        debug_assert!(u64::from(id.0) >= self.next, "ids ascend");
        let skipped = u64::from(id.0) - self.next;
        self.next = u64::from(id.0) + 1;
        if skipped == 0 {
            return (0, 1);
        }
        let (prefix, prefix_bits, value, bits) = code(skipped);
        (prefix | value << prefix_bits, prefix_bits + bits)
    }
}

impl IdReader {
    /// The next record's head; `None` after the last.
    pub(crate) fn decode(&mut self, from: &mut BitReader<'_>) -> Result<Option<(NetId, Action)>, WireError> {
        let mut class = 0;
        while class < CLASSES.len() && from.read_bool()? {
            class += 1;
        }
        let Some((first, bits)) = CLASSES.get(class) else { return Ok(None) };
        let id = self.next + first + from.read_bits(*bits)?;
        self.next = id + 1;
        let id = NetId(u32::try_from(id).map_err(|_| WireError::Malformed("entity id"))?);
        let action = match from.read_bool()? {
            false => Action::Change,
            true if from.read_bool()? => Action::Gone,
            true => Action::Whole,
        };
        Ok(Some((id, action)))
    }
}

/// Bits that name `id` after a record of `before`, without what happens to it.
pub(crate) fn id_bits(before: Option<NetId>, id: NetId) -> usize {
    let next = before.map_or(0, |before| u64::from(before.0) + 1);
    let (_, prefix_bits, _, bits) = code(u64::from(id.0) - next);
    (prefix_bits + bits) as usize
}

/// Writes that no record follows.
pub(crate) fn encode_end(out: &mut BitWriter) {
    out.write_bits(0b11111, END_BITS as u32);
}

fn code(skipped: u64) -> (u64, u32, u64, u32) {
    if skipped == 0 {
        return (0, 1, 0, 0);
    }
    let class =
        CLASSES.iter().rposition(|(first, _)| *first <= skipped).expect("the first class begins at zero");
    let (first, bits) = CLASSES[class];
    let prefix = (1 << class) - 1;
    (prefix, class as u32 + 1, skipped - first, bits)
}

/// First gap and width of each class.
const CLASSES: [(u64, u32); 5] = [(0, 0), (1, 4), (17, 8), (273, 16), (65_809, 32)];
/// Bits of [`encode_end`].
pub(crate) const END_BITS: usize = CLASSES.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_return_with_the_bits_that_were_promised() {
        let ids = [0, 1, 3, 20, 37, 309, 310, 70_000, 200_000, 4_000_000_000, u32::MAX].map(NetId);
        let actions = [Action::Change, Action::Whole, Action::Gone];
        let mut out = BitWriter::new();
        let (mut writer, mut reader, mut before) = (IdWriter::default(), IdReader::default(), None);
        for (id, action) in ids.iter().zip(actions.iter().cycle()) {
            let start = out.bit_len();
            let ((head, head_bits), (code, action_bits)) = (writer.head(*id), action.code());
            out.write_bits(head | code << head_bits, head_bits + action_bits);
            assert_eq!(out.bit_len() - start, id_bits(before, *id) + action_bits as usize, "{id}");
            before = Some(*id);
        }
        encode_end(&mut out);
        let mut from = BitReader::new(out.as_bytes());
        for (id, action) in ids.iter().zip(actions.iter().cycle()) {
            assert_eq!(reader.decode(&mut from), Ok(Some((*id, *action))));
        }
        assert_eq!(reader.decode(&mut from), Ok(None));
    }

    #[test]
    fn ids_past_the_last_are_refused() {
        let mut out = BitWriter::new();
        out.write_bits(0b01111, 5);
        out.write_bits(u64::from(u32::MAX), 32);
        let read = IdReader::default().decode(&mut BitReader::new(out.as_bytes()));
        assert_eq!(read, Err(WireError::Malformed("entity id")));
    }
}
