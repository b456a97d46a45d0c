//! How much may leave. Owns the send budget: a rate that everything shares, and how much of bulk (pieces of long
//! messages) may be under way. Must never know what it lets through.
//!
//! The rate is governed as in Google Congestion Control (Carlucci, De Cicco, Holmer, Mascolo: "Analysis and Design
//! of the Google Congestion Control for Web Real-time Communication", MMSys 2016), on acknowledgements alone:
//!
//! - *Delay* (§4.2): the path is overused when the standing round trip (the least of the last few samples, which
//!   ignores jitter; Arun, Balakrishnan: "Copa", NSDI 2018, §2.1) exceeds the least known one by a threshold. The
//!   rate falls to 0.85 of what was delivered meanwhile, and rises again only when the queue has drained.
//! - *Otherwise* it rises by 8 % a response time (round trip + 100 ms), up to 1.5 × what is delivered, and only
//!   while it is used up: by bulk that had to wait or, without bulk, to three quarters.
//! - *Marks* (ECN): a round in which a router marked anything lowers the rate to 0.85 of what was used: once a round trip
//!   (RFC 3168 §6.1.2), and by less than a loss would, because a queue that marks is a short one (ABE, RFC 8511 §3.1).
//!   Marks that go on in every packet while the rate is at its floor and no queue stands answer nothing that we do: they
//!   are not believed any more (as RFC 9000 §13.4.2 has an end disable ECN).
//! - *Loss* (§4.3): a round that loses more than [`LOSS_TOLERATED`] of its bytes lowers the rate by half of the
//!   share that it lost. Less is taken for radio: games are played over it.
//!
//! Unlike there, a connection starts by doubling a window each round trip until the first sign of overuse: game
//! links are idle at first, and a map must not take seconds. A queue that outlives several reductions is not ours:
//! its delay becomes the new base, or a detour of the route would starve the link.
//!
//! Longer than 400 lines: the signs are judged in one place, because each means something only beside the others.
//!
//! Within the rate small and unreliable traffic goes first; bulk takes what is left, and at least
//! `bulk_share_percent`. What is left to unreliable traffic, `unreliable_bytes` tells.

use netcode_wire::Time;

use super::bucket::{Bucket, Flow};
use super::config::LinkConfig;
use super::rtt::Rtt;
use super::span::since_us;

/// The send budget of one link.
#[derive(Debug)]
pub(super) struct Congestion {
    limits: Limits,
    rate: u64,
    phase: Phase,
    /// Bytes of bulk that may be under way.
    window: u64,
    /// Time between flushes.
    interval_us: u32,
    /// Everything, at the rate, with a burst.
    all: Bucket,
    /// Everything, at the rate, evenly: what is left of it is bulk's.
    pace: Bucket,
    /// Bulk alone, at its guaranteed share.
    bulk: Bucket,
    standing: Standing,
    round: Round,
    acked_at: Time,
    delivered: u64,
    /// What was delivered when the rate last fell: what the path carries.
    capacity: u64,
    /// Rounds in which a fall has not shown its effect yet.
    calm: u8,
    /// Rounds of overuse in a row.
    overused: u8,
    /// Packets that a router marked, not answered yet.
    marked: u32,
    /// Rounds in a row in which marks answered nothing.
    futile: u8,
}

/// What the configuration says, in bytes a second and bytes.
#[derive(Debug)]
struct Limits {
    floor: u64,
    ceiling: u64,
    burst: u64,
    bulk_percent: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Doubling, for want of any knowledge.
    Starting,
    Rising,
    /// Waiting for a queue to drain.
    Draining,
}

/// What happened since the rate was last judged.
#[derive(Debug, Default)]
struct Round {
    since: Time,
    acked: u64,
    packets: u32,
    lost: u64,
    was_full: bool,
    has_bulk: bool,
}

