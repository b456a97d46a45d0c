//! Skill rating: TrueSkill 2 by expectation propagation, with parameters learned from a match log. Pure: no
//! clock, no store, no randomness.
//!
//! A player's skill is a normal distribution. A match draws a performance for each player around the skill;
//! teams finish in the order of the sums of their players' performances. What was seen of a match, read
//! backwards, moves the skills. On top of that (the first TrueSkill: Herbrich, Minka & Graepel 2006) TrueSkill 2
//! (Minka, Cleven & Zaykov 2018) adds what a shooter knows anyway: kills and deaths, parties, experience,
//! quits, time away, several modes. Each extra is off until [`Parameters`] turn it on, and with all off the
//! numbers are TrueSkill's.
//!
//! Two teams of two, counts included:
//!
//! ```
//! use rating::{Appearance, Count, Match, Parameters, Team, TrueSkill2};
//!
//! let mut parameters = Parameters::default();
//! parameters.mode.kills = Some(Count { rate: 1.0, own: 0.1, opponent: -0.1, variance: 1.0 });
//! let model = TrueSkill2::new(parameters)?;
//!
//! let player = |player, kills| Appearance { player, kills: Some(kills), ..Appearance::default() };
//! let game = Match {
//!     id: "first".to_owned(),
//!     teams: vec![
//!         Team { placement: 1, players: vec![player(1, 9), player(2, 1)] },
//!         Team { placement: 2, players: vec![player(3, 4), player(4, 4)] },
//!     ],
//!     ..Match::default()
//! };
//! let before = vec![vec![model.newcomer(); 2]; 2];
//! let after = model.rate(&game, &before)?;
//! assert!(after[0][0].base.mu > after[0][1].base.mu, "who did the killing gained more");
//!
//! let ratings: Vec<Vec<_>> = after.iter().map(|team| team.iter().map(|s| s.base).collect()).collect();
//! let rematch = model.win_probabilities(&ratings);
//! assert!(rematch[0] > 0.5 && (rematch.iter().sum::<f64>() - 1.0).abs() < 1e-9);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod calibration;
mod descent;
mod game;
mod graph;
mod knobs;
mod learn;
mod ledger;
mod model;
mod normal;
mod parameters;
mod predict;
mod propagation;
mod skill;
mod trueskill;
mod truncation;

pub use calibration::{Bin, Calibration};
pub use descent::{Descent, minimise};
pub use game::{Appearance, Match, PLAYERS_MAX, RatingError, Team};
pub use learn::{Effort, Forecast, Learned, forecast, learn};
pub use ledger::Ledger;
pub use model::TrueSkill2;
pub use parameters::{Count, Experience, Mode, ParameterFault, Parameters};
pub use predict::Odds;
pub use skill::{Rating, Skill};
pub use trueskill::TrueSkill;
