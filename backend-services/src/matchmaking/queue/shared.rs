//! The queue of several nodes: Redis holds the tickets, a stream tells every node of every change, and one key a mode
//! is its lease. Each operation is one script, so it happens whole or not at all, whichever process dies.
//!
//! | key | holds |
//! |---|---|
//! | `tw:mm:records` | hash: ticket → what it asks for (JSON) |
//! | `tw:mm:states` | hash: ticket → where it stands |
//! | `tw:mm:players` | hash: player → live ticket |
//! | `tw:mm:seen` | sorted set: ticket by when somebody last asked, Unix milliseconds |
//! | `tw:mm:log` | stream: every change |
//! | `tw:mm:nodes` | sorted set: node by when it is taken for dead, Redis' own milliseconds |
//! | `tw:mm:lease:MODE` | who forms the matches of a mode: `NODE:NUMBER`, a new number for each holder; lapses by itself |
//! | `tw:mm:fence` | the number of the last lease |
//! | `tw:mm:done:TICKET` | a ticket that is over, for two minutes |
//!
//! A Redis that loses its data loses the tickets: clients are told that they are gone and queue again. With its
//! append-only file on it loses at most the last second.

use std::time::Duration;

use redis::Script;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};

use super::{Cursor, Entry, Event, FINAL_KEPT, Lease, Put, Queue, Share, Shifted, malformed, read_entry};
use crate::clock::UnixMs;
use crate::crypto::random_u64;
use crate::ids::TicketId;
use crate::matchmaking::ticket::State;
use crate::store::StoreError;

/// A script that is not answered by then has failed.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Changes that the stream keeps, about; a node further behind takes a snapshot.
const EVENTS_MAX: usize = 200_000;
/// Changes that one read returns.
const BATCH: usize = 1000;

const KEYS: [&str; 5] = ["tw:mm:records", "tw:mm:states", "tw:mm:players", "tw:mm:seen", "tw:mm:log"];
const NODES: &str = "tw:mm:nodes";
const FENCE: &str = "tw:mm:fence";
const LEASES: &str = "tw:mm:lease:";
const DONE: &str = "tw:mm:done:";

/// ticket, record, state, now, most tickets, most events, players…
const PUT: &str = r"
for i = 7, #ARGV do
  local live = redis.call('HGET', KEYS[3], ARGV[i])
  if live then return live end
end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then return 'full' end
for i = 7, #ARGV do redis.call('HSET', KEYS[3], ARGV[i], ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[6], '*', 'id', ARGV[1], 'state', ARGV[3], 'record', ARGV[2])
return 'new'";

