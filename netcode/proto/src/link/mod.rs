//! One peer's acknowledgements and channels. Knows bodies and packet numbers; must never know a key, an
//! address, a socket or a clock.
//!
//! The caller numbers packets (the session's sequence), seals what `poll_body` composes and opens what
//! `handle_body` is given. Time is an argument everywhere. `intake` is the way in, `compose` the way out; the
//! other rooms are leaves that do not know each other's timing.

mod assembly;
mod body;
mod bucket;
mod compose;
mod config;
mod congestion;
mod error;
mod inbox;
mod intake;
mod lanes;
mod marks;
mod received;
mod reliable_receive;
mod reliable_send;
mod ring;
mod rtt;
mod sent;
mod slabs;
mod span;
mod stats;
mod unreliable;
mod window;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use netcode_wire::{Ecn, Time};

pub use self::compose::SendRoom;
pub use self::config::{BODY_BYTES_MIN, BODY_MARGIN_BYTES, LinkConfig};
pub use self::error::{LinkError, SendError};
pub use self::stats::{ChannelStats, Ledger, LinkStats};

use self::compose::Flush;
use self::congestion::Congestion;
use self::inbox::Inbox;
use self::lanes::{Lanes, Send};
use self::marks::Marks;
use self::received::Received;
use self::rtt::Rtt;
use self::sent::Sent;
use self::slabs::LINK_SLAB_BYTES_MAX;
pub(crate) use self::slabs::Slabs;
use self::span::micros;
use self::stats::Counters;
use crate::channels::{ChannelId, ChannelSet, MESSAGE_OVERHEAD_BYTES};

/// Acknowledgements, channels and send budget towards one peer.
#[derive(Debug)]
pub struct Link {
    rules: Arc<Rules>,
    lanes: Lanes,
    received: Received,
    sent: Sent,
    rtt: Rtt,
    congestion: Congestion,
    marks: Marks,
    inbox: Inbox,
    /// What `receive` lends from, once it was asked.
    slabs: Option<Box<Slabs>>,
    held: Held,
    flush: Flush,
    counters: Counters,
    /// What bodies may hold on the path as it is now.
    body_bytes: usize,
}

impl Link {
    /// A link with nothing sent or received. Both ends must be given equal channel sets.
    ///
    /// # Panics
    /// When a queue cannot hold one longest message, or messages may be 2^28 bytes long.
    #[must_use]
    pub fn new(channels: &ChannelSet, config: LinkConfig) -> Self {
        Self::with_rules(channels, &Arc::new(Rules::new(channels, config)))
    }

    /// [`Link::new`] with rules that all links of one owner share; `channels` must be what they were made for.
    pub(crate) fn with_rules(channels: &ChannelSet, rules: &Arc<Rules>) -> Self {
        Self {
            lanes: Lanes::new(channels),
            received: Received::default(),
            sent: Sent::default(),
            rtt: Rtt::default(),
            congestion: Congestion::new(&rules.config),
            marks: Marks::default(),
            inbox: Inbox::default(),
            slabs: None,
            held: Held::default(),
            flush: Flush::default(),
            counters: Counters::default(),
            body_bytes: BODY_BYTES_MIN,
            rules: rules.clone(),
        }
    }

    /// The path takes bodies of up to `bytes` from our packet `seq` on; `poll_body` may be given as much. Messages that
    /// were cut for a wider path are cut again. Bodies of more than `doubtful_bytes` make up [`Link::long_losses`].
    pub fn set_body_bytes(&mut self, seq: u64, bytes: usize, doubtful_bytes: usize) {
        debug_assert!(bytes > BODY_MARGIN_BYTES, "a piece has bytes");
        let narrower = bytes < self.body_bytes;
        self.body_bytes = bytes;
        self.sent.watch_longer_than(doubtful_bytes);
        if narrower {
            self.lanes.recut(self.fragment_bytes(), seq);
        }
    }

    /// The peer is somewhere else: from our packet `seq` on everything goes another way. What the path was measured to be
    /// is forgotten, and what was sent before tells nothing about the new one (RFC 9000 §9.4). What bodies may hold
    /// is for [`Link::set_body_bytes`] to say.
    pub fn path_changed(&mut self, now: Time, seq: u64) {
        self.rtt = Rtt::default();
        self.congestion.restart(now);
        self.marks.path_changed();
        self.sent.path_changed(seq);
        self.counters.loss = 0.0;
        self.flush.repeat_until = None;
        self.flush.probes = 0;
    }

    /// What bodies may hold on the path.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// Long bodies that were lost since the last one was acknowledged: what lets a path be suspected of swallowing them.
    #[must_use]
    pub fn long_losses(&self) -> u32 {
        self.sent.long_losses()
    }

    /// After how long an answer of the peer is overdue: the probe timeout of RFC 9002 §6.2.1.
    #[must_use]
    pub fn patience(&self) -> Duration {
        Duration::from_micros(self.rtt.probe_us(self.rules.limits.ack_delay_us, 0))
    }

    /// The longest message that is not cut, and the longest piece.
    fn fragment_bytes(&self) -> usize {
        self.rules.config.fragment_bytes.min(self.body_bytes - BODY_MARGIN_BYTES)
    }

