//! The clock of what the player sees: how far behind the server remote entities are shown.
//! Owns: the delay, its adaptation to the jitter of arrivals, the moment shown. Must never know: what is shown.
//!
//! Position `r` can be interpolated once a snapshot at or after `r` has arrived. When a snapshot of tick `T` arrives
//! at time `a` (in ticks) and the newest before it was `P`, everything in `(P, T]` becomes showable at `a`; showing
//! `r = now − D` never waits if `D ≥ a − P`. So each arrival gives one sample `a − P`, in which the send interval,
//! the jitter and losses are all contained, and `D` is a high quantile of the last samples.

use netcode_wire::{Tick, Time};

use crate::window::{Lowest, Quantile};

/// How remote entities are played out.
#[derive(Clone, Copy, Debug)]
pub struct InterpolationConfig {
    /// The least delay behind the newest snapshot on a perfect link, in ticks.
    pub delay_ticks_min: f64,
    /// The most, in ticks; beyond this arrivals are extrapolated or held instead.
    pub delay_ticks_max: f64,
    /// The share of snapshots that the delay must be long enough for.
    pub share: f64,
    /// How far past the newest snapshot movement is continued before it is held, in ticks.
    pub extrapolate_ticks_max: f64,
}

impl Default for InterpolationConfig {
    fn default() -> Self {
        // 12 ticks = 200 ms at 60 Hz, which leaves lag compensation (250 ms) some room.
        Self { delay_ticks_min: 1.0, delay_ticks_max: 12.0, share: 0.98, extrapolate_ticks_max: 3.0 }
    }
}

/// The playout clock.
#[derive(Clone, Debug)]
pub(crate) struct Playout {
    config: InterpolationConfig,
    ticks_per_us: f64,
    newest: Option<Tick>,
    /// Samples of `arrival − previous tick`.
    waits: Quantile,
    /// Samples of `arrival − tick`: the smallest is a snapshot that nothing delayed.
    ages: Lowest,
    /// `D`: how far the shown moment trails local time, in ticks.
    trail: Option<f64>,
    wanted: f64,
    at: Time,
    position: f64,
    stalled: bool,
    stalls: u32,
    held: bool,
    holds: u32,
}

impl Playout {
    pub(crate) fn new(tick_hz: u16, config: InterpolationConfig) -> Self {
        Self {
            config,
            ticks_per_us: f64::from(tick_hz.max(1)) / 1e6,
            newest: None,
            waits: Quantile::new(),
            ages: Lowest::new(WINDOW_US),
            trail: None,
            wanted: 0.0,
            at: Time::ZERO,
            position: 0.0,
            stalled: false,
            stalls: 0,
            held: false,
            holds: 0,
        }
    }

    /// Takes the arrival of a snapshot in. One that is older than the newest changes nothing.
    pub(crate) fn handle_arrival(&mut self, now: Time, tick: Tick) {
        let here = self.ticks(now);
        if self.newest.is_some_and(|newest| tick.since(newest) <= 0) {
            return;
        }
        let previous = self.newest.replace(tick).unwrap_or(tick.offset(-1));
        self.ages.push(now, here - f64::from(tick.0));
        self.waits.push(here - f64::from(previous.0));
        let age = self.ages.value().unwrap_or(here - f64::from(tick.0));
        let wait = self.waits.value(self.config.share).unwrap_or(age);
        self.wanted =
            (wait + SLACK_TICKS).clamp(age + self.config.delay_ticks_min, age + self.config.delay_ticks_max);
        if self.trail.is_none() {
            self.trail =
                Some(age + START_DELAY_TICKS.clamp(self.config.delay_ticks_min, self.config.delay_ticks_max));
            self.at = now;
        }
    }

    /// Moves to `now`: the shown moment glides, and only jumps where it is far off. It never goes back by less.
    pub(crate) fn advance(&mut self, now: Time) {
        let (Some(trail), Some(newest)) = (self.trail, self.newest) else {
            return;
        };
        let room = now.since(self.at).as_micros() as f64 * self.ticks_per_us * DILATION_MAX;
        self.at = self.at.max(now);
        let off = self.wanted - trail;
        let trail = trail + if off.abs() > SNAP_TICKS { off } else { off.clamp(-room, room) };
        self.trail = Some(trail);
        let aimed = (self.ticks(self.at) - trail).max(0.0);
        if aimed > self.position || self.position - aimed > GO_BACK_TICKS {
            self.position = aimed;
        }
        let past = self.position - f64::from(newest.0);
        let (stalled, held) = (past > 0.0, past > self.config.extrapolate_ticks_max);
        self.stalls += u32::from(stalled && !self.stalled);
        self.holds += u32::from(held && !self.held);
        (self.stalled, self.held) = (stalled, held);
    }

    /// The moment to show, in ticks: never further past the newest snapshot than the bound.
    pub(crate) fn shown(&self) -> Option<f64> {
        let newest = f64::from(self.newest?.0);
        Some(self.position.min(newest + self.config.extrapolate_ticks_max))
    }

    /// How often the shown moment overtook the newest snapshot.
    pub(crate) fn stalls(&self) -> u32 {
        self.stalls
    }

    /// How often it overtook it by more than movement may be continued for, and stood still.
    pub(crate) fn holds(&self) -> u32 {
        self.holds
    }

