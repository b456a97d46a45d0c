//! The boards' ranks in Redis sorted sets: a copy that is always safe to lose.
//!
//! A board and season is a sorted set `tw:{BOARD:SEASON}:z` of members and a hash `tw:{BOARD:SEASON}:m` from
//! player to REVISION MEMBER. Redis orders by score and then by member, so the member carries the rest of the
//! order in 16 bytes, big-endian: 2^64−1−(time reached), 2^64−1−player. No bit of the score is spent on time,
//! and scores are exact up to 2^53. The key `tw:boards:ready` holds the run id of the Redis that was filled:
//! without it, or with another's, reads go to SQL until the copy is rebuilt. So do the reads of a process that has
//! not replayed the outbox since it started.
//!
//! Whoever changes a board says so at once; what a crash kept from being said is in the outbox table. Either
//! way a member is only replaced by a higher revision, so that repeats and races change nothing.
//!
//! Scripts that read answer one string, a row after the other, numbers big-endian: `rank 8 | score 8, a double |
//! member 16 | length 2 | name`. Thirty-odd small values a page cost more to part and to collect than the page.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands as _, Script};

use super::boards::{BoardId, Change, EntryRow};
use super::boards_write::OUTBOX_PAGE;
use super::db::Db;
use super::{Standing, StoreError};
use crate::clock::UnixMs;
use crate::ids::PlayerId;

const READY: &str = "tw:boards:ready";
const REBUILDING: &str = "tw:boards:rebuilding";
const NAMES: &str = "tw:names";
/// A rebuild that says nothing for so long has died.
const REBUILD_SILENT_MAX_MS: i64 = 30_000;
/// Entries in one script call: some 2 ms of Redis' time.
const PAGE: usize = 500;
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Nobody tells the ranks of a change that is older than this: who made it has died, or is so slow that telling them
/// twice does no harm. With the beat of [`super::Ranks::keep_up`] it is how far ranks may lag behind a killed process.
pub const FORGOTTEN_AFTER: Duration = Duration::from_millis(250);

/// Keys: sorted set, members, names. Arguments: player, revision, score, member, name, and again.
static APPLY: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
for i = 1, #ARGV, 5 do
  local old = redis.call('HGET', KEYS[2], ARGV[i])
  local new = true
  if old then
    new = tonumber(string.sub(old, 1, -17)) < tonumber(ARGV[i + 1])
    local member = string.sub(old, -16)
    if new and member ~= ARGV[i + 3] then redis.call('ZREM', KEYS[1], member) end
  else
    redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 4])
  end
  if new then
    redis.call('ZADD', KEYS[1], ARGV[i + 2], ARGV[i + 3])
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1] .. ARGV[i + 3])
  end
end
return 0",
    )
});

/// What the scripts that read share: the rows of `found` (member, score, …), of which the n-th has rank `rank(n)`.
macro_rules! reading {
    ($body:literal) => {
        concat!(
            r"
if redis.call('EXISTS', KEYS[4]) == 0 then return false end
local function id(member)
  local high, low = struct.unpack('>I4I4', member, 9)
  return string.format('%.0f', (4294967295 - high) * 4294967296 + (4294967295 - low))
end
local function answer(rank, found)
  local ids, rows = {}, {}
  for i = 1, #found, 2 do ids[#ids + 1] = id(found[i]) end
  if #ids == 0 then return '' end
  local names = redis.call('HMGET', KEYS[3], unpack(ids))
  for i = 1, #ids do
    local name = names[i] or ''
    rows[i] = struct.pack('>I8dc16I2c0', rank(i), tonumber(found[2 * i]), found[2 * i - 1], #name, name)
  end
  return table.concat(rows)
end
local function from(first)
  return function(i) return first + i end
end
",
            $body
        )
    };
}

/// Arguments: limit, and after which score and member.
static PAGE_OF: LazyLock<Script> = LazyLock::new(|| {
    Script::new(reading!(
        r"
local skip = 0
if ARGV[2] ~= '' then
  -- The row after which the page begins may be gone or elsewhere: put there for a moment, it says where it
  -- would be.
  local real = redis.call('ZSCORE', KEYS[1], ARGV[3])
  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[3])
  skip = redis.call('ZREVRANK', KEYS[1], ARGV[3])
  if not real then
    redis.call('ZREM', KEYS[1], ARGV[3])
  else
    if tonumber(real) >= tonumber(ARGV[2]) then skip = skip + 1 end
    redis.call('ZADD', KEYS[1], real, ARGV[3])
  end
end
return answer(from(skip), redis.call('ZREVRANGE', KEYS[1], skip, skip + ARGV[1] - 1, 'WITHSCORES'))"
    ))
});

