//! A log out of a seed: players whose skills and habits are drawn from the model that `trueskill2` assumes.

use rating::{Appearance, Match, Team};

/// Spread of skills, in units of a performance's.
const SKILL: f64 = 1.2;
/// Kills of the average player in a game.
const KILLS: f64 = 4.0;
/// More kills for each unit of performance ahead of the opponent.
const KILLS_AHEAD: f64 = 0.9;
/// Games in which performances are closer than this are draws.
const DRAW: f64 = 0.08;

/// Head-to-head games with kills; a player's number of games follows a power law, as real ones do.
pub(super) fn log(games: u32, seed: u64) -> Vec<Match> {
    let mut random = fastrand::Rng::with_seed(seed);
    let players = (games / 4).max(4) as usize;
    let skills: Vec<f64> = (0..players).map(|_| SKILL * normal(&mut random)).collect();
    let someone = |random: &mut fastrand::Rng| (random.f64().powi(3) * players as f64) as usize;
    (0..games)
        .map(|number| {
            let first = someone(&mut random);
            let mut second = someone(&mut random);
            if second == first {
                second = (first + 1) % players;
            }
            let performance = [first, second].map(|player| skills[player] + normal(&mut random));
            let ahead = performance[0] - performance[1];
            let place = |ahead: f64| if ahead > -DRAW { 1 } else { 2 };
            let mut side = |player: usize, ahead: f64| {
                let kills = (KILLS + KILLS_AHEAD * ahead + normal(&mut random)).max(0.0).round();
                let seat =
                    Appearance { player: player as u64, kills: Some(kills as u32), ..Appearance::default() };
                Team { placement: place(ahead), players: vec![seat] }
            };
            let teams = vec![side(first, ahead), side(second, -ahead)];
            Match { id: number.to_string(), mode: "duel".to_owned(), teams, ..Match::default() }
        })
        .collect()
}

/// Box and Muller's.
fn normal(random: &mut fastrand::Rng) -> f64 {
    let (a, b) = (1.0 - random.f64(), random.f64());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}
