//! Glicko-2 (Glickman, "Example of the Glicko-2 system", 2013 revision), each game a rating period of its own for its two
//! players, which is how it is used online.

use std::collections::HashMap;
use std::f64::consts::PI;

/// What the system leaves to choose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// A newcomer's deviation, in points.
    pub(super) deviation: f64,
    /// A newcomer's volatility.
    pub(super) volatility: f64,
    /// How much volatility may change (τ).
    pub(super) tau: f64,
}

impl Settings {
    pub(super) const PUBLISHED: Self = Self { deviation: 350.0, volatility: 0.06, tau: 0.5 };
}

/// Ratings by player.
#[derive(Clone, Debug)]
pub(super) struct Glicko2 {
    settings: Settings,
    players: HashMap<u64, Player>,
}

/// On the system's inner scale.
#[derive(Clone, Copy, Debug)]
struct Player {
    mu: f64,
    phi: f64,
    sigma: f64,
}

/// Points to the inner scale.
const SCALE: f64 = 173.7178;
/// Volatility is found this exactly.
const CLOSE: f64 = 1e-6;
/// Steps of that search at most.
const STEPS_MAX: u32 = 100;

impl Glicko2 {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, players: HashMap::new() }
    }

    fn player(&self, player: u64) -> Player {
        let Settings { deviation, volatility, .. } = self.settings;
        let newcomer = Player { mu: 0.0, phi: deviation / SCALE, sigma: volatility };
        self.players.get(&player).copied().unwrap_or(newcomer)
    }

    /// With both deviations taken into account, as for Glicko's predictions.
    pub(super) fn ahead(&self, first: u64, second: u64) -> f64 {
        let (a, b) = (self.player(first), self.player(second));
        expected(a.mu - b.mu, a.phi.hypot(b.phi))
    }

    /// `score` is the first player's: 1, ½ or 0.
    pub(super) fn count(&mut self, first: u64, second: u64, score: f64) {
        let (a, b) = (self.player(first), self.player(second));
        self.players.insert(first, self.after(a, b, score));
        self.players.insert(second, self.after(b, a, 1.0 - score));
    }

    /// Steps 3 to 7 of the paper for one opponent.
    fn after(&self, own: Player, other: Player, score: f64) -> Player {
        let g = weight(other.phi);
        let e = expected(own.mu - other.mu, other.phi);
        let v = 1.0 / (g * g * e * (1.0 - e)).max(1e-12);
        let surprise = g * (score - e);
        let sigma = self.volatility(own, v, v * surprise);
        let phi_star = own.phi.hypot(sigma);
        let phi = 1.0 / (1.0 / (phi_star * phi_star) + 1.0 / v).sqrt();
        Player { mu: own.mu + phi * phi * surprise, phi, sigma }
    }

    /// Step 5: the Illinois method.
    fn volatility(&self, own: Player, v: f64, delta: f64) -> f64 {
        let (a, tau) = ((own.sigma * own.sigma).ln(), self.settings.tau);
        let spread = own.phi * own.phi + v;
        let f = |x: f64| {
            let grown = spread + x.exp();
            x.exp() * (delta * delta - grown) / (2.0 * grown * grown) - (x - a) / (tau * tau)
        };
        let mut low = a;
        let mut high = if delta * delta > spread {
            (delta * delta - spread).ln()
        } else {
            let mut k = 1.0;
            while f(a - k * tau) < 0.0 && k < f64::from(STEPS_MAX) {
                k += 1.0;
            }
            a - k * tau
        };
        let (mut f_low, mut f_high) = (f(low), f(high));
        for _ in 0..STEPS_MAX {
            if (high - low).abs() <= CLOSE {
                break;
            }
            let next = low + (low - high) * f_low / (f_high - f_low);
            let f_next = f(next);
            if f_next * f_high <= 0.0 {
                (low, f_low) = (high, f_high);
            } else {
                f_low /= 2.0;
            }
            (high, f_high) = (next, f_next);
        }
        (low / 2.0).exp()
    }
}

fn weight(phi: f64) -> f64 {
    1.0 / (1.0 + 3.0 * phi * phi / (PI * PI)).sqrt()
}

fn expected(ahead: f64, phi: f64) -> f64 {
    1.0 / (1.0 + (-weight(phi) * ahead).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volatility_of_the_papers_example() {
        // The example has three games in one period: v = 1.7790, Δ = −0.4834, σ' = 0.05999.
        let glicko = Glicko2::new(Settings { deviation: 200.0, ..Settings::PUBLISHED });
        let own = Player { mu: 0.0, phi: 200.0 / SCALE, sigma: 0.06 };
        assert!((glicko.volatility(own, 1.7790, -0.4834) - 0.059_99).abs() < 1e-5);
        assert!((weight(30.0 / SCALE) - 0.9955).abs() < 1e-4);
        assert!((expected(-0.5756 + 0.0, 30.0 / SCALE) - 0.361).abs() < 1e-2);
    }

    #[test]
    fn a_win_raises_the_rating_and_narrows_it() {
        let mut glicko = Glicko2::new(Settings::PUBLISHED);
        glicko.count(1, 2, 1.0);
        assert!(glicko.ahead(1, 2) > 0.6);
        assert!(glicko.player(1).phi < 350.0 / SCALE);
    }
}
