//! The figures of a run: gathered while it goes, shown as one table, written as one JSON object.
//!
//! Distributions are kept as histograms (hdrhistogram, three significant digits) and only turned into quantiles at
//! the end, so that figures of many players and servers add up properly. Knows neither players nor servers.

use std::{fmt::Write as _, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::outcomes::{OutcomeFigures, Outcomes};

/// A distribution of non-negative values in the smallest unit that matters (µs, mm, ms).
pub type Distribution = Histogram<u64>;

/// An empty distribution of three significant digits that grows as needed.
pub fn distribution() -> Distribution {
    Distribution::new(3).expect("3 significant digits are within hdrhistogram's range")
}

/// What one player's stay in one match (or one swarm run) amounted to.
#[derive(Debug, Clone)]
pub struct Stay {
    /// Seconds connected.
    pub connected_s: f64,
    /// UDP payload bytes from the server.
    pub bytes_down: u64,
    /// UDP payload bytes to the server.
    pub bytes_up: u64,
    /// Own movement predicted wrongly.
    pub mispredictions: u64,
    /// Server teleports (death, respawn): expected, not mispredictions.
    pub teleports: u64,
    /// Sizes of corrections, millimetres.
    pub corrections_mm: Distribution,
    /// Round-trip times, microseconds.
    pub rtt_us: Distribution,
    /// One-way latency of reliable messages, microseconds.
    pub reliable_us: Distribution,
    /// Snapshot stalls: frames for which there was nothing to interpolate towards.
    pub interpolation_stalls: u64,
    /// Inputs that the server says came too late.
    pub late_inputs: u64,
}

impl Stay {
    /// A stay in which nothing has happened yet.
    pub fn new() -> Self {
        Self {
            connected_s: 0.0,
            bytes_down: 0,
            bytes_up: 0,
            mispredictions: 0,
            teleports: 0,
            corrections_mm: distribution(),
            rtt_us: distribution(),
            reliable_us: distribution(),
            interpolation_stalls: 0,
            late_inputs: 0,
        }
    }

    /// Adds another stay to this one.
    pub fn add(&mut self, other: &Self) {
        self.connected_s += other.connected_s;
        self.bytes_down += other.bytes_down;
        self.bytes_up += other.bytes_up;
        self.mispredictions += other.mispredictions;
        self.teleports += other.teleports;
        self.interpolation_stalls += other.interpolation_stalls;
        self.late_inputs += other.late_inputs;
        for (into, from) in [
            (&mut self.corrections_mm, &other.corrections_mm),
            (&mut self.rtt_us, &other.rtt_us),
            (&mut self.reliable_us, &other.reliable_us),
        ] {
            into.add(from).expect("distributions of this module grow as needed");
        }
    }
}

impl Default for Stay {
    fn default() -> Self {
        Self::new()
    }
}

/// One row of the leaderboard.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// 1 is best.
    pub rank: u64,
    /// Who.
    pub display_name: String,
    /// Their score.
    pub score: i64,
}

/// Everything gathered so far.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// Matches that ended with a result.
    pub matches_played: u64,
    /// Distinct players seen.
    pub players: u64,
    /// Stays of players who came as a party.
    pub stays_in_party: u64,
    /// Players who left a match that went on.
    pub left_early: u64,
    /// Seats of running matches that somebody else had left, and that were given to a player.
    pub seats_filled: u64,
    /// Round trips to regions that players measured before they queued, milliseconds.
    pub region_ms: Distribution,
    /// Sum over players' stays.
    pub stay: Stay,
    /// Time of a server tick, microseconds, over all servers.
    pub tick_us: Distribution,
    /// From queueing to a server address, milliseconds.
    pub queue_wait_ms: Distribution,
    /// What players were told of their matches.
    pub outcomes: Outcomes,
    /// Connections that ended although nobody wanted it.
    pub disconnects: u64,
    /// Top of the board.
    pub leaderboard: Vec<Row>,
    /// What went wrong and was survived, in plain words.
    pub incidents: Vec<String>,
}

