//! Entities that appear together: which news go into one message or into none. Owns that rule; must never know why they
//! belong together, nor what else is chosen.
//!
//! An entity *appears* in a snapshot when the client is not known to show it: there is no base, or word that it is gone is on
//! its way. Of a group, those that appear go into one message, which a client takes as a whole; so whoever lacked them sees
//! all of them at once, whatever was lost before. A message is a run of ids, so what lies between a group's first and last
//! id goes into the same one.
//!
//! A group that is longer than a message waits for a longer message. After [`PATIENCE_TICKS`] it falls apart, and its members
//! come one by one: nothing waits for ever.

use std::num::NonZeroU32;

use netcode_wire::Tick;

use super::Candidate;
use super::columns::Columns;
use crate::frame::Row;

/// The groups among the candidates of one snapshot. Keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Together {
    groups: Vec<Group>,
    /// Group and candidate, ascending.
    members: Vec<(NonZeroU32, u32)>,
    /// By candidate: the place of its group, plus one; 0: none. Empty when there is no group.
    of: Vec<u32>,
    /// By candidate: it goes into one message with the one before it.
    glued: Vec<bool>,
    /// Groups that have fallen apart.
    torn: Vec<NonZeroU32>,
    /// Whether a group waits for a longer message.
    is_blocked: bool,
}

/// A run of `members`.
#[derive(Debug, Clone, Copy)]
struct Group {
    name: NonZeroU32,
    start: u32,
    end: u32,
    is_decided: bool,
}

impl Together {
    /// No group is there.
    pub(super) fn clear(&mut self) {
        self.forget();
        self.torn.clear();
        self.is_blocked = false;
    }

    /// Finds the groups among `candidates`.
    pub(super) fn gather(&mut self, candidates: &[Candidate], columns: &Columns, rows: &[Row]) {
        self.forget();
        let group_of = |candidate: &Candidate| {
            let place = candidate.entry as usize;
            let appears = columns.appears(place).then(|| rows[columns.rows[place] as usize].group);
            appears.flatten().filter(|group| !self.torn.contains(group))
        };
        let found = candidates.iter().enumerate();
        self.members.extend(found.filter_map(|(at, candidate)| Some((group_of(candidate)?, at as u32))));
        if self.members.is_empty() {
            return;
        }
        self.members.sort_unstable();
        self.of.resize(candidates.len(), 0);
        self.glued.resize(candidates.len(), false);
        for (place, (name, candidate)) in self.members.iter().enumerate() {
            let place = place as u32;
            match self.groups.last_mut().filter(|group| group.name == *name) {
                Some(group) => group.end = place + 1,
                None => {
                    let group = Group { name: *name, start: place, end: place + 1, is_decided: false };
                    self.groups.push(group);
                }
            }
            self.of[*candidate as usize] = self.groups.len() as u32;
        }
        for group in &self.groups {
            let (first, last) =
                (self.members[group.start as usize].1, self.members[group.end as usize - 1].1);
            self.glued[first as usize + 1..=last as usize].fill(true);
        }
    }

    /// Whether a candidate goes into one message with the one before it.
    pub(super) fn is_glued(&self, candidate: usize) -> bool {
        self.glued.get(candidate).is_some_and(|glued| *glued)
    }

    /// Whether there is any group.
    pub(super) fn any(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The group of a candidate.
    pub(super) fn group_of(&self, candidate: usize) -> Option<usize> {
        (*self.of.get(candidate)? as usize).checked_sub(1)
    }

    /// Whether this is the first time that the group is asked for.
    pub(super) fn decide(&mut self, group: usize) -> bool {
        !std::mem::replace(&mut self.groups[group].is_decided, true)
    }

    /// The candidates of a group, ascending.
    pub(super) fn members(&self, group: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        let Group { start, end, .. } = self.groups[group];
        self.members[start as usize..end as usize].iter().map(|(_, candidate)| *candidate as usize)
    }

    /// The group is longer than any message of this snapshot: it waits, or falls apart.
    pub(super) fn block(&mut self, group: usize, is_patient: bool) {
        self.is_blocked = true;
        if is_patient {
            return;
        }
        let Group { name, start, end, .. } = self.groups[group];
        self.torn.push(name);
        for (_, candidate) in &self.members[start as usize..end as usize] {
            self.of[*candidate as usize] = 0;
        }
    }

    /// Groups that fell apart in this snapshot.
    pub(super) fn torn(&self) -> usize {
        self.torn.len()
    }

    /// Since when groups wait for longer messages.
    pub(super) fn blocked_since(&self, before: Option<Tick>, now: Tick) -> Option<Tick> {
        self.is_blocked.then(|| before.unwrap_or(now))
    }

    fn forget(&mut self) {
        self.groups.clear();
        self.members.clear();
        self.of.clear();
        self.glued.clear();
    }
}

/// Whether groups that have been longer than a message since `since` go on waiting.
pub(crate) fn is_patient(since: Option<Tick>, now: Tick) -> bool {
    since.is_none_or(|since| now.since(since) < PATIENCE_TICKS)
}

/// Two seconds at 60 Hz: a link that is narrow for a moment is wide again by then.
const PATIENCE_TICKS: i32 = 120;
