//! Parties that may all play together, so far: joined one by one, each join an exact check. Owns the pairwise
//! rules (skill, latency, attributes, avoiding); must never know teams.

use crate::prepared::{Key, Prepared};
use crate::rules::{Limits, ModeRules, Relation};
use crate::ticket::{Player, PlayerId};

/// A party as the search sees it in one tick.
#[derive(Clone, Debug)]
pub(crate) struct Seeker<'a> {
    pub(crate) players: &'a [Player],
    pub(crate) prepared: &'a Prepared,
    pub(crate) limits: Limits,
    /// The ratings that it accepts: half its gap on each side.
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Regions that it accepts, as bits.
    pub(crate) regions: u32,
    pub(crate) age_ms: u64,
    /// The place of its ticket in the pool.
    pub(crate) slot: u32,
}

/// What the members have in common.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) members: Vec<u32>,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) regions: u32,
    bound: u32,
    broken: u32,
    common: Vec<Common>,
    avoids: bool,
}

#[derive(Clone, Debug)]
enum Common {
    Any,
    Word(u64),
    Words(Vec<u64>),
    Span(f64, f64),
}

impl Group {
    /// Of nobody, in these regions.
    pub(crate) fn new(rules: &ModeRules, regions: u32) -> Self {
        Self {
            members: Vec::with_capacity(16),
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
            regions,
            bound: 0,
            broken: 0,
            common: vec![Common::Any; rules.attributes.len()],
            avoids: false,
        }
    }

    /// Takes one more in, if all may play together. False: nothing changed.
    pub(crate) fn join(&mut self, rules: &ModeRules, all: &[Seeker<'_>], who: u32) -> bool {
        let seeker = &all[who as usize];
        let (low, high) = (self.low.max(seeker.low), self.high.min(seeker.high));
        let regions = self.regions & seeker.regions;
        if low > high || regions == 0 {
            return false;
        }
        if (self.avoids || seeker.prepared.avoids) && self.avoided(all, seeker) {
            return false;
        }
        if !rules.attributes.is_empty() && !self.agree(rules, seeker) {
            return false;
        }
        (self.low, self.high, self.regions) = (low, high, regions);
        self.avoids |= seeker.prepared.avoids;
        self.members.push(who);
        true
    }

    fn avoided(&self, all: &[Seeker<'_>], seeker: &Seeker<'_>) -> bool {
        self.members.iter().any(|&member| {
            let member = all[member as usize].players;
            avoid(member, seeker.players) || avoid(seeker.players, member)
        })
    }

    /// A constraint binds all as long as it binds one.
    fn agree(&mut self, rules: &ModeRules, seeker: &Seeker<'_>) -> bool {
        let bound = self.bound | seeker.limits.bound;
        let mut broken = self.broken;
        let mut common = self.common.clone();
        for (index, key) in seeker.prepared.keys.iter().enumerate() {
            if !common[index].meet(key, rules.attributes[index].rule) {
                broken |= 1 << index;
            }
        }
        if bound & broken != 0 {
            return false;
        }
        (self.bound, self.broken, self.common) = (bound, broken, common);
        true
    }
}

impl Common {
    fn meet(&mut self, key: &Key, rule: Relation) -> bool {
        match (&mut *self, key) {
            (Self::Any, Key::Word(word)) => *self = Self::Word(*word),
            (Self::Any, Key::Words(words)) => *self = Self::Words(words.clone()),
            (Self::Any, Key::Number(number)) => *self = Self::Span(*number, *number),
            (Self::Word(one), Key::Word(other)) => return one == other,
            (Self::Words(ours), Key::Words(theirs)) => {
                ours.retain(|word| theirs.binary_search(word).is_ok());
                return !ours.is_empty();
            }
            (Self::Span(least, most), Key::Number(number)) => {
                (*least, *most) = (least.min(*number), most.max(*number));
                return matches!(rule, Relation::Within(span) if *most - *least <= span);
            }
            _ => return false,
        }
        true
    }
}

/// Whether one of the first avoids one of the others.
pub(crate) fn avoid(first: &[Player], others: &[Player]) -> bool {
    let meets = |avoided: &PlayerId| others.iter().any(|other| other.id == *avoided);
    first.iter().any(|player| player.avoid.iter().any(meets))
}
