//! An established session over laminar, either end: channels over its guarantees, and what keeps it acknowledging. Must
//! never know a token or a handshake.
//!
//! laminar acknowledges in the heads of reliable packets alone, notices a loss only when 33 later ones were
//! acknowledged, and gives a peer up that leaves 512 unacknowledged. So while something is under way each flush sends a
//! reliable packet more, a nudge; otherwise one every 100 ms answers the other end's.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use ::laminar::{Connection, DeliveryGuarantee, Packet, VirtualConnection};
use netcode_proto::{
    Bytes, ChannelId, DisconnectReason, LinkError, LinkStats, SendError,
    channels::{ChannelKind, ChannelSet, MESSAGE_OVERHEAD_BYTES},
};
use netcode_wire::Time;

use super::frame::{BYE, MESSAGE, NUDGE, PIECE, PING, PONG};
use super::post::{PACKET_BYTES_MAX, Post};
use crate::foreign::{GOODBYES, Order, admit, contained, patience};

/// One end of a session.
#[derive(Debug)]
pub(super) struct Peer {
    connection: VirtualConnection,
    address: SocketAddr,
    channels: ChannelSet,
    lanes: Vec<Lane>,
    order: Order,
    inbox: VecDeque<(ChannelId, Bytes)>,
    inbox_bytes: usize,
    timeout: Option<Duration>,
    heard_at: Time,
    nudges: Nudges,
    pinged_at: Time,
    traffic: LinkStats,
}

/// One channel, both ways.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    /// How much of the first waiting message has left.
    sent_bytes: usize,
    /// What has come of a message that is longer than a piece.
    partial: Vec<u8>,
}

/// When the next reliable packet must go for the acknowledgements' sake.
#[derive(Debug)]
struct Nudges {
    /// Flushes that send one, while anything is unacknowledged.
    left: u8,
    /// The other end waits for an acknowledgement.
    owed: bool,
    /// And not only of a nudge.
    urgent: bool,
    sent_at: Time,
}

impl Peer {
    pub(super) fn new(
        now: Time,
        post: &Post,
        address: SocketAddr,
        timeout_s: i32,
        channels: &ChannelSet,
    ) -> Self {
        Self {
            connection: VirtualConnection::new(address, post.config(), post.at(now)),
            address,
            channels: channels.clone(),
            lanes: channels.kinds().iter().map(|_| Lane::default()).collect(),
            order: Order::new(channels),
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            timeout: patience(timeout_s),
            heard_at: now,
            nudges: Nudges { left: 0, owed: false, urgent: false, sent_at: now },
            pinged_at: Time::ZERO,
            traffic: LinkStats::default(),
        }
    }

    /// Another server is tried; messages wait on.
    pub(super) fn move_to(&mut self, now: Time, post: &Post, address: SocketAddr) {
        self.connection = VirtualConnection::new(address, post.config(), post.at(now));
        self.address = address;
    }

    /// The session begins now: silence before does not count.
    pub(super) fn restart_timers(&mut self, now: Time) {
        self.heard_at = now;
    }

    /// Queues a message for the next flush.
    pub(super) fn send(&mut self, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        let kind = admit(&self.channels, channel, message.len())?;
        if !kind.is_reliable() && message.len() > UNRELIABLE_BYTES_MAX {
            return Err(SendError::MessageTooLong { length: message.len(), limit: UNRELIABLE_BYTES_MAX });
        }
        let lane = &mut self.lanes[channel.index()];
        let cost = message.len() + MESSAGE_OVERHEAD_BYTES;
        if lane.waiting_bytes + cost > self.channels.queue_bytes_max {
            return Err(SendError::ChannelFull);
        }
        let mut bytes = Vec::with_capacity(2 + message.len());
        self.order.number(channel, &mut bytes);
        bytes.extend_from_slice(message);
        lane.waiting_bytes += bytes.len() + MESSAGE_OVERHEAD_BYTES;
        lane.waiting.push_back(bytes);
        Ok(())
    }

    /// Gives laminar what waits, and lets it send again what it takes for lost.
    pub(super) fn flush(&mut self, now: Time, post: &mut Post) {
        let reliable = self.flush_lanes(now, post);
        let at = post.at(now);
        self.counted(post, |connection, post| connection.update(post, at));
        if reliable {
            self.nudges = Nudges { left: PUSH_FLUSHES, owed: false, urgent: false, sent_at: now };
        } else if self.nudges.is_due(now, self.connection.packets_in_flight()) {
            self.nudges =
                Nudges { left: self.nudges.left.saturating_sub(1), owed: false, urgent: false, sent_at: now };
            self.give(now, post, Packet::reliable_unordered(self.address, vec![NUDGE]));
        }
        if now.since(self.pinged_at) >= PING_INTERVAL {
            self.pinged_at = now;
            self.say(now, post, &[&[PING][..], &now.as_micros().to_le_bytes()].concat());
        }
    }

