//! What a link may be told. Owns the knobs and their defaults; must never know a channel.

use std::time::Duration;

/// How one link behaves. The two ends need not agree on any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkConfig {
    /// How long an acknowledgement may wait for a packet to ride in.
    pub max_ack_delay: Duration,
    /// How many bytes of each packet may repeat small reliable messages that are not yet acknowledged,
    /// while the path loses packets. 0 turns repeating off.
    pub redundancy_bytes: usize,
    /// The longest message that is repeated.
    pub redundancy_message_bytes: usize,
    /// How long after a loss messages are still repeated; a clean path repeats nothing.
    pub redundancy_hold: Duration,
    /// The most that this link sends, in bytes a second, all bodies counted: the ceiling of the send budget.
    pub rate_bytes_per_s: u64,
    /// The floor of the send budget, in bytes a second: whatever the path does, so much may leave.
    pub rate_floor_bytes_per_s: u64,
    /// What of the budget pieces of long messages get at least while they wait, in percent; the rest is first of
    /// all for what cannot wait: unreliable and short messages.
    pub bulk_share_percent: u8,
    /// How many bytes above the rate may leave at once.
    pub burst_bytes: u64,
    /// How many bytes of pieces may leave in one flush: what a receiver's socket buffer takes without being
    /// read (Linux' default of 208 KiB holds about 90 datagrams).
    pub flush_bytes_max: u64,
    /// The longest piece that a message is cut into, and the longest message that is not cut. What bodies may hold on
    /// the path, less [`BODY_MARGIN_BYTES`], bounds it further.
    pub fragment_bytes: usize,
    /// How many bytes of received messages may wait for `receive`; beyond it packets are refused unread and
    /// unacknowledged, so that the peer slows down.
    pub receive_bytes_max: usize,
    /// How long an unreliable message may wait for the rate limit before it is dropped.
    pub unreliable_wait: Duration,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            max_ack_delay: Duration::from_millis(25),
            // 160 = four copies of 32 bytes, each with its 4 bytes of head, and a little room.
            redundancy_bytes: 160,
            redundancy_message_bytes: 64,
            redundancy_hold: Duration::from_secs(10),
            rate_bytes_per_s: 8_000_000,
            // 833 bytes a tick at 60 Hz, 0.4 Mbit/s: less is no game.
            rate_floor_bytes_per_s: 50_000,
            bulk_share_percent: 25,
            burst_bytes: 192 << 10,
            // 72 datagrams of 1150 bytes: 5 MB/s at 60 Hz.
            flush_bytes_max: 72 * 1150,
            // 1472 datagram − 29 sealing (1 prefix, 4 id, 8 sequence, 16 tag) − 64 margin.
            fragment_bytes: 1379,
            receive_bytes_max: 1 << 20,
            unreliable_wait: Duration::from_millis(100),
        }
    }
}

/// What a body holds at most beside one fragment's bytes: marks 4, head and acknowledgements 38, fragment head 11.
pub const BODY_MARGIN_BYTES: usize = 64;
/// What bodies may hold before anybody says more ([`Link::set_body_bytes`](super::Link::set_body_bytes)): the least
/// that `poll_body` may be given then.
pub const BODY_BYTES_MIN: usize = 1100 + BODY_MARGIN_BYTES;
