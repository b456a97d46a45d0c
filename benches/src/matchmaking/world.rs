//! Who plays: parties of 1 to 5 at three regions, drawn from a seed. Owns no matcher.

use std::collections::BTreeMap;

use fastrand::Rng;
use matching::{Millis, ModeRules, Player, RuleBook, Step, Ticket};

/// The regions, and the share of players who live in each.
const REGIONS: [(&str, f64); 3] = [("eu", 0.5), ("us", 0.3), ("asia", 0.2)];
/// The share of parties of 1, 2, 3, 4 and 5 players.
const PARTIES: [f64; 5] = [0.55, 0.20, 0.10, 0.07, 0.08];

/// The rules that all matchers keep; those about skill bind only the ones that look at it.
pub(super) fn rules() -> RuleBook {
    let mut rules = ModeRules::new("ranked", 2, 5, 20.0);
    rules.regions = REGIONS.iter().map(|(name, _)| (*name).to_owned()).collect();
    rules.skill_gap_per_s = 1.0;
    rules.latency_ms = 80;
    rules.expansion = vec![
        Step { after_s: 5.0, latency_ms: Some(120), ..Step::default() },
        Step { after_s: 15.0, latency_ms: Some(200), ..Step::default() },
    ];
    RuleBook { modes: vec![rules] }
}

/// One more party.
pub(super) fn party(rng: &mut Rng, id: u64, queued: Millis) -> Ticket {
    let size = pick(rng, &PARTIES) + 1;
    let level = 25.0 + 6.0 * normal(rng);
    let member = |index: usize, rng: &mut Rng| {
        Player::new(id * 8 + index as u64, level + 2.5 * normal(rng), 1.5 + 3.5 * rng.f64())
    };
    let players = (0..size).map(|index| member(index, rng)).collect();
    let home = pick(rng, &REGIONS.map(|(_, share)| share));
    let mut ticket = Ticket::new(u128::from(id), "ranked", players, queued);
    let way = |rng: &mut Rng, region: usize| if region == home { rng.u16(15..60) } else { rng.u16(70..180) };
    ticket.latencies = REGIONS
        .iter()
        .enumerate()
        .map(|(place, (name, _))| ((*name).to_owned(), way(rng, place)))
        .collect::<BTreeMap<_, _>>();
    ticket
}

fn pick(rng: &mut Rng, shares: &[f64]) -> usize {
    let mut left = rng.f64() * shares.iter().sum::<f64>();
    for (index, share) in shares.iter().enumerate() {
        left -= share;
        if left < 0.0 {
            return index;
        }
    }
    shares.len() - 1
}

/// A draw from N(0, 1) (Box and Muller 1958).
pub(super) fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}
