//! Which news go into a snapshot when not all of them fit. Owns the choice; must never know why something is
//! news, nor who waits how long.

use super::Candidate;
use super::together::Together;
use crate::NetId;
use crate::record::id_bits;

/// Chooses by score, filling the budget to the bit. Keeps its memory from one snapshot to the next.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// The greatest score first: its bits inverted, and the candidate.
    order: Vec<u64>,
    /// One bit a candidate.
    chosen: Vec<u64>,
}

impl Selection {
    /// Leaves in `candidates` (ascending by id) those of the greatest scores whose records fit together in `budget_bits`;
    /// groups as a whole, by the greatest of their scores. `ids` and `scores` are by [`Candidate::entry`]. A group that has
    /// not `message_bits` waits, or falls apart where its time has run out.
    pub(super) fn choose(
        &mut self,
        candidates: &mut Vec<Candidate>,
        (ids, scores): (&[NetId], &[f32]),
        budget_bits: usize,
        (together, message_bits, is_patient): (&mut Together, usize, bool),
    ) {
        self.order.clear();
        self.order.extend(candidates.iter().enumerate().map(|(index, candidate)| {
            // Scores are positive, so their bits order as they do; equal ones go by id, the same everywhere.
            let score = scores[candidate.entry as usize] * candidate.weight;
            u64::from(!score.to_bits()) << 32 | index as u64
        }));
        self.order.sort_unstable();
        self.chosen.clear();
        self.chosen.resize(candidates.len().div_ceil(64), 0);
        let mut left = budget_bits;
        let mut misses = 0;
        for place in 0..self.order.len() {
            if misses == MISSES_MAX || left < RECORD_BITS_MIN {
                break;
            }
            let index = self.order[place] as u32 as usize;
            if let Some(group) = together.group_of(index) {
                if !together.decide(group) {
                    continue;
                }
                if let Some(less) = self.take(together.members(group), (candidates, ids), left) {
                    left = less;
                    continue;
                }
                if alone(together.members(group), (candidates, ids)) <= message_bits {
                    misses += 1;
                    continue;
                }
                together.block(group, is_patient);
                if is_patient {
                    continue;
                }
            }
            match self.take(std::iter::once(index), (candidates, ids), left) {
                Some(less) => left = less,
                None => misses += 1,
            }
        }
        let mut index = 0;
        candidates.retain(|_| {
            index += 1;
            self.chosen[(index - 1) / 64] >> ((index - 1) % 64) & 1 == 1
        });
    }

    /// Chooses all of `indices`, none of which is chosen; gives what is left then. `None`: they do not fit, and none is.
    fn take(
        &mut self,
        indices: impl Iterator<Item = usize> + Clone,
        (candidates, ids): (&[Candidate], &[NetId]),
        mut left: usize,
    ) -> Option<usize> {
        let id = |index: usize| ids[candidates[index].entry as usize];
        for index in indices.clone() {
            let (before, after) = (self.before(index).map(id), self.after(index).map(id));
            let own = id_bits(before, id(index)) + candidates[index].span.bits() as usize;
            // What its head costs, less what it saves the next one's.
            let next = |from, next| id_bits(from, next) as isize;
            let moved = after.map_or(0, |after| next(Some(id(index)), after) - next(before, after));
            let Some(less) = left.checked_sub(own.saturating_add_signed(moved)) else {
                indices.take_while(|taken| *taken != index).for_each(|taken| self.mark(taken, false));
                return None;
            };
            left = less;
            self.mark(index, true);
        }
        Some(left)
    }

    fn mark(&mut self, index: usize, is_chosen: bool) {
        let (word, bit) = (&mut self.chosen[index / 64], 1 << (index % 64));
        *word = if is_chosen { *word | bit } else { *word & !bit };
    }

    /// The chosen one before `index`.
    fn before(&self, index: usize) -> Option<usize> {
        let (mut word, bit) = (index / 64, index % 64);
        let mut bits = self.chosen[word] & ((1 << bit) - 1);
        while bits == 0 {
            word = word.checked_sub(1)?;
            bits = self.chosen[word];
        }
        Some(word * 64 + 63 - bits.leading_zeros() as usize)
    }

    /// The chosen one after `index`, which is not chosen.
    fn after(&self, index: usize) -> Option<usize> {
        let (mut word, bit) = (index / 64, index % 64);
        let mut bits = self.chosen[word] & (u64::MAX << bit);
        while bits == 0 {
            word += 1;
            bits = *self.chosen.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }
}

/// Bits of a run of records, ascending, in a message of their own.
fn alone(indices: impl Iterator<Item = usize>, (candidates, ids): (&[Candidate], &[NetId])) -> usize {
    let (mut before, mut bits) = (None, 0);
    for candidate in indices.map(|index| &candidates[index]) {
        let id = ids[candidate.entry as usize];
        bits += id_bits(before, id) + candidate.span.bits() as usize;
        before = Some(id);
    }
    bits
}

/// Records that may fail to fit before the search for smaller ones is given up.
const MISSES_MAX: usize = 8;
/// An id next to the last one, and that it is gone: nothing is shorter but a change without columns.
const RECORD_BITS_MIN: usize = 3;
