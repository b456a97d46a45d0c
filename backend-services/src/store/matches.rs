//! Matches and who is in them. That a player is in one live match at most is held here; what a result does is
//! `results`'.

use backend_proto::signature::ResultKey;

use super::StoreError;
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
    /// What its server signs with; without one its result is taken unsigned.
    pub result_key: Option<ResultKey>,
}

/// A match that holds its players.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveMatch {
    /// Its id.
    pub id: MatchId,
    /// Its mode.
    pub mode: String,
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
        if let Some(key) = &open.result_key {
            let sql = "UPDATE matches SET result_key = $2 WHERE match_id = $1";
            tx.execute(sql, args![open.id, key.as_bytes()]).await?;
        }
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
        // A machine that fails before the match has its server has no match to remember; `start_match` waits for both.
        tx.commit_soon().await?;
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

    /// What the match's server signs with; `None` if there is no such match, or it was opened without.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn result_key(&self, id: MatchId) -> Result<Option<ResultKey>, StoreError> {
        let row = self.row("SELECT result_key FROM matches WHERE match_id = $1", args![id]).await?;
        let Some(bytes) = row.map(|row| row.bytes_or_null(0)).transpose()?.flatten() else { return Ok(None) };
        ResultKey::from_bytes(&bytes).map(Some).ok_or(StoreError::Malformed("result key"))
    }

    /// Where a match stands; `None` if there is no such match.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn match_state(&self, id: MatchId) -> Result<Option<MatchState>, StoreError> {
        let row = self.row("SELECT state FROM matches WHERE match_id = $1", args![id]).await?;
        row.map(|row| state(&row.text(0)?)).transpose()
    }

    /// All matches that hold their players, oldest first.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn live_matches(&self) -> Result<Vec<LiveMatch>, StoreError> {
        let sql =
            "SELECT match_id, mode, state, server, address, opened_unix_ms, deadline_unix_ms FROM matches
            WHERE state IN ('allocating', 'running') ORDER BY opened_unix_ms";
        self.rows(sql, &[]).await?.iter().map(live_match).collect()
    }

    /// The match that holds this player, and the player's team in it, from 0.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn live_match_of(&self, player: PlayerId) -> Result<Option<(LiveMatch, u8)>, StoreError> {
        let sql =
            "SELECT m.match_id, m.mode, m.state, m.server, m.address, m.opened_unix_ms, m.deadline_unix_ms, p.seat
            FROM live_players l JOIN matches m ON m.match_id = l.match_id
            JOIN match_players p ON p.match_id = l.match_id AND p.player_id = l.player_id
            WHERE l.player_id = $1";
        let Some(row) = self.row(sql, args![player]).await? else { return Ok(None) };
        let seat = u8::try_from(row.int(7)?).map_err(|_| StoreError::Malformed("seat"))?;
        Ok(Some((live_match(&row)?, seat)))
    }
}

pub(super) async fn free_players(tx: &mut Tx, id: MatchId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM live_players WHERE match_id = $1", args![id]).await.map(drop)
}

fn live_match(row: &Row) -> Result<LiveMatch, StoreError> {
    Ok(LiveMatch {
        id: row.text(0)?.parse().map_err(|_| StoreError::Malformed("match id"))?,
        mode: row.text(1)?,
        state: state(&row.text(2)?)?,
        server: row.text_or_null(3)?,
        address: row.text_or_null(4)?,
        opened: UnixMs(row.int(5)?),
        deadline: UnixMs(row.int(6)?),
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
