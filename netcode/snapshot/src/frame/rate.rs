//! Components that are told less often than every tick, or to who is far as something else. Owns when each is due; must
//! never know a client: what is held back is held back from all of a class, so that a frame is one truth for each and costs
//! nothing while it holds.
//!
//! A part that is told less often has two runs of values: what is shown, and behind it what is true by now. Entities take
//! turns, each by its name, so that what is told every six ticks is a sixth of it each tick. What is told to who is far in
//! another way has the same once more behind that, rounded already.

use std::ops::Range;

use netcode_wire::Tick;

use super::{Frame, Part};
use crate::NetId;
use crate::far::Class;

impl Part {
    /// Values that it has in the frame, all runs together.
    pub(super) fn span(&self) -> usize {
        Class::ALL.map(|class| self.runs(class)).iter().sum::<usize>() * self.len as usize
    }

    /// Whether it has more than the one run.
    pub(super) const fn is_kept(&self) -> bool {
        self.every > 1 || self.far_every > 0
    }

    /// Ticks from one time that a class is told of it to the next; 0: the class is told as the near are.
    pub(super) const fn every(&self, class: Class) -> u8 {
        if class.is_far() { self.far_every } else { self.every }
    }

    /// Where the values lie that a class is shown.
    #[inline]
    pub(super) fn shown(&self, class: Class) -> Range<usize> {
        let is_own = class.is_far() && self.far_every > 0;
        let before = if is_own { self.runs(Class::Near) * self.len as usize } else { 0 };
        let start = self.start as usize + before;
        start..start + self.len as usize
    }

    /// Where those lie that are true by now, of what the class is told less often.
    pub(super) fn truth(&self, class: Class) -> Range<usize> {
        let Range { start, end } = self.shown(class);
        end..end + (end - start)
    }

    fn runs(&self, class: Class) -> usize {
        self.every(class).min(2).into()
    }

    /// Whether a turn of the entity, of one in `every` ticks, lies after `before` and not after `now`.
    fn is_due(every: u8, id: NetId, before: Tick, now: Tick) -> bool {
        let turns = |tick: Tick| (u64::from(tick.0) + u64::from(id.entity().0)) / u64::from(every);
        turns(before) != turns(now)
    }
}

impl Frame {
    /// After the world was put into an empty frame: whose turn it is not is shown as in `before`.
    pub(crate) fn hold_back(&mut self, before: &Self) {
        if self.kept_parts == 0 {
            return;
        }
        let mut guess = 0;
        for at in 0..self.rows.len() {
            let row = self.rows[at];
            let Some(old) = before.row_near(row.id, guess) else { continue };
            guess = old + 1;
            for place in row.parts.0..row.parts.1 {
                let part = self.parts[place as usize];
                for class in Class::ALL {
                    let every = part.every(class);
                    if every <= 1 || Part::is_due(every, row.id, before.tick, self.tick) {
                        continue;
                    }
                    if let Some(shown) = before.entity_as(&before.rows[old], class).columns(part.component) {
                        self.values[part.shown(class)].copy_from_slice(shown);
                    }
                }
            }
        }
    }

    /// After the frame before, of tick `before`, was copied and changed: whose turn it is shows what is true.
    pub(crate) fn catch_up(&mut self, before: Tick) {
        if self.kept_parts == 0 {
            return;
        }
        for row in &mut self.rows {
            for part in &self.parts[row.parts.0 as usize..row.parts.1 as usize] {
                for class in Class::ALL {
                    let every = part.every(class);
                    if every <= 1 || !Part::is_due(every, row.id, before, self.tick) {
                        continue;
                    }
                    let (shown, truth) = (part.shown(class), part.truth(class));
                    if self.values[shown.clone()] != self.values[truth.clone()] {
                        self.values.copy_within(truth, shown.start);
                        row.touch(part, class, self.tick);
                    }
                }
            }
        }
    }
}
