//! The bytes of a packet body. Owns their layout; must never know a queue, a timer or a peer.
//!
//! One body carries everything that one end has for the other: acknowledgements first, then messages and
//! pieces of messages of all channels, back to back to the end of the body. Numbers are little-endian;
//! a *varint* is 7 bits a byte, low group first, high bit set on all but the last byte, shortest form only,
//! at most 4 bytes (28 bits).
//!
//! | part | bytes | field | meaning |
//! |---|---|---|---|
//! | head | 1 | flags | bit 0 `ACK`: an ack block follows; bit 1 `MAP`: the block has a map; bits 2..=7 `RUN`. Without `ACK` the other bits are 0 |
//! | ack | 2 | newest | low 16 bits of the greatest packet number received; the reader takes the number nearest to the greatest it has sent |
//! | ack | 1 | delay | how long ago that packet came, in 256 µs, rounded down; 255: too long or unknown |
//! | ack | 0 or 1 | run more | present when `RUN` is 63: the run is 63 + this |
//! | ack | 0 or 1 | map bytes | present with `MAP`: n, 1..=32 |
//! | ack | n | map | bit i (low bit of the first byte first) set: `newest − run − 2 − i` was received; the last byte is not 0 |
//! | item | 1 | tag | bits 0..=5 channel; bit 6 `PIECE`: part of a longer message; bit 7 `LAST`: the message goes on to the end of the body |
//! | item | 0 or 2 | id | low 16 bits of the message's number in its channel: present on reliable channels and with `PIECE`; the reader takes the number nearest to the first it misses (for pieces on unreliable channels the 16 bits just name the group) |
//! | item | varint | index | with `PIECE`: which piece, from 0 |
//! | item | varint | count | with `PIECE`: how many pieces, at least 2 |
//! | item | varint | total | with `PIECE`: bytes of the whole message, at least `count` |
//! | item | varint | length | without `PIECE` and without `LAST`: bytes of the message |
//! | item | … | bytes | the message; or the piece: all pieces have ⌈total / count⌉ bytes but the last, which has the rest, at least 1 |
//!
//! The run means: `newest − 1 … newest − run` were received too, and `newest − run − 1` was not or is not told.
//! Since a piece's place follows from index, count and total, pieces cannot overlap; `LAST` with `PIECE` is
//! malformed. A body without items elicits no acknowledgement. Unreliable-sequenced messages carry no number:
//! their order is the packet's number, then their place in the body.

use std::ops::Range;

use netcode_wire::{ByteReader, WireError};

use super::error::LinkError;
use super::window::{WINDOW, Window};

/// Which packets were received: the newest, and those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AckBlock {
    /// Low 16 bits of the newest packet number.
    pub(super) newest: u16,
    /// Age of the newest packet in [`DELAY_UNIT_US`]; [`DELAY_UNKNOWN`] when that long or unknown.
    pub(super) delay: u8,
    /// The packets before it.
    pub(super) before: Window,
}

impl AckBlock {
    /// Writes the head and the block. Only the `reach` packets before the newest are told.
    pub(super) fn encode(&self, reach: u64, out: &mut Vec<u8>) {
        let (run, map_bits) = self.shape(reach);
        let run_low = run.min(u64::from(RUN_MORE)) as u8;
        out.push(ACK | if map_bits > 0 { MAP } else { 0 } | run_low << RUN_SHIFT);
        out.extend_from_slice(&self.newest.to_le_bytes());
        out.push(self.delay);
        if run_low == RUN_MORE {
            // A window of 256 leaves at most 193 beyond 63.
            out.push((run - u64::from(RUN_MORE)) as u8);
        }
        if map_bits > 0 {
            let map_bytes = map_bits.div_ceil(8);
            out.push(map_bytes as u8);
            let is_set = |bit: &u64| *bit < map_bits && self.before.get(run + 1 + bit);
            let byte =
                |at: u64| (0..8).filter(|bit| is_set(&(at * 8 + bit))).fold(0, |sum, bit| sum | 1 << bit);
            out.extend((0..map_bytes).map(byte));
        }
    }

