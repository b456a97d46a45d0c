//! Two bytes before each message of an unreliable-sequenced channel, which neither library has. Must never know a
//! session.
//!
//! | bytes | field |
//! |---|---|
//! | 2 | number of the message on its channel, little-endian, wrapping |
//! | n | the message |

use netcode_proto::Bytes;
use netcode_proto::channels::{ChannelId, ChannelKind, ChannelSet};

/// One end's numbers, both ways.
#[derive(Debug)]
pub(crate) struct Order {
    lanes: Vec<Option<Lane>>,
}

#[derive(Debug, Default)]
struct Lane {
    next: u16,
    newest: Option<u16>,
}

impl Order {
    pub(crate) fn new(channels: &ChannelSet) -> Self {
        let lane = |kind: &ChannelKind| (*kind == ChannelKind::UnreliableSequenced).then(Lane::default);
        Self { lanes: channels.kinds().iter().map(lane).collect() }
    }

    /// Appends the message's number to `out`, where the channel has numbers.
    pub(crate) fn number(&mut self, channel: ChannelId, out: &mut Vec<u8>) {
        if let Some(Some(lane)) = self.lanes.get_mut(channel.index()) {
            out.extend_from_slice(&lane.next.to_le_bytes());
            lane.next = lane.next.wrapping_add(1);
        }
    }

    /// The message without its number; `None` when it is stale, or too short to have one.
    pub(crate) fn accept(&mut self, channel: ChannelId, message: Bytes) -> Option<Bytes> {
        let Some(Some(lane)) = self.lanes.get_mut(channel.index()) else { return Some(message) };
        let number = u16::from_le_bytes(*message.first_chunk()?);
        // Newer means less than half of all numbers ahead.
        let is_newer = |newest: u16| (1..1 << 15).contains(&number.wrapping_sub(newest));
        if !lane.newest.is_none_or(is_newer) {
            return None;
        }
        lane.newest = Some(number);
        Some(message.slice(2..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEQUENCED: ChannelId = ChannelId(1);

    fn order() -> Order {
        Order::new(&ChannelSet::new(&[ChannelKind::Unreliable, ChannelKind::UnreliableSequenced]))
    }

    #[test]
    fn stale_and_repeated_messages_are_dropped_also_across_the_wrap() {
        let (mut sender, mut receiver) = (order(), order());
        let mut sent: Vec<Bytes> = Vec::new();
        for n in 0..70_000_u32 {
            let mut out = Vec::new();
            sender.number(SEQUENCED, &mut out);
            out.extend_from_slice(&n.to_le_bytes());
            sent.push(out.into());
        }
        for (n, message) in sent.iter().enumerate() {
            let number = (n as u32).to_le_bytes();
            assert_eq!(receiver.accept(SEQUENCED, message.clone()).as_deref(), Some(&number[..]));
            assert_eq!(receiver.accept(SEQUENCED, message.clone()), None);
            if n > 0 {
                assert_eq!(receiver.accept(SEQUENCED, sent[n - 1].clone()), None);
            }
        }
    }

    #[test]
    fn other_channels_are_left_alone_and_short_messages_refused() {
        let mut order = order();
        let mut out = Vec::new();
        order.number(ChannelId(0), &mut out);
        assert_eq!(out, []);
        assert_eq!(order.accept(ChannelId(0), Bytes::new()), Some(Bytes::new()));
        assert_eq!(order.accept(SEQUENCED, Bytes::from_static(&[1])), None);
    }
}
