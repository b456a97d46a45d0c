//! Rules as data: what a match of each mode is, and how that loosens while a ticket waits. Read from JSON and
//! checked whole before use; a fault names the key and what it may be. Must never know a ticket.
//!
//! Every limit loosens only with age, so that a set of tickets that may play may still play later.

use serde::{Deserialize, Serialize};

use crate::ticket::{NAME_BYTES_MAX, PARTY_MAX, ROLES_MAX};

/// The rules of all modes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleBook {
    /// One entry a mode.
    pub modes: Vec<ModeRules>,
}

/// The rules of one mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeRules {
    /// Its name.
    pub mode: String,
    /// Teams in a match, 1 to 64.
    pub teams: usize,
    /// Players in a team, 1 to 16.
    pub team_size: usize,
    /// Regions that matches can run in; none: the mode does not care.
    #[serde(default)]
    pub regions: Vec<String>,
    /// How far apart two parties' ratings (means) may be, points.
    pub skill_gap: f64,
    /// By how much that grows each second of waiting.
    #[serde(default)]
    pub skill_gap_per_s: f64,
    /// The most round trip to the match's region, milliseconds.
    #[serde(default = "latency_default")]
    pub latency_ms: u16,
    /// The most difference between the teams' predicted chances to win, 0 to 1.
    #[serde(default = "spread_default")]
    pub win_spread: f64,
    /// What the attributes of all members must be.
    #[serde(default)]
    pub attributes: Vec<Constraint>,
    /// What every team must be able to fill.
    #[serde(default)]
    pub roles: Vec<RoleSlots>,
    /// A running match that has lost a player gets another one while at least so many seconds are left; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill_left_s: Option<f64>,
    /// How the rules loosen, in the order of time.
    #[serde(default)]
    pub expansion: Vec<Step>,
    /// Seconds that the players of a match that was found have to say that they are ready; absent: nobody asks them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_check_s: Option<f64>,
}

/// What one attribute of all members of a match must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// Which attribute. Tickets must have it.
    pub key: String,
    /// What.
    pub rule: Relation,
}

/// How attributes of members must relate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Relation {
    /// The same word.
    Equal,
    /// Sets that share a word.
    Overlap,
    /// Numbers of which the largest and the smallest are at most so far apart.
    Within(f64),
}

/// Players of one role that every team needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleSlots {
    /// Which role.
    pub role: String,
    /// How many in a team.
    pub count: usize,
}

/// What is looser from some age on. What is absent stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// From which age on, seconds.
    pub after_s: f64,
    /// A larger gap, before what grows each second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill_gap: Option<f64>,
    /// A longer way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u16>,
    /// A less even match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub win_spread: Option<f64>,
    /// Fewer teams will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams_min: Option<usize>,
    /// Smaller teams will do, all of one size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_size_min: Option<usize>,
    /// Attributes that no longer matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// Roles no longer matter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_roles: bool,
}

/// What the rules ask of a ticket of some age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Half of this lies on each side of the party's rating.
    pub skill_gap: f64,
    /// The most round trip.
    pub latency_ms: u16,
    /// The least even match.
    pub win_spread: f64,
    /// The fewest teams.
    pub teams_min: usize,
    /// The smallest team.
    pub team_size_min: usize,
    /// Bit `i`: constraint `i` binds.
    pub bound: u32,
    /// Roles bind.
    pub roles: bool,
}

/// What is wrong with a rule book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesFault {
    /// Not JSON of this shape; serde's words.
    #[error("the rules cannot be read: {0}")]
    Unreadable(String),
    /// A value that makes no sense.
    #[error("{key} must be {allowed}")]
    Value {
        /// Its path.
        key: String,
        /// What it may be.
        allowed: String,
    },
}

/// Ages count in whole quarters of a second: a queue that nobody joined need not be looked at more often.
pub const AGE_STEP_MS: u64 = 250;
/// More modes than a book has.
pub(crate) const MODES_MAX: usize = 64;
/// More regions than a mode has.
pub(crate) const REGIONS_MAX: usize = 32;
/// More teams than a match has.
pub(crate) const TEAMS_MAX: usize = 64;
/// More players than a match has: what a result can hold.
pub(crate) const PLAYERS_MAX: usize = 255;
/// More constraints than a mode has.
pub(crate) const CONSTRAINTS_MAX: usize = 16;
/// More steps than an expansion has.
pub(crate) const STEPS_MAX: usize = 16;
/// The largest gap: everybody.
pub(crate) const GAP_MAX: f64 = 1e6;
/// The longest way, milliseconds: whoever measures more says this.
pub const LATENCY_MAX_MS: u16 = 2000;

