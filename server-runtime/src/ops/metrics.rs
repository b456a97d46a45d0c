//! The status as Prometheus text (exposition format 0.0.4). Owns the metrics' names: dashboards and alerts rely
//! on them.

use std::fmt::Write;

use operate::exposition::{self, Buckets, Kind, process};

use super::reload::Reloads;
use crate::meter::Figures;
use crate::stage::Stage;
use crate::status::{RoomStatus, Status};

/// All metrics.
pub(super) fn render(status: &Status, reloads: Reloads, admin_refused: u64, agones_state: &str) -> String {
    let mut page = Page { text: String::with_capacity(4096) };
    page.one("tickwright_up_seconds", "gauge", "Seconds since the process began to serve.", status.uptime_s);
    page.one("tickwright_tick", "gauge", "The last simulated tick.", status.tick);
    page.one("tickwright_tick_rate_hz", "gauge", "Ticks a second, nominal.", status.tick_hz);
    page.one("tickwright_ticks_total", "counter", "Ticks simulated.", status.ticks);
    page.tick_times(status);
    page.one("tickwright_tick_overruns_total", "counter", "Deadlines missed.", status.overruns);
    page.one(
        "tickwright_ticks_skipped_total",
        "counter",
        "Ticks given up after overruns.",
        status.skipped_ticks,
    );
    page.one("tickwright_players", "gauge", "Players connected.", status.players_connected);
    page.one("tickwright_disconnects_total", "counter", "Connections lost unwanted.", status.disconnects);
    page.one("tickwright_bytes_down_total", "counter", "Bytes to players.", status.bytes_down_total);
    page.one("tickwright_bytes_up_total", "counter", "Bytes from players.", status.bytes_up_total);
    page.one("tickwright_packets_down_total", "counter", "Datagrams to players.", status.packets_down_total);
    page.one("tickwright_packets_up_total", "counter", "Datagrams from players.", status.packets_up_total);
    page.one(
        "tickwright_packets_lost_total",
        "counter",
        "Datagrams down that were lost.",
        status.packets_lost_total,
    );
    page.one("tickwright_late_inputs_total", "counter", "Inputs after their tick.", status.late_inputs_total);
    page.one("tickwright_missed_inputs_total", "counter", "Ticks without input.", status.missed_inputs_total);
    let help = "Corrections of own movement that clients reported.";
    page.one("tickwright_mispredictions_total", "counter", help, status.mispredictions_total);
    let help = "Messages sent on reliable channels.";
    page.one("tickwright_reliable_messages_total", "counter", help, status.reliable_messages_total);
    let help = "Bytes waiting in reliable queues.";
    page.one("tickwright_reliable_queued_bytes", "gauge", help, status.reliable_queued_bytes);
    let help = "Messages dropped because a queue was full.";
    page.one("tickwright_messages_dropped_total", "counter", help, status.messages_dropped_total);
    page.one("tickwright_snapshots_total", "counter", "Snapshots sent.", status.snapshots_total);
    let help = "Snapshots sent that the dense codec wrote.";
    page.one("tickwright_snapshots_dense_total", "counter", help, status.snapshots_dense_total);
    let help = "Players whose snapshots the dense codec writes.";
    page.one("tickwright_players_dense", "gauge", help, status.players_dense);
    let help = "Entities whose news had to wait for a later snapshot.";
    page.one("tickwright_entities_deferred_total", "counter", help, status.entities_deferred_total);
    let help = "Groups of entities that no message was long enough for, and that came one by one.";
    page.one("tickwright_groups_torn_total", "counter", help, status.groups_torn_total);
    let help = "Views that clients claimed and cannot have had.";
    page.one("tickwright_views_refused_total", "counter", help, status.views_refused_total);
    page.one("tickwright_matches_played_total", "counter", "Matches played out.", status.matches_played);
    page.one("tickwright_matches_voided_total", "counter", "Matches given up.", status.matches_voided);
    page.head("tickwright_drops_total", "counter", "What was thrown away at the border, by cause.");
    for (cause, count) in &status.drops {
        page.line("tickwright_drops_total", &format!("cause=\"{cause}\""), count);
    }
    page.rtt(status);
    page.rooms(status);
    page.head("tickwright_phase", "gauge", "1 for the phase that the match is in.");
    for phase in ["idle", "waiting", "running", "ended", "closed"] {
        let here = u8::from(status.phase == phase);
        page.line("tickwright_phase", &format!("phase=\"{phase}\""), here);
    }
    page.agones(agones_state);
    page.operators(reloads, admin_refused);
    page.histograms(&status.figures);
    page.channels(status);
    process::write(&mut page.text);
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{name}{{{labels}}} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, kind, help);
        let _ = writeln!(self.text, "{name} {value}");
    }

    fn tick_times(&mut self, status: &Status) {
        let name = "tickwright_tick_seconds";
        self.head(name, "gauge", "Time a tick takes, over the process's life.");
        let whole = [("0.5", status.tick_p50_ms), ("0.99", status.tick_p99_ms), ("1", status.tick_max_ms)];
        for (quantile, ms) in whole {
            self.line(name, &format!("quantile=\"{quantile}\""), ms / 1000.0);
        }
        let name = "tickwright_stage_seconds";
        self.head(name, "gauge", "Time a stage takes, 99th percentile.");
        for (stage, ms) in &status.stage_p99_ms {
            self.line(name, &format!("stage=\"{stage}\",quantile=\"0.99\""), ms / 1000.0);
        }
        let name = "tickwright_tick_lateness_seconds";
        self.head(name, "gauge", "How late ticks start, 99.9th percentile.");
        self.line(name, "quantile=\"0.999\"", status.lateness_p999_ms / 1000.0);
    }

    /// Distributions: what quantiles of one server cannot be added up to.
    fn histograms(&mut self, figures: &Figures) {
        let mut page = exposition::Page::new();
        let mut one = |name: &str, help: &str, buckets: &Buckets| {
            page.family(name, Kind::Histogram, help);
            page.histogram(name, &[], buckets);
        };
        one("tickwright_tick_duration_seconds", "Time a tick takes.", &figures.tick);
        one("tickwright_tick_late_seconds", "How late ticks start.", &figures.lateness);
        let help = "Round-trip times, a reading a second for each connected player.";
        one("tickwright_link_rtt_seconds", help, &figures.rtt);
        let help = "Deviation of round-trip times, a reading a second for each connected player.";
        one("tickwright_link_jitter_seconds", help, &figures.jitter);
        let help = "Share of datagrams down lost lately, a reading a second for each connected player.";
        one("tickwright_link_loss_ratio", help, &figures.loss);
        let name = "tickwright_stage_duration_seconds";
        page.family(name, Kind::Histogram, "Time a stage of a tick takes.");
        for (stage, buckets) in Stage::ALL.iter().zip(&figures.stages) {
            page.histogram(name, &[("stage", stage.name())], buckets);
        }
        self.text.push_str(&page.finish());
    }

    fn channels(&mut self, status: &Status) {
        let name = "tickwright_channel_queued_messages";
        self.head(name, "gauge", "Messages queued or not acknowledged, by channel, all players together.");
        for (channel, waiting) in &status.channels {
            self.line(name, &format!("channel=\"{channel}\""), waiting.queued_messages);
        }
        let name = "tickwright_channel_queued_bytes";
        self.head(name, "gauge", "Their bytes.");
        for (channel, waiting) in &status.channels {
            self.line(name, &format!("channel=\"{channel}\""), waiting.queued_bytes);
        }
    }

    fn agones(&mut self, current: &str) {
        let name = "tickwright_agones_state";
        self.head(name, "gauge", "1 for the state that the server has with Agones; all 0 without Agones.");
        for state in ["Scheduled", "RequestReady", "Ready", "Reserved", "Allocated", "Unhealthy", "Shutdown"]
        {
            self.line(name, &format!("state=\"{state}\""), u8::from(state == current));
        }
    }

    fn operators(&mut self, reloads: Reloads, admin_refused: u64) {
        let name = "tickwright_config_reloads_total";
        self.head(name, "counter", "How often the settings file was read again, by what came of it.");
        self.line(name, "outcome=\"applied\"", reloads.applied);
        self.line(name, "outcome=\"refused\"", reloads.refused);
        let help = "1 while the settings file is not what is in force: the last reading was refused.";
        self.one("tickwright_config_stale", "gauge", help, u8::from(reloads.last_refused));
        let help = "Requests that the admin port turned away.";
        self.one("tickwright_admin_refused_total", "counter", help, admin_refused);
    }

    /// Rooms by their number, of which there are no more than `--rooms` says: a match's id would be a line a match.
    fn rooms(&mut self, status: &Status) {
        let alone = ["waiting", "running", "ended"].contains(&status.phase.as_str());
        let used = if status.rooms_max > 1 { status.rooms.len() } else { usize::from(alone) };
        self.one("tickwright_rooms", "gauge", "Rooms in use.", used);
        self.one("tickwright_rooms_max", "gauge", "Rooms that may be in use at once.", status.rooms_max);
        let mut lines = |name: &str, kind: &str, help: &str, value: &dyn Fn(&RoomStatus) -> f64| {
            self.head(name, kind, help);
            for room in &status.rooms {
                self.line(name, &format!("room=\"{}\"", room.room), value(room));
            }
        };
        let help = "Players connected, by room.";
        lines("tickwright_room_players", "gauge", help, &|room| room.players_connected as f64);
        let help = "Time a tick takes, 99th percentile, by room.";
        lines("tickwright_room_tick_p99_seconds", "gauge", help, &|room| room.tick_p99_ms / 1000.0);
        let help = "How late ticks start, 99.9th percentile, by room.";
        lines("tickwright_room_tick_lateness_p999_seconds", "gauge", help, &|room| {
            room.lateness_p999_ms / 1000.0
        });
        let help = "Deadlines that the room's present match missed.";
        lines("tickwright_room_tick_overruns", "gauge", help, &|room| room.overruns as f64);
        let help = "Ticks given up after overruns in the room's present match.";
        lines("tickwright_room_ticks_skipped", "gauge", help, &|room| room.skipped_ticks as f64);
    }

    /// Round trips of the connected as quantiles: one line a player would be too many.
    fn rtt(&mut self, status: &Status) {
        let name = "tickwright_rtt_seconds";
        self.head(name, "gauge", "Round-trip times of connected players.");
        let here = status.players.iter().filter(|player| player.connected && player.rtt_ms > 0.0);
        let mut rtt_ms: Vec<f64> = here.map(|player| player.rtt_ms).collect();
        rtt_ms.sort_by(f64::total_cmp);
        for (quantile, share) in [("0.5", 0.5), ("0.99", 0.99), ("1", 1.0)] {
            let place = ((rtt_ms.len() as f64 * share).ceil() as usize).max(1) - 1;
            if let Some(ms) = rtt_ms.get(place) {
                self.line(name, &format!("quantile=\"{quantile}\""), ms / 1000.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::PlayerStatus;

    #[test]
    fn every_line_is_prometheus_text() {
        let player = |rtt_ms| PlayerStatus { connected: true, rtt_ms, ..PlayerStatus::default() };
        let mut status = Status { phase: "running".into(), tick_p99_ms: 2.5, ..Status::default() };
        status.players = vec![player(40.0), player(60.0), player(50.0)];
        status.drops.insert("denied".into(), 3);
        let text = render(&status, Reloads::default(), 0, "Ready");
        let families = exposition::parse(&text).expect("what a scraper reads");
        let ours = |name: &String| name.starts_with("tickwright_") || name.starts_with("process_");
        assert!(families.len() > 40 && families.keys().all(ours), "{:?}", families.keys());
        let finite =
            |family: &exposition::Family| family.samples.iter().all(|sample| sample.value.is_finite());
        assert!(families.values().all(|family| finite(family) && !family.help.is_empty()));
        assert_eq!(families["tickwright_stage_duration_seconds"].samples.len(), 5 * 18);
        assert!(text.contains("tickwright_tick_seconds{quantile=\"0.99\"} 0.0025\n"));
        assert!(text.contains("tickwright_rtt_seconds{quantile=\"0.5\"} 0.05\n"));
        assert!(text.contains("tickwright_drops_total{cause=\"denied\"} 3\n"));
        assert!(text.contains("tickwright_agones_state{state=\"Ready\"} 1\n"));
        assert!(text.contains("tickwright_phase{phase=\"running\"} 1\n"));
    }
}
