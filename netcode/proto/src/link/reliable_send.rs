//! One reliable channel's outgoing half: messages until the peer has them. Owns what is sent, sent again and
//! repeated; must never know time or the path: it is told what was acknowledged and what was lost. Longer than 400
//! lines, because short and cut messages share one window and one order of release.

use std::collections::VecDeque;

use super::body::{ItemWriter, Piece, item_bytes};
use super::error::SendError;
use super::ring::ByteRing;
use super::sent::{Carried, Sent, WHOLE};
use crate::channels::MESSAGE_OVERHEAD_BYTES;

/// Messages that the peer has not all acknowledged, in order.
#[derive(Debug)]
pub(super) struct ReliableSend {
    channel: u8,
    messages: VecDeque<Message>,
    /// The number of `messages[0]`: the first that is not acknowledged.
    first: u64,
    /// No whole message below this number is unsent.
    next_whole: u64,
    /// No cut message below this number has unsent pieces.
    next_cut: u64,
    small: ByteRing,
    lost_wholes: VecDeque<u64>,
    lost_pieces: VecDeque<(u64, u32)>,
    /// Pieces that were lost once, to go out a second time when nothing else is left: a second loss at the end
    /// of a message would cost a whole round trip.
    spare_pieces: VecDeque<(u64, u32)>,
    span_bytes: usize,
    fresh_bytes: usize,
    cut_messages: u32,
    /// How many new messages went into which packet.
    fresh_count: u32,
    fresh_seq: u64,
}

#[derive(Debug)]
struct Message {
    len: u32,
    state: State,
    content: Content,
}

/// How far a whole message is. Of a cut one only `Acked` is told here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unsent,
    /// The newest packet that carried it, and how often it was carried beyond the first time.
    Sent {
        seq: u64,
        repeats: u8,
    },
    /// Known to be lost, waiting in `lost_wholes`.
    Lost,
    Acked,
}

#[derive(Debug)]
enum Content {
    /// In the ring, from this offset.
    Whole(u64),
    Cut(Box<Cut>),
    /// The peer has the whole cut message.
    Gone,
}

/// A message longer than a packet.
#[derive(Debug)]
struct Cut {
    bytes: Vec<u8>,
    /// The newest packet that carried each piece; `ACKED` once the peer has it. Its length is the count.
    pieces: Vec<u64>,
    /// Pieces below this were sent.
    next: u32,
    acked: u32,
    /// Packets before this one carried other pieces: the message was cut anew.
    since: u64,
}

impl Cut {
    fn new(bytes: Vec<u8>, fragment_bytes: usize, since: u64) -> Self {
        let pieces = vec![UNSENT; bytes.len().div_ceil(fragment_bytes)];
        Self { bytes, pieces, next: 0, acked: 0, since }
    }

    fn piece(&self, index: u32) -> Piece {
        Piece { index, count: self.pieces.len() as u32, total: self.bytes.len() as u32 }
    }
}

impl ReliableSend {
    pub(super) fn new(channel: u8) -> Self {
        Self {
            channel,
            messages: VecDeque::new(),
            first: 0,
            next_whole: 0,
            next_cut: 0,
            small: ByteRing::default(),
            lost_wholes: VecDeque::new(),
            lost_pieces: VecDeque::new(),
            spare_pieces: VecDeque::new(),
            span_bytes: 0,
            fresh_bytes: 0,
            cut_messages: 0,
            fresh_count: 0,
            fresh_seq: 0,
        }
    }

    /// Queues a message; one longer than `fragment_bytes` is cut.
    pub(super) fn push(
        &mut self,
        message: &[u8],
        fragment_bytes: usize,
        queue_bytes_max: usize,
    ) -> Result<(), SendError> {
        let cost = message.len() + MESSAGE_OVERHEAD_BYTES;
        if self.messages.len() >= WINDOW_MESSAGES || self.span_bytes + cost > queue_bytes_max {
            return Err(SendError::ChannelFull);
        }
        let content = if message.len() <= fragment_bytes {
            self.fresh_bytes += item_bytes(true, message.len());
            Content::Whole(self.small.push(message))
        } else {
            self.cut_messages += 1;
            Content::Cut(Box::new(Cut::new(message.to_vec(), fragment_bytes, 0)))
        };
        self.span_bytes += cost;
        self.messages.push_back(Message { len: message.len() as u32, state: State::Unsent, content });
        Ok(())
    }

