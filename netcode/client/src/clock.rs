//! The player's clock: which tick it is here, so that each input reaches the server just before it is needed.
//! Owns: the position in ticks, its dilation, the judgement of the server's feedback. Must never know: inputs, states.
//!
//! The server says how early inputs arrive (`input_margin`) and whether any came too late. The client runs a
//! few percent faster or slower until the *smallest* margin of the last seconds is just above zero. Since feedback is
//! a round trip old, each sample is first stripped of what was in force when its input was sent: the correction, and
//! the lag (frames do not fall on ticks, so an input leaves at the first frame after its tick).
//!
//! ```text
//! natural margin    = margin − correction(when that input was sent) + lag(of that input)
//! wanted correction = reserve + longest lag − lowest natural margin
//! ```
//!
//! so that a correction under way is never counted twice and the loop cannot oscillate (a Smith predictor), and a
//! player with a low frame rate is as early as his frames are long.

use netcode_wire::{Tick, Time};

use crate::window::Lowest;

/// How the clock behaves. The defaults suit 10 to 128 Hz.
#[derive(Clone, Copy, Debug)]
pub struct ClockConfig {
    /// How early the latest input of the last seconds should arrive, in ticks.
    pub reserve_ticks: f64,
    /// How far the lowest margin may pull the clock above the usual margin, in ticks: one long stall must not make
    /// every later input late.
    pub spread_ticks_max: f64,
    /// The most that time is stretched or squeezed, as a share (0.05 = ±5 %).
    pub dilation_max: f64,
    /// Further off than this, in ticks, the clock jumps.
    pub snap_ticks: f64,
    /// Ticks that one call of `advance` plays at most; beyond that ticks are skipped, so that a slow frame cannot
    /// make the next one slower.
    pub ticks_per_advance_max: u32,
}

impl Default for ClockConfig {
    fn default() -> Self {
        Self {
            reserve_ticks: 0.5,
            spread_ticks_max: 8.0,
            dilation_max: 0.05,
            snap_ticks: 10.0,
            ticks_per_advance_max: 8,
        }
    }
}

/// Ticks that are due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// Ticks too many for one frame: to be passed over with the input repeated, before the others.
    pub(crate) skipped: u32,
    /// Ticks to be played.
    pub(crate) played: u32,
}

/// What the server says with each snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feedback {
    /// The tick that it simulated.
    pub(crate) simulated: Tick,
    /// The newest of our inputs that it used.
    pub(crate) used: Option<Tick>,
    /// How early our inputs come, in ticks; negative: late.
    pub(crate) margin_ticks: f64,
    /// Whether any input came too late since it last said so.
    pub(crate) late: bool,
}

/// The clock, from the server's welcome on.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    config: ClockConfig,
    ticks_per_us: f64,
    at: Time,
    /// Where the client is, in ticks: tick `t` begins at `t`.
    position: f64,
    /// Ticks gained (or lost) over nominal speed since the start.
    correction: f64,
    wanted: f64,
    newest: Tick,
    /// Correction less lag of each of the last ticks, by tick modulo the length.
    sent_under: [f64; TICKS_KEPT],
    lowest: Lowest,
    /// Samples of `−lag`.
    lags: Lowest,
    usual: Option<f64>,
    samples: u32,
    last_sampled: Option<Tick>,
    jumps: u32,
}

impl Clock {
    /// Starts from the server's word that it was at `server_tick` when it sent what arrived `now`, over a link of
    /// round-trip time `rtt_us`. The client must be ahead by the way there and, since `server_tick` is already old,
    /// the way here.
    pub(crate) fn start(
        now: Time,
        server_tick: Tick,
        tick_hz: u16,
        rtt_us: u64,
        config: ClockConfig,
    ) -> Self {
        let ticks_per_us = f64::from(tick_hz.max(1)) / 1e6;
        let lead = rtt_us as f64 * ticks_per_us + START_MARGIN_TICKS;
        let position = f64::from(server_tick.0) + lead;
        Self {
            config,
            ticks_per_us,
            at: now,
            position,
            correction: 0.0,
            wanted: 0.0,
            newest: Tick(position as u32),
            sent_under: [0.0; TICKS_KEPT],
            lowest: Lowest::new(WINDOW_US),
            lags: Lowest::new(WINDOW_US),
            usual: None,
            samples: 0,
            last_sampled: None,
            jumps: 0,
        }
    }