/// KEYS[6], where there is a lease: its key. lease or '', seconds that the end is kept, most events, done prefix, count of
/// expected states, these, then for each ticket: id, new state, '1' if that is final. Answers the tickets that do not stand as expected.
const SHIFT: &str = r"
if ARGV[1] ~= '' and redis.call('GET', KEYS[6]) ~= ARGV[1] then return {'fenced'} end
local expected = {}
local count = tonumber(ARGV[5])
for i = 6, 5 + count do expected[ARGV[i]] = true end
local stale = {}
for i = 6 + count, #ARGV, 3 do
  local state = redis.call('HGET', KEYS[2], ARGV[i])
  if not state or not expected[state] then stale[#stale + 1] = ARGV[i] end
end
if #stale > 0 then return stale end
for i = 6 + count, #ARGV, 3 do
  local id, state = ARGV[i], ARGV[i + 1]
  if ARGV[i + 2] == '1' then
    local record = redis.call('HGET', KEYS[1], id)
    for _, player in ipairs(cjson.decode(record).players) do redis.call('HDEL', KEYS[3], player) end
    redis.call('HDEL', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    redis.call('ZREM', KEYS[4], id)
    redis.call('SET', ARGV[4] .. id, state .. '\n' .. record, 'EX', ARGV[2])
  else
    redis.call('HSET', KEYS[2], id, state)
  end
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[3], '*', 'id', id, 'state', state)
end
return {}";

/// KEYS: nodes, fence, the leases of all modes. node, milliseconds, then for each mode the lease held or ''. Answers the
/// fair share, then for each mode the lease that this node holds now or ''.
const SHARE: &str = r"
local time = redis.call('TIME')
local now, ttl = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ttl, ARGV[1])
local fair = math.ceil((#KEYS - 2) / redis.call('ZCARD', KEYS[1]))
local out, count = { tostring(fair) }, 0
for i = 3, #KEYS do
  out[i - 1] = ''
  if ARGV[i] ~= '' and redis.call('GET', KEYS[i]) == ARGV[i] then
    redis.call('PEXPIRE', KEYS[i], ttl)
    out[i - 1] = ARGV[i]
    count = count + 1
  end
end
for i = 3, #KEYS do
  if count < fair and redis.call('EXISTS', KEYS[i]) == 0 then
    local lease = ARGV[1] .. ':' .. redis.call('INCR', KEYS[2])
    redis.call('SET', KEYS[i], lease, 'PX', ttl)
    out[i - 1] = lease
    count = count + 1
  end
end
return out";

const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";

/// Answers where the stream ends, then id, state and record of every live ticket: all of one moment.
const SNAPSHOT: &str = r"
local last = redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)
local out = { last[1] and last[1][1] or '0' }
local states = redis.call('HGETALL', KEYS[2])
for i = 1, #states, 2 do
  out[#out + 1] = states[i]
  out[#out + 1] = states[i + 1]
  out[#out + 1] = redis.call('HGET', KEYS[1], states[i])
end
return out";

/// Tickets in Redis.
pub struct RedisQueue {
    redis: ConnectionManager,
    /// Apart, because reading events waits.
    reader: ConnectionManager,
    node: String,
}

impl RedisQueue {
    /// Connects.
    ///
    /// # Errors
    /// Redis cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_number_of_retries(2);
        let client = redis::Client::open(url)?;
        Ok(Self {
            redis: ConnectionManager::new_with_config(client.clone(), config.clone()).await?,
            reader: ConnectionManager::new_with_config(client, config).await?,
            node: format!("{:016x}", random_u64()),
        })
    }
}

#[tonic::async_trait]
impl Queue for RedisQueue {
    async fn put(&self, entry: &Entry, tickets_max: usize, now: UnixMs) -> Result<Put, StoreError> {
        let script = Script::new(PUT);
        let body = serde_json::to_string(&entry.record).map_err(|_| malformed())?;
        let mut call = script.prepare_invoke();
        KEYS.iter().for_each(|key| _ = call.key(*key));
        call.arg(&entry.record.id).arg(body).arg(entry.state.to_text()).arg(now.0);
        call.arg(tickets_max).arg(EVENTS_MAX).arg(&entry.record.players);
        let answer: String = call.invoke_async(&mut self.redis.clone()).await?;
        Ok(match answer.as_str() {
            "new" => Put::New,
            "full" => Put::Full,
            live => Put::Already(live.parse().map_err(|_| malformed())?),
        })
    }

    async fn entry(&self, id: TicketId) -> Result<Option<Entry>, StoreError> {
        let id = id.to_string();
        let (record, state, done): (Option<String>, Option<String>, Option<String>) = redis::pipe()
            .atomic()
            .hget(KEYS[0], &id)
            .hget(KEYS[1], &id)
            .get(format!("{DONE}{id}"))
            .query_async(&mut self.redis.clone())
            .await?;
        match (record, state, done) {
            (Some(record), Some(state), _) => read_entry(&record, &state).map(Some),
            (_, _, Some(done)) => {
                let (state, record) = done.split_once('\n').ok_or_else(malformed)?;
                read_entry(record, state).map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn shift(
        &self,
        to: &[(TicketId, State)],
        from: &[State],
        lease: Option<&Lease>,
    ) -> Result<Shifted, StoreError> {
        let script = Script::new(SHIFT);
        let mut call = script.prepare_invoke();
        KEYS.iter().for_each(|key| _ = call.key(*key));
        if let Some(lease) = lease {
            call.key(format!("{LEASES}{}", lease.mode));
        }
        call.arg(lease.map_or("", |lease| lease.token.as_str())).arg(FINAL_KEPT.as_secs());
        call.arg(EVENTS_MAX).arg(DONE).arg(from.len());
        from.iter().for_each(|state| _ = call.arg(state.to_text()));
        for (id, state) in to {
            call.arg(id.to_string()).arg(state.to_text()).arg(u8::from(state.is_final()));
        }
        let stale: Vec<String> = call.invoke_async(&mut self.redis.clone()).await?;
        if stale.first().is_some_and(|first| first == "fenced") {
            return Ok(Shifted::Fenced);
        }
        let stale: Vec<TicketId> = stale.iter().filter_map(|id| id.parse().ok()).collect();
        Ok(if stale.is_empty() { Shifted::Done } else { Shifted::Stale(stale) })
    }

    async fn touch(&self, id: TicketId, now: UnixMs) -> Result<(), StoreError> {
        let mut command = redis::cmd("ZADD");
        command.arg(KEYS[3]).arg("XX").arg(now.0).arg(id.to_string());
        let () = command.query_async(&mut self.redis.clone()).await?;
        Ok(())
    }

    async fn idle(&self, before: UnixMs, limit: usize) -> Result<Vec<TicketId>, StoreError> {
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(KEYS[3]).arg("-inf").arg(format!("({}", before.0)).arg("LIMIT").arg(0).arg(limit);
        let ids: Vec<String> = command.query_async(&mut self.redis.clone()).await?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    async fn ticket_named(&self, name: &str) -> Result<Option<TicketId>, StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(KEYS[2]).arg(name);
        let id: Option<String> = command.query_async(&mut self.redis.clone()).await?;
        Ok(id.and_then(|id| id.parse().ok()))
    }

    async fn share(&self, modes: &[String], held: &[Lease], ttl: Duration) -> Result<Share, StoreError> {
        let script = Script::new(SHARE);
        let mut call = script.prepare_invoke();
        call.key(NODES).key(FENCE);
        modes.iter().for_each(|mode| _ = call.key(format!("{LEASES}{mode}")));
        call.arg(&self.node).arg(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        for mode in modes {
            let own = held.iter().find(|lease| lease.mode == *mode);
            call.arg(own.map_or("", |lease| lease.token.as_str()));
        }
        let answer: Vec<String> = call.invoke_async(&mut self.redis.clone()).await?;
        let (fair, tokens) = answer.split_first().ok_or_else(malformed)?;
        let fair = fair.parse().map_err(|_| malformed())?;
        let held = modes.iter().zip(tokens).filter(|(_, token)| !token.is_empty());
        let lease = |(mode, token): (&String, &String)| Lease { mode: mode.clone(), token: token.clone() };
        Ok(Share { leases: held.map(lease).collect(), fair })
    }

    async fn release(&self, held: &Lease) -> Result<(), StoreError> {
        let script = Script::new(RELEASE);
        let key = format!("{LEASES}{}", held.mode);
        let () = script.key(key).arg(&held.token).invoke_async(&mut self.redis.clone()).await?;
        Ok(())
    }

    async fn leave(&self) -> Result<(), StoreError> {
        let mut command = redis::cmd("ZREM");
        let () = command.arg(NODES).arg(&self.node).query_async(&mut self.redis.clone()).await?;
        Ok(())
    }

    async fn snapshot(&self) -> Result<(Cursor, Vec<Entry>), StoreError> {
        let script = Script::new(SNAPSHOT);
        let mut call = script.prepare_invoke();
        KEYS.iter().for_each(|key| _ = call.key(*key));
        let answer: Vec<String> = call.invoke_async(&mut self.redis.clone()).await?;
        let (cursor, rest) = answer.split_first().ok_or_else(malformed)?;
        let entry = |row: &[String]| read_entry(&row[2], &row[1]);
        Ok((cursor.clone(), rest.chunks_exact(3).map(entry).collect::<Result<_, _>>()?))
    }

    async fn events(&self, after: &Cursor, patience: Duration) -> Result<(Cursor, Vec<Event>), StoreError> {
        type Answer = Option<Vec<(String, Vec<(String, Vec<String>)>)>>;
        // Shorter than the timeout of an answer.
        let mut wait = patience.min(RESPONSE_TIMEOUT / 2).as_millis().max(1);
        let (mut cursor, mut events) = (after.clone(), Vec::new());
        loop {
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(BATCH).arg("BLOCK").arg(u64::try_from(wait).unwrap_or(1));
            command.arg("STREAMS").arg(KEYS[4]).arg(&cursor);
            let answer: Answer = command.query_async(&mut self.reader.clone()).await?;
            let before = events.len();
            for (number, fields) in answer.into_iter().flatten().flat_map(|(_, rows)| rows) {
                cursor = number;
                events.push(read_event(&fields)?);
            }
            // A full batch may end amid one change of several tickets, which nobody must see the half of.
            if events.len() - before < BATCH {
                return Ok((cursor, events));
            }
            wait = 1;
        }
    }
}

fn read_event(fields: &[String]) -> Result<Event, StoreError> {
    let field = |name: &str| fields.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].as_str());
    let record = field("record").map(serde_json::from_str).transpose().map_err(|_| malformed())?;
    Ok(Event {
        id: field("id").and_then(|id| id.parse().ok()).ok_or_else(malformed)?,
        state: field("state").and_then(State::from_text).ok_or_else(malformed)?,
        record,
    })
}
