//! The predictive policy. Enough servers that are not in use to serve every match that will begin before a server that
//! is asked for now can be ready:
//!
//! ```text
//! horizon  = start-up + one round of asking
//! expected = arrivals a second × growth by the time of day × horizon
//! spare    = expected + sigma × √expected          (arrivals are Poisson: the variance is the mean)
//! wish     = allocated + reserved + ⌈spare⌉ + 1, within the limits, at least doubled spare while nothing is ready
//! replicas = the largest wish of the last `hold_s`
//! ```
//!
//! A server that ended is replaced inside the fleet and is not in use while it starts: `spare` covers those too, since
//! over the horizon as many are used up as begin.

use serde::{Deserialize, Serialize};

use crate::{Calm, Day};

/// Time constants of the two averages of the arrival rate: one that follows, and one that is steady.
const FAST_S: f64 = 60.0;
const SLOW_S: f64 = 300.0;
/// The fast one counts when it is so many of its own standard deviations above the steady one: a burst, not noise.
const BURST_SIGMA: f64 = 3.0;
/// A starved fleet's spare servers double each time, up to so many times of what its measured rate asks for.
const STARVED_TIMES: u32 = 8;
/// What the time of day may say at most.
const GROWTH: (f64, f64) = (0.6, 3.0);
/// Reports further apart than this say nothing of the time between.
const GAP_MAX_S: u64 = 3600;

/// What the policy is told of its game.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Mean length of a match, seconds.
    pub match_s: f64,
    /// From the wish for a server to its being ready, seconds; a slow one, not the mean.
    pub start_s: f64,
    /// How often the policy is asked, seconds.
    pub sync_s: f64,
    /// How many standard deviations of arrivals are covered: 3 misses one horizon in 740.
    pub sigma: f64,
    /// How long the need must have been lower before the fleet shrinks, seconds.
    pub hold_s: u64,
    /// Never fewer servers than this.
    pub min: u32,
    /// Never more servers than this.
    pub max: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { match_s: 480.0, start_s: 30.0, sync_s: 30.0, sigma: 3.0, hold_s: 300, min: 1, max: 1000 }
    }
}

/// Why rules are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesFault {
    /// A time or sigma is not a number above zero.
    #[error("match length, start-up and sync must be above 0 s, sigma at least 0")]
    Times,
    /// No number is in between.
    #[error("min ({min}) must not be above max ({max})")]
    MinAboveMax {
        /// The minimum.
        min: u32,
        /// The maximum.
        max: u32,
    },
}

/// What a fleet reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// How many servers it wants to have now.
    pub replicas: u32,
    /// Free.
    pub ready: u32,
    /// Out of the pool by their own wish.
    pub reserved: u32,
    /// In use.
    pub allocated: u32,
    /// Allocations since the fleet began, where it counts them.
    pub allocations: Option<u64>,
}

/// What the policy wants, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// How many servers.
    pub replicas: u32,
    /// Whether the limits decided.
    pub limited: bool,
    /// Arrivals a second as measured.
    pub rate: f64,
    /// Arrivals a second as expected until a new server is ready.
    pub expected_rate: f64,
    /// Servers beside those in use that this needs.
    pub spare: u32,
}

/// The policy with what it has seen; survives a restart as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predictor {
    rules: Rules,
    day: Day,
    calm: Calm,
    fast: f64,
    slow: f64,
    last: Option<(u64, Seen)>,
    spare: u32,
}

impl Predictor {
    /// One that has seen nothing.
    ///
    /// # Errors
    /// The rules are none.
    pub fn new(rules: Rules) -> Result<Self, RulesFault> {
        rules.check()?;
        let (day, calm) = (Day::default(), Calm::default());
        Ok(Self { rules, day, calm, fast: 0.0, slow: 0.0, last: None, spare: 0 })
    }

    /// The same with other rules: what was seen stays.
    ///
    /// # Errors
    /// The rules are none.
    pub fn with_rules(self, rules: Rules) -> Result<Self, RulesFault> {
        rules.check()?;
        Ok(Self { rules, ..self })
    }

    /// Takes a report and says how many servers there should be. `now_s` is Unix time; it must not run backwards, and
    /// a report that does is taken as one of the same moment.
    pub fn decide(&mut self, seen: Seen, now_s: u64) -> Decision {
        self.learn(seen, now_s);
        let rules = &self.rules;
        let horizon_s = rules.start_s + rules.sync_s;
        let growth = self.day.growth(now_s, horizon_s as u64, GROWTH);
        let rate = self.rate();
        let expected = rate * growth * horizon_s;
        let mut spare = (expected + rules.sigma * expected.sqrt()).ceil() as u32 + 1;
        // With nothing ready nobody can arrive: what is measured is the fleet's size, not the players' wish.
        if seen.ready == 0 && seen.allocated > 0 && seen.replicas > 0 {
            spare = spare.max(self.spare.saturating_mul(2).min(spare.saturating_mul(STARVED_TIMES)));
        }
        self.spare = spare.min(rules.max);
        let wish = seen.allocated.saturating_add(seen.reserved).saturating_add(spare);
        let within = wish.clamp(rules.min, rules.max);
        let replicas = self.calm.settle(within, now_s, rules.hold_s);
        Decision { replicas, limited: within != wish, rate, expected_rate: rate * growth, spare }
    }

    /// Arrivals a second: the steady average, or the fast one in a burst. An average of Poisson arrivals with time
    /// constant T has the variance rate / 2T.
    fn rate(&self) -> f64 {
        let noise = (self.slow / (2.0 * FAST_S)).sqrt();
        if self.fast > self.slow + BURST_SIGMA * noise { self.fast } else { self.slow }
    }

