//! The best set of matches of a few parties, by trying all: where players are scarce, a match missed by a greedy
//! search is a long wait. Dynamic programming over subsets.

use crate::group::{Group, Seeker};
use crate::rules::ModeRules;
use crate::search::{Found, oldest};
use crate::shape::Shape;
use crate::teams::Division;

/// More parties than this are searched greedily.
pub(crate) const SEEKERS_MAX: usize = 12;
/// What a second of one player's waiting is worth beside a whole even place in a match: a tie-breaker, and
/// after a minute or so more than that.
const URGENCY_PER_S: f64 = 1e-3;

/// The matches of highest value: players, less by how uneven their match is, more by how long they waited.
pub(crate) fn solve(rules: &ModeRules, shapes: &[Shape], all: &[Seeker<'_>]) -> Vec<Found> {
    let count = all.len();
    let whole = 1_usize << count;
    let matches: Vec<Option<(f64, Found)>> =
        (0..whole).map(|mask| best_match(rules, shapes, all, mask)).collect();
    let possible: Vec<usize> = (0..whole).filter(|&mask| matches[mask].is_some()).collect();
    // best[mask]: the most value of the parties in the mask, and the match of its first party, if any.
    let mut best = vec![(0.0_f64, 0_usize); whole];
    for mask in 1..whole {
        let first = 1 << mask.trailing_zeros();
        best[mask] = (best[mask & !first].0, 0);
        for &one in possible.iter().take_while(|&&one| one <= mask) {
            if one & first != 0 && one & !mask == 0 {
                let value = matches[one].as_ref().map_or(0.0, |found| found.0) + best[mask & !one].0;
                if value > best[mask].0 {
                    best[mask] = (value, one);
                }
            }
        }
    }
    let mut chosen = Vec::new();
    let mut mask = whole - 1;
    while mask != 0 {
        let one = best[mask].1;
        if let Some((_, found)) = &matches[one] {
            chosen.push(found.clone());
        }
        mask &= if one == 0 { !(1 << mask.trailing_zeros()) } else { !one };
    }
    chosen
}

/// The match of exactly these parties, and its value.
fn best_match(rules: &ModeRules, shapes: &[Shape], all: &[Seeker<'_>], mask: usize) -> Option<(f64, Found)> {
    let members: Vec<u32> = (0..all.len() as u32).filter(|who| mask >> who & 1 == 1).collect();
    let players: usize = members.iter().map(|&who| all[who as usize].prepared.size).sum();
    if !shapes.iter().any(|shape| shape.players() == players) {
        return None;
    }
    let mut group = Group::new(rules, u32::MAX);
    if !members.iter().all(|&who| group.join(rules, all, who)) {
        return None;
    }
    let limits = oldest(all, &members).limits;
    let bound = members.iter().any(|&who| all[who as usize].limits.roles);
    let roles = if bound { &rules.roles[..] } else { &[] };
    let fits = |shape: &&Shape| {
        shape.players() == players && shape.teams >= limits.teams_min && shape.size >= limits.team_size_min
    };
    for shape in shapes.iter().filter(fits) {
        let division = Division { all, shape, roles };
        let Some(teams) = division.split(&members) else { continue };
        let spread = division.spread(&teams);
        if spread <= limits.win_spread {
            let waited = |&who: &u32| {
                all[who as usize].age_ms as f64 / 1000.0 * all[who as usize].prepared.size as f64
            };
            let urgency: f64 = members.iter().map(waited).sum::<f64>() * URGENCY_PER_S;
            let found = Found { region: nearest_region(all, &members, group.regions), teams, spread };
            return Some((players as f64 * (1.0 - spread) + urgency, found));
        }
    }
    None
}

/// The region with the shortest longest way.
fn nearest_region(all: &[Seeker<'_>], members: &[u32], regions: u32) -> usize {
    let worst = |region: usize| {
        let way = |&who: &u32| all[who as usize].prepared.latencies.get(region).copied().unwrap_or(0);
        members.iter().map(way).max().unwrap_or(0)
    };
    let open = (0..32).filter(|region| regions >> region & 1 == 1);
    open.min_by_key(|&region| worst(region)).unwrap_or(0)
}
