//! One peer's acknowledgements and channels. Knows bodies and packet numbers; must never know a key, an
//! address, a socket or a clock.
//!
//! The caller numbers packets (the session's sequence), seals what `poll_body` composes and opens what
//! `handle_body` is given. Time is an argument everywhere. `intake` is the way in, `compose` the way out; the
//! other rooms are leaves that do not know each other's timing.

mod assembly;
mod body;
mod compose;
mod config;
mod congestion;
mod error;
mod inbox;
mod intake;
mod received;
mod reliable_receive;
mod reliable_send;
mod ring;
mod rtt;
mod sent;
mod stats;
mod unreliable;
mod window;

use bytes::Bytes;
use netcode_wire::Time;

pub use self::config::{BODY_BYTES_MIN, BODY_MARGIN_BYTES, LinkConfig};
pub use self::error::{LinkError, SendError};
pub use self::stats::{Ledger, LinkStats};

use self::compose::Flush;
use self::congestion::Congestion;
use self::inbox::Inbox;
use self::received::Received;
use self::reliable_receive::ReliableReceive;
use self::reliable_send::ReliableSend;
use self::rtt::Rtt;
use self::sent::{Carried, Sent};
use self::unreliable::{UnreliableReceive, UnreliableSend};
use crate::channels::{ChannelId, ChannelKind, ChannelSet, MESSAGE_OVERHEAD_BYTES};

/// Acknowledgements, channels and send budget towards one peer.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    limits: Limits,
    channels: Vec<Channel>,
    received: Received,
    sent: Sent,
    rtt: Rtt,
    congestion: Congestion,
    inbox: Inbox,
    held: Held,
    flush: Flush,
    stats: LinkStats,
    scratch: Scratch,
}

impl Link {
    /// A link with nothing sent or received. Both ends must be given equal channel sets.
    ///
    /// # Panics
    /// When a queue cannot hold one longest message, or messages may be 2^28 bytes long.
    #[must_use]
    pub fn new(channels: &ChannelSet, config: LinkConfig) -> Self {
        let limits = Limits {
            message_bytes: channels.message_bytes_max,
            queue_bytes: channels.queue_bytes_max,
            reassembly_bytes: channels.reassembly_bytes_max,
        };
        let longest = limits.message_bytes + MESSAGE_OVERHEAD_BYTES;
        assert!(limits.message_bytes < body::VARINT_END as usize, "message lengths are limited below 2^28");
        assert!(
            limits.queue_bytes >= longest && limits.reassembly_bytes >= longest,
            "a queue holds a message"
        );
        assert!(config.fragment_bytes > 0, "a piece has bytes");
        Self {
            limits,
            channels: (0..).zip(channels.kinds()).map(|(index, kind)| Channel::new(index, *kind)).collect(),
            received: Received::default(),
            sent: Sent::default(),
            rtt: Rtt::default(),
            congestion: Congestion::new(config.rate_bytes_per_s, config.burst_bytes),
            inbox: Inbox::default(),
            held: Held::default(),
            flush: Flush::default(),
            stats: LinkStats::default(),
            scratch: Scratch::default(),
            config,
        }
    }

    /// Queues a message for the next flush.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then. `ChannelFull` is not fatal: try again after the peer has
    /// acknowledged.
    pub fn send(&mut self, now: Time, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        let Limits { message_bytes, queue_bytes, reassembly_bytes } = self.limits;
        let fragment_bytes = self.config.fragment_bytes;
        let reliable_bytes = self.reliable_bytes();
        let queues = self.channels.get_mut(channel.index()).ok_or(SendError::NoSuchChannel(channel.0))?;
        if message.len() > message_bytes {
            return Err(SendError::MessageTooLong { length: message.len(), limit: message_bytes });
        }
        match queues {
            Channel::Unreliable { send, .. } => send.push(now, message, fragment_bytes, queue_bytes),
            Channel::Reliable { send, .. } => {
                if reliable_bytes + message.len() + MESSAGE_OVERHEAD_BYTES > reassembly_bytes {
                    return Err(SendError::ChannelFull);
                }
                send.push(message, fragment_bytes, queue_bytes)
            }
        }
    }

