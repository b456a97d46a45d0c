//! A world whose players' true skills are known: it plays matches by TrueSkill 2's own rules. Seeded.

#![allow(dead_code, reason = "each test binary uses a part")]

use rating::{Appearance, Match, Parameters, Team};

/// Players with true skills.
pub(crate) struct World {
    pub(crate) random: fastrand::Rng,
    pub(crate) parameters: Parameters,
    pub(crate) skills: Vec<f64>,
    played: i64,
}

impl World {
    pub(crate) fn new(seed: u64, players: usize, parameters: Parameters) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let rating::Rating { mu, sigma } = parameters.newcomer;
        let skills = (0..players).map(|_| mu + sigma * normal(&mut random)).collect();
        Self { random, parameters, skills, played: 0 }
    }

    /// A match between random players: `teams` of `size`. `squads` says how large each team's party is.
    pub(crate) fn play(&mut self, teams: usize, size: usize, squads: &[u8]) -> Match {
        let mut seats: Vec<usize> = (0..self.skills.len()).collect();
        self.random.shuffle(&mut seats);
        self.played += 1;
        let mut sides: Vec<(Vec<(usize, f64)>, u8)> = Vec::new();
        for (team, players) in seats.chunks(size).take(teams).enumerate() {
            let squad = squads.get(team).copied().unwrap_or(1);
            let help = if squad > 1 { self.parameters.squad.first().copied().unwrap_or(0.0) } else { 0.0 };
            let perform = |player: &usize| {
                (*player, self.skills[*player] + help + self.parameters.beta * normal(&mut self.random))
            };
            sides.push((players.iter().map(perform).collect(), squad));
        }
        let total =
            |side: &(Vec<(usize, f64)>, u8)| side.0.iter().map(|(_, performance)| *performance).sum::<f64>();
        let totals: Vec<f64> = sides.iter().map(total).collect();
        let everything: f64 = totals.iter().sum();
        let mut made = Vec::new();
        for (side, own) in sides.iter().zip(&totals) {
            let placement = 1 + totals.iter().filter(|other| *other > own).count() as u32;
            let opponents = (everything - own) / ((teams - 1) * size) as f64;
            let seat = |(player, performance): &(usize, f64)| {
                let count = |model: Option<rating::Count>, random: &mut fastrand::Rng| {
                    let average = self.parameters.newcomer.mu;
                    model.map(|count| {
                        let mean = count.rate
                            + count.own * (performance - average)
                            + count.opponent * (opponents - average);
                        (mean + count.variance.sqrt() * normal(random)).max(0.0).round() as u32
                    })
                };
                Appearance {
                    player: *player as u64,
                    squad: side.1,
                    kills: count(self.parameters.mode.kills, &mut self.random),
                    deaths: count(self.parameters.mode.deaths, &mut self.random),
                    ..Appearance::default()
                }
            };
            made.push(Team { placement, players: side.0.iter().map(seat).collect() });
        }
        Match { id: format!("match {}", self.played), teams: made, ..Match::default() }
    }
}

/// Box and Muller's.
pub(crate) fn normal(random: &mut fastrand::Rng) -> f64 {
    let (a, b) = (1.0 - random.f64(), random.f64());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}
