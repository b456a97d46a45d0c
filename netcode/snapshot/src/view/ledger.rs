//! What one client surely holds, and what is on its way to it. Owns the bookkeeping of acknowledgements; must
//! never know a column or a bit.
//!
//! The rules, with *A* the newest snapshot that the client is known to hold:
//!
//! 1. `Entry::base` is a server tick whose columns of the entity equal those in the client's frame *A*; `None`
//!    when that is not known, or the client's frame *A* lacks the entity.
//! 2. A client never decodes a snapshot older than its newest. So when *A* moves to *A'*, every snapshot between
//!    them is settled: decoded or lost, as the ack's mask says. Where the mask does not reach, the entities
//!    mentioned there have no known base.
//! 3. An entity that has not changed since its base (nor left and returned) is as it should be, whatever else is
//!    on its way; its base moves on with the present, so that it never ages out of the history.

use netcode_wire::Tick;

use crate::{Ack, NetId, RECEIVER_TICKS};

/// One entity that the client holds or may hold, or that it should hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: NetId,
    pub(super) base: Option<Tick>,
    /// When it last came into view (or, while leaving, went out of it).
    pub(super) since: Tick,
    /// Out of view: to be taken away.
    pub(super) leaving: bool,
    /// Whether any snapshot ever mentioned it: then the client may hold it.
    pub(super) sent: bool,
    /// Priority gathered since it was last sent.
    pub(super) score: f32,
}

/// The entities of one client, ascending, and the snapshots on their way to it.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) entries: Vec<Entry>,
    merged: Vec<Entry>,
    sent: Vec<Sent>,
    newest_sent: Option<Tick>,
    newest_ack: Option<Tick>,
}

/// One snapshot on its way, in the place of its tick.
#[derive(Debug, Default)]
struct Sent {
    tick: Option<Tick>,
    mentions: Vec<(NetId, Mention)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mention {
    Shown,
    Gone,
}

/// What an ack says of one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Decoded,
    Unknown,
}

impl Ledger {
    pub(super) fn new() -> Self {
        let sent = std::iter::repeat_with(Sent::default).take(RECEIVER_TICKS).collect();
        Self { entries: Vec::new(), merged: Vec::new(), sent, newest_sent: None, newest_ack: None }
    }

    /// Brings the entries in line with what is in view at `now`: `visible` ascending, without doubles. Gives
    /// how many were refused because the client would hold more than `entities_max`.
    pub(super) fn observe(&mut self, now: Tick, visible: &[(NetId, f32)], entities_max: usize) -> usize {
        let mut room = entities_max.saturating_sub(self.entries.len());
        let mut refused = 0;
        let mut known = self.entries.iter().copied().peekable();
        self.merged.clear();
        for &(id, priority) in visible {
            while let Some(entry) = known.next_if(|entry| entry.id < id) {
                self.merged.extend(entry.out_of_view(now));
            }
            if let Some(entry) = known.next_if(|entry| entry.id == id) {
                self.merged.push(entry.in_view(now, priority));
            } else if room > 0 {
                room -= 1;
                self.merged.push(Entry::new(id, now, priority));
            } else {
                refused += 1;
            }
        }
        self.merged.extend(known.filter_map(|entry| entry.out_of_view(now)));
        std::mem::swap(&mut self.entries, &mut self.merged);
        refused
    }

    /// The frame that deltas of a snapshot at `now` are taken against: one that the client still holds.
    pub(super) fn baseline(&self, now: Tick) -> Option<Tick> {
        self.newest_ack.filter(|ack| (1..RECEIVER_TICKS as i32).contains(&now.since(*ack)))
    }

    pub(super) fn newest_ack(&self) -> Option<Tick> {
        self.newest_ack
    }

    /// Begins the record of a snapshot at `now`. The one that had its place is given up: if it was never
    /// settled, what the client holds of its entities is not known any more.
    pub(super) fn begin(&mut self, now: Tick) {
        let Self { entries, sent, newest_ack, newest_sent, .. } = self;
        let place = &mut sent[place(now)];
        if let Some(tick) = place.tick
            && newest_ack.is_none_or(|ack| ack < tick)
        {
            place.settle(tick, Fate::Unknown, entries);
        }
        place.tick = Some(now);
        place.mentions.clear();
        *newest_sent = Some(now);
    }

