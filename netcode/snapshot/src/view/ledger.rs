//! What one client surely holds, and what is on its way to it. Owns the bookkeeping of acknowledgements; must
//! never know a column or a bit.
//!
//! The rules, with *A* the newest snapshot that the client is known to hold:
//!
//! 1. An entity's base is a server tick whose columns of the entity equal those in the client's frame *A*; there is none
//!    when that is not known, or the client's frame *A* lacks the entity.
//! 2. A client acknowledges a snapshot once it decodes no more of it, and never decodes one older than its newest. So
//!    when *A* moves to *A'*, every snapshot between them is settled, part by part: decoded or lost, as the ack says.
//!    Where the ack does not reach, the entities mentioned there have no known base.
//! 3. An entity that has not changed since its base (nor left and returned) is as it should be, whatever else is
//!    on its way; its base moves on with the present, so that it never ages out of the history.
//!
//! 4. What an entity's base was when an earlier snapshot was the newest still tells what the client's frame of that
//!    snapshot shows: frames that are acknowledged do not change. Movement is continued from such an older baseline.
//!
//! # Memory
//!
//! Columns, one place an entity, ascending by id. Which snapshots mention an entity is one bit a tick in two words, and
//! which part of a snapshot did follows from its id, since parts ascend too. So an entity costs 54 bytes; a client has at most `entities_max` of them, and 64 × 64
//! part ends of 4 bytes.

use netcode_wire::Tick;

use super::columns::{Columns, Entry};
use crate::{Ack, Fate, NetId, RECEIVER_TICKS};

/// The entities of one client, and the snapshots on their way to it.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) columns: Columns,
    sent: Vec<Sent>,
    newest_sent: Option<Tick>,
    newest_ack: Option<Tick>,
    older_ack: Option<Tick>,
    /// The newest snapshot that lost its place before it was settled.
    given_up: Option<Tick>,
}

/// One snapshot on its way, in the place of its tick.
#[derive(Debug, Default)]
struct Sent {
    tick: Option<Tick>,
    /// The last id of each part.
    ends: Vec<NetId>,
}

