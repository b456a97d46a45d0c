//! How scores come onto boards: entry, log and outbox change in one statement or transaction, or not at all.
//!
//! A score is named by its source: the log's key lets each count once for a player and board. Batches travel as
//! lists, one statement a board, so that a hundred scores cost one round trip and one flush to disk.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use super::StoreError;
use super::boards::{BoardId, Change, Operator, ScoreWrite, change, signed};
use super::boards_sql::{postgres_sql, sqlite_sql};
use super::db::{Db, Engine, Line, Row, Tx, Value, args};
use crate::clock::UnixMs;
use crate::ids::PlayerId;

/// Changes that the outbox gives away at once.
pub(super) const OUTBOX_PAGE: u64 = 1000;
/// A statement that lost a race for a source is tried again this often; the second try sees the winner.
const TRIES_MAX: u32 = 3;

/// What became of a score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It counted; this stands now.
    Counted(Change),
    /// The same source had counted before.
    Duplicate,
    /// It does not count: unknown player, closed season, not joined, or no attempts left.
    Refused,
}

impl Written {
    /// The change, if there was one.
    pub fn change(&self) -> Option<&Change> {
        match self {
            Self::Counted(change) => Some(change),
            _ => None,
        }
    }
}

/// Scores that one statement can take: same board and terms, no player twice.
struct Group<'a> {
    terms: Terms,
    board: &'a BoardId,
    players: HashSet<PlayerId>,
    writes: Vec<(usize, &'a ScoreWrite)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Terms {
    operator: Operator,
    attempts_max: i64,
    joined_only: bool,
}

impl<'a> Group<'a> {
    fn takes(&self, terms: Terms, board: &BoardId) -> bool {
        self.terms == terms && self.board == board
    }

    /// As few groups as keep each player's scores in their order.
    fn split(writes: &'a [ScoreWrite]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for (index, write) in writes.iter().enumerate() {
            let (operator, attempts_max, joined_only) =
                (write.operator, write.attempts_max, write.joined_only);
            let terms = Terms { operator, attempts_max, joined_only };
            let after = groups
                .iter()
                .rposition(|group| group.board == &write.board && group.players.contains(&write.player));
            let from = after.map_or(0, |index| index + 1);
            let found = groups[from..].iter().position(|group| group.takes(terms, &write.board));
            let index_of = found.map_or_else(
                || {
                    let (players, writes) = (HashSet::new(), Vec::new());
                    groups.push(Group { terms, board: &write.board, players, writes });
                    groups.len() - 1
                },
                |found| from + found,
            );
            groups[index_of].players.insert(write.player);
            groups[index_of].writes.push((index, write));
        }
        groups
    }

    /// What the statement for Postgres takes.
    fn args(&self, now: UnixMs) -> Vec<Value> {
        let (board, terms) = (self.board, self.terms);
        let joined_only = i64::from(terms.joined_only);
        let players: Vec<i64> = self.writes.iter().map(|(_, write)| write.player.as_i64()).collect();
        let values: Vec<i64> = self.writes.iter().map(|(_, write)| write.value).collect();
        let sources: Vec<String> = self.writes.iter().map(|(_, write)| write.source.to_string()).collect();
        args![&*board.name, board.season, players, now, terms.attempts_max, joined_only, values, sources]
            .to_vec()
    }

    /// What the statement for SQLite takes.
    fn sqlite_args(&self, now: UnixMs) -> Vec<Value> {
        let (board, terms) = (self.board, self.terms);
        let joined_only = i64::from(terms.joined_only);
        args![&*board.name, board.season, self.json(), now, terms.attempts_max, joined_only].to_vec()
    }

    /// `[{"p":player,"v":value,"s":source},…]`, in the order of players.
    fn json(&self) -> String {
        let mut sorted: Vec<&ScoreWrite> = self.writes.iter().map(|(_, write)| *write).collect();
        sorted.sort_unstable_by_key(|write| write.player);
        let mut json = String::with_capacity(2 + sorted.len() * 96);
        for write in sorted {
            json.push(if json.is_empty() { '[' } else { ',' });
            let source = serde_json::to_string(&*write.source).unwrap_or_else(|_| "\"\"".to_owned());
            let written = write!(json, r#"{{"p":{},"v":{},"s":{source}}}"#, write.player, write.value);
            debug_assert!(written.is_ok(), "a String takes everything");
        }
        json.push(']');
        json
    }
}

/// Brings scores onto their boards, one batch after the other.
pub struct ScoreWriter {
    db: Db,
    line: Option<Line>,
}

impl ScoreWriter {
    /// Brings scores onto their boards. Each board's scores are one transaction of their own; whatever this
    /// returns is on disk.
    ///
    /// # Errors
    /// The engine failed: some scores may have counted; the same sources again are told apart.
    pub async fn write(&mut self, writes: &[ScoreWrite], now: UnixMs) -> Result<Vec<Written>, StoreError> {
        let mut written = vec![Written::Refused; writes.len()];
        for group in Group::split(writes) {
            let mut tries = 0;
            let changes = loop {
                tries += 1;
                match self.write_group(&group, now).await {
                    Err(StoreError::Conflict) if tries < TRIES_MAX => {}
                    other => break other?,
                }
            };
            settle(&group, changes, &mut written);
            for (index, write) in &group.writes {
                if written[*index] == Written::Refused && self.db.has_counted(write).await? {
                    written[*index] = Written::Duplicate;
                }
            }
        }
        Ok(written)
    }

