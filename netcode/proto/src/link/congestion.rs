//! How much may leave now. Owns the send budget: a rate cap over everything, and a window over bulk (pieces
//! of long messages). Must never know what it lets through.
//!
//! The window grows by what is acknowledged (doubling each round trip at first, then by [`GROWTH`] packets
//! a round trip), and shrinks when the round trip shows a standing queue or when a round loses more than a
//! random path would. Losses up to [`LOSS_TOLERATED`] are taken for radio, not for congestion. This is the
//! place of the delay-gradient controller: it needs what `on_ack` and `on_loss` are told, and decides what
//! `may_send` and `bulk_room` answer.

use std::time::Duration;

use netcode_wire::Time;

use super::rtt::Rtt;

/// The send budget of one link.
#[derive(Debug)]
pub(super) struct Congestion {
    rate_bytes_per_s: u64,
    burst_bytes: u64,
    /// Bytes that may leave; below zero after a burst of what cannot wait.
    tokens: i64,
    refilled: Time,
    window: u64,
    is_starting: bool,
    round: Round,
}

/// What happened since the window was last judged.
#[derive(Debug, Default)]
struct Round {
    since: Time,
    acked: u64,
    lost: u64,
    rtt_least: Option<u64>,
}

impl Congestion {
    pub(super) fn new(rate_bytes_per_s: u64, burst_bytes: u64) -> Self {
        Self {
            rate_bytes_per_s,
            burst_bytes,
            tokens: burst_bytes.cast_signed(),
            refilled: Time::ZERO,
            window: WINDOW_INITIAL,
            is_starting: true,
            round: Round::default(),
        }
    }

    /// Books `bytes` that leave now.
    pub(super) fn on_send(&mut self, now: Time, bytes: usize) {
        self.tokens = self.tokens_at(now) - bytes as i64;
        self.refilled = now;
    }

    /// Books `bytes` of packets that the peer has. `sample` is the round trip of the newest of them.
    pub(super) fn on_ack(&mut self, now: Time, bytes: u64, sample: Option<u64>, was_full: bool, rtt: &Rtt) {
        self.round.acked += bytes;
        self.round.rtt_least = self.round.rtt_least.into_iter().chain(sample).min();
        if was_full {
            // Only a window that was used up has shown that the path carries it.
            let grown =
                if self.is_starting { bytes } else { GROWTH * PACKET_BYTES * bytes / self.window.max(1) };
            self.window = (self.window + grown).min(self.ceiling(rtt));
        }
        if super::span::since_us(now, self.round.since) >= rtt.smoothed_us() {
            self.judge(rtt);
            self.round = Round { since: now, ..Round::default() };
        }
    }

    /// Books `bytes` of packets that the path lost.
    pub(super) fn on_loss(&mut self, bytes: u64) {
        self.round.lost += bytes;
    }

    /// The path went silent: start again from little.
    pub(super) fn on_silence(&mut self) {
        self.window = WINDOW_MIN;
        self.is_starting = true;
    }

    /// Whether anything but an acknowledgement may leave.
    pub(super) fn may_send(&self, now: Time) -> bool {
        self.tokens_at(now) > 0
    }

    /// How many bytes of bulk may join `in_flight` bytes under way.
    pub(super) fn bulk_room(&self, now: Time, in_flight: u64) -> u64 {
        // Half of the burst stays for what cannot wait.
        let tokens = self.tokens_at(now) - (self.burst_bytes / 4).cast_signed();
        self.window.saturating_sub(in_flight).min(tokens.max(0).cast_unsigned())
    }

    /// Bytes of bulk that may be under way.
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    fn judge(&mut self, rtt: &Rtt) {
        let Round { acked, lost, rtt_least, .. } = self.round;
        let sent = acked + lost;
        let loses = sent >= ROUND_BYTES_MIN && lost as f64 > sent as f64 * LOSS_TOLERATED;
        // The least of a round ignores jitter: only a queue that never empties lifts it.
        let queue = rtt_least.unwrap_or_default().saturating_sub(rtt.min_us());
        let queues = queue > QUEUE_TOLERATED.max(rtt.min_us() / 2);
        if loses || queues {
            self.is_starting = false;
            let kept = if loses { 7 } else { 8 };
            self.window = (self.window * kept / 10).max(WINDOW_MIN);
        }
    }

