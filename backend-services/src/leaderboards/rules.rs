//! Which boards there are and what may stand on them. Pure.

use crate::store::Operator;

/// A board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoardRule {
    /// Its name in paths.
    pub name: &'static str,
    /// How a new score meets the old one. Higher ranks first on all boards so far.
    pub operator: Operator,
}

/// A player's best score in one match.
pub const ARENA_SCORE: BoardRule = BoardRule { name: "arena-score", operator: Operator::Best };
/// A player's conservative rating (μ − 3σ), in hundredths of a point.
pub const ARENA_RATING: BoardRule = BoardRule { name: "arena-rating", operator: Operator::Set };

const BOARDS: [BoardRule; 2] = [ARENA_SCORE, ARENA_RATING];

/// Scores beyond ±2^53 are cut to it: a Redis score, a double, holds no more exactly.
const SCORE_LIMIT: i64 = 1 << 53;
/// Rows in one answer.
pub const ROWS_MAX: u64 = 100;
/// Rows unless asked otherwise.
pub const ROWS_DEFAULT: u64 = 10;
/// Rows on either side of the player, at most.
pub const RADIUS_MAX: u64 = 50;
/// Rows on either side unless asked otherwise.
pub const RADIUS_DEFAULT: u64 = 5;

/// The board of this name.
pub fn board(name: &str) -> Option<BoardRule> {
    BOARDS.into_iter().find(|board| board.name == name)
}

/// The score as a board can hold it.
pub fn fit_score(score: i64) -> i64 {
    score.clamp(-SCORE_LIMIT, SCORE_LIMIT)
}

/// Which rows stand around `rank` (1 is first): how many to skip, how many to take.
pub fn around(rank: u64, radius: u64) -> (u64, u64) {
    let skip = (rank - 1).saturating_sub(radius);
    (skip, rank - 1 - skip + 1 + radius)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_around_a_rank_is_cut_at_the_top_only() {
        for (rank, radius, expected) in
            [(1, 5, (0, 6)), (3, 5, (0, 8)), (6, 5, (0, 11)), (7, 5, (1, 11)), (1, 0, (0, 1))]
        {
            assert_eq!(around(rank, radius), expected, "rank {rank} radius {radius}");
        }
    }

    #[test]
    fn scores_fit_a_double() {
        for score in [i64::MIN, -SCORE_LIMIT, 0, SCORE_LIMIT, i64::MAX] {
            let fitted = fit_score(score);
            assert_eq!(fitted as f64 as i64, fitted);
        }
    }
}
