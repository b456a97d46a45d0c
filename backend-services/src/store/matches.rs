//! Matches, who is in them, and the one transaction that counts a result. How a result moves ratings and
//! scores is handed in; that a player is in one live match at most, and that a result counts once, is held here.

use super::StoreError;
use super::accounts::player;
use super::boards::{Change, ScoreWrite};
use super::boards_review::HeldScore;
use super::boards_write::Written;
use super::db::{Db, Row, Tx, args};
use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId};

/// Where a match stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchState {
    /// Formed; a server is being found.
    Allocating,
    /// Played on its server.
    Running,
    /// Its result is counted.
    Finished,
    /// Its server has not reported: nothing is counted yet.
    Lost,
}

/// A match that is about to be.
#[derive(Clone, Debug)]
pub struct OpenMatch {
    /// Its id.
    pub id: MatchId,
    /// Its mode.
    pub mode: String,
    /// Who plays, and in which team; where everybody plays for themselves, the seat. At most 255.
    pub players: Vec<(PlayerId, u8)>,
    /// Now.
    pub opened: UnixMs,
    /// Given up if it is still allocating then.
    pub deadline: UnixMs,
}

/// A match that holds its players.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveMatch {
    /// Its id.
    pub id: MatchId,
    /// `Allocating` or `Running`.
    pub state: MatchState,
    /// The game server's name, once there is one.
    pub server: Option<String>,
    /// Where the server listens, once there is one.
    pub address: Option<String>,
    /// When it was formed.
    pub opened: UnixMs,
    /// When it will be given up.
    pub deadline: UnixMs,
}

/// A player's rating as it is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatingRow {
    /// Mean.
    pub mu: f64,
    /// Standard deviation.
    pub sigma: f64,
    /// Matches that counted.
    pub matches: i64,
    /// When the last of them ended; zero before the first.
    pub played: UnixMs,
}

/// A result that was counted, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedMatch {
    /// Its id.
    pub id: MatchId,
    /// When it was counted.
    pub ended: UnixMs,
    /// What the game server reported, as JSON.
    pub result: String,
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

impl From<Finished> for FinishedMatch {
    fn from(verdict: Finished) -> Self {
        Self { verdict, changes: Vec::new() }
    }
}

