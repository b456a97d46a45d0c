//! How long ticks take and how late they start. Owns the histograms; must never read a clock.

use std::time::Duration;

use hdrhistogram::Histogram;
use operate::exposition::Buckets;

use crate::stage::{Stage, StageTimes};

/// Upper bounds of a tick's, a stage's and a lateness's time, seconds: 60 Hz leave 0.0167 for a tick.
const TICK_BOUNDS_S: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.012, 0.016, 0.025, 0.05, 0.1, 0.25,
    1.0,
];
/// Upper bounds of round trips and of their deviation, seconds.
const LINK_BOUNDS_S: &[f64] =
    &[0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0];
/// Upper bounds of the share of datagrams lost.
const LOSS_BOUNDS: &[f64] = &[0.0, 0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5];

/// What a scraper gets of a server's times and links, since it began. Those of several rooms add up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figures {
    /// Whole ticks, seconds.
    pub(crate) tick: Buckets,
    /// Stages, in their order, seconds.
    pub(crate) stages: [Buckets; 5],
    /// How late ticks start, seconds.
    pub(crate) lateness: Buckets,
    /// One reading a second for each connected player, seconds.
    pub(crate) rtt: Buckets,
    /// Likewise.
    pub(crate) jitter: Buckets,
    /// Likewise, 0 to 1.
    pub(crate) loss: Buckets,
}

impl Figures {
    /// What another room has measured too.
    pub(crate) fn add(&mut self, other: &Self) {
        self.tick.add(&other.tick);
        self.stages.iter_mut().zip(&other.stages).for_each(|(sum, stage)| sum.add(stage));
        self.lateness.add(&other.lateness);
        self.rtt.add(&other.rtt);
        self.jitter.add(&other.jitter);
        self.loss.add(&other.loss);
    }
}

impl Default for Figures {
    fn default() -> Self {
        let ticks = || Buckets::new(TICK_BOUNDS_S);
        let links = || Buckets::new(LINK_BOUNDS_S);
        Self {
            tick: ticks(),
            stages: std::array::from_fn(|_| ticks()),
            lateness: ticks(),
            rtt: links(),
            jitter: links(),
            loss: Buckets::new(LOSS_BOUNDS),
        }
    }
}

/// Longest time that is told apart, microseconds.
const MICROS_MAX: u64 = 60_000_000;

/// Histograms over the process's life, in microseconds, to two digits: a status is made often,
/// and each quantile walks the buckets.
#[derive(Debug)]
pub struct Meter {
    total: Histogram<u64>,
    stages: [Histogram<u64>; 5],
    lateness: Histogram<u64>,
    max_us: u64,
    last_us: u64,
    figures: Figures,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    /// Nothing measured yet.
    pub fn new() -> Self {
        Self {
            total: histogram(),
            stages: std::array::from_fn(|_| histogram()),
            lateness: histogram(),
            max_us: 0,
            last_us: 0,
            figures: Figures::default(),
        }
    }

    /// A tick ran.
    pub fn tick(&mut self, times: &StageTimes) {
        record(&mut self.total, times.total());
        self.last_us = micros(times.total());
        self.max_us = self.max_us.max(self.last_us);
        self.figures.tick.observe(times.total().as_secs_f64());
        for (histogram, time) in self.stages.iter_mut().zip(times.0) {
            record(histogram, time);
        }
        for (buckets, time) in self.figures.stages.iter_mut().zip(times.0) {
            buckets.observe(time.as_secs_f64());
        }
    }

    /// A tick started this long after its deadline.
    pub fn late(&mut self, lateness: Duration) {
        record(&mut self.lateness, lateness);
        self.figures.lateness.observe(lateness.as_secs_f64());
    }

    /// A reading of a connected player's link: round trip and its deviation in microseconds, loss 0 to 1.
    pub(crate) fn link(&mut self, rtt_us: u64, jitter_us: u64, loss: f32) {
        if rtt_us > 0 {
            self.figures.rtt.observe(rtt_us as f64 / 1e6);
            self.figures.jitter.observe(jitter_us as f64 / 1e6);
        }
        self.figures.loss.observe(f64::from(loss));
    }

    /// What a scraper gets.
    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Ticks measured.
    pub fn ticks(&self) -> u64 {
        self.total.len()
    }

    /// Pairs of (microseconds, number of ticks that took so long), ascending.
    pub fn tick_counts(&self) -> Vec<(u64, u64)> {
        self.total.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }

    /// Quantile of the whole tick, milliseconds.
    pub fn tick_ms(&self, quantile: f64) -> f64 {
        ms(&self.total, quantile)
    }

    /// The last tick, milliseconds.
    pub fn tick_last_ms(&self) -> f64 {
        self.last_us as f64 / 1000.0
    }

    /// Longest tick, milliseconds.
    pub fn tick_max_ms(&self) -> f64 {
        self.max_us as f64 / 1000.0
    }

    /// Sum of all ticks, seconds.
    pub fn tick_sum_s(&self) -> f64 {
        self.total.mean() * self.total.len() as f64 / 1e6
    }

    /// Quantile of a stage, milliseconds.
    pub fn stage_ms(&self, stage: Stage, quantile: f64) -> f64 {
        ms(&self.stages[stage.index()], quantile)
    }

    /// Quantile of the lateness, milliseconds.
    pub fn lateness_ms(&self, quantile: f64) -> f64 {
        ms(&self.lateness, quantile)
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MICROS_MAX, 2).expect("the bounds are in order")
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(micros(time));
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(MICROS_MAX)
}

fn ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    if histogram.is_empty() { 0.0 } else { histogram.value_at_quantile(quantile) as f64 / 1000.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut meter = Meter::new();
        assert_eq!(meter.tick_ms(0.99), 0.0);
        for micros in 1..=100u64 {
            let mut times = StageTimes::default();
            times.0[2] = Duration::from_micros(micros * 10);
            meter.tick(&times);
        }
        assert!((meter.tick_ms(0.5) - 0.5).abs() < 0.01);
        assert!((meter.tick_ms(0.99) - 0.99).abs() < 0.01);
        assert_eq!(meter.tick_max_ms(), 1.0);
        assert!((meter.stage_ms(Stage::Simulate, 1.0) - 1.0).abs() < 0.01);
        assert_eq!(meter.stage_ms(Stage::Receive, 0.5), 0.0);
        assert_eq!(meter.ticks(), 100);
    }
}