    /// Bytes of the head and the block.
    pub(super) fn encoded_bytes(&self, reach: u64) -> usize {
        let (run, map_bits) = self.shape(reach);
        let map = if map_bits > 0 { 1 + map_bits.div_ceil(8) as usize } else { 0 };
        4 + usize::from(run >= u64::from(RUN_MORE)) + map
    }

    /// Packets of the run, and bits of the map behind it: up to the last that is set.
    fn shape(&self, reach: u64) -> (u64, u64) {
        let reach = reach.min(WINDOW);
        let run = self.before.run().min(reach);
        let last = (run + 1..reach).rev().find(|index| self.before.get(*index));
        (run, last.map_or(0, |index| index - run))
    }

    fn decode(flags: u8, reader: &mut ByteReader<'_>) -> Result<Self, LinkError> {
        let (newest, delay) = (reader.u16()?, reader.u8()?);
        let mut run = u64::from(flags >> RUN_SHIFT);
        if run == u64::from(RUN_MORE) {
            run += u64::from(reader.u8()?);
        }
        if run > WINDOW {
            return Err(LinkError::Malformed("ack run"));
        }
        let mut before = Window::default();
        before.fill(0, run);
        if flags & MAP != 0 {
            let len = reader.u8()?;
            let map = reader.slice(usize::from(len))?;
            let is_canonical = map.last().is_some_and(|last| *last != 0) && map.len() as u64 <= WINDOW / 8;
            if !is_canonical {
                return Err(LinkError::Malformed("ack map"));
            }
            for bit in (0..map.len() * 8).filter(|bit| map[bit / 8] >> (bit % 8) & 1 == 1) {
                before.set(run + 1 + bit as u64);
            }
        }
        Ok(Self { newest, delay, before })
    }
}

/// Writes the head of a body that acknowledges nothing.
pub(super) fn encode_no_acks(out: &mut Vec<u8>) {
    out.push(0);
}

/// Reads the head and, if there is one, the ack block.
pub(super) fn decode_head(reader: &mut ByteReader<'_>) -> Result<Option<AckBlock>, LinkError> {
    match reader.u8()? {
        0 => Ok(None),
        flags if flags & ACK != 0 => AckBlock::decode(flags, reader).map(Some),
        _ => Err(LinkError::Malformed("body head")),
    }
}

/// Which part of a longer message a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) index: u32,
    pub(super) count: u32,
    /// Bytes of the whole message.
    pub(super) total: u32,
}

impl Piece {
    /// The piece's place in the message.
    pub(super) fn span(&self) -> Range<usize> {
        let step = self.total.div_ceil(self.count) as usize;
        let start = self.index as usize * step;
        start..(start + step).min(self.total as usize)
    }

    fn decode(reader: &mut ByteReader<'_>, total_max: usize) -> Result<Self, LinkError> {
        let piece =
            Self { index: read_varint(reader)?, count: read_varint(reader)?, total: read_varint(reader)? };
        let Self { index, count, total } = piece;
        if total as usize > total_max {
            return Err(LinkError::MessageTooLong(total as usize));
        }
        // The last piece must have at least one byte, or two counts would cut a message alike.
        let is_sound = count >= 2 && index < count && count <= total;
        if !is_sound || u64::from(count - 1) * u64::from(total.div_ceil(count)) >= u64::from(total) {
            return Err(LinkError::Malformed("piece"));
        }
        Ok(piece)
    }
}

/// A message, or a piece of one, in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) channel: u8,
    /// Low 16 bits of the message's number; 0 where none is written.
    pub(super) id: u16,
    pub(super) piece: Option<Piece>,
    pub(super) bytes: &'a [u8],
}

