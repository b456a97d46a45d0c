//! The channels of one link. Owns both halves of each (made when first used: most of 64 never are), which of
//! them have something to send, and whose turn it is. Must never know a packet's other contents, nor time.
//!
//! Among channels of one priority that together want more than fits, turns are given by start-time fair queueing
//! (Goyal, Vin, Cheng, SIGCOMM 1996): each channel has a start tag that grows by bytes ÷ weight as it is served,
//! the least tag goes first, and who begins to wait begins at the tag now being served, so that silence saves up
//! nothing.

use super::bits;
use super::reliable_receive::ReliableReceive;
use super::reliable_send::ReliableSend;
use super::stats::ChannelStats;
use super::unreliable::{UnreliableReceive, UnreliableSend};
use crate::channels::{ChannelKind, ChannelSet};

/// All channels.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Box<[Lane]>,
    /// Sets of channels of one priority, the greatest priority first.
    classes: Box<[u64]>,
    reliable: u64,
    waiting: Waiting,
    /// The start tag of what was served last.
    tag: u64,
}

/// Which channels have what, as sets of channels, and how much it is together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waiting {
    /// Never sent, and not long.
    pub(super) fresh: u64,
    /// Known to be lost.
    pub(super) lost: u64,
    /// Not acknowledged.
    pub(super) unsettled: u64,
    /// Long messages, not acknowledged.
    pub(super) cut: u64,
    /// Bytes in a body of what is fresh.
    pub(super) fresh_bytes: usize,
    /// Bytes of the reliable windows, with overhead.
    pub(super) reliable_bytes: usize,
    /// Bytes of unreliable messages unsent, with overhead.
    pub(super) unreliable_bytes: usize,
}

/// Both halves of one channel.
#[derive(Debug)]
pub(super) struct Lane {
    kind: ChannelKind,
    weight: u8,
    /// Bytes of its messages that left, heads and repeats included.
    pub(super) sent_bytes: u64,
    tag: u64,
    pub(super) send: Send,
    pub(super) receive: Receive,
}

/// A channel's outgoing half, once it was used.
#[derive(Debug)]
pub(super) enum Send {
    Unused,
    Unreliable(Box<UnreliableSend>),
    Reliable(Box<ReliableSend>),
}

/// A channel's incoming half, once it was used.
#[derive(Debug)]
pub(super) enum Receive {
    Unused,
    Unreliable(Box<UnreliableReceive>),
    Reliable(Box<ReliableReceive>),
}