    /// Takes the server's feedback in.
    pub(crate) fn handle_feedback(&mut self, now: Time, said: Feedback) {
        // The margin may be that of a later input than the late one.
        let margin = if said.late { said.margin_ticks.min(LATE_TICKS) } else { said.margin_ticks };
        let heard = said.used.is_none_or(|tick| self.last_sampled.is_some_and(|last| tick.since(last) <= 0));
        // A snapshot may repeat what an earlier one said; only bad news is worth hearing twice.
        if heard && margin >= 0.0 {
            return;
        }
        self.last_sampled = said.used.max(self.last_sampled);
        // A late input was not used: its tick is as far back as it was late.
        let tick = if margin < 0.0 { Some(said.simulated.offset(margin.floor() as i32)) } else { said.used };
        let natural = margin - self.sent_under(tick);
        self.lowest.push(now, natural);
        self.usual = Some(self.usual.map_or(natural, |usual| usual + (natural - usual) * USUAL_GAIN));
        self.samples = self.samples.saturating_add(1);
    }

    /// Moves to `now` and says how many ticks are due; the caller plays them all.
    pub(crate) fn advance(&mut self, now: Time) -> Due {
        self.aim(now);
        let nominal = now.since(self.at).as_micros() as f64 * self.ticks_per_us;
        self.at = self.at.max(now);
        let room = nominal * self.config.dilation_max;
        let step = (self.wanted - self.correction).clamp(-room, room);
        self.position += nominal + step;
        self.correction += step;
        let due = (self.position as u32).saturating_sub(self.newest.0);
        let played = due.min(self.config.ticks_per_advance_max);
        let last = self.newest.0 + due;
        for tick in (0..played).rev().map(|back| last - back) {
            let lag = self.position - f64::from(tick);
            self.sent_under[slot(Tick(tick))] = self.correction - lag;
            // What a jump made late, no frame did: it says nothing of frames to come.
            self.lags.push(now, -lag.min(nominal + step));
        }
        self.newest = Tick(last);
        Due { skipped: due - played, played }
    }

    /// The newest tick that was due.
    pub(crate) fn newest(&self) -> Tick {
        self.newest
    }

    /// How far the next tick has come, 0 to 1.
    pub(crate) fn fraction(&self) -> f32 {
        (self.position - f64::from(self.newest.0)).clamp(0.0, 1.0) as f32
    }

    /// Where the client is, in ticks.
    pub(crate) fn position(&self) -> f64 {
        self.position
    }

    /// How often the clock had to jump instead of gliding.
    pub(crate) fn jumps(&self) -> u32 {
        self.jumps
    }

    /// The latest time at which nothing is due yet.
    pub(crate) fn next_due(&self) -> Time {
        let ticks = (f64::from(self.newest.0) + 1.0 - self.position).max(0.0);
        let slowest = self.ticks_per_us * (1.0 + self.config.dilation_max);
        self.at + std::time::Duration::from_micros((ticks / slowest) as u64)
    }

    /// Correction less lag when the input of `tick` was sent.
    fn sent_under(&self, tick: Option<Tick>) -> f64 {
        match tick {
            Some(tick) if (0..TICKS_KEPT as i32).contains(&self.newest.since(tick)) => {
                self.sent_under[slot(tick)]
            }
            _ => self.correction,
        }
    }

    fn aim(&mut self, now: Time) {
        self.lowest.turn(now);
        self.lags.turn(now);
        let (Some(lowest), Some(usual)) = (self.lowest.value(), self.usual) else {
            return;
        };
        let lowest = lowest.max(usual - self.config.spread_ticks_max);
        let longest_lag = -self.lags.value().unwrap_or(0.0);
        self.wanted = self.config.reserve_ticks + longest_lag - lowest;
        let off = self.wanted - self.correction;
        // The first word of the server replaces a guess, so that it is followed at once.
        let settling = self.samples <= SETTLING_SAMPLES;
        let snap = if settling { self.config.snap_ticks.min(1.0) } else { self.config.snap_ticks };
        if off > snap || off < -self.config.snap_ticks {
            self.jump(off);
        }
    }

    fn jump(&mut self, ticks: f64) {
        self.position = (self.position + ticks).max(0.0);
        self.correction = self.wanted;
        self.jumps += 1;
        // Too far ahead to wait for time to catch up: those ticks are played again.
        if f64::from(self.newest.0) - self.position > HOLD_TICKS_MAX {
            self.newest = Tick(self.position as u32);
        }
    }
}

