//! One reliable channel's incoming half: exactly once, and in order where promised. Must never know a packet.

use std::collections::VecDeque;

use bytes::Bytes;

use super::assembly::Assembly;
use super::body::{Item, restore};
use super::error::LinkError;
use super::inbox::Inbox;
use super::reliable_send::WINDOW_MESSAGES;
use crate::channels::MESSAGE_OVERHEAD_BYTES;

/// What came, from the first message that is missing.
#[derive(Debug)]
pub(super) struct ReliableReceive {
    is_ordered: bool,
    /// The number of `slots[0]`: the first message that is not complete.
    expected: u64,
    slots: VecDeque<Slot>,
}

#[derive(Debug)]
enum Slot {
    Missing,
    Partial(Box<Assembly>),
    /// Complete, waiting for an earlier one.
    Held(Bytes),
    Delivered,
}

impl ReliableReceive {
    pub(super) fn new(is_ordered: bool) -> Self {
        Self { is_ordered, expected: 0, slots: VecDeque::new() }
    }

    /// Takes a message or a piece. `held_bytes` is what the whole link holds back, `held_bytes_max` its bound.
    pub(super) fn accept(
        &mut self,
        item: &Item<'_>,
        held_bytes: &mut usize,
        held_bytes_max: usize,
        inbox: &mut Inbox,
    ) -> Result<(), LinkError> {
        let id = restore(item.id, self.expected);
        let Some(ahead) = id.checked_sub(self.expected) else { return Ok(()) };
        if ahead >= WINDOW_MESSAGES as u64 {
            return Err(LinkError::WindowExceeded);
        }
        let ahead = ahead as usize;
        if ahead == 0 && self.slots.is_empty() && item.piece.is_none() {
            // The usual case: the next message, nothing held back.
            inbox.push_copy(item.channel, item.bytes);
            self.expected += 1;
            return Ok(());
        }
        while self.slots.len() <= ahead {
            self.slots.push_back(Slot::Missing);
        }
        self.fill(ahead, item, held_bytes, inbox)?;
        self.deliver_front(item.channel, held_bytes, inbox);
        if *held_bytes > held_bytes_max {
            return Err(LinkError::ReassemblyExceeded);
        }
        Ok(())
    }

    fn fill(
        &mut self,
        ahead: usize,
        item: &Item<'_>,
        held_bytes: &mut usize,
        inbox: &mut Inbox,
    ) -> Result<(), LinkError> {
        let slot = &mut self.slots[ahead];
        match (&mut *slot, item.piece) {
            (Slot::Held(_) | Slot::Delivered, _) => return Ok(()),
            (Slot::Partial(assembly), None) if assembly.total() == item.bytes.len() => {
                // Sent whole, then cut for a narrower path; the first one came late.
                *held_bytes -= assembly.total() + MESSAGE_OVERHEAD_BYTES;
                *slot = Slot::Missing;
                return self.fill(ahead, item, held_bytes, inbox);
            }
            (Slot::Partial(_), None) => return Err(LinkError::Contradiction),
            (Slot::Missing, None) if self.is_ordered && ahead > 0 => {
                *held_bytes += item.bytes.len() + MESSAGE_OVERHEAD_BYTES;
                // A copy of its own: one held message must not pin a slab of others.
                *slot = Slot::Held(Bytes::copy_from_slice(item.bytes));
                return Ok(());
            }
            (Slot::Missing, None) => {
                inbox.push_copy(item.channel, item.bytes);
                *slot = Slot::Delivered;
                return Ok(());
            }
            (Slot::Missing, Some(piece)) => {
                *held_bytes += piece.total as usize + MESSAGE_OVERHEAD_BYTES;
                *slot = Slot::Partial(Box::new(Assembly::new(piece)));
            }
            (Slot::Partial(_), Some(_)) => {}
        }
        let (Slot::Partial(assembly), Some(piece)) = (&mut *slot, item.piece) else { return Ok(()) };
        if !assembly.follow(piece)? || !assembly.accept(piece, item.bytes)? {
            return Ok(());
        }
        let Slot::Partial(whole) = std::mem::replace(slot, Slot::Delivered) else { return Ok(()) };
        if self.is_ordered {
            *slot = Slot::Held(Bytes::from(whole.into_bytes()));
        } else {
            *held_bytes -= whole.total() + MESSAGE_OVERHEAD_BYTES;
            inbox.push(item.channel, Bytes::from(whole.into_bytes()));
        }
        Ok(())
    }