    /// Cuts what the peer does not have whole so that no piece has more than `fragment_bytes`: the path has become
    /// narrower. A message of which a piece is longer begins anew; packets before `seq` carried what it was before.
    pub(super) fn recut(&mut self, fragment_bytes: usize, seq: u64) {
        for message in &mut self.messages {
            match &mut message.content {
                Content::Whole(offset)
                    if message.len as usize > fragment_bytes && message.state != State::Acked =>
                {
                    let mut bytes = Vec::with_capacity(message.len as usize);
                    self.small.copy_to(*offset, message.len as usize, &mut bytes);
                    if message.state == State::Unsent {
                        self.fresh_bytes -= item_bytes(true, bytes.len());
                    }
                    message.state = State::Unsent;
                    message.content = Content::Cut(Box::new(Cut::new(bytes, fragment_bytes, seq)));
                    self.cut_messages += 1;
                }
                Content::Cut(cut) if cut.piece(0).span().len() > fragment_bytes => {
                    **cut = Cut::new(std::mem::take(&mut cut.bytes), fragment_bytes, seq);
                }
                Content::Whole(_) | Content::Cut(_) | Content::Gone => {}
            }
        }
        self.next_cut = self.first;
    }

    /// The peer has what packet `seq` carried.
    pub(super) fn on_acked(&mut self, id: u64, piece: u32, seq: u64) {
        let Some(message) = message_mut(&mut self.messages, self.first, id) else { return };
        match &mut message.content {
            Content::Whole(_) => message.state = State::Acked,
            Content::Gone => {}
            Content::Cut(cut) if seq < cut.since => {}
            Content::Cut(cut) => {
                let Some(carrier) = cut.pieces.get_mut(piece as usize).filter(|one| **one != ACKED) else {
                    return;
                };
                *carrier = ACKED;
                cut.acked += 1;
                if cut.acked as usize == cut.pieces.len() {
                    message.state = State::Acked;
                    // Only the cost stays counted until the message leaves the front: the receiver may still
                    // hold it back.
                    message.content = Content::Gone;
                    self.cut_messages -= 1;
                }
            }
        }
        self.release();
    }

    /// Packet `seq`, which carried this, was lost. Ignored when a later packet carries it too.
    pub(super) fn on_lost(&mut self, id: u64, piece: u32, seq: u64) {
        let Some(message) = message_mut(&mut self.messages, self.first, id) else { return };
        match &message.content {
            Content::Whole(_) => {
                if matches!(message.state, State::Sent { seq: newest, .. } if newest == seq) {
                    message.state = State::Lost;
                    self.lost_wholes.push_back(id);
                }
            }
            Content::Cut(cut) => {
                if cut.pieces.get(piece as usize) == Some(&seq) {
                    self.lost_pieces.push_back((id, piece));
                    self.spare_pieces.push_back((id, piece));
                }
            }
            Content::Gone => {}
        }
    }

    /// Writes lost messages again, as many as fit. Gives the bytes written and how many messages.
    pub(super) fn write_lost(
        &mut self,
        seq: u64,
        writer: &mut ItemWriter<'_>,
        sent: &mut Sent,
    ) -> (usize, u64) {
        let (mut bytes, mut count) = (0, 0);
        while let Some(&id) = self.lost_wholes.front() {
            let message = message_mut(&mut self.messages, self.first, id)
                .filter(|message| message.state == State::Lost);
            if let Some(message) = message {
                if !writer.fits(true, message.len as usize) {
                    break;
                }
                message.state = State::Sent { seq, repeats: REPEATS_ALONE_MAX };
                bytes += self.write(id, writer, sent);
                count += 1;
            }
            self.lost_wholes.pop_front();
        }
        (bytes, count)
    }

