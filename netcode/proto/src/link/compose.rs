//! The way out: what goes into the next body, in which order, and when a body is due at all. Must never know
//! how bodies are taken in.
//!
//! Order in a body: acknowledgements; lost messages again; repeats (while the path loses packets, and only in
//! the first body of a flush); new messages by priority, reliable before unreliable; at last pieces of long
//! messages, as far as the congestion controller lets them. Where not all fits, channels take turns by weight.

use netcode_wire::Time;

use super::body::{self, ItemWriter};
use super::lanes::Send;
use super::marks::{self, MARKS_BYTES};
use super::reliable_send::{REPEATS_ALONE_MAX, RepeatLimits};
use super::span::{after, micros, since_us};
use super::{Link, bits};

/// What composing remembers between bodies.
#[derive(Debug, Default)]
pub(super) struct Flush {
    /// When the flush under way began (calls at one moment are one flush), and how long after the one before.
    at: Option<Time>,
    interval_us: u64,
    /// Its first packet.
    from: u64,
    /// Until when messages are repeated; `None` before the first packet.
    pub(super) repeat_until: Option<Time>,
    /// Probes since the last acknowledgement.
    pub(super) probes: u32,
    /// Whether the last flush left pieces behind for want of window.
    pub(super) wants_bulk: bool,
    /// Bytes of pieces that left in this flush.
    bulk_bytes: u64,
    /// Whether all but the first body of a flush wait for their turn.
    spread: bool,
    /// When the next body of this flush may leave; `None`: nothing waits for its turn.
    next_at: Option<Time>,
}

impl Link {
    /// Composes the body of our packet `seq` into `out`, which is cleared first, in at most `budget_bytes`
    /// (at least what [`Link::body_bytes`] says).
    ///
    /// `seq` must be greater than in every earlier call that gave true. False: nothing is due and `seq` is
    /// not used. Call it in a loop with rising `seq` until it gives false; it stops by itself at the send
    /// budget.
    pub fn poll_body(&mut self, now: Time, seq: u64, budget_bytes: usize, out: &mut Vec<u8>) -> bool {
        debug_assert!(budget_bytes >= self.fragment_bytes() + super::BODY_MARGIN_BYTES, "a piece fits");
        if self.flush.at != Some(now) {
            self.begin_flush(now, seq);
        } else if self.flush.next_at.is_some_and(|at| at > now) || !self.has_more() && !self.is_ack_due(now) {
            out.clear();
            return false;
        }
        self.compose(now, seq, budget_bytes, out)
    }

    /// Composes the next body of the flush under way, if it has one whose turn has come ([`Link::release_at`]); otherwise
    /// as [`Link::poll_body`].
    pub fn poll_release(&mut self, now: Time, seq: u64, budget_bytes: usize, out: &mut Vec<u8>) -> bool {
        out.clear();
        if self.flush.next_at.is_none_or(|at| at > now) {
            return false;
        }
        let composed = self.has_more() && self.compose(now, seq, budget_bytes, out);
        if !composed {
            self.flush.next_at = None;
        }
        composed
    }

    /// Whether the bodies of the flushes to come leave one after the other at the rate of the send budget, instead of all
    /// at once: for an owner that asks [`Link::poll_release`] between flushes. The first body of a flush never waits, and
    /// what nobody asked for leaves with the next flush.
    pub fn set_spread(&mut self, spread: bool) {
        self.flush.spread = spread;
    }

    /// When the next body of the flush under way has its turn.
    #[must_use]
    pub fn release_at(&self) -> Option<Time> {
        self.flush.next_at
    }

    fn compose(&mut self, now: Time, seq: u64, budget_bytes: usize, out: &mut Vec<u8>) -> bool {
        out.clear();
        let bulk_before = self.flush.bulk_bytes;
        let told = self.write_head(now, out);
        let head_len = out.len();
        let has_items = self.congestion.may_send(now) && self.write_items(now, seq, budget_bytes, out);
        if !has_items && !self.is_ack_due(now) {
            out.clear();
            return false;
        }
        self.sent.commit(now, seq, out.len(), has_items, told);
        if told.is_some() {
            self.received.answered();
        }
        self.congestion.on_send(now, out.len(), (self.flush.bulk_bytes - bulk_before) as usize);
        self.counters.packets_sent += 1;
        self.counters.header_bytes += 1;
        self.counters.ack_bytes += head_len as u64 - 1;
        self.schedule(now, out.len(), budget_bytes);
        true
    }

