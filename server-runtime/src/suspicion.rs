//! What honest clients do not do, or seldom: counted for each player, with limits beyond which a player is put out. Owns
//! the words and the limits; must never know who counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A kind of suspicious behaviour. None of it gains anything: what is counted here was dropped, refused or neutralised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// Inputs for ticks farther ahead than any clock is off.
    EarlyInput,
    /// Inputs for ticks that are over. Bad links do this too.
    LateInput,
    /// Claims to have seen what cannot have been on its screen.
    ViewRefused,
    /// More datagrams with inputs than there are ticks: dropped unread.
    InputFlood,
    /// More messages than [`InputLimits`] lets through.
    MessageFlood,
    /// Bytes that cannot be read; the connection ends with the first.
    Malformed,
    /// Inputs that the game's own check refused.
    Implausible,
}

impl Suspicion {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::EarlyInput,
        Self::LateInput,
        Self::ViewRefused,
        Self::InputFlood,
        Self::MessageFlood,
        Self::Malformed,
        Self::Implausible,
    ];

    /// Its name in results, status and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EarlyInput => "early_input",
            Self::LateInput => "late_input",
            Self::ViewRefused => "view_refused",
            Self::InputFlood => "input_flood",
            Self::MessageFlood => "message_flood",
            Self::Malformed => "malformed",
            Self::Implausible => "implausible",
        }
    }
}

/// How often a player did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suspicions([u64; Suspicion::ALL.len()]);

impl Suspicions {
    /// How often this was seen.
    #[must_use]
    pub fn of(&self, kind: Suspicion) -> u64 {
        self.0[kind as usize]
    }

    /// What was seen at all.
    pub fn iter(&self) -> impl Iterator<Item = (Suspicion, u64)> + '_ {
        Suspicion::ALL.into_iter().map(|kind| (kind, self.of(kind))).filter(|(_, count)| *count > 0)
    }

    pub(crate) fn add(&mut self, kind: Suspicion, count: u64) {
        let sum = &mut self.0[kind as usize];
        *sum = sum.saturating_add(count);
    }

    pub(crate) fn set(&mut self, kind: Suspicion, count: u64) {
        self.0[kind as usize] = count;
    }
}

impl Serialize for Suspicions {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(kind, count)| (kind.name(), count)))
    }
}

impl<'de> Deserialize<'de> for Suspicions {
    /// Kinds of newer builds are left out.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counts = BTreeMap::<String, u64>::deserialize(deserializer)?;
        let mut all = Self::default();
        for kind in Suspicion::ALL {
            all.set(kind, counts.get(kind.name()).copied().unwrap_or(0));
        }
        Ok(all)
    }
}

/// How much a client may send, and from what on a player is put out. Give it to
/// [`ServerBuilder::input_limits`](crate::ServerBuilder::input_limits).
///
/// ```
/// use server_runtime::prelude::*;
///
/// let limits = InputLimits { messages_per_s: 10, ..InputLimits::default() }
///     .kick_at(Suspicion::Implausible, 60)
///     .kick_at(Suspicion::InputFlood, 600);
/// let builder = Server::builder("strict").input_limits(limits);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputLimits {
    /// Datagrams with inputs that are read for each tick; an honest client sends one.
    pub inputs_per_tick: u16,
    /// The game's messages that are read in a second, with as many at once after a pause. Those beyond it are dropped on
    /// channels that may lose; on reliable ones they end the connection ([`codes::FLOOD`](crate::codes::FLOOD)).
    pub messages_per_s: u16,
    /// From what count on a player is put out, in the order of [`Suspicion::ALL`]; set by [`InputLimits::kick_at`].
    pub kick_at: [Option<u64>; Suspicion::ALL.len()],
}

impl Default for InputLimits {
    /// Twice an honest client's inputs, 256 messages a second; everything is counted and reported, nobody is put out.
    fn default() -> Self {
        Self { inputs_per_tick: 2, messages_per_s: 256, kick_at: [None; Suspicion::ALL.len()] }
    }
}

