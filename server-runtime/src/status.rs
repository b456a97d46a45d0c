//! What a server says about itself: one document for `/status.json`, for the line printed at exit, and the
//! source of `/metrics`. Plain data; must never know how a figure is measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::meter::Figures;
use crate::suspicion::Suspicions;

/// A server's state and figures. Counts are over the process's whole life; `_s` rates are over the last second.
/// At exit it is printed on standard output as `{"final":{…}}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The game's name.
    pub name: String,
    /// `idle`, `waiting`, `running`, `ended` or `closed`.
    pub phase: String,
    /// UUID text; empty without a match.
    pub match_id: String,
    /// The last simulated tick.
    pub tick: u32,
    /// Ticks a second.
    pub tick_hz: u16,
    /// Seconds since the process started serving.
    pub uptime_s: f64,
    /// Seconds of play left; `None` without an end.
    pub left_s: Option<f64>,
    /// Median time a tick takes, milliseconds.
    pub tick_p50_ms: f64,
    /// 99th percentile of the time a tick takes.
    pub tick_p99_ms: f64,
    /// Longest tick.
    pub tick_max_ms: f64,
    /// Ticks measured.
    pub ticks: u64,
    /// How many ticks took how many microseconds (two significant digits), ascending: what adds up over servers.
    pub tick_us_counts: Vec<(u64, u64)>,
    /// 99th percentile of each stage, by the stage's name.
    pub stage_p99_ms: BTreeMap<String, f64>,
    /// 99.9th percentile of how late ticks start.
    pub lateness_p999_ms: f64,
    /// Deadlines that passed before their tick could start.
    pub overruns: u64,
    /// Of those, ticks given up.
    pub skipped_ticks: u64,
    /// Everyone who ever had a seat.
    pub players: Vec<PlayerStatus>,
    /// Players connected now.
    pub players_connected: usize,
    /// Connections that ended other than by the player's or the match's wish.
    pub disconnects: u64,
    /// Datagram bytes sent to players.
    pub bytes_down_total: u64,
    /// Datagram bytes received from players.
    pub bytes_up_total: u64,
    /// Datagrams sent to players.
    pub packets_down_total: u64,
    /// Datagrams received from players.
    pub packets_up_total: u64,
    /// Datagrams sent to players that were lost.
    pub packets_lost_total: u64,
    /// Inputs that came after their tick.
    pub late_inputs_total: u64,
    /// Ticks simulated without a player's own input.
    pub missed_inputs_total: u64,
    /// Corrections of own movement that clients reported.
    pub mispredictions_total: u64,
    /// Messages sent on reliable channels.
    pub reliable_messages_total: u64,
    /// Bytes waiting in all reliable queues now.
    pub reliable_queued_bytes: u64,
    /// Messages dropped because a queue was full.
    pub messages_dropped_total: u64,
    /// Snapshots sent.
    pub snapshots_total: u64,
    /// Of those, by the dense codec.
    pub snapshots_dense_total: u64,
    /// Players connected whose snapshots the dense codec writes.
    pub players_dense: usize,
    /// Entities that had news for a player and did not fit into that tick's snapshot, ticks and players added up.
    pub entities_deferred_total: u64,
    /// Groups of entities that were too long for any message and came one by one.
    pub groups_torn_total: u64,
    /// Views that clients claimed and cannot have had.
    pub views_refused_total: u64,
    /// What was thrown away at the border, by cause.
    pub drops: BTreeMap<String, u64>,
    /// Matches played to their end.
    pub matches_played: u64,
    /// Matches given up, with the last reason in `void_reason`.
    pub matches_voided: u64,
    /// Why the last match was given up.
    pub void_reason: Option<String>,
    /// What waits on each channel, all connected players together, by the channel's name.
    pub channels: BTreeMap<String, ChannelStatus>,
    /// The histograms of `/metrics`.
    #[serde(skip)]
    pub(crate) figures: std::sync::Arc<Figures>,
    /// What became of the last result: `submitted`, `duplicate`, `refused`, `unsent: …`, or `none`.
    pub result: String,
    /// Matches that may be played at once: 1 unless `--rooms` says more.
    pub rooms_max: usize,
    /// With more than one: the rooms in use. Everything above is about all rooms together then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<RoomStatus>,
}

/// One room's part of [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoomStatus {
    /// Its number, below `rooms_max`; taken again by the next match.
    pub room: usize,
    /// The thread it ticks on.
    pub worker: usize,
    /// UUID text.
    pub match_id: String,
    /// `waiting`, `running` or `ended`.
    pub phase: String,
    /// Players connected now.
    pub players_connected: usize,
    /// The last simulated tick.
    pub tick: u32,
    /// 99th percentile of the time a tick takes, milliseconds.
    pub tick_p99_ms: f64,
    /// 99.9th percentile of how late ticks start.
    pub lateness_p999_ms: f64,
    /// Deadlines that passed before their tick could start.
    pub overruns: u64,
    /// Of those, ticks given up.
    pub skipped_ticks: u64,
}

/// One channel's part of [`Status`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelStatus {
    /// Messages queued, or sent and not acknowledged.
    pub queued_messages: usize,
    /// Their bytes.
    pub queued_bytes: usize,
}

/// One player's part of [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlayerStatus {
    /// Account id as decimal text (JavaScript cannot hold 64 bits).
    pub player: String,
    /// Display name.
    pub name: String,
    /// Has a connection now.
    pub connected: bool,
    /// Smoothed round-trip time of the last connection, milliseconds.
    pub rtt_ms: f64,
    /// Smoothed deviation of the round-trip time, milliseconds.
    pub jitter_ms: f64,
    /// Lost datagrams down, 0..=1.
    pub loss: f64,
    /// Seconds connected in all.
    pub connected_s: f64,
    /// Bytes a second to the player over the last second.
    pub bytes_down_s: f64,
    /// Bytes a second from the player over the last second.
    pub bytes_up_s: f64,
    /// Bytes to the player in all.
    pub bytes_down_total: u64,
    /// Bytes from the player in all, without the sealing around each datagram (about 20 bytes).
    pub bytes_up_total: u64,
    /// Corrections of own movement, as the client reports them.
    pub mispredictions: u64,
    /// Inputs that came after their tick.
    pub late_inputs: u64,
    /// Ticks simulated without the player's own input.
    pub missed_inputs: u64,
    /// Views that the player's client cannot have had: a moment it was never sent, or one too old for what it held. Shots
    /// gain nothing by them.
    pub views_refused: u64,
    /// What the player did that honest clients do not, or seldom; nothing that was not seen.
    pub suspicions: Suspicions,
    /// How early the newest input came, in ticks, smoothed; negative is late.
    pub input_margin_ticks: f64,
}
