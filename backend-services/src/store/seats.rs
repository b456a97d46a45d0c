//! The seats of a running match: who holds one, who gave one up for good, who takes one over. Owns that a match never
//! seats more than its teams hold and that nobody sits twice; must never know how newcomers are chosen.

use super::StoreError;
use super::accounts::player;
use super::db::{Db, Row, args};
use super::ratings::RatingRow;
use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId};

/// Somebody in a running match.
#[derive(Clone, Debug, PartialEq)]
pub struct MatchSeat {
    /// Who.
    pub player: PlayerId,
    /// In which team, from 0.
    pub team: u8,
    /// What others see.
    pub name: String,
    /// Mean of the rating.
    pub mu: f64,
    /// Its standard deviation.
    pub sigma: f64,
}

/// A running match and its seats.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningMatch {
    /// Its mode.
    pub mode: String,
    /// Where its server listens.
    pub address: String,
    /// Who holds a seat.
    pub seats: Vec<MatchSeat>,
    /// Who held one and gave it up.
    pub gone: Vec<PlayerId>,
}

/// Why nobody was seated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinFault {
    /// The match is over.
    Over,
    /// The team has no free seat.
    Full,
    /// These are in a match, or have been in this one.
    Busy(Vec<PlayerId>),
}

impl Db {
    /// A running match; `None` if it does not run.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn running_match(
        &self,
        id: MatchId,
        newcomer: RatingRow,
    ) -> Result<Option<RunningMatch>, StoreError> {
        let sql = "SELECT mode, address FROM matches WHERE match_id = $1 AND state = 'running'";
        let Some(head) = self.row(sql, args![id]).await? else { return Ok(None) };
        let sql = "SELECT p.player_id, p.seat, a.display_name, COALESCE(r.mu, $2), COALESCE(r.sigma, $3), l.match_id
            FROM match_players p JOIN accounts a ON a.player_id = p.player_id
            LEFT JOIN ratings r ON r.player_id = p.player_id
            LEFT JOIN live_players l ON l.player_id = p.player_id AND l.match_id = p.match_id
            WHERE p.match_id = $1 ORDER BY p.seat, p.player_id";
        let rows = self.rows(sql, args![id, newcomer.mu, newcomer.sigma]).await?;
        let mut running = RunningMatch {
            mode: head.text(0)?,
            address: head.text_or_null(1)?.unwrap_or_default(),
            seats: Vec::new(),
            gone: Vec::new(),
        };
        for row in &rows {
            if row.text_or_null(5)?.is_some() {
                running.seats.push(seat(row)?);
            } else {
                running.gone.push(player(row, 0)?);
            }
        }
        Ok(Some(running))
    }

    /// These have left a match for good: their seats are free, and so are they. Again changes nothing.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn leave_match(&self, id: MatchId, gone: &[PlayerId]) -> Result<(), StoreError> {
        for player in gone {
            let sql = "DELETE FROM live_players WHERE player_id = $1 AND match_id = $2";
            self.execute(sql, args![*player, id]).await?;
        }
        Ok(())
    }

    /// Seats players in a running match, all or none, `team_size` in a team at most.
    ///
    /// # Errors
    /// The engine failed: nobody is seated.
    pub async fn join_match(
        &self,
        id: MatchId,
        joiners: &[(PlayerId, u8)],
        team_size: usize,
        now: UnixMs,
    ) -> Result<Result<(), JoinFault>, StoreError> {
        let mut tx = self.begin().await?;
        // The update changes nothing but takes the row's lock: two who fill the same match take turns.
        let sql = "UPDATE matches SET state = state WHERE match_id = $1 AND state = 'running' AND deadline_unix_ms > $2";
        if tx.execute(sql, args![id, now]).await? == 0 {
            return Ok(Err(JoinFault::Over));
        }
        let mut joiners = joiners.to_vec();
        // In one order everywhere, so that two transactions never wait for each other.
        joiners.sort_unstable();
        let mut busy = Vec::new();
        for (player, team) in &joiners {
            let bind = "INSERT INTO live_players (player_id, match_id) VALUES ($1, $2)
                ON CONFLICT (player_id) DO NOTHING";
            let seat = "INSERT INTO match_players (match_id, player_id, seat) VALUES ($1, $2, $3)
                ON CONFLICT (match_id, player_id) DO NOTHING";
            let free = tx.execute(bind, args![*player, id]).await? > 0;
            if !free || tx.execute(seat, args![id, *player, i64::from(*team)]).await? == 0 {
                busy.push(*player);
            }
        }
        if !busy.is_empty() {
            return Ok(Err(JoinFault::Busy(busy)));
        }
        let sql = "SELECT p.seat, COUNT(*) FROM match_players p
            JOIN live_players l ON l.player_id = p.player_id AND l.match_id = p.match_id
            WHERE p.match_id = $1 GROUP BY p.seat";
        for row in tx.rows(sql, args![id]).await? {
            if usize::try_from(row.int(1)?).is_ok_and(|seated| seated > team_size) {
                return Ok(Err(JoinFault::Full));
            }
        }
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Undoes `join_match` for players who were told nothing.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn unjoin_match(&self, id: MatchId, players: &[PlayerId]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for player in players {
            for sql in [
                "DELETE FROM live_players WHERE player_id = $1 AND match_id = $2",
                "DELETE FROM match_players WHERE player_id = $1 AND match_id = $2",
            ] {
                tx.execute(sql, args![*player, id]).await?;
            }
        }
        tx.commit().await
    }
}

fn seat(row: &Row) -> Result<MatchSeat, StoreError> {
    Ok(MatchSeat {
        player: player(row, 0)?,
        team: u8::try_from(row.int(1)?).map_err(|_| StoreError::Malformed("seat"))?,
        name: row.text(2)?,
        mu: row.float(3)?,
        sigma: row.float(4)?,
    })
}
