//! The boards' ranks in Redis sorted sets: a copy that is always safe to lose.
//!
//! A board is a sorted set `tw:{BOARD}:z` of members and a hash `tw:{BOARD}:m` from player to
//! `REVISION MEMBER`. Redis orders by score and then by member, so the member carries the rest of the order:
//! 16 hex digits of 2^64−1−(time reached) and 16 of 2^64−1−player. No bit of the score is spent on time, and
//! scores are exact up to 2^53. The key `tw:boards:ready` holds the run id of the Redis that was filled:
//! without it, or with another's, reads go to SQL until the copy is rebuilt.
//!
//! Changes arrive through the outbox table, at least once and in any order: a member is only replaced by a
//! higher revision, so that repeats and races change nothing.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands as _, Script};

use super::StoreError;
use super::boards::{EntryCopy, EntryRow};
use super::db::Db;
use crate::ids::PlayerId;

const READY: &str = "tw:boards:ready";
const REBUILDING: &str = "tw:boards:rebuilding";
const NAMES: &str = "tw:names";
/// A rebuild that takes longer than this has died.
const REBUILD_MAX_MS: u64 = 600_000;
const PAGE: u64 = 1000;
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

const APPLY: &str = r"
local old = redis.call('HGET', KEYS[2], ARGV[1])
if old then
  local revision, member = string.match(old, '^(%d+) (%x+)$')
  if tonumber(revision) >= tonumber(ARGV[2]) then return 0 end
  redis.call('ZREM', KEYS[1], member)
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. ARGV[4])
return 1";

/// Answers `{first rank from 0, member, score, …}`, or false while the copy is not whole.
const PAGE_OF: &str = r"
if redis.call('EXISTS', KEYS[2]) == 0 then return false end
return redis.call('ZREVRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')";

/// Answers the rank from 0, −1 for no entry, or false while the copy is not whole.
const RANK_OF: &str = r"
if redis.call('EXISTS', KEYS[3]) == 0 then return false end
local old = redis.call('HGET', KEYS[2], ARGV[1])
if not old then return -1 end
return redis.call('ZREVRANK', KEYS[1], string.match(old, ' (%x+)$'))";

/// A copy of the boards in Redis; cloning shares the connection.
#[derive(Clone)]
pub struct BoardMirror {
    redis: ConnectionManager,
    db: Db,
}

