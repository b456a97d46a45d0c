//! The numbers that learning turns, each on a scale where steps of 0.1 are sensible; which of them a log can
//! say anything about; and where extras that are off begin when they are turned on.

use std::collections::BTreeSet;

use crate::game::Match;
use crate::graph::gave_up;
use crate::parameters::{Count, Mode, Parameters};

/// One number of the parameters, on its scale.
#[derive(Clone, Debug)]
pub(crate) struct Knob {
    field: Field,
    /// Of this mode; of all modes that are not named if absent.
    mode: Option<String>,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Beta,
    Drift,
    DriftPerMinute,
    ExperienceGain,
    Squad(usize),
    QuitMargin,
    Draw,
    OffsetSigma,
    Count(Counted, Part),
}

#[derive(Clone, Copy, Debug)]
enum Counted {
    Kills,
    Deaths,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Rate,
    Own,
    Opponent,
    Variance,
}

/// Where the drift in a minute begins if it was off, as a share of a newcomer's uncertainty.
const SPREAD_START: f64 = 1e-3;
/// Larger parties than this share one number.
const SQUAD_MAX: usize = 8;

impl Knob {
    /// Where it stands.
    pub(crate) fn value(&self, parameters: &Parameters) -> f64 {
        let sigma = parameters.newcomer.sigma;
        let mode = self.mode_of(parameters);
        match self.field {
            Field::Beta => (parameters.beta / sigma).ln(),
            Field::Drift => (parameters.drift / sigma).ln(),
            Field::DriftPerMinute => (parameters.drift_per_minute / sigma).ln(),
            Field::ExperienceGain => parameters.experience.gain / sigma,
            Field::Squad(index) => parameters.squad[index] / sigma,
            Field::QuitMargin => parameters.quit_margin.unwrap_or_default() / sigma,
            Field::Draw => (mode.draw_probability / (1.0 - mode.draw_probability)).ln(),
            Field::OffsetSigma => (mode.offset_sigma / sigma).ln(),
            Field::Count(which, part) => {
                let Some(count) = which.of(mode) else { return 0.0 };
                match part {
                    Part::Rate => count.rate,
                    Part::Own => count.own * sigma,
                    Part::Opponent => count.opponent * sigma,
                    Part::Variance => count.variance.ln(),
                }
            }
        }
    }

    /// Turns it.
    pub(crate) fn set(&self, parameters: &mut Parameters, value: f64) {
        let sigma = parameters.newcomer.sigma;
        match self.field {
            Field::Beta => parameters.beta = value.exp() * sigma,
            Field::Drift => parameters.drift = value.exp() * sigma,
            Field::DriftPerMinute => parameters.drift_per_minute = value.exp() * sigma,
            Field::ExperienceGain => parameters.experience.gain = value * sigma,
            Field::Squad(index) => parameters.squad[index] = value * sigma,
            Field::QuitMargin => parameters.quit_margin = Some(value * sigma),
            Field::Draw => self.mode_mut(parameters).draw_probability = 1.0 / (1.0 + (-value).exp()),
            Field::OffsetSigma => self.mode_mut(parameters).offset_sigma = value.exp() * sigma,
            Field::Count(which, part) => {
                let Some(count) = which.of_mut(self.mode_mut(parameters)) else { return };
                match part {
                    Part::Rate => count.rate = value,
                    Part::Own => count.own = value / sigma,
                    Part::Opponent => count.opponent = value / sigma,
                    Part::Variance => count.variance = value.exp(),
                }
            }
        }
    }

    fn mode_of<'a>(&self, parameters: &'a Parameters) -> &'a Mode {
        self.mode.as_deref().map_or(&parameters.mode, |name| parameters.mode(name))
    }

    fn mode_mut<'a>(&self, parameters: &'a mut Parameters) -> &'a mut Mode {
        match &self.mode {
            Some(name) => parameters.modes.entry(name.clone()).or_insert_with(|| parameters.mode.clone()),
            None => &mut parameters.mode,
        }
    }
}

impl Counted {
    fn of(self, mode: &Mode) -> Option<&Count> {
        match self {
            Self::Kills => mode.kills.as_ref(),
            Self::Deaths => mode.deaths.as_ref(),
        }
    }

    fn of_mut(self, mode: &mut Mode) -> Option<&mut Count> {
        match self {
            Self::Kills => mode.kills.as_mut(),
            Self::Deaths => mode.deaths.as_mut(),
        }
    }
}