impl Lanes {
    pub(super) fn new(set: &ChannelSet) -> Self {
        let precedence = (0..).map_while(|index| set.precedence(crate::ChannelId(index)));
        let lane = |(kind, weight): (&ChannelKind, u8)| Lane {
            kind: *kind,
            weight,
            sent_bytes: 0,
            tag: 0,
            send: Send::Unused,
            receive: Receive::Unused,
        };
        let weights = precedence.clone().map(|one| one.weight);
        let mut priorities: Vec<u8> = precedence.clone().map(|one| one.priority).collect();
        priorities.sort_unstable_by(|a, b| b.cmp(a));
        priorities.dedup();
        let set_of = |priority: &u8| {
            let of_it = (0..64).zip(precedence.clone()).filter(|(_, one)| one.priority == *priority);
            of_it.fold(0, |set, (index, _)| set | 1 << index)
        };
        let reliable = (0..64).zip(set.kinds()).filter(|(_, kind)| kind.is_reliable());
        Self {
            lanes: set.kinds().iter().zip(weights).map(lane).collect(),
            classes: priorities.iter().map(set_of).collect(),
            reliable: reliable.fold(0, |set, (index, _)| set | 1 << index),
            waiting: Waiting::default(),
            tag: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Whether messages of a channel are numbered on the wire; `None`: there is no such channel.
    pub(super) fn is_reliable(&self, channel: u8) -> Option<bool> {
        (usize::from(channel) < self.lanes.len()).then(|| self.reliable >> channel & 1 == 1)
    }

    pub(super) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    /// A channel that exists, to read from or to take a message in.
    pub(super) fn receiver(&mut self, channel: u8) -> &mut Receive {
        let lane = &mut self.lanes[usize::from(channel)];
        if matches!(lane.receive, Receive::Unused) {
            lane.receive = Receive::new(lane.kind);
        }
        &mut lane.receive
    }

    /// A channel that exists, for what changes nothing of what it has to send.
    pub(super) fn lane(&mut self, channel: u8) -> &mut Lane {
        &mut self.lanes[usize::from(channel)]
    }

    /// The unreliable channels of `among`.
    pub(super) fn unreliable(&self, among: u64) -> u64 {
        among & !self.reliable
    }

    /// Lets `act` change a channel that exists, and notes what it has to send afterwards.
    pub(super) fn with<R>(&mut self, channel: u8, act: impl FnOnce(&mut Lane) -> R) -> R {
        let lane = &mut self.lanes[usize::from(channel)];
        if matches!(lane.send, Send::Unused) {
            lane.send = Send::new(channel, lane.kind);
        }
        let before = lane.load();
        let result = act(lane);
        let after = lane.load();
        let (waiting, bit) = (&mut self.waiting, 1 << channel);
        if waiting.fresh_or_cut() & bit == 0 {
            lane.tag = lane.tag.max(self.tag);
        }
        waiting.note(bit, before, after);
        result
    }

    /// Cuts what waits so that no piece has more than `fragment_bytes`. Packets before `seq` carried the old pieces.
    pub(super) fn recut(&mut self, fragment_bytes: usize, seq: u64) {
        let used = |lane: &Lane| !matches!(lane.send, Send::Unused);
        let channels: u64 =
            (0..).zip(&self.lanes).filter(|(_, lane)| used(lane)).fold(0, |set, (at, _)| set | 1 << at);
        for channel in bits(channels) {
            self.with(channel, |lane| match &mut lane.send {
                Send::Unused => {}
                Send::Unreliable(send) => send.recut(fragment_bytes),
                Send::Reliable(send) => send.recut(fragment_bytes, seq),
            });
        }
    }

    /// The first channel of `among`: greatest priority, then reliable before unreliable, then by number.
    pub(super) fn first(&self, among: u64) -> Option<u8> {
        let class = self.class(among)?;
        let reliable = class & self.reliable;
        bits(if reliable > 0 { reliable } else { class }).next()
    }

    /// The channel of `among` whose turn it is: greatest priority, then least tag. `None`: the set is empty.
    pub(super) fn turn(&self, among: u64) -> Option<u8> {
        bits(self.class(among)?).min_by_key(|channel| self.lanes[usize::from(*channel)].tag)
    }

    /// Books `bytes` that a channel was served in its turn.
    pub(super) fn served(&mut self, channel: u8, bytes: usize) {
        let lane = &mut self.lanes[usize::from(channel)];
        self.tag = self.tag.max(lane.tag);
        lane.tag += bytes as u64 * 256 / u64::from(lane.weight);
    }

    /// The members of `among` with the greatest priority; `None`: the set is empty.
    fn class(&self, among: u64) -> Option<u64> {
        self.classes.iter().map(|class| class & among).find(|class| *class != 0)
    }
}

impl Waiting {
    fn fresh_or_cut(&self) -> u64 {
        self.fresh | self.cut
    }

    fn note(&mut self, bit: u64, before: Load, after: Load) {
        self.fresh_bytes = self.fresh_bytes + after.fresh_bytes - before.fresh_bytes;
        self.reliable_bytes = self.reliable_bytes + after.reliable_bytes - before.reliable_bytes;
        self.unreliable_bytes = self.unreliable_bytes + after.unreliable_bytes - before.unreliable_bytes;
        let put = |set: &mut u64, is_in: bool| *set = *set & !bit | if is_in { bit } else { 0 };
        put(&mut self.fresh, after.fresh_bytes > 0);
        put(&mut self.lost, after.has_lost);
        put(&mut self.unsettled, after.reliable_bytes > 0);
        put(&mut self.cut, after.has_cut);
    }
}

/// What a channel has to send.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    fresh_bytes: usize,
    reliable_bytes: usize,
    unreliable_bytes: usize,
    has_lost: bool,
    has_cut: bool,
}

impl Lane {
    fn load(&self) -> Load {
        match &self.send {
            Send::Unused => Load::default(),
            Send::Unreliable(send) => Load {
                fresh_bytes: send.fresh_bytes(),
                unreliable_bytes: send.queued_bytes(),
                ..Load::default()
            },
            Send::Reliable(send) => Load {
                fresh_bytes: send.fresh_bytes(),
                reliable_bytes: send.span_bytes(),
                unreliable_bytes: 0,
                has_lost: send.has_lost(),
                has_cut: send.has_cut(),
            },
        }
    }
}

impl Lane {
    /// What it has sent and still holds.
    pub(super) fn stats(&self) -> ChannelStats {
        let load = self.load();
        let queued_messages = match &self.send {
            Send::Unused => 0,
            Send::Unreliable(send) => send.queued_messages(),
            Send::Reliable(send) => send.queued_messages(),
        };
        ChannelStats {
            sent_bytes: self.sent_bytes,
            queued_messages,
            queued_bytes: load.reliable_bytes + load.unreliable_bytes,
            unsent_bytes: load.fresh_bytes,
        }
    }
}

impl Send {
    fn new(channel: u8, kind: ChannelKind) -> Self {
        if kind.is_reliable() {
            Self::Reliable(Box::new(ReliableSend::new(channel)))
        } else {
            Self::Unreliable(Box::default())
        }
    }
}

impl Receive {
    fn new(kind: ChannelKind) -> Self {
        let reliable = |is_ordered| Self::Reliable(Box::new(ReliableReceive::new(is_ordered)));
        let unreliable = |is_sequenced| Self::Unreliable(Box::new(UnreliableReceive::new(is_sequenced)));
        match kind {
            ChannelKind::Unreliable => unreliable(false),
            ChannelKind::UnreliableSequenced => unreliable(true),
            ChannelKind::ReliableUnordered => reliable(false),
            ChannelKind::ReliableOrdered => reliable(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::{ChannelId, Precedence};

    const KINDS: [ChannelKind; 4] = [ChannelKind::ReliableOrdered; 4];

    fn lanes(precedence: [(u8, u8); 4]) -> Lanes {
        let set = (0..).zip(precedence).fold(ChannelSet::new(&KINDS), |set, (channel, one)| {
            set.with_precedence(ChannelId(channel), Precedence { priority: one.0, weight: one.1 })
        });
        Lanes::new(&set)
    }

    #[test]
    fn weights_share_what_priorities_leave() {
        let mut lanes = lanes([(0, 30), (0, 10), (9, 1), (0, 20)]);
        assert_eq!((lanes.first(0b1111), lanes.first(0b1011), lanes.first(0)), (Some(2), Some(0), None));
        assert_eq!(lanes.turn(0b1111), Some(2));
        let mut bytes = [0_usize; 4];
        for turn in 0..6000 {
            let channel = lanes.turn(0b1011).expect("somebody waits");
            // Messages of different length: the share is of bytes.
            let len = 100 + 400 * (turn % 2) + usize::from(channel) * 50;
            lanes.served(channel, len);
            bytes[usize::from(channel)] += len;
        }
        let all: usize = bytes.iter().sum();
        let share = bytes.map(|one| (one * 60 + all / 2) / all);
        assert_eq!(share, [30, 10, 0, 20], "{bytes:?}");
    }

    #[test]
    fn silence_saves_nothing_up() {
        let mut lanes = lanes([(0, 1); 4]);
        let waits = |lanes: &mut Lanes, channel| {
            lanes.with(channel, |lane| {
                if let Send::Reliable(send) = &mut lane.send {
                    send.push(b"x", 100, 1000).expect("room");
                }
            });
        };
        waits(&mut lanes, 0);
        for _ in 0..100 {
            let channel = lanes.turn(0b1).expect("waits");
            lanes.served(channel, 100);
        }
        waits(&mut lanes, 1);
        let turns: Vec<u8> = (0..10)
            .filter_map(|_| {
                let channel = lanes.turn(0b11);
                channel.inspect(|channel| lanes.served(*channel, 100))
            })
            .collect();
        assert_eq!(turns.iter().filter(|channel| **channel == 1).count(), 5, "{turns:?}");
    }
}
