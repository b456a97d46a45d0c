//! Whether a stated 70 % comes true seven times in ten: reliability in bins, and the expected calibration
//! error. Pure counting.

use serde::{Deserialize, Serialize};

/// Predictions sorted into bins of equal width, with what came of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The bins, from 0 to 1.
    pub bins: Vec<Bin>,
}

/// Predictions of about the same probability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// How many.
    pub count: u64,
    /// Their probabilities added up.
    pub stated: f64,
    /// How many came true.
    pub happened: u64,
}

impl Bin {
    /// Mean stated probability; 0 when empty.
    pub fn stated_mean(self) -> f64 {
        if self.count == 0 { 0.0 } else { self.stated / self.count as f64 }
    }

    /// How often it came true; 0 when empty.
    pub fn frequency(self) -> f64 {
        if self.count == 0 { 0.0 } else { self.happened as f64 / self.count as f64 }
    }
}

impl Calibration {
    /// Empty bins; at least one.
    pub fn new(bins: usize) -> Self {
        Self { bins: vec![Bin::default(); bins.max(1)] }
    }

    /// Counts one prediction. What is no probability is left out.
    pub fn add(&mut self, probability: f64, happened: bool) {
        if !(0.0..=1.0).contains(&probability) {
            return;
        }
        let last = self.bins.len() - 1;
        let bin = &mut self.bins[((probability * (last + 1) as f64) as usize).min(last)];
        bin.count += 1;
        bin.stated += probability;
        bin.happened += u64::from(happened);
    }

    /// The expected calibration error: |stated − happened| of the bins' means, weighted by their counts
    /// (Naeini, Cooper & Hauskrecht 2015). 0 when empty.
    pub fn expected_error(&self) -> f64 {
        let total: u64 = self.bins.iter().map(|bin| bin.count).sum();
        let off = |bin: &Bin| bin.count as f64 * (bin.stated_mean() - bin.frequency()).abs();
        if total == 0 { 0.0 } else { self.bins.iter().map(off).sum::<f64>() / total as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn honest_predictions_have_no_error_and_boasts_have_theirs() {
        let mut honest = Calibration::new(10);
        let mut boast = Calibration::new(10);
        for game in 0..1000 {
            honest.add(0.75, game % 4 != 0);
            boast.add(0.95, game % 4 != 0);
        }
        assert!(honest.expected_error() < 1e-12);
        assert!((boast.expected_error() - 0.2).abs() < 1e-12);
        boast.add(f64::NAN, true);
        boast.add(1.0, true);
        assert_eq!(boast.bins[9].count, 1001);
        assert_eq!(Calibration::new(0).expected_error(), 0.0);
    }
}