    /// Whether anything reliable went.
    fn flush_lanes(&mut self, now: Time, post: &mut Post) -> bool {
        let mut reliable = false;
        for index in 0..self.lanes.len() {
            let is_reliable = self.channels.kinds()[index].is_reliable();
            while !self.lanes[index].waiting.is_empty() {
                if is_reliable && self.connection.packets_in_flight() >= IN_FLIGHT_MAX {
                    break;
                }
                let piece = self.lanes[index].next_piece(index as u8);
                let packet = if is_reliable {
                    Packet::reliable_ordered(self.address, piece, Some(index as u8))
                } else {
                    Packet::unreliable(self.address, piece)
                };
                reliable |= is_reliable;
                self.give(now, post, packet);
            }
        }
        reliable
    }

    /// Says goodbye, as often as it takes to be heard.
    pub(super) fn leave(&mut self, now: Time, post: &mut Post) {
        self.flush(now, post);
        for _ in 0..GOODBYES {
            self.say(now, post, &[BYE]);
        }
    }

    /// Takes in a datagram; why the session ends, if it does.
    pub(super) fn handle(
        &mut self,
        now: Time,
        post: &mut Post,
        datagram: &[u8],
    ) -> Result<(), DisconnectReason> {
        self.heard_at = now;
        self.traffic.packets_received += 1;
        self.traffic.bytes_received += datagram.len() as u64;
        let at = post.at(now);
        let read = contained(|| self.connection.process_packet(post, datagram, at));
        let mut arrived = std::mem::take(&mut post.arrived);
        if read.is_none() {
            self.connection = VirtualConnection::new(self.address, post.config(), at);
            return Err(DisconnectReason::Misbehaved(LinkError::Malformed("laminar could not read it")));
        }
        let taken = arrived.drain(..).try_for_each(|packet| self.take(now, post, &packet));
        post.arrived = arrived;
        taken
    }

    fn take(&mut self, now: Time, post: &mut Post, packet: &Packet) -> Result<(), DisconnectReason> {
        let reliable = packet.delivery_guarantee() == DeliveryGuarantee::Reliable;
        self.nudges.owed |= reliable;
        let Some((kind, rest)) = packet.payload().split_first() else { return Ok(()) };
        match *kind {
            BYE => return Err(DisconnectReason::ByPeer),
            PING if rest.len() == 8 => self.say(now, post, &[&[PONG], rest].concat()),
            PONG => self.note_round_trip(now, rest),
            MESSAGE | PIECE => {
                self.nudges.urgent |= reliable;
                return self
                    .take_piece(rest, *kind == MESSAGE, reliable)
                    .map_err(DisconnectReason::Misbehaved);
            }
            _ => {}
        }
        Ok(())
    }

    fn take_piece(&mut self, piece: &[u8], last: bool, reliable: bool) -> Result<(), LinkError> {
        let (&channel, bytes) =
            piece.split_first().ok_or(LinkError::Malformed("a message without a channel"))?;
        let channel = ChannelId(channel);
        let kind = self.channels.kind(channel).ok_or(LinkError::NoSuchChannel(channel.0))?;
        if kind.is_reliable() != reliable || !(last || reliable) {
            return Err(LinkError::Malformed("a message of another kind than its channel"));
        }
        let lane = &mut self.lanes[channel.index()];
        let length = lane.partial.len() + bytes.len();
        if length > self.channels.message_bytes_max + 2 {
            return Err(LinkError::MessageTooLong(length));
        }
        if !last {
            lane.partial.extend_from_slice(bytes);
            return Ok(());
        }
        let mut message = std::mem::take(&mut lane.partial);
        message.extend_from_slice(bytes);
        let Some(message) = self.order.accept(channel, message.into()) else { return Ok(()) };
        self.keep(channel, kind, message)
    }

    fn keep(&mut self, channel: ChannelId, kind: ChannelKind, message: Bytes) -> Result<(), LinkError> {
        let cost = message.len() + MESSAGE_OVERHEAD_BYTES;
        if self.inbox_bytes + cost > self.channels.reassembly_bytes_max {
            self.traffic.packets_refused += 1;
            // Unreliable ones may be lost; a reliable one may not, and its sender would not wait.
            return if kind.is_reliable() { Err(LinkError::ReassemblyExceeded) } else { Ok(()) };
        }
        self.inbox_bytes += cost;
        self.inbox.push_back((channel, message));
        Ok(())
    }

