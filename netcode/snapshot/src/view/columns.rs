//! What is known of each entity of one client, as columns: each step of a snapshot reads the few that it needs, in a
//! loop without branches where it can. Owns the columns' meaning; must never know an acknowledgement's form.

use std::ops::Range;

use netcode_wire::Tick;

use super::ledger::place;
use crate::far::Class;
use crate::frame::Row;
use crate::shared::Classes;
use crate::{Frame, NetId};

/// One place an entity, ascending by id.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) ids: Vec<NetId>,
    /// The base, plus one; 0: none.
    pub(super) bases: Vec<u32>,
    /// The base that it had at the older baseline, plus one; 0: none.
    pub(super) older: Vec<u32>,
    /// When it last came into view (or, while leaving, went out of it).
    pub(super) since: Vec<Tick>,
    pub(super) flags: Vec<Flags>,
    /// Priority gathered since it was last sent.
    pub(super) scores: Vec<f32>,
    /// Which snapshots mention it, a bit for the place of each tick: as being there, and as being gone.
    shown: Vec<u64>,
    gone: Vec<u64>,
    /// Every bit that is set in `gone`, and maybe others: most often there are none, and `gone` need not be read.
    gone_any: u64,
    /// Which snapshots tell of it as far, a bit as in `shown` (where that is not set it means nothing), and every bit set in
    /// any: most often there are none, and `far` need not be read.
    far: Vec<u64>,
    far_any: u64,
    /// Whether anything was ever told of as far.
    has_far: bool,
    /// Its row in the newest frame, unless it is leaving.
    pub(super) rows: Vec<u32>,
    leaving: usize,
    has_forgotten: bool,
}

/// A few facts of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags(u8);

/// What is known of an entity that another codec told of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: NetId,
    /// As in [`Columns`].
    pub(crate) base: u32,
    pub(crate) shown: u64,
    pub(crate) gone: u64,
    /// Whether the base is what who is far was told, and which of `shown` are.
    pub(crate) is_base_far: bool,
    pub(crate) far: u64,
}

impl Flags {
    /// Out of view: to be taken away.
    pub(super) const fn leaving(self) -> bool {
        self.0 & LEAVING != 0
    }

    /// Whether any snapshot ever mentioned it: then the client may hold it.
    pub(super) const fn sent(self) -> bool {
        self.0 & SENT != 0
    }

    /// As what the client is to be told of it.
    pub(super) const fn class(self) -> Class {
        Class::of(self.0 & FAR != 0)
    }

    /// The class of now, of its base, and of its base at the older baseline.
    pub(super) const fn classes(self) -> Classes {
        Classes::new(self.class(), self.base_class(), Class::of(self.0 & OLDER_FAR != 0))
    }

    pub(super) const fn base_class(self) -> Class {
        Class::of(self.0 & BASE_FAR != 0)
    }

    fn set(&mut self, fact: u8, to: bool) {
        self.0 = if to { self.0 | fact } else { self.0 & !fact };
    }

