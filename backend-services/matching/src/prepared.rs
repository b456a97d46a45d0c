//! A ticket made ready for comparing: names become places and bits, once, when it is queued. Owns what makes a
//! ticket acceptable to a mode; must never know who else waits.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use crate::rules::{Limits, ModeRules, Relation};
use crate::ticket::{
    ATTRIBUTES_MAX, AVOID_MAX, Attribute, Backfill, MU_MAX, NAME_BYTES_MAX, PARTY_MAX, Player, ROLES_MAX,
    SET_MAX, Ticket,
};

/// Why a ticket cannot be queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketFault {
    /// No rules for it.
    #[error("there is no mode {0:?}")]
    UnknownMode(String),
    /// Nobody, or more than fit into a team.
    #[error("a party of this mode has 1 to {most} players, not {given}")]
    PartySize {
        /// A team's size.
        most: usize,
        /// What was asked.
        given: usize,
    },
    /// One player twice.
    #[error("player {0} is in the party twice")]
    Twice(u64),
    /// No estimate of skill.
    #[error("the rating of player {0} is out of range")]
    Rating(u64),
    /// A region that the mode does not have.
    #[error("the mode has no region {0:?}")]
    UnknownRegion(String),
    /// A role that the mode does not have.
    #[error("the mode has no role {0:?}")]
    UnknownRole(String),
    /// A constraint's attribute is absent.
    #[error("the mode needs the attribute {0:?}")]
    AttributeMissing(String),
    /// A constraint's attribute is of another kind.
    #[error("the attribute {key:?} must be {kind}")]
    AttributeKind {
        /// Which.
        key: String,
        /// What it must be.
        kind: &'static str,
    },
    /// A limit of a list or a name.
    #[error("{what} may be at most {most}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// A running match whose teams are not the mode's.
    #[error("a match of this mode has {teams} teams of at most {size} players")]
    Teams {
        /// Its teams.
        teams: usize,
        /// Their size.
        size: usize,
    },
    /// Nobody is missing.
    #[error("the match has no free place")]
    NoFreePlace,
}

/// A constraint's attribute, ready to compare.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Key {
    Word(u64),
    Number(f64),
    /// Sorted.
    Words(Vec<u64>),
}

#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) skill: f64,
    /// Sum of the members' means.
    pub(crate) total: f64,
    pub(crate) size: usize,
    /// Latency by the mode's region; empty: any.
    pub(crate) latencies: Vec<u16>,
    /// One for each of the mode's constraints.
    pub(crate) keys: Vec<Key>,
    /// Roles that each member takes, as bits; empty where the mode has none.
    pub(crate) roles: Vec<u8>,
    pub(crate) avoids: bool,
}

impl Prepared {
    pub(crate) fn of(ticket: &Ticket, rules: &ModeRules) -> Result<Self, TicketFault> {
        let given = ticket.players.len();
        if given == 0 || given > rules.team_size.min(PARTY_MAX) {
            return Err(TicketFault::PartySize { most: rules.team_size, given });
        }
        check_players(&ticket.players)?;
        check_names(ticket)?;
        Ok(Self {
            skill: ticket.skill(),
            total: ticket.players.iter().map(|player| player.mu).sum(),
            size: given,
            latencies: latencies(ticket, rules)?,
            keys: keys(&ticket.attributes, rules)?,
            roles: roles(&ticket.players, rules)?,
            avoids: ticket.players.iter().any(|player| !player.avoid.is_empty()),
        })
    }

    /// Bit `r`: the party may play in region `r`. A mode without regions has one.
    pub(crate) fn regions(&self, rules: &ModeRules, limits: &Limits) -> u32 {
        let count = rules.regions.len().max(1);
        if self.latencies.is_empty() {
            return u32::MAX >> (32 - count);
        }
        let near = |(index, latency): (usize, &u16)| u32::from(*latency <= limits.latency_ms) << index;
        self.latencies.iter().enumerate().map(near).sum()
    }
}

pub(crate) fn check_backfill(backfill: &Backfill, rules: &ModeRules) -> Result<Vec<Vec<u8>>, TicketFault> {
    let sound = backfill.teams.len() <= rules.teams && !backfill.teams.is_empty();
    if !sound || backfill.teams.iter().any(|team| team.len() > rules.team_size) {
        return Err(TicketFault::Teams { teams: rules.teams, size: rules.team_size });
    }
    if backfill.teams.iter().all(|team| team.len() == rules.team_size) {
        return Err(TicketFault::NoFreePlace);
    }
    check_players(&backfill.teams.concat())?;
    if let Some(region) = &backfill.region
        && !rules.regions.contains(region)
    {
        return Err(TicketFault::UnknownRegion(region.clone()));
    }
    backfill.teams.iter().map(|team| roles(team, rules)).collect()
}

