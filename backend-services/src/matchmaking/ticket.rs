//! A ticket as it is shared between nodes: what it asks for, and where it stands. Owns the text forms; must never know
//! where they are kept.

use std::collections::BTreeMap;

use matching::{Attribute, Millis};
use serde::{Deserialize, Serialize};

use crate::ids::{MatchId, PlayerId, TicketId};

/// One member of the party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Who; below 2^53.
    pub player: u64,
    /// What others see.
    pub name: String,
    /// Mean of the rating.
    pub mu: f64,
    /// Its standard deviation.
    pub sigma: f64,
    /// Roles that the player takes.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Players never to meet.
    #[serde(default)]
    pub avoid: Vec<u64>,
}

/// What a party asks for. Nothing in it changes while the ticket lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// A UUID.
    pub id: String,
    /// Which mode.
    pub mode: String,
    /// Which build.
    #[serde(default)]
    pub build: String,
    /// Who.
    pub members: Vec<Member>,
    /// The same players as text: a script cannot write numbers of 53 bits.
    pub players: Vec<String>,
    /// Round trips by region, milliseconds, the worst of the party.
    #[serde(default)]
    pub latencies: BTreeMap<String, u16>,
    /// For the mode's constraints.
    #[serde(default)]
    pub attributes: BTreeMap<String, Attribute>,
    /// Since when, Unix milliseconds.
    pub queued: Millis,
}

impl Record {
    /// Its id.
    pub fn ticket_id(&self) -> TicketId {
        self.id.parse().unwrap_or(TicketId::from_u128(0))
    }

    /// Whether this player is in the party.
    pub fn has(&self, player: PlayerId) -> bool {
        self.members.iter().any(|member| member.player == player.as_u64())
    }

    /// The party's players.
    pub fn player_ids(&self) -> impl Iterator<Item = PlayerId> + '_ {
        self.members.iter().filter_map(|member| PlayerId::new(member.player))
    }

    /// As the pool takes it.
    pub fn to_pool(&self) -> matching::Ticket {
        let player = |member: &Member| matching::Player {
            id: matching::PlayerId(member.player),
            mu: member.mu,
            sigma: member.sigma,
            roles: member.roles.clone(),
            avoid: member.avoid.iter().copied().map(matching::PlayerId).collect(),
        };
        matching::Ticket {
            id: matching::TicketId(self.ticket_id().as_u128()),
            mode: self.mode.clone(),
            build: self.build.clone(),
            players: self.members.iter().map(player).collect(),
            latencies: self.latencies.clone(),
            attributes: self.attributes.clone(),
            queued: self.queued,
        }
    }
}

/// Where a ticket stands. Its text form is what stores compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Looks for opponents.
    Queued,
    /// Its party wants it to wait.
    Paused,
    /// One of its players is still in a match.
    Held,
    /// In this match, which is being started.
    Starting(MatchId),
    /// In this match, here, in this team.
    Matched {
        /// Which.
        id: MatchId,
        /// Where its server listens.
        address: String,
        /// Which team.
        team: u8,
    },
    /// A player took it back.
    Cancelled,
    /// Nobody asked for it.
    Expired,
}

impl State {
    /// Nothing comes after it.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Matched { .. } | Self::Cancelled | Self::Expired)
    }

    /// As stores write it.
    pub fn to_text(&self) -> String {
        match self {
            Self::Queued => "queued".to_owned(),
            Self::Paused => "paused".to_owned(),
            Self::Held => "held".to_owned(),
            Self::Starting(id) => format!("starting {id}"),
            Self::Matched { id, address, team } => format!("matched {id} {address} {team}"),
            Self::Cancelled => "cancelled".to_owned(),
            Self::Expired => "expired".to_owned(),
        }
    }

    /// From that form; `None` if no version of this program writes that.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(match words.next()? {
            "queued" => Self::Queued,
            "paused" => Self::Paused,
            "held" => Self::Held,
            "starting" => Self::Starting(words.next()?.parse().ok()?),
            "matched" => Self::Matched {
                id: words.next()?.parse().ok()?,
                address: words.next()?.to_owned(),
                team: words.next()?.parse().ok()?,
            },
            "cancelled" => Self::Cancelled,
            "expired" => Self::Expired,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_survive_their_text_form() {
        let id = MatchId::random();
        let matched = State::Matched { id, address: "127.0.0.1:7000".to_owned(), team: 3 };
        for state in [State::Queued, State::Paused, State::Held, State::Starting(id), matched, State::Expired]
        {
            assert_eq!(State::from_text(&state.to_text()), Some(state));
        }
        for text in ["", "starting", "starting x", "matched 1", "lost"] {
            assert_eq!(State::from_text(text), None, "{text}");
        }
    }
}
