//! Which of our packets are under way and what they carried. Owns acknowledgement and loss of packets; must
//! never know a channel's queue: it hands back what was carried.

use std::collections::VecDeque;
use std::ops::Range;

use netcode_wire::Time;

use super::body::{AckBlock, DELAY_UNIT_US, DELAY_UNKNOWN, restore};
use super::error::LinkError;
use super::span::{after, since_us};
use super::window::{WINDOW, Window};

/// A reliable message, or a piece of one, that a packet carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) id: u64,
    /// Which piece; [`WHOLE`] for a message in one packet.
    pub(super) piece: u32,
    pub(super) channel: u8,
}

/// The sending side of acknowledgements.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// By rising number. Only packets that elicit acknowledgements.
    packets: VecDeque<Packet>,
    /// What they carried, in the same order.
    carried: VecDeque<Carried>,
    /// How many were ever removed from the front of `carried`, the low 32 bits.
    carried_gone: u32,
    /// What the packet being composed has carried so far.
    composing: u16,
    newest: Option<u64>,
    /// Every number used lately, with or without acknowledgement.
    used: Window,
    newest_acked: Option<(u64, Time)>,
    in_flight_bytes: u64,
    in_flight_carried: u32,
    /// Packets of more bytes than this are long, and how many of them were lost since one was acknowledged.
    short_bytes: u16,
    long_losses: u16,
    /// Packets before this one took another path: their times and losses say nothing about this one.
    path_from: u64,
}

/// 32 bytes, because a fast path keeps hundreds of them.
#[derive(Debug)]
struct Packet {
    seq: u64,
    at: Time,
    /// The newest packet that its ack block told of; [`TOLD_NOTHING`].
    told: u64,
    /// Where in everything ever carried its part begins, the low 32 bits.
    carried_from: u32,
    carried: u16,
    /// Its bytes and, in the high bit, [`DONE`].
    bytes: u16,
}

impl Packet {
    fn is_done(&self) -> bool {
        self.bytes & DONE != 0
    }

    fn bytes(&self) -> u64 {
        u64::from(self.bytes & !DONE)
    }

    /// Whether it has more bytes than `short_bytes`; nothing is long before anybody said what is.
    fn is_long(&self, short_bytes: u16) -> bool {
        short_bytes > 0 && self.bytes & !DONE > short_bytes
    }
}

/// What an ack block changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Acked {
    pub(super) bytes: u64,
    pub(super) packets: u32,
    /// Round trip of the newest packet, when it was acknowledged just now.
    pub(super) sample_us: Option<u64>,
    /// The greatest packet number that the peer now knows we received.
    pub(super) told: Option<u64>,
}

impl Sent {
    /// Notes that the packet being composed carries this.
    pub(super) fn carry(&mut self, carried: Carried) {
        self.carried.push_back(carried);
        self.composing += 1;
    }

    /// Ends the packet being composed.
    pub(super) fn commit(&mut self, now: Time, seq: u64, bytes: usize, eliciting: bool, told: Option<u64>) {
        debug_assert!(self.newest.is_none_or(|newest| seq > newest), "packet numbers rise");
        if let Some(newest) = self.newest {
            self.used.age(seq - newest);
            self.used.set(seq - newest - 1);
        }
        self.newest = Some(seq);
        let carried = std::mem::take(&mut self.composing);
        if !eliciting {
            return;
        }
        let carried_from = self.carried_gone.wrapping_add(self.carried.len() as u32 - u32::from(carried));
        let bytes = (bytes as u16).min(DONE - 1);
        self.in_flight_bytes += u64::from(bytes);
        self.in_flight_carried += u32::from(carried);
        let told = told.unwrap_or(TOLD_NOTHING);
        self.packets.push_back(Packet { seq, at: now, told, carried_from, carried, bytes });
    }

    /// From packet `seq` on everything takes another path.
    pub(super) fn path_changed(&mut self, seq: u64) {
        (self.path_from, self.long_losses) = (seq, 0);
    }

    /// From now on packets of more than `bytes` are long.
    pub(super) fn watch_longer_than(&mut self, bytes: usize) {
        (self.short_bytes, self.long_losses) = (bytes as u16, 0);
    }

    /// Long packets that were lost since one was acknowledged.
    pub(super) fn long_losses(&self) -> u32 {
        u32::from(self.long_losses)
    }

