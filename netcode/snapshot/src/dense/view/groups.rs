//! Entities that appear together, in a codec whose snapshots are one message each: all of a group's members that the client
//! is not known to show are chosen, or none. Owns that choice; must never know how news are coded. (The shared codec's
//! counterpart says when an entity appears, and what becomes of groups that are too long: `view/together.rs`.)

use std::num::NonZeroU32;

use netcode_wire::Tick;

use super::{Candidate, DenseView};
use crate::record::Action;
use crate::view::is_patient;
use crate::{Frame, NetId};

/// The groups among the candidates of one snapshot. Keeps its memory.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Group and candidate, ascending.
    members: Vec<(NonZeroU32, u32)>,
    decided: Vec<NonZeroU32>,
    /// Whom snapshots on their way take away, ascending.
    going: Vec<NetId>,
    torn: Vec<NonZeroU32>,
    is_blocked: bool,
    is_patient: bool,
    /// Since when groups wait for longer messages.
    blocked_since: Option<Tick>,
}

impl Groups {
    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        !self.members.is_empty()
    }

    /// Chooses anew, in `order`, `room` candidates at most.
    pub(super) fn keep(&mut self, candidates: &mut [Candidate], order: &[usize], room: usize) {
        self.decided.clear();
        self.torn.clear();
        self.is_blocked = false;
        candidates.iter_mut().for_each(|candidate| candidate.is_chosen = false);
        let mut left = room;
        for at in order {
            let group = candidates[*at].group.filter(|group| !self.torn.contains(group));
            let Some(group) = group else {
                candidates[*at].is_chosen = left > 0;
                left = left.saturating_sub(1);
                continue;
            };
            if self.decided.contains(&group) {
                continue;
            }
            self.decided.push(group);
            let first = self.members.partition_point(|(other, _)| *other < group);
            let members = self.members[first..].iter().take_while(|(other, _)| *other == group);
            let count = members.clone().count();
            if count <= left {
                left -= count;
                members.for_each(|(_, member)| candidates[*member as usize].is_chosen = true);
            } else if count > room {
                self.is_blocked = true;
                if !self.is_patient {
                    self.torn.push(group);
                    candidates[*at].is_chosen = left > 0;
                    left = left.saturating_sub(1);
                }
            }
        }
    }
}

impl DenseView {
    /// Finds who of the candidates appears, and with whom.
    pub(super) fn begin_groups(&mut self, frame: &Frame, now: Tick) {
        let Self { groups, candidates, flights, world, epoch, .. } = self;
        groups.members.clear();
        groups.torn.clear();
        groups.is_blocked = false;
        if !frame.has_groups() {
            return;
        }
        groups.is_patient = is_patient(groups.blocked_since, now);
        let is_flying = |tick: Tick| Some(tick) > world.newest();
        let flying = flights.iter().filter(|it| it.epoch == *epoch && is_flying(it.tick));
        let gone = flying.flat_map(|it| &it.mentions).filter(|mention| mention.action == Action::Gone);
        groups.going.clear();
        groups.going.extend(gone.map(|mention| mention.id));
        groups.going.sort_unstable();
        for (at, candidate) in candidates.iter_mut().enumerate() {
            let appears =
                candidate.action == Action::Whole || groups.going.binary_search(&candidate.id).is_ok();
            candidate.group = candidate.group.filter(|_| appears);
            groups.members.extend(candidate.group.map(|group| (group, at as u32)));
        }
        groups.members.sort_unstable();
    }

    /// Notes who waits on; gives how many groups fell apart.
    pub(super) fn end_groups(&mut self, now: Tick) -> usize {
        let groups = &mut self.groups;
        groups.blocked_since = groups.is_blocked.then(|| groups.blocked_since.unwrap_or(now));
        groups.torn.len()
    }
}
