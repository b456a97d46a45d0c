//! One unreliable channel, both halves: sent once, delivered at most once, and never backwards where
//! sequenced. Must never know acknowledgements.

use std::collections::VecDeque;

use bytes::Bytes;
use netcode_wire::Time;

use super::assembly::Assembly;
use super::body::{Item, ItemWriter, Piece, item_bytes};
use super::error::{LinkError, SendError};
use super::inbox::Inbox;
use super::ring::ByteRing;
use super::span::since_us;
use crate::channels::MESSAGE_OVERHEAD_BYTES;

/// Messages that wait for the next flush.
#[derive(Debug, Default)]
pub(super) struct UnreliableSend {
    queue: VecDeque<Queued>,
    bytes: ByteRing,
    queued_bytes: usize,
    fresh_bytes: usize,
    /// Names the next message that is cut.
    next_group: u16,
}

#[derive(Debug)]
struct Queued {
    at: Time,
    offset: u64,
    len: u32,
    /// Pieces, 1 when it is not cut, and how many of them left.
    pieces: u32,
    pieces_sent: u32,
}

impl UnreliableSend {
    pub(super) fn push(
        &mut self,
        now: Time,
        message: &[u8],
        fragment_bytes: usize,
        queue_bytes_max: usize,
    ) -> Result<(), SendError> {
        let cost = message.len() + MESSAGE_OVERHEAD_BYTES;
        if self.queued_bytes + cost > queue_bytes_max {
            return Err(SendError::ChannelFull);
        }
        self.queued_bytes += cost;
        self.fresh_bytes += item_bytes(false, message.len());
        let pieces = message.len().div_ceil(fragment_bytes).max(1) as u32;
        let offset = self.bytes.push(message);
        self.queue.push_back(Queued { at: now, offset, len: message.len() as u32, pieces, pieces_sent: 0 });
        Ok(())
    }

    /// Writes what waits: as much as fits, and at most `items_max` messages or pieces. Gives the bytes written.
    pub(super) fn write(&mut self, channel: u8, items_max: usize, writer: &mut ItemWriter<'_>) -> usize {
        let mut bytes = 0;
        for _ in 0..items_max {
            let Some(front) = self.queue.front_mut() else { break };
            let (offset, len) = (front.offset, front.len as usize);
            if front.pieces == 1 {
                if !writer.fits(false, len) {
                    break;
                }
                bytes += writer.whole(channel, None, len, |out| self.bytes.copy_to(offset, len, out));
            } else {
                let piece = Piece { index: front.pieces_sent, count: front.pieces, total: front.len };
                if !writer.fits_piece(piece) {
                    break;
                }
                let span = piece.span();
                let fill =
                    |out: &mut Vec<u8>| self.bytes.copy_to(offset + span.start as u64, span.len(), out);
                bytes += writer.piece(channel, u64::from(self.next_group), piece, fill);
                front.pieces_sent += 1;
                if front.pieces_sent < front.pieces {
                    continue;
                }
                self.next_group = self.next_group.wrapping_add(1);
            }
            self.drop_front();
        }
        bytes
    }

    /// Cuts what waits so that no piece has more than `fragment_bytes`; what had begun to leave begins anew, under
    /// another name.
    pub(super) fn recut(&mut self, fragment_bytes: usize) {
        for queued in &mut self.queue {
            if queued.len.div_ceil(queued.pieces) as usize > fragment_bytes {
                self.next_group = self.next_group.wrapping_add(u16::from(queued.pieces_sent > 0));
                queued.pieces = (queued.len as usize).div_ceil(fragment_bytes) as u32;
                queued.pieces_sent = 0;
            }
        }
    }

    /// Whether `expire` would drop something.
    pub(super) fn has_expired(&self, now: Time, wait_us: u64) -> bool {
        let front = self.queue.front();
        front.is_some_and(|front| front.pieces_sent == 0 && since_us(now, front.at) > wait_us)
    }

    /// Drops what has waited too long and has not begun to leave. Gives how many.
    pub(super) fn expire(&mut self, now: Time, wait_us: u64) -> u64 {
        let mut count = 0;
        while self.has_expired(now, wait_us) {
            self.drop_front();
            count += 1;
        }
        count
    }

