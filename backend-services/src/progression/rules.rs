//! What a match is worth beside its rating, as data: experience, the curve of levels, achievements. Checked when it is
//! read. Pure; whose match it was is not known here.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The arena's.
const ARENA: &str = include_str!("arena.json");
/// A file of rules is no longer than this.
const BYTES_MAX: u64 = 1024 * 1024;
/// Achievements of one deployment.
const ACHIEVEMENTS_MAX: usize = 1024;
/// Levels of one deployment.
const LEVELS_MAX: u32 = 1000;
/// No number in the rules is larger: sums of all matches that a player can play stay exact.
const NUMBER_MAX: u64 = 1_000_000_000;
const NAME_MAX: usize = 48;
const TITLE_MAX: usize = 128;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// What a match gives.
    #[serde(default)]
    pub experience: Experience,
    /// What that makes of a player.
    #[serde(default)]
    pub levels: Levels,
    /// What else there is to reach.
    #[serde(default)]
    pub achievements: Vec<Achievement>,
}

/// Experience for a match: the sum of these, whole numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experience {
    /// For one that was played to its end.
    #[serde(rename = "match")]
    pub played: u64,
    /// For each minute played, by the second.
    pub minute: u64,
    /// For each kill.
    pub kill: u64,
    /// For the first place.
    pub win: u64,
    /// A match gives no more; without this as much as it sums to.
    pub match_max: Option<u64>,
}

/// From level n to the next it takes `first + more·(n − 1)` of experience. Everybody begins at level 1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    /// From level 1 to 2.
    pub first: u64,
    /// More for each level after that.
    pub more: u64,
    /// There is none above.
    pub max: u32,
}

/// What is counted of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Statistic {
    /// 1 for a match played to its end.
    Matches,
    /// 1 for the first place, at the end.
    Wins,
    /// 1 for one of the first three places, at the end.
    Podiums,
    /// Opponents defeated.
    Kills,
    /// Times defeated.
    Deaths,
    /// 1 for a match to its end without a death.
    Flawless,
    /// Points; negative ones count as none.
    Score,
    /// Whole seconds played.
    Seconds,
}

/// Over what it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// All matches together.
    Career,
    /// One match, whichever was best.
    Match,
    /// Matches in a row, each with at least `each` of it.
    Streak,
}

/// Something to reach, once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Achievement {
    /// Its name for ever: 1 to 48 of `a–z 0–9 -`.
    pub name: String,
    /// What players read.
    pub title: String,
    /// What is counted.
    pub counts: Statistic,
    /// Over what.
    pub over: Over,
    /// How much of it; of a streak, how many matches.
    pub goal: u64,
    /// What a match of a streak needs; 1 unless given.
    #[serde(default)]
    pub each: Option<u64>,
    /// Only matches of this mode count, and only they break a streak.
    #[serde(default)]
    pub mode: Option<String>,
    /// Experience for reaching it.
    #[serde(default)]
    pub experience: u64,
}

impl Default for Levels {
    fn default() -> Self {
        Self { first: 100, more: 50, max: 100 }
    }
}

impl Levels {
    /// The experience at which a level begins; of a level that there is not, that of the last.
    pub fn begins(&self, level: u32) -> u64 {
        let steps = u64::from(level.clamp(1, self.max) - 1);
        // first·n + more·(0 + 1 + … + (n − 1)); below 2^53 by the limits above.
        self.first * steps + self.more * (steps * steps.saturating_sub(1) / 2)
    }

    /// The level that so much experience makes.
    pub fn of(&self, experience: u64) -> u32 {
        // `begins` grows: the first level that begins later ends the search.
        let (mut least, mut most) = (1, self.max);
        while least < most {
            let middle = least + (most - least).div_ceil(2);
            if self.begins(middle) <= experience { least = middle } else { most = middle - 1 }
        }
        least
    }
}

