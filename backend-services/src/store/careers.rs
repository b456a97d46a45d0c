//! What players have to show for their matches, a row each, and what a counted result did to each of its players. What
//! a match adds is not known here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::db::{Db, Row, Tx, args};
use crate::clock::UnixMs;
use crate::ids::{MatchId, PlayerId};

/// What a player has so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Career {
    /// Sum of all that was earned.
    pub experience: u64,
    /// Matches that counted.
    pub matches: u64,
    /// When the last of them counted; zero before the first.
    pub counted: UnixMs,
    /// How far each achievement is, by its name; what the rules no longer name stays.
    pub achievements: BTreeMap<String, Progress>,
}

/// How far an achievement is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// In the unit of its goal; the goal once that is reached.
    pub value: u64,
    /// When the goal was reached, Unix milliseconds. From then on nothing moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlocked: Option<i64>,
}

/// Where a match stands for one of its players.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its result is not in.
    Pending,
    /// It was counted; with what that did to the player, as JSON, where that was kept.
    Counted(Option<String>),
    /// Its server has not reported; a result that waits somewhere still counts.
    Lost,
    /// Its own server gave it up.
    GivenUp,
}

impl Db {
    /// What the player has so far; nothing before the first match.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn career(&self, player: PlayerId) -> Result<Career, StoreError> {
        let sql =
            "SELECT experience, matches, counted_unix_ms, achievements FROM careers WHERE player_id = $1";
        let row = self.row(sql, args![player]).await?;
        row.as_ref().map(career).transpose().map(Option::unwrap_or_default)
    }

    /// Where the match stands for this player; `None` where there is no such match with this player in it.
    ///
    /// # Errors
    /// The engine failed.
    pub async fn fate(&self, id: MatchId, player: PlayerId) -> Result<Option<Fate>, StoreError> {
        let sql = "SELECT m.state, m.result, p.outcome FROM match_players p
            JOIN matches m ON m.match_id = p.match_id WHERE p.match_id = $1 AND p.player_id = $2";
        let Some(row) = self.row(sql, args![id, player]).await? else { return Ok(None) };
        Ok(Some(match (row.text(0)?.as_str(), row.text_or_null(1)?) {
            ("finished", _) => Fate::Counted(row.text_or_null(2)?),
            ("lost", None) => Fate::Lost,
            ("lost", Some(_)) => Fate::GivenUp,
            _ => Fate::Pending,
        }))
    }
}

impl Tx {
    /// The players' careers, held until the transaction ends, in their order.
    pub(super) async fn lock_careers(&mut self, players: &[PlayerId]) -> Result<Vec<Career>, StoreError> {
        let mut order: Vec<usize> = (0..players.len()).collect();
        // In one order everywhere, so that two transactions never wait for each other.
        order.sort_unstable_by_key(|&index| players[index]);
        let mut careers = vec![Career::default(); players.len()];
        for index in order {
            // The update changes nothing but takes the row's lock.
            let sql = "INSERT INTO careers (player_id, experience, matches, counted_unix_ms, achievements)
                VALUES ($1, 0, 0, 0, '{}')
                ON CONFLICT (player_id) DO UPDATE SET matches = careers.matches
                RETURNING experience, matches, counted_unix_ms, achievements";
            let row = self.row(sql, args![players[index]]).await?.ok_or(StoreError::Malformed("career"))?;
            careers[index] = career(&row)?;
        }
        Ok(careers)
    }

    /// Writes careers over the rows that [`lock_careers`](Self::lock_careers) holds.
    pub(super) async fn write_careers(&mut self, careers: &[(PlayerId, Career)]) -> Result<(), StoreError> {
        for (player, career) in careers {
            let sql =
                "UPDATE careers SET experience = $2, matches = $3, counted_unix_ms = $4, achievements = $5
                WHERE player_id = $1";
            let (experience, matches) = (int(career.experience)?, int(career.matches)?);
            let achievements = serde_json::to_string(&career.achievements).expect("a map is plain JSON");
            self.execute(sql, args![*player, experience, matches, career.counted, achievements]).await?;
        }
        Ok(())
    }

    /// Keeps what the match did to its players, as JSON.
    pub(super) async fn write_reports(
        &mut self,
        id: MatchId,
        reports: &[(PlayerId, String)],
    ) -> Result<(), StoreError> {
        for (player, report) in reports {
            let sql = "UPDATE match_players SET outcome = $3 WHERE match_id = $1 AND player_id = $2";
            self.execute(sql, args![id, *player, report.as_str()]).await?;
        }
        Ok(())
    }
}

fn career(row: &Row) -> Result<Career, StoreError> {
    let number = |column| u64::try_from(row.int(column)?).map_err(|_| StoreError::Malformed("career"));
    let achievements: BTreeMap<String, Progress> =
        serde_json::from_str(&row.text(3)?).map_err(|_| StoreError::Malformed("achievements"))?;
    Ok(Career { experience: number(0)?, matches: number(1)?, counted: UnixMs(row.int(2)?), achievements })
}

fn int(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Malformed("career"))
}
