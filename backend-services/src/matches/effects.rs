//! All that a result changes, from what there was before it: ratings, boards, careers, and what each player is told of
//! it. Pure, so that the log replayed gives the same again.

use backend_proto::{MatchResult, PlayerResult};
use rating::TrueSkill2;

use super::earnings::{self, Earnings, earnings};
use super::rules::{self, Checked, came, in_mode};
use crate::api::{PlayerOutcome, Rating, RatingChange};
use crate::ids::PlayerId;
use crate::leaderboards::rules::{Boards, ScoreFault};
use crate::progression::career::{Gain, advance};
use crate::progression::rules::Rules;
use crate::store::{Before, Outcome, RatingRow};

/// The rules by which results count.
#[derive(Clone, Debug)]
pub struct Judge {
    /// Of ratings.
    pub model: TrueSkill2,
    /// Of boards.
    pub boards: Boards,
    /// Of experience and achievements.
    pub progression: Rules,
}

impl Judge {
    /// Refuses a result of which a board cannot take a score, before anything of it counts.
    ///
    /// # Errors
    /// As [`earnings::check`].
    pub fn check(&self, checked: &Checked, result: &MatchResult) -> Result<(), ScoreFault> {
        earnings::check(&self.boards, checked, result)
    }

    /// What the result changes.
    pub fn outcome(&self, checked: &Checked, result: &MatchResult, before: &Before) -> Outcome {
        let Before { mode, at, ratings: rows, careers } = before;
        let ratings = rules::rate(&self.model, checked, mode, &result.players, rows, *at);
        // Ratings fit every board and the rest was checked before: there is no fault left.
        let earned = earnings(&self.boards, checked, result, Some(mode), &ratings, *at).unwrap_or_default();
        let mut outcome = Outcome { ratings, ..Outcome::default() };
        for (index, (player, entry)) in checked.players.iter().zip(&result.players).enumerate() {
            let (true, Some(career)) = (came(entry), careers.get(index)) else { continue };
            let mut career = career.clone();
            let gain = advance(&self.progression, &mut career, entry, mode, *at);
            let after = outcome.ratings.iter().find(|(rated, _)| rated == player).map(|(_, row)| row);
            let rating = rows.get(index).zip(after).map(|(before, after)| change(before, after));
            outcome.reports.push((*player, report(mode, *player, entry, rating, gain, &earned)));
            outcome.careers.push((*player, career));
        }
        (outcome.scores, outcome.held) = (earned.scores, earned.held);
        let entries = checked.players.iter().zip(&result.players);
        let told = |(player, entry): (&PlayerId, &PlayerResult)| {
            let player = *player;
            entry
                .suspicions
                .clone()
                .into_iter()
                .map(move |told| (player, told.kind, told.count))
                .collect::<Vec<_>>()
        };
        outcome.suspicions = entries.flat_map(told).collect();
        outcome
    }
}

fn change(before: &RatingRow, after: &RatingRow) -> RatingChange {
    let shown = |row: &RatingRow| {
        let rating = in_mode(row);
        let matches = u32::try_from(row.matches).unwrap_or(u32::MAX);
        Rating { mu: rating.mu, sigma: rating.sigma, matches }
    };
    RatingChange { before: shown(before), after: shown(after) }
}

fn report(
    mode: &str,
    player: PlayerId,
    entry: &PlayerResult,
    rating: Option<RatingChange>,
    gain: Gain,
    earned: &Earnings,
) -> String {
    let own = earned.scores.iter().filter(|write| write.player == player);
    let boards = own.map(|write| write.board.name.to_string()).filter(|name| !name.contains('@'));
    let told = PlayerOutcome {
        mode: mode.to_owned(),
        placement: entry.placement,
        score: entry.score,
        rating,
        experience: gain.experience,
        level_before: gain.level_before,
        level_after: gain.level_after,
        achievements: gain.unlocked,
        boards: boards.collect(),
    };
    serde_json::to_string(&told).expect("an outcome is plain JSON")
}
