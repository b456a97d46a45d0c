//! Fills the places of running matches: the nearest parties that fit into a team's gap, the weaker team first.

use crate::field::Field;
use crate::group::Group;
use crate::prepared::Prepared;
use crate::roles::can_fill;
use crate::rules::ModeRules;
use crate::search::Found;
use crate::ticket::{Backfill, Player};

/// A backfill made ready: its players as one party that is in already.
#[derive(Clone, Debug)]
pub(crate) struct Refill {
    pub(crate) backfill: Backfill,
    /// Everybody who still plays.
    pub(crate) present: Vec<Player>,
    pub(crate) prepared: Prepared,
    /// Roles of those who still play, by team.
    pub(crate) roles: Vec<Vec<u8>>,
    /// Part of a match that is being committed.
    pub(crate) taken: bool,
}

/// One team's gap.
struct Gap {
    open: usize,
    total: f64,
    takes: Vec<u8>,
    joined: Vec<u32>,
}

/// Parties for the free places; `place` is where the backfill stands among the seekers.
pub(crate) fn fill(rules: &ModeRules, field: &mut Field<'_>, refill: &Refill, place: u32) -> Option<Found> {
    let mut gaps: Vec<Gap> = (0..rules.teams).map(|team| Gap::of(rules, refill, team)).collect();
    let open = gaps.iter().map(|gap| gap.open).sum::<usize>();
    let largest = gaps.iter().map(|gap| gap.open).max().unwrap_or(0);
    let region = field.seekers[place as usize].regions.trailing_zeros() as usize;
    let mut near = Vec::new();
    for size in 1..=largest {
        let count = open / size * 2 + 2;
        field.near((region, size), place, (count, count * 4), &mut near);
    }
    near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut group = Group::new(rules, 1 << region);
    if !group.join(rules, &field.seekers, place) {
        return None;
    }
    for (_, who) in near {
        let seeker = &field.seekers[who as usize];
        if seeker.players.iter().any(|player| refill.backfill.avoid.contains(&player.id)) {
            continue;
        }
        let fits = |gap: &Gap| {
            let takes = [&gap.takes[..], &seeker.prepared.roles[..]].concat();
            let bound = seeker.limits.roles && !rules.roles.is_empty();
            gap.open >= seeker.prepared.size
                && (!bound || can_fill(&rules.roles, &takes, gap.open - seeker.prepared.size))
        };
        let emptiest = |one: &&mut Gap, other: &&mut Gap| {
            other.open.cmp(&one.open).then(one.total.total_cmp(&other.total))
        };
        let Some(gap) = gaps.iter_mut().filter(|gap| fits(gap)).min_by(emptiest) else { continue };
        if group.join(rules, &field.seekers, who) {
            gap.open -= seeker.prepared.size;
            gap.total += seeker.prepared.total;
            gap.takes.extend(&seeker.prepared.roles);
            gap.joined.push(who);
        }
    }
    let teams: Vec<Vec<u32>> = gaps.into_iter().map(|gap| gap.joined).collect();
    let found = teams.iter().any(|team| !team.is_empty());
    found.then_some(Found { region, teams, spread: 0.0 })
}

impl Gap {
    fn of(rules: &ModeRules, refill: &Refill, team: usize) -> Self {
        let there = refill.backfill.teams.get(team).map_or(&[][..], Vec::as_slice);
        Self {
            open: rules.team_size - there.len(),
            total: there.iter().map(|player| player.mu).sum(),
            takes: refill.roles.get(team).cloned().unwrap_or_default(),
            joined: Vec::new(),
        }
    }
}
