//! Why a ticket waits, and what would change it: counted from the same rules that the search keeps, and said in one
//! sentence. Changes nothing.

use serde::Serialize;

use crate::cycle::seeker;
use crate::group::{Group, Seeker};
use crate::pool::{Pause, Pool, Slot, Stand};
use crate::rules::ModeRules;
use crate::ticket::{Millis, TicketId};

/// What keeps a ticket waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocker {
    /// Its party deactivated it.
    Deactivated,
    /// One of its players is still in a match.
    InMatch,
    /// It is in a match that is being started.
    Starting,
    /// Too few players wait for this mode and build, whatever the rules.
    Population,
    /// The rules leave too few: most are lost to skill.
    Skill,
    /// The rules leave too few: most are lost to distance.
    Latency,
    /// The rules leave too few: most are lost to attributes.
    Attributes,
    /// The rules leave too few: most are lost to avoid lists.
    Avoided,
    /// Enough players, but their parties, roles or chances do not make teams yet.
    Teams,
}

impl Blocker {
    /// As in answers to clients.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deactivated => "deactivated",
            Self::InMatch => "in_match",
            Self::Starting => "starting",
            Self::Population => "population",
            Self::Skill => "skill",
            Self::Latency => "latency",
            Self::Attributes => "attributes",
            Self::Avoided => "avoided",
            Self::Teams => "teams",
        }
    }
}

/// What would bring more players into reach.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// Waiting: the rules loosen by themselves.
    Wait {
        /// So long.
        wait_ms: u64,
        /// Players within reach by then, of those who wait now.
        players: usize,
    },
    /// Playing further away: what this region's limit would have to be.
    Region {
        /// Which.
        region: String,
        /// The party's way to it.
        latency_ms: u16,
        /// Players within reach there, if it were near enough.
        players: usize,
    },
    /// Giving up a constraint.
    Attribute {
        /// Which.
        key: String,
        /// Players within reach without it.
        players: usize,
    },
    /// Activating the ticket.
    Activate,
}

/// Why a ticket waits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// What keeps it most.
    pub blocker: Blocker,
    /// How long it has waited.
    pub waited_ms: u64,
    /// Players that a match needs, its own among them.
    pub needed: usize,
    /// Players of this mode and build who wait, its own among them.
    pub waiting: usize,
    /// Those whom the rules allow it to meet by now, its own among them.
    pub within_reach: usize,
    /// Players lost to skill alone.
    pub lost_to_skill: usize,
    /// Players lost to distance alone.
    pub lost_to_latency: usize,
    /// Players lost to attributes alone.
    pub lost_to_attributes: usize,
    /// Players lost to avoid lists alone.
    pub lost_to_avoiding: usize,
    /// How far from its own the rating of others may be by now, if they have waited as long.
    pub skill_range: f64,
    /// The longest way by now.
    pub latency_limit_ms: u16,
    /// What would help, the surest first.
    pub changes: Vec<Change>,
    /// All of it for a human.
    pub sentence: String,
}

/// Why one other party is out of reach, if it is.
#[derive(Clone, Copy, Default)]
struct Lost {
    skill: bool,
    latency: bool,
    attributes: bool,
    avoiding: bool,
}

impl Lost {
    const fn count(self) -> u8 {
        self.skill as u8 + self.latency as u8 + self.attributes as u8 + self.avoiding as u8
    }
}

/// Steps ahead that are looked at.
const STEPS_AHEAD_S: [u64; 4] = [5, 15, 30, 60];