/// The parameters with every extra turned on that the log can say something about, where it starts.
pub(crate) fn prepare(start: &Parameters, log: &[&Match]) -> Parameters {
    let mut ready = start.clone();
    let sigma = ready.newcomer.sigma;
    let times: BTreeSet<i64> = log.iter().map(|game| game.ended_unix_ms).take(2).collect();
    if times.len() > 1 && ready.drift_per_minute == 0.0 {
        ready.drift_per_minute = sigma * SPREAD_START;
    }
    let squad = log.iter().flat_map(|game| game.appearances()).map(|seat| usize::from(seat.squad)).max();
    let sizes = squad.unwrap_or(0).min(SQUAD_MAX).saturating_sub(1);
    ready.squad.resize(sizes.max(ready.squad.len()), 0.0);
    if log.iter().any(|game| quits(game)) {
        ready.quit_margin = ready.quit_margin.or(Some(0.0));
    }
    let names = mode_names(log);
    for name in names.iter().copied() {
        let games: Vec<&Match> = log.iter().copied().filter(|game| game.mode == name).collect();
        let mut mode = ready.mode(name).clone();
        mode.kills = mode.kills.or_else(|| guess(&games, sigma, 1.0, |seat| seat.kills));
        mode.deaths = mode.deaths.or_else(|| guess(&games, sigma, -1.0, |seat| seat.deaths));
        if names.len() > 1 {
            mode.offset_sigma = if mode.offset_sigma > 0.0 { mode.offset_sigma } else { sigma * 0.2 };
            mode.offset_drift = if mode.offset_drift > 0.0 { mode.offset_drift } else { ready.drift * 0.2 };
            ready.modes.insert(name.to_owned(), mode);
        } else {
            ready.mode = mode;
        }
    }
    ready
}

/// What this log can say something about.
pub(crate) fn knobs(ready: &Parameters, log: &[&Match], extras: bool) -> Vec<Knob> {
    let mut fields = vec![Field::Beta, Field::Drift];
    let mut knobs = Vec::new();
    if extras {
        fields.push(Field::ExperienceGain);
        fields.extend((ready.drift_per_minute > 0.0).then_some(Field::DriftPerMinute));
        fields.extend((0..ready.squad.len()).map(Field::Squad));
        fields.extend(ready.quit_margin.map(|_| Field::QuitMargin));
    }
    let names = mode_names(log);
    let own = |name: &str| ready.modes.contains_key(name).then(|| name.to_owned());
    let modes: BTreeSet<Option<String>> = names.iter().map(|name| own(name)).collect();
    for mode in modes {
        let of = |field| Knob { field, mode: mode.clone() };
        knobs.push(of(Field::Draw));
        let numbers = of(Field::Draw).mode_of(ready).clone();
        if !extras {
            continue;
        }
        knobs.extend((numbers.offset_sigma > 0.0).then(|| of(Field::OffsetSigma)));
        for which in [Counted::Kills, Counted::Deaths] {
            if which.of(&numbers).is_some() {
                let parts = [Part::Rate, Part::Own, Part::Opponent, Part::Variance];
                knobs.extend(parts.map(|part| of(Field::Count(which, part))));
            }
        }
    }
    let shared = fields.into_iter().map(|field| Knob { field, mode: None });
    shared.chain(knobs).collect()
}

fn mode_names<'a>(log: &[&'a Match]) -> BTreeSet<&'a str> {
    log.iter().map(|game| game.mode.as_str()).collect()
}

fn quits(game: &Match) -> bool {
    let teams = game.teams.iter().enumerate();
    teams
        .flat_map(|(team, side)| side.players.iter().map(move |seat| (team, seat.quit)))
        .any(|(team, quit)| gave_up(game, team, quit))
}

/// Where a count's numbers begin: its mean rate, half of its variance as noise, and slopes that explain the
/// other half. `None` if the log does not have it, or it is always the same.
fn guess(
    games: &[&Match],
    sigma: f64,
    sign: f64,
    count: impl Fn(&crate::game::Appearance) -> Option<u32>,
) -> Option<Count> {
    let mut rates = Vec::new();
    for game in games {
        for seat in game.appearances() {
            if let Some(count) = count(seat) {
                rates.push((f64::from(count), game.minutes(seat)));
            }
        }
    }
    let minutes: f64 = rates.iter().map(|(_, minutes)| minutes).sum();
    let rate = rates.iter().map(|(count, _)| count).sum::<f64>() / minutes;
    // (count − rate·t)² has mean variance·t.
    let squares: f64 = rates.iter().map(|(count, minutes)| (count - rate * minutes).powi(2)).sum();
    let variance = squares / minutes;
    if !(variance.is_finite() && variance > 1e-6) {
        return None;
    }
    let slope = sign * (0.25 * variance).sqrt() / sigma;
    Some(Count { rate, own: slope, opponent: -slope, variance: 0.5 * variance })
}
