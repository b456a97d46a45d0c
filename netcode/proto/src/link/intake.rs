//! The way in: a body's acknowledgements and items to where they belong, and what acknowledgements, or their
//! absence, say about losses. Must never know how bodies are composed.

use std::time::Duration;

use netcode_wire::{ByteReader, Time};

use super::body::{self, AckBlock, Item};
use super::{Channel, Link, LinkError};

impl Link {
    /// Takes in the body of packet `seq` of the peer. One that came before, or is older than the window of
    /// 256, changes nothing.
    ///
    /// # Errors
    /// [`LinkError`]: the peer broke the rules and the connection must be closed.
    pub fn handle_body(&mut self, now: Time, seq: u64, body: &[u8]) -> Result<(), LinkError> {
        if !self.received.is_fresh(seq) {
            self.stats.packets_stale += 1;
            return Ok(());
        }
        let mut reader = ByteReader::new(body);
        if let Some(block) = body::decode_head(&mut reader)? {
            self.handle_acks(now, &block)?;
        }
        let elicits = reader.remaining() > 0;
        if elicits && self.inbox.bytes() >= self.config.receive_bytes_max {
            // Unread and unacknowledged: to the peer it is as good as lost.
            self.stats.packets_refused += 1;
            return Ok(());
        }
        self.received.record(now, seq, elicits);
        self.stats.packets_received += 1;
        self.stats.bytes_received += body.len() as u64;
        let mut place = (seq, 0);
        while reader.remaining() > 0 {
            self.handle_item(place, &mut reader)?;
            place.1 += 1;
        }
        Ok(())
    }

    /// Gives up what must be lost by now and queues it again.
    pub(super) fn detect_losses(&mut self, now: Time) {
        let max_ack_delay = self.config.max_ack_delay;
        let mut lost = std::mem::take(&mut self.scratch.lost);
        let (packets, bytes) =
            self.sent.lose(now, self.rtt.reordering(), self.rtt.overdue(max_ack_delay), &mut lost);
        self.congestion.on_loss(bytes);
        self.count_losses(now, packets);
        if self.probe_at().is_some_and(|at| at <= now) {
            let (packets, _) = self.sent.lose_before(now, &mut lost);
            self.count_losses(now, packets);
            self.flush.probes += 1;
            if self.flush.probes > 1 {
                self.congestion.on_silence();
            }
        } else {
            // Nothing that carries only unreliable messages is waited for long.
            let packets = self.sent.lose_before(now - FORGET_AFTER, &mut lost).0;
            self.stats.packets_lost += u64::from(packets);
        }
        for (carried, seq) in lost.drain(..) {
            let channel = self.channels.get_mut(usize::from(carried.channel));
            if let Some(send) = channel.and_then(Channel::reliable_send) {
                send.on_lost(carried.id, carried.piece, seq);
            }
        }
        self.scratch.lost = lost;
    }

    /// When silence itself says that reliable messages under way are lost.
    pub(super) fn probe_at(&self) -> Option<Time> {
        let sent_at = self.sent.newest_carrying_at()?;
        Some(sent_at + self.rtt.probe(self.config.max_ack_delay, self.flush.probes))
    }

    fn handle_acks(&mut self, now: Time, block: &AckBlock) -> Result<(), LinkError> {
        let mut carried = std::mem::take(&mut self.scratch.carried);
        let acked = self.sent.acknowledge(now, block, &mut carried)?;
        for one in carried.drain(..) {
            let channel = self.channels.get_mut(usize::from(one.channel));
            if let Some(send) = channel.and_then(Channel::reliable_send) {
                send.on_acked(one.id, one.piece);
            }
        }
        self.scratch.carried = carried;
        if let Some(sample) = acked.sample {
            self.rtt.sample(now, sample);
        }
        if let Some(told) = acked.told {
            self.received.settle(told);
        }
        if acked.packets > 0 {
            self.flush.probes = 0;
            for _ in 0..acked.packets {
                self.stats.loss -= self.stats.loss / LOSS_MEMORY;
            }
            self.congestion.on_ack(now, acked.bytes, acked.sample, self.flush.wants_bulk, &self.rtt);
            self.detect_losses(now);
        }
        Ok(())
    }

    fn handle_item(&mut self, place: (u64, u16), reader: &mut ByteReader<'_>) -> Result<(), LinkError> {
        let numbered = |channel: u8| {
            self.channels.get(usize::from(channel)).map(|channel| matches!(channel, Channel::Reliable { .. }))
        };
        let item = Item::decode(reader, numbered, self.limits.message_bytes)?;
        let bound = self.limits.reassembly_bytes;
        match &mut self.channels[usize::from(item.channel)] {
            Channel::Reliable { receive, .. } => {
                receive.accept(&item, &mut self.held.reliable_bytes, bound, &mut self.inbox)
            }
            Channel::Unreliable { receive, .. } => {
                receive.accept(place, &item, &mut self.held.unreliable_bytes, bound, &mut self.inbox)
            }
        }
    }

    fn count_losses(&mut self, now: Time, packets: u32) {
        if packets == 0 {
            return;
        }
        self.stats.packets_lost += u64::from(packets);
        for _ in 0..packets {
            self.stats.loss += (1.0 - self.stats.loss) / LOSS_MEMORY;
        }
        self.flush.repeat_until = Some(now + self.config.redundancy_hold);
    }
}

/// The loss estimate averages over about this many packets.
const LOSS_MEMORY: f32 = 64.0;
/// After so long nobody acknowledges a packet any more.
const FORGET_AFTER: Duration = Duration::from_secs(5);