impl Pool {
    /// Why this ticket is not in a match; `None` if it is not in the pool. Looks at every ticket of its queue.
    #[must_use]
    pub fn explain(&self, id: TicketId, now: Millis) -> Option<Explanation> {
        let slot = self.slot(id)?;
        let rules = &self.rules[slot.mode].0;
        let others: Vec<&Slot> = self
            .peers(slot.mode, &slot.ticket.build)
            .filter(|other| other.ticket.id != id && other.stand == Stand::Waiting)
            .collect();
        let own = seeker(rules, 0, slot, now);
        let size = slot.prepared.size;
        let mut told = Explanation {
            blocker: Blocker::Teams,
            waited_ms: own.age_ms,
            needed: own.limits.teams_min * own.limits.team_size_min,
            waiting: size + players(&others),
            within_reach: size,
            lost_to_skill: 0,
            lost_to_latency: 0,
            lost_to_attributes: 0,
            lost_to_avoiding: 0,
            skill_range: own.limits.skill_gap,
            latency_limit_ms: own.limits.latency_ms,
            changes: Vec::new(),
            sentence: String::new(),
        };
        for other in &others {
            let lost = compare(rules, &own, &seeker(rules, 0, other, now));
            let count = match (lost.count(), lost) {
                (0, _) => &mut told.within_reach,
                (1, Lost { skill: true, .. }) => &mut told.lost_to_skill,
                (1, Lost { latency: true, .. }) => &mut told.lost_to_latency,
                (1, Lost { attributes: true, .. }) => &mut told.lost_to_attributes,
                (1, _) => &mut told.lost_to_avoiding,
                _ => continue,
            };
            *count += other.prepared.size;
        }
        told.blocker = told.blocker_of(slot.stand);
        told.changes = changes(rules, slot, &others, &told, now);
        told.sentence = told.say();
        Some(told)
    }
}

impl Explanation {
    fn blocker_of(&self, stand: Stand) -> Blocker {
        match stand {
            Stand::Paused(Pause::Deactivated) => return Blocker::Deactivated,
            Stand::Paused(Pause::InMatch) => return Blocker::InMatch,
            Stand::Taken => return Blocker::Starting,
            Stand::Waiting => {}
        }
        if self.within_reach >= self.needed {
            return Blocker::Teams;
        }
        let lost = [
            (self.lost_to_skill, Blocker::Skill),
            (self.lost_to_latency, Blocker::Latency),
            (self.lost_to_attributes, Blocker::Attributes),
            (self.lost_to_avoiding, Blocker::Avoided),
        ];
        let most = lost.into_iter().max_by_key(|(players, _)| *players);
        let short = self.waiting < self.needed;
        most.filter(|(players, _)| !short && *players > 0).map_or(Blocker::Population, |(_, blocker)| blocker)
    }

    fn say(&self) -> String {
        let why = match self.blocker {
            Blocker::Deactivated => {
                return "the ticket is deactivated; activate it and it goes on with the age it has"
                    .to_owned();
            }
            Blocker::InMatch => return "your running match has not ended yet".to_owned(),
            Blocker::Starting => return "opponents are found; a server is being prepared".to_owned(),
            Blocker::Population => {
                format!("{} of {} players are waiting for this mode", self.waiting, self.needed)
            }
            Blocker::Teams => {
                let (reach, needed) = (self.within_reach, self.needed);
                format!(
                    "{reach} players are within reach and {needed} are needed, but no even teams of whole parties come out yet"
                )
            }
            _ => {
                format!("{} of {} players are within reach{}", self.within_reach, self.needed, self.losses())
            }
        };
        format!("{why}{}", self.outlook())
    }

    fn losses(&self) -> String {
        let lost = [
            (self.lost_to_skill, format!("beyond your rating ± {:.1}", self.skill_range)),
            (self.lost_to_latency, format!("in regions beyond {} ms", self.latency_limit_ms)),
            (self.lost_to_attributes, "with other attributes".to_owned()),
            (self.lost_to_avoiding, "avoided".to_owned()),
        ];
        let said = lost.iter().filter(|(players, _)| *players > 0);
        let said: Vec<String> = said.map(|(players, why)| format!("{players} {why}")).collect();
        if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
    }

    fn outlook(&self) -> String {
        let first = self.changes.iter().find_map(|change| match change {
            Change::Wait { wait_ms, players } => {
                Some(format!("; in {} s {players} will be within reach", wait_ms.div_ceil(1000)))
            }
            Change::Region { region, latency_ms, players } => {
                Some(format!("; {players} are within reach in {region}, {latency_ms} ms away"))
            }
            Change::Attribute { key, players } => Some(format!("; without {key} it would be {players}")),
            Change::Activate => None,
        });
        first.unwrap_or_default()
    }
}