    /// Writes again what was sent in packets before `flush_from` and is short and unacknowledged, newest
    /// first chosen and oldest first written, into at most `budget_bytes`.
    pub(super) fn write_repeats(
        &mut self,
        seq: u64,
        limits: &RepeatLimits,
        writer: &mut ItemWriter<'_>,
        sent: &mut Sent,
    ) -> (usize, u64) {
        let (mut chosen, mut count) = ([0; REPEAT_SCAN], 0);
        let mut room = limits.budget_bytes;
        let newest = self.next_whole.max(self.first) - self.first;
        for index in (0..newest).rev().take(REPEAT_SCAN) {
            let message = &mut self.messages[index as usize];
            let State::Sent { seq: last, repeats } = message.state else { continue };
            // The first repeat rides in the very next packet, later ones 1, 2, 4 … packets apart: a burst of losses
            // shall not take them all.
            let is_early = seq - last < 1 << repeats.saturating_sub(1);
            if is_early
                || last >= limits.flush_from
                || repeats >= limits.repeats_max
                || message.len as usize > limits.message_bytes
            {
                continue;
            }
            let cost = item_bytes(true, message.len as usize);
            if cost > room {
                break;
            }
            room -= cost;
            message.state = State::Sent { seq, repeats: repeats + 1 };
            chosen[count] = self.first + index;
            count += 1;
        }
        let bytes = chosen[..count].iter().rev().map(|id| self.write(*id, writer, sent)).sum();
        (bytes, count as u64)
    }

    /// Writes messages that were never sent: as many as fit, and at most `messages_max`.
    pub(super) fn write_fresh(
        &mut self,
        seq: u64,
        messages_max: usize,
        writer: &mut ItemWriter<'_>,
        sent: &mut Sent,
    ) -> usize {
        if self.fresh_seq != seq {
            (self.fresh_seq, self.fresh_count) = (seq, 0);
        }
        let (mut bytes, mut count) = (0, 0);
        self.next_whole = self.next_whole.max(self.first);
        while self.fresh_bytes > 0 && count < messages_max && self.fresh_count < FRESH_PER_PACKET {
            let Some(message) = message_mut(&mut self.messages, self.first, self.next_whole) else { break };
            if matches!(message.content, Content::Whole(_)) && message.state == State::Unsent {
                if !writer.fits(true, message.len as usize) {
                    break;
                }
                message.state = State::Sent { seq, repeats: 0 };
                self.fresh_bytes -= item_bytes(true, message.len as usize);
                bytes += self.write(self.next_whole, writer, sent);
                count += 1;
                self.fresh_count += 1;
            }
            self.next_whole += 1;
        }
        bytes
    }

    /// Writes one piece of a cut message if there is one and it fits: lost ones first. Gives its bytes in the
    /// body and whether it was sent before.
    pub(super) fn write_piece(
        &mut self,
        seq: u64,
        writer: &mut ItemWriter<'_>,
        sent: &mut Sent,
    ) -> Option<(usize, bool)> {
        let Due { id, index, from } = self.due_piece()?;
        let message = message_mut(&mut self.messages, self.first, id)?;
        let Content::Cut(cut) = &mut message.content else { return None };
        let piece = cut.piece(index);
        if !writer.fits_piece(piece) {
            return None;
        }
        cut.pieces[index as usize] = seq;
        match from {
            From::Lost => drop(self.lost_pieces.pop_front()),
            From::Fresh => cut.next += 1,
            From::Spare => drop(self.spare_pieces.pop_front()),
        }
        let bytes =
            writer.piece(self.channel, id, piece, |out| out.extend_from_slice(&cut.bytes[piece.span()]));
        sent.carry(Carried { id, piece: index, channel: self.channel });
        Some((bytes, from != From::Fresh))
    }

    /// Whether `write_piece` would find something in an empty body.
    pub(super) fn has_piece(&mut self) -> bool {
        self.has_cut() && self.due_piece().is_some()
    }

    /// Whether a message that was cut is not acknowledged.
    pub(super) fn has_cut(&self) -> bool {
        self.cut_messages > 0
    }

    pub(super) fn has_lost(&self) -> bool {
        !self.lost_wholes.is_empty()
    }

    /// Bytes in a body of what was never sent and is not cut.
    pub(super) fn fresh_bytes(&self) -> usize {
        self.fresh_bytes
    }

    /// Messages from the first that is not acknowledged to the last.
    pub(super) fn queued_messages(&self) -> usize {
        self.messages.len()
    }

    /// Bytes from the first unacknowledged message to the last, with their overhead: what the receiver may
    /// have to hold.
    pub(super) fn span_bytes(&self) -> usize {
        self.span_bytes
    }