impl Gathered {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            matches_played: 0,
            players: 0,
            stays_in_party: 0,
            left_early: 0,
            seats_filled: 0,
            region_ms: distribution(),
            stay: Stay::new(),
            tick_us: distribution(),
            queue_wait_ms: distribution(),
            outcomes: Outcomes::new(),
            disconnects: 0,
            leaderboard: Vec::new(),
            incidents: Vec::new(),
        }
    }

    /// Notes how far a player measured a region to be.
    pub fn measured(&mut self, ms: u16) {
        self.region_ms.record(u64::from(ms)).expect("distributions of this module grow as needed");
    }

    /// Turns what was gathered into figures. `ran` is the wall time of the run.
    pub fn figures(&self, ran: Duration) -> Figures {
        let seconds = self.stay.connected_s.max(f64::MIN_POSITIVE);
        let minutes = seconds / 60.0;
        let quantile = |d: &Distribution, q: f64, unit: f64| {
            if d.is_empty() { None } else { Some(round(d.value_at_quantile(q) as f64 / unit)) }
        };
        let per_second =
            |bytes: u64| if self.stay.connected_s > 0.0 { round(bytes as f64 / seconds) } else { 0.0 };
        let per_minute = |n: u64| if self.stay.connected_s > 0.0 { round(n as f64 / minutes) } else { 0.0 };
        Figures {
            seconds: round(ran.as_secs_f64()),
            matches_played: self.matches_played,
            players: self.players,
            stays_in_party: self.stays_in_party,
            left_early: self.left_early,
            seats_filled: self.seats_filled,
            region_p50_ms: quantile(&self.region_ms, 0.50, 1.0),
            player_minutes: round(self.stay.connected_s / 60.0),
            tick_p50_ms: quantile(&self.tick_us, 0.50, 1000.0),
            tick_p99_ms: quantile(&self.tick_us, 0.99, 1000.0),
            tick_max_ms: quantile(&self.tick_us, 1.0, 1000.0),
            bytes_down_per_player_s: per_second(self.stay.bytes_down),
            bytes_up_per_player_s: per_second(self.stay.bytes_up),
            rtt_p50_ms: quantile(&self.stay.rtt_us, 0.50, 1000.0),
            rtt_p99_ms: quantile(&self.stay.rtt_us, 0.99, 1000.0),
            mispredictions_per_player_minute: per_minute(self.stay.mispredictions),
            teleports_per_player_minute: per_minute(self.stay.teleports),
            correction_p50: quantile(&self.stay.corrections_mm, 0.50, 1000.0),
            correction_p99: quantile(&self.stay.corrections_mm, 0.99, 1000.0),
            reliable_p50_ms: quantile(&self.stay.reliable_us, 0.50, 1000.0),
            reliable_p99_ms: quantile(&self.stay.reliable_us, 0.99, 1000.0),
            queue_wait_p50_s: quantile(&self.queue_wait_ms, 0.50, 1000.0),
            queue_wait_p99_s: quantile(&self.queue_wait_ms, 0.99, 1000.0),
            late_inputs_per_player_minute: per_minute(self.stay.late_inputs),
            interpolation_stalls_per_player_minute: per_minute(self.stay.interpolation_stalls),
            outcomes: self.outcomes.figures(),
            disconnects: self.disconnects,
            leaderboard: self.leaderboard.clone(),
            incidents: self.incidents.clone(),
        }
    }
}

impl Default for Gathered {
    fn default() -> Self {
        Self::new()
    }
}

/// The final figures. `None` means that nothing was measured, which is not zero.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Wall time of the run.
    pub seconds: f64,
    /// Matches that ended with a result.
    pub matches_played: u64,
    /// Distinct players.
    pub players: u64,
    /// Times that a player came to a match as one of a party.
    pub stays_in_party: u64,
    /// Times that a player left a match that went on.
    pub left_early: u64,
    /// Seats of running matches that others had left and that were filled.
    pub seats_filled: u64,
    /// Round trip to a region as players measured it before they queued, median.
    pub region_p50_ms: Option<f64>,
    /// Sum of the players' connected time.
    pub player_minutes: f64,
    /// Server tick, median over all ticks of all servers.
    pub tick_p50_ms: Option<f64>,
    /// Server tick, 99th percentile.
    pub tick_p99_ms: Option<f64>,
    /// Server tick, longest.
    pub tick_max_ms: Option<f64>,
    /// UDP payload to a connected player.
    pub bytes_down_per_player_s: f64,
    /// UDP payload from a connected player.
    pub bytes_up_per_player_s: f64,
    /// Round-trip time as the clients measured it.
    pub rtt_p50_ms: Option<f64>,
    /// Likewise, 99th percentile.
    pub rtt_p99_ms: Option<f64>,
    /// Own movement predicted wrongly, per minute connected.
    pub mispredictions_per_player_minute: f64,
    /// Deaths and respawns: the server moves the player on purpose.
    pub teleports_per_player_minute: f64,
    /// Size of a correction, metres, median.
    pub correction_p50: Option<f64>,
    /// Size of a correction, metres, 99th percentile.
    pub correction_p99: Option<f64>,
    /// One-way latency of a reliable message, median.
    pub reliable_p50_ms: Option<f64>,
    /// One-way latency of a reliable message, 99th percentile.
    pub reliable_p99_ms: Option<f64>,
    /// From queueing to a server address, median.
    pub queue_wait_p50_s: Option<f64>,
    /// From queueing to a server address, 99th percentile.
    pub queue_wait_p99_s: Option<f64>,
    /// Inputs that came too late for their tick, as the server counted.
    pub late_inputs_per_player_minute: f64,
    /// Moments without a snapshot to interpolate towards.
    pub interpolation_stalls_per_player_minute: f64,
    /// What players were told of their matches.
    #[serde(flatten)]
    pub outcomes: OutcomeFigures,
    /// Connections that ended although nobody wanted it.
    pub disconnects: u64,
    /// Top ten.
    pub leaderboard: Vec<Row>,
    /// What went wrong and was survived.
    pub incidents: Vec<String>,
}