    /// No more than the rate cap could ever fill.
    fn ceiling(&self, rtt: &Rtt) -> u64 {
        let round_trip = rtt.smoothed_us() + 34_000;
        (self.rate_bytes_per_s.saturating_mul(round_trip) / 500_000).max(WINDOW_INITIAL)
    }

    fn tokens_at(&self, now: Time) -> i64 {
        // Beyond a minute the bucket is full at any rate; the cap keeps the product small.
        let micros = now.since(self.refilled).min(Duration::from_secs(60)).as_micros() as u64;
        let gained = self.rate_bytes_per_s.min(1 << 40) * micros / 1_000_000;
        self.tokens.saturating_add(gained.cast_signed()).min(self.burst_bytes.cast_signed())
    }
}

/// Bytes of bulk under way before anything is known: 64 full packets, less than one burst.
const WINDOW_INITIAL: u64 = 64 * PACKET_BYTES;
/// The window never gets below this, or a lossy path could stop it.
const WINDOW_MIN: u64 = 8 * PACKET_BYTES;
/// A full packet's body.
const PACKET_BYTES: u64 = 1150;
/// Packets by which the window grows each round trip once started.
const GROWTH: u64 = 4;
/// Share of a round's bytes that may be lost without slowing down.
const LOSS_TOLERATED: f64 = 0.18;
/// Fewer bytes than these tell nothing about a loss rate.
const ROUND_BYTES_MIN: u64 = 24 * PACKET_BYTES;
/// A standing queue up to this long is taken for the peer's tick (60 Hz: 17 ms) and noise.
const QUEUE_TOLERATED: u64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn rtt(ms: u64) -> Rtt {
        let mut rtt = Rtt::default();
        rtt.sample(Time::ZERO, ms * 1000);
        rtt
    }

    #[test]
    fn the_rate_cap_holds_over_time() {
        let mut congestion = Congestion::new(100_000, 10_000);
        let mut sent = 0;
        for ms in 0..10_000 {
            let now = Time::from_millis(ms);
            while congestion.may_send(now) {
                congestion.on_send(now, 1000);
                sent += 1000;
            }
        }
        assert!((1_000_000..=1_012_000).contains(&sent), "{sent}");
    }

    #[test]
    fn the_window_doubles_then_yields_to_queues_and_to_heavy_loss() {
        let mut congestion = Congestion::new(1 << 30, 1 << 20);
        let path = rtt(50);
        let mut now = Time::ZERO;
        let mut round = |congestion: &mut Congestion, lost: u64, sample: u64| {
            let window = congestion.window();
            now += Duration::from_millis(50);
            congestion.on_loss(window * lost / 100);
            let sample = Some(sample * 1000);
            congestion.on_ack(now, window - window * lost / 100, sample, true, &path);
            congestion.window() as f64 / window as f64
        };
        assert!(round(&mut congestion, 5, 50) > 1.9);
        assert!(round(&mut congestion, 5, 60) > 1.9);
        assert!(round(&mut congestion, 40, 60) < 1.2);
        assert!(round(&mut congestion, 0, 120) < 0.9);
        let calm = round(&mut congestion, 5, 50);
        assert!((1.0..1.2).contains(&calm), "{calm}");
        congestion.on_silence();
        assert_eq!(congestion.window(), WINDOW_MIN);
    }

    #[test]
    fn an_unused_window_does_not_grow() {
        let mut congestion = Congestion::new(1 << 30, 1 << 20);
        for ms in 0..1000 {
            congestion.on_ack(Time::from_millis(ms), 500, None, false, &rtt(50));
        }
        assert_eq!(congestion.window(), WINDOW_INITIAL);
    }
}
