//! One frame into another: what a snapshot showed goes over what was known. Must never know who was shown what, nor why.

use netcode_wire::Tick;

use super::{Frame, Part, Row};
use crate::NetId;
use crate::far::Class;

impl Frame {
    /// How many entities there are once `gone` have left and those of `shown` are in.
    pub(crate) fn len_with(&self, shown: &Self, gone: &[NetId]) -> usize {
        let new = shown.rows.iter().filter(|row| !self.contains(row.id)).count();
        let left = gone.iter().filter(|id| self.contains(**id)).count();
        self.rows.len() + new - left
    }

    /// Takes in the entities of `shown` with their stamps, and lets go of `gone`; both ascend and have nobody in common.
    pub(crate) fn apply(&mut self, shown: &Self, gone: &[NetId]) {
        let mut guess = 0;
        let mut is_same = gone.is_empty();
        for row in &shown.rows {
            let Some(place) = self.row_near(row.id, guess) else {
                is_same = false;
                continue;
            };
            guess = place + 1;
            self.overwrite(place, shown, row);
        }
        if !is_same {
            self.insert(shown, gone);
        }
    }

    /// Puts `theirs` in the place of the entity in `place`: over its values where they have the same components.
    fn overwrite(&mut self, place: usize, shown: &Self, theirs: &Row) {
        let row = self.rows[place];
        let (ours, new) = (self.parts_of(&row), shown.parts_of(theirs));
        let same = ours.len() == new.len()
            && ours.iter().zip(new).all(|(ours, new)| ours.component == new.component && ours.len == new.len);
        if !same {
            self.named_parts -= ours.len();
            self.copy_row(shown, theirs);
            let last = self.rows.pop().expect("it was just added");
            self.rows[place] = last;
            return;
        }
        for (index, new) in new.iter().enumerate() {
            let start = self.parts[row.parts.0 as usize + index].start as usize;
            let (from, len) = (new.start as usize, new.len as usize);
            self.values[start..start + len].copy_from_slice(&shown.values[from..from + len]);
        }
        (self.rows[place].stamp, self.rows[place].far_stamp) = (theirs.stamp, theirs.far_stamp);
    }

    /// Adds the entities of `shown` that are not there, and removes `gone`.
    fn insert(&mut self, shown: &Self, gone: &[NetId]) {
        let mut gone = gone.iter().peekable();
        let mut left = 0;
        let parts = &self.parts;
        self.rows.retain(|row| {
            while gone.next_if(|id| **id < row.id).is_some() {}
            let stays = gone.next_if(|id| **id == row.id).is_none();
            left += if stays { 0 } else { parts[row.parts.0 as usize..row.parts.1 as usize].len() };
            stays
        });
        self.named_parts -= left;
        let old = self.rows.len();
        for row in &shown.rows {
            if self.rows[..old].binary_search_by_key(&row.id, |row| row.id).is_err() {
                self.copy_row(shown, row);
            }
        }
        // Two runs that ascend: a merge.
        self.rows.sort_by_key(|row| row.id);
    }

    /// Adds a row of another frame, stamp and all, after the last.
    pub(super) fn copy_row(&mut self, from: &Self, row: &Row) {
        let first_part = self.next_part();
        for part in from.parts_of(row) {
            let start = part.start as usize;
            let new_start = self.values.len() as u32;
            self.values.extend_from_slice(&from.values[start..start + part.span()]);
            self.kept_parts += usize::from(part.is_kept());
            self.parts.push(Part { start: new_start, ..*part });
        }
        self.seal(row.id, row.stamp, first_part);
        let last = self.rows.last_mut().expect("it was just added");
        (last.far_stamp, last.group) = (row.far_stamp, row.group);
    }

    /// Adds an entity of another frame, as it is told there to a class, with a stamp; it comes after all that are here.
    /// `None`: the other frame has no such entity.
    pub(crate) fn copy_entity(&mut self, from: &Self, id: NetId, class: Class, stamp: Tick) -> Option<()> {
        let row = &from.rows[from.row_of(id)?];
        let first_part = self.next_part();
        for (component, columns) in from.entity_as(row, class).parts() {
            self.add_part(component, columns.len()).copy_from_slice(columns);
        }
        self.seal(id, stamp, first_part);
        Some(())
    }
}
