//! What a result is worth on the boards: which scores it gives, and which of them wait for a human. Pure.

use std::sync::Arc;

use backend_proto::{MatchResult, PlayerResult};
use rating::Rating;

use super::rules::{Checked, came, in_mode, seconds};
use crate::clock::UnixMs;
use crate::ids::PlayerId;
use crate::leaderboards::rules::{Board, Boards, ScoreFault, Takes};
use crate::store::{HeldScore, RatingRow, ScoreWrite};

/// The scores of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earnings {
    /// Those that count.
    pub scores: Vec<ScoreWrite>,
    /// Those that wait.
    pub held: Vec<HeldScore>,
}

/// Refuses a result of which a board cannot take a score, before anything of it counts.
///
/// # Errors
/// The first score that is out of its board's range, or a malformed region.
pub fn check(boards: &Boards, checked: &Checked, result: &MatchResult) -> Result<(), ScoreFault> {
    if let Some(board) = boards.iter().next()
        && !result.region.is_empty()
    {
        board.in_region(&result.region, UnixMs(0))?;
    }
    earnings(boards, checked, result, None, &[], UnixMs(0)).map(drop)
}

/// What everybody who came earned on the boards of this mode that are open; on all boards where the mode is not
/// known. `ratings` are those after the match.
///
/// # Errors
/// As [`check`].
pub fn earnings(
    boards: &Boards,
    checked: &Checked,
    result: &MatchResult,
    mode: Option<&str>,
    ratings: &[(PlayerId, RatingRow)],
    now: UnixMs,
) -> Result<Earnings, ScoreFault> {
    let source: Arc<str> = checked.id.to_string().into();
    let mut earnings = Earnings::default();
    let of_mode = |board: &&Board| match (&board.rule.mode, mode) {
        (Some(own), Some(played)) => own == played,
        _ => true,
    };
    for board in boards.iter().filter(of_mode) {
        for (player, entry) in checked.players.iter().zip(&result.players).filter(|(_, entry)| came(entry)) {
            let after = ratings.iter().find(|(rated, _)| rated == player).map(|(_, row)| row);
            let Some(score) = taken(board, entry, after) else { continue };
            let writes = board.writes(*player, score, &result.region, &source, now)?;
            let plain = board.rule.takes != Some(Takes::Rating);
            match board.doubt(score, plain.then(|| seconds(entry))) {
                _ if !board.is_open(now) => {}
                Some(reason) => earnings.held.extend(HeldScore::of(writes, reason)),
                None => earnings.scores.extend(writes),
            }
        }
    }
    Ok(earnings)
}

fn taken(board: &Board, entry: &PlayerResult, after: Option<&RatingRow>) -> Option<i64> {
    Some(match board.rule.takes? {
        Takes::Score => entry.score,
        Takes::Kills => i64::from(entry.kills),
        Takes::Wins => i64::from(entry.placement == 1),
        Takes::Rating => {
            let after = after?;
            let shared = Rating { mu: after.mu, sigma: after.sigma };
            let rating = if board.rule.mode.is_some() { in_mode(after) } else { shared };
            (rating.conservative() * 100.0).round() as i64
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MatchId;
    use crate::matches::rules;
    use crate::store::OffsetRow;

    fn result(region: &str) -> MatchResult {
        let entry = |player_id, score, seconds_played, placement| PlayerResult {
            player_id,
            score,
            seconds_played,
            placement,
            ..PlayerResult::default()
        };
        MatchResult {
            match_id: MatchId::random().to_string(),
            players: vec![entry(1, 90, 60.0, 1), entry(2, 40, 0.0, 2), entry(3, 7000, 10.0, 3)],
            region: region.to_owned(),
            ..MatchResult::default()
        }
    }

    fn boards() -> Boards {
        let json = r#"[
            { "name": "points", "keep": "best", "takes": "score", "by_region": true,
              "review": { "per_second_above": 100.0 } },
            { "name": "rating", "keep": "set", "takes": "rating" },
            { "name": "ctf-rating", "keep": "set", "takes": "rating", "mode": "ctf" },
            { "name": "duels", "keep": "incr", "takes": "wins", "mode": "duel" },
            { "name": "wins", "keep": "incr", "takes": "wins" },
            { "name": "over", "keep": "best", "takes": "score", "closes_unix_ms": 5 },
            { "name": "named", "keep": "best" }
        ]"#;
        Boards::parse(json).expect("sound")
    }

    #[test]
    fn who_came_earns_on_open_boards_and_the_incredible_waits() {
        let result = result("eu");
        let checked = rules::check(&result).expect("sound");
        let rated = RatingRow {
            mu: 30.0,
            sigma: 4.0,
            matches: 1,
            played: UnixMs(9),
            offset: Some(OffsetRow { mu: 2.0, sigma: 3.0, matches: 1 }),
        };
        let earned =
            earnings(&boards(), &checked, &result, Some("ctf"), &[(checked.players[0], rated)], UnixMs(9));
        let earned = earned.expect("in range");
        let rows: Vec<(&str, u64, i64)> = earned
            .scores
            .iter()
            .map(|write| (&*write.board.name, write.player.as_u64(), write.value))
            .collect();
        assert_eq!(
            rows,
            [
                ("points", 1, 90),
                ("points@eu", 1, 90),
                ("rating", 1, 1800),
                ("ctf-rating", 1, 1700),
                ("wins", 1, 1),
                ("wins", 3, 0)
            ]
        );
        let held: Vec<(&str, u64)> =
            earned.held.iter().map(|held| (&*held.write.board.name, held.write.player.as_u64())).collect();
        assert_eq!(held, [("points", 3), ("points@eu", 3)]);
    }

    #[test]
    fn what_no_board_can_take_is_refused_before_it_counts() {
        let checked = |result: &MatchResult| rules::check(result).expect("sound");
        let bad = result("Europe!");
        assert_eq!(check(&boards(), &checked(&bad), &bad), Err(ScoreFault::Region));
        let mut bad = result("");
        bad.players[0].score = i64::MAX;
        assert!(matches!(check(&boards(), &checked(&bad), &bad), Err(ScoreFault::Range { .. })));
        assert_eq!(check(&boards(), &checked(&result("")), &result("")), Ok(()));
    }
}
