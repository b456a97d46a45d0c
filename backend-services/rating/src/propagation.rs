//! Expectation propagation over numbers with a joint normal belief, each observation being of a weighted sum
//! of them. It must never know what the numbers or the sums stand for.
//!
//! Minka, "Expectation Propagation for Approximate Bayesian Inference" (2001): an observation that is not
//! normal is stood in for by a normal message along its sum, chosen so that the belief's moments along that
//! sum are right given all other messages; the messages are renewed in turn until they rest. All linear parts
//! of the graph are exact here, because the belief keeps its whole covariance; for TrueSkill's chain of teams,
//! which is a tree, that is the fixed point of its message passing too.

use crate::truncation::{Observed, message};

/// What is known of a sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Evidence {
    /// The sum, blurred by the noise, was this.
    Value(f64),
    /// The sum, blurred by the noise, was in a range.
    Range(Observed),
}

/// One observation.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Which numbers make the sum, and their weights.
    pub(crate) weights: Vec<(usize, f64)>,
    /// Variance of the noise that is added to the sum before it is observed; positive for a value.
    pub(crate) noise: f64,
    /// What was observed.
    pub(crate) evidence: Evidence,
}

/// When the sweeps end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    /// Messages that move less than this (relative to the belief's own width) rest.
    pub(crate) tolerance: f64,
    /// The sweeps end after so many in any case.
    pub(crate) sweeps_max: u32,
}

/// A joint normal belief.
#[derive(Clone, Debug)]
pub(crate) struct Belief {
    mean: Vec<f64>,
    /// Row by row; kept symmetric.
    covariance: Vec<f64>,
    /// Covariance of every number with the sum at hand.
    with_sum: Vec<f64>,
}

/// The normal stand-in of one observation: precision and precision-mean of its sum.
#[derive(Clone, Copy, Debug, Default)]
struct Message {
    precision: f64,
    precision_mean: f64,
}

impl Belief {
    /// Independent numbers with these means and variances.
    pub(crate) fn new(prior: &[(f64, f64)]) -> Self {
        let n = prior.len();
        let mut belief = Self {
            mean: prior.iter().map(|(mean, _)| *mean).collect(),
            covariance: vec![0.0; n * n],
            with_sum: vec![0.0; n],
        };
        for (index, (_, variance)) in prior.iter().enumerate() {
            belief.covariance[index * n + index] = *variance;
        }
        belief
    }

    /// Mean and variance of one number.
    pub(crate) fn marginal(&self, index: usize) -> (f64, f64) {
        (self.mean[index], self.covariance[index * self.mean.len() + index])
    }

    /// Mean and variance of the sum; leaves its covariance with every number in `with_sum`.
    fn sum(&mut self, weights: &[(usize, f64)]) -> (f64, f64) {
        let n = self.mean.len();
        self.with_sum.fill(0.0);
        for &(index, weight) in weights {
            let row = &self.covariance[index * n..(index + 1) * n];
            for (total, covariance) in self.with_sum.iter_mut().zip(row) {
                *total += weight * covariance;
            }
        }
        let along = |values: &[f64]| weights.iter().map(|&(index, weight)| weight * values[index]).sum();
        (along(&self.mean), along(&self.with_sum))
    }

    /// Multiplies the belief by a message along the sum that [`Self::sum`] looked at last.
    fn absorb(&mut self, change: Message, mean: f64, variance: f64) {
        let gain = 1.0 + change.precision * variance;
        let (by_mean, by_covariance) =
            ((change.precision_mean - change.precision * mean) / gain, change.precision / gain);
        let n = self.mean.len();
        for (row, covariance) in self.covariance.chunks_exact_mut(n).enumerate() {
            self.mean[row] += by_mean * self.with_sum[row];
            let factor = by_covariance * self.with_sum[row];
            for (entry, with_sum) in covariance.iter_mut().zip(&self.with_sum) {
                *entry -= factor * with_sum;
            }
        }
    }
}

/// The belief after the observations, from independent numbers with these means and variances.
pub(crate) fn propagate(prior: &[(f64, f64)], sites: &[Site], rest: Rest) -> Belief {
    let mut start = Belief::new(prior);
    for site in sites {
        if let Evidence::Value(value) = site.evidence {
            let (mean, variance) = start.sum(&site.weights);
            let message = Message { precision: 1.0 / site.noise, precision_mean: value / site.noise };
            start.absorb(message, mean, variance);
        }
    }
    let ranges: Vec<(&Site, Observed)> = sites.iter().filter_map(range).collect();
    let mut messages = vec![Message::default(); ranges.len()];
    let mut belief = start.clone();
    for _ in 0..rest.sweeps_max {
        let mut moved: f64 = 0.0;
        let there = 0..ranges.len();
        let back = (0..ranges.len().saturating_sub(1)).rev();
        for index in there.chain(back) {
            moved = moved.max(renew(&mut belief, ranges[index], &mut messages[index]));
        }
        // A single observation is right at once; so is one that moves nothing more.
        if ranges.len() < 2 || moved <= rest.tolerance {
            break;
        }
        // From the start again with the same messages: rounding does not pile up over the sweeps.
        belief.clone_from(&start);
        for ((site, _), message) in ranges.iter().zip(&messages) {
            let (mean, variance) = belief.sum(&site.weights);
            belief.absorb(*message, mean, variance);
        }
    }
    belief
}

