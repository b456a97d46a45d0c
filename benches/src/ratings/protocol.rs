//! How models are compared: every game is predicted before it is counted, and parameters are learned anew at
//! fixed points from the games before that point alone. So no model is scored on a game that it was tuned on.

use rating::{Calibration, Match};

use super::contestants::{Contestant, first_won};

/// One model's predictions of the games that did not end in a draw.
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) tuned: bool,
    /// The stated probability that the first player wins, and whether it came true.
    pub(super) predictions: Vec<(f64, bool)>,
    /// What was learned at the last point, for the curious.
    pub(super) last_parameters: Option<String>,
}

/// Parameters are learned when so many games have been played: chosen before any was, doubling.
pub(super) fn checkpoints(games: usize) -> Vec<usize> {
    std::iter::successors(Some(500), |at| Some(at * 2)).take_while(|at| *at < games).collect()
}

/// One model over the whole log.
pub(super) fn run(contestant: &Contestant, log: &[Match], steps: u32) -> Outcome {
    let learn_at = if contestant.tuned { checkpoints(log.len()) } else { Vec::new() };
    let mut model = contestant.start.model().expect("published numbers make sense");
    let (mut predictions, mut last_parameters) = (Vec::new(), None);
    for (index, game) in log.iter().enumerate() {
        if learn_at.contains(&index) {
            let settled = contestant.tune(&log[..index], steps);
            last_parameters = Some(format!("{settled:?}"));
            // Everybody's skill as the new numbers see it.
            model = settled.model().expect("what was learned makes sense");
            log[..index].iter().for_each(|earlier| model.count(earlier));
        }
        if let Some(won) = first_won(game) {
            predictions.push((model.ahead(game), won));
        }
        model.count(game);
    }
    Outcome { name: contestant.name.clone(), tuned: contestant.tuned, predictions, last_parameters }
}

impl Outcome {
    /// −ln of the probability given to what happened, game by game.
    pub(super) fn losses(&self) -> Vec<f64> {
        let given = |(ahead, won): &(f64, bool)| if *won { *ahead } else { 1.0 - ahead };
        self.predictions.iter().map(|prediction| -given(prediction).max(1e-15).ln()).collect()
    }

    /// How often the more probable player won; even odds are half right.
    pub(super) fn accuracy(&self) -> f64 {
        let right = |(ahead, won): &(f64, bool)| {
            if *ahead == 0.5 { 0.5 } else { f64::from(u8::from((*ahead > 0.5) == *won)) }
        };
        self.predictions.iter().map(right).sum::<f64>() / self.predictions.len().max(1) as f64
    }

    /// Stated probabilities beside what came of them.
    pub(super) fn calibration(&self, bins: usize) -> Calibration {
        let mut calibration = Calibration::new(bins);
        self.predictions.iter().for_each(|(ahead, won)| calibration.add(*ahead, *won));
        calibration
    }
}

/// A mean with its 95 % interval.
pub(super) struct Interval {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The percentile bootstrap over games (Efron & Tibshirani 1993, §13.3), the same draws for every model.
pub(super) fn bootstrap(values: &[f64], resamples: u32, seed: u64) -> Interval {
    let mut random = fastrand::Rng::with_seed(seed);
    let mean = |total: f64| total / values.len().max(1) as f64;
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| mean((0..values.len()).map(|_| values[random.usize(..values.len())]).sum()))
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let at = |quantile: f64| means[((means.len() - 1) as f64 * quantile).round() as usize];
    Interval { mean: mean(values.iter().sum()), low: at(0.025), high: at(0.975) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_learned_from_the_past_alone() {
        assert_eq!(checkpoints(6028), [500, 1000, 2000, 4000]);
        assert!(checkpoints(500).is_empty());
    }

    #[test]
    fn the_interval_of_coins_is_that_of_the_binomial() {
        let coins: Vec<f64> = (0..400).map(|toss| f64::from(toss % 2)).collect();
        let found = bootstrap(&coins, 4000, 1);
        // 1.96 · √(¼/400) = 0.049.
        assert_eq!(found.mean, 0.5);
        assert!((found.low - 0.451).abs() < 0.006 && (found.high - 0.549).abs() < 0.006);
    }
}
