//! What the room tells of itself: the status document and the live view's feed. Reads everything, changes
//! nothing but its own marks.

use std::collections::BTreeMap;

use netcode_client::Game;
use netcode_proto::{ChannelId, Counters, ServerSession, channels};
use netcode_snapshot::Replicate;
use netcode_wire::Time;
use serde::Serialize;

use super::Room;
use super::players::{Player, SeatState};
use crate::builder::ServerGame;
use crate::game_match::Phase;
use crate::outbox::Outbox;
use crate::player::PlayerId;
use crate::scene::{Scene, Shape};
use crate::spec::format_match_id;
use crate::stage::Stage;
use crate::status::{ChannelStatus, PlayerStatus, Status};

/// The standard channels and what they are called in metrics.
const CHANNELS: [(ChannelId, &str); 6] = [
    (channels::STATE, "state"),
    (channels::CONTROL, "control"),
    (channels::GAME_UNRELIABLE, "game_unreliable"),
    (channels::GAME_SEQUENCED, "game_sequenced"),
    (channels::GAME_RELIABLE_UNORDERED, "game_reliable_unordered"),
    (channels::GAME_RELIABLE_ORDERED, "game_reliable_ordered"),
];

/// One picture for all viewers, and each client's lens to choose from.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveFrame {
    /// The JSON object without its closing brace.
    pub(crate) base: String,
    /// Player id as text, and the JSON object of that client.
    pub(crate) clients: Vec<(String, String)>,
}

impl LiveFrame {
    /// The picture with the chosen client's lens; the first one's when nobody is chosen or the chosen one is gone.
    pub(crate) fn json(&self, chosen: Option<&str>) -> String {
        let wanted = self.clients.iter().find(|(player, _)| Some(player.as_str()) == chosen);
        match wanted.or(self.clients.first()) {
            _ if self.base.is_empty() => "{}".into(),
            Some((_, client)) => format!("{},\"client\":{client}}}", self.base),
            None => format!("{}}}", self.base),
        }
    }
}

/// The feed's fields that do not depend on the viewer.
#[derive(Serialize)]
struct LiveBase<'a> {
    title: &'a str,
    hz: u16,
    t: u32,
    ms: f64,
    p99: f64,
    players: usize,
    down: f64,
    up: f64,
    phase: &'a str,
    left: Option<f64>,
    bounds: [f32; 2],
    shapes: Vec<Shape>,
}

/// The feed's fields of one client.
#[derive(Serialize)]
struct LiveClient<'a> {
    player: String,
    name: &'a str,
    connected: bool,
    ghost: Option<&'a Shape>,
    truth: Option<&'a Shape>,
    error: f32,
    rtt: f64,
    mispredictions: u64,
    late: u64,
    margin: f64,
    down: f64,
    up: f64,
}

impl<G: ServerGame> Room<G> {
    /// Takes a reading of every connection; call it a few times a second.
    pub(super) fn read_links(&mut self, now: Time) {
        for player in self.players.iter_mut() {
            let Some(client) = player.client() else { continue };
            if let Some(stats) = self.net.stats(client) {
                player.totals.read(stats, now.as_micros().saturating_sub(player.since.as_micros()));
            }
        }
    }

    /// Takes readings and turns them into rates over the last `seconds`.
    pub fn mark_rates(&mut self, now: Time, seconds: f64) {
        self.read_links(now);
        self.players.iter_mut().for_each(|player| player.totals.mark_rates(seconds));
        for player in self.players.iter().filter(|player| player.client().is_some()) {
            let link = &player.totals.link;
            self.meter.link(link.rtt_us, link.jitter_us, link.loss);
        }
    }