fn range(site: &Site) -> Option<(&Site, Observed)> {
    match site.evidence {
        Evidence::Value(_) => None,
        Evidence::Range(observed) => Some((site, observed)),
    }
}

/// Renews one message; says how far it moved the belief, in standard deviations of the sum.
fn renew(belief: &mut Belief, (site, observed): (&Site, Observed), message_now: &mut Message) -> f64 {
    let (mean, variance) = belief.sum(&site.weights);
    let others = 1.0 / variance - message_now.precision;
    // Rounding alone can take all precision away; the message then stays as it is.
    if !(others > 0.0 && others.is_finite()) {
        return 0.0;
    }
    let (others_mean, others_variance) =
        ((mean / variance - message_now.precision_mean) / others, 1.0 / others);
    let (precision, precision_mean) = message(others_mean, others_variance + site.noise, observed);
    // The noise widens what the observation says of the sum.
    let blur = 1.0 + site.noise * precision;
    let renewed = Message { precision: precision / blur, precision_mean: precision_mean / blur };
    let change = Message {
        precision: renewed.precision - message_now.precision,
        precision_mean: renewed.precision_mean - message_now.precision_mean,
    };
    belief.absorb(change, mean, variance);
    *message_now = renewed;
    let moved_mean = (change.precision_mean - change.precision * mean).abs() * variance.sqrt();
    moved_mean.max((change.precision * variance).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Rest = Rest { tolerance: 1e-12, sweeps_max: 200 };

    #[test]
    fn observed_values_equal_regression() {
        // x ~ N(0, 1), y ~ N(0, 4); x + y was 3 with noise 1: the gain is 1/6 for x and 4/6 for y.
        let site = Site { weights: vec![(0, 1.0), (1, 1.0)], noise: 1.0, evidence: Evidence::Value(3.0) };
        let belief = propagate(&[(0.0, 1.0), (0.0, 4.0)], &[site], REST);
        let near = |found: (f64, f64), mean: f64, variance: f64| {
            assert!((found.0 - mean).abs() < 1e-12 && (found.1 - variance).abs() < 1e-12, "{found:?}");
        };
        near(belief.marginal(0), 0.5, 1.0 - 1.0 / 6.0);
        near(belief.marginal(1), 2.0, 4.0 - 16.0 / 6.0);
    }

    #[test]
    fn ranges_agree_with_a_fine_grid() {
        // x, y ~ N(0, 1); x − y > 0.2, and x blurred by N(0, 0.5) below 0.1 (as −x above −0.1).
        let weights = |pairs: &[(usize, f64)]| pairs.to_vec();
        let sites = [
            Site {
                weights: weights(&[(0, 1.0), (1, -1.0)]),
                noise: 0.0,
                evidence: Evidence::Range(Observed::Above(0.2)),
            },
            Site {
                weights: weights(&[(0, -1.0)]),
                noise: 0.5,
                evidence: Evidence::Range(Observed::Above(-0.1)),
            },
        ];
        let belief = propagate(&[(0.0, 1.0), (0.0, 1.0)], &sites, REST);
        let (mut mass, mut mean_x, mut mean_y) = (0.0, 0.0, 0.0);
        for i in -500..=500 {
            for j in -500..=500 {
                let (x, y) = (f64::from(i) * 0.01, f64::from(j) * 0.01);
                if x - y > 0.2 {
                    let blurred = crate::normal::distribution((0.1 - x) / 0.5_f64.sqrt());
                    let p = crate::normal::density(x) * crate::normal::density(y) * blurred;
                    (mass, mean_x, mean_y) = (mass + p, mean_x + p * x, mean_y + p * y);
                }
            }
        }
        // Expectation propagation is not exact for two cuts that share a number; it is close.
        let (x, y) = (belief.marginal(0).0, belief.marginal(1).0);
        assert!((x - mean_x / mass).abs() < 0.02 && (y - mean_y / mass).abs() < 0.02, "{x} {y}");
    }
}