impl Rules {
    /// Those in `file`; the arena's if there is none.
    ///
    /// # Errors
    /// The file cannot be read, or asks for what makes no sense.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else { return Self::parse(ARENA) };
        let read = || {
            if std::fs::metadata(file)?.len() > BYTES_MAX {
                bail!("a file of rules has at most {BYTES_MAX} bytes");
            }
            Self::parse(&std::fs::read_to_string(file)?)
        };
        read().with_context(|| format!("--progression {}", file.display()))
    }

    fn parse(json: &str) -> anyhow::Result<Self> {
        let rules: Self = serde_json::from_str(json)?;
        let Experience { played, minute, kill, win, match_max } = rules.experience;
        let numbers = [played, minute, kill, win, match_max.unwrap_or_default(), rules.levels.more];
        if numbers.into_iter().chain([rules.levels.first]).any(|number| number > NUMBER_MAX) {
            bail!("no number may be above {NUMBER_MAX}");
        }
        if rules.levels.first == 0 || !(1..=LEVELS_MAX).contains(&rules.levels.max) {
            bail!("levels: `first` must be at least 1 and `max` 1 to {LEVELS_MAX}");
        }
        if rules.achievements.len() > ACHIEVEMENTS_MAX {
            bail!("at most {ACHIEVEMENTS_MAX} achievements");
        }
        let mut names = HashSet::new();
        for achievement in &rules.achievements {
            check(achievement, &mut names).with_context(|| format!("achievement {:?}", achievement.name))?;
        }
        Ok(rules)
    }
}

fn check<'a>(achievement: &'a Achievement, names: &mut HashSet<&'a str>) -> anyhow::Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let name = achievement.name.as_str();
    if !(1..=NAME_MAX).contains(&name.len()) || !name.bytes().all(plain) {
        bail!("name must be 1 to {NAME_MAX} of a-z, 0-9 and -");
    }
    if !names.insert(name) {
        bail!("is there twice");
    }
    if !(1..=TITLE_MAX).contains(&achievement.title.chars().count()) {
        bail!("title must have 1 to {TITLE_MAX} characters");
    }
    if !(1..=NUMBER_MAX).contains(&achievement.goal) || achievement.experience > NUMBER_MAX {
        bail!("goal must be 1 to {NUMBER_MAX}, experience at most that");
    }
    if achievement.each.is_some() && achievement.over != Over::Streak {
        bail!("`each` goes with a streak");
    }
    if achievement.each.is_some_and(|each| !(1..=NUMBER_MAX).contains(&each)) {
        bail!("each must be 1 to {NUMBER_MAX}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_where_the_sum_of_steps_says() {
        let levels = Levels { first: 150, more: 50, max: 100 };
        let mut begins = 0;
        for level in 1..=100 {
            assert_eq!(levels.begins(level), begins);
            assert_eq!(levels.of(begins), level);
            assert!(begins == 0 || levels.of(begins - 1) == level - 1);
            begins += 150 + 50 * u64::from(level - 1);
        }
        assert_eq!((levels.of(u64::MAX), levels.begins(101)), (100, levels.begins(100)));
        assert_eq!(Levels { first: 1, more: 0, max: 1 }.of(9), 1);
    }

    #[test]
    fn the_arenas_rules_make_sense_and_wrong_ones_say_what_is_wrong() {
        let arena = Rules::load(None).expect("the built-in rules make sense");
        assert!(arena.achievements.len() >= 5 && arena.experience.played > 0);
        let one = |rest: &str| {
            format!(r#"{{ "achievements": [ {{ "name": "a", "title": "A", "counts": "kills", {rest} }} ] }}"#)
        };
        let folder = tempfile::tempdir().expect("a folder");
        for (text, expected) in [
            ("{".to_owned(), "EOF"),
            (r#"{ "xp": 4 }"#.to_owned(), "xp"),
            (r#"{ "levels": { "first": 0, "more": 0, "max": 1 } }"#.to_owned(), "first"),
            (r#"{ "experience": { "kill": 9000000000 } }"#.to_owned(), "above"),
            (one(r#""over": "ever", "goal": 1"#), "ever"),
            (one(r#""over": "match", "goal": 0"#), "goal"),
            (one(r#""over": "match", "goal": 1, "each": 2"#), "each"),
            (one(r#""over": "streak", "goal": 1, "each": 0"#), "each"),
            (
                one(
                    r#""over": "match", "goal": 1 }, { "name": "a", "title": "B", "counts": "wins", "over": "match", "goal": 1"#,
                ),
                "twice",
            ),
            (one(r#""over": "match", "goal": 1"#).replace("\"a\"", "\"A!\""), "name must"),
        ] {
            let file = folder.path().join("rules.json");
            std::fs::write(&file, &text).expect("it is written");
            let fault = format!("{:#}", Rules::load(Some(&file)).expect_err(&text));
            assert!(fault.contains(expected) && fault.contains("--progression"), "{text}: {fault}");
        }
    }
}
