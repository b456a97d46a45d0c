//! The numbers of the model, as they are kept in a file, and what of them makes no sense.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::skill::Rating;

/// All numbers of [`TrueSkill2`](crate::TrueSkill2). The default is TrueSkill's published model with every
/// extra off; symbols are those of Minka, Cleven & Zaykov, "TrueSkill 2" (MSR-TR-2018-8).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parameters {
    /// A newcomer's rating (m₀, √v₀).
    pub newcomer: Rating,
    /// Standard deviation of a performance around the skill (β), in points.
    pub beta: f64,
    /// Standard deviation of a skill's drift from match to match (γ), in points.
    pub drift: f64,
    /// Standard deviation of a skill's drift in one minute between matches (τ), in points; it grows with the
    /// square root of time, and never beyond a newcomer's uncertainty.
    pub drift_per_minute: f64,
    /// What a match adds to the skill of a player with little experience.
    pub experience: Experience,
    /// What playing in a party of 2, 3, … adds to each member's performance, in points; larger parties get the
    /// last entry. Empty: nothing.
    pub squad: Vec<f64>,
    /// Where set, leaving early is evidence of its own: the quitter performed worse than the opponents'
    /// average by this many points at least, and the team is weighed by the time that the quitter was there.
    /// Where not, a quitter is rated as if for the whole match.
    pub quit_margin: Option<f64>,
    /// For every mode that `modes` does not name.
    pub mode: Mode,
    /// For single modes.
    pub modes: BTreeMap<String, Mode>,
    /// Messages that move less than this, in standard deviations, end the iteration.
    pub tolerance: f64,
    /// The iteration ends after this many sweeps in any case.
    pub sweeps_max: u32,
}

/// What is a mode's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mode {
    /// How often two equal players draw, in [0, 1): gives the draw margin (ε).
    pub draw_probability: f64,
    /// Standard deviation of a player's difference from the base skill in this mode, in points; 0 keeps the
    /// mode on the base skill alone.
    pub offset_sigma: f64,
    /// Standard deviation of that difference's drift from match to match, in points.
    pub offset_drift: f64,
    /// What kills say; absent: nothing.
    pub kills: Option<Count>,
    /// What deaths say; absent: nothing.
    pub deaths: Option<Count>,
}

/// How a count depends on performances: max(0, N((rate + own·(p − m₀) + opponent·(p̄ − m₀))·t, variance·t)),
/// with p the player's performance, p̄ the mean of the opponents' weighted by their time, and t the player's
/// minutes (the whole match, where lengths are unknown). The paper's form w_p·p + w_o·p̄ is this one with the
/// rate at average performances written out, which frees it from the choice of m₀.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// A minute, when everybody performs like an average newcomer.
    pub rate: f64,
    /// More of them a minute for each point of one's own performance (w_p).
    pub own: f64,
    /// More of them a minute for each point of the opponents' mean performance (w_o).
    pub opponent: f64,
    /// Their variance in a minute (v).
    pub variance: f64,
}

/// A player's `n`-th match adds gain·e^(−n/matches) points to the skill, n counted up to 200.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experience {
    /// Points.
    pub gain: f64,
    /// Matches; positive.
    pub matches: f64,
}

/// Experience beyond this many matches adds what this many add.
const EXPERIENCE_MAX: u32 = 200;

impl Experience {
    /// What the step to the next match adds for a player with so many matches behind.
    pub(crate) fn offset(self, matches: u32) -> f64 {
        if self.gain == 0.0 || matches == 0 {
            return 0.0;
        }
        self.gain * (-f64::from(matches.min(EXPERIENCE_MAX)) / self.matches).exp()
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            newcomer: Rating::NEWCOMER,
            beta: 25.0 / 6.0,
            drift: 25.0 / 300.0,
            drift_per_minute: 0.0,
            experience: Experience { gain: 0.0, matches: 20.0 },
            squad: Vec::new(),
            quit_margin: None,
            mode: Mode::default(),
            modes: BTreeMap::new(),
            tolerance: 1e-9,
            sweeps_max: 100,
        }
    }
}

impl Default for Mode {
    fn default() -> Self {
        Self { draw_probability: 0.10, offset_sigma: 0.0, offset_drift: 0.0, kills: None, deaths: None }
    }
}

/// A number of the model that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter {0} is out of range")]
pub struct ParameterFault(pub &'static str);

impl Parameters {
    /// What holds in a mode.
    pub fn mode(&self, name: &str) -> &Mode {
        self.modes.get(name).unwrap_or(&self.mode)
    }

    /// What a party of so many adds to each member's performance.
    pub(crate) fn squad_offset(&self, size: u8) -> f64 {
        let index = usize::from(size.max(1)) - 1;
        match index.checked_sub(1) {
            Some(index) => self.squad.get(index).or(self.squad.last()).copied().unwrap_or(0.0),
            None => 0.0,
        }
    }

    /// Refuses numbers that are none, and spreads that are not positive.
    ///
    /// # Errors
    /// Which parameter.
    pub fn check(&self) -> Result<(), ParameterFault> {
        let fault = |name| Err(ParameterFault(name));
        let spread = |value: f64| (0.0..=SIZE_MAX).contains(&value);
        let positive = |value: f64| spread(value) && value >= SIZE_MIN;
        let any = |value: f64| value.abs() <= SIZE_MAX;
        if !self.newcomer.is_sound() || !positive(self.newcomer.sigma) {
            return fault("newcomer");
        }
        if !positive(self.beta) {
            return fault("beta");
        }
        if !spread(self.drift) || !spread(self.drift_per_minute) {
            return fault("drift");
        }
        if !any(self.experience.gain) || !positive(self.experience.matches) {
            return fault("experience");
        }
        if !self.squad.iter().all(|&offset| any(offset)) {
            return fault("squad");
        }
        if !self.quit_margin.is_none_or(any) {
            return fault("quit_margin");
        }
        if !positive(self.tolerance) || self.sweeps_max == 0 {
            return fault("tolerance");
        }
        for mode in self.modes.values().chain([&self.mode]) {
            if !(0.0..=0.999).contains(&mode.draw_probability) {
                return fault("draw_probability");
            }
            if !spread(mode.offset_sigma) || !spread(mode.offset_drift) {
                return fault("offset_sigma");
            }
            for count in [mode.kills, mode.deaths].into_iter().flatten() {
                let sound = any(count.rate) && any(count.own) && any(count.opponent);
                if !sound || !positive(count.variance) {
                    return fault("counts");
                }
            }
        }
        Ok(())
    }
}

/// No parameter is larger than this, and no divisor smaller than [`SIZE_MIN`].
const SIZE_MAX: f64 = 1e6;
const SIZE_MIN: f64 = 1e-12;