/// What became of a run of entities that a snapshot mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Decoded,
    Unknown,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let sent = std::iter::repeat_with(Sent::default).take(RECEIVER_TICKS).collect();
        Self {
            columns: Columns::default(),
            sent,
            newest_sent: None,
            newest_ack: None,
            older_ack: None,
            given_up: None,
        }
    }

    /// Begins with what another codec told of: the newest snapshot that the client is known to hold, those that are on
    /// their way (each whole), and the entities, ascending.
    pub(super) fn resume(newest_ack: Option<Tick>, on_their_way: &[Tick], entries: &[Entry]) -> Self {
        let mut ledger = Self::new();
        let now = on_their_way.last().copied().or(newest_ack).unwrap_or_default();
        entries.iter().for_each(|entry| ledger.columns.push_entry(entry, now));
        for tick in newest_ack.iter().chain(on_their_way) {
            ledger.sent[place(*tick)] = Sent { tick: Some(*tick), ends: vec![NetId(u32::MAX)] };
        }
        ledger.newest_sent = Some(now);
        ledger.newest_ack = newest_ack;
        ledger
    }

    /// The frame that deltas of a snapshot at `now` are taken against: one that the client still holds.
    pub(super) fn baseline(&self, now: Tick) -> Option<Tick> {
        self.newest_ack.filter(|ack| (1..RECEIVER_TICKS as i32).contains(&now.since(*ack)))
    }

    /// The older frame beside it that movement is continued from.
    pub(super) fn older(&self, now: Tick) -> Option<Tick> {
        let baseline = self.baseline(now)?;
        self.older_ack.filter(|older| *older < baseline && now.since(*older) < RECEIVER_TICKS as i32)
    }

    pub(super) fn newest_ack(&self) -> Option<Tick> {
        self.newest_ack
    }

    /// Begins the record of a snapshot at `now`. The one that had its place is given up: if it was never
    /// settled, what the client holds of its entities is not known any more.
    pub(super) fn begin(&mut self, now: Tick) {
        let place = place(now);
        if let Some(tick) = self.sent[place].tick
            && self.newest_ack.is_none_or(|ack| ack < tick)
        {
            self.settle(tick, Outcome::Unknown);
            self.given_up = self.given_up.max(Some(tick));
        }
        self.columns.forget_mentions(now);
        let sent = &mut self.sent[place];
        sent.tick = Some(now);
        sent.ends.clear();
        self.newest_sent = Some(now);
    }

    /// No part of the snapshot at `now` is written yet.
    pub(super) fn begin_parts(&mut self, now: Tick) {
        self.sent[place(now)].ends.clear();
    }

    /// Notes that a part of the snapshot at `now` ended with `last`.
    pub(super) fn note_part(&mut self, now: Tick, last: NetId) {
        self.sent[place(now)].ends.push(last);
    }

    /// Takes an acknowledgement; what was never sent, or is too old, or is not news, is ignored.
    pub(super) fn acknowledge(&mut self, ack: &Ack) {
        let known = self.sent[place(ack.newest)].tick == Some(ack.newest);
        let before = self.newest_ack;
        let news = before.is_none_or(|newest| newest < ack.newest);
        // Deliberate: beyond the ring a neighbour of this snapshot may already be given up.
        let young = self.newest_sent.is_some_and(|newest| newest.since(ack.newest) < RECEIVER_TICKS as i32);
        if !(known && news && young) {
            return;
        }
        let unsettled = |tick: &Tick| *tick <= ack.newest && before.is_none_or(|newest| newest < *tick);
        let reach = RECEIVER_TICKS as i32 - 1;
        for place in 0..self.sent.len() {
            if let Some(tick) = self.sent[place].tick.filter(unsettled)
                && ack.newest.since(tick) > reach
            {
                self.settle(tick, Outcome::Unknown);
            }
        }
        if let Some(before) = before {
            self.choose_older(before, ack.newest);
        }
        // From after the last one on: most often there is but one.
        let oldest = ack.newest.offset(-reach).0;
        let first = before.map_or(oldest, |newest| newest.next().0.max(oldest));
        for tick in (first..=ack.newest.0).map(Tick) {
            if self.sent[place(tick)].tick == Some(tick) {
                match ack.fate(tick) {
                    Fate::Lost => {}
                    // What was given up came after it, and may have been decoded too.
                    _ if self.given_up > Some(tick) => self.settle(tick, Outcome::Unknown),
                    Fate::Whole => self.settle(tick, Outcome::Decoded),
                    Fate::Parts(parts) => self.settle_parts(tick, parts),
                    Fate::Unknown => self.settle(tick, Outcome::Unknown),
                }
            }
        }
        self.newest_ack = Some(ack.newest);
        self.columns.drop_forgotten();
    }

    /// The frame that was the newest may become the one that movement is continued from. Of every other tick, so that
    /// clients of one delay mostly choose the same, and so share their bits: the farther back, the less one step of
    /// the grid weighs; the nearer, the less the movement has bent.
    fn choose_older(&mut self, before: Tick, newest: Tick) {
        let far = self.older_ack.is_none_or(|older| newest.since(older) > OLDER_TICKS_MAX);
        if before.0.is_multiple_of(2) || far {
            self.columns.keep_older();
            self.older_ack = Some(before);
        }
    }

    fn settle(&mut self, tick: Tick, outcome: Outcome) {
        self.columns.settle(tick, 0..self.columns.len(), outcome == Outcome::Decoded);
    }

    fn settle_parts(&mut self, tick: Tick, parts: u64) {
        let Self { columns, sent, .. } = self;
        let mut first = 0;
        for (part, end) in sent[place(tick)].ends.iter().enumerate() {
            let last = first + columns.ids[first..].partition_point(|id| id <= end);
            if parts >> part & 1 == 1 {
                columns.settle(tick, first..last, true);
            }
            first = last;
        }
    }
}

/// An older baseline is renewed after this many ticks at the latest.
const OLDER_TICKS_MAX: i32 = 6;

