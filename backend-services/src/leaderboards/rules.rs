//! What a board is: its rule as data, checked when it is read, and what follows from it for a score, a moment
//! and a page. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::seasons::Calendar;
use crate::clock::UnixMs;
use crate::ids::PlayerId;
use crate::store::{BoardId, Operator, SCORE_LIMIT, ScoreWrite};

/// Rows in one answer.
pub const ROWS_MAX: u64 = 100;
/// Rows unless asked otherwise.
pub const ROWS_DEFAULT: u64 = 10;
/// Rows on either side of the player, at most.
pub const RADIUS_MAX: u64 = 50;
/// Rows on either side unless asked otherwise.
pub const RADIUS_DEFAULT: u64 = 5;
/// Players who are compared in one answer, and members of a cohort.
pub const AMONG_MAX: usize = 100;
/// Boards of one deployment.
pub const BOARDS_MAX: usize = 256;
const NAME_MAX: usize = 48;
const REGION_MAX: usize = 16;

/// Which scores are better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Higher ones: points.
    #[default]
    Descending,
    /// Lower ones: lap times.
    Ascending,
}

/// How a new score meets the one that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The better stays.
    Best,
    /// The newer stays.
    Set,
    /// It is added.
    Incr,
    /// It is taken away.
    Decr,
}

/// What of a match's result is the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Takes {
    /// The points.
    Score,
    /// The conservative rating after the match (μ − 3σ), in hundredths.
    Rating,
    /// The kills.
    Kills,
    /// 1 for the first place, 0 otherwise.
    Wins,
}

/// When a score is too good to be counted unseen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// Scores better than this wait for a human.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<i64>,
    /// So do scores of more than so many points a second of play; for scores that come with a match's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second_above: Option<f64>,
}

/// A board as it is configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BoardRule {
    /// Its name in paths: 1 to 48 of `a–z 0–9 -`.
    #[schema(example = "arena-score")]
    pub name: String,
    /// Which scores are better.
    #[serde(default)]
    pub order: Order,
    /// How a new score meets the old one.
    pub keep: Keep,
    /// What of a match's result it takes; without this it takes only scores that servers submit by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes: Option<Takes>,
    /// It takes only results of this mode; without this those of all. Of the rating it shows the mode's own, and
    /// without a mode the part that all modes share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "arena")]
    pub mode: Option<String>,
    /// When it starts anew: five cron fields, UTC. Without this it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0 0 * * 1")]
    pub season: Option<String>,
    /// For so many seconds of a season it takes scores; without this for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_s: Option<u32>,
    /// It takes no score before this moment, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_unix_ms: Option<i64>,
    /// It takes no score from this moment on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_unix_ms: Option<i64>,
    /// So many scores of a player count in a season.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
    /// Only who has joined takes part.
    #[serde(default)]
    pub joined_only: bool,
    /// Ranks are also kept by region.
    #[serde(default)]
    pub by_region: bool,
    /// Players may be compared within cohorts of 100.
    #[serde(default)]
    pub cohorts: bool,
    /// Scores below this are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_min: Option<i64>,
    /// Scores above this are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_max: Option<i64>,
    /// Which scores wait for a human.
    #[serde(default)]
    pub review: Review,
}

/// The configuration makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoardFault {
    /// Not a list of boards.
    #[error("boards: not as documented: {0}")]
    Shape(String),
    /// Too many.
    #[error("boards: at most {BOARDS_MAX}")]
    TooMany,
    /// One is wrong.
    #[error("board {0:?}: {1}")]
    Board(String, &'static str),
}

/// A score that this board cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScoreFault {
    /// Beyond what a double holds exactly, or what the board allows.
    #[error("score {score} is not within {least} to {most}")]
    Range {
        /// What was sent.
        score: i64,
        /// The least allowed.
        least: i64,
        /// The most allowed.
        most: i64,
    },
    /// Not a region's name.
    #[error("a region is 1 to 16 of a-z, 0-9 and -")]
    Region,
}

/// A board whose rule has been checked.
#[derive(Clone, Debug)]
pub struct Board {
    /// The rule.
    pub rule: BoardRule,
    calendar: Calendar,
    name: Arc<str>,
}