    async fn write_group(&mut self, group: &Group<'_>, now: UnixMs) -> Result<Vec<Change>, StoreError> {
        if let Some(line) = &mut self.line {
            let rows = line.rows(postgres_sql(group.terms.operator), &group.args(now)).await?;
            return read_postgres(group, &rows);
        }
        let mut tx = self.db.begin().await?;
        let changes = tx.write_group(group, now).await?;
        tx.commit().await?;
        Ok(changes)
    }
}

impl Db {
    /// A writer of scores. With Postgres it has a connection of its own, beside the pool.
    pub fn score_writer(&self) -> ScoreWriter {
        ScoreWriter { db: self.clone(), line: Line::of(self) }
    }

    /// As [`ScoreWriter::write`], once: by a connection of the pool.
    ///
    /// # Errors
    /// The same.
    pub async fn write_scores(&self, writes: &[ScoreWrite], now: UnixMs) -> Result<Vec<Written>, StoreError> {
        ScoreWriter { db: self.clone(), line: None }.write(writes, now).await
    }

    async fn has_counted(&self, write: &ScoreWrite) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM board_log WHERE player_id = $1 AND board = $2 AND source = $3";
        let row = self.row(sql, args![write.player, &*write.board.name, &*write.source]).await?;
        Ok(row.is_some())
    }

    /// Changes that were committed by `before` and that nobody has said the ranks know of.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn board_outbox(&self, before: UnixMs) -> Result<Vec<Change>, StoreError> {
        let sql = "SELECT o.player_id, e.score, e.reached_unix_ms, a.display_name, e.revision,
                o.id, o.board, o.season
            FROM board_outbox o
            JOIN board_entries e ON e.board = o.board AND e.season = o.season AND e.player_id = o.player_id
            JOIN accounts a ON a.player_id = o.player_id
            WHERE o.at_unix_ms <= $1 ORDER BY o.id LIMIT $2";
        let rows = self.rows(sql, args![before, signed(OUTBOX_PAGE)]).await?;
        let read = |row: &Row| {
            let board = BoardId::new(&row.text(6)?, row.int(7)?);
            Ok(Change { outbox: Some(row.int(5)?), ..change(board, row)? })
        };
        rows.iter().map(read).collect()
    }

    /// The ranks know of these.
    ///
    /// Deliberate: by id, never by a range. A range would also delete rows that committed after they were read. And
    /// without waiting for the disk: a row that comes back after a crash of Postgres is told again, which changes nothing.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn board_outbox_done(&self, ids: Vec<i64>) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let sql = match self.engine() {
            Engine::Sqlite { .. } => "DELETE FROM board_outbox WHERE id IN (SELECT value FROM json_each($1))",
            Engine::Postgres(_) => {
                "WITH hasty AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
                DELETE FROM board_outbox USING hasty WHERE id = ANY ($1)"
            }
        };
        self.execute(sql, args![ids]).await.map(drop)
    }

    /// The log after row `after`, oldest first: which entries changed, and the last row's number. Only the
    /// embedded engine numbers its rows; Postgres has the outbox.
    pub(super) async fn board_log_after(
        &self,
        after: i64,
        limit: u64,
    ) -> Result<(i64, Vec<Change>), StoreError> {
        let sql = "SELECT l.player_id, e.score, e.reached_unix_ms, a.display_name, e.revision,
                l.id, l.board, l.season
            FROM board_log l
            JOIN board_entries e ON e.board = l.board AND e.season = l.season AND e.player_id = l.player_id
            JOIN accounts a ON a.player_id = l.player_id WHERE l.id > $1 ORDER BY l.id LIMIT $2";
        let rows = self.rows(sql, args![after, signed(limit)]).await?;
        let last = rows.last().map_or(Ok(after), |row| row.int(5))?;
        let read = |row: &Row| change(BoardId::new(&row.text(6)?, row.int(7)?), row);
        Ok((last, rows.iter().map(read).collect::<Result<_, _>>()?))
    }

    /// The newest row of the log; 0 if it is empty.
    pub(super) async fn board_log_end(&self) -> Result<i64, StoreError> {
        let row = self.row("SELECT COALESCE(MAX(id), 0) FROM board_log", &[]).await?;
        row.map_or(Ok(0), |row| row.int(0))
    }

    /// Folds the log of a board again, from nothing: what must stand on it. For checks and repairs.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn replay_board(&self, board: &BoardId) -> Result<Vec<super::Standing>, StoreError> {
        let sql = "SELECT player_id, operator, value, at_unix_ms FROM board_log
            WHERE board = $1 AND season = $2 ORDER BY player_id, revision";
        let rows = self.rows(sql, args![&*board.name, board.season]).await?;
        let mut standings: Vec<super::Standing> = Vec::new();
        for row in &rows {
            let player = super::accounts::player(row, 0)?;
            let (operator, value) = (Operator::parse(&row.text(1)?)?, row.int(2)?);
            let old = standings.last().filter(|last| last.player == player).copied();
            let score = operator.fold(old.map(|old| old.score), value);
            let at = UnixMs(row.int(3)?);
            let reached = old.filter(|old| old.score == score).map_or(at, |old| old.reached);
            if old.is_some() {
                standings.pop();
            }
            standings.push(super::Standing { score, reached, player });
        }
        standings.sort_unstable();
        Ok(standings)
    }
}