    /// How far the shown moment lies behind a snapshot that nothing delays, in microseconds.
    pub(crate) fn delay_us(&self) -> u64 {
        match (self.trail, self.ages.value()) {
            (Some(trail), Some(age)) => ((trail - age).max(0.0) / self.ticks_per_us) as u64,
            _ => 0,
        }
    }

    fn ticks(&self, now: Time) -> f64 {
        now.as_micros() as f64 * self.ticks_per_us
    }
}

/// Delay before anything was measured, in ticks.
const START_DELAY_TICKS: f64 = 2.0;
/// Added to the measured wait, so that a sample equal to the quantile is still in time.
const SLACK_TICKS: f64 = 0.1;
/// The most that shown time is stretched or squeezed.
const DILATION_MAX: f64 = 0.05;
/// Further off than this the shown moment jumps.
const SNAP_TICKS: f64 = 10.0;
/// The shown moment waits for time to catch up unless it is this far ahead.
const GO_BACK_TICKS: f64 = 60.0;
/// How long the least age of a snapshot is remembered.
const WINDOW_US: u64 = 8_000_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TICK_US: u64 = 16_667;

    struct Bench {
        playout: Playout,
        now: Time,
        tick: u32,
        flying: Vec<(Time, Tick)>,
        last: f64,
    }

    impl Bench {
        fn new() -> Self {
            let playout = Playout::new(60, InterpolationConfig::default());
            Self { playout, now: Time::from_secs(5), tick: 100, flying: Vec::new(), last: 0.0 }
        }

        /// `delay_us` gives each snapshot's way, or `None` for a loss.
        fn run(&mut self, ticks: u32, delay_us: &mut dyn FnMut(u32) -> Option<u64>) {
            for _ in 0..ticks {
                self.now += Duration::from_micros(TICK_US);
                self.tick += 1;
                if let Some(delay) = delay_us(self.tick) {
                    self.flying.push((self.now + Duration::from_micros(delay), Tick(self.tick)));
                }
                let (now, playout) = (self.now, &mut self.playout);
                self.flying.retain(|(at, tick)| {
                    if *at <= now {
                        playout.handle_arrival(*at, *tick);
                    }
                    *at > now
                });
                playout.advance(now);
                if let Some(shown) = playout.shown() {
                    assert!(shown >= self.last, "time ran backwards");
                    self.last = shown;
                }
            }
        }

        fn behind(&self) -> f64 {
            f64::from(self.tick) - self.last
        }
    }

    #[test]
    fn a_perfect_link_is_shown_about_a_tick_behind() {
        let mut bench = Bench::new();
        bench.run(600, &mut |_| Some(30_000));
        assert_eq!(bench.playout.stalls(), 0);
        // 30 ms are 1.8 ticks.
        assert!((2.7..3.2).contains(&bench.behind()), "{}", bench.behind());
        assert!((16_000..20_000).contains(&bench.playout.delay_us()), "{}", bench.playout.delay_us());
    }

    #[test]
    fn jitter_lengthens_the_delay_until_nearly_nothing_stalls() {
        let mut bench = Bench::new();
        let mut random = fastrand::Rng::with_seed(7);
        let mut weather = move |_| (random.f32() > 0.02).then(|| 30_000 + random.u64(0..20_000));
        bench.run(300, &mut weather);
        let settled = bench.playout.stalls();
        bench.run(3600, &mut weather);
        assert!(
            bench.playout.stalls() - settled < 60,
            "{} stalls a minute",
            bench.playout.stalls() - settled
        );
        assert!((25_000..60_000).contains(&bench.playout.delay_us()), "{}", bench.playout.delay_us());
    }

    #[test]
    fn an_outage_stalls_once_and_holds_within_the_bound() {
        let mut bench = Bench::new();
        bench.run(300, &mut |_| Some(30_000));
        let newest = f64::from(bench.playout.newest.unwrap().0);
        bench.run(60, &mut |_| None);
        assert_eq!((bench.playout.stalls(), bench.playout.holds()), (1, 1));
        assert!(bench.last <= newest + 5.0, "{} past {newest}", bench.last);
        bench.run(300, &mut |_| Some(30_000));
        assert_eq!(bench.playout.stalls(), 1);
        assert!(bench.behind() < 5.0, "{}", bench.behind());
    }

    #[test]
    fn twenty_snapshots_a_second_are_shown_one_interval_behind() {
        let mut bench = Bench::new();
        bench.run(900, &mut |tick| tick.is_multiple_of(3).then_some(30_000));
        let settled = bench.playout.stalls();
        bench.run(300, &mut |tick| tick.is_multiple_of(3).then_some(30_000));
        assert_eq!(bench.playout.stalls(), settled);
        assert!((46_000..60_000).contains(&bench.playout.delay_us()), "{}", bench.playout.delay_us());
    }

    #[test]
    fn the_delay_never_exceeds_its_bound() {
        let mut bench = Bench::new();
        let mut random = fastrand::Rng::with_seed(9);
        bench.run(2000, &mut |_| Some(random.u64(0..900_000)));
        assert!(bench.playout.delay_us() <= 200_100, "{}", bench.playout.delay_us());
    }
}