impl Congestion {
    pub(super) fn new(config: &LinkConfig) -> Self {
        let ceiling = config.rate_bytes_per_s.clamp(1, 1 << 40);
        let burst = config.burst_bytes.min(1 << 40);
        let floor = config.rate_floor_bytes_per_s.min(ceiling);
        let bulk_percent = u64::from(config.bulk_share_percent.min(100));
        let mut new = Self {
            limits: Limits { floor, ceiling, burst, bulk_percent },
            rate: ceiling,
            phase: Phase::Starting,
            window: WINDOW_INITIAL,
            interval_us: 0,
            all: Bucket::full(burst),
            pace: Bucket::full(0),
            bulk: Bucket::full(0),
            standing: Standing::default(),
            round: Round::default(),
            acked_at: Time::ZERO,
            delivered: 0,
            capacity: 0,
            calm: 0,
            overused: 0,
            marked: 0,
            futile: 0,
        };
        new.follow_window(&Rtt::default());
        new
    }

    /// Another path: nothing is known. What the buckets still owe stays owed.
    pub(super) fn restart(&mut self, now: Time) {
        self.phase = Phase::Starting;
        self.window = WINDOW_INITIAL;
        (self.standing, self.round) = (Standing::default(), Round { since: now, ..Round::default() });
        (self.delivered, self.capacity, self.calm, self.overused) = (0, 0, 0, 0);
        (self.marked, self.futile) = (0, 0);
        self.follow_window(&Rtt::default());
    }

    /// A flush begins, `interval_us` after the one before.
    pub(super) fn on_flush(&mut self, interval_us: u64) {
        self.interval_us = interval_us.min(INTERVAL_MAX_US) as u32;
    }

    /// Books `bytes` that leave now, `bulk_bytes` of which are pieces.
    pub(super) fn on_send(&mut self, now: Time, bytes: usize, bulk_bytes: usize) {
        let (all, even, share) = (self.all_flow(), self.even_flow(), self.bulk_flow());
        self.all.take(now, all, bytes as u64);
        self.pace.take(now, even, bytes as u64);
        self.bulk.take(now, share, bulk_bytes as u64);
        self.round.has_bulk |= bulk_bytes > 0;
    }

    /// Books `packets` of `bytes` together that the peer has. `sample_us` is the round trip of the newest of them; `was_full`
    /// says whether the last flush left bulk behind for want of budget.
    pub(super) fn on_ack(
        &mut self,
        now: Time,
        (packets, bytes): (u32, u64),
        sample_us: Option<u64>,
        was_full: bool,
        rtt: &mut Rtt,
    ) {
        if since_us(now, self.acked_at) > PAUSE_US {
            // The first word after a pause begins a round: when its bytes were delivered nobody knows.
            self.round = Round { since: now, ..Round::default() };
        } else {
            self.round.acked += bytes;
        }
        self.round.packets += packets;
        self.acked_at = now;
        self.round.was_full |= was_full;
        if let Some(sample_us) = sample_us {
            self.standing.push(sample_us);
        }
        if self.phase == Phase::Starting {
            self.start_on(now, bytes, was_full, rtt);
        }
        let elapsed_us = since_us(now, self.round.since);
        if elapsed_us >= rtt.smoothed_us().max(ROUND_MIN_US) {
            self.judge(elapsed_us, rtt);
            self.round = Round { since: now, ..Round::default() };
        }
    }

    /// Books `bytes` of packets that the path lost.
    pub(super) fn on_loss(&mut self, bytes: u64) {
        self.round.lost += bytes;
    }

    /// Routers marked `packets` more of ours.
    pub(super) fn on_marks(&mut self, packets: u32) {
        self.marked = self.marked.saturating_add(packets);
    }

    /// Whether marks go on whatever we do, though nothing waits anywhere.
    pub(super) fn are_marks_futile(&self) -> bool {
        self.futile >= FUTILE_ROUNDS
    }

    /// The path went silent: start again from little.
    pub(super) fn on_silence(&mut self, rtt: &Rtt) {
        self.phase = Phase::Starting;
        self.window = WINDOW_MIN;
        self.follow_window(rtt);
    }

    /// Whether anything but an acknowledgement may leave.
    pub(super) fn may_send(&self, now: Time) -> bool {
        self.all.level(now, self.all_flow()) > 0
    }

    /// Whether more bulk may join `in_flight` bytes under way and `in_body` that are about to leave.
    pub(super) fn may_send_bulk(&self, now: Time, in_flight: u64, in_body: u64) -> bool {
        let left = self.pace.level(now, self.even_flow()) - in_body.cast_signed();
        let share = self.bulk.level(now, self.bulk_flow()) - in_body.cast_signed();
        in_flight + in_body < self.window && left.max(share) > 0
    }

