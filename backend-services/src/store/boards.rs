//! The boards' entries as SQL reads them: one row a board, season and player, ordered by score, then by who
//! reached it first, then by player. What a score is worth is `leaderboards`' to say; here a higher score is
//! always a better one (a board on which less is better hands its scores in negated).

use std::cmp::Reverse;
use std::sync::Arc;

use super::StoreError;
use super::accounts::player;
use super::boards_season::CLOSING;
use super::db::{Db, Row, args};
use crate::clock::UnixMs;
use crate::ids::PlayerId;

/// Scores lie within ± this: 2^53, up to which a double, and so a Redis score, holds every whole number.
pub const SCORE_LIMIT: i64 = 1 << 53;

/// A board in one of its seasons.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoardId {
    /// Its name.
    pub name: Arc<str>,
    /// When the season began, milliseconds since 1970; 0 for a board without seasons.
    pub season: i64,
}

impl BoardId {
    /// Of this name and season.
    pub fn new(name: &str, season: i64) -> Self {
        Self { name: name.into(), season }
    }
}

/// How a new score meets the one that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    /// The higher stays.
    Best,
    /// The newer stays; the same score again keeps the time at which it was first reached.
    Set,
    /// The sum stays, cut at [`SCORE_LIMIT`].
    Add,
}

impl Operator {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Set => "set",
            Self::Add => "add",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "best" => Ok(Self::Best),
            "set" => Ok(Self::Set),
            "add" => Ok(Self::Add),
            _ => Err(StoreError::Malformed("board operator")),
        }
    }

    /// What stands after `value` has met `old`. What SQL does, for replays of the log and for tests.
    pub fn fold(self, old: Option<i64>, value: i64) -> i64 {
        match (self, old) {
            (_, None) | (Self::Set, _) => value,
            (Self::Best, Some(old)) => old.max(value),
            (Self::Add, Some(old)) => old.saturating_add(value).clamp(-SCORE_LIMIT, SCORE_LIMIT),
        }
    }
}

/// A score on its way to a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreWrite {
    /// Which board.
    pub board: BoardId,
    /// Whose.
    pub player: PlayerId,
    /// Within ±[`SCORE_LIMIT`]; higher is better.
    pub value: i64,
    /// How it meets the old one.
    pub operator: Operator,
    /// What the score comes from: the same source counts once for a board and player.
    pub source: Arc<str>,
    /// So many scores of a player count on this board and season.
    pub attempts_max: i64,
    /// Only who has joined takes part.
    pub joined_only: bool,
}

impl ScoreWrite {
    /// A score that counts whoever hands it in and however often.
    pub fn new(board: BoardId, player: PlayerId, value: i64, operator: Operator, source: Arc<str>) -> Self {
        Self { board, player, value, operator, source, attempts_max: i64::MAX, joined_only: false }
    }
}

/// What orders a board. Less is better: rank 1 is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Higher is better.
    pub score: i64,
    /// When it was first reached; of equal scores the earlier is better.
    pub reached: UnixMs,
    /// Whose; of equal scores and times the lower id is better.
    pub player: PlayerId,
}

impl Standing {
    fn key(&self) -> (Reverse<i64>, UnixMs, PlayerId) {
        (Reverse(self.score), self.reached, self.player)
    }
}

impl PartialOrd for Standing {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Standing {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// A row of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// 1 is first.
    pub rank: u64,
    /// Whose, with what, since when.
    pub standing: Standing,
    /// What others see.
    pub display_name: String,
}

/// An entry after a change, as the ranks copy it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// On which board.
    pub board: BoardId,
    /// What stands now.
    pub standing: Standing,
    /// Grows with each score that counts for this entry: of two changes the higher is the later.
    pub revision: i64,
    /// What others see.
    pub display_name: String,
    /// The outbox row that is done once the ranks know.
    pub outbox: Option<i64>,
}

