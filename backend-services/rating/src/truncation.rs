//! What an observation says about one number of which a normal is believed: how far the mean moves (v) and
//! what share of the variance goes (w), as in Herbrich, Minka & Graepel, "TrueSkill: A Bayesian Skill Rating
//! System" (2006), §3, in forms that neither cancel nor divide by zero however surprising the observation.
//!
//! It must never know teams or players.

use crate::normal::{TAIL, density, distribution, mills, tail};

/// What was observed of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Observed {
    /// It exceeded this.
    Above(f64),
    /// It lay within this on either side of zero.
    Within(f64),
}

/// No result counts as more surprising than so many standard deviations.
const SURPRISE_MAX: f64 = 1e3;
/// A draw leaves an interval at least this wide, in standard deviations, so that its width divides nothing.
const MARGIN_MIN: f64 = 1e-9;
/// No observation takes more of a variance than all but this.
const KEPT_MIN: f64 = 1e-15;

/// The precision and precision-mean of the normal message that turns N(mean, variance) into the normal with
/// the mean and variance of what is left of it by the observation.
pub(crate) fn message(mean: f64, variance: f64, observed: Observed) -> (f64, f64) {
    let deviation = variance.sqrt();
    let t = (mean / deviation).clamp(-1e12, 1e12);
    let (shift, shrink) = match observed {
        Observed::Above(margin) => above((t - margin / deviation).clamp(-SURPRISE_MAX, SURPRISE_MAX)),
        Observed::Within(margin) => {
            let margin = (margin / deviation).max(MARGIN_MIN);
            within(t.clamp(-SURPRISE_MAX - margin, SURPRISE_MAX + margin), margin)
        }
    };
    let kept = variance * (1.0 - shrink).max(KEPT_MIN);
    (shrink / kept, (deviation * shift + mean * shrink) / kept)
}

/// (v, w) of exceeding zero at `t` standard deviations.
fn above(t: f64) -> (f64, f64) {
    if t > -TAIL {
        let shift = density(t) / distribution(t);
        (shift, shift * (shift + t))
    } else {
        // v + t is what 1/mills exceeds −t by: computed as such, it does not cancel.
        let excess = tail(-t);
        (excess - t, (excess - t) * excess)
    }
}

/// (v, w) of lying within `e` of zero at mean `t`, both in standard deviations.
fn within(t: f64, e: f64) -> (f64, f64) {
    let distance = t.abs();
    if e * distance.max(1.0) < 1e-3 {
        // An interval so narrow that the density on it is a line: mean t·e²/3, variance e²/3.
        let spread = e * e / 3.0;
        return (t * spread - t, 1.0 - spread);
    }
    let (near, far) = (distance - e, distance + e);
    let (shift, shrink) = if near > 0.0 {
        // Everything divided by φ(near), which may underflow; φ(far)/φ(near) = e^(−2·e·distance).
        let ratio = (-2.0 * e * distance).exp();
        let mass = mills(near) - ratio * mills(far);
        let shift = (1.0 - ratio) / mass;
        (shift, shift * shift - (near - far * ratio) / mass)
    } else {
        let mass = distribution(-near) - distribution(-far);
        let shift = (density(near) - density(far)) / mass;
        (shift, shift * shift - (near * density(near) - far * density(far)) / mass)
    };
    // Towards zero from whichever side the mean is on.
    (-shift.copysign(t), shrink.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and variance of N(t, 1) cut to (low, high), by plain summation.
    fn by_summation(t: f64, low: f64, high: f64) -> (f64, f64) {
        let (from, to) = (low.max(t - 12.0), high.min(low.max(t) + 12.0));
        let step = (to - from) / 400_000.0;
        let (mut mass, mut first, mut second) = (0.0, 0.0, 0.0);
        let mut x = from + step / 2.0;
        while x < to {
            let p = density(x - t) * step;
            mass += p;
            first += p * x;
            second += p * x * x;
            x += step;
        }
        (first / mass, second / mass - (first / mass).powi(2))
    }

    /// Mean and variance of N(t, 1) times the message.
    fn by_message(t: f64, observed: Observed) -> (f64, f64) {
        let (precision, precision_mean) = message(t, 1.0, observed);
        ((t + precision_mean) / (1.0 + precision), 1.0 / (1.0 + precision))
    }

    #[test]
    fn moments_equal_those_by_summation() {
        for t in [-9.0, -5.0, -3.9, -3.0, -0.5, 0.0, 0.5, 2.0, 6.0] {
            for margin in [1e-3, 0.1, 0.7, 3.0] {
                for (observed, low, high) in
                    [(Observed::Above(margin), margin, 99.0), (Observed::Within(margin), -margin, margin)]
                {
                    let (mean, variance) = by_message(t, observed);
                    let (true_mean, true_variance) = by_summation(t, low, high);
                    assert!((mean - true_mean).abs() < 1e-6, "{observed:?} {t}: {mean} {true_mean}");
                    assert!((variance - true_variance).abs() < 1e-6, "{observed:?} {t}: {variance}");
                }
            }
        }
    }

    #[test]
    fn any_surprise_stays_finite_and_takes_variance_away() {
        for exponent in -6..=9 {
            for t in [-1.0, 1.0].map(|sign| sign * 10_f64.powi(exponent)) {
                for margin in [0.0, 1e-12, 1e-4, 0.5, 30.0, 1e6] {
                    for observed in [Observed::Above(margin), Observed::Within(margin)] {
                        let (precision, precision_mean) = message(t, 1.0, observed);
                        assert!(precision >= 0.0 && precision.is_finite(), "{observed:?} {t} {precision}");
                        assert!(precision_mean.is_finite(), "{observed:?} {t}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_surprising_win_leaves_the_variance_of_an_exponential() {
        // Far in the tail the cut normal is exponential with rate |t|: variance 1/t².
        let (mean, variance) = by_message(-200.0, Observed::Above(0.0));
        assert!(
            (mean * 200.0 - 1.0).abs() < 1e-3 && (variance * 4e4 - 1.0).abs() < 1e-3,
            "{mean} {variance}"
        );
    }
}
