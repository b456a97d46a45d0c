//! What a result is worth to ratings: who is rated, with whom, and by how much of the match. Pure. What it is worth
//! on the boards is `earnings`' to say.

use backend_proto::{MatchResult, PlayerResult};
use rating::{Appearance, Match, Rating, Skill, Team, TrueSkill2};

use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId};
use crate::store::{OffsetRow, RatingRow};

/// More players than any match of ours has.
pub const PLAYERS_MAX: usize = 255;
/// Teams are numbered from 0 to this.
const TEAM_MAX: u32 = 255;

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
    /// No team of 0 to 255, or one where others have none.
    #[error("team of player {0} is missing or none")]
    Team(u64),
    /// Too many kinds, or one without a name.
    #[error("suspicions of player {0} have at most {SUSPICIONS_MAX} kinds of 1 to 32 a-z and _")]
    Suspicion(u64),
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
    let teams = result.players[0].team.is_some();
    for entry in &result.players {
        let player = PlayerId::new(entry.player_id).ok_or(ResultFault::PlayerId(entry.player_id))?;
        if players.contains(&player) {
            return Err(ResultFault::Twice(entry.player_id));
        }
        if entry.placement == 0 {
            return Err(ResultFault::Placement(entry.player_id));
        }
        if entry.team.is_some() != teams || entry.team.is_some_and(|team| team > TEAM_MAX) {
            return Err(ResultFault::Team(entry.player_id));
        }
        if entry.suspicions.len() > SUSPICIONS_MAX || entry.suspicions.iter().any(|told| !is_kind(&told.kind))
        {
            return Err(ResultFault::Suspicion(entry.player_id));
        }
        players.push(player);
    }
    Ok(Checked { id, players })
}