/// A ready check that nobody could answer in time.
const READY_CHECK_MIN_S: f64 = 0.1;
/// A ready check that would keep others waiting.
const READY_CHECK_MAX_S: f64 = 120.0;

impl RuleBook {
    /// Reads and checks a book.
    ///
    /// # Errors
    /// The first key that is wrong, and what it may be.
    pub fn from_json(text: &str) -> Result<Self, RulesFault> {
        let book: Self = serde_json::from_str(text).map_err(|e| RulesFault::Unreadable(e.to_string()))?;
        book.check()?;
        Ok(book)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first key that is wrong, and what it may be.
    pub fn check(&self) -> Result<(), RulesFault> {
        require((1..=MODES_MAX).contains(&self.modes.len()), "modes", || format!("1 to {MODES_MAX} modes"))?;
        for (index, mode) in self.modes.iter().enumerate() {
            mode.check(&format!("modes[{index}]"))?;
            let twice = self.modes[..index].iter().any(|other| other.mode == mode.mode);
            require(!twice, &format!("modes[{index}].mode"), || "a name that no other mode has".to_owned())?;
        }
        Ok(())
    }

    /// The place of a mode.
    #[must_use]
    pub fn position(&self, mode: &str) -> Option<usize> {
        self.modes.iter().position(|rules| rules.mode == mode)
    }
}

impl ModeRules {
    /// A mode of so many teams of so many players, with a gap, and nothing else asked for.
    #[must_use]
    pub fn new(mode: &str, teams: usize, team_size: usize, skill_gap: f64) -> Self {
        Self {
            mode: mode.to_owned(),
            teams,
            team_size,
            regions: Vec::new(),
            skill_gap,
            skill_gap_per_s: 0.0,
            latency_ms: latency_default(),
            win_spread: spread_default(),
            attributes: Vec::new(),
            roles: Vec::new(),
            backfill_left_s: None,
            expansion: Vec::new(),
            ready_check_s: None,
        }
    }

    /// What is asked of a ticket that has waited so long.
    #[must_use]
    pub fn limits(&self, age_ms: u64) -> Limits {
        let age_s = (age_ms / AGE_STEP_MS * AGE_STEP_MS) as f64 / 1000.0;
        let mut limits = Limits {
            skill_gap: self.skill_gap,
            latency_ms: self.latency_ms,
            win_spread: self.win_spread,
            teams_min: self.teams,
            team_size_min: self.team_size,
            bound: (1_u32 << self.attributes.len()) - 1,
            roles: !self.roles.is_empty(),
        };
        for step in self.expansion.iter().take_while(|step| step.after_s <= age_s) {
            limits.skill_gap = step.skill_gap.unwrap_or(limits.skill_gap);
            limits.latency_ms = step.latency_ms.unwrap_or(limits.latency_ms);
            limits.win_spread = step.win_spread.unwrap_or(limits.win_spread);
            limits.teams_min = step.teams_min.unwrap_or(limits.teams_min);
            limits.team_size_min = step.team_size_min.unwrap_or(limits.team_size_min);
            for (index, constraint) in self.attributes.iter().enumerate() {
                if step.drop.contains(&constraint.key) {
                    limits.bound &= !(1 << index);
                }
            }
            limits.roles &= !step.drop_roles;
        }
        limits.skill_gap = (limits.skill_gap + self.skill_gap_per_s * age_s).min(GAP_MAX);
        limits
    }

    /// Players in a whole match.
    #[must_use]
    pub const fn players(&self) -> usize {
        self.teams * self.team_size
    }

    /// Whether every team can be asked to be whole: teams of more than one player against each other.
    fn check(&self, at: &str) -> Result<(), RulesFault> {
        let key = |name: &str| format!("{at}.{name}");
        name(&self.mode, &key("mode"))?;
        within(self.teams, 1, TEAMS_MAX, &key("teams"))?;
        within(self.team_size, 1, PARTY_MAX, &key("team_size"))?;
        let allowed = || format!("such that a match has at most {PLAYERS_MAX} players");
        require(self.players() <= PLAYERS_MAX, &key("teams"), allowed)?;
        within(self.regions.len(), 0, REGIONS_MAX, &key("regions"))?;
        for (index, region) in self.regions.iter().enumerate() {
            name(region, &key(&format!("regions[{index}]")))?;
            let twice = self.regions[..index].contains(region);
            require(!twice, &key(&format!("regions[{index}]")), || "named once".to_owned())?;
        }
        between(self.skill_gap, 0.0, GAP_MAX, &key("skill_gap"))?;
        between(self.skill_gap_per_s, 0.0, GAP_MAX, &key("skill_gap_per_s"))?;
        within(usize::from(self.latency_ms), 1, usize::from(LATENCY_MAX_MS), &key("latency_ms"))?;
        between(self.win_spread, 0.0, 1.0, &key("win_spread"))?;
        if let Some(seconds) = self.ready_check_s {
            between(seconds, READY_CHECK_MIN_S, READY_CHECK_MAX_S, &key("ready_check_s"))?;
        }
        if let Some(left) = self.backfill_left_s {
            between(left, 0.0, 86_400.0, &key("backfill_left_s"))?;
        }
        self.check_attributes(at)?;
        self.check_roles(at)?;
        self.check_expansion(at)
    }

