//! Parties as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/parties`
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartyRequest {
    /// Members at most; 16 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 2, maximum = 16, example = 5)]
    pub members_max: Option<u8>,
}

/// Players who want to play together.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Party {
    /// A UUID.
    pub party_id: String,
    /// Whoever knows it may join.
    #[schema(example = "K7QW2MXA")]
    pub code: String,
    /// Seconds until the code works no more; the leader can have another.
    pub code_expires_in_s: u64,
    /// Members at most.
    pub members_max: u8,
    /// In the order of joining; at most 16.
    pub members: Vec<PartyMember>,
    /// Ids of players who may join without the code; at most 32.
    pub invited: Vec<String>,
    /// The ticket that it queued with last, which may be over by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_id: Option<String>,
}

/// One of a party.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PartyMember {
    /// Who.
    pub player_id: String,
    /// What others see.
    pub display_name: String,
    /// Whether this member leads.
    pub leader: bool,
    /// Whether this member was heard of lately.
    pub here: bool,
}

/// `POST /v1/parties/join`: by code, or by id if invited.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartyJoin {
    /// The party's code; case does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The party's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party_id: Option<String>,
}

/// A player to invite or to hand over to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartyPlayer {
    /// Who.
    pub player_id: String,
}

/// `POST /v1/parties/me/heartbeat`
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartyHeartbeat {
    /// The member's round trips by region, milliseconds; absent: as before. At most 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latencies: Option<BTreeMap<String, u16>>,
    /// Roles that the member takes, none: any; absent: as before. At most 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
}

/// `GET /v1/parties/invites`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PartyInvites {
    /// At most 32.
    pub invites: Vec<PartyInvite>,
}

/// A party that wants the caller.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PartyInvite {
    /// To join by.
    pub party_id: String,
    /// Who leads it.
    pub leader: String,
    /// How many are in it.
    pub members: usize,
    /// Seconds until the invitation is forgotten.
    pub expires_in_s: u64,
}

/// `POST /v1/parties/me/ticket`: what the whole party asks for; latencies and roles are the members' own.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartyTicketRequest {
    /// Which game mode to queue for.
    #[schema(max_length = 64, example = "arena")]
    pub mode: String,
    /// Which build of the game: only equals meet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub build: Option<String>,
    /// What the mode's constraints ask for; at most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub attributes: BTreeMap<String, matching::Attribute>,
}