fn check_players(players: &[Player]) -> Result<(), TicketFault> {
    for (index, player) in players.iter().enumerate() {
        if players[..index].iter().any(|other| other.id == player.id) {
            return Err(TicketFault::Twice(player.id.0));
        }
        let sound = player.mu.abs() <= MU_MAX && player.sigma > 0.0 && player.sigma <= MU_MAX;
        if !sound {
            return Err(TicketFault::Rating(player.id.0));
        }
        limit(player.avoid.len(), AVOID_MAX, "players to avoid")?;
        limit(player.roles.len(), ROLES_MAX, "roles of a player")?;
    }
    Ok(())
}

fn check_names(ticket: &Ticket) -> Result<(), TicketFault> {
    limit(ticket.build.len(), NAME_BYTES_MAX, "bytes of the build's name")?;
    limit(ticket.attributes.len(), ATTRIBUTES_MAX, "attributes")?;
    for (key, attribute) in &ticket.attributes {
        limit(key.len(), NAME_BYTES_MAX, "bytes of an attribute's name")?;
        match attribute {
            Attribute::Number(number) if !number.is_finite() => {
                return Err(TicketFault::AttributeKind { key: key.clone(), kind: "a finite number" });
            }
            Attribute::Number(_) => {}
            Attribute::Text(text) => limit(text.len(), NAME_BYTES_MAX, "bytes of an attribute's value")?,
            Attribute::Set(words) => {
                limit(words.len(), SET_MAX, "words of an attribute")?;
                let longest = words.iter().map(String::len).max().unwrap_or(0);
                limit(longest, NAME_BYTES_MAX, "bytes of an attribute's value")?;
            }
        }
    }
    Ok(())
}

fn limit(given: usize, most: usize, what: &'static str) -> Result<(), TicketFault> {
    if given <= most { Ok(()) } else { Err(TicketFault::TooMany { what, most }) }
}

fn latencies(ticket: &Ticket, rules: &ModeRules) -> Result<Vec<u16>, TicketFault> {
    // Deliberate: a mode without regions ignores latencies, so that clients may always send them.
    if rules.regions.is_empty() || ticket.latencies.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(unknown) = ticket.latencies.keys().find(|region| !rules.regions.contains(region)) {
        return Err(TicketFault::UnknownRegion(unknown.clone()));
    }
    let of = |region| ticket.latencies.get(region).copied().unwrap_or(u16::MAX);
    Ok(rules.regions.iter().map(of).collect())
}

pub(crate) fn keys(
    attributes: &BTreeMap<String, Attribute>,
    rules: &ModeRules,
) -> Result<Vec<Key>, TicketFault> {
    let prepare = |constraint: &crate::rules::Constraint| {
        let key = constraint.key.clone();
        let attribute = attributes.get(&key);
        let attribute = attribute.ok_or_else(|| TicketFault::AttributeMissing(key.clone()))?;
        match (constraint.rule, attribute) {
            (Relation::Equal, Attribute::Text(text)) => Ok(Key::Word(hash(text))),
            (Relation::Equal, _) => Err(TicketFault::AttributeKind { key, kind: "a word" }),
            (Relation::Within(_), Attribute::Number(number)) => Ok(Key::Number(*number)),
            (Relation::Within(_), _) => Err(TicketFault::AttributeKind { key, kind: "a number" }),
            (Relation::Overlap, Attribute::Set(words)) if !words.is_empty() => {
                let mut words: Vec<u64> = words.iter().map(|word| hash(word)).collect();
                words.sort_unstable();
                words.dedup();
                Ok(Key::Words(words))
            }
            (Relation::Overlap, _) => {
                Err(TicketFault::AttributeKind { key, kind: "a set of words, not empty" })
            }
        }
    };
    rules.attributes.iter().map(prepare).collect()
}

pub(crate) fn roles(players: &[Player], rules: &ModeRules) -> Result<Vec<u8>, TicketFault> {
    if rules.roles.is_empty() {
        let asked = players.iter().flat_map(|player| &player.roles).next();
        return asked.map_or(Ok(Vec::new()), |role| Err(TicketFault::UnknownRole(role.clone())));
    }
    let bit = |role: &String| {
        let place = rules.roles.iter().position(|slots| slots.role == *role);
        place.map(|place| 1_u8 << place).ok_or_else(|| TicketFault::UnknownRole(role.clone()))
    };
    let bits = |player: &Player| {
        if player.roles.is_empty() {
            return Ok(u8::MAX);
        }
        player.roles.iter().map(bit).try_fold(0, |all, one| Ok(all | one?))
    };
    players.iter().map(bits).collect()
}

/// The standard hasher with its fixed keys: the same in every run.
fn hash(word: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    word.hash(&mut hasher);
    hasher.finish()
}
