//! One predictor for each fleet that asks, and their memory: a file in the state folder, so that a restart does not
//! forget what a day looks like. The clock is an argument.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use scaling::{Decision, Predictor, Rules, RulesFault, Seen};

/// Fleets at most; more are refused, since each costs memory.
const FLEETS_MAX: usize = 64;
/// The memory is written no more often than this.
const SAVE_EVERY_S: u64 = 60;
/// A larger file is none of ours: 64 fleets of 288 bins and 4096 wishes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The predictors; cloning shares them.
#[derive(Clone, Debug)]
pub struct Desk(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    rules: Rules,
    fleets: BTreeMap<String, Predictor>,
    file: Option<PathBuf>,
    saved_s: u64,
}

/// Another fleet than the ones that are known asked, and there are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {FLEETS_MAX} fleets already")]
pub struct TooManyFleets;

impl Desk {
    /// With these rules for every fleet, and what the file remembers. A file that cannot be read is begun anew.
    ///
    /// # Errors
    /// The rules are none.
    pub fn open(rules: Rules, file: Option<PathBuf>) -> Result<Self, RulesFault> {
        // Also where the file is empty the rules must be some.
        Predictor::new(rules)?;
        let mut fleets = file.as_deref().map(read).unwrap_or_default();
        for predictor in fleets.values_mut() {
            *predictor = predictor.clone().with_rules(rules)?;
        }
        Ok(Self(Arc::new(Mutex::new(Inner { rules, fleets, file, saved_s: 0 }))))
    }

    /// How many servers the fleet should have.
    ///
    /// # Errors
    /// There are too many fleets.
    pub fn decide(
        &self,
        namespace: &str,
        name: &str,
        seen: Seen,
        now_s: u64,
    ) -> Result<Decision, TooManyFleets> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{namespace}/{name}");
        if !inner.fleets.contains_key(&key) {
            if inner.fleets.len() >= FLEETS_MAX {
                return Err(TooManyFleets);
            }
            let fresh = Predictor::new(inner.rules).expect("checked when the desk was opened");
            inner.fleets.insert(key.clone(), fresh);
        }
        let predictor = inner.fleets.get_mut(&key).expect("it is there by now");
        let decision = predictor.decide(seen, now_s);
        if now_s.saturating_sub(inner.saved_s) >= SAVE_EVERY_S {
            inner.saved_s = now_s;
            inner.save();
        }
        Ok(decision)
    }

    /// Writes what is remembered.
    pub fn save(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).save();
    }
}

impl Inner {
    /// A failure costs the memory of a day, and is logged.
    fn save(&self) {
        let Some(file) = &self.file else { return };
        let text = serde_json::to_vec(&self.fleets).expect("numbers and names");
        let fresh = file.with_extension("json.new");
        // Whole or not at all: a crash between the two leaves the old file.
        if let Err(error) = std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, file)) {
            tracing::warn!(%error, file = %file.display(), "what was learned of the fleets was not written");
        }
    }
}

fn read(file: &Path) -> BTreeMap<String, Predictor> {
    if std::fs::metadata(file).is_ok_and(|meta| meta.len() > FILE_BYTES_MAX) {
        tracing::warn!(file = %file.display(), "what was learned of the fleets is too long to be ours");
        return BTreeMap::new();
    }
    let Ok(text) = std::fs::read(file) else { return BTreeMap::new() };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(%error, file = %file.display(), "what was learned of the fleets cannot be read");
        BTreeMap::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Seen = Seen { replicas: 60, ready: 10, reserved: 0, allocated: 50, allocations: Some(1) };

    #[test]
    fn a_restart_forgets_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("autoscaler.json");
        let open = || Desk::open(Rules::default(), Some(file.clone())).expect("good rules");
        let first = open();
        for step in 0..20 {
            let seen = Seen { allocations: Some(step * 60), ..SEEN };
            first.decide("default", "arena", seen, 1_000_000 + step * 30).expect("room");
        }
        first.save();
        let next = |desk: &Desk| desk.decide("default", "arena", SEEN, 1_000_600).expect("room");
        let (restarted, fresh) = (open(), Desk::open(Rules::default(), None).expect("good rules"));
        assert_eq!(next(&restarted), next(&first));
        assert_ne!(next(&restarted).rate, next(&fresh).rate);
        std::fs::write(&file, "{broken").expect("a file");
        assert_eq!(next(&open()).replicas, next(&fresh).replicas, "begun anew");
    }

    #[test]
    fn strange_fleets_cost_a_bounded_memory() {
        let desk = Desk::open(Rules::default(), None).expect("good rules");
        for number in 0..FLEETS_MAX {
            desk.decide("n", &number.to_string(), SEEN, 1).expect("room");
        }
        assert_eq!(desk.decide("n", "one more", SEEN, 1), Err(TooManyFleets));
        assert!(desk.decide("n", "0", SEEN, 2).is_ok());
    }
}
