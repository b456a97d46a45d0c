//! Which channels a connection has, what each promises and how much each may hold. Knows no packet and no
//! peer: both ends of a connection build the same set, which is why the limits stand here.

/// What a channel promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// Sent once; may be lost, may arrive out of order, never twice.
    Unreliable,
    /// Sent once; may be lost; one that is older than the last one delivered is dropped.
    UnreliableSequenced,
    /// Delivered exactly once, in the order in which they arrive.
    ReliableUnordered,
    /// Delivered exactly once, in the order in which they were sent.
    ReliableOrdered,
}

impl ChannelKind {
    /// Whether a message of this kind is sent until it is acknowledged.
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        matches!(self, Self::ReliableUnordered | Self::ReliableOrdered)
    }
}

/// A channel of a [`ChannelSet`], by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u8);

impl ChannelId {
    /// The position in the set.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Who goes first when not everything fits. Each end decides for what it sends; the wire does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Precedence {
    /// A channel sends nothing while one with a greater priority waits. It orders small messages among each other
    /// and long (cut) ones among each other: no long message ever holds up a small one.
    pub priority: u8,
    /// Channels of equal priority share what there is in this proportion, by bytes; at least 1.
    pub weight: u8,
}

impl Default for Precedence {
    fn default() -> Self {
        Self { priority: 0, weight: 16 }
    }
}

/// The channels of a connection and their limits. Both ends must use equal sets (of kinds and limits).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSet {
    kinds: Vec<ChannelKind>,
    precedence: Vec<Precedence>,
    /// The longest message that any channel takes, in bytes.
    pub message_bytes_max: usize,
    /// What one channel may hold unsent or unacknowledged, in bytes of messages plus
    /// [`MESSAGE_OVERHEAD_BYTES`] each. Beyond it `send` says `ChannelFull`.
    pub queue_bytes_max: usize,
    /// What all reliable channels of one peer may hold together before delivery, counted in the same way;
    /// it bounds the receiver's memory, and the sender keeps to it.
    pub reassembly_bytes_max: usize,
}

impl ChannelSet {
    /// A set of these channels, in this order, with the default limits.
    ///
    /// # Panics
    /// When there are more than [`CHANNELS_MAX`] channels, or none.
    #[must_use]
    pub fn new(kinds: &[ChannelKind]) -> Self {
        assert!((1..=CHANNELS_MAX).contains(&kinds.len()), "a connection has 1..=64 channels");
        Self {
            kinds: kinds.to_vec(),
            precedence: vec![Precedence::default(); kinds.len()],
            message_bytes_max: 64 << 10,
            queue_bytes_max: 256 << 10,
            reassembly_bytes_max: 1 << 20,
        }
    }

    /// The channels that the framework uses; see the constants of this module.
    #[must_use]
    pub fn standard() -> Self {
        use ChannelKind::{ReliableOrdered, ReliableUnordered, Unreliable, UnreliableSequenced};
        Self::new(&[
            Unreliable,
            ReliableOrdered,
            Unreliable,
            UnreliableSequenced,
            ReliableUnordered,
            ReliableOrdered,
        ])
    }

    /// The same channels with messages of up to `bytes`, and queues that hold at least two of them.
    #[must_use]
    pub fn with_message_bytes_max(mut self, bytes: usize) -> Self {
        self.message_bytes_max = bytes;
        self.queue_bytes_max = self.queue_bytes_max.max(2 * (bytes + MESSAGE_OVERHEAD_BYTES));
        self.reassembly_bytes_max = self.reassembly_bytes_max.max(2 * self.queue_bytes_max);
        self
    }

    /// The same channels, `channel` with this precedence; every channel begins with priority 0 and weight 16.
    ///
    /// # Panics
    /// When there is no such channel, or its weight is 0.
    #[must_use]
    pub fn with_precedence(mut self, channel: ChannelId, precedence: Precedence) -> Self {
        assert!(precedence.weight > 0, "a channel of weight 0 would never send");
        self.precedence[channel.index()] = precedence;
        self
    }

    /// When `channel` goes first; `None` when there is no such channel.
    #[must_use]
    pub fn precedence(&self, channel: ChannelId) -> Option<Precedence> {
        self.precedence.get(channel.index()).copied()
    }

    /// What `channel` promises; `None` when there is no such channel.
    #[must_use]
    pub fn kind(&self, channel: ChannelId) -> Option<ChannelKind> {
        self.kinds.get(channel.index()).copied()
    }

    /// Every channel's kind, by position.
    #[must_use]
    pub fn kinds(&self) -> &[ChannelKind] {
        &self.kinds
    }
}

/// Snapshots down, inputs up: unreliable.
pub const STATE: ChannelId = ChannelId(0);
/// The framework's own control messages: reliable, ordered.
pub const CONTROL: ChannelId = ChannelId(1);
/// The game's messages: unreliable.
pub const GAME_UNRELIABLE: ChannelId = ChannelId(2);
/// The game's messages: unreliable, stale ones dropped.
pub const GAME_SEQUENCED: ChannelId = ChannelId(3);
/// The game's messages: reliable, in order of arrival.
pub const GAME_RELIABLE_UNORDERED: ChannelId = ChannelId(4);
/// The game's messages: reliable, in order of sending.
pub const GAME_RELIABLE_ORDERED: ChannelId = ChannelId(5);

/// The most channels that a connection can have: six bits on the wire.
pub const CHANNELS_MAX: usize = 64;
/// What a queued message counts beyond its own bytes, so that empty ones are bounded too.
pub const MESSAGE_OVERHEAD_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_set_is_what_its_constants_say() {
        let set = ChannelSet::standard();
        assert_eq!(set.kind(STATE), Some(ChannelKind::Unreliable));
        assert_eq!(set.kind(CONTROL), Some(ChannelKind::ReliableOrdered));
        assert_eq!(set.kind(GAME_UNRELIABLE), Some(ChannelKind::Unreliable));
        assert_eq!(set.kind(GAME_SEQUENCED), Some(ChannelKind::UnreliableSequenced));
        assert_eq!(set.kind(GAME_RELIABLE_UNORDERED), Some(ChannelKind::ReliableUnordered));
        assert_eq!(set.kind(GAME_RELIABLE_ORDERED), Some(ChannelKind::ReliableOrdered));
        assert_eq!(set.kind(ChannelId(6)), None);
    }

    #[test]
    fn precedence_is_a_channel_s_own() {
        let first = Precedence { priority: 3, weight: 1 };
        let set = ChannelSet::standard().with_precedence(CONTROL, first);
        assert_eq!(set.precedence(CONTROL), Some(first));
        assert_eq!(set.precedence(STATE), Some(Precedence { priority: 0, weight: 16 }));
        assert_eq!(set.precedence(ChannelId(6)), None);
    }

    #[test]
    fn queues_grow_with_the_longest_message() {
        let set = ChannelSet::standard().with_message_bytes_max(1 << 20);
        assert!(set.queue_bytes_max > 2 << 20);
        assert!(set.reassembly_bytes_max >= set.queue_bytes_max);
    }
}
