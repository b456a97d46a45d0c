//! The JSON shapes of the REST API, version 1: what clients send and get. Public, so that our own bots and
//! client SDKs speak with the same types as the handlers.
//!
//! Owns shapes only; it must never know a rule, a store or a router. Ids of players are `u64` below 2^53,
//! written as strings. Times are milliseconds or seconds, the unit is the name's last part. Requests refuse
//! unknown fields; clients must ignore unknown fields in answers (additions are not breaking changes).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod parties;
mod results;

pub use self::parties::{
    Party, PartyHeartbeat, PartyInvite, PartyInvites, PartyJoin, PartyMember, PartyPlayer, PartyRequest,
    PartyTicketRequest,
};
pub use self::results::{
    AchievementProgress, Achievements, BoardRank, MatchOutcome, OutcomeStatus, PlayerOutcome, Progression,
    RatingChange,
};

/// `POST /v1/auth/guest/register`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterRequest {
    /// Made and kept by the device: at least 32 characters of `A–Z a–z 0–9 - _ + / = . ~` with at least
    /// 128 bits of entropy (16 random bytes in hex, or more). The server keeps only its SHA-256.
    #[schema(min_length = 32, max_length = 256, example = "9f86d081884c7d659a2feaa0c55ad015")]
    pub device_secret: String,
    /// 1 to 32 bytes of UTF-8 without control characters; not unique.
    #[schema(min_length = 1, max_length = 32, example = "Ada")]
    pub display_name: String,
}

/// `POST /v1/auth/guest/login`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The secret that the account was registered with.
    #[schema(min_length = 32, max_length = 256, example = "9f86d081884c7d659a2feaa0c55ad015")]
    pub device_secret: String,
}

/// `POST /v1/auth/refresh` and `POST /v1/auth/logout`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The newest refresh token of the session. Asking again with the one before it is answered with the
    /// same successor for 10 s (a lost response); later than that it ends the session.
    #[schema(max_length = 128)]
    pub refresh_token: String,
}

/// Answer to register, login and refresh.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// The player's id, a decimal number below 2^53 in a string.
    #[schema(example = "4503599627370496")]
    pub player_id: String,
    /// What others see.
    pub display_name: String,
    /// A JWT (`at+jwt`, EdDSA); send it as `Authorization: Bearer …`.
    pub access_token: String,
    /// Opaque; used once to get the next pair.
    pub refresh_token: String,
    /// Seconds until the access token expires.
    #[schema(example = 900)]
    pub expires_in_s: u64,
}

/// `GET /v1/me`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The player's id.
    pub player_id: String,
    /// What others see.
    pub display_name: String,
    /// When the account was made, milliseconds since 1970.
    pub created_unix_ms: i64,
    /// The skill estimate.
    pub rating: Rating,
}

/// `GET /v1/me/states/{name}`: what a game keeps of the player between matches.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlayerState {
    /// Which of the game's states.
    #[schema(example = "arena")]
    pub name: String,
    /// The game's version of what the document means.
    pub version: u32,
    /// As the game saved it.
    #[schema(value_type = Object)]
    pub document: serde_json::Value,
    /// When a game server saved it last, milliseconds since 1970.
    pub saved_unix_ms: i64,
}

/// A skill estimate: normally distributed with mean `mu` and standard deviation `sigma`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rating {
    /// Mean; newcomers start at 25.
    pub mu: f64,
    /// Standard deviation; newcomers start at 25/3.
    pub sigma: f64,
    /// Matches that counted.
    pub matches: u32,
}

/// `POST /v1/matchmaking/tickets`
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketRequest {
    /// Which game mode to queue for.
    #[schema(max_length = 64, example = "arena")]
    pub mode: String,
    /// Which build of the game: only equals meet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub build: Option<String>,
    /// Measured round trips to the mode's regions, milliseconds. Absent: any region will do; a region that is not
    /// named is not played in.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub latencies: BTreeMap<String, u16>,
    /// What the mode's constraints ask for: a word, a number, or a set of words; at most 16.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub attributes: BTreeMap<String, matching::Attribute>,
    /// Roles that the player takes; none: any. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Ids of players never to meet; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoid: Vec<String>,
}

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TicketStatus {
    /// Waits for opponents, for a server, or for the player's running match to end.
    Queued,
    /// Deactivated: waits for its party to activate it.
    Inactive,
    /// A match is found and its players are asked whether they are ready: `ready_check` says until when.
    ReadyCheck,
    /// `match` says where to go.
    Matched,
    /// Nobody asked for it for too long.
    Expired,
    /// The player took it back.
    Cancelled,
    /// A player declined a match, or did not answer in time: `reason` says which.
    NotReady,
}

/// `POST /v1/matchmaking/tickets/{id}/ready`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadyAnswer {
    /// False: no, and the whole ticket leaves the queue.
    pub accept: bool,
    /// Which check is answered; given, an answer that comes late cannot count for the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_id: Option<String>,
}

/// Whether the players of a match are ready.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReadyCheck {
    /// A UUID, the same for all players of the match.
    pub check_id: String,
    /// Who has not accepted by then is out.
    pub expires_in_ms: u64,
    /// Whether the caller has accepted.
    pub accepted: bool,
    /// How many players have.
    pub players_accepted: u32,
    /// How many are asked.
    pub players: u32,
}

/// A place in the queue, and the match once there is one.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// A UUID.
    pub ticket_id: String,
    /// Where it stands.
    pub status: TicketStatus,
    /// Since it was queued.
    pub waited_ms: u64,
    /// How much longer it will probably wait; absent when nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_ms: Option<u64>,
    /// Why it still waits, or why it was not ready, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Present when `status` is `ready_check`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_check: Option<ReadyCheck>,
    /// Present when `status` is `matched`.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matched: Option<MatchAddress>,
}

