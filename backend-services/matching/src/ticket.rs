//! What waits: a party that wants to play, and a running match that wants players. Owns their shapes and the
//! limits on them; must never know how a match is found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Milliseconds on any clock that all callers of one pool share; ours is Unix time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds since `earlier`; zero if that lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Later by so many milliseconds.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// The name of a ticket or a backfill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(pub u128);

/// The name of a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlayerId(pub u64);

/// One member of a party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Player {
    /// Who.
    pub id: PlayerId,
    /// Mean of the skill estimate, points.
    pub mu: f64,
    /// Its standard deviation, points; positive.
    pub sigma: f64,
    /// Roles that the player takes; none: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Players whom this one never wants to meet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoid: Vec<PlayerId>,
}

impl Player {
    /// With a rating, any role, avoiding nobody.
    #[must_use]
    pub const fn new(id: u64, mu: f64, sigma: f64) -> Self {
        Self { id: PlayerId(id), mu, sigma, roles: Vec::new(), avoid: Vec::new() }
    }
}

/// What a constraint looks at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Attribute {
    /// A number, finite.
    Number(f64),
    /// A word.
    Text(String),
    /// A set of words.
    Set(Vec<String>),
}

/// A party that wants to play; a player alone is a party of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    /// Its name.
    pub id: TicketId,
    /// Which mode.
    pub mode: String,
    /// Which build of the game: only equals meet.
    pub build: String,
    /// Who; never split.
    pub players: Vec<Player>,
    /// Round trip to each region, milliseconds, the worst of the party; none: any region will do.
    pub latencies: BTreeMap<String, u16>,
    /// What the mode's constraints ask for, and more.
    pub attributes: BTreeMap<String, Attribute>,
    /// Since when: its age survives everything but the ticket's end.
    pub queued: Millis,
}

impl Ticket {
    /// A party that names neither regions nor attributes.
    #[must_use]
    pub fn new(id: u128, mode: &str, players: Vec<Player>, queued: Millis) -> Self {
        Self {
            id: TicketId(id),
            mode: mode.to_owned(),
            build: String::new(),
            players,
            latencies: BTreeMap::new(),
            attributes: BTreeMap::new(),
            queued,
        }
    }

    /// The mean of the members' ratings.
    #[must_use]
    pub fn skill(&self) -> f64 {
        self.players.iter().map(|player| player.mu).sum::<f64>() / self.players.len().max(1) as f64
    }
}

/// A running match that has lost players and wants others.
#[derive(Clone, Debug, PartialEq)]
pub struct Backfill {
    /// Its name.
    pub id: TicketId,
    /// Which mode.
    pub mode: String,
    /// Which build.
    pub build: String,
    /// Where it runs; none where the mode has no regions.
    pub region: Option<String>,
    /// Who still plays, team by team; every team of the match is listed, the empty ones too.
    pub teams: Vec<Vec<Player>>,
    /// Who must not join: those who left it, for one.
    pub avoid: Vec<PlayerId>,
    /// What the mode's constraints ask for: those who join must fit it.
    pub attributes: BTreeMap<String, Attribute>,
    /// Since when it asks.
    pub queued: Millis,
}

/// More players than any party has.
pub const PARTY_MAX: usize = 16;
/// More roles than a player can list.
pub const ROLES_MAX: usize = 8;
/// More players than one can avoid.
pub const AVOID_MAX: usize = 32;
/// More attributes than a ticket can carry.
pub const ATTRIBUTES_MAX: usize = 16;
/// More words than an attribute's set has.
pub(crate) const SET_MAX: usize = 32;
/// Longer than any name of a mode, build, region, role, attribute or value, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Ratings lie between its negative and it.
pub(crate) const MU_MAX: f64 = 10_000.0;
