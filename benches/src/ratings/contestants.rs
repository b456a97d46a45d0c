//! The models that compete, behind one face: tune on a log, then predict and count.

use rating::{Descent, Effort, Ledger, Match, Parameters, TrueSkill2, learn, minimise};

use super::elo::Elo;
use super::glicko2::{Glicko2, Settings};

/// A way to rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Elo,
    Glicko2,
    TrueSkill,
    TrueSkill2,
}

impl Family {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Elo => "elo",
            Self::Glicko2 => "glicko2",
            Self::TrueSkill => "trueskill",
            Self::TrueSkill2 => "trueskill2",
        }
    }
}

/// One line of the table.
pub(super) struct Contestant {
    pub(super) name: String,
    pub(super) family: Family,
    /// Whether its settings are learned from earlier games as the log goes on.
    pub(super) tuned: bool,
    /// What it begins with.
    pub(super) start: Settled,
}

/// A family with its numbers.
#[derive(Clone, Debug)]
pub(super) enum Settled {
    Elo(f64),
    Glicko2(Settings),
    TrueSkill(Box<Parameters>),
}

/// A model at work.
pub(super) enum Model {
    Elo(Elo),
    Glicko2(Glicko2),
    TrueSkill(Box<Ledger>),
}

/// Everybody, the tuned ones first. All begin with published numbers; TrueSkill 2 with TrueSkill's.
pub(super) fn all() -> Vec<Contestant> {
    let contestant = |family: Family, start: Settled, tuned: bool, name: &str| Contestant {
        name: if tuned { family.name().to_owned() } else { name.to_owned() },
        family,
        tuned,
        start,
    };
    let elo = |k: f64| Settled::Elo(k);
    let glicko = || Settled::Glicko2(Settings::PUBLISHED);
    let trueskill = || Settled::TrueSkill(Box::default());
    vec![
        contestant(Family::Elo, elo(32.0), true, ""),
        contestant(Family::Glicko2, glicko(), true, ""),
        contestant(Family::TrueSkill, trueskill(), true, ""),
        contestant(Family::TrueSkill2, trueskill(), true, ""),
        contestant(Family::Elo, elo(16.0), false, "elo-k16"),
        contestant(Family::Elo, elo(32.0), false, "elo-k32"),
        contestant(Family::Elo, elo(64.0), false, "elo-k64"),
        contestant(Family::Glicko2, glicko(), false, "glicko2-published"),
        contestant(Family::TrueSkill, trueskill(), false, "trueskill-published"),
    ]
}

impl Contestant {
    /// The numbers that would have predicted this log best, searched from the published ones.
    pub(super) fn tune(&self, log: &[Match], steps: u32) -> Settled {
        let descent = Descent { iterations: steps, ..Descent::default() };
        match &self.start {
            Settled::Elo(k) => {
                let (best, _) = minimise(&[k.ln()], descent, |point| {
                    loss(&Settled::Elo(point[0].exp()), log, point[0] - k.ln())
                });
                Settled::Elo(best[0].exp())
            }
            Settled::Glicko2(published) => {
                let settings = |point: &[f64]| Settings {
                    deviation: published.deviation * point[0].exp(),
                    volatility: published.volatility * point[1].exp(),
                    tau: published.tau * point[2].exp(),
                };
                let (best, _) = minimise(&[0.0; 3], descent, |point| {
                    let strayed = point.iter().map(|number| number * number).sum::<f64>().sqrt();
                    loss(&Settled::Glicko2(settings(point)), log, strayed)
                });
                Settled::Glicko2(settings(&best))
            }
            Settled::TrueSkill(parameters) => {
                let effort =
                    Effort { descent, extras: self.family == Family::TrueSkill2, ..Effort::default() };
                let learned = learn(log, parameters, effort).map(|learned| learned.parameters);
                Settled::TrueSkill(learned.map_or_else(|_| parameters.clone(), Box::new))
            }
        }
    }
}

/// Mean log-loss over a log, with the same weak prior that learning TrueSkill's parameters has.
fn loss(settled: &Settled, log: &[Match], strayed: f64) -> f64 {
    let Some(mut model) = settled.model() else { return f64::INFINITY };
    let (mut total, mut games) = (0.0, 0_u32);
    for game in log {
        if let Some(won) = first_won(game) {
            let ahead = model.ahead(game);
            total -= if won { ahead } else { 1.0 - ahead }.max(1e-9).ln();
            games += 1;
        }
        model.count(game);
    }
    (total + 0.5 * strayed * strayed) / f64::from(games.max(1))
}

/// Whether the first of two won; `None` after a draw.
pub(super) fn first_won(game: &Match) -> Option<bool> {
    let (first, second) = (game.teams[0].placement, game.teams[1].placement);
    (first != second).then_some(first < second)
}

impl Settled {
    /// A fresh model; `None` if the numbers make no sense.
    pub(super) fn model(&self) -> Option<Model> {
        Some(match self {
            Self::Elo(k) => Model::Elo(Elo::new(*k)),
            Self::Glicko2(settings) => Model::Glicko2(Glicko2::new(*settings)),
            Self::TrueSkill(parameters) => {
                Model::TrueSkill(Box::new(Ledger::new(TrueSkill2::new((**parameters).clone()).ok()?)))
            }
        })
    }
}

impl Model {
    /// The probability that the first player finishes ahead.
    pub(super) fn ahead(&self, game: &Match) -> f64 {
        let (first, second) = players(game);
        match self {
            Self::Elo(elo) => elo.ahead(first, second),
            Self::Glicko2(glicko) => glicko.ahead(first, second),
            Self::TrueSkill(ledger) => {
                let outlook = ledger.model().outlook(game, &ledger.before(game));
                outlook.map_or(0.5, |ratings| ledger.model().ahead(&ratings[0], &ratings[1]))
            }
        }
    }

    /// Counts the game.
    pub(super) fn count(&mut self, game: &Match) {
        let (first, second) = players(game);
        let score = first_won(game).map_or(0.5, |won| if won { 1.0 } else { 0.0 });
        match self {
            Self::Elo(elo) => elo.count(first, second, score),
            Self::Glicko2(glicko) => glicko.count(first, second, score),
            // A game that makes no sense was refused when the log was read.
            Self::TrueSkill(ledger) => drop(ledger.count(game)),
        }
    }
}

fn players(game: &Match) -> (u64, u64) {
    (game.teams[0].players[0].player, game.teams[1].players[0].player)
}