    /// The status at `now`.
    pub fn status(&mut self, now: Time) -> Status {
        self.read_links(now);
        let sums = self.players.sums();
        let (late_inputs_total, missed_inputs_total) = self.players.inputs();
        let (phase, left_s) = (self.phase(), self.left_s());
        let match_id = match self.current_match().id {
            0 => String::new(),
            id => format_match_id(id),
        };
        let queued = self.players.iter().map(|player| player.totals.link.queued_bytes as u64).sum();
        Status {
            name: self.name.clone(),
            phase: phase.name().into(),
            match_id,
            tick: self.tick.0,
            tick_hz: self.tick_hz,
            uptime_s: now.as_micros() as f64 / 1e6,
            left_s,
            tick_p50_ms: self.meter.tick_last_ms(),
            tick_us_counts: self.meter.tick_counts(),
            tick_p99_ms: self.meter.tick_ms(0.99),
            tick_max_ms: self.meter.tick_max_ms(),
            ticks: self.meter.ticks(),
            stage_p99_ms: Stage::ALL
                .iter()
                .map(|stage| (stage.name().to_owned(), self.meter.stage_ms(*stage, 0.99)))
                .collect(),
            lateness_p999_ms: self.meter.lateness_ms(0.999),
            players: self.players.iter().map(player_status).collect(),
            players_connected: self.players.connected(),
            disconnects: self.counts.disconnects,
            bytes_down_total: sums.bytes_down,
            bytes_up_total: sums.bytes_up,
            packets_down_total: sums.packets_down,
            packets_up_total: sums.packets_up,
            packets_lost_total: sums.packets_lost,
            late_inputs_total,
            missed_inputs_total,
            mispredictions_total: sums.mispredictions,
            reliable_messages_total: self.counts.reliable_messages,
            reliable_queued_bytes: queued,
            messages_dropped_total: self.counts.messages_dropped + self.world.resource::<Outbox>().dropped(),
            snapshots_total: self.counts.snapshots,
            snapshots_dense_total: self.counts.snapshots_dense,
            players_dense: self.players.dense(),
            entities_deferred_total: self.counts.entities_deferred,
            groups_torn_total: self.counts.groups_torn,
            views_refused_total: self.players.views_refused(),
            drops: self.drops(),
            matches_played: self.counts.matches_played,
            matches_voided: self.counts.matches_voided,
            void_reason: self.counts.void_reason.clone(),
            channels: self.channels(),
            figures: std::sync::Arc::new(self.meter.figures().clone()),
            ..Status::default()
        }
    }

    /// One picture of the live view as its viewers get it, with the lens of the `chosen` player (decimal id).
    pub fn live_json(&mut self, chosen: Option<&str>) -> String {
        self.live_frame().json(chosen)
    }

    /// The live view's picture at `now`.
    pub(crate) fn live_frame(&mut self) -> LiveFrame {
        let mut scene = match &self.live_view {
            Some(draw) => draw(&mut self.world),
            None => Scene::default(),
        };
        self.name_owners(&mut scene);
        let (down, up) = self
            .players
            .iter()
            .fold((0.0, 0.0), |(down, up), player| (down + player.totals.rate.0, up + player.totals.rate.1));
        let (phase, left) = (self.phase().name(), self.left_s());
        let base = LiveBase {
            title: &self.name,
            hz: self.tick_hz,
            t: self.tick.0,
            ms: self.meter.tick_last_ms(),
            p99: self.meter.tick_ms(0.99),
            players: self.players.connected(),
            down,
            up,
            phase,
            left,
            bounds: scene.bounds,
            shapes: scene.shapes,
        };
        let mut base = serde_json::to_string(&base).expect("plain data serialises");
        base.pop();
        let here = self.players.iter().filter(|player| player.state != SeatState::Left);
        LiveFrame { base, clients: here.map(live_client).collect() }
    }

    /// Shapes of what players predict say whose they are, so that a viewer can choose that client.
    fn name_owners(&self, scene: &mut Scene) {
        for (player, net_id) in &self.predicted_by {
            let shapes = scene.shapes.iter_mut();
            let mine = shapes.filter(|shape| shape.id == net_id.0 && shape.player.is_none());
            mine.for_each(|shape| shape.player = Some(player.0.to_string()));
        }
    }

    /// Compares what clients said they predicted with the truth of the same tick, once the server has it.
    pub(super) fn compare_telemetry(&mut self) {
        let Some(draw) = &self.ghost else { return };
        let Some(component) = self.schema.id_of::<G::State>() else { return };
        for player in self.players.iter_mut() {
            let Some(net_id) = player.owns else { continue };
            while player.telemetry.front().is_some_and(|front| front.tick.since(self.tick) <= 0) {
                let Some(account) = player.telemetry.pop_front() else { break };
                let frame = self.history.frame(account.tick);
                let Some(columns) = frame.and_then(|frame| frame.columns(net_id, component)) else {
                    continue;
                };
                // A prediction of the life before is no error: it was right until the server ended that life.
                if columns.len() != account.predicted.len() || !same_life::<G>(&account.predicted, columns) {
                    continue;
                }
                player.lens.ghost = Some(draw(&account.predicted));
                player.lens.truth = Some(draw(columns));
                player.lens.error = distance::<G>(&account.predicted, columns);
            }
        }
    }