impl Board {
    /// Checks a rule.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(rule: BoardRule) -> Result<Self, BoardFault> {
        let fault = |what| Err(BoardFault::Board(rule.name.clone(), what));
        if !is_name(&rule.name, NAME_MAX) {
            return fault("name must be 1 to 48 of a-z, 0-9 and -");
        }
        let (least, most) = (rule.score_min.unwrap_or(-SCORE_LIMIT), rule.score_max.unwrap_or(SCORE_LIMIT));
        if least > most || least < -SCORE_LIMIT || most > SCORE_LIMIT {
            return fault("score_min and score_max must be in order and within ±2^53");
        }
        if rule.opens_unix_ms.unwrap_or(i64::MIN) >= rule.closes_unix_ms.unwrap_or(i64::MAX) {
            return fault("opens_unix_ms must be before closes_unix_ms");
        }
        if rule.attempts_max == Some(0) || rule.open_s == Some(0) {
            return fault("attempts_max and open_s must be at least 1");
        }
        if rule.open_s.is_some() && rule.season.is_none() {
            return fault("open_s needs a season");
        }
        if rule.review.per_second_above.is_some_and(|most| !(most.is_finite() && most > 0.0)) {
            return fault("review.per_second_above must be above 0");
        }
        if rule.keep == Keep::Best && matches!(rule.takes, Some(Takes::Rating)) && rule.by_region {
            return fault("ratings are not kept by region");
        }
        if rule.mode.is_some() && rule.takes.is_none() {
            return fault("a mode goes with `takes`: scores by name have none");
        }
        let Some(calendar) = Calendar::of(rule.season.as_deref()) else {
            return fault("season must be five cron fields that come true now and then");
        };
        Ok(Self { name: rule.name.as_str().into(), calendar, rule })
    }

    /// The board in the season of this moment.
    pub fn at(&self, now: UnixMs) -> BoardId {
        BoardId { name: self.name.clone(), season: self.calendar.season_of(now) }
    }

    /// The same within a region.
    ///
    /// # Errors
    /// Not a region's name.
    pub fn in_region(&self, region: &str, now: UnixMs) -> Result<BoardId, ScoreFault> {
        if !is_name(region, REGION_MAX) {
            return Err(ScoreFault::Region);
        }
        Ok(BoardId::new(&format!("{}@{region}", self.name), self.calendar.season_of(now)))
    }

    /// When the season after this moment begins.
    pub fn next_season(&self, now: UnixMs) -> Option<UnixMs> {
        self.calendar.next(now)
    }

    /// Whether it takes scores now.
    pub fn is_open(&self, now: UnixMs) -> bool {
        let rule = &self.rule;
        let within = rule
            .open_s
            .is_none_or(|seconds| now.0 - self.calendar.season_of(now) < i64::from(seconds) * 1000);
        within
            && rule.opens_unix_ms.is_none_or(|at| now.0 >= at)
            && rule.closes_unix_ms.is_none_or(|at| now.0 < at)
    }

    /// The write that a score is, and its copy for its region.
    ///
    /// # Errors
    /// The board cannot take it.
    pub fn writes(
        &self,
        player: PlayerId,
        score: i64,
        region: &str,
        source: &Arc<str>,
        now: UnixMs,
    ) -> Result<Vec<ScoreWrite>, ScoreFault> {
        let value = self.standing(score)?;
        let mut boards = vec![self.at(now)];
        if self.rule.by_region && !region.is_empty() {
            boards.push(self.in_region(region, now)?);
        }
        let write = |board| ScoreWrite {
            board,
            player,
            value,
            operator: match self.rule.keep {
                Keep::Best => Operator::Best,
                Keep::Set => Operator::Set,
                Keep::Incr | Keep::Decr => Operator::Add,
            },
            source: source.clone(),
            attempts_max: self.rule.attempts_max.map_or(i64::MAX, i64::from),
            joined_only: false,
        };
        let mut writes: Vec<ScoreWrite> = boards.into_iter().map(write).collect();
        // Deliberate: who joins, joins the board; its regions follow.
        writes[0].joined_only = self.rule.joined_only;
        if self.rule.joined_only {
            writes.truncate(1);
        }
        Ok(writes)
    }

    /// A score as the stores order it: higher is better.
    fn standing(&self, score: i64) -> Result<i64, ScoreFault> {
        let least = self.rule.score_min.unwrap_or(-SCORE_LIMIT);
        let most = self.rule.score_max.unwrap_or(SCORE_LIMIT);
        if !(least..=most).contains(&score) {
            return Err(ScoreFault::Range { score, least, most });
        }
        let signed = if self.rule.keep == Keep::Decr { -score } else { score };
        Ok(self.shown(signed))
    }

    /// A standing as players see it, and back.
    pub fn shown(&self, standing: i64) -> i64 {
        if self.rule.order == Order::Ascending { -standing } else { standing }
    }

    /// Why a score must wait for a human, if it must. `seconds_played` is how long it took, where that is known.
    pub fn doubt(&self, score: i64, seconds_played: Option<f64>) -> Option<&'static str> {
        let review = &self.rule.review;
        let better = |limit: i64| match self.rule.order {
            Order::Descending => score > limit,
            Order::Ascending => score < limit,
        };
        if review.beyond.is_some_and(better) {
            return Some("better than any score that counts unseen");
        }
        let (most, seconds) = (review.per_second_above?, seconds_played?);
        // Whoever played for less than a second is judged as if for one.
        (score as f64 > most * seconds.max(1.0)).then_some("more points a second than count unseen")
    }
}