    fn deliver_front(&mut self, channel: u8, held_bytes: &mut usize, inbox: &mut Inbox) {
        while matches!(self.slots.front(), Some(Slot::Held(_) | Slot::Delivered)) {
            if let Some(Slot::Held(message)) = self.slots.pop_front() {
                *held_bytes -= message.len() + MESSAGE_OVERHEAD_BYTES;
                inbox.push(channel, message);
            }
            self.expected += 1;
        }
        if self.slots.is_empty() && self.slots.capacity() > KEEP_SLOTS {
            self.slots = VecDeque::new();
        }
    }
}

/// Capacity that an empty window keeps.
const KEEP_SLOTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::body::Piece;

    struct Bench {
        receive: ReliableReceive,
        held: usize,
        inbox: Inbox,
    }

    impl Bench {
        fn new(is_ordered: bool) -> Self {
            Self { receive: ReliableReceive::new(is_ordered), held: 0, inbox: Inbox::default() }
        }

        fn accept(&mut self, id: u64, piece: Option<Piece>, bytes: &[u8]) -> Result<(), LinkError> {
            let item = Item { channel: 1, id: id as u16, piece, bytes };
            self.receive.accept(&item, &mut self.held, 1000, &mut self.inbox)
        }

        fn took(&mut self) -> Vec<Vec<u8>> {
            let mut slabs = crate::link::Slabs::new(4096);
            std::iter::from_fn(|| self.inbox.pop(&mut slabs)).map(|(_, message)| message.to_vec()).collect()
        }
    }

    #[test]
    fn order_waits_and_disorder_does_not() {
        for (is_ordered, early, late) in
            [(true, vec![], vec![b"a", b"b", b"c"]), (false, vec![b"c", b"b"], vec![b"a"])]
        {
            let mut bench = Bench::new(is_ordered);
            for (id, bytes) in [(2, b"c"), (1, b"b"), (2, b"c")] {
                bench.accept(id, None, bytes).expect("honest");
            }
            assert_eq!(bench.took(), early);
            bench.accept(0, None, b"a").expect("honest");
            bench.accept(0, None, b"a").expect("honest");
            assert_eq!((bench.took(), bench.held), (late.iter().map(|one| one.to_vec()).collect(), 0));
        }
    }

    #[test]
    fn numbers_go_round_the_sixteen_bits() {
        let mut bench = Bench::new(true);
        for id in 0..200_000_u64 {
            bench.accept(id, None, &id.to_le_bytes()).expect("honest");
            bench.accept(id, None, &id.to_le_bytes()).expect("a repeat");
            assert_eq!(bench.took(), [id.to_le_bytes()]);
        }
    }

    #[test]
    fn lies_are_named_and_memory_is_bounded() {
        let mut bench = Bench::new(true);
        assert_eq!(bench.accept(4096, None, b""), Err(LinkError::WindowExceeded));
        bench.accept(1, Some(Piece { index: 0, count: 2, total: 400 }), &[0; 200]).expect("honest");
        assert_eq!(bench.accept(1, None, b"x"), Err(LinkError::Contradiction));
        let other = Piece { index: 1, count: 2, total: 398 };
        assert_eq!(bench.accept(1, Some(other), &[0; 199]), Err(LinkError::Contradiction));
        bench.accept(2, None, &[0; 500]).expect("honest");
        assert_eq!(bench.accept(3, None, &[0; 100]), Err(LinkError::ReassemblyExceeded));
    }

    #[test]
    fn what_is_cut_late_may_have_come_whole() {
        for is_ordered in [true, false] {
            let mut bench = Bench::new(is_ordered);
            bench.accept(0, Some(Piece { index: 0, count: 2, total: 4 }), b"ab").expect("honest");
            bench.accept(0, None, b"abcd").expect("sent before it was cut");
            bench.accept(0, Some(Piece { index: 1, count: 2, total: 4 }), b"cd").expect("honest");
            assert_eq!((bench.took(), bench.held), (vec![b"abcd".to_vec()], 0));
        }
    }

    #[test]
    fn cut_messages_keep_their_place() {
        let mut bench = Bench::new(true);
        let piece = |index| Some(Piece { index, count: 2, total: 3 });
        bench.accept(1, None, b"after").expect("honest");
        bench.accept(0, piece(1), b"c").expect("honest");
        bench.accept(0, piece(1), b"c").expect("honest");
        assert!(bench.took().is_empty());
        bench.accept(0, piece(0), b"ab").expect("honest");
        assert_eq!(bench.took(), [b"abc".to_vec(), b"after".to_vec()]);
        assert_eq!(bench.held, 0);
    }
}
