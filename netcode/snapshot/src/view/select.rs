//! Which news go into a snapshot when not all of them fit. Owns the choice; must never know why something is
//! news, nor who waits how long.

use std::cmp::Reverse;

use netcode_wire::BitWriter;

use super::{Candidate, Source};
use crate::record::{END_BITS, id_bits};

/// Chooses by score, filling the budget to the bit. Keeps its memory from one snapshot to the next.
#[derive(Debug, Default)]
pub(super) struct Selection {
    order: Vec<usize>,
    chosen: Vec<usize>,
    columns: BitWriter,
}

impl Selection {
    /// Leaves in `candidates` (ascending by id) those of the greatest scores whose records fit together, with
    /// the end mark, in `budget_bits`; gives the number of the others.
    pub(super) fn choose(
        &mut self,
        source: Source<'_>,
        candidates: &mut Vec<Candidate>,
        budget_bits: usize,
    ) -> usize {
        self.order.clear();
        self.order.extend(0..candidates.len());
        // Scores are positive, so their bits order as they do; equal ones go by id, the same everywhere.
        self.order.sort_unstable_by_key(|index| (Reverse(candidates[*index].score.to_bits()), *index));
        self.chosen.clear();
        let mut left = budget_bits.saturating_sub(END_BITS);
        let mut misses = 0;
        for &index in &self.order {
            if misses == MISSES_MAX || left < RECORD_BITS_MIN {
                break;
            }
            self.columns.clear();
            candidates[index].encode_columns(source, &mut self.columns);
            let place = self.chosen.partition_point(|chosen| *chosen < index);
            let (grows, shrinks) = self.head_bits(candidates, index, place);
            let grows = grows + self.columns.bit_len();
            if grows <= left + shrinks {
                left = left + shrinks - grows;
                self.chosen.insert(place, index);
            } else {
                misses += 1;
            }
        }
        let before = candidates.len();
        self.keep_chosen(candidates);
        before - candidates.len()
    }

    /// Bits that the head of the record costs at its place among the chosen, and those it saves the next one.
    fn head_bits(&self, candidates: &[Candidate], index: usize, place: usize) -> (usize, usize) {
        let candidate = &candidates[index];
        let before = place.checked_sub(1).map(|place| candidates[self.chosen[place]].id);
        let own = id_bits(before, candidate.id) + candidate.action_bits();
        match self.chosen.get(place).map(|next| candidates[*next].id) {
            Some(next) => (own + id_bits(Some(candidate.id), next), id_bits(before, next)),
            None => (own, 0),
        }
    }

    fn keep_chosen(&self, candidates: &mut Vec<Candidate>) {
        let mut chosen = self.chosen.iter().peekable();
        let mut index = 0;
        candidates.retain(|_| {
            index += 1;
            chosen.next_if(|chosen| **chosen == index - 1).is_some()
        });
    }
}

/// Records that may fail to fit before the search for smaller ones is given up.
const MISSES_MAX: usize = 8;
/// An id next to the last one, and that it is gone: nothing is shorter but a change without columns.
const RECORD_BITS_MIN: usize = 3;
