//! Seeded days of a game: when matches begin and how long they take, how long servers start, when spot machines are
//! taken away. Every policy gets the same ones.
//!
//! A day's rate is a floor with two humps (afternoon and evening), each day scaled by a factor of its own and shaken by
//! an hour-long noise. Each day at the same time an event begins, which triples the arrivals at once and fades over half
//! an hour; and each day there is one burst that nothing foretells: ten times the arrivals for 30 s.

use fastrand::Rng;

/// A day.
pub(super) const DAY_S: u32 = 86_400;
/// How often a policy is asked: Agones' default.
pub(super) const SYNC_S: u32 = 30;
/// Never more servers than this.
pub(super) const SERVERS_MAX: u32 = 1000;
/// Spread of a server's start-up: log-normal.
const START_SPREAD: f64 = 0.25;

/// What differs between two games.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Game {
    /// For the report.
    pub(super) name: &'static str,
    /// Mean length of a match, seconds.
    pub(super) match_s: f64,
    /// Start-up of a server in the middle, seconds.
    pub(super) start_s: f64,
    /// Arrivals relative to the curve: short matches are played more often.
    pub(super) arrivals: f64,
}

impl Game {
    /// One server in a hundred takes longer to start.
    pub(super) fn start_slow_s(&self) -> f64 {
        self.start_s * (2.33 * START_SPREAD).exp()
    }

    /// How long a server takes from its creation to Ready.
    pub(super) fn start_up_s(&self, rng: &mut Rng) -> u32 {
        (self.start_s * (START_SPREAD * normal(rng)).exp()).max(1.0) as u32
    }

    fn length_s(&self, rng: &mut Rng) -> u32 {
        // Some are over soon: everybody left. The others make up for it in the mean.
        let quit = rng.f64() < 0.1;
        let mean = if quit { self.match_s / 8.0 } else { self.match_s * (1.0 - 0.1 / 8.0) / 0.9 };
        (mean * (1.0 + 0.25 * normal(rng))).max(5.0) as u32
    }
}

/// Eight minutes on servers that start in 25 s, and two minutes on servers that take a minute: the share of servers
/// that has to be spare is seven times larger.
pub(super) const GAMES: [Game; 2] = [
    Game { name: "8 min matches", match_s: 480.0, start_s: 25.0, arrivals: 1.0 },
    Game { name: "2 min matches", match_s: 120.0, start_s: 60.0, arrivals: 2.0 },
];
/// Matches a second in the middle of the night and at the evening's top.
const RATE_NIGHT: f64 = 0.06;
const RATE_TOP: f64 = 0.55;
/// The daily event: when it begins, by how much it multiplies the arrivals, and how fast it fades.
const EVENT_S: u32 = 18 * 3600;
const EVENT_TIMES: f64 = 3.0;
const EVENT_FADE_S: f64 = 900.0;
/// A burst: so long, so many times the arrivals.
const BURST_S: u32 = 30;
const BURST_TIMES: f64 = 10.0;
/// Preemptions a day, each of a share of all spot machines: capacity is taken back by zone, not one by one.
const PREEMPTIONS_A_DAY: usize = 6;

/// A match that wants a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arrival {
    /// When, seconds from the first midnight.
    pub at_s: u32,
    /// How long it will be played.
    pub match_s: u32,
}

/// Spot machines are taken away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Preemption {
    /// When the notice comes.
    pub at_s: u32,
    /// Which share of them.
    pub share: f64,
}

/// Some days.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    /// How long it is.
    pub seconds: u32,
    /// In order.
    pub arrivals: Vec<Arrival>,
    /// In order.
    pub preemptions: Vec<Preemption>,
    /// Of which game.
    pub(super) game: Game,
    /// Of whatever else is random in a fleet.
    pub seed: u64,
}

impl Trace {
    /// So many days of this seed.
    pub(super) fn new(game: Game, seed: u64, days: u32) -> Self {
        let mut rng = Rng::with_seed(seed);
        let (mut arrivals, mut preemptions) = (Vec::new(), Vec::new());
        for day in 0..days {
            let scale = 0.85 + 0.3 * rng.f64();
            let burst_s = rng.u32(9 * 3600..22 * 3600);
            let mut noise = 0.0;
            for second in 0..DAY_S {
                // An Ornstein–Uhlenbeck walk with a memory of an hour and a deviation of 8 %.
                noise += -noise / 3600.0 + 0.08 * (2.0_f64 / 3600.0).sqrt() * normal(&mut rng);
                let burst = if (burst_s..burst_s + BURST_S).contains(&second) { BURST_TIMES } else { 1.0 };
                let rate = curve(second) * game.arrivals * scale * (1.0 + noise).max(0.2) * burst;
                for _ in 0..poisson(&mut rng, rate) {
                    arrivals.push(Arrival { at_s: day * DAY_S + second, match_s: game.length_s(&mut rng) });
                }
            }
            for _ in 0..PREEMPTIONS_A_DAY {
                preemptions.push(Preemption {
                    at_s: day * DAY_S + rng.u32(..DAY_S),
                    share: 0.05 + 0.25 * rng.f64(),
                });
            }
        }
        preemptions.sort_by_key(|preemption| preemption.at_s);
        Self { seconds: days * DAY_S, arrivals, preemptions, game, seed }
    }
}

/// Matches a second at this second of the day.
fn curve(second: u32) -> f64 {
    let hour = f64::from(second) / 3600.0;
    let hump = |middle: f64, width: f64| (-((hour - middle) / width).powi(2)).exp();
    let ordinary = RATE_NIGHT + (RATE_TOP - RATE_NIGHT) * (hump(20.5, 2.2) + 0.45 * hump(15.0, 2.5)).min(1.0);
    let event = second
        .checked_sub(EVENT_S)
        .map_or(0.0, |since| (EVENT_TIMES - 1.0) * (-f64::from(since) / EVENT_FADE_S).exp());
    ordinary * (1.0 + event)
}

/// Box and Muller's normal number.
fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos()
}

/// Knuth's Poisson number, good for the small means here.
fn poisson(rng: &mut Rng, mean: f64) -> u32 {
    let (limit, mut product, mut count) = ((-mean).exp(), rng.f64(), 0);
    while product > limit {
        product *= rng.f64();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_the_rate_and_the_lengths_that_it_should() {
        let game = GAMES[0];
        let trace = Trace::new(game, 7, 4);
        let expected: f64 = (0..DAY_S).map(curve).sum::<f64>() * 4.0;
        let count = trace.arrivals.len() as f64;
        assert!((count / expected - 1.0).abs() < 0.12);
        let mean = trace.arrivals.iter().map(|arrival| f64::from(arrival.match_s)).sum::<f64>() / count;
        assert!((mean - game.match_s).abs() < 8.0, "{mean}");
        assert!(trace.arrivals.windows(2).all(|pair| pair[0].at_s <= pair[1].at_s));
        let mut rng = Rng::with_seed(1);
        let slow = (0..10_000).filter(|_| f64::from(game.start_up_s(&mut rng)) > game.start_slow_s()).count();
        assert!((50..200).contains(&slow), "{slow} of 10000");
    }
}
