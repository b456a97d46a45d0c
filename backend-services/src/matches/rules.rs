//! What a result is worth to ratings: who is rated, and by how much of the match. Pure. What it is worth on the
//! boards is `earnings`' to say.

use backend_proto::{MatchResult, PlayerResult};
use rating::{Appearance, Match, Rating, Skill, Team, TrueSkill2};

use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId};
use crate::store::{Outcome, RatingRow};

/// More players than any match of ours has.
pub const PLAYERS_MAX: usize = 255;
/// The arena's name in the match log. All matches move one skill.
const MODE: &str = "arena";

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
    let Rating { mu, sigma } = Rating::NEWCOMER;
    RatingRow { mu, sigma, matches: 0, played: UnixMs(0) }
}

/// The result as the rating model sees it, and as the match log keeps it. Everybody plays for himself; who never
/// came is not in it. `ended` is when the result was counted: that clock is our own.
pub fn rated_match(id: MatchId, entries: &[PlayerResult], ended: UnixMs) -> Match {
    let longest = entries.iter().map(seconds).fold(0.0, f64::max);
    let team = |entry: &PlayerResult| Team {
        placement: entry.placement,
        players: vec![Appearance {
            player: entry.player_id,
            seconds: seconds(entry),
            squad: 1,
            kills: Some(entry.kills),
            deaths: Some(entry.deaths),
            quit: entry.quit,
        }],
    };
    Match {
        id: id.to_string(),
        mode: MODE.to_owned(),
        ended_unix_ms: ended.0,
        seconds: longest,
        teams: entries.iter().filter(|entry| came(entry)).map(team).collect(),
    }
}

/// What the result does to ratings, given those of `checked.players` before it. A match of one rates nobody.
pub fn outcome(
    model: &TrueSkill2,
    checked: &Checked,
    entries: &[PlayerResult],
    before: &[RatingRow],
    now: UnixMs,
) -> Outcome {
    let game = rated_match(checked.id, entries, now);
    let present = checked.players.iter().zip(entries).zip(before).filter(|((_, entry), _)| came(entry));
    let rows: Vec<(PlayerId, RatingRow)> = present.map(|((player, _), row)| (*player, *row)).collect();
    let skills: Vec<Vec<Skill>> = rows.iter().map(|(_, row)| vec![skill(row)]).collect();
    // A match of one has nothing to compare; ratings in the store are sound, so nothing else can fail.
    let after = model.rate(&game, &skills).unwrap_or_default();
    let rated = rows.iter().zip(after.into_iter().flatten()).map(|((player, row), skill)| {
        let Rating { mu, sigma } = skill.base;
        let played = skill.played_unix_ms.map_or(row.played, UnixMs);
        (*player, RatingRow { mu, sigma, matches: row.matches + 1, played })
    });
    Outcome { ratings: rated.collect(), ..Outcome::default() }
}

fn skill(row: &RatingRow) -> Skill {
    Skill {
        matches: u32::try_from(row.matches).unwrap_or(u32::MAX),
        played_unix_ms: (row.played.0 != 0).then_some(row.played.0),
        ..Skill::of(Rating { mu: row.mu, sigma: row.sigma })
    }
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
    use rating::{Count, Ledger, Parameters};

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

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn model() -> TrueSkill2 {
        TrueSkill2::new(Parameters::default()).expect("the published parameters make sense")
    }

    fn counted(entries: Vec<PlayerResult>) -> Outcome {
        let result = result(entries);
        let checked = check(&result).expect("sound");
        outcome(&model(), &checked, &result.players, &vec![newcomer(); checked.players.len()], NOW)
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
        assert!(outcome.ratings.iter().all(|(_, row)| row.matches == 1 && row.played == NOW));
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

    #[test]
    fn the_log_replayed_gives_the_ratings_that_the_store_holds() {
        let mut parameters = Parameters { drift_per_minute: 0.02, ..Parameters::default() };
        parameters.mode.kills = Some(Count { rate: 4.0, own: 0.2, opponent: -0.2, variance: 3.0 });
        let model = TrueSkill2::new(parameters).expect("sound");
        let mut stored = [newcomer(); 4];
        let mut ledger = Ledger::new(model.clone());
        for round in 0..20_u32 {
            let mut entries: Vec<PlayerResult> =
                (0..4).map(|seat| entry(u64::from(seat) + 1, (seat + round) % 4 + 1, 61.7)).collect();
            entries[0].seconds_played = 7.3 * f32::from(u8::from(!round.is_multiple_of(3)));
            entries[1].quit = round.is_multiple_of(5);
            entries.iter_mut().for_each(|entry| entry.kills = (entry.placement * 7 + round) % 6);
            let result = result(entries);
            let checked = check(&result).expect("sound");
            let now = UnixMs(NOW.0 + i64::from(round) * 1_234_567);
            for (player, row) in outcome(&model, &checked, &result.players, &stored, now).ratings {
                stored[usize::try_from(player.as_u64()).expect("small") - 1] = row;
            }
            let line = serde_json::to_string(&rated_match(checked.id, &result.players, now)).expect("JSON");
            assert!(ledger.count(&serde_json::from_str(&line).expect("our own line")).expect("sound"));
        }
        for (player, skill) in ledger.skills() {
            let row = stored[usize::try_from(player).expect("small") - 1];
            assert_eq!(
                (skill.base.mu.to_bits(), skill.base.sigma.to_bits()),
                (row.mu.to_bits(), row.sigma.to_bits())
            );
        }
        assert_eq!(ledger.skills().count(), 4);
    }
}