    /// Bytes in a body of what waits.
    pub(super) fn fresh_bytes(&self) -> usize {
        self.fresh_bytes
    }

    /// Messages that wait.
    pub(super) fn queued_messages(&self) -> usize {
        self.queue.len()
    }

    /// Bytes that wait, with overhead.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    fn drop_front(&mut self) {
        let Some(front) = self.queue.pop_front() else { return };
        self.queued_bytes -= front.len as usize + MESSAGE_OVERHEAD_BYTES;
        self.fresh_bytes -= item_bytes(false, front.len as usize);
        self.bytes.release_to(front.offset + u64::from(front.len));
    }
}

/// What came of cut messages, and where a sequenced channel stands.
#[derive(Debug)]
pub(super) struct UnreliableReceive {
    /// The place of the last message delivered, on a sequenced channel.
    delivered: Option<Place>,
    is_sequenced: bool,
    groups: Vec<Group>,
}

/// A packet's number and a place in its body: the order of sending.
pub(super) type Place = (u64, u16);

#[derive(Debug)]
struct Group {
    id: u16,
    /// The last of its pieces that came: where the message ends.
    newest: Place,
    assembly: Assembly,
}

impl UnreliableReceive {
    pub(super) fn new(is_sequenced: bool) -> Self {
        Self { delivered: None, is_sequenced, groups: Vec::new() }
    }

    /// Takes a message or a piece. `held_bytes` is what the link's unreliable channels hold, and
    /// `held_bytes_max` its bound: older groups make room, and what still does not fit is dropped.
    pub(super) fn accept(
        &mut self,
        place: Place,
        item: &Item<'_>,
        held_bytes: &mut usize,
        held_bytes_max: usize,
        inbox: &mut Inbox,
    ) -> Result<(), LinkError> {
        let Some(piece) = item.piece else {
            if self.passes(place) {
                inbox.push_copy(item.channel, item.bytes);
            }
            return Ok(());
        };
        let Some(index) = self.group(item.id, place, piece, held_bytes, held_bytes_max) else {
            return Ok(());
        };
        let group = &mut self.groups[index];
        group.newest = group.newest.max(place);
        if group.assembly.accept(piece, item.bytes)? {
            let Group { newest, assembly, .. } = self.groups.swap_remove(index);
            *held_bytes -= assembly.total() + MESSAGE_OVERHEAD_BYTES;
            if self.passes(newest) {
                inbox.push(item.channel, Bytes::from(assembly.into_bytes()));
            }
        }
        Ok(())
    }

    /// Whether a message that ends at `place` may be delivered; then nothing before it may any more.
    fn passes(&mut self, place: Place) -> bool {
        if !self.is_sequenced {
            return true;
        }
        let is_newer = self.delivered.is_none_or(|delivered| place > delivered);
        if is_newer {
            self.delivered = Some(place);
        }
        is_newer
    }

    /// The group of a piece, made if need be.
    fn group(
        &mut self,
        id: u16,
        place: Place,
        piece: Piece,
        held_bytes: &mut usize,
        held_bytes_max: usize,
    ) -> Option<usize> {
        // A group that no piece joined for so many packets lost one for good, and its name may be used again.
        self.evict(held_bytes, |group| place.0.saturating_sub(group.newest.0) > GROUP_PACKETS_MAX);
        if let Some(index) = self.groups.iter().position(|group| group.id == id) {
            return Some(index);
        }
        let cost = piece.total as usize + MESSAGE_OVERHEAD_BYTES;
        while self.groups.len() >= GROUPS_MAX
            || (*held_bytes + cost > held_bytes_max && !self.groups.is_empty())
        {
            let oldest = self.groups.iter().map(|group| group.newest).min()?;
            self.evict(held_bytes, |group| group.newest == oldest);
        }
        if *held_bytes + cost > held_bytes_max {
            return None;
        }
        *held_bytes += cost;
        self.groups.push(Group { id, newest: place, assembly: Assembly::new(piece) });
        Some(self.groups.len() - 1)
    }