    /// Takes an ack block in; `arrived` is told what the acknowledged packets carried, and in which packet.
    pub(super) fn acknowledge(
        &mut self,
        now: Time,
        block: &AckBlock,
        mut arrived: impl FnMut(Carried, u64),
    ) -> Result<Acked, LinkError> {
        let newest = self.newest_of(block)?;
        let mut acked = Acked::default();
        let from = self.packets.partition_point(|packet| packet.seq + WINDOW < newest);
        for index in from..self.packets.len() {
            let packet = &self.packets[index];
            let (seq, at) = (packet.seq, packet.at);
            if seq > newest {
                break;
            }
            if packet.is_done() || !(seq == newest || block.before.get(newest - seq - 1)) {
                continue;
            }
            let is_here = seq >= self.path_from;
            if seq == newest && block.delay != DELAY_UNKNOWN && is_here {
                let delay_us = u64::from(block.delay) * DELAY_UNIT_US;
                acked.sample_us = Some(since_us(now, at).saturating_sub(delay_us));
            }
            acked.bytes += if is_here { packet.bytes() } else { 0 };
            if packet.is_long(self.short_bytes) {
                self.long_losses = 0;
            }
            acked.packets += 1;
            acked.told = acked.told.max(Some(packet.told).filter(|told| *told != TOLD_NOTHING));
            if self.newest_acked.is_none_or(|(known, _)| seq > known) {
                self.newest_acked = Some((seq, at));
            }
            let carried = self.finish(index);
            self.carried.range(carried).for_each(|one| arrived(*one, seq));
        }
        self.trim();
        Ok(acked)
    }

    /// Gives up packets that are certainly or very probably lost: sent `reordering_us` before one that was
    /// acknowledged, or `overdue_us` ago and before one that was acknowledged. Tells `lost` what they carried
    /// and in which packet; gives packets and bytes.
    pub(super) fn lose(
        &mut self,
        now: Time,
        reordering_us: u64,
        overdue_us: u64,
        lost: impl FnMut(Carried, u64),
    ) -> (u32, u64) {
        let Some((acked, acked_at)) = self.newest_acked else { return (0, 0) };
        if self.packets.front().is_none_or(|oldest| oldest.seq > acked) {
            return (0, 0);
        }
        self.give_up(lost, |packet| {
            packet.seq < acked
                && (after(packet.at, reordering_us) <= acked_at || after(packet.at, overdue_us) <= now)
        })
    }

    /// Gives up every packet sent before `before`, acknowledged successors or not.
    pub(super) fn lose_before(&mut self, before: Time, lost: impl FnMut(Carried, u64)) -> (u32, u64) {
        if self.packets.front().is_none_or(|oldest| oldest.at > before) {
            return (0, 0);
        }
        self.give_up(lost, |packet| packet.at <= before)
    }

    /// When `lose` would next find something without a further acknowledgement.
    pub(super) fn lose_at(&self, overdue_us: u64) -> Option<Time> {
        let front = self.packets.front()?;
        let (acked, _) = self.newest_acked?;
        (front.seq < acked).then(|| after(front.at, overdue_us))
    }

    /// When the newest packet that carries something reliable left, if one is under way.
    pub(super) fn newest_carrying_at(&self) -> Option<Time> {
        if self.in_flight_carried == 0 {
            return None;
        }
        self.packets
            .iter()
            .rev()
            .find(|packet| packet.carried > 0 && !packet.is_done())
            .map(|packet| packet.at)
    }

    /// Our next packet has at least this number.
    pub(super) fn next_seq(&self) -> u64 {
        self.newest.map_or(0, |newest| newest + 1)
    }

    /// The greatest number of ours that the peer has acknowledged.
    pub(super) fn newest_acked(&self) -> Option<u64> {
        self.newest_acked.map(|(seq, _)| seq)
    }

    pub(super) fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// The whole number of the newest packet that `block` acknowledges, if all that it claims was sent.
    fn newest_of(&self, block: &AckBlock) -> Result<u64, LinkError> {
        let sent = self.newest.ok_or(LinkError::AckOfUnsent(u64::from(block.newest)))?;
        let newest = restore(block.newest, sent);
        let Some(behind) = sent.checked_sub(newest) else { return Err(LinkError::AckOfUnsent(newest)) };
        if behind > 0 && behind <= WINDOW && !self.used.get(behind - 1) {
            return Err(LinkError::AckOfUnsent(newest));
        }
        // Claims that reach behind the numbers we remember cannot be checked, and move nothing.
        let mut claimed = block.before;
        claimed.age(behind);
        if claimed.exceeds(&self.used) {
            return Err(LinkError::AckOfUnsent(newest));
        }
        Ok(newest)
    }

    fn give_up(
        &mut self,
        mut lost: impl FnMut(Carried, u64),
        is_lost: impl Fn(&Packet) -> bool,
    ) -> (u32, u64) {
        let (mut packets, mut bytes) = (0, 0);
        let newest_acked = self.newest_acked.map_or(u64::MAX, |(seq, _)| seq);
        for index in 0..self.packets.len() {
            let packet = &self.packets[index];
            if packet.is_done() {
                continue;
            }
            if !is_lost(packet) {
                if packet.seq > newest_acked {
                    break;
                }
                continue;
            }
            let seq = packet.seq;
            packets += 1;
            bytes += if seq >= self.path_from { packet.bytes() } else { 0 };
            self.long_losses = self.long_losses.saturating_add(u16::from(packet.is_long(self.short_bytes)));
            let carried = self.finish(index);
            self.carried.range(carried).for_each(|one| lost(*one, seq));
        }
        self.trim();
        (packets, bytes)
    }