    /// Notes that the snapshot at `now` mentions the entry of index `entry`.
    pub(super) fn note(&mut self, now: Tick, entry: usize) {
        let entry = &mut self.entries[entry];
        entry.sent = true;
        entry.score = 0.0;
        let mention = if entry.leaving { Mention::Gone } else { Mention::Shown };
        self.sent[place(now)].mentions.push((entry.id, mention));
    }

    /// Takes an acknowledgement; what was never sent, or is too old, or is not news, is ignored.
    pub(super) fn acknowledge(&mut self, ack: Ack) {
        let Self { entries, sent, newest_ack, newest_sent, .. } = self;
        let known = sent[place(ack.newest)].tick == Some(ack.newest);
        let news = newest_ack.is_none_or(|newest| newest < ack.newest);
        // Deliberate: beyond the ring a neighbour of this snapshot may already be given up.
        let young = newest_sent.is_some_and(|newest| newest.since(ack.newest) < RECEIVER_TICKS as i32);
        if !(known && news && young) {
            return;
        }
        let unsettled = |tick: &Tick| *tick <= ack.newest && newest_ack.is_none_or(|newest| newest < *tick);
        let reach = RECEIVER_TICKS as i32 - 1;
        for snapshot in sent.iter() {
            if let Some(tick) = snapshot.tick.filter(unsettled)
                && ack.newest.since(tick) > reach
            {
                snapshot.settle(tick, Fate::Unknown, entries);
            }
        }
        for tick in (ack.newest.offset(-reach).0..=ack.newest.0).map(Tick).filter(unsettled) {
            let snapshot = &sent[place(tick)];
            if snapshot.tick == Some(tick) {
                match ack.holds(tick) {
                    Some(true) => snapshot.settle(tick, Fate::Decoded, entries),
                    Some(false) => {}
                    None => snapshot.settle(tick, Fate::Unknown, entries),
                }
            }
        }
        *newest_ack = Some(ack.newest);
        entries.retain(|entry| entry.sent || !entry.leaving);
    }
}

impl Entry {
    fn new(id: NetId, now: Tick, priority: f32) -> Self {
        Self { id, base: None, since: now, leaving: false, sent: false, score: sane(priority) }
    }

    fn in_view(mut self, now: Tick, priority: f32) -> Self {
        if self.leaving {
            self.leaving = false;
            self.since = now;
        }
        self.score += sane(priority);
        self
    }

    /// `None` when the client cannot know of it.
    fn out_of_view(mut self, now: Tick) -> Option<Self> {
        if !self.leaving {
            self.leaving = true;
            self.since = now;
        }
        self.score += 1.0;
        self.sent.then_some(self)
    }

    /// Whether the client shows (or will, by what it holds) the state that the entity has had since `stamp`.
    pub(super) fn is_settled(&self, stamp: Tick) -> bool {
        !self.leaving && self.base.is_some_and(|base| base >= stamp.max(self.since))
    }
}

impl Sent {
    fn settle(&self, tick: Tick, fate: Fate, entries: &mut [Entry]) {
        let mut first = 0;
        for (id, mention) in &self.mentions {
            // Both ascend: each search goes on where the last one ended.
            first += entries[first..].partition_point(|entry| entry.id < *id);
            let Some(entry) = entries.get_mut(first).filter(|entry| entry.id == *id) else { continue };
            if entry.base.is_some_and(|base| base >= tick) {
                continue;
            }
            match (fate, mention) {
                (Fate::Decoded, Mention::Shown) => entry.base = Some(tick),
                (Fate::Decoded, Mention::Gone) => {
                    entry.base = None;
                    // Known to be away, with nothing on its way that brings it back: forgotten.
                    entry.sent &= !(entry.leaving && entry.since <= tick);
                }
                (Fate::Unknown, _) => entry.base = None,
            }
        }
    }
}

/// A priority that counts: positive, finite, so that every wait ends.
fn sane(priority: f32) -> f32 {
    // NaN fails the comparison and becomes the least.
    if priority > PRIORITY_MIN { priority.min(PRIORITY_MAX) } else { PRIORITY_MIN }
}

fn place(tick: Tick) -> usize {
    tick.0 as usize % RECEIVER_TICKS
}