/// Arguments: player, radius. No rows: no entry.
static AROUND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(reading!(
        r"
local old = redis.call('HGET', KEYS[2], ARGV[1])
if not old then return '' end
local rank = redis.call('ZREVRANK', KEYS[1], string.sub(old, -16))
local first = math.max(0, rank - ARGV[2])
return answer(from(first), redis.call('ZREVRANGE', KEYS[1], first, rank + ARGV[2], 'WITHSCORES'))"
    ))
});

/// Arguments: players.
static AMONG: LazyLock<Script> = LazyLock::new(|| {
    Script::new(reading!(
        r"
local ranks, found = {}, {}
local held = redis.call('HMGET', KEYS[2], unpack(ARGV))
for i = 1, #held do
  if held[i] then
    local member = string.sub(held[i], -16)
    ranks[#ranks + 1] = redis.call('ZREVRANK', KEYS[1], member) + 1
    found[#found + 1] = member
    found[#found + 1] = redis.call('ZSCORE', KEYS[1], member)
  end
end
return answer(function(i) return ranks[i] end, found)"
    ))
});

/// Bytes of a row beside its name.
const ROW_BYTES: usize = 8 + 8 + 16 + 2;

/// A copy of the boards in Redis; cloning shares the connection.
#[derive(Clone)]
pub struct BoardMirror {
    redis: ConnectionManager,
    db: Db,
    /// This process has replayed the outbox once.
    caught_up: Arc<AtomicBool>,
}

impl BoardMirror {
    pub(super) async fn connect(url: &str, db: Db) -> Result<Self, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_number_of_retries(2);
        let redis = ConnectionManager::new_with_config(redis::Client::open(url)?, config).await?;
        Ok(Self { redis, db, caught_up: Arc::default() })
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
        board: &BoardId,
        after: Option<Standing>,
        limit: u64,
    ) -> Result<Option<Vec<EntryRow>>, StoreError> {
        if limit == 0 {
            return Ok(Some(Vec::new()));
        }
        let mut call = PAGE_OF.prepare_invoke();
        keys(&mut call, board);
        call.arg(limit);
        match after {
            Some(after) => call.arg(after.score).arg(&member_of(&after)[..]),
            None => call.arg("").arg(""),
        };
        self.rows(&call).await
    }

    /// As `Db::board_around`; the outer `None` while the copy is not whole.
    ///
    /// # Errors
    /// Redis failed: ask SQL.
    pub async fn around(
        &self,
        board: &BoardId,
        of: PlayerId,
        radius: u64,
    ) -> Result<Option<Option<Vec<EntryRow>>>, StoreError> {
        let mut call = AROUND.prepare_invoke();
        keys(&mut call, board);
        let rows = self.rows(call.arg(of.as_u64()).arg(radius)).await?;
        Ok(rows.map(|rows| Some(rows).filter(|rows| !rows.is_empty())))
    }

    /// As `Db::board_among`; `None` while the copy is not whole.
    ///
    /// # Errors
    /// Redis failed: ask SQL.
    pub async fn among(
        &self,
        board: &BoardId,
        players: &[PlayerId],
    ) -> Result<Option<Vec<EntryRow>>, StoreError> {
        if players.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut call = AMONG.prepare_invoke();
        keys(&mut call, board);
        for player in players {
            call.arg(player.as_u64());
        }
        let Some(mut rows) = self.rows(&call).await? else { return Ok(None) };
        rows.sort_unstable_by_key(|row| row.rank);
        rows.dedup_by_key(|row| row.rank);
        Ok(Some(rows))
    }

    async fn rows(&self, call: &redis::ScriptInvocation<'_>) -> Result<Option<Vec<EntryRow>>, StoreError> {
        if !self.caught_up.load(Ordering::Acquire) {
            return Ok(None);
        }
        let answer: Option<Vec<u8>> = call.invoke_async(&mut self.redis.clone()).await?;
        answer.map(|answer| read(&answer)).transpose()
    }

    /// Takes changes over. Repeats and old news change nothing.
    ///
    /// # Errors
    /// Redis failed; the outbox still has what was not taken over.
    pub async fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut rest = changes;
        while let Some(first) = rest.first() {
            let same = rest.iter().take(PAGE).take_while(|change| change.board == first.board).count();
            let (page, others) = rest.split_at(same);
            let mut call = APPLY.prepare_invoke();
            keys(&mut call, &first.board);
            for change in page {
                call.arg(change.standing.player.as_u64()).arg(change.revision).arg(change.standing.score);
                call.arg(&member_of(&change.standing)[..]).arg(&change.display_name);
            }
            let () = call.invoke_async(&mut self.redis.clone()).await?;
            rest = others;
        }
        Ok(())
    }

    /// Forgets a closed season.
    ///
    /// # Errors
    /// Redis failed; what is left is never read again.
    pub async fn forget(&self, board: &BoardId) -> Result<(), StoreError> {
        let () = self.redis.clone().unlink(&[sorted_set(board), members(board)]).await?;
        Ok(())
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
            .with_expiration(redis::SetExpiry::PX(REBUILD_SILENT_MAX_MS.unsigned_abs()));
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

    /// Takes over what the outbox has kept for longer than anyone who lives needs; the first time all of it, since
    /// who left it may have died a moment ago.
    ///
    /// # Errors
    /// Either store failed; what was not taken over stays in the outbox.
    pub async fn catch_up(&self, now: UnixMs) -> Result<(), StoreError> {
        let caught_up = self.caught_up.load(Ordering::Acquire);
        let forgotten = now.0.saturating_sub(FORGOTTEN_AFTER.as_millis() as i64);
        let before = UnixMs(if caught_up { forgotten } else { i64::MAX });
        while self.drain_outbox(before).await? == OUTBOX_PAGE {}
        self.caught_up.store(true, Ordering::Release);
        Ok(())
    }

    async fn drain_outbox(&self, before: UnixMs) -> Result<u64, StoreError> {
        let changes = self.db.board_outbox(before).await?;
        self.apply(&changes).await?;
        let done: Vec<i64> = changes.iter().filter_map(|change| change.outbox).collect();
        self.db.board_outbox_done(done).await?;
        Ok(changes.len() as u64)
    }

    async fn rebuild(&self) -> Result<(), StoreError> {
        let mut redis = self.redis.clone();
        for board in self.db.open_boards().await? {
            self.forget(&board).await?;
            let mut after = 0;
            loop {
                let page = self.db.board_copy(&board, after, 20 * PAGE as u64).await?;
                let Some(last) = page.last() else { break };
                after = last.standing.player.as_i64();
                self.apply(&page).await?;
                let () = redis.pexpire(REBUILDING, REBUILD_SILENT_MAX_MS).await?;
            }
        }
        Ok(())
    }

    async fn run_id(&self) -> Result<String, StoreError> {
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut self.redis.clone()).await?;
        let line = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        line.map(str::to_owned).ok_or(StoreError::Malformed("redis run id"))
    }
}

fn keys(call: &mut redis::ScriptInvocation<'_>, board: &BoardId) {
    call.key(sorted_set(board)).key(members(board)).key(NAMES).key(READY);
}

fn sorted_set(board: &BoardId) -> String {
    format!("tw:{{{}:{}}}:z", board.name, board.season)
}

fn members(board: &BoardId) -> String {
    format!("tw:{{{}:{}}}:m", board.name, board.season)
}

fn member_of(standing: &Standing) -> [u8; 16] {
    let reached = u64::try_from(standing.reached.0).unwrap_or(0);
    let mut member = [0; 16];
    member[..8].copy_from_slice(&(u64::MAX - reached).to_be_bytes());
    member[8..].copy_from_slice(&(u64::MAX - standing.player.as_u64()).to_be_bytes());
    member
}

/// Of a member's two words.
fn standing_of(score: f64, reached: u64, player: u64) -> Option<Standing> {
    let reached = UnixMs(i64::try_from(u64::MAX - reached).ok()?);
    // Within ±2^53: exact.
    Some(Standing { score: score as i64, reached, player: PlayerId::new(u64::MAX - player)? })
}

/// The rows that a script answered.
fn read(mut answer: &[u8]) -> Result<Vec<EntryRow>, StoreError> {
    let mut rows = Vec::with_capacity(answer.len() / (ROW_BYTES + 8));
    while !answer.is_empty() {
        let (row, rest) = read_row(answer).ok_or(StoreError::Malformed("board row"))?;
        rows.push(row);
        answer = rest;
    }
    Ok(rows)
}

fn read_row(bytes: &[u8]) -> Option<(EntryRow, &[u8])> {
    let (rank, bytes) = bytes.split_first_chunk()?;
    let (score, bytes) = bytes.split_first_chunk()?;
    let (reached, bytes) = bytes.split_first_chunk()?;
    let (player, bytes) = bytes.split_first_chunk()?;
    let (length, bytes) = bytes.split_first_chunk()?;
    let (name, rest) = bytes.split_at_checked(u16::from_be_bytes(*length).into())?;
    let (reached, player) = (u64::from_be_bytes(*reached), u64::from_be_bytes(*player));
    let standing = standing_of(f64::from_be_bytes(*score), reached, player)?;
    let display_name = std::str::from_utf8(name).ok()?.to_owned();
    Some((EntryRow { rank: u64::from_be_bytes(*rank), standing, display_name }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SCORE_LIMIT;

    #[test]
    fn members_order_as_standings_of_equal_score_do() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut standings: Vec<Standing> = (0..500)
            .map(|_| Standing {
                score: 7,
                reached: UnixMs(random.i64(0..1 << 45) >> random.u32(0..45)),
                player: PlayerId::new(random.u64(1..PlayerId::LIMIT)).expect("an id"),
            })
            .collect();
        standings.sort_unstable();
        let members: Vec<[u8; 16]> = standings.iter().map(member_of).collect();
        assert!(
            members.is_sorted_by(|better, worse| better >= worse),
            "Redis lists the highest member first"
        );
        for (standing, member) in standings.iter().zip(&members) {
            let word = |at: usize| u64::from_be_bytes(member[at..at + 8].try_into().expect("eight bytes"));
            assert_eq!(standing_of(7.0, word(0), word(8)).as_ref(), Some(standing));
        }
    }

    #[test]
    fn answers_are_rows_end_to_end_or_malformed() {
        let player = PlayerId::new(77).expect("an id");
        let standing = Standing { score: -SCORE_LIMIT, reached: UnixMs(5), player };
        let row = |name: &str| {
            let length = u16::try_from(name.len()).expect("short");
            let (score, member) = ((standing.score as f64).to_be_bytes(), member_of(&standing));
            [&9_u64.to_be_bytes()[..], &score, &member, &length.to_be_bytes(), name.as_bytes()].concat()
        };
        let answer = [row("Ada"), row("")].concat();
        let rows = read(&answer).expect("two rows");
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.rank == 9 && row.standing == standing));
        assert_eq!((rows[0].display_name.as_str(), rows[1].display_name.as_str()), ("Ada", ""));
        assert!(read(b"").expect("no rows").is_empty());
        for end in (1..answer.len()).filter(|end| *end != row("Ada").len()) {
            assert!(read(&answer[..end]).is_err(), "{end} bytes");
        }
    }
}