    /// The piece to send next.
    fn due_piece(&mut self) -> Option<Due> {
        if let Some((id, index)) = self.wanted(|send| &mut send.lost_pieces) {
            return Some(Due { id, index, from: From::Lost });
        }
        self.next_cut = self.next_cut.max(self.first);
        while let Some(message) = message_mut(&mut self.messages, self.first, self.next_cut) {
            match &message.content {
                Content::Cut(cut) if (cut.next as usize) < cut.pieces.len() => {
                    return Some(Due { id: self.next_cut, index: cut.next, from: From::Fresh });
                }
                _ => self.next_cut += 1,
            }
        }
        let (id, index) = self.wanted(|send| &mut send.spare_pieces)?;
        Some(Due { id, index, from: From::Spare })
    }

    /// The front of a queue of pieces, once those that the peer has are removed.
    fn wanted(&mut self, queue: fn(&mut Self) -> &mut VecDeque<(u64, u32)>) -> Option<(u64, u32)> {
        while let Some(&(id, index)) = queue(self).front() {
            let message = message_mut(&mut self.messages, self.first, id);
            let is_wanted = message.is_some_and(|message| match &message.content {
                // Where it was cut anew, a number from before names a piece that is not even sent.
                Content::Cut(cut) => index < cut.next && cut.pieces[index as usize] != ACKED,
                Content::Whole(_) | Content::Gone => false,
            });
            if is_wanted {
                return Some((id, index));
            }
            queue(self).pop_front();
        }
        None
    }

    fn write(&self, id: u64, writer: &mut ItemWriter<'_>, sent: &mut Sent) -> usize {
        let message = &self.messages[(id - self.first) as usize];
        let Content::Whole(offset) = message.content else { return 0 };
        let len = message.len as usize;
        sent.carry(Carried { id, piece: WHOLE, channel: self.channel });
        writer.whole(self.channel, Some(id), len, |out| self.small.copy_to(offset, len, out))
    }

    /// Lets acknowledged messages go from the front.
    fn release(&mut self) {
        while let Some(message) = self.messages.front().filter(|message| message.state == State::Acked) {
            self.span_bytes -= message.len as usize + MESSAGE_OVERHEAD_BYTES;
            if let Content::Whole(offset) = message.content {
                self.small.release_to(offset + u64::from(message.len));
            }
            self.messages.pop_front();
            self.first += 1;
        }
        if self.messages.is_empty() && self.messages.capacity() > KEEP_MESSAGES {
            self.messages = VecDeque::new();
        }
    }
}

/// A piece to send, and why.
#[derive(Debug, Clone, Copy)]
struct Due {
    id: u64,
    index: u32,
    from: From,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Lost,
    Fresh,
    Spare,
}

/// What may be repeated.
#[derive(Debug, Clone, Copy)]
pub(super) struct RepeatLimits {
    pub(super) budget_bytes: usize,
    pub(super) message_bytes: usize,
    /// Packets from this one on belong to the flush under way: nothing is repeated within a flush.
    pub(super) flush_from: u64,
    /// How often a message may be repeated.
    pub(super) repeats_max: u8,
}

fn message_mut(messages: &mut VecDeque<Message>, first: u64, id: u64) -> Option<&mut Message> {
    messages.get_mut(usize::try_from(id.checked_sub(first)?).ok()?)
}

/// Messages from the first unacknowledged to the last, at most; the receiver counts on it.
pub(super) const WINDOW_MESSAGES: usize = 4096;
/// New numbers in one packet at most: 256 packets × 64 + 4096 < 2^15, so that 16 bits name a message even in
/// the most delayed packet that is still let in.
const FRESH_PER_PACKET: u32 = 64;
/// How often a repeat makes a body leave that would not have left. A message sent again after a loss counts as
/// repeated that often: on a dead path only the probes speak.
pub(super) const REPEATS_ALONE_MAX: u8 = 2;
/// How many of the newest messages are looked at for repeating.
const REPEAT_SCAN: usize = 32;
/// Capacity that an empty queue keeps.
const KEEP_MESSAGES: usize = 64;
/// No packet yet: packet numbers never get there.
const UNSENT: u64 = u64::MAX - 1;
const ACKED: u64 = u64::MAX;
