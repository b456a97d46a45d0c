//! From a match to the observations that it makes: who finished ahead of whom, counts, who gave up. It must
//! never know what was believed of the players before.
//!
//! Numbers are the players' performances, team after team.

use crate::game::Match;
use crate::parameters::{Count, Mode, Parameters};
use crate::propagation::{Evidence, Site};
use crate::truncation::Observed;

/// Finishing order: each team against its neighbour, by a difference of performances beyond the draw margin,
/// or within it after a draw (Herbrich, Minka & Graepel 2006, §2). A team performs as the sum of its players,
/// each weighted by the share of the match that he took part in. `margin` is asked with the number of players
/// in the two teams.
pub(crate) fn results(shares: &[Vec<f64>], placements: &[u32], margin: impl Fn(usize) -> f64) -> Vec<Site> {
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|&team| placements[team]);
    let mut first = Vec::with_capacity(shares.len());
    let mut next = 0;
    for team in shares {
        first.push(next);
        next += team.len();
    }
    let members = |team: usize, sign: f64| {
        shares[team].iter().enumerate().map(move |(index, share)| (index, sign * share))
    };
    let neighbours = |pair: &[usize]| {
        let (better, worse) = (pair[0], pair[1]);
        let margin = margin(shares[better].len() + shares[worse].len());
        let draw = placements[better] == placements[worse];
        let observed = if draw { Observed::Within(margin) } else { Observed::Above(margin) };
        let above = members(better, 1.0).map(|(index, weight)| (first[better] + index, weight));
        let below = members(worse, -1.0).map(|(index, weight)| (first[worse] + index, weight));
        Site { weights: above.chain(below).collect(), noise: 0.0, evidence: Evidence::Range(observed) }
    };
    order.windows(2).map(neighbours).collect()
}

/// One player's place in the match.
struct Seat {
    team: usize,
    /// The number of his performance.
    index: usize,
    minutes: f64,
}

/// What counts and quits say (TrueSkill 2, "individual statistics" and "quitting").
pub(crate) fn individual(game: &Match, parameters: &Parameters, mode: &Mode) -> Vec<Site> {
    if mode.kills.is_none() && mode.deaths.is_none() && parameters.quit_margin.is_none() {
        return Vec::new();
    }
    let mut seats = Vec::new();
    for (team, side) in game.teams.iter().enumerate() {
        for appearance in &side.players {
            seats.push(Seat { team, index: seats.len(), minutes: game.minutes(appearance) });
        }
    }
    let mut sites = Vec::new();
    for (seat, appearance) in seats.iter().zip(game.appearances()) {
        let opponents = opponents(&seats, seat.team);
        for (model, count) in [(mode.kills, appearance.kills), (mode.deaths, appearance.deaths)] {
            if let (Some(model), Some(count)) = (model, count) {
                sites.push(counted(seat, &opponents, model, count, parameters.newcomer.mu));
            }
        }
        if let Some(margin) = parameters.quit_margin
            && gave_up(game, seat.team, appearance.quit)
        {
            let mut weights = opponents;
            weights.push((seat.index, -1.0));
            let observed = Observed::Above(margin);
            sites.push(Site { weights, noise: 0.0, evidence: Evidence::Range(observed) });
        }
    }
    sites
}

/// Whether leaving is evidence of its own. Who was alone in a team has lost by leaving: the placement says it.
pub(crate) fn gave_up(game: &Match, team: usize, quit: bool) -> bool {
    quit && game.teams[team].players.len() > 1
}

/// The mean of the other teams' performances, each player weighted by his time.
fn opponents(seats: &[Seat], team: usize) -> Vec<(usize, f64)> {
    let others = || seats.iter().filter(move |seat| seat.team != team);
    let total: f64 = others().map(|seat| seat.minutes).sum();
    others().map(|seat| (seat.index, seat.minutes / total)).collect()
}

/// A count is a normal cut off at zero: more than none is its value, none is anything up to zero.
fn counted(seat: &Seat, opponents: &[(usize, f64)], model: Count, count: u32, average: f64) -> Site {
    let minutes = seat.minutes;
    let mut weights: Vec<(usize, f64)> =
        opponents.iter().map(|&(index, weight)| (index, weight * model.opponent * minutes)).collect();
    weights.push((seat.index, model.own * minutes));
    // (rate + own·(p − m₀) + opponent·(p̄ − m₀))·t, without its constant part.
    let constant = (model.rate - (model.own + model.opponent) * average) * minutes;
    let noise = model.variance * minutes;
    if count == 0 {
        for (_, weight) in &mut weights {
            *weight = -*weight;
        }
        let observed = Observed::Above(constant);
        return Site { weights, noise, evidence: Evidence::Range(observed) };
    }
    Site { weights, noise, evidence: Evidence::Value(f64::from(count) - constant) }
}
