//! Standings in order, with ranks: a list of sorted chunks. Pure; must never know a store.
//!
//! A rank is the sum of the lengths of the chunks before, plus a place found by halving: a million standings
//! are some 1,400 chunks, whose lengths are added up in well under a microsecond, and a change moves at most
//! one chunk's standings. Simpler than a counted tree, and with fewer cache misses.

use super::Standing;

/// A chunk that grows beyond this is halved.
const CHUNK_MAX: usize = 1024;

/// Standings, best first, none twice.
#[derive(Clone, Debug, Default)]
pub struct Ranking {
    chunks: Vec<Vec<Standing>>,
    len: usize,
}

impl Ranking {
    /// Of these, in any order.
    pub fn of(mut standings: Vec<Standing>) -> Self {
        standings.sort_unstable();
        standings.dedup();
        let chunks: Vec<Vec<Standing>> = standings.chunks(CHUNK_MAX / 2).map(<[_]>::to_vec).collect();
        Self { chunks, len: standings.len() }
    }

    /// Adds one; false if it was there.
    pub fn insert(&mut self, standing: Standing) -> bool {
        if self.chunks.is_empty() {
            self.chunks.push(Vec::new());
        }
        let at = self.chunk_of(&standing).min(self.chunks.len() - 1);
        let chunk = &mut self.chunks[at];
        let Err(place) = chunk.binary_search(&standing) else { return false };
        chunk.insert(place, standing);
        if chunk.len() > CHUNK_MAX {
            let upper = chunk.split_off(CHUNK_MAX / 2);
            self.chunks.insert(at + 1, upper);
        }
        self.len += 1;
        true
    }

    /// Takes one away; false if it was not there.
    pub fn remove(&mut self, standing: &Standing) -> bool {
        let at = self.chunk_of(standing);
        let Some(chunk) = self.chunks.get_mut(at) else { return false };
        let Ok(place) = chunk.binary_search(standing) else { return false };
        chunk.remove(place);
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
        self.len -= 1;
        true
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many are better than this one, whether it is there or not: its rank, from 0.
    pub fn better_than(&self, standing: &Standing) -> usize {
        let at = self.chunk_of(standing);
        let before: usize = self.chunks[..at].iter().map(Vec::len).sum();
        before + self.chunks.get(at).map_or(0, |chunk| chunk.partition_point(|other| other < standing))
    }

    /// How many are as good or better: where the page after it begins.
    pub fn up_to(&self, standing: &Standing) -> usize {
        let at = self.chunk_of(standing);
        let here = self.chunks.get(at).is_some_and(|chunk| chunk.binary_search(standing).is_ok());
        self.better_than(standing) + usize::from(here)
    }

    /// Those after the first `skip`.
    pub fn from(&self, skip: usize) -> impl Iterator<Item = &Standing> {
        let mut left = skip;
        let first = self.chunks.iter().position(|chunk| {
            let here = left < chunk.len();
            if !here {
                left -= chunk.len();
            }
            here
        });
        let chunks = first.map_or(&[][..], |first| &self.chunks[first..]);
        chunks.iter().flatten().skip(left)
    }

    /// The first chunk whose last standing is not better than this one.
    fn chunk_of(&self, standing: &Standing) -> usize {
        self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| last < standing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::ids::PlayerId;

    /// Few scores and times, so that ties are common.
    fn drawn(random: &mut fastrand::Rng) -> Standing {
        Standing {
            score: random.i64(-20..20),
            reached: UnixMs(random.i64(0..8)),
            player: PlayerId::new(random.u64(1..2000)).expect("an id"),
        }
    }

    #[test]
    fn ranks_equal_a_sorted_list_under_random_changes() {
        for seed in 0..8 {
            let mut random = fastrand::Rng::with_seed(seed);
            let start: Vec<Standing> = (0..3000).map(|_| drawn(&mut random)).collect();
            let mut ranking = Ranking::of(start.clone());
            let mut reference: std::collections::BTreeSet<Standing> = start.into_iter().collect();
            for _ in 0..6000 {
                let standing = drawn(&mut random);
                // Shrinks to almost nothing in some runs, so that chunks empty.
                if random.u64(0..10) < seed {
                    assert_eq!(ranking.insert(standing), reference.insert(standing));
                } else {
                    assert_eq!(ranking.remove(&standing), reference.remove(&standing));
                }
            }
            let reference: Vec<Standing> = reference.into_iter().collect();
            assert_eq!(ranking.len(), reference.len());
            assert_eq!(ranking.from(0).copied().collect::<Vec<_>>(), reference, "seed {seed}");
            for _ in 0..500 {
                let probe = drawn(&mut random);
                let better = reference.partition_point(|other| *other < probe);
                assert_eq!(ranking.better_than(&probe), better);
                let here = reference.get(better) == Some(&probe);
                assert_eq!(ranking.up_to(&probe), better + usize::from(here));
                let page: Vec<_> = ranking.from(better).take(3).copied().collect();
                assert_eq!(page, reference[better..(better + 3).min(reference.len())]);
            }
        }
    }

    #[test]
    fn an_empty_ranking_answers() {
        let mut ranking = Ranking::default();
        let standing = drawn(&mut fastrand::Rng::with_seed(1));
        assert!(ranking.is_empty() && !ranking.remove(&standing));
        assert_eq!((ranking.better_than(&standing), ranking.from(0).count()), (0, 0));
        assert!(ranking.insert(standing) && !ranking.insert(standing));
        assert_eq!((ranking.up_to(&standing), ranking.from(7).count()), (1, 0));
    }
}
