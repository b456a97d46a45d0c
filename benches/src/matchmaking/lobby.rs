//! What the rivals share: which regions a party accepts by now, and the most even way to seat a lobby. They get the
//! same exact division as ours, so that only the choice of players differs.

use matching::{Millis, ModeRules, Ticket, win_spread};
use rating::Rating;

/// A match that a rival made.
#[derive(Debug)]
pub(super) struct Made {
    /// Its tickets, by team.
    pub(super) teams: Vec<Vec<Ticket>>,
}

impl Made {
    /// By how much the better team's chance exceeds the other's.
    pub(super) fn spread(&self) -> f64 {
        let rate = |team: &Vec<Ticket>| -> Vec<Rating> {
            let players = team.iter().flat_map(|ticket| &ticket.players);
            players.map(|player| Rating { mu: player.mu, sigma: player.sigma }).collect()
        };
        win_spread(&self.teams.iter().map(rate).collect::<Vec<_>>())
    }
}

/// Regions that the party accepts by now, the nearest first.
pub(super) fn regions(rules: &ModeRules, ticket: &Ticket, now: Millis) -> Vec<usize> {
    let limit = rules.limits(now.since(ticket.queued)).latency_ms;
    let way = |region: &usize| ticket.latencies[&rules.regions[*region]];
    let mut near: Vec<usize> = (0..rules.regions.len()).filter(|region| way(region) <= limit).collect();
    near.sort_by_key(way);
    near
}

/// The most even two teams of these parties; none if they cannot be seated unsplit.
pub(super) fn seat(parties: &[&Ticket], team_size: usize) -> Option<(u32, f64)> {
    let sum = |ticket: &Ticket| ticket.players.iter().map(|player| player.mu).sum::<f64>();
    let totals: Vec<f64> = parties.iter().map(|ticket| sum(ticket)).collect();
    let sizes: Vec<usize> = parties.iter().map(|ticket| ticket.players.len()).collect();
    let all: f64 = totals.iter().sum();
    let mut best: Option<(u32, f64)> = None;
    for mask in 0..1_u32 << (parties.len() - 1) {
        let inside = |index: &usize| mask >> index & 1 == 1;
        let size: usize = (0..parties.len()).filter(inside).map(|index| sizes[index]).sum();
        if size == team_size {
            let total: f64 = (0..parties.len()).filter(inside).map(|index| totals[index]).sum();
            let apart = (all - 2.0 * total).abs();
            if best.is_none_or(|(_, least)| apart < least) {
                best = Some((mask, apart));
            }
        }
    }
    best
}
