//! Expectation propagation over one match. It must never know where ratings come from or go to.
//!
//! All factors but the results are linear and normal, so the messages from the players up to their team's
//! performance are closed forms, and only the chain of differences between neighbours in the finishing
//! order is iterated: forward and backward until the messages rest (Herbrich et al. 2006, §3.1).

use crate::gaussian::Gaussian;
use crate::truncation::{Observed, truncate};
use crate::{Rating, TrueSkill};

/// The difference between two neighbours in the finishing order.
struct Difference {
    observed: Observed,
    margin: f64,
    /// Message from the result to the difference.
    from_result: Gaussian,
    /// Messages from the difference to the better and the worse team's performance.
    to_better: Gaussian,
    to_worse: Gaussian,
}

pub(crate) fn rate(model: &TrueSkill, teams: &[Vec<(Rating, f64)>], placements: &[u32]) -> Vec<Vec<Rating>> {
    let mut order: Vec<usize> = (0..teams.len()).collect();
    order.sort_by_key(|&team| placements[team]);
    let performances: Vec<Gaussian> = order.iter().map(|&t| performance(model, &teams[t])).collect();
    let mut differences: Vec<Difference> = order
        .windows(2)
        .map(|pair| {
            let draw = placements[pair[0]] == placements[pair[1]];
            let players = teams[pair[0]].len() + teams[pair[1]].len();
            Difference {
                observed: if draw { Observed::Within } else { Observed::Above },
                margin: model.draw_margin(players),
                from_result: Gaussian::UNIFORM,
                to_better: Gaussian::UNIFORM,
                to_worse: Gaussian::UNIFORM,
            }
        })
        .collect();
    settle(model, &performances, &mut differences);

    let mut updated = vec![Vec::new(); teams.len()];
    for (place, &team) in order.iter().enumerate() {
        let likelihood = evidence(&differences, place);
        updated[team] = players_after(model, &teams[team], likelihood);
    }
    updated
}

/// The prior of a team's performance: Σ share · performance.
fn performance(model: &TrueSkill, players: &[(Rating, f64)]) -> Gaussian {
    let mean = players.iter().map(|(r, share)| share * r.mu).sum();
    let variance = players.iter().map(|(r, share)| share * share * performance_variance(model, *r)).sum();
    Gaussian::new(mean, variance)
}

fn performance_variance(model: &TrueSkill, rating: Rating) -> f64 {
    skill_variance(model, rating) + model.beta * model.beta
}

fn skill_variance(model: &TrueSkill, rating: Rating) -> f64 {
    rating.sigma * rating.sigma + model.tau * model.tau
}

/// Sweeps the chain until no message moves more than the tolerance.
fn settle(model: &TrueSkill, performances: &[Gaussian], differences: &mut [Difference]) {
    let last = differences.len() - 1;
    for _ in 0..model.sweeps_max {
        let mut moved: f64 = 0.0;
        for link in 0..=last {
            moved = moved.max(update(performances, differences, link));
        }
        for link in (0..last).rev() {
            moved = moved.max(update(performances, differences, link));
        }
        if moved <= model.tolerance {
            break;
        }
    }
}

/// Renews the messages of one link from those of its neighbours; says how far they moved.
fn update(performances: &[Gaussian], differences: &mut [Difference], link: usize) -> f64 {
    let above = if link == 0 { Gaussian::UNIFORM } else { differences[link - 1].to_worse };
    let below = differences.get(link + 1).map_or(Gaussian::UNIFORM, |next| next.to_better);
    let (better, worse) = (performances[link] * above, performances[link + 1] * below);
    let this = &mut differences[link];

    let cavity = Gaussian::new(better.mean() - worse.mean(), better.variance() + worse.variance());
    let renewed = truncate(cavity, this.observed, this.margin) / cavity;
    let moved = renewed.distance(this.from_result);
    this.from_result = renewed;
    if renewed.precision > 0.0 {
        let variance = renewed.variance();
        this.to_better = Gaussian::new(worse.mean() + renewed.mean(), worse.variance() + variance);
        this.to_worse = Gaussian::new(better.mean() - renewed.mean(), better.variance() + variance);
    }
    moved
}

/// All that the results say about the performance of the team at this place.
fn evidence(differences: &[Difference], place: usize) -> Gaussian {
    let as_worse = place.checked_sub(1).map_or(Gaussian::UNIFORM, |link| differences[link].to_worse);
    let as_better = differences.get(place).map_or(Gaussian::UNIFORM, |link| link.to_better);
    as_worse * as_better
}

/// Brings what is known of the team's performance down to each player's skill.
fn players_after(model: &TrueSkill, players: &[(Rating, f64)], likelihood: Gaussian) -> Vec<Rating> {
    let team = performance(model, players);
    let after = |(rating, share): &(Rating, f64)| {
        let own_variance = performance_variance(model, *rating);
        let prior = Gaussian::new(rating.mu, skill_variance(model, *rating));
        if likelihood.precision <= 0.0 {
            return Rating { mu: prior.mean(), sigma: prior.variance().sqrt() };
        }
        // share · performance = team − the others, then the performance's own noise β².
        let others_mean = team.mean() - share * rating.mu;
        let others_variance = team.variance() - share * share * own_variance;
        let mean = (likelihood.mean() - others_mean) / share;
        let variance = (likelihood.variance() + others_variance) / (share * share) + model.beta * model.beta;
        let posterior = prior * Gaussian::new(mean, variance);
        Rating { mu: posterior.mean(), sigma: posterior.variance().sqrt() }
    };
    players.iter().map(after).collect()
}
