//! What a link tells about itself: counters, estimates, and where every byte went.

use super::Link;
use super::lanes::Lane;
use crate::channels::{CHANNELS_MAX, ChannelId};

/// Every byte that left, by what it was for. The parts sum to [`LinkStats::bytes_sent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    /// Body heads, and what the session reported around the body (prefix, sequence, tag).
    pub header: u64,
    /// Acknowledgements.
    pub acks: u64,
    /// Messages with their heads, repeats included, by channel.
    pub channel: [u64; CHANNELS_MAX],
}

impl Ledger {
    /// Every byte.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.header + self.acks + self.channel.iter().sum::<u64>()
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self { header: 0, acks: 0, channel: [0; CHANNELS_MAX] }
    }
}

/// A link's estimates and counters since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LinkStats {
    /// Smoothed round-trip time without the peer's acknowledgement delay, microseconds; 0 before the first sample.
    pub rtt_us: u64,
    /// The smallest round-trip time of the last ten to twenty seconds, microseconds.
    pub rtt_min_us: u64,
    /// Smoothed deviation of the round-trip time, microseconds.
    pub jitter_us: u64,
    /// Share of sent packets that the path lost lately, 0..=1.
    pub loss: f32,
    /// Bodies composed.
    pub packets_sent: u64,
    /// Bodies taken in, duplicates and refusals not counted.
    pub packets_received: u64,
    /// Sent packets declared lost.
    pub packets_lost: u64,
    /// Bodies dropped as already seen or too old.
    pub packets_stale: u64,
    /// Bodies refused because `receive` was not called in time.
    pub packets_refused: u64,
    /// Bytes that left, as in the ledger.
    pub bytes_sent: u64,
    /// Bytes of bodies taken in.
    pub bytes_received: u64,
    /// Bytes of messages unsent or unacknowledged, with their overhead.
    pub queued_bytes: usize,
    /// Bytes of messages held back or partly received.
    pub held_bytes: usize,
    /// Unreliable messages dropped unsent, because the rate limit held them too long.
    pub messages_expired: u64,
    /// Message bodies sent again, as repeats or after a loss.
    pub messages_repeated: u64,
    /// Bytes in flight that the peer has not acknowledged.
    pub in_flight_bytes: u64,
    /// Bytes that the congestion controller allows in flight for bulk.
    pub window_bytes: u64,
    /// The send budget: bytes a second that may leave. Between the configured floor and ceiling.
    pub budget_bytes_per_s: u64,
    /// Bytes a second that the peer received, over the last round trip or 50 ms.
    pub delivered_bytes_per_s: u64,
    /// By how much the standing round trip exceeds the least one: the queue on the path, microseconds.
    pub queue_delay_us: u64,
    /// Whether our packets are marked as ECN-capable: both ends take part, and the path keeps the marks.
    pub ecn: bool,
    /// Our packets that met a congested router, as the peer told it (CE).
    pub packets_marked: u64,
    /// What a body may hold on the path as it is now.
    pub body_bytes_max: usize,
    /// Where the bytes went.
    pub ledger: Ledger,
}

/// What one channel of a link has sent and still holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelStats {
    /// Bytes of its messages that left, heads and repeats included: its line of the ledger.
    pub sent_bytes: u64,
    /// Messages queued, or sent and not acknowledged.
    pub queued_messages: usize,
    /// Their bytes, with [`MESSAGE_OVERHEAD_BYTES`](crate::channels::MESSAGE_OVERHEAD_BYTES) each: what counts
    /// against `queue_bytes_max`.
    pub queued_bytes: usize,
    /// Bytes in a body of those that never left and are not cut: what delays the next one.
    pub unsent_bytes: usize,
}

/// What is counted as it happens; the rest is computed when asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) header_bytes: u64,
    pub(super) ack_bytes: u64,
    pub(super) packets_sent: u64,
    pub(super) packets_received: u64,
    pub(super) packets_lost: u64,
    pub(super) packets_stale: u64,
    pub(super) packets_refused: u64,
    pub(super) bytes_received: u64,
    pub(super) messages_expired: u64,
    pub(super) messages_repeated: u64,
    pub(super) loss: f32,
}

impl Link {
    /// Estimates and counters since the link began.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        let Self { counters, rtt, .. } = self;
        let ledger = self.ledger();
        let waiting = self.lanes.waiting();
        let known = |us: u64| if rtt.is_known() { us } else { 0 };
        LinkStats {
            rtt_us: known(rtt.smoothed_us()),
            rtt_min_us: known(rtt.min_us()),
            jitter_us: known(rtt.deviation_us()),
            loss: counters.loss,
            packets_sent: counters.packets_sent,
            packets_received: counters.packets_received,
            packets_lost: counters.packets_lost,
            packets_stale: counters.packets_stale,
            packets_refused: counters.packets_refused,
            bytes_sent: ledger.total(),
            bytes_received: counters.bytes_received,
            queued_bytes: waiting.unreliable_bytes + waiting.reliable_bytes,
            held_bytes: self.held.reliable_bytes + self.held.unreliable_bytes + self.inbox.bytes(),
            messages_expired: counters.messages_expired,
            messages_repeated: counters.messages_repeated,
            in_flight_bytes: self.sent.in_flight_bytes(),
            window_bytes: self.congestion.window(),
            budget_bytes_per_s: self.congestion.rate(),
            delivered_bytes_per_s: self.congestion.delivered(),
            queue_delay_us: known(self.congestion.queue_us(rtt)),
            ecn: self.marks.are_set(),
            packets_marked: self.marks.told_ce(),
            body_bytes_max: self.body_bytes,
            ledger,
        }
    }

    /// What one channel has sent and still holds; `None` when there is no such channel.
    #[must_use]
    pub fn channel_stats(&self, channel: ChannelId) -> Option<ChannelStats> {
        self.lanes.iter().nth(channel.index()).map(Lane::stats)
    }

    fn ledger(&self) -> Ledger {
        let Counters { header_bytes: header, ack_bytes: acks, .. } = self.counters;
        let mut channel = [0; CHANNELS_MAX];
        channel.iter_mut().zip(self.lanes.iter()).for_each(|(bytes, lane)| *bytes = lane.sent_bytes);
        Ledger { header, acks, channel }
    }
}