impl Tx {
    /// As [`Db::write_scores`], in the caller's transaction, for sources that cannot have counted before.
    pub(super) async fn write_scores(
        &mut self,
        writes: &[ScoreWrite],
        now: UnixMs,
    ) -> Result<Vec<Written>, StoreError> {
        let mut written = vec![Written::Refused; writes.len()];
        for group in Group::split(writes) {
            let changes = self.write_group(&group, now).await?;
            settle(&group, changes, &mut written);
        }
        Ok(written)
    }

    async fn write_group(&mut self, group: &Group<'_>, now: UnixMs) -> Result<Vec<Change>, StoreError> {
        if matches!(self, Self::Postgres(_)) {
            let rows = self.rows(postgres_sql(group.terms.operator), &group.args(now)).await?;
            return read_postgres(group, &rows);
        }
        let rows = self.rows(sqlite_sql(group.terms.operator), &group.sqlite_args(now)).await?;
        let read = |row: &Row| change(group.board.clone(), row);
        let changes = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if !changes.is_empty() {
            self.log_sqlite(group, &changes, now).await?;
        }
        Ok(changes)
    }

    async fn log_sqlite(
        &mut self,
        group: &Group<'_>,
        changes: &[Change],
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let (name, season) = (&*group.board.name, group.board.season);
        let mut logged = Vec::with_capacity(changes.len());
        for (_, write) in &group.writes {
            if let Some(change) = changes.iter().find(|change| change.standing.player == write.player) {
                let player = write.player.as_i64();
                logged.push(serde_json::json!([&*write.source, player, change.revision, write.value]));
            }
        }
        let log =
            "INSERT INTO board_log (source, board, player_id, season, revision, operator, value, at_unix_ms)
            SELECT value->>0, $1, value->>1, $2, value->>2, $4, value->>3, $5 FROM json_each($3)";
        let json = serde_json::Value::Array(logged).to_string();
        self.execute(log, args![name, season, json, group.terms.operator.name(), now]).await?;
        let open = "INSERT INTO board_seasons (board, season) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        self.execute(open, args![name, season]).await.map(drop)
    }
}

fn read_postgres(group: &Group<'_>, rows: &[Row]) -> Result<Vec<Change>, StoreError> {
    let read = |row: &Row| Ok(Change { outbox: Some(row.int(5)?), ..change(group.board.clone(), row)? });
    rows.iter().map(read).collect()
}

/// Each player is in a group once.
fn settle(group: &Group<'_>, changes: Vec<Change>, written: &mut [Written]) {
    let of: HashMap<PlayerId, usize> =
        group.writes.iter().map(|(index, write)| (write.player, *index)).collect();
    for change in changes {
        if let Some(index) = of.get(&change.standing.player) {
            written[*index] = Written::Counted(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(board: &str, player: u64, value: i64, operator: Operator) -> ScoreWrite {
        let player = PlayerId::new(player).expect("an id");
        ScoreWrite::new(BoardId::new(board, 0), player, value, operator, "a \"source\"".into())
    }

    #[test]
    fn groups_keep_each_players_order() {
        let writes = [
            write("a", 1, 10, Operator::Best),
            write("a", 2, 11, Operator::Best),
            write("b", 1, 12, Operator::Best),
            write("a", 1, 13, Operator::Best),
            write("a", 3, 14, Operator::Best),
            write("a", 1, 15, Operator::Set),
            write("a", 1, 16, Operator::Best),
        ];
        let groups = Group::split(&writes);
        let values: Vec<Vec<i64>> =
            groups.iter().map(|group| group.writes.iter().map(|(_, write)| write.value).collect()).collect();
        assert_eq!(values, [vec![10, 11, 14], vec![12], vec![13], vec![15], vec![16]]);
    }

    #[test]
    fn a_batch_is_json_in_the_order_of_players() {
        let writes = [write("a", 9, 1, Operator::Best), write("a", 2, -5, Operator::Best)];
        let json = Group::split(&writes)[0].json();
        let expected = serde_json::json!([
            { "p": 2, "v": -5, "s": "a \"source\"" }, { "p": 9, "v": 1, "s": "a \"source\"" },
        ]);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).expect("JSON"), expected);
    }
}