fn slot(tick: Tick) -> usize {
    tick.0 as usize % TICKS_KEPT
}

/// How early the first inputs should be, in ticks, before the server has said anything.
const START_MARGIN_TICKS: f64 = 2.0;
/// How late an input is taken for that was late, but not said by how much.
const LATE_TICKS: f64 = -0.5;
/// How long a late input is remembered. Measured at 2 % loss in bursts of two: against 8 s and a tick of reserve on lossy
/// links, 16 s without it starve a third less, and the view lies no further back. 24 s and more cost hits.
const WINDOW_US: u64 = 16_000_000;
/// Ticks of which is remembered how they were sent: a round trip of two seconds at 60 Hz.
const TICKS_KEPT: usize = 128;
/// Samples during which a clock that is behind jumps at once.
const SETTLING_SAMPLES: u32 = 8;
/// How fast the usual margin follows: about a second at 60 Hz.
const USUAL_GAIN: f64 = 1.0 / 64.0;
/// How many ticks the clock stands still at most when it is ahead.
const HOLD_TICKS_MAX: f64 = 60.0;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HZ: u16 = 60;
    const TICK_US: f64 = 1e6 / 60.0;

    /// A server at `now·60` ticks, a link with one way's delay drawn by `delay_us`, and feedback a delay later.
    struct Bench {
        clock: Clock,
        now: Time,
        /// When feedback comes, when it was said (µs), of which input, its margin.
        flying: Vec<(Time, f64, Tick, f64)>,
        late: u32,
    }

    impl Bench {
        fn new(rtt_guess_us: u64, config: ClockConfig) -> Self {
            let now = Time::from_secs(100);
            let clock = Clock::start(now, Tick(6000), HZ, rtt_guess_us, config);
            Self { clock, now, flying: Vec::new(), late: 0 }
        }

        fn run(&mut self, ticks: u32, delay_us: &mut dyn FnMut() -> f64) {
            for _ in 0..ticks {
                self.now += Duration::from_micros(TICK_US as u64);
                let before = self.clock.newest();
                let due = self.clock.advance(self.now);
                for n in 1..=due.skipped + due.played {
                    let tick = Tick(before.0 + n);
                    let arrival = self.now.as_micros() as f64 + delay_us();
                    let margin = f64::from(tick.0) - arrival / TICK_US;
                    self.late += u32::from(margin < 0.0);
                    let said = arrival.max(f64::from(tick.0) * TICK_US);
                    let back = Time::from_micros((said + delay_us()) as u64);
                    self.flying.push((back, said, tick, margin));
                }
                let now = self.now;
                let clock = &mut self.clock;
                self.flying.retain(|(back, at, tick, margin)| {
                    if *back <= now {
                        let (simulated, late) = (Tick(tick.0.max((at / TICK_US) as u32)), *margin < 0.0);
                        let used = (!late).then_some(*tick);
                        let said = Feedback { simulated, used, margin_ticks: *margin, late };
                        clock.handle_feedback(now, said);
                    }
                    *back > now
                });
            }
        }

        fn lead(&self) -> f64 {
            self.clock.position() - self.now.as_micros() as f64 / TICK_US
        }
    }

    #[test]
    fn a_steady_link_settles_at_the_reserve() {
        let mut bench = Bench::new(60_000, ClockConfig::default());
        bench.run(1200, &mut || 30_000.0);
        // One way is 1.8 ticks; inputs leave at the first frame past their tick, up to one frame late.
        assert!((2.2..3.6).contains(&bench.lead()), "{}", bench.lead());
        bench.late = 0;
        bench.run(600, &mut || 30_000.0);
        assert_eq!(bench.late, 0);
        assert_eq!(bench.clock.jumps(), 0);
    }

    #[test]
    fn a_wrong_guess_is_made_good_by_one_jump() {
        let mut bench = Bench::new(0, ClockConfig::default());
        bench.run(30, &mut || 100_000.0);
        bench.late = 0;
        bench.run(120, &mut || 100_000.0);
        assert_eq!(bench.late, 0);
        assert!(bench.clock.jumps() <= 2, "{}", bench.clock.jumps());
        // What came late before the jump must not be made good twice: one way is 6 ticks.
        assert!((6.0..9.5).contains(&bench.lead()), "{}", bench.lead());
    }

    #[test]
    fn jitter_is_covered_by_what_was_lately_seen() {
        let mut random = 1u64;
        let mut delay = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            30_000.0 + (random >> 33) as f64 / f64::from(u32::MAX) * 2.0 * 10_000.0
        };
        let mut bench = Bench::new(60_000, ClockConfig::default());
        bench.run(300, &mut delay);
        bench.late = 0;
        bench.run(3600, &mut delay);
        assert!(bench.late <= 2, "{} of 3600 late", bench.late);
        assert!(bench.lead() < 5.0, "{}", bench.lead());
    }

    #[test]
    fn a_link_that_grows_slower_is_followed_and_one_that_recovers_too() {
        let mut bench = Bench::new(60_000, ClockConfig::default());
        bench.run(300, &mut || 30_000.0);
        let before = bench.lead();
        bench.run(300, &mut || 80_000.0);
        assert!((2.5..4.0).contains(&(bench.lead() - before)), "{}", bench.lead() - before);
        bench.run(1200, &mut || 30_000.0);
        assert!((bench.lead() - before).abs() < 0.6, "{} after {before}", bench.lead());
        assert_eq!(bench.clock.jumps(), 0);
    }

    #[test]
    fn time_is_never_stretched_by_more_than_five_percent() {
        let mut bench = Bench::new(60_000, ClockConfig::default());
        bench.run(120, &mut || 30_000.0);
        for _ in 0..200 {
            let (before, at) = (bench.clock.position(), bench.now);
            bench.run(1, &mut || 90_000.0);
            let nominal = bench.now.since(at).as_micros() as f64 / TICK_US;
            let speed = (bench.clock.position() - before) / nominal;
            assert!((0.949..=1.051).contains(&speed), "{speed}");
        }
    }

    #[test]
    fn more_than_ten_ticks_off_jumps() {
        let mut bench = Bench::new(60_000, ClockConfig::default());
        bench.run(120, &mut || 30_000.0);
        bench.run(60, &mut || 400_000.0);
        assert!(bench.clock.jumps() >= 1);
        bench.run(600, &mut || 400_000.0);
        bench.late = 0;
        bench.run(300, &mut || 400_000.0);
        assert_eq!(bench.late, 0);
    }

    #[test]
    fn one_long_stall_does_not_cost_more_than_the_spread() {
        let config = ClockConfig::default();
        let mut bench = Bench::new(60_000, config);
        bench.run(600, &mut || 30_000.0);
        let before = bench.lead();
        bench.run(1, &mut || 700_000.0);
        bench.run(120, &mut || 30_000.0);
        assert!(bench.lead() - before <= config.spread_ticks_max + 1.0, "{}", bench.lead() - before);
    }

    #[test]
    fn a_slow_frame_skips_ticks_and_owes_nothing() {
        let mut clock = Clock::start(Time::ZERO, Tick(0), HZ, 0, ClockConfig::default());
        let due = clock.advance(Time::from_secs(1));
        assert_eq!(due, Due { skipped: 52, played: 8 });
        assert_eq!(clock.advance(Time::from_millis(1001)), Due::default());
        // Time that runs backwards is time that stands still.
        assert_eq!(clock.advance(Time::ZERO), Due::default());
    }

    #[test]
    fn the_end_of_all_ticks_is_no_panic() {
        let mut clock =
            Clock::start(Time::ZERO, Tick(u32::MAX - 3), u16::MAX, u64::MAX, ClockConfig::default());
        for second in 0..20u32 {
            let now = Time::from_secs(u64::from(second));
            let used = Tick(u32::MAX - second);
            let margin_ticks = -2000.0 * f64::from(second);
            clock.handle_feedback(
                now,
                Feedback { simulated: used, used: Some(used), margin_ticks, late: true },
            );
            clock.advance(now);
        }
        assert_eq!(clock.advance(Time::MAX).played, 0);
        let mut clock = Clock::start(Time::ZERO, Tick(0), 1, 0, ClockConfig::default());
        assert_eq!(clock.advance(Time::MAX).played, 8);
    }

    #[test]
    fn the_next_due_moment_is_not_too_late() {
        let mut clock = Clock::start(Time::ZERO, Tick(0), HZ, 0, ClockConfig::default());
        let mut played = 0;
        for _ in 0..600 {
            let due = clock.advance(clock.next_due() + Duration::from_micros(1000));
            assert!(due.played <= 1 && due.skipped == 0);
            played += due.played;
        }
        assert!(played > 500);
    }
}
