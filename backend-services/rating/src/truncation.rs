//! What a result says about the difference of two performances: the moments of a normal cut at the draw
//! margin. v and w as in Herbrich, Minka & Graepel, "TrueSkill: A Bayesian Skill Rating System" (2006), §3.
//!
//! It must never know teams or players; it sees one difference.

use crate::gaussian::{Gaussian, density, distribution};

/// What was observed of a difference of performances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Observed {
    /// It exceeded the draw margin.
    Above,
    /// It lay within the draw margin on either side.
    Within,
}

/// The normal closest (in mean and variance) to `cavity` restricted to what was observed.
pub(crate) fn truncate(cavity: Gaussian, observed: Observed, margin: f64) -> Gaussian {
    let root = cavity.precision.sqrt();
    let (scaled_mean, scaled_margin) = (cavity.precision_mean / root, margin * root);
    let (shift, shrink) = match observed {
        Observed::Above => above(scaled_mean - scaled_margin),
        Observed::Within => within(scaled_mean, scaled_margin),
    };
    // A shrink of 1 would claim certainty: rounding may get there when the result was all but impossible.
    let keep = (1.0 - shrink).max(1e-12);
    Gaussian {
        precision: cavity.precision / keep,
        precision_mean: (cavity.precision_mean + root * shift) / keep,
    }
}

/// (v, w) of a win at `t` standard deviations.
fn above(t: f64) -> (f64, f64) {
    let mass = distribution(t);
    let shift = if mass > 0.0 { density(t) / mass } else { -t };
    (shift, shift * (shift + t))
}

/// (v, w) of a draw at mean `t` and margin `e`, both in standard deviations.
fn within(t: f64, e: f64) -> (f64, f64) {
    let distance = t.abs();
    let (near, far) = (e - distance, -e - distance);
    let mass = distribution(near) - distribution(far);
    if mass <= 0.0 {
        // Deliberate: so far outside that the cut normal sits on the near edge.
        return (near.copysign(-t), 1.0);
    }
    let shift = (density(far) - density(near)) / mass;
    let shrink = shift * shift + (near * density(near) - far * density(far)) / mass;
    (shift.copysign(-t), shrink)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and variance of a standard normal around `t`, cut to (low, high), by plain summation.
    fn by_summation(t: f64, low: f64, high: f64) -> (f64, f64) {
        let step = 1e-4;
        let (mut mass, mut first, mut second) = (0.0, 0.0, 0.0);
        let mut x = low.max(t - 12.0) + step / 2.0;
        while x < high.min(t + 12.0) {
            let p = density(x - t) * step;
            mass += p;
            first += p * x;
            second += p * x * x;
            x += step;
        }
        (first / mass, second / mass - (first / mass).powi(2))
    }

    #[test]
    fn moments_equal_those_by_summation() {
        for t in [-3.0, -0.5, 0.0, 0.5, 2.0] {
            let cavity = Gaussian::new(t, 1.0);
            for (observed, low, high) in [(Observed::Above, 0.7, 99.0), (Observed::Within, -0.7, 0.7)] {
                let found = truncate(cavity, observed, 0.7);
                let (mean, variance) = by_summation(t, low, high);
                assert!((found.mean() - mean).abs() < 1e-6, "{observed:?} {t}: {} {mean}", found.mean());
                assert!((found.variance() - variance).abs() < 1e-6, "{observed:?} {t}");
            }
        }
    }

    #[test]
    fn an_all_but_impossible_result_stays_finite() {
        for t in [-60.0, -30.0, 30.0, 60.0] {
            for observed in [Observed::Above, Observed::Within] {
                let found = truncate(Gaussian::new(t, 1.0), observed, 0.5);
                assert!(found.mean().is_finite() && found.variance().is_finite(), "{observed:?} {t}");
            }
        }
    }
}