impl Db {
    /// Opens a match and binds its players to it, all or none. `Err(busy)` inside: who is bound elsewhere.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn open_match(&self, open: &OpenMatch) -> Result<Result<(), Vec<PlayerId>>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = "INSERT INTO matches (match_id, mode, state, opened_unix_ms, deadline_unix_ms)
            VALUES ($1, $2, 'allocating', $3, $4)";
        tx.execute(sql, args![open.id, open.mode.as_str(), open.opened, open.deadline]).await?;
        let mut seats = open.players.clone();
        // In one order everywhere, so that two transactions never wait for each other.
        seats.sort_unstable();
        let mut busy = Vec::new();
        for (player, seat) in seats {
            let bind = "INSERT INTO live_players (player_id, match_id) VALUES ($1, $2)
                ON CONFLICT (player_id) DO NOTHING";
            if tx.execute(bind, args![player, open.id]).await? == 0 {
                busy.push(player);
                continue;
            }
            let sql = "INSERT INTO match_players (match_id, player_id, seat) VALUES ($1, $2, $3)";
            tx.execute(sql, args![open.id, player, i64::from(seat)]).await?;
        }
        if !busy.is_empty() {
            return Ok(Err(busy));
        }
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// The match has its server and runs. False if it was given up meanwhile.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn start_match(
        &self,
        id: MatchId,
        server: &str,
        address: &str,
        deadline: UnixMs,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE matches SET state = 'running', server = $2, address = $3, deadline_unix_ms = $4
            WHERE match_id = $1 AND state = 'allocating'";
        Ok(self.execute(sql, args![id, server, address, deadline]).await? > 0)
    }

    /// Undoes `open_match`: there was no server. The players are free.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn abandon_match(&self, id: MatchId) -> Result<(), StoreError> {
        let sql = "DELETE FROM matches WHERE match_id = $1 AND state = 'allocating'";
        self.execute(sql, args![id]).await.map(drop)
    }

    /// Its own server gives a live match up: it takes no result any more. The players are free. False if it was
    /// not live.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn give_up_match(&self, id: MatchId, now: UnixMs) -> Result<bool, StoreError> {
        self.end_unplayed(id, now, "given up by its server").await
    }

    /// Nobody has heard of a live match's server for too long. The players are free, but a result that waited
    /// somewhere still counts. False if it was not live.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn lose_match(&self, id: MatchId, now: UnixMs) -> Result<bool, StoreError> {
        self.end_unplayed(id, now, "").await
    }

    async fn end_unplayed(&self, id: MatchId, now: UnixMs, why: &str) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE matches SET state = 'lost', ended_unix_ms = $2, result = NULLIF($3, '')
            WHERE match_id = $1 AND state IN ('allocating', 'running')";
        if tx.execute(sql, args![id, now, why]).await? == 0 {
            return Ok(false);
        }
        free_players(&mut tx, id).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Counts a result: ratings, boards and the players' freedom in one transaction. `outcome` is asked for
    /// the changes with the players' ratings before the match, in the order of `players`; `newcomer` is the
    /// rating of who has none.
    ///
    /// # Errors
    /// The engine failed: nothing was counted.
    pub async fn finish_match(
        &self,
        id: MatchId,
        players: &[PlayerId],
        result: &str,
        now: UnixMs,
        newcomer: RatingRow,
        outcome: impl FnOnce(&[RatingRow]) -> Outcome + Send,
    ) -> Result<FinishedMatch, StoreError> {
        let mut tx = self.begin().await?;
        let sql = "UPDATE matches SET state = 'finished', ended_unix_ms = $2, result = $3
            WHERE match_id = $1 AND (state = 'running' OR (state = 'lost' AND result IS NULL))";
        if tx.execute(sql, args![id, now, result]).await? == 0 {
            let state = tx.row("SELECT state FROM matches WHERE match_id = $1", args![id]).await?;
            let state = state.map(|row| row.text(0)).transpose()?;
            let counted = state.as_deref() == Some("finished");
            return Ok(if counted { Finished::Duplicate } else { Finished::Refused }.into());
        }
        let sql = "SELECT player_id FROM match_players WHERE match_id = $1";
        let rows = tx.rows(sql, args![id]).await?;
        let members = rows.iter().map(|row| player(row, 0)).collect::<Result<Vec<_>, _>>()?;
        if let Some(stranger) = players.iter().find(|player| !members.contains(player)) {
            return Ok(Finished::Stranger(*stranger).into());
        }
        let before = lock_ratings(&mut tx, players, newcomer).await?;
        let changes = write_outcome(&mut tx, outcome(&before), now).await?;
        free_players(&mut tx, id).await?;
        tx.commit().await?;
        Ok(FinishedMatch { verdict: Finished::Counted, changes })
    }

    /// Where a match stands; `None` if there is no such match.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn match_state(&self, id: MatchId) -> Result<Option<MatchState>, StoreError> {
        let row = self.row("SELECT state FROM matches WHERE match_id = $1", args![id]).await?;
        row.map(|row| state(&row.text(0)?)).transpose()
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
        let sql = "SELECT match_id, ended_unix_ms, result FROM matches
            WHERE state = 'finished' AND (ended_unix_ms > $1 OR (ended_unix_ms = $1 AND match_id > $2))
            ORDER BY ended_unix_ms, match_id LIMIT $3";
        let (ended, id) = after.map_or((i64::MIN, String::new()), |last| (last.ended.0, last.id.to_string()));
        let counted = |row: &Row| {
            Ok(CountedMatch {
                id: row.text(0)?.parse().map_err(|_| StoreError::Malformed("match id"))?,
                ended: UnixMs(row.int(1)?),
                result: row.text(2)?,
            })
        };
        self.rows(sql, args![ended, id, limit]).await?.iter().map(counted).collect()
    }

    /// All matches that hold their players, oldest first.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn live_matches(&self) -> Result<Vec<LiveMatch>, StoreError> {
        let sql = "SELECT match_id, state, server, address, opened_unix_ms, deadline_unix_ms FROM matches
            WHERE state IN ('allocating', 'running') ORDER BY opened_unix_ms";
        self.rows(sql, &[]).await?.iter().map(live_match).collect()
    }

    /// The match that holds this player, and the player's team in it, from 0.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn live_match_of(&self, player: PlayerId) -> Result<Option<(LiveMatch, u8)>, StoreError> {
        let sql =
            "SELECT m.match_id, m.state, m.server, m.address, m.opened_unix_ms, m.deadline_unix_ms, p.seat
            FROM live_players l JOIN matches m ON m.match_id = l.match_id
            JOIN match_players p ON p.match_id = l.match_id AND p.player_id = l.player_id
            WHERE l.player_id = $1";
        let Some(row) = self.row(sql, args![player]).await? else { return Ok(None) };
        let seat = u8::try_from(row.int(6)?).map_err(|_| StoreError::Malformed("seat"))?;
        Ok(Some((live_match(&row)?, seat)))
    }

    /// The player's rating; `None` before the first match.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn rating(&self, player: PlayerId) -> Result<Option<RatingRow>, StoreError> {
        let sql = "SELECT mu, sigma, matches, played_unix_ms FROM ratings WHERE player_id = $1";
        self.row(sql, args![player]).await?.as_ref().map(rating).transpose()
    }
}