    /// Queues a message for the next flush.
    ///
    /// # Errors
    /// [`SendError`]; nothing was queued then. `ChannelFull` is not fatal: try again after the peer has
    /// acknowledged.
    pub fn send(&mut self, now: Time, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        let Limits { message_bytes, queue_bytes, reassembly_bytes, .. } = self.rules.limits;
        if channel.index() >= self.lanes.len() {
            return Err(SendError::NoSuchChannel(channel.0));
        }
        if message.len() > message_bytes {
            return Err(SendError::MessageTooLong { length: message.len(), limit: message_bytes });
        }
        let reliable_bytes = self.lanes.waiting().reliable_bytes;
        let fragment_bytes = self.fragment_bytes();
        self.lanes.with(channel.0, |lane| match &mut lane.send {
            Send::Unused => Ok(()),
            Send::Unreliable(send) => send.push(now, message, fragment_bytes, queue_bytes),
            Send::Reliable(send) => {
                if reliable_bytes + message.len() + MESSAGE_OVERHEAD_BYTES > reassembly_bytes {
                    return Err(SendError::ChannelFull);
                }
                send.push(message, fragment_bytes, queue_bytes)
            }
        })
    }

    /// The next received message, of any channel, in the order of delivery.
    pub fn receive(&mut self) -> Option<(ChannelId, Bytes)> {
        let slabs = self.slabs.get_or_insert_with(|| Box::new(Slabs::new(LINK_SLAB_BYTES_MAX)));
        self.inbox.pop(slabs)
    }

    /// Lets `accept` look at the next received message, which is not copied; whether there was one.
    pub fn receive_with(&mut self, accept: &mut dyn FnMut(ChannelId, &[u8])) -> bool {
        self.inbox.pop_with(accept)
    }

    /// Whether `receive` would give a message.
    #[must_use]
    pub fn has_received(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// [`Link::receive`] with memory that several links share.
    pub(crate) fn receive_from(&mut self, slabs: &mut Slabs) -> Option<(ChannelId, Bytes)> {
        self.inbox.pop(slabs)
    }

    /// Whether both ends mark their packets and tell each other of the marks (ECN): from now on bodies may do so. Both ends
    /// must say the same, before the first body that is sent after they agreed.
    pub fn set_ecn(&mut self, agreed: bool) {
        self.marks.agree(agreed);
    }

    /// Whether our packets are to be marked as capable, [`Ecn::Ect0`]: agreed on, and the path keeps marks.
    #[must_use]
    pub fn marks_packets(&self) -> bool {
        self.marks.are_set()
    }

    /// A fresh and authentic packet of the peer, which agreed to mark, came with this; to be told before its body is.
    pub fn handle_mark(&mut self, ecn: Ecn) {
        let next = self.sent.next_seq();
        self.marks.note(ecn, next);
    }

    /// A packet left that is none of [`Link::poll_body`].
    pub fn note_aside(&mut self) {
        self.marks.note_aside();
    }

    /// Books `bytes` that the session put around a body (prefix, sequence, tag) into the ledger's header.
    pub fn note_overhead(&mut self, bytes: usize) {
        self.counters.header_bytes += bytes as u64;
    }

    /// Whether every reliable message that was queued has been acknowledged.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.lanes.waiting().reliable_bytes == 0
    }
}

/// What links do not decide themselves. A server's thousands of links share one: it is always at hand.
#[derive(Debug)]
pub(crate) struct Rules {
    config: LinkConfig,
    limits: Limits,
}

impl Rules {
    /// As [`Link::new`] says.
    pub(crate) fn new(channels: &ChannelSet, config: LinkConfig) -> Self {
        let limits = Limits {
            message_bytes: channels.message_bytes_max,
            queue_bytes: channels.queue_bytes_max,
            reassembly_bytes: channels.reassembly_bytes_max,
            ack_delay_us: micros(config.max_ack_delay),
        };
        let longest = limits.message_bytes + MESSAGE_OVERHEAD_BYTES;
        assert!(limits.message_bytes < body::VARINT_END as usize, "message lengths are limited below 2^28");
        assert!(
            limits.queue_bytes >= longest && limits.reassembly_bytes >= longest,
            "a queue holds a message"
        );
        assert!(config.fragment_bytes > 0, "a piece has bytes");
        Self { config, limits }
    }
}

/// The channel set's limits, and the configuration's in the unit that packets are judged in.
#[derive(Debug, Clone, Copy)]
struct Limits {
    message_bytes: usize,
    queue_bytes: usize,
    reassembly_bytes: usize,
    ack_delay_us: u64,
}

/// What all channels hold back together, with overhead.
#[derive(Debug, Default)]
struct Held {
    reliable_bytes: usize,
    unreliable_bytes: usize,
}

/// The members of a set of channels, by number.
fn bits(set: u64) -> impl Iterator<Item = u8> {
    let mut rest = set;
    std::iter::from_fn(move || {
        let lowest = (rest != 0).then(|| rest.trailing_zeros() as u8);
        rest &= rest.wrapping_sub(1);
        lowest
    })
}