impl<'a> Item<'a> {
    /// Reads the next item. `numbered` says whether a channel writes ids on whole messages; `None`: no such
    /// channel.
    pub(super) fn decode(
        reader: &mut ByteReader<'a>,
        numbered: impl Fn(u8) -> Option<bool>,
        message_bytes_max: usize,
    ) -> Result<Self, LinkError> {
        let tag = reader.u8()?;
        let channel = tag & CHANNEL;
        let numbered = numbered(channel).ok_or(LinkError::NoSuchChannel(channel))?;
        let id = if numbered || tag & PIECE != 0 { reader.u16()? } else { 0 };
        if tag & PIECE != 0 {
            if tag & LAST != 0 {
                return Err(LinkError::Malformed("item tag"));
            }
            let piece = Piece::decode(reader, message_bytes_max)?;
            let bytes = reader.slice(piece.span().len())?;
            return Ok(Self { channel, id, piece: Some(piece), bytes });
        }
        let len = if tag & LAST != 0 { reader.remaining() } else { read_varint(reader)? as usize };
        if len > message_bytes_max {
            return Err(LinkError::MessageTooLong(len));
        }
        Ok(Self { channel, id, piece: None, bytes: reader.slice(len)? })
    }
}

/// Writes items into a body of limited length, and knows the last one, whose length need not be written.
#[derive(Debug)]
pub(super) struct ItemWriter<'a> {
    out: &'a mut Vec<u8>,
    budget_bytes: usize,
    last: Option<LastItem>,
}

/// Where the last whole message's tag and length stand.
#[derive(Debug, Clone, Copy)]
struct LastItem {
    tag_at: usize,
    length: (usize, usize),
    channel: u8,
}

impl<'a> ItemWriter<'a> {
    /// Continues `out`, which holds head and acks already.
    pub(super) fn new(out: &'a mut Vec<u8>, budget_bytes: usize) -> Self {
        Self { out, budget_bytes, last: None }
    }

    pub(super) fn room(&self) -> usize {
        self.budget_bytes.saturating_sub(self.out.len())
    }

    /// Whether a whole message of `len` bytes fits.
    pub(super) fn fits(&self, numbered: bool, len: usize) -> bool {
        item_bytes(numbered, len) <= self.room()
    }

    /// Whether a piece fits.
    pub(super) fn fits_piece(&self, piece: Piece) -> bool {
        let head = 3 + varint_bytes(piece.index) + varint_bytes(piece.count) + varint_bytes(piece.total);
        head + piece.span().len() <= self.room()
    }

    /// Writes a whole message; `fill` appends its `len` bytes. Gives the bytes that the item takes.
    pub(super) fn whole(
        &mut self,
        channel: u8,
        id: Option<u64>,
        len: usize,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        let tag_at = self.out.len();
        self.out.push(channel);
        if let Some(id) = id {
            self.out.extend_from_slice(&(id as u16).to_le_bytes());
        }
        let length_at = self.out.len();
        write_varint(len as u32, self.out);
        self.last = Some(LastItem { tag_at, length: (length_at, self.out.len()), channel });
        fill(self.out);
        self.out.len() - tag_at
    }

    /// Writes a piece; `fill` appends its bytes. Gives the bytes that the item takes.
    pub(super) fn piece(
        &mut self,
        channel: u8,
        id: u64,
        piece: Piece,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        let tag_at = self.out.len();
        self.out.push(channel | PIECE);
        self.out.extend_from_slice(&(id as u16).to_le_bytes());
        for number in [piece.index, piece.count, piece.total] {
            write_varint(number, self.out);
        }
        self.last = None;
        fill(self.out);
        self.out.len() - tag_at
    }

    /// Ends the body: a whole message at its end loses its length. Gives its channel and the bytes saved.
    pub(super) fn finish(self) -> Option<(u8, usize)> {
        let LastItem { tag_at, length: (from, to), channel } = self.last?;
        self.out[tag_at] |= LAST;
        self.out.drain(from..to);
        Some((channel, to - from))
    }
}

/// Bytes of an item that holds a whole message of `len` bytes, its length written.
pub(super) fn item_bytes(numbered: bool, len: usize) -> usize {
    1 + if numbered { 2 } else { 0 } + varint_bytes(len as u32) + len
}

