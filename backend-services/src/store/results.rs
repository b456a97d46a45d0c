//! The one transaction that counts a result, and the log of what was counted. What a result changes is handed in;
//! that it counts once, and that the log's order is the order in which results moved a player, is held here.

use super::StoreError;
use super::accounts::player;
use super::boards::{Change, ScoreWrite};
use super::boards_review::HeldScore;
use super::boards_write::Written;
use super::careers::Career;
use super::db::{Db, Row, Tx, args};
use super::matches::free_players;
use super::ratings::RatingRow;
use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId};

/// A result as it was reported.
#[derive(Clone, Copy, Debug)]
pub struct Reported<'a> {
    /// Of which match.
    pub id: MatchId,
    /// Whom it names.
    pub players: &'a [PlayerId],
    /// All of it, as JSON: what the log keeps.
    pub record: &'a str,
    /// Now.
    pub now: UnixMs,
}

/// What there was before a result, held until the result is counted.
#[derive(Clone, Debug)]
pub struct Before {
    /// The match's mode.
    pub mode: String,
    /// When the result counts: now, or just after the last one that moved one of its players.
    pub at: UnixMs,
    /// Ratings for the mode, in the order of the players reported.
    pub ratings: Vec<RatingRow>,
    /// Careers, in the same order.
    pub careers: Vec<Career>,
}

/// What a result changes.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// New ratings of those who are rated.
    pub ratings: Vec<(PlayerId, RatingRow)>,
    /// Scores for the boards.
    pub scores: Vec<ScoreWrite>,
    /// Scores that wait for a human.
    pub held: Vec<HeldScore>,
    /// New careers of those who came.
    pub careers: Vec<(PlayerId, Career)>,
    /// What each of them is told of it, as JSON.
    pub reports: Vec<(PlayerId, String)>,
    /// What the game server found suspicious, and how often.
    pub suspicions: Vec<(PlayerId, String, u64)>,
}

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It was counted now.
    Counted,
    /// It had been counted before.
    Duplicate,
    /// The match is unknown or was given up.
    Refused,
    /// It names a player who was not in the match.
    Stranger(PlayerId),
}

/// A result, and what it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedMatch {
    /// What became of it.
    pub verdict: Finished,
    /// Board entries that changed, for the ranks.
    pub changes: Vec<Change>,
}

/// A result that was counted, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedMatch {
    /// Its id.
    pub id: MatchId,
    /// Its mode.
    pub mode: String,
    /// When it was counted.
    pub ended: UnixMs,
    /// What the game server reported, as JSON.
    pub result: String,
}

impl From<Finished> for FinishedMatch {
    fn from(verdict: Finished) -> Self {
        Self { verdict, changes: Vec::new() }
    }
}

impl Db {
    /// Counts a result: ratings, careers, boards and the players' freedom in one transaction. `outcome` is asked for the
    /// changes with what there was before; `newcomer` is the rating of who has none.
    ///
    /// # Errors
    /// The engine failed: nothing was counted.
    pub async fn finish_match(
        &self,
        reported: Reported<'_>,
        newcomer: RatingRow,
        outcome: impl FnOnce(&Before) -> Outcome + Send,
    ) -> Result<FinishedMatch, StoreError> {
        let Reported { id, players, record, now } = reported;
        let mut tx = self.begin().await?;
        let sql = "UPDATE matches SET state = 'finished', ended_unix_ms = $2, result = $3
            WHERE match_id = $1 AND (state = 'running' OR (state = 'lost' AND result IS NULL)) RETURNING mode";
        let Some(row) = tx.row(sql, args![id, now, record]).await? else {
            let state = tx.row("SELECT state FROM matches WHERE match_id = $1", args![id]).await?;
            let state = state.map(|row| row.text(0)).transpose()?;
            let counted = state.as_deref() == Some("finished");
            return Ok(if counted { Finished::Duplicate } else { Finished::Refused }.into());
        };
        let mode = row.text(0)?;
        let rows = tx.rows("SELECT player_id FROM match_players WHERE match_id = $1", args![id]).await?;
        let members = rows.iter().map(|row| player(row, 0)).collect::<Result<Vec<_>, _>>()?;
        if let Some(stranger) = players.iter().find(|player| !members.contains(player)) {
            return Ok(Finished::Stranger(*stranger).into());
        }
        let ratings = tx.lock_ratings(id, &mode, players, newcomer).await?;
        // The log is read in the order of these moments: of two results that move one player, whose clocks may be
        // two nodes', the later to get here is the later in the log.
        let careers = tx.lock_careers(players).await?;
        let played = ratings.iter().map(|row| row.played.0);
        let last = played.chain(careers.iter().map(|career| career.counted.0)).max().unwrap_or_default();
        let at = UnixMs(now.0.max(last.saturating_add(1)));
        if at != now {
            tx.execute("UPDATE matches SET ended_unix_ms = $2 WHERE match_id = $1", args![id, at]).await?;
        }
        let before = Before { mode, at, ratings, careers };
        let changes = write_outcome(&mut tx, id, &before, outcome(&before)).await?;
        free_players(&mut tx, id).await?;
        tx.commit().await?;
        Ok(FinishedMatch { verdict: Finished::Counted, changes })
    }

    /// Counted results in the order of their counting, at most `limit` after the one at `after`.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn counted_matches(
        &self,
        after: Option<&CountedMatch>,
        limit: i64,
    ) -> Result<Vec<CountedMatch>, StoreError> {
        let sql = "SELECT match_id, mode, ended_unix_ms, result FROM matches
            WHERE state = 'finished' AND (ended_unix_ms > $1 OR (ended_unix_ms = $1 AND match_id > $2))
            ORDER BY ended_unix_ms, match_id LIMIT $3";
        let (ended, id) = after.map_or((i64::MIN, String::new()), |last| (last.ended.0, last.id.to_string()));
        let counted = |row: &Row| {
            Ok(CountedMatch {
                id: row.text(0)?.parse().map_err(|_| StoreError::Malformed("match id"))?,
                mode: row.text(1)?,
                ended: UnixMs(row.int(2)?),
                result: row.text(3)?,
            })
        };
        self.rows(sql, args![ended, id, limit]).await?.iter().map(counted).collect()
    }
}

async fn write_outcome(
    tx: &mut Tx,
    id: MatchId,
    before: &Before,
    mut outcome: Outcome,
) -> Result<Vec<Change>, StoreError> {
    tx.write_ratings(&before.mode, &outcome.ratings).await?;
    tx.write_careers(&outcome.careers).await?;
    tx.write_reports(id, &outcome.reports).await?;
    tx.write_suspicions(id, &outcome.suspicions, before.at).await?;
    // In one order everywhere, so that two transactions never wait for each other.
    outcome.scores.sort_by(|one, other| (&one.board, one.player).cmp(&(&other.board, other.player)));
    let written = tx.write_scores(&outcome.scores, before.at).await?;
    tx.hold_scores(&outcome.held, before.at).await?;
    let change = |written| if let Written::Counted(change) = written { Some(change) } else { None };
    Ok(written.into_iter().filter_map(change).collect())
}
