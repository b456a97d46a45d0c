//! The way in: a body's acknowledgements and items to where they belong, and what acknowledgements, or their
//! absence, say about losses. Must never know how bodies are composed.

use netcode_wire::{ByteReader, Time};

use super::body::{self, AckBlock, Item};
use super::lanes::{Lanes, Receive, Send};
use super::marks::{MARKS, Tally};
use super::sent::Carried;
use super::span::after;
use super::{Link, LinkError};

impl Link {
    /// Takes in the body of packet `seq` of the peer. One that came before, or is older than the window of
    /// 256, changes nothing.
    ///
    /// # Errors
    /// [`LinkError`]: the peer broke the rules and the connection must be closed.
    pub fn handle_body(&mut self, now: Time, seq: u64, body: &[u8]) -> Result<(), LinkError> {
        if !self.received.is_fresh(seq) {
            self.counters.packets_stale += 1;
            return Ok(());
        }
        let mut reader = ByteReader::new(body);
        if body.first() == Some(&MARKS) && self.marks.are_agreed() {
            self.handle_marks(seq, &mut reader)?;
        }
        if let Some(block) = body::decode_head(&mut reader)? {
            self.handle_acks(now, &block)?;
        }
        let elicits = reader.remaining() > 0;
        if elicits && self.inbox.bytes() >= self.rules.config.receive_bytes_max {
            // Unread and unacknowledged: to the peer it is as good as lost.
            self.counters.packets_refused += 1;
            return Ok(());
        }
        self.received.record(now, seq, elicits);
        self.counters.packets_received += 1;
        self.counters.bytes_received += body.len() as u64;
        let mut place = (seq, 0);
        while reader.remaining() > 0 {
            self.handle_item(place, &mut reader)?;
            place.1 += 1;
        }
        Ok(())
    }

    /// Gives up what must be lost by now and queues it again.
    pub(super) fn detect_losses(&mut self, now: Time) {
        let Self { sent, lanes, rtt, .. } = self;
        let overdue_us = rtt.overdue_us(self.rules.limits.ack_delay_us);
        let (packets, bytes) =
            sent.lose(now, rtt.reordering_us(), overdue_us, |one, seq| lose(lanes, one, seq));
        self.congestion.on_loss(bytes);
        self.count_losses(now, packets);
        if self.probe_at().is_some_and(|at| at <= now) {
            let Self { sent, lanes, .. } = self;
            let (packets, _) = sent.lose_before(now, |one, seq| lose(lanes, one, seq));
            self.count_losses(now, packets);
            self.flush.probes += 1;
            if self.flush.probes > 1 {
                self.congestion.on_silence(&self.rtt);
            }
        } else {
            // Nothing that carries only unreliable messages is waited for long.
            let forgotten = Time::from_micros(now.as_micros().saturating_sub(FORGET_AFTER_US));
            let Self { sent, lanes, .. } = self;
            let (packets, _) = sent.lose_before(forgotten, |one, seq| lose(lanes, one, seq));
            self.counters.packets_lost += u64::from(packets);
        }
    }

    /// When silence itself says that reliable messages under way are lost.
    pub(super) fn probe_at(&self) -> Option<Time> {
        let sent_at = self.sent.newest_carrying_at()?;
        Some(after(sent_at, self.rtt.probe_us(self.rules.limits.ack_delay_us, self.flush.probes)))
    }

    fn handle_marks(&mut self, seq: u64, reader: &mut ByteReader<'_>) -> Result<(), LinkError> {
        reader.u8()?;
        let tally = Tally::decode(reader)?;
        let marked = self.marks.take(seq, tally, self.counters.packets_sent)?;
        self.congestion.on_marks(marked);
        Ok(())
    }

    fn handle_acks(&mut self, now: Time, block: &AckBlock) -> Result<(), LinkError> {
        let Self { sent, lanes, .. } = self;
        let acked = sent.acknowledge(now, block, |one, seq| arrive(lanes, one, seq))?;
        if let Some(sample_us) = acked.sample_us {
            self.rtt.sample(now, sample_us);
        }
        if let Some(seq) = sent.newest_acked() {
            self.marks.acknowledged(seq);
        }
        if let Some(told) = acked.told {
            self.received.settle(told);
        }
        if acked.packets > 0 {
            self.flush.probes = 0;
            for _ in 0..acked.packets {
                self.counters.loss -= self.counters.loss / LOSS_MEMORY;
            }
            let Self { congestion, rtt, flush, .. } = self;
            congestion.on_ack(now, (acked.packets, acked.bytes), acked.sample_us, flush.wants_bulk, rtt);
            if self.congestion.are_marks_futile() {
                self.marks.fail();
            }
            self.detect_losses(now);
        }
        Ok(())
    }

    fn handle_item(&mut self, place: (u64, u16), reader: &mut ByteReader<'_>) -> Result<(), LinkError> {
        let Self { lanes, held, inbox, rules, .. } = self;
        let limits = &rules.limits;
        let item = Item::decode(reader, |channel| lanes.is_reliable(channel), limits.message_bytes)?;
        let bound = limits.reassembly_bytes;
        match lanes.receiver(item.channel) {
            Receive::Unused => Ok(()),
            Receive::Reliable(receive) => receive.accept(&item, &mut held.reliable_bytes, bound, inbox),
            Receive::Unreliable(receive) => {
                receive.accept(place, &item, &mut held.unreliable_bytes, bound, inbox)
            }
        }
    }

    fn count_losses(&mut self, now: Time, packets: u32) {
        if packets == 0 {
            return;
        }
        self.counters.packets_lost += u64::from(packets);
        for _ in 0..packets {
            self.counters.loss += (1.0 - self.counters.loss) / LOSS_MEMORY;
        }
        self.flush.repeat_until = Some(now + self.rules.config.redundancy_hold);
    }
}

/// The peer has what packet `seq` carried.
fn arrive(lanes: &mut Lanes, carried: Carried, seq: u64) {
    lanes.with(carried.channel, |lane| {
        if let Send::Reliable(send) = &mut lane.send {
            send.on_acked(carried.id, carried.piece, seq);
        }
    });
}

/// What packet `seq` carried was lost with it.
fn lose(lanes: &mut Lanes, carried: Carried, seq: u64) {
    lanes.with(carried.channel, |lane| {
        if let Send::Reliable(send) = &mut lane.send {
            send.on_lost(carried.id, carried.piece, seq);
        }
    });
}

/// The loss estimate averages over about this many packets.
const LOSS_MEMORY: f32 = 64.0;
/// After so long nobody acknowledges a packet any more.
const FORGET_AFTER_US: u64 = 5_000_000;
