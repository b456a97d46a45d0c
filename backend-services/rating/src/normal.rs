//! The standard normal: density, distribution, quantile, and the ratio of tail to density where both vanish.
//!
//! Owns the arithmetic only; it must never know players, teams or matches.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Density of the standard normal.
pub(crate) fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

/// Distribution function of the standard normal.
pub(crate) fn distribution(x: f64) -> f64 {
    0.5 * erfc(-x * FRAC_1_SQRT_2)
}

/// Quantile of the standard normal for `p` in (0, 1): bisection to 1e-15, since it runs once a model.
pub(crate) fn quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if distribution(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Mills' ratio (1 − Φ(x)) / φ(x), which stays in range where Φ and φ do not. Below 4 from its parts; above by
/// Laplace's continued fraction 1/(x + 1/(x + 2/(x + 3/…))) (Abramowitz & Stegun 26.2.14).
pub(crate) fn mills(x: f64) -> f64 {
    if x < TAIL { distribution(-x) / density(x) } else { 1.0 / (x + tail(x)) }
}

/// The part of 1/mills(x) that exceeds x: 1/(x + 2/(x + 3/…)), for x at least [`TAIL`].
pub(crate) fn tail(x: f64) -> f64 {
    // From the far end; 50 terms are exact to a double at 4.
    let mut fraction = x;
    for k in (2..=50).rev() {
        fraction = x + f64::from(k) / fraction;
    }
    1.0 / fraction
}

/// Where the continued fraction takes over.
pub(crate) const TAIL: f64 = 4.0;

/// 1 − erf(x). Below 2.5 by the series erf(x) = 2/√π e^(−x²) Σ 2ⁿ x^(2n+1) / (2n+1)!! (Abramowitz & Stegun
/// 7.1.6, all terms positive, so nothing cancels); above by the continued fraction 7.1.14.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    let scale = (-x * x).exp() / PI.sqrt();
    if x < 2.5 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term > sum * 1e-17 {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        1.0 - 2.0 * scale * sum
    } else {
        // x + (1/2)/(x + 1/(x + (3/2)/(x + …))), from the far end; 60 terms are exact to a double at 2.5.
        let mut fraction = x;
        for k in (1..=60).rev() {
            fraction = x + f64::from(k) * 0.5 / fraction;
        }
        scale / fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_matches_tables() {
        // Values to 15 digits from standard tables of Φ.
        let table = [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_543),
            (-1.0, 0.158_655_253_931_457),
            (2.0, 0.977_249_868_051_821),
            (-3.0, 1.349_898_031_630_095e-3),
            (-5.0, 2.866_515_718_791_94e-7),
            (-10.0, 7.619_853_024_160_53e-24),
        ];
        for (x, expected) in table {
            let found = distribution(x);
            assert!((found / expected - 1.0).abs() < 1e-12, "Φ({x}) = {found}, not {expected}");
        }
    }

    #[test]
    fn both_branches_of_erfc_and_of_mills_ratio_meet() {
        let (below, above) = (erfc(2.5 - 1e-12), erfc(2.5));
        assert!((below - above).abs() < 1e-14, "{below} {above}");
        let (below, above) = (mills(TAIL - 1e-12), mills(TAIL));
        assert!((below / above - 1.0).abs() < 1e-11, "{below} {above}");
        assert!((mills(1e6) * 1e6 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_quantile_inverts_the_distribution() {
        for p in [1e-9, 0.01, 0.3, 0.5, 0.55, 0.9, 1.0 - 1e-9] {
            assert!((distribution(quantile(p)) - p).abs() < 1e-14);
        }
    }
}
