//! What the client may show without the confirmed world knowing it: before the epoch, and by another codec. Owns its
//! passing on from epoch to epoch and from codec to codec; must never know how news are coded.

use std::collections::BTreeMap;

use netcode_wire::Tick;

use super::super::flight::Flight;
use super::super::{EPOCHS, place};
use super::{Candidate, DenseView};
use crate::record::Action;
use crate::view::Entry;
use crate::{Frame, NetId};

impl DenseView {
    /// Begins to serve a client that another codec's snapshots were sent to: with the frame that it is known to hold of the
    /// newest of them, if it is known, and who is far in it; and with everybody whom it may show.
    pub(crate) fn enter(
        &mut self,
        confirmed: Option<(&Frame, &[NetId])>,
        shown: impl Iterator<Item = NetId>,
    ) {
        self.flights.iter_mut().for_each(|flight| flight.clear(Tick(0), flight.epoch, false));
        self.ghosts.clear();
        self.waits.clear();
        self.world.clear();
        self.begin_epoch();
        self.ghosts.extend(shown);
        self.ghosts.sort_unstable();
        self.ghosts.dedup();
        if let Some((frame, far)) = confirmed {
            self.world.seed(frame, far);
            self.newest_ack = self.newest_ack.max(Some(frame.tick()));
        }
    }

    /// What another codec must know to serve this client from here on: the confirmed snapshot, those on their way, and
    /// everybody whom the client may show, ascending.
    pub(crate) fn leave(&self) -> (Option<Tick>, Vec<Tick>, Vec<Entry>) {
        let newest = self.world.newest();
        let entry = |id| Entry { id, ..Entry::default() };
        let mut entries: BTreeMap<NetId, Entry> = self.ghosts.iter().map(|id| (*id, entry(*id))).collect();
        for track in self.world.tracks() {
            let base = track.stamp.0 + 1;
            entries
                .insert(track.id, Entry { base, is_base_far: track.stamp_class.is_far(), ..entry(track.id) });
        }
        let is_flying = |it: &&Flight| {
            it.epoch == self.epoch && it.tick > newest.unwrap_or_default() && it.tick > Tick(0)
        };
        let mut flying: Vec<&Flight> = self.flights.iter().filter(is_flying).collect();
        flying.sort_unstable_by_key(|flight| flight.tick);
        for flight in &flying {
            let bit = 1 << place(flight.tick);
            for mention in &flight.mentions {
                let entry = entries.entry(mention.id).or_insert(entry(mention.id));
                match mention.action {
                    Action::Gone => entry.gone |= bit,
                    Action::Change | Action::Whole => {
                        entry.shown |= bit;
                        entry.far |= if mention.listed.is_far() { bit } else { 0 };
                    }
                }
            }
        }
        let flying = flying.into_iter().map(|flight| flight.tick).collect();
        (newest, flying, entries.into_values().collect())
    }

    /// Both sides forget everything: the next snapshot says it by its epoch. What the client shows it goes on showing.
    pub(super) fn begin_epoch(&mut self) {
        let told = self.flights.iter().flat_map(|flight| &flight.mentions);
        let told = told.filter(|mention| mention.action != Action::Gone).map(|mention| mention.id);
        self.ghosts.extend(told.chain(self.world.tracks().iter().map(|track| track.id)));
        self.ghosts.sort_unstable();
        self.ghosts.dedup();
        self.epoch = (self.epoch + 1) % EPOCHS;
        self.epoch_first = None;
        self.model.clear();
        self.world.clear();
    }

    /// Makes room for the snapshot of `tick`. The one that had its place was never settled, if it is still there: the client
    /// may show what it told of.
    pub(super) fn give_up(&mut self, tick: Tick) {
        let spare = self.spare.pop().unwrap_or_default();
        let old = std::mem::replace(&mut self.flights[place(tick)], spare);
        if !old.mentions.is_empty() {
            let told = old.mentions.iter().filter(|mention| mention.action != Action::Gone);
            self.ghosts.extend(told.map(|mention| mention.id));
            self.ghosts.sort_unstable();
            self.ghosts.dedup();
        }
        self.spare.extend(old.into_spare());
    }

    /// Adds who must be taken away although the confirmed world lacks them.
    pub(super) fn gather_ghosts(&mut self, frame: &Frame) {
        if self.ghosts.is_empty() {
            return;
        }
        for id in &self.ghosts {
            let in_view =
                self.visible.binary_search_by_key(id, |(id, _)| id.row()).is_ok() && frame.contains(*id);
            if !in_view && self.world.find(*id).is_none() {
                self.candidates.push(Candidate { id: *id, ..Candidate::GHOST });
            }
        }
        self.candidates.sort_by_key(|candidate| candidate.id);
    }
}