    /// The next received message, of any channel, in the order of delivery.
    pub fn receive(&mut self) -> Option<(ChannelId, Bytes)> {
        self.inbox.pop()
    }

    /// Books `bytes` that the session put around a body (prefix, sequence, tag) into the ledger's header.
    pub fn note_overhead(&mut self, bytes: usize) {
        self.stats.ledger.header += bytes as u64;
    }

    /// Estimates and counters since the link began.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        let unreliable = self.channels.iter().map(Channel::unreliable_queued_bytes).sum::<usize>();
        LinkStats {
            rtt_us: if self.rtt.is_known() { micros(self.rtt.smoothed()) } else { 0 },
            rtt_min_us: if self.rtt.is_known() { micros(self.rtt.min()) } else { 0 },
            jitter_us: if self.rtt.is_known() { micros(self.rtt.deviation()) } else { 0 },
            bytes_sent: self.stats.ledger.total(),
            queued_bytes: unreliable + self.reliable_bytes(),
            held_bytes: self.held.reliable_bytes + self.held.unreliable_bytes + self.inbox.bytes(),
            in_flight_bytes: self.sent.in_flight_bytes(),
            window_bytes: self.congestion.window(),
            ..self.stats
        }
    }

    /// Whether every reliable message that was queued has been acknowledged.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.reliable_bytes() == 0
    }

    fn reliable_bytes(&self) -> usize {
        self.channels.iter().map(Channel::reliable_span_bytes).sum()
    }
}

/// Both halves of one channel.
#[derive(Debug)]
enum Channel {
    Unreliable { send: UnreliableSend, receive: UnreliableReceive },
    Reliable { send: ReliableSend, receive: ReliableReceive },
}

impl Channel {
    fn new(index: u8, kind: ChannelKind) -> Self {
        let reliable = |is_ordered| Self::Reliable {
            send: ReliableSend::new(index),
            receive: ReliableReceive::new(is_ordered),
        };
        let unreliable = |is_sequenced| Self::Unreliable {
            send: UnreliableSend::default(),
            receive: UnreliableReceive::new(is_sequenced),
        };
        match kind {
            ChannelKind::Unreliable => unreliable(false),
            ChannelKind::UnreliableSequenced => unreliable(true),
            ChannelKind::ReliableUnordered => reliable(false),
            ChannelKind::ReliableOrdered => reliable(true),
        }
    }

    fn reliable_send(&mut self) -> Option<&mut ReliableSend> {
        match self {
            Self::Reliable { send, .. } => Some(send),
            Self::Unreliable { .. } => None,
        }
    }

    fn reliable_span_bytes(&self) -> usize {
        match self {
            Self::Reliable { send, .. } => send.span_bytes(),
            Self::Unreliable { .. } => 0,
        }
    }

    fn unreliable_queued_bytes(&self) -> usize {
        match self {
            Self::Unreliable { send, .. } => send.queued_bytes(),
            Self::Reliable { .. } => 0,
        }
    }

    /// Bytes in a body of what was never sent and is not bulk.
    fn fresh_bytes(&self) -> usize {
        match self {
            Self::Unreliable { send, .. } => send.fresh_bytes(),
            Self::Reliable { send, .. } => send.fresh_bytes(),
        }
    }
}

/// The channel set's limits.
#[derive(Debug, Clone, Copy)]
struct Limits {
    message_bytes: usize,
    queue_bytes: usize,
    reassembly_bytes: usize,
}

/// What all channels hold back together, with overhead.
#[derive(Debug, Default)]
struct Held {
    reliable_bytes: usize,
    unreliable_bytes: usize,
}

/// Working memory that is empty between calls.
#[derive(Debug, Default)]
struct Scratch {
    carried: Vec<Carried>,
    lost: Vec<(Carried, u64)>,
    ids: Vec<u64>,
}

fn micros(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