impl Db {
    /// The first `limit` entries after `after`, or from the top.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn board_page(
        &self,
        board: &BoardId,
        after: Option<Standing>,
        limit: u64,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let skip = match after {
            Some(after) => self.count_up_to(board, after).await?,
            None => 0,
        };
        self.board_rows(board, skip, limit).await
    }

    /// The player's entry and `radius` on either side; `None` if it has none.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn board_around(
        &self,
        board: &BoardId,
        of: PlayerId,
        radius: u64,
    ) -> Result<Option<Vec<EntryRow>>, StoreError> {
        let Some(entry) = self.board_entry(board, of).await? else { return Ok(None) };
        let rank = self.count_up_to(board, entry.standing).await?;
        let skip = rank.saturating_sub(1).saturating_sub(radius);
        self.board_rows(board, skip, rank + radius - skip).await.map(Some)
    }

    /// The entries of these players, best first, with their ranks on the whole board.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn board_among(
        &self,
        board: &BoardId,
        players: &[PlayerId],
    ) -> Result<Vec<EntryRow>, StoreError> {
        let mut rows = Vec::new();
        for player in players {
            if let Some(entry) = self.board_entry(board, *player).await? {
                let rank = self.count_up_to(board, entry.standing).await?;
                rows.push(EntryRow { rank, standing: entry.standing, display_name: entry.display_name });
            }
        }
        rows.sort_unstable_by_key(|row| row.rank);
        rows.dedup_by_key(|row| row.rank);
        Ok(rows)
    }

    /// How many entries a board has.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn board_len(&self, board: &BoardId) -> Result<u64, StoreError> {
        let sql = "SELECT COUNT(*) FROM board_entries WHERE board = $1 AND season = $2";
        let row = self.row(sql, args![&*board.name, board.season]).await?;
        row.map_or(Ok(0), |row| Ok(unsigned(row.int(0)?)))
    }

    async fn board_rows(&self, board: &BoardId, skip: u64, limit: u64) -> Result<Vec<EntryRow>, StoreError> {
        let sql = "SELECT e.player_id, e.score, e.reached_unix_ms, a.display_name
            FROM board_entries e JOIN accounts a ON a.player_id = e.player_id
            WHERE e.board = $1 AND e.season = $2
            ORDER BY e.score DESC, e.reached_unix_ms, e.player_id LIMIT $3 OFFSET $4";
        let rows = self.rows(sql, args![&*board.name, board.season, signed(limit), signed(skip)]).await?;
        (skip + 1..).zip(&rows).map(|(rank, row)| entry(rank, row)).collect()
    }

    /// How many entries are as good as `standing` or better.
    async fn count_up_to(&self, board: &BoardId, standing: Standing) -> Result<u64, StoreError> {
        let sql = "SELECT COUNT(*) FROM board_entries WHERE board = $1 AND season = $2 AND
            (score > $3 OR (score = $3 AND (reached_unix_ms < $4 OR (reached_unix_ms = $4 AND player_id <= $5))))";
        let args = args![&*board.name, board.season, standing.score, standing.reached, standing.player];
        let row = self.row(sql, args).await?;
        row.map_or(Ok(0), |row| Ok(unsigned(row.int(0)?)))
    }
}

impl Db {
    /// Entries of a board by player id, after `after`: how the ranks are rebuilt.
    pub(super) async fn board_copy(
        &self,
        board: &BoardId,
        after: i64,
        limit: u64,
    ) -> Result<Vec<Change>, StoreError> {
        let sql = "SELECT e.player_id, e.score, e.reached_unix_ms, a.display_name, e.revision
            FROM board_entries e JOIN accounts a ON a.player_id = e.player_id
            WHERE e.board = $1 AND e.season = $2 AND e.player_id > $3 ORDER BY e.player_id LIMIT $4";
        let rows = self.rows(sql, args![&*board.name, board.season, after, signed(limit)]).await?;
        rows.iter().map(|row| change(board.clone(), row)).collect()
    }

    pub(super) async fn board_entry(
        &self,
        board: &BoardId,
        of: PlayerId,
    ) -> Result<Option<Change>, StoreError> {
        let sql = "SELECT e.player_id, e.score, e.reached_unix_ms, a.display_name, e.revision
            FROM board_entries e JOIN accounts a ON a.player_id = e.player_id
            WHERE e.board = $1 AND e.season = $2 AND e.player_id = $3";
        let row = self.row(sql, args![&*board.name, board.season, of]).await?;
        row.as_ref().map(|row| change(board.clone(), row)).transpose()
    }

    /// The seasons that are not closed, of every board.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn open_boards(&self) -> Result<Vec<BoardId>, StoreError> {
        let sql = "SELECT board, season FROM board_seasons
            WHERE closed_unix_ms IS NULL OR closed_unix_ms = $1 ORDER BY board, season";
        let rows = self.rows(sql, args![CLOSING]).await?;
        rows.iter().map(|row| Ok(BoardId::new(&row.text(0)?, row.int(1)?))).collect()
    }
}

/// `player_id, score, reached_unix_ms, display_name`, in this order.
pub(super) fn entry(rank: u64, row: &Row) -> Result<EntryRow, StoreError> {
    Ok(EntryRow { rank, standing: standing(row)?, display_name: row.text(3)? })
}

/// The same and `revision`.
pub(super) fn change(board: BoardId, row: &Row) -> Result<Change, StoreError> {
    let (display_name, revision) = (row.text(3)?, row.int(4)?);
    Ok(Change { board, standing: standing(row)?, revision, display_name, outbox: None })
}

fn standing(row: &Row) -> Result<Standing, StoreError> {
    Ok(Standing { player: player(row, 0)?, score: row.int(1)?, reached: UnixMs(row.int(2)?) })
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_comes_first_then_earlier_then_the_lower_id() {
        let standing = |score, reached, player| Standing {
            score,
            reached: UnixMs(reached),
            player: PlayerId::new(player).expect("an id"),
        };
        let order = [standing(9, 5, 1), standing(7, 1, 2), standing(7, 2, 1), standing(7, 2, 3)];
        assert!(order.is_sorted());
    }

    #[test]
    fn operators_fold_and_sums_are_cut() {
        for (operator, old, value, expected) in [
            (Operator::Best, None, -5, -5),
            (Operator::Best, Some(3), 2, 3),
            (Operator::Set, Some(3), 2, 2),
            (Operator::Add, Some(3), -5, -2),
            (Operator::Add, Some(SCORE_LIMIT), SCORE_LIMIT, SCORE_LIMIT),
            (Operator::Add, Some(-SCORE_LIMIT), i64::MIN, -SCORE_LIMIT),
        ] {
            assert_eq!(operator.fold(old, value), expected, "{operator:?} {old:?} {value}");
        }
    }
}
