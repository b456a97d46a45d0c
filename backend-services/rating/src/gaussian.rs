//! Normal distributions in natural parameters, and the normal's density, distribution and quantile.
//!
//! Owns the arithmetic only; it must never know players, teams or matches.

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::ops::{Div, Mul};

/// A (possibly improper) normal distribution as precision π = 1/σ² and precision-mean τ = μ/σ²: products and
/// quotients of densities are then sums and differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Gaussian {
    pub(crate) precision: f64,
    pub(crate) precision_mean: f64,
}

impl Gaussian {
    /// Says nothing: the neutral element of the product.
    pub(crate) const UNIFORM: Self = Self { precision: 0.0, precision_mean: 0.0 };

    pub(crate) fn new(mean: f64, variance: f64) -> Self {
        Self { precision: 1.0 / variance, precision_mean: mean / variance }
    }

    pub(crate) fn mean(self) -> f64 {
        if self.precision == 0.0 { 0.0 } else { self.precision_mean / self.precision }
    }

    /// Infinite where nothing is known.
    pub(crate) fn variance(self) -> f64 {
        1.0 / self.precision
    }

    /// How far two messages are apart, on the scale that TrueSkill's stopping rule uses.
    pub(crate) fn distance(self, other: Self) -> f64 {
        let by_mean = (self.precision_mean - other.precision_mean).abs();
        let by_precision = (self.precision - other.precision).abs();
        if by_precision.is_infinite() { 0.0 } else { by_mean.max(by_precision.sqrt()) }
    }
}

impl Mul for Gaussian {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self {
            precision: self.precision + other.precision,
            precision_mean: self.precision_mean + other.precision_mean,
        }
    }
}

impl Div for Gaussian {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        Self {
            precision: self.precision - other.precision,
            precision_mean: self.precision_mean - other.precision_mean,
        }
    }
}

/// Density of the standard normal.
pub(crate) fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

/// Distribution function of the standard normal.
pub(crate) fn distribution(x: f64) -> f64 {
    0.5 * erfc(-x * FRAC_1_SQRT_2)
}

/// Quantile of the standard normal for `p` in (0, 1): bisection to 1e-15, since it runs once a match.
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
    fn both_branches_of_erfc_meet() {
        let (below, above) = (erfc(2.5 - 1e-12), erfc(2.5));
        assert!((below - above).abs() < 1e-14, "{below} {above}");
    }

    #[test]
    fn the_quantile_inverts_the_distribution() {
        for p in [1e-9, 0.01, 0.3, 0.5, 0.55, 0.9, 1.0 - 1e-9] {
            assert!((distribution(quantile(p)) - p).abs() < 1e-14);
        }
    }
}
