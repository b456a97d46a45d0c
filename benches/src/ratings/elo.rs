//! Elo's rating (Elo, "The Rating of Chessplayers", 1978): 1500 to begin with, logistic with 400 points to
//! tenfold odds, moved by K times the surprise; a draw is half a win.

use std::collections::HashMap;

/// Ratings by player.
#[derive(Clone, Debug)]
pub(super) struct Elo {
    k: f64,
    ratings: HashMap<u64, f64>,
}

const NEWCOMER: f64 = 1500.0;

impl Elo {
    pub(super) fn new(k: f64) -> Self {
        Self { k, ratings: HashMap::new() }
    }

    fn rating(&self, player: u64) -> f64 {
        self.ratings.get(&player).copied().unwrap_or(NEWCOMER)
    }

    pub(super) fn ahead(&self, first: u64, second: u64) -> f64 {
        1.0 / (1.0 + 10_f64.powf((self.rating(second) - self.rating(first)) / 400.0))
    }

    /// `score` is the first player's: 1, ½ or 0.
    pub(super) fn count(&mut self, first: u64, second: u64, score: f64) {
        let moved = self.k * (score - self.ahead(first, second));
        let (a, b) = (self.rating(first) + moved, self.rating(second) - moved);
        self.ratings.insert(first, a);
        self.ratings.insert(second, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_win_moves_half_of_k() {
        let mut elo = Elo::new(32.0);
        elo.count(1, 2, 1.0);
        assert_eq!((elo.rating(1), elo.rating(2)), (1516.0, 1484.0));
        assert!((elo.ahead(1, 2) - 0.545_922_1).abs() < 1e-6);
    }
}
