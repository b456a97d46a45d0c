//! The way out: what goes into the next body, in which order, and when a body is due at all. Must never know
//! how bodies are taken in.
//!
//! Order in a body: acknowledgements; lost messages again; repeats (while the path loses packets); new
//! reliable messages; unreliable messages; at last pieces of long messages, channel by channel in turn, as
//! far as the congestion window lets them.

use std::time::Duration;

use netcode_wire::Time;

use super::body::{self, ItemWriter};
use super::reliable_send::{REPEATS_ALONE_MAX, RepeatLimits};
use super::{Channel, Link};
use crate::channels::ChannelId;

/// What composing remembers between bodies.
#[derive(Debug, Default)]
pub(super) struct Flush {
    /// When the flush under way began (calls at one moment are one flush), and how long after the one before.
    at: Option<Time>,
    interval: Duration,
    /// Its first packet.
    from: u64,
    /// Until when messages are repeated; `None` before the first packet.
    pub(super) repeat_until: Option<Time>,
    /// Probes since the last acknowledgement.
    pub(super) probes: u32,
    /// Whether the last flush left pieces behind for want of window.
    pub(super) wants_bulk: bool,
    /// The channel whose pieces come first next time.
    bulk_turn: usize,
    /// Bytes of pieces that left in this flush.
    bulk_bytes: u64,
}

impl Link {
    /// Composes the body of our packet `seq` into `out`, which is cleared first, in at most `budget_bytes`
    /// (at least the fragment size plus [`BODY_MARGIN_BYTES`](super::BODY_MARGIN_BYTES)).
    ///
    /// `seq` must be greater than in every earlier call that gave true. False: nothing is due and `seq` is
    /// not used. Call it in a loop with rising `seq` until it gives false; it stops by itself at the send
    /// budget.
    pub fn poll_body(&mut self, now: Time, seq: u64, budget_bytes: usize, out: &mut Vec<u8>) -> bool {
        debug_assert!(budget_bytes >= self.config.fragment_bytes + super::BODY_MARGIN_BYTES, "a piece fits");
        out.clear();
        if self.flush.at != Some(now) {
            self.begin_flush(now, seq);
        }
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
        self.congestion.on_send(now, out.len());
        self.stats.packets_sent += 1;
        self.stats.ledger.header += 1;
        self.stats.ledger.acks += head_len as u64 - 1;
        true
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
        let has_lost = self.channels.iter().any(|channel| match channel {
            Channel::Reliable { send, .. } => send.has_lost(),
            Channel::Unreliable { .. } => false,
        });
        let resend = has_lost.then_some(Time::ZERO);
        let ack = self.received.deadline(self.config.max_ack_delay);
        let loss = self.sent.lose_at(self.rtt.overdue(self.config.max_ack_delay));
        let probe = self.probe_at();
        [resend, ack, loss, probe].into_iter().flatten().min()
    }

    /// Bytes of one unreliable message that still fit into the next body of `budget_bytes`, beside what is
    /// queued. 0 while the rate limit holds.
    #[must_use]
    pub fn room_bytes(&self, now: Time, budget_bytes: usize) -> usize {
        if !self.congestion.may_send(now) {
            return 0;
        }
        let queued: usize = self.channels.iter().map(Channel::fresh_bytes).sum();
        let repeats = if self.repeats(now) { self.config.redundancy_bytes } else { 0 };
        let head = self.received.block(now).map_or(1, |(block, reach, _)| block.encoded_bytes(reach));
        budget_bytes.saturating_sub(head + HEAD_SPARE_BYTES + queued + repeats)
    }

    fn begin_flush(&mut self, now: Time, seq: u64) {
        self.flush.interval = self.flush.at.map_or(Duration::ZERO, |before| now.since(before));
        self.flush.at = Some(now);
        self.flush.from = seq;
        self.flush.wants_bulk = false;
        self.flush.bulk_bytes = 0;
        self.detect_losses(now);
        let wait = self.config.unreliable_wait;
        for channel in &mut self.channels {
            if let Channel::Unreliable { send, .. } = channel {
                self.stats.messages_expired += send.expire(now, wait);
            }
        }
    }

    /// Writes the head; gives the newest packet that it tells of.
    fn write_head(&self, now: Time, out: &mut Vec<u8>) -> Option<u64> {
        let Some((block, reach, newest)) = self.received.block(now) else {
            body::encode_no_acks(out);
            return None;
        };
        block.encode(reach, out);
        Some(newest)
    }

    /// An acknowledgement that cannot wait for the next flush, judged by the distance of the last two.
    fn is_ack_due(&self, now: Time) -> bool {
        let next = now + self.flush.interval.min(self.config.max_ack_delay);
        self.received.deadline(self.config.max_ack_delay).is_some_and(|deadline| deadline <= next)
    }