    fn check_attributes(&self, at: &str) -> Result<(), RulesFault> {
        within(self.attributes.len(), 0, CONSTRAINTS_MAX, &format!("{at}.attributes"))?;
        for (index, constraint) in self.attributes.iter().enumerate() {
            let key = format!("{at}.attributes[{index}]");
            name(&constraint.key, &format!("{key}.key"))?;
            let twice = self.attributes[..index].iter().any(|other| other.key == constraint.key);
            require(!twice, &format!("{key}.key"), || "named once".to_owned())?;
            if let Relation::Within(span) = constraint.rule {
                between(span, 0.0, 1e12, &format!("{key}.rule.within"))?;
            }
        }
        Ok(())
    }

    fn check_roles(&self, at: &str) -> Result<(), RulesFault> {
        within(self.roles.len(), 0, ROLES_MAX, &format!("{at}.roles"))?;
        for (index, slots) in self.roles.iter().enumerate() {
            let key = format!("{at}.roles[{index}]");
            name(&slots.role, &format!("{key}.role"))?;
            within(slots.count, 1, self.team_size, &format!("{key}.count"))?;
            let twice = self.roles[..index].iter().any(|other| other.role == slots.role);
            require(!twice, &format!("{key}.role"), || "named once".to_owned())?;
        }
        let asked: usize = self.roles.iter().map(|slots| slots.count).sum();
        let allowed = || format!("at most {} players, a team's size", self.team_size);
        require(asked <= self.team_size, &format!("{at}.roles"), allowed)
    }