    fn learn(&mut self, seen: Seen, now_s: u64) {
        let Some((last_s, last)) = self.last else {
            // By Little's law the servers in use are arrivals a second times the length of a match.
            let rate = f64::from(seen.allocated) / self.rules.match_s;
            (self.fast, self.slow) = (rate, rate);
            self.last = Some((now_s, seen));
            return;
        };
        let gap_s = now_s.saturating_sub(last_s);
        if gap_s == 0 {
            return;
        }
        self.last = Some((now_s, seen));
        if gap_s > GAP_MAX_S {
            return;
        }
        let seconds = gap_s as f64;
        let arrivals = arrivals(last, seen, seconds, self.rules.match_s);
        let rate = arrivals / seconds;
        self.fast += (1.0 - (-seconds / FAST_S).exp()) * (rate - self.fast);
        self.slow += (1.0 - (-seconds / SLOW_S).exp()) * (rate - self.slow);
        self.day.note(arrivals, seconds, now_s);
    }
}

/// How many matches began between two reports: counted by the fleet, or else what the servers in use grew by plus
/// those that must have ended.
fn arrivals(last: Seen, seen: Seen, seconds: f64, match_s: f64) -> f64 {
    match (last.allocations, seen.allocations) {
        // A count that went back is another fleet's of the same name.
        (Some(before), Some(after)) if after >= before => (after - before) as f64,
        _ => {
            let ended = f64::from(last.allocated) * (seconds / match_s).min(1.0);
            (f64::from(seen.allocated) - f64::from(last.allocated) + ended).max(0.0)
        }
    }
}

impl Rules {
    fn check(&self) -> Result<(), RulesFault> {
        let times = [self.match_s, self.start_s, self.sync_s];
        if !times.iter().all(|time| time.is_finite() && *time > 0.0) || !(0.0..=100.0).contains(&self.sigma) {
            return Err(RulesFault::Times);
        }
        if self.min > self.max {
            return Err(RulesFault::MinAboveMax { min: self.min, max: self.max });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictor(rules: Rules) -> Predictor {
        Predictor::new(rules).expect("good rules")
    }

    fn seen(ready: u32, allocated: u32, allocations: u64) -> Seen {
        Seen { replicas: ready + allocated, ready, reserved: 0, allocated, allocations: Some(allocations) }
    }

    #[test]
    fn a_steady_load_has_a_steady_answer() {
        // One match every 2 s, 480 s long: 240 in use; horizon 60 s: 30 expected, 3·√30 = 16.4 more, and one.
        let mut policy = predictor(Rules::default());
        let mut answers = Vec::new();
        for step in 0..240_u64 {
            answers.push(policy.decide(seen(48, 240, step * 15), 1_000_000 + step * 30));
        }
        let last = answers.last().expect("some");
        assert_eq!((last.replicas, last.spare, last.limited), (240 + 48, 48, false));
        assert!(answers.iter().skip(60).all(|answer| answer.replicas == last.replicas), "no flapping");
    }

    #[test]
    fn without_a_count_of_allocations_littles_law_does() {
        let mut policy = predictor(Rules::default());
        let mut last = 0;
        for step in 0..60_u64 {
            let report = Seen { allocations: None, ..seen(48, 240, 0) };
            last = policy.decide(report, 1_000_000 + step * 30).replicas;
        }
        assert_eq!(last, 240 + 48);
    }

    #[test]
    fn a_starved_fleet_grows_by_doubling() {
        let mut policy = predictor(Rules { max: 100, ..Rules::default() });
        let spares: Vec<u32> =
            (0..4).map(|step| policy.decide(seen(0, 2, 2), 1_000_000 + step * 30).spare).collect();
        assert!(spares.windows(2).all(|pair| pair[1] >= pair[0] * 2), "{spares:?}");
        for step in 4..50 {
            assert!(policy.decide(seen(0, 2, 2), 1_000_000 + step * 30).spare < 100, "within reason");
        }
    }

    #[test]
    fn limits_hold() {
        let mut policy = predictor(Rules { min: 5, max: 20, ..Rules::default() });
        assert_eq!(policy.decide(seen(1, 0, 0), 1000).replicas, 5);
        let full = policy.decide(seen(0, 40, 40), 1030);
        assert_eq!((full.replicas, full.limited), (20, true));
    }

    #[test]
    fn any_report_at_any_time_is_survived() {
        let mut rng = fastrand::Rng::with_seed(17);
        for _ in 0..200 {
            let mut policy = predictor(Rules { max: 500, ..Rules::default() });
            for _ in 0..100 {
                let wild = |rng: &mut fastrand::Rng| if rng.bool() { rng.u32(..50) } else { rng.u32(..) };
                let report = Seen {
                    replicas: wild(&mut rng),
                    ready: wild(&mut rng),
                    reserved: wild(&mut rng),
                    allocated: wild(&mut rng),
                    allocations: rng.bool().then(|| rng.u64(..)),
                };
                let answer = policy.decide(report, rng.u64(..=u64::MAX / 2));
                assert!((1..=500).contains(&answer.replicas), "{answer:?}");
            }
        }
    }

    #[test]
    fn rules_that_are_none_are_refused() {
        for rules in [
            Rules { match_s: 0.0, ..Rules::default() },
            Rules { start_s: f64::NAN, ..Rules::default() },
            Rules { sigma: -1.0, ..Rules::default() },
            Rules { min: 3, max: 2, ..Rules::default() },
        ] {
            assert!(Predictor::new(rules).is_err(), "{rules:?}");
        }
    }
}
