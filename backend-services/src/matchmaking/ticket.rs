//! A ticket as it is shared between nodes: what it asks for, and where it stands. Owns the text forms; must never know
//! where they are kept.

use std::collections::BTreeMap;

use matching::{Attribute, Millis};
use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
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
    /// The running match that it is the ticket of; absent: players who want to play.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fills: Option<Fills>,
}

/// A running match that wants players: its ticket has no members of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fills {
    /// A UUID.
    pub match_id: String,
    /// Where it is played; absent where the mode has no regions.
    #[serde(default)]
    pub region: Option<String>,
    /// Who holds a seat, team by team.
    pub teams: Vec<Vec<Member>>,
    /// Who gave one up, not to come back.
    #[serde(default)]
    pub gone: Vec<u64>,
}

/// By which terms a running match gets other players: on its match sheet, and handed back by its server as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Nobody is looked for with fewer seconds left.
    pub left_s: f64,
    /// Where it is played; absent where the mode has no regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Which build.
    #[serde(default)]
    pub build: String,
    /// What those who join must fit.
    #[serde(default)]
    pub attributes: BTreeMap<String, Attribute>,
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

    /// As the pool takes a running match; `None` for players.
    pub fn to_backfill(&self) -> Option<matching::Backfill> {
        let fills = self.fills.as_ref()?;
        Some(matching::Backfill {
            id: matching::TicketId(self.ticket_id().as_u128()),
            mode: self.mode.clone(),
            build: self.build.clone(),
            region: fills.region.clone(),
            teams: fills.teams.iter().map(|team| team.iter().map(player).collect()).collect(),
            avoid: fills.gone.iter().copied().map(matching::PlayerId).collect(),
            attributes: self.attributes.clone(),
            queued: self.queued,
        })
    }

    /// As the pool takes it.
    pub fn to_pool(&self) -> matching::Ticket {
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

fn player(member: &Member) -> matching::Player {
    matching::Player {
        id: matching::PlayerId(member.player),
        mu: member.mu,
        sigma: member.sigma,
        roles: member.roles.clone(),
        avoid: member.avoid.iter().copied().map(matching::PlayerId).collect(),
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
    /// Its players are asked whether they are ready for a match.
    Asked(Asked),
    /// In this match, which is being started; or, by this name, being seated in a running one.
    Starting(MatchId),
    /// A running match, for which newcomers are seated, by this name; its server has not read of them yet.
    Offered(MatchId),
    /// In this match, here, in this team.
    Matched {
        /// Which.
        id: MatchId,
        /// Where its server listens.
        address: String,
        /// Which team.
        team: u8,
        /// It ran already: somebody else's seat, given up for good.
        filled: bool,
    },
    /// A player took it back.
    Cancelled,
    /// Nobody asked for it.
    Expired,
    /// It was asked for a match and was not ready.
    NotReady(NotReady),
}

/// A ready check, as one ticket of the match sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which check: the same for all tickets of the match.
    pub id: MatchId,
    /// Who has not accepted by then is not ready.
    pub deadline: UnixMs,
    /// Players of the whole match.
    pub players: u16,
    /// The team that this ticket would play in.
    pub team: u8,
    /// Bit `i`: member `i` of the ticket has accepted.
    pub accepted: u16,
    /// Where it would be played, if the rules care.
    pub region: Option<String>,
}

/// Why a ticket was not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// This player does not want the match.
    Declined(PlayerId),
    /// Not all have answered in time.
    Silent,
}

impl State {
    /// Nothing comes after it.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Matched { .. } | Self::Cancelled | Self::Expired | Self::NotReady(_))
    }

    /// Its players may still take it back.
    pub fn can_leave(&self) -> bool {
        matches!(self, Self::Queued | Self::Paused | Self::Held | Self::Asked(_))
    }

    /// As stores write it.
    pub fn to_text(&self) -> String {
        match self {
            Self::Queued => "queued".to_owned(),
            Self::Paused => "paused".to_owned(),
            Self::Held => "held".to_owned(),
            Self::Asked(asked) => asked.to_text(),
            Self::Starting(id) => format!("starting {id}"),
            Self::Offered(id) => format!("offered {id}"),
            Self::Matched { id, address, team, filled } => {
                let filled = if *filled { " filled" } else { "" };
                format!("matched {id} {address} {team}{filled}")
            }
            Self::Cancelled => "cancelled".to_owned(),
            Self::Expired => "expired".to_owned(),
            Self::NotReady(NotReady::Declined(player)) => format!("unready {player}"),
            Self::NotReady(NotReady::Silent) => "unready".to_owned(),
        }
    }

    /// From that form; `None` if no version of this program writes that.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(match words.next()? {
            "queued" => Self::Queued,
            "paused" => Self::Paused,
            "held" => Self::Held,
            "asked" => Self::Asked(Asked::from_text(text)?),
            "starting" => Self::Starting(words.next()?.parse().ok()?),
            "offered" => Self::Offered(words.next()?.parse().ok()?),
            "matched" => Self::Matched {
                id: words.next()?.parse().ok()?,
                address: words.next()?.to_owned(),
                team: words.next()?.parse().ok()?,
                filled: words.next() == Some("filled"),
            },
            "cancelled" => Self::Cancelled,
            "expired" => Self::Expired,
            "unready" => Self::NotReady(match words.next() {
                Some(player) => NotReady::Declined(player.parse().ok()?),
                None => NotReady::Silent,
            }),
            _ => return None,
        })
    }
}

impl Asked {
    fn to_text(&self) -> String {
        let Self { id, deadline, players, team, accepted, region } = self;
        let region = region.as_ref().map(|region| format!(" {region}")).unwrap_or_default();
        format!("asked {id} {} {players} {team} {accepted:x}{region}", deadline.0)
    }

    fn from_text(text: &str) -> Option<Self> {
        // The region is last: its name may have spaces.
        let mut words = text.splitn(7, ' ').skip(1);
        Some(Self {
            id: words.next()?.parse().ok()?,
            deadline: UnixMs(words.next()?.parse().ok()?),
            players: words.next()?.parse().ok()?,
            team: words.next()?.parse().ok()?,
            accepted: u16::from_str_radix(words.next()?, 16).ok()?,
            region: words.next().map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_survive_their_text_form() {
        let id = MatchId::random();
        let matched = |filled| State::Matched { id, address: "127.0.0.1:7000".to_owned(), team: 3, filled };
        let deadline = UnixMs(1_800_000_000_000);
        let asked = |region: Option<&str>| {
            let region = region.map(str::to_owned);
            State::Asked(Asked { id, deadline, players: 255, team: 63, accepted: 0x80f1, region })
        };
        let player = PlayerId::new(1 << 40).expect("an id");
        for state in [
            State::Queued,
            State::Paused,
            State::Held,
            asked(None),
            asked(Some("north west 2")),
            State::Starting(id),
            State::Offered(id),
            matched(false),
            matched(true),
            State::Expired,
            State::NotReady(NotReady::Silent),
            State::NotReady(NotReady::Declined(player)),
        ] {
            assert_eq!(State::from_text(&state.to_text()), Some(state));
        }
        for text in ["", "starting", "starting x", "matched 1", "lost", "asked 1", "unready 0"] {
            assert_eq!(State::from_text(text), None, "{text}");
        }
    }
}