    fn check_expansion(&self, at: &str) -> Result<(), RulesFault> {
        within(self.expansion.len(), 0, STEPS_MAX, &format!("{at}.expansion"))?;
        let mut before = Step { after_s: 0.0, ..Step::default() };
        (before.skill_gap, before.latency_ms) = (Some(self.skill_gap), Some(self.latency_ms));
        (before.win_spread, before.teams_min) = (Some(self.win_spread), Some(self.teams));
        before.team_size_min = Some(self.team_size);
        for (index, step) in self.expansion.iter().enumerate() {
            let key = |name: &str| format!("{at}.expansion[{index}].{name}");
            between(step.after_s, before.after_s, 86_400.0, &key("after_s"))?;
            before.after_s = step.after_s;
            if let Some(gap) = step.skill_gap {
                between(gap, before.skill_gap.unwrap_or(0.0), GAP_MAX, &key("skill_gap"))?;
                before.skill_gap = Some(gap);
            }
            if let Some(latency) = step.latency_ms {
                let least = usize::from(before.latency_ms.unwrap_or(1));
                within(usize::from(latency), least, usize::from(LATENCY_MAX_MS), &key("latency_ms"))?;
                before.latency_ms = Some(latency);
            }
            if let Some(spread) = step.win_spread {
                between(spread, before.win_spread.unwrap_or(0.0), 1.0, &key("win_spread"))?;
                before.win_spread = Some(spread);
            }
            if let Some(teams) = step.teams_min {
                within(teams, 1, before.teams_min.unwrap_or(self.teams), &key("teams_min"))?;
                before.teams_min = Some(teams);
            }
            if let Some(size) = step.team_size_min {
                within(size, 1, before.team_size_min.unwrap_or(self.team_size), &key("team_size_min"))?;
                before.team_size_min = Some(size);
            }
            for (place, dropped) in step.drop.iter().enumerate() {
                let known = self.attributes.iter().any(|constraint| constraint.key == *dropped);
                let allowed = || "the key of one of the mode's attributes".to_owned();
                require(known, &key(&format!("drop[{place}]")), allowed)?;
            }
        }
        Ok(())
    }
}

const fn latency_default() -> u16 {
    LATENCY_MAX_MS
}

const fn spread_default() -> f64 {
    1.0
}

fn require(sound: bool, key: &str, allowed: impl FnOnce() -> String) -> Result<(), RulesFault> {
    if sound { Ok(()) } else { Err(RulesFault::Value { key: key.to_owned(), allowed: allowed() }) }
}

fn within(value: usize, least: usize, most: usize, key: &str) -> Result<(), RulesFault> {
    require((least..=most).contains(&value), key, || format!("{least} to {most}, not {value}"))
}

fn between(value: f64, least: f64, most: f64, key: &str) -> Result<(), RulesFault> {
    require((least..=most).contains(&value), key, || format!("{least} to {most}, not {value}"))
}

fn name(text: &str, key: &str) -> Result<(), RulesFault> {
    let sound = (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    require(sound, key, || format!("1 to {NAME_BYTES_MAX} bytes without control characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(change: impl FnOnce(&mut ModeRules)) -> String {
        let mut rules = ModeRules::new("arena", 2, 5, 10.0);
        rules.regions = vec!["eu".to_owned()];
        rules.attributes = vec![Constraint { key: "maps".to_owned(), rule: Relation::Overlap }];
        rules.expansion = vec![
            Step { after_s: 5.0, skill_gap: Some(20.0), ..Step::default() },
            Step { after_s: 10.0, latency_ms: Some(2000), drop: vec!["maps".to_owned()], ..Step::default() },
        ];
        assert_eq!(RuleBook { modes: vec![rules.clone()] }.check(), Ok(()));
        change(&mut rules);
        RuleBook { modes: vec![rules] }.check().expect_err("a fault").to_string()
    }

    #[test]
    fn a_fault_names_the_key_and_what_it_may_be() {
        type Change = fn(&mut ModeRules);
        let cases: [(Change, &str); 13] = [
            (|r| r.teams = 0, "modes[0].teams must be 1 to 64, not 0"),
            (|r| r.team_size = 17, "modes[0].team_size must be 1 to 16, not 17"),
            (|r| r.skill_gap = f64::NAN, "modes[0].skill_gap must be 0 to 1000000, not NaN"),
            (|r| r.latency_ms = 0, "modes[0].latency_ms must be 1 to 2000, not 0"),
            (|r| r.win_spread = 1.5, "modes[0].win_spread must be 0 to 1, not 1.5"),
            (|r| r.regions.push("eu".to_owned()), "modes[0].regions[1] must be named once"),
            (|r| r.mode.clear(), "modes[0].mode must be 1 to 64 bytes without control characters"),
            (|r| r.ready_check_s = Some(0.0), "modes[0].ready_check_s must be 0.1 to 120, not 0"),
            (|r| r.expansion[1].after_s = 4.0, "modes[0].expansion[1].after_s must be 5 to 86400, not 4"),
            (
                |r| r.expansion[1].skill_gap = Some(15.0),
                "modes[0].expansion[1].skill_gap must be 20 to 1000000, not 15",
            ),
            (
                |r| r.expansion[0].drop.push("x".to_owned()),
                "modes[0].expansion[0].drop[0] must be the key of one of the mode's attributes",
            ),
            (
                |r| r.roles.push(RoleSlots { role: "tank".to_owned(), count: 6 }),
                "modes[0].roles[0].count must be 1 to 5, not 6",
            ),
            (
                |r| (r.teams, r.team_size) = (64, 4),
                "modes[0].teams must be such that a match has at most 255 players",
            ),
        ];
        for (change, expected) in cases {
            assert_eq!(fault(change), expected);
        }
    }

    #[test]
    fn a_book_is_json() {
        let text = r#"{"modes":[{"mode":"ranked","teams":2,"team_size":5,"regions":["eu"],"skill_gap":8,
            "attributes":[{"key":"platform","rule":"equal"},{"key":"level","rule":{"within":10}}],
            "expansion":[{"after_s":20,"drop":["platform"]}]}]}"#;
        let book = RuleBook::from_json(text).expect("sound");
        let (early, late) = (book.modes[0].limits(19_999), book.modes[0].limits(20_000));
        assert_eq!((early.bound, late.bound), (0b11, 0b10));
        let again = serde_json::to_string(&book).expect("JSON");
        assert_eq!(RuleBook::from_json(&again), Ok(book));
        let typo = RuleBook::from_json(&text.replace("skill_gap", "skil_gap")).expect_err("a typo");
        assert!(typo.to_string().contains("skil_gap"), "{typo}");
    }
}
