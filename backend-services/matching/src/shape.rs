//! Which multisets of party sizes fill a match: the bin packing, done once for each mode instead of once for
//! each match. Pure arithmetic; must never know a ticket.

use std::collections::BTreeSet;

use crate::rules::ModeRules;

/// One form that a match of a mode can have.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Teams.
    pub(crate) teams: usize,
    /// Players in each.
    pub(crate) size: usize,
    /// Every multiset of parties that can be put into such teams, as counts by size (place 0: size 1), with
    /// the fewest parties first. `None`: too many to list; parties are tried one by one.
    pub(crate) compositions: Option<Vec<Vec<u8>>>,
}

/// A shape of more compositions is packed by trial.
const COMPOSITIONS_MAX: usize = 2048;

impl Shape {
    pub(crate) fn new(teams: usize, size: usize) -> Self {
        Self { teams, size, compositions: compositions(teams, size) }
    }

    pub(crate) const fn players(&self) -> usize {
        self.teams * self.size
    }
}

/// All forms that the mode allows at some age, the largest first.
pub(crate) fn shapes(rules: &ModeRules) -> Vec<Shape> {
    let last = rules.limits(u64::MAX / 2);
    let mut forms: Vec<(usize, usize)> = (last.teams_min..=rules.teams)
        .flat_map(|teams| (last.team_size_min..=rules.team_size).map(move |size| (teams, size)))
        .collect();
    forms.sort_by_key(|&(teams, size)| std::cmp::Reverse((teams * size, teams)));
    forms.into_iter().map(|(teams, size)| Shape::new(teams, size)).collect()
}

fn compositions(teams: usize, size: usize) -> Option<Vec<Vec<u8>>> {
    let mut parts = Vec::new();
    partitions(size, size, &mut vec![0; size], &mut parts);
    let mut reached = BTreeSet::from([vec![0_u8; size]]);
    for _ in 0..teams {
        let mut next = BTreeSet::new();
        for so_far in &reached {
            for part in &parts {
                next.insert(so_far.iter().zip(part).map(|(a, b)| a + b).collect::<Vec<u8>>());
            }
            if next.len() > COMPOSITIONS_MAX {
                return None;
            }
        }
        reached = next;
    }
    let mut all: Vec<Vec<u8>> = reached.into_iter().collect();
    all.sort_by_key(|counts| counts.iter().map(|&count| u32::from(count)).sum::<u32>());
    Some(all)
}

/// All ways to write `left` as a sum of parts of at most `largest`.
fn partitions(left: usize, largest: usize, counts: &mut Vec<u8>, out: &mut Vec<Vec<u8>>) {
    if left == 0 {
        out.push(counts.clone());
        return;
    }
    for part in 1..=largest.min(left) {
        counts[part - 1] += 1;
        partitions(left - part, part, counts, out);
        counts[part - 1] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_teams_of_five_have_28_pairs_of_partitions() {
        let shape = Shape::new(2, 5);
        let all = shape.compositions.expect("few");
        // 7 partitions of 5, 28 pairs of which some are the same multiset.
        assert!(all.len() <= 28 && all.len() > 20, "{}", all.len());
        assert!(all.iter().all(|c| (1_u8..).zip(c).map(|(size, n)| size * n).sum::<u8>() == 10));
        // 4 + 4 + 2 fills ten places, but not two teams of five.
        assert!(!all.contains(&vec![0, 1, 0, 2, 0]));
        assert_eq!(all[0], [0, 0, 0, 0, 2]);
    }

    #[test]
    fn shapes_follow_the_expansion() {
        let mut rules = ModeRules::new("arena", 8, 1, 10.0);
        let step = crate::rules::Step { after_s: 10.0, teams_min: Some(2), ..Default::default() };
        rules.expansion.push(step);
        let forms: Vec<_> = shapes(&rules).iter().map(|shape| (shape.teams, shape.size)).collect();
        assert_eq!(forms, [(8, 1), (7, 1), (6, 1), (5, 1), (4, 1), (3, 1), (2, 1)]);
        assert!(Shape::new(25, 4).compositions.is_none());
    }
}