/// All boards of a deployment.
#[derive(Clone, Debug)]
pub struct Boards(Arc<[Board]>);

impl Boards {
    /// Reads a JSON list of rules.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(json: &str) -> Result<Self, BoardFault> {
        let rules = serde_json::from_str(json).map_err(|error| BoardFault::Shape(error.to_string()))?;
        Self::new(rules)
    }

    /// Checks rules.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(rules: Vec<BoardRule>) -> Result<Self, BoardFault> {
        if rules.len() > BOARDS_MAX {
            return Err(BoardFault::TooMany);
        }
        let mut names = HashSet::new();
        for rule in &rules {
            if !names.insert(&rule.name) {
                return Err(BoardFault::Board(rule.name.clone(), "there are two of this name"));
            }
        }
        Ok(Self(rules.into_iter().map(Board::new).collect::<Result<_, _>>()?))
    }

    /// The board of this name.
    pub fn find(&self, name: &str) -> Option<&Board> {
        self.0.iter().find(|board| board.rule.name == name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Board> {
        self.0.iter()
    }
}

impl Default for Boards {
    /// The arena's.
    fn default() -> Self {
        Self::parse(include_str!("arena.json")).expect("the boards of the arena are checked by a test")
    }
}

fn is_name(text: &str, length_max: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=length_max).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(json: serde_json::Value) -> Result<Board, BoardFault> {
        let rule = serde_json::from_value(json).map_err(|error| BoardFault::Shape(error.to_string()))?;
        Board::new(rule)
    }

    fn value(board: &Board, score: i64) -> Result<i64, ScoreFault> {
        let player = PlayerId::new(7).expect("an id");
        board.writes(player, score, "", &"m".into(), UnixMs(0)).map(|writes| writes[0].value)
    }

    #[test]
    fn the_arenas_boards_are_sound() {
        let boards = Boards::default();
        assert!(boards.find("arena-score").is_some() && boards.find("arena-rating").is_some());
        assert!(boards.find("arena").is_none());
    }

    #[test]
    fn wrong_rules_are_named() {
        let fault = |json: serde_json::Value, word: &str| {
            let fault = board(json.clone()).expect_err(word).to_string();
            assert!(fault.contains(word), "{json}: {fault}");
        };
        fault(serde_json::json!({ "name": "a" }), "keep");
        fault(serde_json::json!({ "name": "A b", "keep": "best" }), "name");
        fault(serde_json::json!({ "name": "a", "keep": "best", "bogus": 1 }), "bogus");
        fault(serde_json::json!({ "name": "a", "keep": "mean" }), "mean");
        fault(serde_json::json!({ "name": "a", "keep": "best", "season": "often" }), "season");
        fault(serde_json::json!({ "name": "a", "keep": "best", "season": "0 0 31 2 *" }), "season");
        fault(serde_json::json!({ "name": "a", "keep": "best", "open_s": 5 }), "open_s");
        fault(
            serde_json::json!({ "name": "a", "keep": "best", "score_min": 5, "score_max": 4 }),
            "score_min",
        );
        fault(serde_json::json!({ "name": "a", "keep": "best", "score_max": 1_i64 << 54 }), "2^53");
        fault(serde_json::json!({ "name": "a", "keep": "best", "attempts_max": 0 }), "attempts_max");
        fault(
            serde_json::json!({ "name": "a", "keep": "best", "opens_unix_ms": 5, "closes_unix_ms": 5 }),
            "opens",
        );
        let two = r#"[{"name":"a","keep":"best"},{"name":"a","keep":"set"}]"#;
        assert!(Boards::parse(two).expect_err("twice").to_string().contains("two of this name"));
        assert!(Boards::parse("{}").is_err());
    }

    #[test]
    fn scores_beyond_what_a_double_holds_are_refused() {
        let board = board(serde_json::json!({ "name": "a", "keep": "best" })).expect("sound");
        for (score, ok) in
            [(SCORE_LIMIT, true), (-SCORE_LIMIT, true), (SCORE_LIMIT + 1, false), (i64::MIN, false)]
        {
            assert_eq!(value(&board, score).is_ok(), ok, "{score}");
        }
        for score in [SCORE_LIMIT, -SCORE_LIMIT, SCORE_LIMIT - 1] {
            assert_eq!(score as f64 as i64, score);
        }
    }

    #[test]
    fn the_better_score_is_the_higher_standing() {
        for (order, keep, score, expected) in [
            ("descending", "best", 5, 5),
            ("ascending", "best", 5, -5),
            ("descending", "decr", 5, -5),
            ("ascending", "incr", 5, -5),
            ("ascending", "decr", 5, 5),
        ] {
            let board =
                board(serde_json::json!({ "name": "a", "keep": keep, "order": order })).expect("sound");
            assert_eq!(value(&board, score), Ok(expected), "{order} {keep}");
            assert_eq!(board.shown(board.shown(score)), score);
        }
    }

    #[test]
    fn a_tournament_is_open_within_its_window() {
        let weekly = board(serde_json::json!(
            { "name": "a", "keep": "best", "season": "0 0 * * 1", "open_s": 3600, "opens_unix_ms": 1000 }
        ));
        let weekly = weekly.expect("sound");
        // 345,600,000 ms = Monday, 5 January 1970.
        for (now, open) in
            [(345_600_000, true), (345_600_000 + 3_599_999, true), (345_600_000 + 3_600_000, false)]
        {
            assert_eq!(weekly.is_open(UnixMs(now)), open, "{now}");
        }
        assert_eq!(weekly.at(UnixMs(345_600_000 + 5)).season, 345_600_000);
    }

    #[test]
    fn doubtful_scores_are_named() {
        let review = serde_json::json!({ "beyond": 100, "per_second_above": 2.0 });
        let points = serde_json::json!({ "name": "a", "keep": "best", "review": review });
        let points = board(points).expect("sound");
        assert_eq!(points.doubt(100, None), None);
        assert!(points.doubt(101, None).is_some());
        assert_eq!(points.doubt(20, Some(10.0)), None);
        assert!(points.doubt(21, Some(10.0)).is_some() && points.doubt(3, Some(0.0)).is_some());
        let laps = serde_json::json!({ "name": "a", "keep": "best", "order": "ascending", "review": { "beyond": 9 } });
        let laps = board(laps).expect("sound");
        assert!(laps.doubt(8, None).is_some() && laps.doubt(9, None).is_none());
    }

    #[test]
    fn regions_are_names() {
        let board =
            board(serde_json::json!({ "name": "a", "keep": "best", "by_region": true })).expect("sound");
        let player = PlayerId::new(7).expect("an id");
        let writes = |region| board.writes(player, 1, region, &"m".into(), UnixMs(0));
        assert_eq!(writes("eu-west").expect("a region")[1].board.name.as_ref(), "a@eu-west");
        assert_eq!(writes("").expect("no region").len(), 1);
        assert_eq!(writes("EU"), Err(ScoreFault::Region));
    }
}