impl Figures {
    /// The table that ends a run.
    pub fn table(&self) -> String {
        let ms = |v: Option<f64>| v.map_or_else(|| "-".into(), |v| format!("{v:.2} ms"));
        let metres = |v: Option<f64>| v.map_or_else(|| "none".into(), |v| format!("{v:.3} m"));
        let seconds = |v: Option<f64>| v.map_or_else(|| "-".into(), |v| format!("{v:.2} s"));
        let kilobytes = |v: f64| format!("{:.2} kB/s", v / 1000.0);
        let [rating, earned, achievements, heard] = self.outcomes.rows();
        let rows = [
            ("matches played", self.matches_played.to_string()),
            ("players", self.players.to_string()),
            ("came as a party", self.stays_in_party.to_string()),
            ("left a match that went on", self.left_early.to_string()),
            ("seats filled in running matches", self.seats_filled.to_string()),
            ("region measured p50", ms(self.region_p50_ms)),
            ("time connected, all players", format!("{:.1} min", self.player_minutes)),
            (
                "server tick p50 / p99 / max",
                format!("{} / {} / {}", ms(self.tick_p50_ms), ms(self.tick_p99_ms), ms(self.tick_max_ms)),
            ),
            ("down per player", kilobytes(self.bytes_down_per_player_s)),
            ("up per player", kilobytes(self.bytes_up_per_player_s)),
            ("round trip p50 / p99", format!("{} / {}", ms(self.rtt_p50_ms), ms(self.rtt_p99_ms))),
            ("mispredictions", format!("{:.2} per player-minute", self.mispredictions_per_player_minute)),
            (
                "correction p50 / p99",
                format!("{} / {}", metres(self.correction_p50), metres(self.correction_p99)),
            ),
            (
                "reliable message p50 / p99",
                format!("{} / {}", ms(self.reliable_p50_ms), ms(self.reliable_p99_ms)),
            ),
            (
                "queue wait p50 / p99",
                format!("{} / {}", seconds(self.queue_wait_p50_s), seconds(self.queue_wait_p99_s)),
            ),
            rating,
            earned,
            achievements,
            heard,
            ("late inputs", format!("{:.2} per player-minute", self.late_inputs_per_player_minute)),
            ("disconnects", self.disconnects.to_string()),
        ];
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        // Writing to a String cannot fail.
        for (name, value) in rows {
            let _infallible = writeln!(text, "  {name:width$}  {value}");
        }
        if !self.leaderboard.is_empty() {
            let _infallible = writeln!(text, "\n  leaderboard");
        }
        for row in &self.leaderboard {
            let _infallible = writeln!(text, "  {:>4}  {:24} {:>8}", row.rank, row.display_name, row.score);
        }
        for incident in &self.incidents {
            let _infallible = writeln!(text, "  survived: {incident}");
        }
        text
    }
}

/// Three decimals: more would be noise.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stay(seconds: f64, down: u64) -> Stay {
        let mut stay = Stay { connected_s: seconds, bytes_down: down, ..Stay::new() };
        stay.rtt_us.record(60_000).unwrap();
        stay
    }

    #[test]
    fn figures_are_per_connected_second_and_not_per_player() {
        let mut gathered = Gathered::new();
        gathered.stay.add(&stay(10.0, 1000));
        gathered.stay.add(&stay(30.0, 3000));
        let figures = gathered.figures(Duration::from_secs(60));
        assert_eq!(figures.bytes_down_per_player_s, 100.0);
        assert_eq!(figures.rtt_p50_ms.map(f64::round), Some(60.0));
    }

    #[test]
    fn what_was_not_measured_is_null_and_never_zero() {
        let figures = Gathered::new().figures(Duration::from_secs(1));
        let json = serde_json::to_value(&figures).unwrap();
        assert!(json["tick_p50_ms"].is_null());
        assert!(json["rtt_p50_ms"].is_null());
        assert_eq!(json["disconnects"], 0);
        assert!(!figures.table().contains("NaN"));
    }

    #[test]
    fn the_json_has_every_promised_field() {
        let json = serde_json::to_value(Gathered::new().figures(Duration::from_secs(1))).unwrap();
        for field in [
            "matches_played",
            "players",
            "stays_in_party",
            "tick_p50_ms",
            "tick_p99_ms",
            "bytes_down_per_player_s",
            "bytes_up_per_player_s",
            "rtt_p50_ms",
            "mispredictions_per_player_minute",
            "correction_p99",
            "reliable_p50_ms",
            "reliable_p99_ms",
            "queue_wait_p50_s",
            "results_heard",
            "rating_change_mean",
            "level_max",
            "disconnects",
            "leaderboard",
        ] {
            assert!(json.get(field).is_some(), "{field} is missing");
        }
    }
}