    /// Whether, as long as it has no base, it cannot be said if the client holds it.
    const fn unsure(self) -> bool {
        self.0 & UNSURE != 0
    }
}

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Takes `visible` in, with priorities, if it is exactly who was in view before; `rows` must still hold.
    pub(super) fn gather_same(&mut self, visible: &[(NetId, f32)]) -> bool {
        if self.leaving > 0 || visible.len() != self.ids.len() {
            return false;
        }
        let mut different = 0;
        for ((ours, flags), (id, _)) in self.ids.iter().zip(&self.flags).zip(visible) {
            let listed = if flags.class().is_far() { ours.from_afar() } else { *ours };
            different |= listed.0 ^ id.0;
        }
        if different == 0 {
            let scores = self.scores.iter_mut().zip(visible);
            scores.for_each(|(score, (_, priority))| *score += sane(*priority));
        }
        different == 0
    }

    /// Fills this from `before`, brought in line with who is in view at the tick of `frame`: `visible` ascending, without
    /// doubles. Gives how many were refused because the client would hold more than `entities_max`.
    pub(super) fn merge(
        &mut self,
        before: &Self,
        frame: &Frame,
        visible: &[(NetId, f32)],
        entities_max: usize,
    ) -> usize {
        self.clear();
        (self.gone_any, self.far_any, self.has_far) = (before.gone_any, before.far_any, before.has_far);
        let now = frame.tick();
        let rows = frame.rows();
        let mut room = entities_max.saturating_sub(before.len());
        let (mut refused, mut known, mut row) = (0, 0, 0);
        for &(listed, priority) in visible {
            let (id, class) = (listed.row(), Class::of(listed.is_far()));
            row = first_at_least(rows, row, id);
            if rows.get(row).is_none_or(|row| row.id != id) {
                continue;
            }
            while known < before.len() && before.ids[known] < id {
                self.push_out_of_view(before, known, now);
                known += 1;
            }
            if known < before.len() && before.ids[known] == id {
                self.push_in_view(before, known, now, priority, (row as u32, class));
                known += 1;
            } else if room > 0 {
                room -= 1;
                self.push_new(id, now, priority, (row as u32, class));
            } else {
                refused += 1;
            }
        }
        (known..before.len()).for_each(|known| self.push_out_of_view(before, known, now));
        refused
    }

    /// Whether the client shows (or will, by what it holds) the state that the entity has had since `stamp`.
    #[inline]
    pub(super) fn is_settled(&self, place: usize, stamp: Tick) -> bool {
        self.bases[place] > stamp.max(self.since[place]).0 && !self.flags[place].leaving()
    }

    /// Whether the client may not show it by now, although it is to.
    pub(super) fn appears(&self, place: usize) -> bool {
        !self.flags[place].leaving()
            && (self.bases[place] == 0 || self.gone_any != 0 && self.gone[place] != 0)
    }

    /// Moves the base of what is as it should be to `now`.
    #[inline]
    pub(super) fn keep(&mut self, place: usize, now: Tick) {
        self.bases[place] = now.0.saturating_add(1);
        self.scores[place] = 0.0;
    }

    /// Notes that the snapshot at `now` mentions the entity.
    #[inline]
    pub(super) fn note(&mut self, at: usize, now: Tick) {
        self.scores[at] = 0.0;
        let flags = &mut self.flags[at];
        flags.0 |= SENT;
        let bit = 1 << place(now);
        if flags.leaving() {
            self.gone[at] |= bit;
            self.gone_any |= bit;
            return;
        }
        self.shown[at] |= bit;
        if flags.class().is_far() {
            self.far[at] |= bit;
            self.far_any |= bit;
            self.has_far = true;
        } else if self.far_any & bit != 0 {
            self.far[at] &= !bit;
        }
    }

    /// No snapshot at the place of `now` mentions anything.
    pub(super) fn forget_mentions(&mut self, now: Tick) {
        let kept = !(1 << place(now));
        self.shown.iter_mut().for_each(|mentions| *mentions &= kept);
        if self.gone_any & !kept != 0 {
            self.gone.iter_mut().for_each(|mentions| *mentions &= kept);
            self.gone_any &= kept;
        }
        if self.far_any & !kept != 0 {
            self.far.iter_mut().for_each(|mentions| *mentions &= kept);
            self.far_any &= kept;
        }
    }

    /// What the snapshot of `tick` says of the entities in `run` was decoded, or whether it was is not known.
    pub(super) fn settle(&mut self, tick: Tick, run: Range<usize>, decoded: bool) {
        let (bit, base) = (place(tick), tick.0.saturating_add(1));
        if self.has_far {
            // Before the bases move: whose does is told by them.
            for at in run.clone().filter(|at| self.shown[*at] >> bit & 1 == 1 && self.bases[*at] < base) {
                self.flags[at].set(BASE_FAR, self.far[at] >> bit & 1 == 1);
            }
        }
        let bases = &mut self.bases[run.clone()];
        let shown = &self.shown[run.clone()];
        let to = if decoded { base } else { 0 };
        for (before, mentions) in bases.iter_mut().zip(shown) {
            let news = mentions >> bit & 1 == 1 && *before < base;
            *before = if news { to } else { *before };
        }
        if !decoded {
            for at in run.clone().filter(|at| (self.shown[*at] | self.gone[*at]) >> bit & 1 == 1) {
                self.flags[at].0 |= UNSURE;
            }
        }
        if self.gone_any >> bit & 1 == 0 {
            return;
        }
        for at in run.filter(|at| self.gone[*at] >> bit & 1 == 1) {
            if self.bases[at] >= base {
                continue;
            }
            self.bases[at] = 0;
            // Known to be away, with nothing on its way that brings it back: forgotten.
            let flags = &mut self.flags[at];
            if decoded && flags.leaving() && self.since[at] <= tick {
                flags.0 &= !SENT;
                self.has_forgotten = true;
            }
        }
    }

    /// The bases of now are those of the older baseline from here on.
    pub(super) fn keep_older(&mut self) {
        self.older.copy_from_slice(&self.bases);
        if self.has_far {
            self.flags.iter_mut().for_each(|flags| flags.set(OLDER_FAR, flags.base_class().is_far()));
        }
    }

    /// Drops who is away and whom the client has forgotten.
    pub(super) fn drop_forgotten(&mut self) {
        if !std::mem::take(&mut self.has_forgotten) {
            return;
        }
        let mut kept = 0;
        for at in 0..self.len() {
            if self.flags[at].leaving() && !self.flags[at].sent() {
                continue;
            }
            self.ids[kept] = self.ids[at];
            self.bases[kept] = self.bases[at];
            self.older[kept] = self.older[at];
            self.since[kept] = self.since[at];
            self.flags[kept] = self.flags[at];
            self.scores[kept] = self.scores[at];
            self.shown[kept] = self.shown[at];
            self.gone[kept] = self.gone[at];
            self.far[kept] = self.far[at];
            self.rows[kept] = self.rows[at];
            kept += 1;
        }
        self.leaving -= self.len() - kept;
        self.truncate(kept);
    }

    /// Adds the entity of an entry, of a greater id than all before.
    pub(super) fn push_entry(&mut self, entry: &Entry, now: Tick) {
        let Entry { id, base, shown, gone, is_base_far, far } = *entry;
        self.push_new(id, Tick(0), 1.0, (u32::MAX, Class::Near));
        let last = self.len() - 1;
        self.flags[last].0 |= if base == 0 { SENT | UNSURE } else { SENT };
        (self.bases[last], self.shown[last], self.gone[last]) = (base, shown, gone);
        self.flags[last].set(BASE_FAR | FAR, is_base_far);
        self.far[last] = far;
        self.far_any |= far;
        self.has_far |= is_base_far || far != 0;
        // What was said to be gone, or as something else than it is to be, is to be told of anew, should it be in view.
        let is_plain = gone == 0 && far == 0 && !is_base_far;
        self.since[last] = if is_plain { Tick(0) } else { now };
        self.gone_any |= gone;
    }

    /// Whether the entity is one of which it cannot be said if the client's frame has it.
    pub(super) fn is_unsure(&self, place: usize) -> bool {
        self.bases[place] == 0 && self.flags[place].unsure()
    }

    fn push_new(&mut self, id: NetId, now: Tick, priority: f32, (row, class): (u32, Class)) {
        self.ids.push(id);
        self.bases.push(0);
        self.older.push(0);
        self.since.push(now);
        self.flags.push(Flags(if class.is_far() { FAR } else { 0 }));
        self.scores.push(sane(priority));
        self.shown.push(0);
        self.gone.push(0);
        self.far.push(0);
        self.rows.push(row);
    }

    fn push_in_view(
        &mut self,
        before: &Self,
        at: usize,
        now: Tick,
        priority: f32,
        (row, class): (u32, Class),
    ) {
        let flags = before.flags[at];
        self.copy(before, at, before.scores[at] + sane(priority), row);
        // What is told of as something else from now on is as if it came into view: to be told until it is held.
        if flags.leaving() || flags.class() != class {
            let last = self.len() - 1;
            self.flags[last].set(LEAVING, false);
            self.flags[last].set(FAR, class.is_far());
            self.since[last] = now;
        }
    }

    /// Nothing when the client cannot know of it.
    fn push_out_of_view(&mut self, before: &Self, at: usize, now: Tick) {
        let flags = before.flags[at];
        if !flags.sent() {
            return;
        }
        self.copy(before, at, before.scores[at] + 1.0, u32::MAX);
        self.leaving += 1;
        if !flags.leaving() {
            let last = self.len() - 1;
            self.flags[last].0 |= LEAVING;
            self.since[last] = now;
        }
    }

    #[inline]
    fn copy(&mut self, before: &Self, at: usize, score: f32, row: u32) {
        self.ids.push(before.ids[at]);
        self.bases.push(before.bases[at]);
        self.older.push(before.older[at]);
        self.since.push(before.since[at]);
        self.flags.push(before.flags[at]);
        self.scores.push(score);
        self.shown.push(before.shown[at]);
        self.gone.push(before.gone[at]);
        self.far.push(before.far[at]);
        self.rows.push(row);
    }

    fn clear(&mut self) {
        self.truncate(0);
        (self.leaving, self.has_forgotten) = (0, false);
    }

    fn truncate(&mut self, len: usize) {
        self.ids.truncate(len);
        self.bases.truncate(len);
        self.older.truncate(len);
        self.since.truncate(len);
        self.flags.truncate(len);
        self.scores.truncate(len);
        self.shown.truncate(len);
        self.gone.truncate(len);
        self.far.truncate(len);
        self.rows.truncate(len);
    }
}

/// The first of `rows` from `from` on whose id is not less than `id`. In steps that double: a client that sees few of many
/// pays for those that it sees.
#[inline]
fn first_at_least(rows: &[Row], from: usize, id: NetId) -> usize {
    let mut step = 1;
    while rows.get(from + step - 1).is_some_and(|row| row.id < id) {
        step *= 2;
    }
    let first = from + step / 2;
    let last = rows.len().min(from + step);
    first + rows[first.min(last)..last].partition_point(|row| row.id < id)
}

/// A priority that counts: positive, finite, so that every wait ends.
fn sane(priority: f32) -> f32 {
    // NaN fails the comparison and becomes the least.
    if priority > PRIORITY_MIN { priority.min(PRIORITY_MAX) } else { PRIORITY_MIN }
}

const LEAVING: u8 = 1;
const SENT: u8 = 2;
const UNSURE: u8 = 4;
const FAR: u8 = 8;
const BASE_FAR: u8 = 16;
const OLDER_FAR: u8 = 32;
const PRIORITY_MIN: f32 = 1.0 / 64.0;
const PRIORITY_MAX: f32 = 64.0;