/// The number nearest to `near` whose low 16 bits are `low`.
pub(super) const fn restore(low: u16, near: u64) -> u64 {
    let ahead = low.wrapping_sub(near as u16);
    if ahead < 0x8000 {
        near.saturating_add(ahead as u64)
    } else {
        match near.checked_sub(0x1_0000 - ahead as u64) {
            Some(behind) => behind,
            None => near + ahead as u64,
        }
    }
}

fn varint_bytes(value: u32) -> usize {
    (32 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

fn write_varint(mut value: u32, out: &mut Vec<u8>) {
    debug_assert!(value < VARINT_END, "message lengths are limited below 2^28");
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(reader: &mut ByteReader<'_>) -> Result<u32, WireError> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let byte = reader.u8()?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let is_shortest = byte != 0 || shift == 0;
            return if is_shortest { Ok(value) } else { Err(WireError::Malformed("varint")) };
        }
    }
    Err(WireError::Malformed("varint"))
}

const ACK: u8 = 1;
const MAP: u8 = 2;
const RUN_SHIFT: u32 = 2;
/// The run that says that one more byte follows.
const RUN_MORE: u8 = 63;
const CHANNEL: u8 = 0x3f;
const PIECE: u8 = 0x40;
const LAST: u8 = 0x80;
/// Every varint is below this.
pub(super) const VARINT_END: u32 = 1 << 28;
/// The unit of the delay field.
pub(super) const DELAY_UNIT_US: u64 = 256;
/// The delay that tells nothing.
pub(super) const DELAY_UNKNOWN: u8 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 65536;

    fn numbered(channel: u8) -> Option<bool> {
        (channel < 4).then_some(channel == 1)
    }

    fn items(body: &[u8]) -> Result<Vec<Item<'_>>, LinkError> {
        let mut reader = ByteReader::new(body);
        decode_head(&mut reader)?;
        let mut items = Vec::new();
        while reader.remaining() > 0 {
            items.push(Item::decode(&mut reader, numbered, MAX)?);
        }
        Ok(items)
    }

    #[test]
    fn the_table_by_hand() {
        // ACK, run 2, newest 0x1234, delay 3 × 256 µs; channel 1 id 7 "ab"; channel 0 "xyz" to the end.
        let body = [0b0000_1001, 0x34, 0x12, 3, 0x01, 7, 0, 2, b'a', b'b', 0x80, b'x', b'y', b'z'];
        let mut before = Window::default();
        before.fill(0, 2);
        let mut out = Vec::new();
        AckBlock { newest: 0x1234, delay: 3, before }.encode(WINDOW, &mut out);
        let mut writer = ItemWriter::new(&mut out, 100);
        assert_eq!(writer.whole(1, Some(0x5_0007), 2, |out| out.extend(b"ab")), 6);
        assert_eq!(writer.whole(0, None, 3, |out| out.extend(b"xyz")), 5);
        assert_eq!(writer.finish(), Some((0, 1)));
        assert_eq!(out, body);
        let read = items(&body).expect("sound");
        assert_eq!(read[0], Item { channel: 1, id: 7, piece: None, bytes: b"ab" });
        assert_eq!(read[1], Item { channel: 0, id: 0, piece: None, bytes: b"xyz" });
    }

    #[test]
    fn ack_blocks_survive_whatever_was_lost() {
        let mut rng = fastrand::Rng::with_seed(1);
        for round in 0..2000 {
            let mut before = Window::default();
            let received = [0.0, 0.3, 0.95, 1.0][round % 4];
            (0..WINDOW).filter(|_| rng.f64() < received).for_each(|index| before.set(index));
            let block = AckBlock { newest: rng.u16(..), delay: rng.u8(..), before };
            let mut out = Vec::new();
            block.encode(WINDOW, &mut out);
            assert!(out.len() <= 38, "{}", out.len());
            assert_eq!(out.len(), block.encoded_bytes(WINDOW));
            let mut reader = ByteReader::new(&out);
            assert_eq!(decode_head(&mut reader), Ok(Some(block)));
            assert_eq!(reader.remaining(), 0);
        }
    }

    #[test]
    fn a_short_reach_tells_less_and_never_more() {
        let mut before = Window::default();
        before.fill(0, 10);
        before.fill(11, 200);
        let block = AckBlock { newest: 9, delay: 0, before };
        for reach in [0, 5, 10, 11, 12, 40, 256] {
            let mut out = Vec::new();
            block.encode(reach, &mut out);
            let read = decode_head(&mut ByteReader::new(&out)).expect("sound").expect("has acks");
            assert!(!read.before.exceeds(&before));
            assert_eq!(
                (0..WINDOW).rfind(|at| read.before.get(*at)).map_or(0, |at| at + 1),
                reach.min(200).max(reach.min(10)).min(if reach == 11 { 10 } else { 200 })
            );
        }
    }

    #[test]
    fn pieces_have_their_place_and_nothing_else() {
        let piece = Piece { index: 2, count: 3, total: 10 };
        assert_eq!(piece.span(), 8..10);
        let mut out = vec![0];
        let mut writer = ItemWriter::new(&mut out, 100);
        assert_eq!(writer.piece(2, 9, piece, |out| out.extend([1, 2])), 8);
        assert_eq!(writer.finish(), None);
        assert_eq!(items(&out), Ok(vec![Item { channel: 2, id: 9, piece: Some(piece), bytes: &[1, 2] }]));
    }

    #[test]
    fn malformed_bodies_are_named() {
        let check = |body: &[u8], expected: LinkError| assert_eq!(items(body), Err(expected), "{body:?}");
        check(&[], LinkError::Malformed("ended early"));
        check(&[2], LinkError::Malformed("body head"));
        check(&[1, 0], LinkError::Malformed("ended early"));
        check(&[0b11, 0, 0, 0, 1, 0], LinkError::Malformed("ack map"));
        check(&[0b11, 0, 0, 0, 0], LinkError::Malformed("ack map"));
        check(&[0xfd, 0, 0, 0, 255], LinkError::Malformed("ack run"));
        check(&[0, 5], LinkError::NoSuchChannel(5));
        check(&[0, 0, 3, 1], LinkError::Malformed("ended early"));
        check(&[0, 0, 0x80, 0], LinkError::Malformed("varint"));
        check(&[0, 0, 0xff, 0xff, 0xff, 0xff], LinkError::Malformed("varint"));
        check(&[0, 0, 0x81, 0x80, 0x04], LinkError::MessageTooLong(65537));
        check(&[0, 0xc0, 0, 0], LinkError::Malformed("item tag"));
        // index ≥ count, count 1, count > total, empty last piece (3 pieces of ⌈4/3⌉ = 2).
        check(&[0, 0x40, 0, 0, 2, 2, 4, 1], LinkError::Malformed("piece"));
        check(&[0, 0x40, 0, 0, 0, 1, 4, 1], LinkError::Malformed("piece"));
        check(&[0, 0x40, 0, 0, 0, 5, 4, 1], LinkError::Malformed("piece"));
        check(&[0, 0x40, 0, 0, 0, 3, 4, 1, 1], LinkError::Malformed("piece"));
    }

    #[test]
    fn numbers_come_back_from_their_low_bits() {
        for near in [0_u64, 1, 40_000, 65_535, 65_536, 1 << 40] {
            for delta in [-32_767_i64, -100, -1, 0, 1, 32_767] {
                let Some(number) = near.checked_add_signed(delta) else { continue };
                assert_eq!(restore(number as u16, near), number, "near {near} delta {delta}");
            }
        }
    }

    #[test]
    fn varints_take_the_bytes_they_say() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 1 << 20, VARINT_END - 1] {
            let mut out = Vec::new();
            write_varint(value, &mut out);
            assert_eq!(out.len(), varint_bytes(value));
            assert_eq!(read_varint(&mut ByteReader::new(&out)), Ok(value));
        }
    }
}