fn is_kind(kind: &str) -> bool {
    (1..=32).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Kinds of suspicion that one player's result may name.
const SUSPICIONS_MAX: usize = 16;

/// The rating of who has played no match.
pub fn newcomer() -> RatingRow {
    let Rating { mu, sigma } = Rating::NEWCOMER;
    RatingRow { mu, sigma, matches: 0, played: UnixMs(0), offset: None }
}

/// The result as the rating model sees it, and as the match log keeps it: teams in the order of their first player,
/// a team where the result knows none for each player. Who never came is not in it. `ended` is when the result was
/// counted: that clock is our own.
pub fn rated_match(id: MatchId, mode: &str, entries: &[PlayerResult], ended: UnixMs) -> Match {
    let present: Vec<&PlayerResult> = entries.iter().filter(|entry| came(entry)).collect();
    let mut teams: Vec<(Option<u32>, Team)> = Vec::new();
    for entry in &present {
        let own = entry.team.and_then(|_| teams.iter().position(|(team, _)| *team == entry.team));
        let own = own.unwrap_or_else(|| {
            teams.push((entry.team, Team { placement: entry.placement, players: Vec::new() }));
            teams.len() - 1
        });
        let team = &mut teams[own].1;
        team.placement = team.placement.min(entry.placement);
        team.players.push(appearance(entry, &present));
    }
    Match {
        id: id.to_string(),
        mode: mode.to_owned(),
        ended_unix_ms: ended.0,
        seconds: entries.iter().map(seconds).fold(0.0, f64::max),
        teams: teams.into_iter().map(|(_, team)| team).collect(),
    }
}

fn appearance(entry: &PlayerResult, present: &[&PlayerResult]) -> Appearance {
    let with = |other: &&&PlayerResult| other.team == entry.team && other.party == entry.party;
    let party =
        if entry.party == 0 || entry.team.is_none() { 1 } else { present.iter().filter(with).count() };
    Appearance {
        player: entry.player_id,
        seconds: seconds(entry),
        squad: u8::try_from(party).unwrap_or(u8::MAX),
        kills: Some(entry.kills),
        deaths: Some(entry.deaths),
        quit: entry.quit,
    }
}

/// Everybody's rating after the result, given those of `checked.players` before it in `mode`; who is not rated is
/// not in it. A match of one team rates nobody.
pub fn rate(
    model: &TrueSkill2,
    checked: &Checked,
    mode: &str,
    entries: &[PlayerResult],
    before: &[RatingRow],
    now: UnixMs,
) -> Vec<(PlayerId, RatingRow)> {
    let game = rated_match(checked.id, mode, entries, now);
    let row = |id: u64| {
        let index = checked.players.iter().position(|player| player.as_u64() == id);
        index.and_then(|index| Some((checked.players[index], *before.get(index)?)))
    };
    let rows: Vec<(PlayerId, RatingRow)> = game.appearances().filter_map(|seat| row(seat.player)).collect();
    let mut unread = rows.iter().map(|(_, row)| skill(row, mode));
    let mut team = |team: &Team| unread.by_ref().take(team.players.len()).collect();
    let skills: Vec<Vec<Skill>> = game.teams.iter().map(&mut team).collect();
    // A match of one team has nothing to compare; ratings in the store are sound, so nothing else can fail.
    let after = model.rate(&game, &skills).unwrap_or_default();
    let rated = rows.iter().zip(after.into_iter().flatten());
    rated.map(|((player, row), skill)| (*player, moved(row, &skill, mode))).collect()
}

fn moved(row: &RatingRow, after: &Skill, mode: &str) -> RatingRow {
    let Rating { mu, sigma } = after.base;
    let matches = row.offset.map_or(0, |offset| offset.matches) + 1;
    RatingRow {
        mu,
        sigma,
        matches: row.matches + 1,
        played: after.played_unix_ms.map_or(row.played, UnixMs),
        offset: after.offsets.get(mode).map(|offset| OffsetRow {
            mu: offset.mu,
            sigma: offset.sigma,
            matches,
        }),
    }
}

/// A rating in the mode that it was read for: the base that all modes share, and the mode's own part.
pub fn in_mode(row: &RatingRow) -> Rating {
    skill(row, "").in_mode("")
}

fn skill(row: &RatingRow, mode: &str) -> Skill {
    let offset = row.offset.map(|offset| (mode.to_owned(), Rating { mu: offset.mu, sigma: offset.sigma }));
    Skill {
        base: Rating { mu: row.mu, sigma: row.sigma },
        matches: u32::try_from(row.matches).unwrap_or(u32::MAX),
        played_unix_ms: (row.played.0 != 0).then_some(row.played.0),
        offsets: offset.into_iter().collect(),
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
    use std::collections::HashMap;

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

    fn in_team(entry: PlayerResult, team: u32, party: u32) -> PlayerResult {
        PlayerResult { team: Some(team), party, ..entry }
    }

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn model() -> TrueSkill2 {
        TrueSkill2::new(Parameters::default()).expect("the published parameters make sense")
    }

    fn counted(entries: Vec<PlayerResult>) -> Vec<(PlayerId, RatingRow)> {
        let result = result(entries);
        let checked = check(&result).expect("sound");
        let before = vec![newcomer(); checked.players.len()];
        rate(&model(), &checked, "duel", &result.players, &before, NOW)
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
        refused(vec![in_team(entry(1, 1, 1.0), 0, 0), entry(2, 2, 1.0)], ResultFault::Team(2));
        refused(vec![in_team(entry(1, 1, 1.0), 256, 0)], ResultFault::Team(1));
    }

    #[test]
    fn ratings_follow_the_placements() {
        let rated = counted(vec![entry(1, 2, 60.0), entry(2, 1, 60.0), entry(3, 3, 60.0)]);
        let mu: Vec<f64> = rated.iter().map(|(_, row)| row.mu).collect();
        assert!(mu[1] > mu[0] && mu[0] > mu[2], "{mu:?}");
        assert!(rated.iter().all(|(_, row)| row.matches == 1 && row.played == NOW));
    }

    #[test]
    fn who_never_came_is_not_rated_and_who_quit_is() {
        let mut quitter = entry(3, 3, 0.0);
        quitter.quit = true;
        let rows = counted(vec![entry(1, 1, 60.0), entry(2, 2, f32::NAN), quitter]);
        let rated: Vec<u64> = rows.iter().map(|(player, _)| player.as_u64()).collect();
        assert_eq!(rated, [1, 3]);
        assert!(rows[1].1.mu < 25.0);
    }

    #[test]
    fn a_match_of_one_rates_nobody() {
        assert!(counted(vec![entry(1, 1, 60.0)]).is_empty());
    }

    #[test]
    fn teams_and_parties_are_those_of_the_result() {
        let entries = vec![
            in_team(entry(1, 4, 60.0), 1, 0),
            in_team(entry(2, 2, 60.0), 0, 7),
            in_team(entry(3, 1, 60.0), 0, 7),
            in_team(entry(4, 3, 0.0), 0, 7),
            in_team(entry(5, 2, 60.0), 1, 7),
            in_team(entry(6, 9, 60.0), 0, 0),
        ];
        let result = result(entries);
        let checked = check(&result).expect("sound");
        let game = rated_match(checked.id, "duel", &result.players, NOW);
        let team = |team: &Team| {
            let seats: Vec<(u64, u8)> = team.players.iter().map(|seat| (seat.player, seat.squad)).collect();
            (team.placement, seats)
        };
        let teams: Vec<_> = game.teams.iter().map(team).collect();
        assert_eq!(teams, [(2, vec![(1, 1), (5, 1)]), (1, vec![(2, 2), (3, 2), (6, 1)])]);
        let before = vec![newcomer(); 6];
        let rated = rate(&model(), &checked, "duel", &result.players, &before, NOW);
        for (player, row) in &rated {
            assert_eq!(row.mu > 25.0, [2, 3, 6].contains(&player.as_u64()), "{player} {row:?}");
        }
        let one_side = rated_match(checked.id, "duel", &result.players[1..3], NOW);
        assert!(one_side.check().is_err(), "a team has nobody to compare with");
    }

    #[test]
    fn the_log_replayed_gives_the_ratings_that_the_store_holds() {
        let mut parameters = Parameters { drift_per_minute: 0.02, squad: vec![0.4], ..Parameters::default() };
        parameters.mode.kills = Some(Count { rate: 4.0, own: 0.2, opponent: -0.2, variance: 3.0 });
        parameters.mode.offset_sigma = 2.0;
        parameters.mode.offset_drift = 0.1;
        let model = TrueSkill2::new(parameters).expect("sound");
        let mut stored = [newcomer(); 4];
        let mut offsets: HashMap<(usize, &str), OffsetRow> = HashMap::new();
        let mut ledger = Ledger::new(model.clone());
        for round in 0..30_u32 {
            let mode = ["duel", "ctf", "koth"][round as usize % 3];
            let mut entries: Vec<PlayerResult> =
                (0..4).map(|seat| entry(u64::from(seat) + 1, (seat + round) % 4 + 1, 61.7)).collect();
            entries[0].seconds_played = 7.3 * f32::from(u8::from(!round.is_multiple_of(4)));
            entries[1].quit = round.is_multiple_of(5);
            entries.iter_mut().for_each(|entry| entry.kills = (entry.placement * 7 + round) % 6);
            if mode == "ctf" {
                let seats = (0..).zip(entries);
                entries = seats.map(|(seat, entry)| in_team(entry, (seat + round) % 2, round % 2)).collect();
            }
            let result = result(entries);
            let checked = check(&result).expect("sound");
            let now = UnixMs(NOW.0 + i64::from(round) * 1_234_567);
            let before: Vec<RatingRow> = (0..4)
                .map(|seat| RatingRow { offset: offsets.get(&(seat, mode)).copied(), ..stored[seat] })
                .collect();
            for (player, row) in rate(&model, &checked, mode, &result.players, &before, now) {
                let seat = usize::try_from(player.as_u64()).expect("small") - 1;
                stored[seat] = row;
                offsets.insert((seat, mode), row.offset.expect("modes are kept apart"));
            }
            let game = rated_match(checked.id, mode, &result.players, now);
            let line = serde_json::to_string(&game).expect("JSON");
            assert!(ledger.count(&serde_json::from_str(&line).expect("our own line")).expect("sound"));
        }
        for (player, skill) in ledger.skills() {
            let seat = usize::try_from(player).expect("small") - 1;
            let bits = |mu: f64, sigma: f64| (mu.to_bits(), sigma.to_bits());
            assert_eq!(bits(skill.base.mu, skill.base.sigma), bits(stored[seat].mu, stored[seat].sigma));
            for (mode, offset) in &skill.offsets {
                let kept = offsets[&(seat, mode.as_str())];
                assert_eq!(bits(offset.mu, offset.sigma), bits(kept.mu, kept.sigma));
                let row = RatingRow { offset: Some(kept), ..stored[seat] };
                assert_eq!(in_mode(&row), skill.in_mode(mode));
            }
        }
        assert_eq!((ledger.skills().count(), offsets.len()), (4, 12));
    }
}