const PRIORITY_MIN: f32 = 1.0 / 64.0;
const PRIORITY_MAX: f32 = 64.0;

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
        ledger.observe(Tick(tick), &[(E, 1.0)], 10);
        if mention {
            ledger.note(Tick(tick), 0);
        }
    }

    fn base(ledger: &Ledger) -> Option<Tick> {
        ledger.entries[0].base
    }

    #[test]
    fn an_ack_settles_what_lies_before_it() {
        let mut ledger = sent_at(&[1, 2, 3]);
        ledger.acknowledge(Ack { newest: Tick(3), earlier: 0 });
        assert_eq!(base(&ledger), Some(Tick(3)));
        send(&mut ledger, 4, true);
        send(&mut ledger, 5, false);
        // 4 was lost for good: what the client holds is still 3.
        ledger.acknowledge(Ack { newest: Tick(5), earlier: 0b10 });
        assert_eq!((base(&ledger), ledger.newest_ack()), (Some(Tick(3)), Some(Tick(5))));
    }

    #[test]
    fn acks_of_nothing_change_nothing() {
        let mut ledger = sent_at(&[1, 2, 3]);
        ledger.acknowledge(Ack::only(Tick(2)));
        for stranger in [0, 1, 2, 4, 66, u32::MAX] {
            ledger.acknowledge(Ack { newest: Tick(stranger), earlier: u32::MAX });
            assert_eq!((base(&ledger), ledger.newest_ack()), (Some(Tick(2)), Some(Tick(2))), "{stranger}");
        }
    }

    #[test]
    fn what_the_mask_does_not_reach_is_unknown() {
        let mut ledger = sent_at(&[1, 2]);
        ledger.acknowledge(Ack::only(Tick(1)));
        send(&mut ledger, 40, false);
        // 2 is 38 ticks before 40: the mask says nothing of it.
        ledger.acknowledge(Ack { newest: Tick(40), earlier: u32::MAX });
        assert_eq!(base(&ledger), None);

        // The same where the gap is greater than the ring and 10 still has its place.
        let mut ledger = sent_at(&[5, 10]);
        ledger.acknowledge(Ack::only(Tick(5)));
        send(&mut ledger, 80, false);
        ledger.acknowledge(Ack { newest: Tick(80), earlier: 0 });
        assert_eq!(base(&ledger), None);
    }

    #[test]
    fn an_ack_older_than_a_snapshot_given_up_is_ignored() {
        let mut ledger = sent_at(&[100, 101]);
        // Takes the place of 101, which may have been decoded. 100 keeps its own.
        send(&mut ledger, 165, false);
        ledger.acknowledge(Ack::only(Tick(100)));
        ledger.acknowledge(Ack { newest: Tick(165), earlier: 0 });
        assert_eq!((base(&ledger), ledger.newest_ack()), (None, Some(Tick(165))));
    }

    #[test]
    fn what_is_gone_is_forgotten_when_the_client_knows() {
        let mut ledger = sent_at(&[1]);
        ledger.acknowledge(Ack::only(Tick(1)));
        for tick in [2, 3] {
            ledger.begin(Tick(tick));
            ledger.observe(Tick(tick), &[], 10);
            ledger.note(Tick(tick), 0);
        }
        ledger.acknowledge(Ack::only(Tick(2)));
        assert_eq!(ledger.entries.len(), 0);
        // It comes back while word of its going is still on the way.
        send(&mut ledger, 4, true);
        ledger.acknowledge(Ack { newest: Tick(3), earlier: 1 });
        assert_eq!((base(&ledger), ledger.entries[0].leaving), (None, false));
        ledger.acknowledge(Ack { newest: Tick(4), earlier: 0b11 });
        assert_eq!(base(&ledger), Some(Tick(4)));
    }

    #[test]
    fn no_more_entities_than_the_client_takes() {
        let mut ledger = Ledger::new();
        ledger.begin(Tick(1));
        let visible: Vec<_> = (0..10).map(|id| (NetId(id), f32::NAN)).collect();
        assert_eq!((ledger.observe(Tick(1), &visible, 4), ledger.entries.len()), (6, 4));
        assert!(ledger.entries.iter().all(|entry| entry.score > 0.0));
        // Nobody was told of them: they make room at once.
        assert_eq!((ledger.observe(Tick(2), &visible[8..], 4), ledger.entries.len()), (2, 0));
        assert_eq!((ledger.observe(Tick(3), &visible[8..], 4), ledger.entries.len()), (0, 2));
    }
}