impl InputLimits {
    /// Puts a player out ([`codes::SUSPICIOUS`](crate::codes::SUSPICIOUS)) who did this `count` times in a match.
    #[must_use]
    pub fn kick_at(mut self, kind: Suspicion, count: u64) -> Self {
        self.kick_at[kind as usize] = Some(count);
        self
    }

    /// The first limit that these counts reach.
    pub(crate) fn reached(&self, counts: &Suspicions) -> Option<Suspicion> {
        let is_reached =
            |kind: &Suspicion| self.kick_at[*kind as usize].is_some_and(|at| counts.of(*kind) >= at);
        Suspicion::ALL.into_iter().find(is_reached)
    }

    /// Whether there is any.
    pub(crate) fn kicks(&self) -> bool {
        self.kick_at.iter().any(Option::is_some)
    }
}

/// An operator's limit: `KIND=COUNT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KickAt {
    /// Of what.
    pub kind: Suspicion,
    /// How often in a match, from 1.
    pub count: u64,
}

impl std::str::FromStr for KickAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Suspicion::ALL.map(Suspicion::name).join(", ");
        let (name, count) = text.split_once('=').ok_or("expected KIND=COUNT")?;
        let kind = Suspicion::ALL.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| format!("{name} is none of {}", names()))?;
        let count = count.parse().ok().filter(|count| *count > 0).ok_or("COUNT is a number from 1")?;
        Ok(Self { kind, count })
    }
}

/// So much may come at once, and so much a second: a bucket in whole tokens of microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Microseconds' worth of what may come.
    level_us: u64,
    at_us: u64,
}

impl Bucket {
    pub(crate) fn full(at_us: u64) -> Self {
        Self { level_us: u64::MAX, at_us }
    }

    /// Takes one, of which `per_s` flow in a second and `burst` lie in at most.
    pub(crate) fn take(&mut self, now_us: u64, per_s: u64, burst: u64) -> bool {
        let cost_us = 1_000_000 / per_s.max(1);
        let flown = now_us.saturating_sub(self.at_us);
        self.at_us = now_us.max(self.at_us);
        self.level_us = self.level_us.saturating_add(flown).min(cost_us * burst.max(1));
        let enough = self.level_us >= cost_us;
        if enough {
            self.level_us -= cost_us;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lets_a_burst_in_and_then_the_rate() {
        let mut bucket = Bucket::full(0);
        let mut taken = |from_s: f64, tries: u32, over_s: f64| {
            let at = |n: u32| ((from_s + over_s * f64::from(n) / f64::from(tries)) * 1e6) as u64;
            (0..tries).filter(|n| bucket.take(at(*n), 10, 20)).count()
        };
        assert_eq!(taken(0.0, 100, 0.0), 20);
        assert_eq!(taken(0.0, 1000, 3.0), 29, "the last of the thirty flows at the end");
        assert_eq!(taken(1000.0, 100, 0.0), 20, "a long pause fills it, and no more");
    }

    #[test]
    fn operators_name_a_kind_and_a_count() {
        let kick = "input_flood=600".parse::<KickAt>();
        assert_eq!(kick, Ok(KickAt { kind: Suspicion::InputFlood, count: 600 }));
        for wrong in ["", "malformed", "malformed=0", "malformed=x", "cheating=1"] {
            assert!(wrong.parse::<KickAt>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_reach_limits_and_travel_by_name() {
        let mut counts = Suspicions::default();
        let limits = InputLimits::default().kick_at(Suspicion::Implausible, 3);
        assert!(limits.kicks() && !InputLimits::default().kicks());
        counts.add(Suspicion::Implausible, 2);
        counts.add(Suspicion::LateInput, 99);
        assert_eq!(limits.reached(&counts), None);
        counts.add(Suspicion::Implausible, 1);
        assert_eq!(limits.reached(&counts), Some(Suspicion::Implausible));
        let json = serde_json::to_string(&counts).expect("plain");
        assert_eq!(json, r#"{"late_input":99,"implausible":3}"#);
        assert_eq!(serde_json::from_str::<Suspicions>(&json).expect("back"), counts);
        for (index, kind) in Suspicion::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
