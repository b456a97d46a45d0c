//! How many game servers a fleet should have, from what it reports of itself: [`Predictor`] looks ahead, [`Calm`] keeps
//! it from flapping, [`Mix`] divides between spot and on-demand machines.
//!
//! Pure: the time is an argument, nothing awaits, no dependency does I/O. It must never know Agones' JSON, who asks, or
//! what a match is.

mod calm;
mod day;
mod predict;
mod spot;

pub use self::calm::Calm;
pub use self::day::Day;
pub use self::predict::{Decision, Predictor, Rules, RulesFault, Seen};
pub use self::spot::{Mix, SpotRules};