    /// What waits on each channel.
    fn channels(&self) -> BTreeMap<String, ChannelStatus> {
        let mut all = BTreeMap::new();
        for (channel, name) in CHANNELS {
            let clients = self.players.iter().filter_map(Player::client);
            let waiting = clients.filter_map(|client| self.net.channel_stats(client, channel));
            let sum = waiting.fold(ChannelStatus::default(), |sum, stats| ChannelStatus {
                queued_messages: sum.queued_messages + stats.queued_messages,
                queued_bytes: sum.queued_bytes + stats.queued_bytes,
            });
            all.insert(name.to_owned(), sum);
        }
        all
    }

    fn left_s(&mut self) -> Option<f64> {
        let current = self.current_match();
        let ends_at = current.ends_at.filter(|_| current.phase == Phase::Running)?;
        Some(f64::from(ends_at.since(self.tick).max(0)) / f64::from(self.tick_hz))
    }

    fn drops(&self) -> BTreeMap<String, u64> {
        let ours = [
            ("seat_refused", self.counts.refused),
            ("message_malformed", self.counts.malformed),
            ("snapshot_unsent", self.counts.snapshots_dropped),
            ("input_too_early", self.players.iter().map(|player| player.ring.too_early()).sum()),
        ];
        let all = net_drops(&self.net.counters()).into_iter().chain(ours);
        all.map(|(cause, count)| (cause.to_owned(), count)).collect()
    }
}

/// What sessions threw away, by cause.
pub(crate) fn net_drops(net: &Counters) -> [(&'static str, u64); 11] {
    [
        ("datagram_malformed", net.dropped_malformed),
        ("datagram_unknown", net.dropped_unknown),
        ("datagram_replayed", net.dropped_replayed),
        ("datagram_forged", net.dropped_forged),
        ("datagram_unexpected", net.dropped_unexpected),
        ("request_invalid", net.requests_invalid),
        ("request_expired", net.requests_expired),
        ("request_reused", net.requests_reused),
        ("request_overflowed", net.requests_overflowed),
        ("denied", net.denied),
        ("outbox_overflowed", net.outbox_overflowed),
    ]
}

fn same_life<G: Game>(predicted: &[u32], truth: &[u32]) -> bool {
    G::same_life(&G::State::restore(predicted), &G::State::restore(truth))
}

fn distance<G: Game>(predicted: &[u32], truth: &[u32]) -> f32 {
    G::distance(&G::State::restore(predicted), &G::State::restore(truth))
}

fn player_status<I: Clone + Default>(player: &Player<I>) -> PlayerStatus {
    let sum = player.totals.sum();
    let PlayerId(id) = player.id;
    PlayerStatus {
        player: id.to_string(),
        name: player.name.clone(),
        connected: player.client().is_some(),
        rtt_ms: player.totals.link.rtt_us as f64 / 1000.0,
        jitter_ms: player.totals.link.jitter_us as f64 / 1000.0,
        loss: f64::from(player.totals.link.loss),
        connected_s: sum.connected_us as f64 / 1e6,
        bytes_down_s: player.totals.rate.0,
        bytes_up_s: player.totals.rate.1,
        bytes_down_total: sum.bytes_down,
        bytes_up_total: sum.bytes_up,
        mispredictions: sum.mispredictions,
        late_inputs: player.ring.late(),
        missed_inputs: player.ring.missed(),
        views_refused: player.views_refused(),
        suspicions: player.suspicions(),
        input_margin_ticks: player.margin_ticks,
    }
}

fn live_client<I: Clone + Default>(player: &Player<I>) -> (String, String) {
    let id = player.id.0.to_string();
    let client = LiveClient {
        player: id.clone(),
        name: &player.name,
        connected: player.client().is_some(),
        ghost: player.lens.ghost.as_ref(),
        truth: player.lens.truth.as_ref(),
        error: player.lens.error,
        rtt: player.totals.link.rtt_us as f64 / 1000.0,
        mispredictions: player.totals.sum().mispredictions,
        late: player.ring.late(),
        margin: player.margin_ticks,
        down: player.totals.rate.0,
        up: player.totals.rate.1,
    };
    (id, serde_json::to_string(&client).expect("plain data serialises"))
}
