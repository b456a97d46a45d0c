//! Looks for a match around one party: the nearest parties of every size, in one region, as few as fill the
//! teams, divided evenly. Owns the choice; the rules are asked, never repeated.

use crate::field::Field;
use crate::group::{Group, Seeker};
use crate::rules::ModeRules;
use crate::shape::Shape;
use crate::teams::{Division, Teams};

/// A match that the rules allow, as places in the field.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) region: usize,
    pub(crate) teams: Teams,
    pub(crate) spread: f64,
}

/// A match this even is taken at once; others are compared with what lies a little further away.
const EVEN_ENOUGH: f64 = 0.06;
/// Divisions that one look compares.
const DIVISIONS_MAX: u32 = 12;
/// Parties of one size beyond those that a match can hold.
const SPARE: usize = 2;
/// Parties looked at for each that is wanted: the others do not accept the anchor.
const LOOKS: usize = 4;

/// The search of one tick: its buffers.
pub(crate) struct Search<'r> {
    rules: &'r ModeRules,
    shapes: &'r [Shape],
    near: Vec<(f64, u32)>,
    by_size: Vec<Vec<u32>>,
}

impl<'r> Search<'r> {
    pub(crate) fn new(rules: &'r ModeRules, shapes: &'r [Shape]) -> Self {
        Self { rules, shapes, near: Vec::new(), by_size: vec![Vec::new(); rules.team_size] }
    }

    /// A match with this party in it.
    pub(crate) fn around(&mut self, field: &mut Field<'_>, anchor: u32) -> Option<Found> {
        let own = &field.seekers[anchor as usize];
        let limits = own.limits;
        let mut regions: Vec<usize> = (0..32).filter(|region| own.regions >> region & 1 == 1).collect();
        let latencies = &own.prepared.latencies;
        regions.sort_by_key(|&region| latencies.get(region).copied().unwrap_or(0));
        for region in regions {
            let allowed =
                |shape: &&Shape| shape.teams >= limits.teams_min && shape.size >= limits.team_size_min;
            for shape in self.shapes.iter().filter(allowed) {
                if let Some(found) = self.attempt(field, anchor, region, shape) {
                    return Some(found);
                }
            }
        }
        None
    }

    fn attempt(&mut self, field: &mut Field<'_>, anchor: u32, region: usize, shape: &Shape) -> Option<Found> {
        let own = &field.seekers[anchor as usize];
        if own.prepared.size > shape.size {
            return None;
        }
        // Roles are scarce where sizes are not: look further.
        let further = if own.limits.roles { 3 } else { 1 };
        self.near.clear();
        for size in 1..=shape.size {
            let count = (shape.players() / size + SPARE) * further;
            field.near((region, size), anchor, (count, count * LOOKS), &mut self.near);
        }
        self.near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut group = Group::new(self.rules, 1 << region);
        if !group.join(self.rules, &field.seekers, anchor) {
            return None;
        }
        let teams = match &shape.compositions {
            Some(compositions) if self.rules.roles.is_empty() => {
                self.by_composition(&field.seekers, group, shape, compositions)
            }
            _ => self.by_trial(&field.seekers, group, shape),
        };
        let (teams, spread) = teams?;
        Some(Found { region, teams, spread })
    }

    /// The nearest parties that fill the teams by their sizes.
    fn by_composition(
        &mut self,
        all: &[Seeker<'_>],
        mut group: Group,
        shape: &Shape,
        compositions: &[Vec<u8>],
    ) -> Option<(Teams, f64)> {
        let anchor = group.members[0];
        let own_size = all[anchor as usize].prepared.size;
        self.by_size.iter_mut().for_each(Vec::clear);
        self.by_size[own_size - 1].push(anchor);
        let division = Division { all, shape, roles: &[] };
        let mut best: Option<(Teams, f64)> = None;
        let mut left = DIVISIONS_MAX;
        let mut newest = own_size;
        let mut near = self.near.iter();
        loop {
            let have = |size: usize, count: u8| self.by_size[size].len() >= usize::from(count);
            for counts in compositions {
                // Only what uses the newest party is new, and the anchor is always in.
                let fresh = usize::from(counts[newest - 1]) == self.by_size[newest - 1].len();
                let with_own = counts[own_size - 1] > 0;
                if !fresh || !with_own || !counts.iter().enumerate().all(|(size, &count)| have(size, count)) {
                    continue;
                }
                let chosen = counts.iter().zip(&self.by_size).flat_map(|(&n, row)| &row[..usize::from(n)]);
                let chosen: Vec<u32> =
                    std::iter::once(anchor).chain(chosen.copied().filter(|&who| who != anchor)).collect();
                let Some(teams) = division.split(&chosen) else { continue };
                let spread = division.spread(&teams);
                let allowed = spread <= oldest(all, &chosen).limits.win_spread;
                if allowed && best.as_ref().is_none_or(|(_, least)| spread < *least) {
                    best = Some((teams, spread));
                }
                left -= 1;
                if left == 0 {
                    return best;
                }
            }
            if best.as_ref().is_some_and(|(_, spread)| *spread <= EVEN_ENOUGH) {
                return best;
            }
            // Whoever cannot play with all those nearer is passed over.
            let Some(&(_, who)) = near.find(|(_, who)| group.join(self.rules, all, *who)) else {
                return best;
            };
            newest = all[who as usize].prepared.size;
            self.by_size[newest - 1].push(who);
        }
    }

    /// The nearest parties that can be put into teams, tried one by one: for roles, and for very many teams.
    fn by_trial(&mut self, all: &[Seeker<'_>], mut group: Group, shape: &Shape) -> Option<(Teams, f64)> {
        for (_, who) in &self.near {
            group.join(self.rules, all, *who);
        }
        let bound = group.members.iter().any(|&who| all[who as usize].limits.roles);
        let roles = if bound { &self.rules.roles[..] } else { &[] };
        let division = Division { all, shape, roles };
        let teams = division.choose(&group.members)?;
        let spread = division.spread(&teams);
        let allowed = spread <= oldest(all, &teams.concat()).limits.win_spread;
        allowed.then_some((teams, spread))
    }
}

/// The member whose age the match's own limits go by.
pub(crate) fn oldest<'a, 'b>(all: &'b [Seeker<'a>], members: &[u32]) -> &'b Seeker<'a> {
    let ages = members.iter().map(|&who| &all[who as usize]);
    ages.max_by_key(|seeker| seeker.age_ms).expect("a match has members")
}
