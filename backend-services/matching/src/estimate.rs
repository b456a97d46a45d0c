//! How long a ticket will probably wait: moving means of the waits that ended, by region and party size where enough
//! is known, of all otherwise. Pure.

use std::collections::BTreeMap;

/// Weight of the newest wait.
const WEIGHT: f64 = 0.1;
/// A narrower mean counts once so many waits are in it.
const KNOWN: u32 = 5;
/// Means that are kept; tickets of further kinds count in the general one only.
const KINDS_MAX: usize = 1024;

/// Moving means of waits.
#[derive(Debug, Default)]
pub struct Estimator {
    kinds: BTreeMap<(String, Option<String>, usize), Mean>,
}

#[derive(Debug, Default)]
struct Mean {
    wait_ms: f64,
    count: u32,
}

impl Estimator {
    /// A ticket of this mode, region and party size was matched after so long.
    pub fn note(&mut self, mode: &str, region: Option<&str>, party: usize, wait_ms: u64) {
        for kind in [(mode.to_owned(), region.map(str::to_owned), party), (mode.to_owned(), None, 0)] {
            if self.kinds.contains_key(&kind) || self.kinds.len() < KINDS_MAX {
                let mean = self.kinds.entry(kind).or_default();
                // The first waits count evenly, later ones by their weight.
                let weight = WEIGHT.max(1.0 / f64::from(mean.count + 1));
                mean.wait_ms += weight * (wait_ms as f64 - mean.wait_ms);
                mean.count = mean.count.saturating_add(1);
            }
        }
    }

    /// How much longer a ticket that has waited so long will probably wait; `None` when nothing is known.
    #[must_use]
    pub fn left_ms(&self, mode: &str, region: Option<&str>, party: usize, waited_ms: u64) -> Option<u64> {
        let narrow = self.kinds.get(&(mode.to_owned(), region.map(str::to_owned), party));
        let general = || self.kinds.get(&(mode.to_owned(), None, 0));
        let mean = narrow.filter(|mean| mean.count >= KNOWN).or_else(general)?;
        Some((mean.wait_ms as u64).saturating_sub(waited_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_means_count_once_they_are_known() {
        let mut estimator = Estimator::default();
        assert_eq!(estimator.left_ms("arena", Some("eu"), 1, 0), None);
        for _ in 0..KNOWN - 1 {
            estimator.note("arena", Some("eu"), 1, 1000);
        }
        for _ in 0..20 {
            estimator.note("arena", Some("us"), 5, 9000);
        }
        assert!(estimator.left_ms("arena", Some("eu"), 1, 0).is_some_and(|left| left > 5000));
        estimator.note("arena", Some("eu"), 1, 1000);
        assert_eq!(estimator.left_ms("arena", Some("eu"), 1, 400), Some(600));
        assert_eq!(estimator.left_ms("arena", Some("us"), 5, 10_000), Some(0));
    }
}
