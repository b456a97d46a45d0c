//! Components that are told less often than every tick. Owns when each is due; must never know a client: what is held
//! back is held back from all of them, so that a frame is one truth and costs nothing while it holds.
//!
//! Such a part has two runs of values: what is shown, and behind it what is true by now. Entities take turns, each by its
//! name, so that what is told every six ticks is a sixth of it each tick.

use netcode_wire::Tick;

use super::{Frame, Part};
use crate::NetId;

impl Part {
    /// Values that it has in the frame, all runs together.
    pub(super) fn span(&self) -> usize {
        let runs = if self.every > 1 { 2 } else { 1 };
        runs * self.len as usize
    }

    /// Whether a turn of the entity lies after `before` and not after `now`.
    fn is_due(&self, id: NetId, before: Tick, now: Tick) -> bool {
        let turns = |tick: Tick| (u64::from(tick.0) + u64::from(id.entity().0)) / u64::from(self.every);
        turns(before) != turns(now)
    }
}

impl Frame {
    /// What is true by now of a part that is told less often.
    pub(super) fn truth(&mut self, part: &Part) -> &mut [u32] {
        let start = (part.start + part.len) as usize;
        &mut self.values[start..start + part.len as usize]
    }

    /// After the world was put into an empty frame: whose turn it is not is shown as in `before`.
    pub(crate) fn hold_back(&mut self, before: &Self) {
        if self.rated_parts == 0 {
            return;
        }
        let mut guess = 0;
        for at in 0..self.rows.len() {
            let row = self.rows[at];
            let Some(old) = before.row_near(row.id, guess) else { continue };
            guess = old + 1;
            let old = before.entity(&before.rows[old]);
            for place in row.parts.0..row.parts.1 {
                let part = self.parts[place as usize];
                if part.every <= 1 || part.is_due(row.id, before.tick, self.tick) {
                    continue;
                }
                if let Some(shown) = old.columns(part.component) {
                    self.values[part.start as usize..][..shown.len()].copy_from_slice(shown);
                }
            }
        }
    }

    /// After the frame before, of tick `before`, was copied and changed: whose turn it is shows what is true.
    pub(crate) fn catch_up(&mut self, before: Tick) {
        if self.rated_parts == 0 {
            return;
        }
        for row in &mut self.rows {
            for part in &self.parts[row.parts.0 as usize..row.parts.1 as usize] {
                if part.every <= 1 || !part.is_due(row.id, before, self.tick) {
                    continue;
                }
                let (start, len) = (part.start as usize, part.len as usize);
                let (shown, truth) = self.values[start..start + 2 * len].split_at_mut(len);
                if shown != truth {
                    shown.copy_from_slice(truth);
                    row.stamp = self.tick;
                }
            }
        }
    }
}