/// `GET /v1/matchmaking/tickets/{id}/explain`: why a ticket waits, and what would change it. All counts are of players,
/// the ticket's own among them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TicketExplanation {
    /// What keeps it most: `deactivated`, `in_match`, `starting`, `population`, `skill`, `latency`, `attributes`,
    /// `avoided` or `teams`.
    #[schema(example = "skill")]
    pub blocker: String,
    /// Since it was queued.
    pub waited_ms: u64,
    /// Players that a match needs by now.
    pub needed: usize,
    /// Players of this mode and build who wait.
    pub waiting: usize,
    /// Those whom the rules allow it to meet by now.
    pub within_reach: usize,
    /// Lost to skill alone.
    pub lost_to_skill: usize,
    /// Lost to distance alone.
    pub lost_to_latency: usize,
    /// Lost to attributes alone.
    pub lost_to_attributes: usize,
    /// Lost to avoid lists alone.
    pub lost_to_avoiding: usize,
    /// How far from its own the rating of others who waited as long may be.
    pub skill_range: f64,
    /// The longest way by now.
    pub latency_limit_ms: u16,
    /// What would help, the surest first.
    pub changes: Vec<TicketChange>,
    /// All of it for a human.
    #[schema(
        example = "4 of 8 players are within reach (4 beyond your rating ± 35.0); in 5 s 8 will be within reach"
    )]
    pub sentence: String,
}

/// What would bring more players into a ticket's reach.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TicketChange {
    /// `wait`, `region`, `attribute` or `activate`.
    #[schema(example = "wait")]
    pub change: String,
    /// For `wait`: so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// For `region`: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// For `region`: the party's way to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u16>,
    /// For `attribute`: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Players within reach then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub players: Option<usize>,
}

/// Where a match is played, and the key to its door.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct MatchAddress {
    /// A UUID.
    pub match_id: String,
    /// `host:port`, UDP.
    #[schema(example = "203.0.113.7:7000")]
    pub server_address: String,
    /// Where a browser opens its WebSocket (subprotocol `tickwright.datagrams.v1`); absent where servers take none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "wss://play.example.com/203.0.113.7/7000")]
    pub websocket_url: Option<String>,
    /// A netcode 1.02 connect token, 2048 bytes in standard base64.
    pub connect_token: String,
    /// Seconds until the token no longer opens a connection.
    pub expires_in_s: u64,
    /// The match runs already, and somebody who left it for good has left this seat.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub filled: bool,
}

/// `GET /v1/leaderboards`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BoardList {
    /// All boards of this deployment.
    pub boards: Vec<BoardInfo>,
}

/// A board, and where its season stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BoardInfo {
    /// How it works.
    pub rule: crate::leaderboards::rules::BoardRule,
    /// When the season of now began, milliseconds since 1970; 0 for a board without seasons.
    pub season: i64,
    /// When the next season begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_season_unix_ms: Option<i64>,
    /// Whether it takes scores now.
    pub open: bool,
}

/// `GET /v1/leaderboards/{board}` and the ways to look at a part of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Board {
    /// The board's name.
    #[schema(example = "arena-rating")]
    pub board: String,
    /// When the season began, milliseconds since 1970; 0 for a board without seasons.
    #[serde(default)]
    pub season: i64,
    /// The region, if the ranks are those of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Best first.
    pub entries: Vec<BoardEntry>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `GET /v1/leaderboards/{board}/seasons`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SeasonList {
    /// Newest first.
    pub seasons: Vec<Season>,
}

/// A season that is over.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Season {
    /// When it began, milliseconds since 1970: its name.
    pub season: i64,
    /// When its final order was archived.
    pub closed_unix_ms: i64,
    /// How many players had a score.
    pub members: u64,
}

/// `GET /v1/leaderboards/{board}/cohort`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Cohort {
    /// The cohort's number within the season, from 0.
    pub cohort: u64,
    /// How many players are in it so far; 100 at most.
    pub members: u64,
    /// Their scores; ranks are within the cohort.
    pub board: Board,
}

/// One row of a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BoardEntry {
    /// 1 is first. Of equal scores the one reached first ranks higher.
    pub rank: u64,
    /// Whose score.
    pub player_id: String,
    /// What others see.
    pub display_name: String,
    /// In the board's own unit.
    pub score: i64,
    /// When it was first reached, milliseconds since 1970; this is what decides between equal scores.
    #[serde(default)]
    pub reached_unix_ms: i64,
}

/// An error by RFC 9457, as `application/problem+json`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A stable address of the kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:tickwright:problem:invalid_token")]
    pub kind: String,
    /// The kind in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// Stable and meant for programs.
    #[schema(example = "invalid_token")]
    pub code: String,
    /// Also in the header `x-request-id`; quote it when asking for help.
    pub request_id: String,
}

macro_rules! redacted {
    ($($name:ident { $($shown:ident),* })+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))$(.field(stringify!($shown), &self.$shown))*.finish_non_exhaustive()
            }
        }
    )+};
}

// Secrets and tokens stay out of logs even where a whole request is printed.
redacted! {
    RegisterRequest { display_name }
    LoginRequest {}
    RefreshRequest {}
    Session { player_id, display_name, expires_in_s }
    Ticket { ticket_id, status, waited_ms, estimate_ms, reason, ready_check, matched }
    MatchAddress { match_id, server_address, websocket_url, expires_in_s, filled }
}
