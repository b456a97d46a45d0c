//! How long ticks take and how late they start. Owns the histograms; must never read a clock.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::stage::{Stage, StageTimes};

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
        }
    }

    /// A tick ran.
    pub fn tick(&mut self, times: &StageTimes) {
        record(&mut self.total, times.total());
        self.last_us = micros(times.total());
        self.max_us = self.max_us.max(self.last_us);
        for (histogram, time) in self.stages.iter_mut().zip(times.0) {
            record(histogram, time);
        }
    }

    /// A tick started this long after its deadline.
    pub fn late(&mut self, lateness: Duration) {
        record(&mut self.lateness, lateness);
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
