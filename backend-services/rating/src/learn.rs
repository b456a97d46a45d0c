//! Parameters from a match log: those that would have predicted its results best, each match from the ones
//! before it. Deterministic; who reads and writes files is somebody else.
//!
//! What is maximised is the online predictive log-likelihood of the results, with a weak normal prior around
//! the start that keeps short logs from running away. Only what the log contains is learned.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::descent::{Descent, minimise};
use crate::game::{Match, RatingError};
use crate::knobs::{Knob, knobs, prepare};
use crate::model::TrueSkill2;
use crate::parameters::Parameters;
use crate::skill::Skill;

/// How hard to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// The search itself.
    pub descent: Descent,
    /// How many matches the start is worth: the prior's weight.
    pub prior: f64,
    /// Whether counts, parties, quits, experience, time and modes may be turned on where the log has them.
    /// Without, only TrueSkill's own three numbers are learned.
    pub extras: bool,
}

impl Default for Effort {
    fn default() -> Self {
        Self { descent: Descent::default(), prior: 1.0, extras: true }
    }
}

/// How well results were predicted, each from the matches before it. A match counts by the mean over its pairs
/// of teams that did not draw; matches where all drew are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Matches that counted.
    pub matches: u64,
    /// −ln of the probability that was given to what happened, nats a match; 0.693 is a coin.
    pub log_loss: f64,
    /// How often the more probable team finished ahead; even odds are half right.
    pub accuracy: f64,
}

/// What was learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// The parameters that predict best.
    pub parameters: Parameters,
    /// With those handed in.
    pub before: Forecast,
    /// With the new ones, on the same log: an upper bound of what to expect of the next log.
    pub after: Forecast,
    /// How often the log was replayed.
    pub replays: u32,
}

/// Learns parameters from a log in the order in which it was played; a match that is there twice counts once.
///
/// # Errors
/// A match makes no sense; the log's index of it is given with the reason.
pub fn learn(log: &[Match], start: &Parameters, effort: Effort) -> Result<Learned, (usize, RatingError)> {
    let log = Log::read(log)?;
    let before = log.forecast(start);
    let ready = if effort.extras { prepare(start, &log.games) } else { start.clone() };
    let knobs = knobs(&ready, &log.games, effort.extras);
    let turned = |point: &[f64]| {
        let mut parameters = ready.clone();
        for (knob, value) in knobs.iter().zip(point) {
            knob.set(&mut parameters, *value);
        }
        parameters
    };
    let origin: Vec<f64> = knobs.iter().map(|knob: &Knob| knob.value(&ready)).collect();
    let mut replays = 2;
    let loss = |point: &[f64]| {
        replays += 1;
        let strayed: f64 = point.iter().zip(&origin).map(|(now, start)| (now - start).powi(2)).sum();
        let found = log.forecast(&turned(point));
        found.log_loss + 0.5 * effort.prior * strayed / found.matches.max(1) as f64
    };
    let (best, _) = minimise(&origin, effort.descent, loss);
    let mut parameters = turned(&best);
    let mut after = log.forecast(&parameters);
    // A start that cannot be bettered stays.
    if after.log_loss.is_nan() || after.log_loss >= before.log_loss {
        (parameters, after) = (start.clone(), before);
    }
    Ok(Learned { parameters, before, after, replays })
}

/// How well a model predicts a log; see [`Forecast`].
///
/// # Errors
/// A match makes no sense; the log's index of it is given with the reason.
pub fn forecast(log: &[Match], parameters: &Parameters) -> Result<Forecast, (usize, RatingError)> {
    Ok(Log::read(log)?.forecast(parameters))
}

/// A log that is sound, with its players numbered from 0.
struct Log<'a> {
    games: Vec<&'a Match>,
    seats: Vec<Vec<Vec<usize>>>,
    players: usize,
}

impl<'a> Log<'a> {
    fn read(log: &'a [Match]) -> Result<Self, (usize, RatingError)> {
        let mut numbers = BTreeMap::new();
        let (mut games, mut seats, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (index, game) in log.iter().enumerate() {
            game.check().map_err(|fault| (index, fault))?;
            if !seen.insert(game.id.as_str()) {
                continue;
            }
            let mut number = |player: u64| {
                let next = numbers.len();
                *numbers.entry(player).or_insert(next)
            };
            let teams = game.teams.iter();
            seats.push(teams.map(|t| t.players.iter().map(|p| number(p.player)).collect()).collect());
            games.push(game);
        }
        Ok(Self { games, seats, players: numbers.len() })
    }

    /// Not a number for parameters that make no sense or break down on this log.
    fn forecast(&self, parameters: &Parameters) -> Forecast {
        let broken = Forecast { matches: 0, log_loss: f64::NAN, accuracy: f64::NAN };
        let Ok(model) = TrueSkill2::new(parameters.clone()) else { return broken };
        let mut skills: Vec<Skill> = vec![model.newcomer(); self.players];
        let mut sum = Forecast::default();
        for (game, seats) in self.games.iter().zip(&self.seats) {
            let before: Vec<Vec<Skill>> =
                seats.iter().map(|team| team.iter().map(|&seat| skills[seat].clone()).collect()).collect();
            if let Some((loss, right)) = judge(&model, game, &before) {
                sum.matches += 1;
                sum.log_loss += loss;
                sum.accuracy += right;
            }
            let Ok(after) = model.rate(game, &before) else { return broken };
            for (seat, skill) in seats.iter().flatten().zip(after.into_iter().flatten()) {
                skills[*seat] = skill;
            }
        }
        let count = sum.matches.max(1) as f64;
        Forecast { log_loss: sum.log_loss / count, accuracy: sum.accuracy / count, ..sum }
    }
}

/// Log-loss and accuracy of what the model says of a match before it; `None` if all teams drew.
fn judge(model: &TrueSkill2, game: &Match, before: &[Vec<Skill>]) -> Option<(f64, f64)> {
    let ratings = model.outlook(game, before).ok()?;
    let (mut pairs, mut loss, mut right) = (0.0, 0.0, 0.0);
    for (index, first) in game.teams.iter().enumerate() {
        for (other, second) in game.teams.iter().enumerate().skip(index + 1) {
            if first.placement == second.placement {
                continue;
            }
            let ahead = model.ahead(&ratings[index], &ratings[other]);
            let happened = if first.placement < second.placement { ahead } else { 1.0 - ahead };
            pairs += 1.0;
            loss -= happened.max(PROBABILITY_MIN).ln();
            right += if happened == 0.5 { 0.5 } else { f64::from(u8::from(happened > 0.5)) };
        }
    }
    (pairs > 0.0).then(|| (loss / pairs, right / pairs))
}

/// No result is taken to have been less probable: one surprise must not decide everything.
const PROBABILITY_MIN: f64 = 1e-9;