    fn write_items(&mut self, now: Time, seq: u64, budget_bytes: usize, out: &mut Vec<u8>) -> bool {
        let head_len = out.len();
        let mut writer = ItemWriter::new(out, budget_bytes);
        self.write_lost(seq, &mut writer);
        self.write_repeats(now, seq, &mut writer);
        self.write_fresh(seq, &mut writer);
        self.write_pieces(now, seq, budget_bytes, &mut writer);
        if let Some((channel, saved)) = writer.finish() {
            self.stats.ledger.channel[usize::from(channel)] -= saved as u64;
        }
        out.len() > head_len
    }

    fn write_lost(&mut self, seq: u64, writer: &mut ItemWriter<'_>) {
        for (index, channel) in (0..).zip(&mut self.channels) {
            if let Channel::Reliable { send, .. } = channel {
                let (bytes, count) = send.write_lost(seq, writer, &mut self.sent);
                self.stats.ledger.add(ChannelId(index), bytes);
                self.stats.messages_repeated += count;
            }
        }
    }

    fn repeats(&self, now: Time) -> bool {
        self.config.redundancy_bytes > 0 && self.flush.repeat_until.is_none_or(|until| now < until)
    }

    fn write_repeats(&mut self, now: Time, seq: u64, writer: &mut ItemWriter<'_>) {
        if !self.repeats(now) {
            return;
        }
        // Until the path has shown what it is, it is taken for a lossy one.
        self.flush.repeat_until.get_or_insert(now + REPEAT_AT_START);
        let fresh: usize = self.channels.iter().map(Channel::fresh_bytes).sum();
        let room = writer.room().saturating_sub(fresh);
        let mut limits = RepeatLimits {
            budget_bytes: self.config.redundancy_bytes.min(room),
            message_bytes: self.config.redundancy_message_bytes,
            flush_from: self.flush.from,
            repeats_max: if fresh > 0 { REPEATS_MAX } else { REPEATS_ALONE_MAX },
        };
        for (index, channel) in (0..).zip(&mut self.channels) {
            if let Channel::Reliable { send, .. } = channel {
                let (bytes, count) =
                    send.write_repeats(seq, &limits, &mut self.scratch.ids, writer, &mut self.sent);
                limits.budget_bytes -= bytes;
                self.stats.ledger.add(ChannelId(index), bytes);
                self.stats.messages_repeated += count;
            }
        }
    }

    fn write_fresh(&mut self, seq: u64, writer: &mut ItemWriter<'_>) {
        for (index, channel) in (0..).zip(&mut self.channels) {
            if let Channel::Reliable { send, .. } = channel {
                let bytes = send.write_fresh(seq, writer, &mut self.sent);
                self.stats.ledger.add(ChannelId(index), bytes);
            }
        }
        for (index, channel) in (0..).zip(&mut self.channels) {
            if let Channel::Unreliable { send, .. } = channel {
                let bytes = send.write(index, writer);
                self.stats.ledger.add(ChannelId(index), bytes);
            }
        }
    }

    fn write_pieces(&mut self, now: Time, seq: u64, budget_bytes: usize, writer: &mut ItemWriter<'_>) {
        let count = self.channels.len();
        for turn in 0..count {
            let index = (self.flush.bulk_turn + turn) % count;
            let Some(send) = self.channels[index].reliable_send() else { continue };
            while send.has_piece() {
                let in_body = (budget_bytes - writer.room()) as u64;
                if self.congestion.bulk_room(now, self.sent.in_flight_bytes() + in_body) == 0 {
                    self.flush.wants_bulk = true;
                    return;
                }
                if self.flush.bulk_bytes >= self.config.flush_bytes_max {
                    // The window counts as used once it is half used: pacing must not keep it from growing.
                    self.flush.wants_bulk = self.sent.in_flight_bytes() >= self.congestion.window() / 2;
                    return;
                }
                let Some((bytes, is_again)) = send.write_piece(seq, writer, &mut self.sent) else { return };
                self.stats.ledger.add(ChannelId(index as u8), bytes);
                self.stats.messages_repeated += u64::from(is_again);
                self.flush.bulk_turn = index + 1;
                self.flush.bulk_bytes += bytes as u64;
            }
        }
    }
}

/// Repeating is on for this long after the first message.
const REPEAT_AT_START: Duration = Duration::from_secs(1);
/// How often a message rides again in bodies that leave anyway.
const REPEATS_MAX: u8 = 8;
/// Tag and length of the message 3, and what the acknowledgements may still grow by until the flush.
const HEAD_SPARE_BYTES: usize = 8;