impl BoardMirror {
    pub(super) async fn connect(url: &str, db: Db) -> Result<Self, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_number_of_retries(2);
        let redis = ConnectionManager::new_with_config(redis::Client::open(url)?, config).await?;
        Ok(Self { redis, db })
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let () = redis::cmd("PING").exec_async(&mut self.redis.clone()).await?;
        Ok(())
    }

    /// As `Db::board_page`; `None` while the copy is not whole.
    ///
    /// # Errors
    /// Redis failed: ask SQL.
    pub async fn page(
        &self,
        board: &str,
        skip: u64,
        limit: u64,
    ) -> Result<Option<Vec<EntryRow>>, StoreError> {
        if limit == 0 {
            return Ok(Some(Vec::new()));
        }
        let mut redis = self.redis.clone();
        let last = skip + limit - 1;
        let script = Script::new(PAGE_OF);
        let mut call = script.key(sorted_set(board));
        let found: Option<Vec<(String, i64)>> =
            call.key(READY).arg(skip).arg(last).invoke_async(&mut redis).await?;
        let Some(found) = found else { return Ok(None) };
        let players = found.iter().map(|(member, _)| player_of(member)).collect::<Result<Vec<_>, _>>()?;
        let names = self.names(&players).await?;
        let mut rows = Vec::with_capacity(found.len());
        for (((rank, (_, score)), player), name) in (skip + 1..).zip(found).zip(players).zip(names) {
            rows.push(EntryRow { rank, player, display_name: name.unwrap_or_default(), score });
        }
        Ok(Some(rows))
    }

    /// As `Db::board_rank`; the outer `None` while the copy is not whole.
    ///
    /// # Errors
    /// Redis failed: ask SQL.
    pub async fn rank(&self, board: &str, player: PlayerId) -> Result<Option<Option<u64>>, StoreError> {
        let script = Script::new(RANK_OF);
        let mut call = script.key(sorted_set(board));
        call.key(members(board)).key(READY).arg(player.as_u64());
        let rank: Option<i64> = call.invoke_async(&mut self.redis.clone()).await?;
        Ok(rank.map(|rank| u64::try_from(rank).ok().map(|rank| rank + 1)))
    }

    /// Rebuilds the copy if this Redis does not hold a whole one. True if it did.
    ///
    /// # Errors
    /// Either store failed; the copy stays marked as not whole.
    pub async fn heal(&self) -> Result<bool, StoreError> {
        let mut redis = self.redis.clone();
        let run_id = self.run_id().await?;
        let filled: Option<String> = redis.get(READY).await?;
        if filled.as_deref() == Some(run_id.as_str()) {
            return Ok(false);
        }
        let options = redis::SetOptions::default()
            .conditional_set(redis::ExistenceCheck::NX)
            .with_expiration(redis::SetExpiry::PX(REBUILD_MAX_MS));
        let mine: Option<String> = redis.set_options(REBUILDING, &run_id, options).await?;
        if mine.is_none() {
            return Ok(false);
        }
        let () = redis.del(READY).await?;
        self.rebuild().await?;
        let () = redis.set(READY, run_id).await?;
        let () = redis.del(REBUILDING).await?;
        Ok(true)
    }

    /// Brings changes from the outbox over; how many.
    ///
    /// # Errors
    /// Either store failed; what was not brought over stays in the outbox.
    pub async fn drain_outbox(&self) -> Result<usize, StoreError> {
        let rows = self.db.outbox(PAGE).await?;
        for row in &rows {
            if let Some(entry) = self.db.board_entry(&row.board, row.player).await? {
                self.apply(&row.board, &entry).await?;
            }
        }
        if !rows.is_empty() {
            self.db.outbox_done(&rows.iter().map(|row| row.id).collect::<Vec<_>>()).await?;
        }
        Ok(rows.len())
    }

    async fn rebuild(&self) -> Result<(), StoreError> {
        for board in self.db.boards().await? {
            let () = self.redis.clone().del(&[sorted_set(&board), members(&board)]).await?;
            let mut after = 0;
            loop {
                let page = self.db.board_copy(&board, after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after = last.player.as_i64();
                for entry in &page {
                    self.apply(&board, entry).await?;
                }
            }
        }
        Ok(())
    }

    async fn apply(&self, board: &str, entry: &EntryCopy) -> Result<(), StoreError> {
        let mut redis = self.redis.clone();
        let () = redis.hset(NAMES, entry.player.as_u64(), &entry.display_name).await?;
        let script = Script::new(APPLY);
        let mut call = script.key(sorted_set(board));
        call.key(members(board)).arg(entry.player.as_u64()).arg(entry.revision).arg(entry.score);
        let () = call.arg(member_of(entry)).invoke_async(&mut redis).await?;
        Ok(())
    }

    async fn names(&self, players: &[PlayerId]) -> Result<Vec<Option<String>>, StoreError> {
        if players.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(NAMES);
        for player in players {
            command.arg(player.as_u64());
        }
        Ok(command.query_async(&mut self.redis.clone()).await?)
    }

    async fn run_id(&self) -> Result<String, StoreError> {
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut self.redis.clone()).await?;
        let line = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        line.map(str::to_owned).ok_or(StoreError::Malformed("redis run id"))
    }
}

fn sorted_set(board: &str) -> String {
    format!("tw:{{{board}}}:z")
}

fn members(board: &str) -> String {
    format!("tw:{{{board}}}:m")
}

fn member_of(entry: &EntryCopy) -> String {
    let reached = u64::try_from(entry.reached.0).unwrap_or(0);
    format!("{:016x}{:016x}", u64::MAX - reached, u64::MAX - entry.player.as_u64())
}

fn player_of(member: &str) -> Result<PlayerId, StoreError> {
    let digits = member.get(16..).and_then(|hex| u64::from_str_radix(hex, 16).ok());
    digits.and_then(|digits| PlayerId::new(u64::MAX - digits)).ok_or(StoreError::Malformed("board member"))
}