    /// Ends a packet's time under way; gives where in `carried` its part stands.
    fn finish(&mut self, index: usize) -> Range<usize> {
        let packet = &mut self.packets[index];
        self.in_flight_bytes -= packet.bytes();
        self.in_flight_carried -= u32::from(packet.carried);
        packet.bytes |= DONE;
        let from = packet.carried_from.wrapping_sub(self.carried_gone) as usize;
        from..from + usize::from(packet.carried)
    }

    fn trim(&mut self) {
        while let Some(packet) = self.packets.front().filter(|packet| packet.is_done()) {
            self.carried.drain(..usize::from(packet.carried));
            self.carried_gone = self.carried_gone.wrapping_add(u32::from(packet.carried));
            self.packets.pop_front();
        }
        if self.packets.is_empty() && self.packets.capacity() > KEEP_PACKETS {
            self.packets = VecDeque::new();
        }
        if self.carried.is_empty() && self.carried.capacity() > KEEP_PACKETS {
            self.carried = VecDeque::new();
        }
    }
}

/// The piece number of a message that is not cut.
pub(super) const WHOLE: u32 = u32::MAX;
/// The mark of a packet that is acknowledged or given up: no body is this long.
const DONE: u16 = 0x8000;
/// The packet number that stands for none: no session gets there.
const TOLD_NOTHING: u64 = u64::MAX;
/// Capacity that an empty list keeps.
const KEEP_PACKETS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Time = Time::from_millis;

    fn block(newest: u64, run: u64) -> AckBlock {
        let mut before = Window::default();
        before.fill(0, run);
        AckBlock { newest: newest as u16, delay: 0, before }
    }

    /// Packets 10, 12, 14 … each carrying one message of its own number, one a millisecond.
    fn sent(count: u64) -> Sent {
        let mut sent = Sent::default();
        for index in 0..count {
            let seq = 10 + 2 * index;
            sent.carry(Carried { id: seq, piece: WHOLE, channel: 1 });
            sent.commit(MS(index), seq, 100, true, Some(index));
        }
        sent
    }

    #[test]
    fn an_ack_gives_back_what_was_carried_once() {
        let mut sent = sent(3);
        let mut out = Vec::new();
        let acked = sent.acknowledge(MS(50), &block(12, 0), |one, _| out.push(one)).expect("honest");
        let sample_us = Some(49_000);
        assert_eq!(acked, Acked { bytes: 100, packets: 1, sample_us, told: Some(1) });
        assert_eq!(out.iter().map(|carried| carried.id).collect::<Vec<_>>(), [12]);
        assert_eq!(sent.acknowledge(MS(50), &block(12, 0), |one, _| out.push(one)), Ok(Acked::default()));
        assert_eq!(sent.in_flight_bytes(), 200);
    }

    #[test]
    fn what_was_never_sent_cannot_be_acknowledged() {
        let mut out = Vec::new();
        let check = |sent: &mut Sent, block: AckBlock, out: &mut Vec<Carried>| {
            assert!(
                matches!(
                    sent.acknowledge(MS(9), &block, |one, _| out.push(one)),
                    Err(LinkError::AckOfUnsent(_))
                ),
                "{block:?}"
            );
        };
        check(&mut Sent::default(), block(0, 0), &mut out);
        let mut sent = sent(300);
        check(&mut sent, block(609, 0), &mut out);
        check(&mut sent, block(608, 1), &mut out);
        check(&mut sent, block(607, 0), &mut out);
        check(&mut sent, block(400, 3), &mut out);
        assert!(out.is_empty());
        assert!(sent.acknowledge(MS(9), &block(608, 0), |one, _| out.push(one)).is_ok());
    }

    #[test]
    fn loss_needs_a_later_ack_and_time() {
        let mut sent = sent(20);
        let mut lost = Vec::new();
        let mut lose =
            |sent: &mut Sent, now| sent.lose(now, 4000, 60_000, |one, seq| lost.push((one.id, seq)));
        assert_eq!(lose(&mut sent, MS(500)), (0, 0));
        sent.acknowledge(MS(55), &block(22, 0), |_, _| ()).expect("honest");
        // 22 left at 6 ms: 10, 12 and 14 left at least 4 ms before it.
        assert_eq!(lose(&mut sent, MS(55)), (3, 300));
        assert_eq!(sent.lose_at(60_000), Some(MS(63)));
        assert_eq!(lose(&mut sent, MS(64)), (2, 200));
        assert_eq!(lost, [(10, 10), (12, 12), (14, 14), (16, 16), (18, 18)]);
        assert_eq!(sent.lose_before(MS(10), |_, _| ()), (5, 500), "20 and 24 … 30 left by then");
        assert_eq!(sent.newest_carrying_at(), Some(MS(19)));
    }

    #[test]
    fn records_leave_with_their_packets() {
        let mut sent = sent(50);
        let mut out = Vec::new();
        for seq in (10..108).step_by(2) {
            sent.acknowledge(MS(99), &block(seq, 0), |one, _| out.push(one)).expect("honest");
        }
        assert_eq!((sent.packets.len(), sent.carried.len(), sent.in_flight_bytes()), (1, 1, 100));
    }
}