/// The players' ratings, held until the transaction ends.
async fn lock_ratings(
    tx: &mut Tx,
    players: &[PlayerId],
    newcomer: RatingRow,
) -> Result<Vec<RatingRow>, StoreError> {
    let mut order: Vec<usize> = (0..players.len()).collect();
    order.sort_unstable_by_key(|&index| players[index]);
    let mut before = vec![newcomer; players.len()];
    for index in order {
        // The update changes nothing but takes the row's lock.
        let sql =
            "INSERT INTO ratings (player_id, mu, sigma, matches, played_unix_ms) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (player_id) DO UPDATE SET matches = ratings.matches
            RETURNING mu, sigma, matches, played_unix_ms";
        let RatingRow { mu, sigma, matches, played } = newcomer;
        let row = args![players[index], mu, sigma, matches, played];
        let row = tx.row(sql, row).await?.ok_or(StoreError::Malformed("rating"))?;
        before[index] = rating(&row)?;
    }
    Ok(before)
}

async fn write_outcome(tx: &mut Tx, mut outcome: Outcome, now: UnixMs) -> Result<Vec<Change>, StoreError> {
    for (player, after) in outcome.ratings {
        let sql = "UPDATE ratings SET mu = $2, sigma = $3, matches = $4, played_unix_ms = $5
            WHERE player_id = $1";
        tx.execute(sql, args![player, after.mu, after.sigma, after.matches, after.played]).await?;
    }
    // In one order everywhere, so that two transactions never wait for each other.
    outcome.scores.sort_by(|one, other| (&one.board, one.player).cmp(&(&other.board, other.player)));
    let written = tx.write_scores(&outcome.scores, now).await?;
    tx.hold_scores(&outcome.held, now).await?;
    let change = |written| if let Written::Counted(change) = written { Some(change) } else { None };
    Ok(written.into_iter().filter_map(change).collect())
}

async fn free_players(tx: &mut Tx, id: MatchId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM live_players WHERE match_id = $1", args![id]).await.map(drop)
}

fn rating(row: &Row) -> Result<RatingRow, StoreError> {
    let (mu, sigma) = (row.float(0)?, row.float(1)?);
    Ok(RatingRow { mu, sigma, matches: row.int(2)?, played: UnixMs(row.int(3)?) })
}

fn live_match(row: &Row) -> Result<LiveMatch, StoreError> {
    Ok(LiveMatch {
        id: row.text(0)?.parse().map_err(|_| StoreError::Malformed("match id"))?,
        state: state(&row.text(1)?)?,
        server: row.text_or_null(2)?,
        address: row.text_or_null(3)?,
        opened: UnixMs(row.int(4)?),
        deadline: UnixMs(row.int(5)?),
    })
}

fn state(text: &str) -> Result<MatchState, StoreError> {
    match text {
        "allocating" => Ok(MatchState::Allocating),
        "running" => Ok(MatchState::Running),
        "finished" => Ok(MatchState::Finished),
        "lost" => Ok(MatchState::Lost),
        _ => Err(StoreError::Malformed("match state")),
    }
}