fn players(slots: &[&Slot]) -> usize {
    slots.iter().map(|slot| slot.prepared.size).sum()
}

fn compare(rules: &ModeRules, own: &Seeker<'_>, other: &Seeker<'_>) -> Lost {
    let pair = [own.clone(), other.clone()];
    let meets = |change: &dyn Fn(&mut Seeker<'_>)| {
        let mut both = pair.clone();
        both.iter_mut().for_each(change);
        let mut group = Group::new(rules, u32::MAX);
        group.join(rules, &both, 0) && group.join(rules, &both, 1)
    };
    if meets(&|_| {}) {
        return Lost::default();
    }
    let open = |seeker: &mut Seeker<'_>| (seeker.low, seeker.high) = (f64::NEG_INFINITY, f64::INFINITY);
    let anywhere = |seeker: &mut Seeker<'_>| seeker.regions = 1;
    let free = |seeker: &mut Seeker<'_>| seeker.limits.bound = 0;
    Lost {
        skill: own.low > other.high || other.low > own.high,
        latency: own.regions & other.regions == 0,
        attributes: {
            let lifted = |seeker: &mut Seeker<'_>| (open(seeker), anywhere(seeker)).0;
            let without = |seeker: &mut Seeker<'_>| (lifted(seeker), free(seeker)).0;
            !meets(&lifted) && meets(&without)
        },
        avoiding: {
            let lifted = |seeker: &mut Seeker<'_>| (open(seeker), anywhere(seeker), free(seeker)).0;
            !meets(&lifted)
        },
    }
}

/// Players within reach, the party's own among them, if the ticket looked like `changed`.
fn reach(rules: &ModeRules, changed: &Seeker<'_>, others: &[&Slot], then: Millis) -> usize {
    let near =
        others.iter().filter(|other| compare(rules, changed, &seeker(rules, 0, other, then)).count() == 0);
    changed.prepared.size + near.map(|other| other.prepared.size).sum::<usize>()
}

fn changes(rules: &ModeRules, slot: &Slot, others: &[&Slot], told: &Explanation, now: Millis) -> Vec<Change> {
    if told.blocker == Blocker::Deactivated {
        return vec![Change::Activate];
    }
    if matches!(told.blocker, Blocker::InMatch | Blocker::Starting | Blocker::Population) {
        return Vec::new();
    }
    let mut changes = Vec::new();
    let gains = |players: usize| players > told.within_reach;
    for wait_s in STEPS_AHEAD_S {
        let then = now.plus(wait_s * 1000);
        let players = reach(rules, &seeker(rules, 0, slot, then), others, then);
        if gains(players) {
            changes.push(Change::Wait { wait_ms: wait_s * 1000, players });
            break;
        }
    }
    let own = seeker(rules, 0, slot, now);
    for (index, region) in rules.regions.iter().enumerate() {
        let latency_ms = slot.prepared.latencies.get(index).copied().unwrap_or(0);
        if own.regions >> index & 1 == 0 && latency_ms < u16::MAX {
            let players = reach(rules, &Seeker { regions: 1 << index, ..own.clone() }, others, now);
            if gains(players) {
                changes.push(Change::Region { region: region.clone(), latency_ms, players });
            }
        }
    }
    for (index, constraint) in rules.attributes.iter().enumerate() {
        let bit = 1 << index;
        let freed = |slot: &&Slot| {
            let mut other = seeker(rules, 0, slot, now);
            other.limits.bound &= !bit;
            let mut changed = own.clone();
            changed.limits.bound &= !bit;
            compare(rules, &changed, &other).count() == 0
        };
        let players =
            slot.prepared.size + others.iter().filter(|s| freed(s)).map(|s| s.prepared.size).sum::<usize>();
        if own.limits.bound & bit != 0 && gains(players) {
            changes.push(Change::Attribute { key: constraint.key.clone(), players });
        }
    }
    changes
}