    fn evict(&mut self, held_bytes: &mut usize, gone: impl Fn(&Group) -> bool) {
        self.groups.retain(|group| {
            let keeps = !gone(group);
            if !keeps {
                *held_bytes -= group.assembly.total() + MESSAGE_OVERHEAD_BYTES;
            }
            keeps
        });
    }
}

/// Cut messages of one channel that may be incomplete at a time.
const GROUPS_MAX: usize = 8;
/// Packets after which an incomplete group is given up: the window in which a packet can still arrive.
const GROUP_PACKETS_MAX: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        receive: UnreliableReceive,
        held: usize,
        inbox: Inbox,
    }

    impl Bench {
        fn new(is_sequenced: bool) -> Self {
            Self { receive: UnreliableReceive::new(is_sequenced), held: 0, inbox: Inbox::default() }
        }

        fn accept(
            &mut self,
            place: Place,
            id: u16,
            piece: Option<Piece>,
            bytes: &[u8],
        ) -> Result<(), LinkError> {
            let item = Item { channel: 0, id, piece, bytes };
            self.receive.accept(place, &item, &mut self.held, 3000, &mut self.inbox)
        }

        fn took(&mut self) -> Vec<Vec<u8>> {
            let mut slabs = crate::link::Slabs::new(4096);
            std::iter::from_fn(|| self.inbox.pop(&mut slabs)).map(|(_, message)| message.to_vec()).collect()
        }
    }

    const HALF: fn(u32) -> Option<Piece> = |index| Some(Piece { index, count: 2, total: 2 });

    #[test]
    fn a_sequenced_channel_never_goes_back() {
        let mut bench = Bench::new(true);
        for (place, bytes) in [((5, 0), b"a"), ((4, 0), b"b"), ((5, 1), b"c"), ((5, 1), b"d"), ((9, 0), b"e")]
        {
            bench.accept(place, 0, None, bytes).expect("honest");
        }
        assert_eq!(bench.took(), [b"a", b"c", b"e"]);
    }

    #[test]
    fn a_cut_message_ends_where_its_last_piece_does() {
        let mut bench = Bench::new(true);
        bench.accept((12, 0), 7, HALF(1), b"b").expect("honest");
        bench.accept((12, 1), 0, None, b"later").expect("honest");
        bench.accept((10, 0), 7, HALF(0), b"a").expect("honest");
        assert_eq!((bench.took(), bench.held), (vec![b"later".to_vec()], 0), "the late one is stale");
        bench.accept((14, 0), 8, HALF(0), b"a").expect("honest");
        bench.accept((13, 0), 8, HALF(1), b"b").expect("honest");
        assert_eq!(bench.took(), [b"ab"]);
    }

    #[test]
    fn groups_make_room_for_newer_ones() {
        let mut bench = Bench::new(false);
        for id in 0..100 {
            let place = (u64::from(id), 0);
            bench
                .accept(place, id, Some(Piece { index: 0, count: 2, total: 600 }), &[0; 300])
                .expect("honest");
            assert!(bench.held <= 3000 && bench.receive.groups.len() <= GROUPS_MAX);
        }
        bench
            .accept((100, 0), 99, Some(Piece { index: 1, count: 2, total: 600 }), &[0; 300])
            .expect("honest");
        assert_eq!(bench.took().len(), 1);
        bench
            .accept((900, 0), 5, Some(Piece { index: 1, count: 2, total: 2900 }), &[0; 1450])
            .expect("honest");
        assert_eq!((bench.receive.groups.len(), bench.held), (1, 2932));
    }

    #[test]
    fn what_waits_too_long_is_dropped() {
        let mut send = UnreliableSend::default();
        for ms in [0, 50, 90] {
            send.push(Time::from_millis(ms), b"abc", 100, 1000).expect("room");
        }
        assert_eq!(send.expire(Time::from_millis(160), 100_000), 2);
        assert_eq!((send.queued_bytes(), send.fresh_bytes()), (35, 5));
        assert_eq!(send.push(Time::ZERO, &[0; 1000], 100, 1000), Err(SendError::ChannelFull));
    }
}