    pub(super) fn poll_message(&mut self) -> Option<(ChannelId, Bytes)> {
        let (channel, message) = self.inbox.pop_front()?;
        self.inbox_bytes -= message.len() + MESSAGE_OVERHEAD_BYTES;
        Some((channel, message))
    }

    /// Whether the other end was silent for the token's timeout, or acknowledges nothing.
    pub(super) fn is_lost(&self, now: Time, post: &Post) -> bool {
        let silent = self.timeout.is_some_and(|timeout| now.since(self.heard_at) >= timeout);
        silent || self.connection.packets_in_flight() > post.config().max_packets_in_flight
    }

    pub(super) fn stats(&self) -> LinkStats {
        let waiting = self.lanes.iter().map(|lane| lane.waiting_bytes).sum();
        LinkStats { queued_bytes: waiting, held_bytes: self.inbox_bytes, ..self.traffic }
    }

    fn note_round_trip(&mut self, now: Time, sent_us: &[u8]) {
        let Ok(sent_us) = sent_us.try_into().map(u64::from_le_bytes) else { return };
        // A time that we cannot have said would be a lie about nobody but its sender.
        let Some(sample_us) = now.as_micros().checked_sub(sent_us) else { return };
        let before = self.traffic.rtt_us;
        // The usual average over eight (RFC 6298, section 2).
        self.traffic.rtt_us = if before == 0 { sample_us } else { before - before / 8 + sample_us / 8 };
        self.traffic.rtt_min_us = match self.traffic.rtt_min_us {
            0 => sample_us,
            least => least.min(sample_us),
        };
    }

    fn say(&mut self, now: Time, post: &mut Post, frame: &[u8]) {
        self.give(now, post, Packet::unreliable(self.address, frame.to_vec()));
    }

    fn give(&mut self, now: Time, post: &mut Post, packet: Packet) {
        let at = post.at(now);
        self.counted(post, |connection, post| connection.process_event(post, packet, at));
    }

    /// Counts what laminar sends meanwhile.
    fn counted(&mut self, post: &mut Post, act: impl FnOnce(&mut VirtualConnection, &mut Post)) {
        let before = post.outgoing.counters;
        act(&mut self.connection, post);
        let after = post.outgoing.counters;
        self.traffic.packets_sent += after.datagrams_out - before.datagrams_out;
        self.traffic.bytes_sent += after.bytes_out - before.bytes_out;
    }
}

impl Lane {
    /// The next frame of the first waiting message, which must be there.
    fn next_piece(&mut self, channel: u8) -> Vec<u8> {
        let Some(message) = self.waiting.front() else { return Vec::new() };
        let end = message.len().min(self.sent_bytes + PIECE_BYTES);
        let last = end == message.len();
        let mut piece = vec![if last { MESSAGE } else { PIECE }, channel];
        piece.extend_from_slice(&message[self.sent_bytes..end]);
        self.sent_bytes = end;
        if last {
            self.waiting_bytes -= message.len() + MESSAGE_OVERHEAD_BYTES;
            self.waiting.pop_front();
            self.sent_bytes = 0;
        }
        piece
    }
}

impl Nudges {
    fn is_due(&self, now: Time, in_flight: u16) -> bool {
        let rested = now.since(self.sent_at) >= NUDGE_INTERVAL;
        let pushing = in_flight > 0 && (self.left > 0 || rested);
        in_flight < NUDGED_IN_FLIGHT_MAX && (pushing || self.urgent || (self.owed && rested))
    }
}

/// The longest unreliable message: frame and number beside it must fit into one packet.
const UNRELIABLE_BYTES_MAX: usize = PIECE_BYTES - 2;
/// The longest piece of a message in one packet: less the frame's two bytes.
const PIECE_BYTES: usize = PACKET_BYTES_MAX as usize - 2;
/// Reliable packets under way at most, before messages wait: half of what laminar gives a peer up for.
const IN_FLIGHT_MAX: u16 = 256;
/// Nudges may go on for longer: they carry the acknowledgements that free the rest.
const NUDGED_IN_FLIGHT_MAX: u16 = 448;
/// A loss shows after 33 reliable packets more, whose own may be lost: twice that, and a round trip.
const PUSH_FLUSHES: u8 = 80;
const NUDGE_INTERVAL: Duration = Duration::from_millis(100);
const PING_INTERVAL: Duration = Duration::from_millis(250);
/// Bytes of state for one tick: one datagram.
pub(super) const STATE_BYTES: usize = 1150;

const _: () = assert!(STATE_BYTES <= UNRELIABLE_BYTES_MAX);