    /// Bytes of one flush that unreliable traffic may fill; `has_bulk`: beside bulk that waits.
    pub(super) fn unreliable_bytes(&self, has_bulk: bool) -> u64 {
        let percent = if has_bulk { 100 - self.limits.bulk_percent } else { 100 };
        if self.interval_us == 0 {
            u64::MAX
        } else {
            self.rate * u64::from(self.interval_us) / 1_000_000 * percent / 100
        }
    }

    /// Bytes of bulk that may be under way.
    pub(super) fn window(&self) -> u64 {
        self.window
    }

    /// Bytes a second that may leave.
    pub(super) fn rate(&self) -> u64 {
        self.rate
    }

    /// Bytes a second that arrived, in the last round.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// By how much the standing round trip exceeds the least one, microseconds.
    pub(super) fn queue_us(&self, rtt: &Rtt) -> u64 {
        self.standing.min_of(STANDING).map_or(0, |standing| standing.saturating_sub(rtt.min_us()))
    }

    /// Grows the window while nothing speaks against it.
    fn start_on(&mut self, now: Time, bytes: u64, was_full: bool, rtt: &Rtt) {
        let above_least = |us: u64| us.saturating_sub(rtt.min_us());
        let queue_us = self.standing.min_of(STANDING_AT_START).map_or(0, above_least);
        let is_marked = std::mem::take(&mut self.marked) > 0;
        if is_marked || queue_us > self.tolerated_us(rtt) {
            let elapsed_us = since_us(now, self.round.since);
            if elapsed_us >= MEASURE_MIN_US || self.delivered == 0 {
                self.delivered = self.round.acked * 1_000_000 / elapsed_us.max(MEASURE_MIN_US);
            }
            self.capacity = self.delivered;
            self.fall_to(self.delivered * DECREASE_PERCENT / 100, rtt);
        } else if was_full {
            // Only a window that was used up has shown that the path carries it. No more than the ceiling could fill.
            let most =
                self.limits.ceiling.saturating_mul(2 * (rtt.smoothed_us() + FLUSH_SLACK_US)) / 1_000_000;
            // The first sign of a queue slows growth down, as HyStart++ does (RFC 9406 §4.2).
            let latest_us = self.standing.min_of(STANDING_AT_START - 2).map_or(0, above_least);
            let grown = if latest_us * 3 > self.tolerated_us(rtt) { bytes / 4 } else { bytes };
            self.window = (self.window + grown).min(most.max(WINDOW_INITIAL));
            self.follow_window(rtt);
        }
    }

    fn judge(&mut self, elapsed_us: u64, rtt: &mut Rtt) {
        let Round { acked, packets, lost, was_full, has_bulk, .. } = self.round;
        let (before, sent) = (self.delivered, acked + lost);
        self.delivered = acked * 1_000_000 / elapsed_us.max(1);
        self.calm = self.calm.saturating_sub(1);
        let tolerated_us = self.tolerated_us(rtt);
        let queue_us = self.queue_us(rtt);
        let marked = std::mem::take(&mut self.marked);
        // Three in four: what is told and what is acknowledged need not fall into the same round.
        let is_all = marked > 0 && u64::from(marked) * 4 >= u64::from(packets) * 3;
        let is_least = self.rate * 4 <= self.limits.floor * 5;
        let is_futile = is_all && is_least && queue_us * 2 <= tolerated_us;
        self.futile = if is_futile { self.futile.saturating_add(1) } else { 0 };
        if queue_us > tolerated_us {
            return self.overuse(before, was_full, sent, rtt);
        }
        self.overused = 0;
        if marked > 0 && self.calm == 0 {
            // The queue is short: there is nothing to return to before the rate has felt its way up again.
            self.capacity = 0;
            let used = self.rate.min(self.delivered.max(before) * 3 / 2);
            return self.fall_to(used * DECREASE_PERCENT / 100, rtt);
        }
        if self.calm == 0 && sent >= ROUND_BYTES_MIN && lost * 100 > sent * LOSS_TOLERATED_PERCENT {
            let from = if self.phase == Phase::Starting { self.delivered.min(self.rate) } else { self.rate };
            return self.fall_to(from - from * lost / (2 * sent), rtt);
        }
        if self.phase == Phase::Draining && queue_us * 2 <= tolerated_us {
            self.phase = Phase::Rising;
            self.settle(self.rate.max(self.capacity * RETURN_PERCENT / 100), rtt);
        }
        // Bulk was left behind; or there is none, and what is told how much room there is has filled it.
        let is_used_up = was_full || !has_bulk && self.delivered * 4 >= self.rate * 3;
        if self.phase == Phase::Rising && is_used_up {
            let response_us = rtt.smoothed_us() + RESPONSE_US;
            let step = (self.rate * INCREASE_PERCENT / 100).max(PACKET_BYTES) * elapsed_us / response_us;
            let most = (self.delivered * 3 / 2 + STEADY_BYTES).max(self.rate);
            self.settle((self.rate + step).min(most), rtt);
        }
    }