    /// When the body after one of `bytes` has its turn: at the rate of the send budget, and what is not bulk within this
    /// flush's time.
    fn schedule(&mut self, now: Time, bytes: usize, budget_bytes: usize) {
        let waiting = *self.lanes.waiting();
        if !self.flush.spread || !self.has_more() {
            self.flush.next_at = None;
            return;
        }
        let by_rate = bytes as u64 * 1_000_000 / self.congestion.rate().max(1);
        let bodies = waiting.fresh_bytes.div_ceil(budget_bytes) as u64 + 1;
        let span_us = if waiting.fresh | waiting.lost == 0 {
            by_rate
        } else {
            by_rate.min(self.flush.interval_us / bodies)
        };
        // Deliberate: counted from when its turn was, not from when it was taken: who asks late catches up.
        let from = self.flush.next_at.map_or(now, |at| at.min(now));
        self.flush.next_at = Some(after(from, span_us));
    }

    /// Whether something should leave before the next regular flush: an overdue acknowledgement, a resend, a
    /// probe.
    #[must_use]
    pub fn has_urgent(&self, now: Time) -> bool {
        self.next_timeout().is_some_and(|at| at <= now)
    }

    /// When `has_urgent` turns true if nothing happens until then; `None`: an idle link.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        let resend = (self.lanes.waiting().lost > 0).then_some(Time::ZERO);
        let ack = self.received.deadline(self.rules.limits.ack_delay_us);
        let loss = self.sent.lose_at(self.rtt.overdue_us(self.rules.limits.ack_delay_us));
        let probe = self.probe_at();
        [resend, ack, loss, probe].into_iter().flatten().min()
    }

    /// Bytes of one unreliable message that still fit into the next body of `budget_bytes`, beside what is
    /// queued, and into this flush's share of the send budget: what a snapshot should keep to. 0 while the rate
    /// limit holds.
    #[must_use]
    pub fn room_bytes(&self, now: Time, budget_bytes: usize) -> usize {
        if !self.congestion.may_send(now) {
            return 0;
        }
        let queued = self.lanes.waiting().fresh_bytes;
        let repeats = if self.repeats(now) { self.rules.config.redundancy_bytes } else { 0 };
        let head = self.received.block(now).map_or(1, |(block, reach, _)| block.encoded_bytes(reach));
        let head = head + self.marks.owed().map_or(0, |_| MARKS_BYTES);
        let share = self.congestion.unreliable_bytes(self.lanes.waiting().cut != 0);
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        budget_bytes.min(share).saturating_sub(head + HEAD_SPARE_BYTES + queued + repeats)
    }

    /// What several unreliable messages of this flush should keep to: as [`Link::room_bytes`] for the first, which rides
    /// in the next body, and bodies of their own for the others. A rate limit that holds leaves no room.
    #[must_use]
    pub fn room(&self, now: Time, budget_bytes: usize) -> SendRoom {
        let first_bytes = self.room_bytes(now, budget_bytes).min(self.fragment_bytes());
        let head = self.received.block(now).map_or(1, |(block, reach, _)| block.encoded_bytes(reach));
        let part_bytes = budget_bytes.saturating_sub(head + HEAD_SPARE_BYTES).min(self.fragment_bytes());
        let share = self.congestion.unreliable_bytes(self.lanes.waiting().cut != 0);
        // Before the second flush the rate says nothing of a flush: one body.
        let further = if share == u64::MAX || first_bytes == 0 {
            0
        } else {
            share.saturating_sub((self.lanes.waiting().fresh_bytes + first_bytes) as u64).min(ROOM_BYTES_MAX)
        };
        SendRoom { first_bytes, part_bytes, total_bytes: first_bytes + further as usize }
    }

    fn begin_flush(&mut self, now: Time, seq: u64) {
        self.flush.interval_us = self.flush.at.map_or(0, |before| since_us(now, before));
        self.congestion.on_flush(self.flush.interval_us);
        self.flush.at = Some(now);
        self.flush.from = seq;
        if !self.flush.spread {
            self.flush.next_at = None;
        }
        self.flush.wants_bulk = false;
        self.flush.bulk_bytes = 0;
        self.detect_losses(now);
        let wait_us = micros(self.rules.config.unreliable_wait);
        for channel in bits(self.lanes.unreliable(self.lanes.waiting().fresh)) {
            let Send::Unreliable(send) = &self.lanes.lane(channel).send else { continue };
            if send.has_expired(now, wait_us) {
                self.counters.messages_expired += self.lanes.with(channel, |lane| match &mut lane.send {
                    Send::Unreliable(send) => send.expire(now, wait_us),
                    Send::Reliable(_) | Send::Unused => 0,
                });
            }
        }
    }

    /// Whether a further body in the same flush could hold messages.
    fn has_more(&self) -> bool {
        let waiting = self.lanes.waiting();
        waiting.fresh | waiting.lost | waiting.cut != 0
    }

    /// Writes the head; gives the newest packet that it tells of.
    fn write_head(&self, now: Time, out: &mut Vec<u8>) -> Option<u64> {
        if let Some(tally) = self.marks.owed() {
            marks::encode(tally, out);
        }
        let Some((block, reach, newest)) = self.received.block(now) else {
            body::encode_no_acks(out);
            return None;
        };
        block.encode(reach, out);
        Some(newest)
    }

    /// An acknowledgement that cannot wait for the next flush, judged by the distance of the last two.
    fn is_ack_due(&self, now: Time) -> bool {
        let next = after(now, self.flush.interval_us.min(self.rules.limits.ack_delay_us));
        self.received.deadline(self.rules.limits.ack_delay_us).is_some_and(|deadline| deadline <= next)
    }

    fn write_items(&mut self, now: Time, seq: u64, budget_bytes: usize, out: &mut Vec<u8>) -> bool {
        let head_len = out.len();
        let mut writer = ItemWriter::new(out, budget_bytes);
        self.write_lost(seq, &mut writer);
        if seq == self.flush.from {
            self.write_repeats(now, seq, &mut writer);
        }
        self.write_fresh(seq, &mut writer);
        self.write_pieces(now, seq, budget_bytes, &mut writer);
        if let Some((channel, saved)) = writer.finish() {
            self.lanes.lane(channel).sent_bytes -= saved as u64;
        }
        out.len() > head_len
    }

    fn write_lost(&mut self, seq: u64, writer: &mut ItemWriter<'_>) {
        let mut rest = self.lanes.waiting().lost;
        while let Some(channel) = self.lanes.first(rest) {
            rest &= !(1 << channel);
            let Self { lanes, sent, .. } = self;
            self.counters.messages_repeated += lanes.with(channel, |lane| {
                let Send::Reliable(send) = &mut lane.send else { return 0 };
                let (bytes, count) = send.write_lost(seq, writer, sent);
                lane.sent_bytes += bytes as u64;
                count
            });
        }
    }

    fn repeats(&self, now: Time) -> bool {
        self.rules.config.redundancy_bytes > 0 && self.flush.repeat_until.is_none_or(|until| now < until)
    }

    fn write_repeats(&mut self, now: Time, seq: u64, writer: &mut ItemWriter<'_>) {
        let mut rest = self.lanes.waiting().unsettled;
        if rest == 0 || !self.repeats(now) {
            return;
        }
        // Until the path has shown what it is, it is taken for a lossy one.
        self.flush.repeat_until.get_or_insert(after(now, REPEAT_AT_START_US));
        let fresh = self.lanes.waiting().fresh_bytes;
        let mut limits = RepeatLimits {
            budget_bytes: self.rules.config.redundancy_bytes.min(writer.room().saturating_sub(fresh)),
            message_bytes: self.rules.config.redundancy_message_bytes,
            flush_from: self.flush.from,
            repeats_max: if fresh > 0 { REPEATS_MAX } else { REPEATS_ALONE_MAX },
        };
        while let Some(channel) = self.lanes.first(rest) {
            rest &= !(1 << channel);
            let Self { lanes, sent, .. } = self;
            let (bytes, count) = lanes.with(channel, |lane| {
                let Send::Reliable(send) = &mut lane.send else { return (0, 0) };
                let (bytes, count) = send.write_repeats(seq, &limits, writer, sent);
                lane.sent_bytes += bytes as u64;
                (bytes, count)
            });
            limits.budget_bytes -= bytes;
            self.counters.messages_repeated += count;
        }
    }

    fn write_fresh(&mut self, seq: u64, writer: &mut ItemWriter<'_>) {
        let mut rest = self.lanes.waiting().fresh;
        if self.lanes.waiting().fresh_bytes <= writer.room() {
            while let Some(channel) = self.lanes.first(rest) {
                rest &= !(1 << channel);
                self.write_new(channel, seq, usize::MAX, writer);
            }
            return;
        }
        while let Some(channel) = self.lanes.turn(rest) {
            let bytes = self.write_new(channel, seq, 1, writer);
            self.lanes.served(channel, bytes);
            if bytes == 0 {
                // What does not fit here goes first in the next body: its tag stays the least.
                rest &= !(1 << channel);
            }
            rest &= self.lanes.waiting().fresh;
        }
    }

    /// Writes up to `messages_max` new messages of a channel; gives their bytes.
    fn write_new(
        &mut self,
        channel: u8,
        seq: u64,
        messages_max: usize,
        writer: &mut ItemWriter<'_>,
    ) -> usize {
        let Self { lanes, sent, .. } = self;
        lanes.with(channel, |lane| {
            let bytes = match &mut lane.send {
                Send::Unused => 0,
                Send::Reliable(send) => send.write_fresh(seq, messages_max, writer, sent),
                Send::Unreliable(send) => send.write(channel, messages_max, writer),
            };
            lane.sent_bytes += bytes as u64;
            bytes
        })
    }

    fn write_pieces(&mut self, now: Time, seq: u64, budget_bytes: usize, writer: &mut ItemWriter<'_>) {
        let mut rest = self.lanes.waiting().cut;
        while let Some(channel) = self.lanes.turn(rest) {
            let has_piece = self.lanes.with(channel, |lane| match &mut lane.send {
                Send::Reliable(send) => send.has_piece(),
                Send::Unreliable(_) | Send::Unused => false,
            });
            if !has_piece {
                rest &= !(1 << channel);
                continue;
            }
            let in_body = (budget_bytes - writer.room()) as u64;
            if !self.congestion.may_send_bulk(now, self.sent.in_flight_bytes(), in_body) {
                self.flush.wants_bulk = true;
                return;
            }
            if self.flush.bulk_bytes >= self.rules.config.flush_bytes_max {
                // The window counts as used once it is half used: pacing must not keep it from growing.
                self.flush.wants_bulk = self.sent.in_flight_bytes() >= self.congestion.window() / 2;
                return;
            }
            let Self { lanes, sent, .. } = self;
            let written = lanes.with(channel, |lane| {
                let Send::Reliable(send) = &mut lane.send else { return None };
                let (bytes, is_again) = send.write_piece(seq, writer, sent)?;
                lane.sent_bytes += bytes as u64;
                Some((bytes, is_again))
            });
            let Some((bytes, is_again)) = written else { return };
            self.lanes.served(channel, bytes);
            self.counters.messages_repeated += u64::from(is_again);
            self.flush.bulk_bytes += bytes as u64;
        }
    }
}

/// What may be sent in one flush, in messages that are not cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SendRoom {
    /// Bytes of the first message, beside what is queued.
    pub first_bytes: usize,
    /// Bytes of each further one; 0: there is but one.
    pub part_bytes: usize,
    /// Bytes of all together.
    pub total_bytes: usize,
}

/// Most further bytes that one flush offers: the queue of a channel holds four times that.
const ROOM_BYTES_MAX: u64 = 64 << 10;
/// Repeating is on for this long after the first message.
const REPEAT_AT_START_US: u64 = 1_000_000;
/// How often a message rides again in bodies that leave anyway.
const REPEATS_MAX: u8 = 8;
/// Tag and length of the message 3, and what the acknowledgements may still grow by until the flush.
const HEAD_SPARE_BYTES: usize = 8;
