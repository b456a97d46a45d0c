//! What a result is worth to ratings: who is rated, and by how much of the match. Pure. What it is worth on the
//! boards is `earnings`' to say.

use backend_proto::{MatchResult, PlayerResult};
use rating::{Rating, TrueSkill};

use crate::ids::{MatchId, PlayerId};
use crate::store::{Outcome, RatingRow};

/// More players than any match of ours has.
pub const PLAYERS_MAX: usize = 255;
/// Whoever played less than this share of the match is taken to have played this share.
const SHARE_MIN: f64 = 0.01;

/// Why a result cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultFault {
    /// No UUID.
    #[error("match_id is not a UUID")]
    MatchId,
    /// Nobody, or more than [`PLAYERS_MAX`].
    #[error("a result has 1 to {PLAYERS_MAX} players")]
    Players,
    /// Not a player's number.
    #[error("player_id {0} is not a player's")]
    PlayerId(u64),
    /// One player twice.
    #[error("player_id {0} is listed twice")]
    Twice(u64),
    /// Places start at 1.
    #[error("placement of player {0} is missing")]
    Placement(u64),
}

/// A result that can be counted.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Which match.
    pub id: MatchId,
    /// Who, in the order of the result's entries.
    pub players: Vec<PlayerId>,
}

/// Reads a result's ids and refuses what makes no sense.
///
/// # Errors
/// What is wrong with it.
pub fn check(result: &MatchResult) -> Result<Checked, ResultFault> {
    let id = result.match_id.parse().map_err(|_| ResultFault::MatchId)?;
    if result.players.is_empty() || result.players.len() > PLAYERS_MAX {
        return Err(ResultFault::Players);
    }
    let mut players = Vec::with_capacity(result.players.len());
    for entry in &result.players {
        let player = PlayerId::new(entry.player_id).ok_or(ResultFault::PlayerId(entry.player_id))?;
        if players.contains(&player) {
            return Err(ResultFault::Twice(entry.player_id));
        }
        if entry.placement == 0 {
            return Err(ResultFault::Placement(entry.player_id));
        }
        players.push(player);
    }
    Ok(Checked { id, players })
}

/// The rating of who has played no match.
pub fn newcomer() -> RatingRow {
    RatingRow { mu: Rating::NEWCOMER.mu, sigma: Rating::NEWCOMER.sigma, matches: 0 }
}

/// What the result changes, given the players' ratings before it. Everybody plays for themselves; who never
/// came is not rated and gets no score; who quit is rated as if for the whole match.
pub fn outcome(players: &[PlayerId], entries: &[PlayerResult], before: &[RatingRow]) -> Outcome {
    let longest = entries.iter().map(seconds).fold(0.0, f64::max);
    let share = |entry: &PlayerResult| {
        if entry.quit { 1.0 } else { (seconds(entry) / longest).clamp(SHARE_MIN, 1.0) }
    };
    let present: Vec<usize> = (0..entries.len()).filter(|&index| came(&entries[index])).collect();

    let team = |&index: &usize| {
        vec![(Rating { mu: before[index].mu, sigma: before[index].sigma }, share(&entries[index]))]
    };
    let teams: Vec<Vec<(Rating, f64)>> = present.iter().map(team).collect();
    let placements: Vec<u32> = present.iter().map(|&index| entries[index].placement).collect();
    // A match of one has nothing to compare; ratings in the store are sound, so nothing else can fail.
    let after = TrueSkill::default().rate(&teams, &placements).unwrap_or_default();

    let mut outcome = Outcome::default();
    for (&index, rated) in present.iter().zip(after.iter().flatten()) {
        let row = RatingRow { mu: rated.mu, sigma: rated.sigma, matches: before[index].matches + 1 };
        outcome.ratings.push((players[index], row));
    }
    outcome
}

/// Whether the player took part at all.
pub fn came(entry: &PlayerResult) -> bool {
    entry.quit || seconds(entry) > 0.0
}

/// Time played; what is no time is none.
pub fn seconds(entry: &PlayerResult) -> f64 {
    let seconds = f64::from(entry.seconds_played);
    if seconds.is_finite() { seconds.max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(player_id: u64, placement: u32, seconds_played: f32) -> PlayerResult {
        PlayerResult {
            player_id,
            placement,
            seconds_played,
            score: 100 - i64::from(placement),
            ..Default::default()
        }
    }

    fn result(players: Vec<PlayerResult>) -> MatchResult {
        MatchResult { match_id: MatchId::random().to_string(), players, ..Default::default() }
    }

    fn counted(entries: Vec<PlayerResult>) -> Outcome {
        let result = result(entries);
        let checked = check(&result).expect("sound");
        outcome(&checked.players, &result.players, &vec![newcomer(); checked.players.len()])
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |players, fault| assert_eq!(check(&result(players)).unwrap_err(), fault);
        refused(vec![], ResultFault::Players);
        refused(vec![entry(1, 1, 1.0); 300], ResultFault::Players);
        refused(vec![entry(0, 1, 1.0)], ResultFault::PlayerId(0));
        refused(vec![entry(u64::MAX, 1, 1.0)], ResultFault::PlayerId(u64::MAX));
        refused(vec![entry(1, 1, 1.0), entry(1, 2, 1.0)], ResultFault::Twice(1));
        refused(vec![entry(1, 0, 1.0)], ResultFault::Placement(1));
        let nameless = MatchResult { match_id: "7".to_owned(), ..result(vec![entry(1, 1, 1.0)]) };
        assert_eq!(check(&nameless).unwrap_err(), ResultFault::MatchId);
    }

    #[test]
    fn ratings_follow_the_placements() {
        let outcome = counted(vec![entry(1, 2, 60.0), entry(2, 1, 60.0), entry(3, 3, 60.0)]);
        let mu: Vec<f64> = outcome.ratings.iter().map(|(_, row)| row.mu).collect();
        assert!(mu[1] > mu[0] && mu[0] > mu[2], "{mu:?}");
        assert!(outcome.ratings.iter().all(|(_, row)| row.matches == 1));
    }

    #[test]
    fn who_never_came_is_not_rated_and_who_quit_is() {
        let mut quitter = entry(3, 3, 0.0);
        quitter.quit = true;
        let outcome = counted(vec![entry(1, 1, 60.0), entry(2, 2, f32::NAN), quitter]);
        let rated: Vec<u64> = outcome.ratings.iter().map(|(player, _)| player.as_u64()).collect();
        assert_eq!(rated, [1, 3]);
        assert!(outcome.ratings[1].1.mu < 25.0);
    }

    #[test]
    fn a_match_of_one_rates_nobody() {
        assert!(counted(vec![entry(1, 1, 60.0)]).ratings.is_empty());
    }
}
