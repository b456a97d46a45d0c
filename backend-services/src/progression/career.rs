//! What a player has so far, and what one match adds to it. A fold: equal matches in equal order give equal careers,
//! which is what a replay of the log relies on. Pure.

use backend_proto::PlayerResult;

use super::rules::{Achievement, Over, Rules, Statistic};
use crate::clock::UnixMs;
use crate::matches::rules::seconds;
use crate::store::{Career, Progress};

/// What a match added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gain {
    /// Experience, that for achievements included.
    pub experience: u64,
    /// Level before it.
    pub level_before: u32,
    /// Level after it.
    pub level_after: u32,
    /// Names of the achievements that it reached, in the order of the rules.
    pub unlocked: Vec<String>,
}

/// Folds a match into a career: what the player did in it, in which mode, and when it counted.
pub fn advance(rules: &Rules, career: &mut Career, entry: &PlayerResult, mode: &str, at: UnixMs) -> Gain {
    let level_before = rules.levels.of(career.experience);
    let mut experience = earned(rules, entry);
    let mut unlocked = Vec::new();
    let mine = |achievement: &&Achievement| achievement.mode.as_deref().is_none_or(|only| only == mode);
    for achievement in rules.achievements.iter().filter(mine) {
        let progress = career.achievements.entry(achievement.name.clone()).or_default();
        if step(achievement, progress, entry, at) {
            experience += achievement.experience;
            unlocked.push(achievement.name.clone());
        }
    }
    career.experience = career.experience.saturating_add(experience).min(EXPERIENCE_MAX);
    career.matches += 1;
    career.counted = at;
    Gain { experience, level_before, level_after: rules.levels.of(career.experience), unlocked }
}

fn earned(rules: &Rules, entry: &PlayerResult) -> u64 {
    let worth = &rules.experience;
    let parts = [
        (worth.played, count(Statistic::Matches, entry)),
        (worth.kill, count(Statistic::Kills, entry)),
        (worth.win, count(Statistic::Wins, entry)),
    ];
    let sum =
        parts.into_iter().fold(0_u64, |sum, (each, times)| sum.saturating_add(each.saturating_mul(times)));
    let minutes = worth.minute.saturating_mul(count(Statistic::Seconds, entry)) / 60;
    sum.saturating_add(minutes).min(worth.match_max.unwrap_or(MATCH_MAX))
}

/// Moves one achievement on; true if this reached its goal.
fn step(achievement: &Achievement, progress: &mut Progress, entry: &PlayerResult, at: UnixMs) -> bool {
    if progress.unlocked.is_some() {
        return false;
    }
    let count = count(achievement.counts, entry);
    let value = match achievement.over {
        Over::Career => progress.value.saturating_add(count),
        Over::Match => progress.value.max(count),
        Over::Streak if count >= achievement.each.unwrap_or(1) => progress.value + 1,
        Over::Streak => 0,
    };
    progress.value = value.min(achievement.goal);
    let reached = progress.value == achievement.goal;
    progress.unlocked = reached.then_some(at.0);
    reached
}

fn count(statistic: Statistic, entry: &PlayerResult) -> u64 {
    let stayed = |yes: bool| u64::from(yes && !entry.quit);
    match statistic {
        Statistic::Matches => stayed(true),
        Statistic::Wins => stayed(entry.placement == 1),
        Statistic::Podiums => stayed(entry.placement <= 3),
        Statistic::Kills => u64::from(entry.kills),
        Statistic::Deaths => u64::from(entry.deaths),
        Statistic::Flawless => stayed(entry.deaths == 0),
        Statistic::Score => u64::try_from(entry.score).unwrap_or(0),
        // Not negative, and cut at the largest.
        Statistic::Seconds => seconds(entry).floor() as u64,
    }
}

/// Nobody has more: every JSON reader holds it exactly.
const EXPERIENCE_MAX: u64 = 1 << 53;
/// No match gives more experience, whatever its server says: 2^53 holds the sum of millions of such.
const MATCH_MAX: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        serde_json::from_str(
            r#"{
            "experience": { "match": 50, "minute": 60, "kill": 10, "win": 100, "match_max": 400 },
            "levels": { "first": 150, "more": 50, "max": 10 },
            "achievements": [
                { "name": "ten", "title": "T", "over": "career", "counts": "kills", "goal": 10, "experience": 7 },
                { "name": "five", "title": "T", "over": "match", "counts": "kills", "goal": 5 },
                { "name": "row", "title": "T", "over": "streak", "counts": "wins", "goal": 2 },
                { "name": "pairs", "title": "T", "over": "streak", "counts": "kills", "each": 2, "goal": 3, "mode": "duel" },
                { "name": "clean", "title": "T", "over": "match", "counts": "flawless", "goal": 1 }
            ] }"#,
        )
        .expect("sound")
    }

    fn entry(placement: u32, kills: u32, deaths: u32) -> PlayerResult {
        PlayerResult { player_id: 1, placement, kills, deaths, seconds_played: 59.9, ..Default::default() }
    }

    #[test]
    fn counters_bests_and_streaks_reach_their_goals_once() {
        let (rules, mut career) = (rules(), Career::default());
        let mut play = |entry: PlayerResult, mode: &str, at: i64| {
            let gain = advance(&rules, &mut career, &entry, mode, UnixMs(at));
            (gain.experience, gain.unlocked.join(" "), gain.level_after)
        };
        // 50 for the match, 59 whole seconds of 60 a minute, 10 a kill, 100 for the win.
        assert_eq!(play(entry(2, 4, 1), "duel", 1), (149, String::new(), 1));
        assert_eq!(play(entry(1, 4, 1), "duel", 2), (249, String::new(), 3));
        assert_eq!(play(entry(2, 2, 3), "ctf", 3), (129 + 7, "ten".to_owned(), 3));
        assert_eq!(play(entry(1, 3, 1), "duel", 4), (239, "pairs".to_owned(), 4));
        assert_eq!(play(entry(1, 5, 0), "ctf", 5), (259, "five row clean".to_owned(), 5));
        let quit = PlayerResult { quit: true, ..entry(1, 0, 0) };
        assert_eq!(play(quit, "ctf", 6), (59, String::new(), 5), "who quits has minutes and no win");
        assert_eq!(play(entry(1, 1000, 0), "ctf", 7).0, 400, "a match gives so much at most");
        assert_eq!((career.matches, career.counted), (7, UnixMs(7)));
        assert_eq!(career.achievements["ten"], Progress { value: 10, unlocked: Some(3) });
        assert_eq!(career.achievements["pairs"].unlocked, Some(4));
    }

    #[test]
    fn absurd_numbers_are_cut_and_do_not_wrap() {
        let (rules, mut career) = (rules(), Career { experience: EXPERIENCE_MAX - 1, ..Career::default() });
        let mut absurd = entry(1, u32::MAX, u32::MAX);
        (absurd.score, absurd.seconds_played) = (i64::MIN, f32::INFINITY);
        let gain = advance(&rules, &mut career, &absurd, "duel", UnixMs(1));
        assert_eq!((gain.experience, career.experience), (407, EXPERIENCE_MAX));
        assert_eq!(gain.level_after, 10);
    }
}