pub(super) fn place(tick: Tick) -> usize {
    tick.0 as usize % RECEIVER_TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    const E: NetId = NetId(7);

    /// A ledger that sent entity `E` at each of `ticks`.
    fn sent_at(ticks: &[u32]) -> Ledger {
        let mut ledger = Ledger::new();
        ticks.iter().for_each(|tick| send(&mut ledger, *tick, true));
        ledger
    }

    fn send(ledger: &mut Ledger, tick: u32, mention: bool) {
        ledger.begin(Tick(tick));
        observe(ledger, tick, &[(E, 1.0)], 10);
        if mention {
            ledger.columns.note(0, Tick(tick));
        }
    }

    fn base(ledger: &Ledger) -> Option<Tick> {
        ledger.columns.bases[0].checked_sub(1).map(Tick)
    }

    /// With every id of `visible` in the frame.
    fn observe(ledger: &mut Ledger, tick: u32, visible: &[(NetId, f32)], entities_max: usize) -> usize {
        let schema = crate::Schema::builder().build();
        let mut frame = crate::Frame::new(Tick(tick));
        visible.iter().for_each(|(id, _)| frame.push(&schema, *id, |_| {}));
        let mut merged = Columns::default();
        let refused = merged.merge(&ledger.columns, &frame, visible, entities_max);
        ledger.columns = merged;
        refused
    }

    #[test]
    fn an_ack_settles_what_lies_before_it() {
        let mut ledger = sent_at(&[1, 2, 3]);
        ledger.acknowledge(&Ack::new(Tick(3), 0));
        assert_eq!(base(&ledger), Some(Tick(3)));
        send(&mut ledger, 4, true);
        send(&mut ledger, 5, false);
        // 4 was lost for good: what the client holds is still 3.
        ledger.acknowledge(&Ack::new(Tick(5), 0b10));
        assert_eq!((base(&ledger), ledger.newest_ack()), (Some(Tick(3)), Some(Tick(5))));
    }

    #[test]
    fn acks_of_nothing_change_nothing() {
        let mut ledger = sent_at(&[1, 2, 3]);
        ledger.acknowledge(&Ack::only(Tick(2)));
        for stranger in [0, 1, 2, 4, 66, u32::MAX] {
            ledger.acknowledge(&Ack::new(Tick(stranger), u32::MAX));
            assert_eq!((base(&ledger), ledger.newest_ack()), (Some(Tick(2)), Some(Tick(2))), "{stranger}");
        }
    }

    #[test]
    fn what_the_mask_does_not_reach_is_unknown() {
        let mut ledger = sent_at(&[1, 2]);
        ledger.acknowledge(&Ack::only(Tick(1)));
        send(&mut ledger, 40, false);
        // 2 is 38 ticks before 40: the mask says nothing of it.
        ledger.acknowledge(&Ack::new(Tick(40), u32::MAX));
        assert_eq!(base(&ledger), None);

        // The same where the gap is greater than the ring and 10 still has its place.
        let mut ledger = sent_at(&[5, 10]);
        ledger.acknowledge(&Ack::only(Tick(5)));
        send(&mut ledger, 80, false);
        ledger.acknowledge(&Ack::new(Tick(80), 0));
        assert_eq!(base(&ledger), None);
    }

    #[test]
    fn an_ack_older_than_a_snapshot_given_up_is_ignored() {
        let mut ledger = sent_at(&[100, 101]);
        // Takes the place of 101, which may have been decoded. 100 keeps its own.
        send(&mut ledger, 165, false);
        ledger.acknowledge(&Ack::only(Tick(100)));
        ledger.acknowledge(&Ack::new(Tick(165), 0));
        assert_eq!((base(&ledger), ledger.newest_ack()), (None, Some(Tick(165))));
    }

    #[test]
    fn what_came_before_a_snapshot_given_up_is_unknown() {
        let mut ledger = sent_at(&[100, 101, 110]);
        // Takes the place of 101. Of 100 and 110 the client tells now; it may have decoded 101 after 100.
        send(&mut ledger, 165, false);
        ledger.acknowledge(&Ack::new(Tick(110), 0));
        assert_eq!(base(&ledger), Some(Tick(110)));

        let mut ledger = sent_at(&[100, 101]);
        send(&mut ledger, 110, false);
        send(&mut ledger, 165, false);
        ledger.acknowledge(&Ack::new(Tick(110), 0b11 << 8));
        assert_eq!((base(&ledger), ledger.newest_ack()), (None, Some(Tick(110))));
    }

    #[test]
    fn what_is_gone_is_forgotten_when_the_client_knows() {
        let mut ledger = sent_at(&[1]);
        ledger.acknowledge(&Ack::only(Tick(1)));
        for tick in [2, 3] {
            ledger.begin(Tick(tick));
            observe(&mut ledger, tick, &[], 10);
            ledger.columns.note(0, Tick(tick));
        }
        ledger.acknowledge(&Ack::only(Tick(2)));
        assert_eq!(ledger.columns.len(), 0);
        // It comes back while word of its going is still on the way.
        send(&mut ledger, 4, true);
        ledger.acknowledge(&Ack::new(Tick(3), 1));
        assert_eq!((base(&ledger), ledger.columns.flags[0].leaving()), (None, false));
        ledger.acknowledge(&Ack::new(Tick(4), 0b11));
        assert_eq!(base(&ledger), Some(Tick(4)));
    }

    #[test]
    fn no_more_entities_than_the_client_takes() {
        let mut ledger = Ledger::new();
        ledger.begin(Tick(1));
        let visible: Vec<_> = (0..10).map(|id| (NetId(id), f32::NAN)).collect();
        assert_eq!((observe(&mut ledger, 1, &visible, 4), ledger.columns.len()), (6, 4));
        assert!(ledger.columns.scores.iter().all(|score| *score > 0.0));
        // Nobody was told of them: they make room at once.
        assert_eq!((observe(&mut ledger, 2, &visible[8..], 4), ledger.columns.len()), (2, 0));
        assert_eq!((observe(&mut ledger, 3, &visible[8..], 4), ledger.columns.len()), (0, 2));
    }
}