    fn overuse(&mut self, before: u64, was_full: bool, sent: u64, rtt: &mut Rtt) {
        self.overused += 1;
        if self.overused > OVERUSED_ROUNDS {
            self.overused = 0;
            if let Some(standing) = self.standing.min_of(STANDING) {
                rtt.rebase(standing);
            }
            return;
        }
        if self.calm > 0 {
            return;
        }
        // One round alone is a rough measure where packets jump.
        let delivered = self.delivered.max(before);
        // Who fills the path is told what the path carries; who only sends a little is not cut below it.
        let is_ours = was_full || sent * 10 > self.round.acked * 11;
        self.capacity = if is_ours { delivered } else { 0 };
        let percent = if is_ours { DECREASE_PERCENT } else { 150 };
        self.fall_to(self.rate.min(delivered * percent / 100), rtt);
    }

    fn fall_to(&mut self, rate: u64, rtt: &Rtt) {
        self.phase = Phase::Draining;
        self.calm = CALM_ROUNDS;
        self.settle(rate, rtt);
    }

    /// Takes a new rate, and the window that it needs.
    fn settle(&mut self, rate: u64, rtt: &Rtt) {
        self.rate = rate.clamp(self.limits.floor, self.limits.ceiling);
        let span_us = rtt.min_us() + self.tolerated_us(rtt) + FLUSH_SLACK_US;
        self.window = (self.rate * span_us / 1_000_000).max(WINDOW_MIN);
    }

    /// While starting the window leads: it leaves within a quarter of a round trip.
    fn follow_window(&mut self, rtt: &Rtt) {
        let rate = self.window * 4_000_000 / rtt.smoothed_us().max(GRAIN_US);
        self.rate = rate.clamp(self.limits.floor, self.limits.ceiling);
    }

    /// A standing queue up to this long is taken for noise, our own bursts and both ends' ticks.
    fn tolerated_us(&self, rtt: &Rtt) -> u64 {
        (QUEUE_TOLERATED_US + u64::from(self.interval_us)).max(rtt.min_us() / 2)
    }

    fn all_flow(&self) -> Flow {
        Flow { rate: self.rate, depth: (self.rate / 4).max(16 * PACKET_BYTES).min(self.limits.burst) }
    }

    fn even_flow(&self) -> Flow {
        let depth = self.rate * u64::from(self.interval_us) / 1_000_000 + 2 * PACKET_BYTES;
        Flow { rate: self.rate, depth: depth.min(self.limits.burst) }
    }

    fn bulk_flow(&self) -> Flow {
        let rate = self.rate * self.limits.bulk_percent / 100;
        let depth = rate * u64::from(self.interval_us) / 1_000_000 + 2 * PACKET_BYTES;
        Flow { rate, depth: depth.min(self.limits.burst) }
    }
}

/// The latest round trips, microseconds.
#[derive(Debug, Default)]
struct Standing {
    samples_us: [u32; STANDING],
    /// Samples so far, modulo 2^32: [`STANDING`] divides that.
    count: u32,
    /// Samples there are, at most [`STANDING`].
    known: u8,
}

impl Standing {
    fn push(&mut self, sample_us: u64) {
        self.samples_us[self.count as usize % STANDING] = u32::try_from(sample_us).unwrap_or(u32::MAX);
        self.count = self.count.wrapping_add(1);
        self.known = (self.known + 1).min(STANDING as u8);
    }

    /// The least of the last `of`; `None` before there are so many.
    fn min_of(&self, of: usize) -> Option<u64> {
        if usize::from(self.known) < of {
            return None;
        }
        let back =
            |back: usize| self.samples_us[self.count.wrapping_sub(1 + back as u32) as usize % STANDING];
        (0..of).map(|steps| u64::from(back(steps))).min()
    }
}

/// Bytes of bulk under way before anything is known: 64 full packets, less than one burst.
const WINDOW_INITIAL: u64 = 64 * PACKET_BYTES;
/// The window never gets below this, or a lossy path could stop it.
const WINDOW_MIN: u64 = 8 * PACKET_BYTES;
/// A full packet's body.
const PACKET_BYTES: u64 = 1150;
/// What the rate falls to, of what was delivered (β of the paper, and β_ecn of RFC 8511).
const DECREASE_PERCENT: u64 = 85;
/// What the rate returns to once the queue has drained, of what the path was seen to carry.
const RETURN_PERCENT: u64 = 95;
/// Rounds after a fall in which what is measured was sent before it.
const CALM_ROUNDS: u8 = 2;
/// By how much the rate rises a response time (η of the paper), and what a response time is beyond the round trip.
const INCREASE_PERCENT: u64 = 8;
const RESPONSE_US: u64 = 100_000;
/// What the rate may rise to at least, whatever is delivered, in bytes a second.
const STEADY_BYTES: u64 = 10_000;
/// Share of a round's bytes that may be lost without slowing down.
const LOSS_TOLERATED_PERCENT: u64 = 18;
/// Fewer bytes than these tell nothing about a loss rate.
const ROUND_BYTES_MIN: u64 = 24 * PACKET_BYTES;
/// A standing queue up to this long, and a flush's own bytes, are tolerated.
const QUEUE_TOLERATED_US: u64 = 15_000;
/// Samples that make a standing round trip: 130 ms at 60 Hz; fewer while starting, where time is short.
const STANDING: usize = 8;
const STANDING_AT_START: usize = 5;
/// Rounds of overuse in a row after which the queue is somebody else's.
const OVERUSED_ROUNDS: u8 = 8;
/// Rounds in a row in which everything was marked, at the least rate and without a queue, until marks mean nothing.
const FUTILE_ROUNDS: u8 = 20;
/// A round lasts at least three ticks at 60 Hz: acknowledgements come by ticks.
const ROUND_MIN_US: u64 = 50_000;
/// The shortest span that says what is delivered.
const MEASURE_MIN_US: u64 = 30_000;
/// Silence after which an acknowledgement tells nothing about a rate.
const PAUSE_US: u64 = 200_000;
/// No flush is counted as farther from the last one.
const INTERVAL_MAX_US: u64 = 100_000;
/// Two flushes at 60 Hz: what acknowledgements may wait for beyond the path.
const FLUSH_SLACK_US: u64 = 34_000;
/// No round trip is taken for shorter.
const GRAIN_US: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn congestion(rate: u64, burst: u64) -> Congestion {
        Congestion::new(&LinkConfig { rate_bytes_per_s: rate, burst_bytes: burst, ..LinkConfig::default() })
    }

    fn rtt(ms: u64) -> Rtt {
        let mut rtt = Rtt::default();
        rtt.sample(Time::ZERO, ms * 1000);
        rtt
    }

    #[test]
    fn the_ceiling_holds_over_time() {
        let mut congestion = congestion(100_000, 10_000);
        let mut sent = 0;
        for ms in 0..10_000 {
            let now = Time::from_millis(ms);
            while congestion.may_send(now) {
                congestion.on_send(now, 1000, 0);
                sent += 1000;
            }
        }
        assert!((1_000_000..=1_012_000).contains(&sent), "{sent}");
    }

    /// A bottleneck of `capacity` bytes a second behind a queue of any length, bulk without end, flushes and
    /// acknowledgements every 16 ms, `base_ms` of round trip. Gives the worst queue in milliseconds of the first
    /// five seconds and of the next 25, and what was delivered in these as a share of the capacity.
    fn bottleneck(congestion: &mut Congestion, capacity: u64, base_ms: u64) -> ([u64; 2], f64) {
        let mut path = Rtt::default();
        let (mut in_flight, mut free, mut worst, mut late) = (0_u64, Time::ZERO, [0; 2], 0);
        let mut acks = std::collections::VecDeque::new();
        for tick in 0..30 * 62 {
            let now = Time::from_millis(tick * 16);
            let is_late = tick >= 5 * 62;
            congestion.on_flush(16_000);
            let (mut bytes, mut sample) = (0, None);
            while let Some((_, rtt_us)) = acks.pop_front_if(|(due, _): &mut (Time, u64)| *due <= now) {
                (bytes, sample) = (bytes + 1150, Some(rtt_us));
            }
            if let Some(rtt_us) = sample {
                in_flight -= bytes;
                late += if is_late { bytes } else { 0 };
                path.sample(now, rtt_us);
                congestion.on_ack(now, (1, bytes), sample, true, &mut path);
            }
            while congestion.may_send(now) && congestion.may_send_bulk(now, in_flight, 0) {
                congestion.on_send(now, 1150, 1150);
                in_flight += 1150;
                free = super::super::span::after(free.max(now), 1150 * 1_000_000 / capacity);
                let queue_us = since_us(free, now);
                worst[usize::from(is_late)] = worst[usize::from(is_late)].max(queue_us / 1000);
                acks.push_back((
                    Time::from_micros(free.as_micros() + base_ms * 1000),
                    queue_us + base_ms * 1000,
                ));
            }
        }
        (worst, late as f64 / (25 * capacity) as f64)
    }

    #[test]
    fn a_bottleneck_is_found_and_its_queue_stays_short() {
        for (capacity, base_ms) in
            [(125_000, 40), (500_000, 20), (500_000, 150), (1_500_000, 60), (6_000_000, 30)]
        {
            let (worst, share) = bottleneck(&mut congestion(8_000_000, 192 << 10), capacity, base_ms);
            // Eight packets are always allowed: 74 ms on the narrowest of these.
            assert!(worst[1] < 90 + base_ms, "{capacity} B/s, {base_ms} ms: {worst:?}");
            assert!(share > 0.85, "{capacity} B/s, {base_ms} ms: {share}");
        }
    }

    #[test]
    fn a_rate_that_is_not_used_does_not_grow() {
        let mut congestion = congestion(1 << 30, 1 << 20);
        for tick in 0..1000 {
            congestion.on_ack(Time::from_millis(tick * 16), (1, 500), Some(50_000), false, &mut rtt(50));
        }
        assert_eq!(congestion.window(), WINDOW_INITIAL);
    }

    #[test]
    fn heavy_loss_slows_down_to_the_floor_and_light_loss_does_not() {
        for (lost, slows) in [(10, false), (40, true)] {
            let mut congestion = congestion(8_000_000, 192 << 10);
            let mut path = rtt(50);
            for tick in 0..1000 {
                congestion.on_loss(30_000 * lost / 100);
                let bytes = 30_000 - 30_000 * lost / 100;
                congestion.on_ack(Time::from_millis(tick * 16), (1, bytes), Some(50_000), true, &mut path);
            }
            assert_eq!(congestion.rate() <= 60_000, slows, "{lost} % lost: {}", congestion.rate());
        }
    }

    #[test]
    fn a_detour_is_not_taken_for_a_queue_for_ever() {
        let mut congestion = congestion(8_000_000, 192 << 10);
        let mut path = rtt(50);
        for tick in 0..1200 {
            let sample = if tick < 300 { 50_000 } else { 150_000 };
            let now = Time::from_millis(tick * 16);
            path.sample(now, sample);
            congestion.on_ack(now, (1, 400), Some(sample), false, &mut path);
        }
        assert_eq!((congestion.queue_us(&path), path.min_us()), (0, 150_000));
        assert!(congestion.rate() >= 50_000, "the floor is more than it sends");
    }

    #[test]
    fn unreliable_traffic_is_left_three_quarters_beside_bulk() {
        let mut congestion = congestion(600_000, 192 << 10);
        congestion.on_flush(10_000);
        assert_eq!((congestion.unreliable_bytes(false), congestion.unreliable_bytes(true)), (6000, 4500));
    }
}
