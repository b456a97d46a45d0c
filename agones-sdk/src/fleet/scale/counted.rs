//! Owns: Agones' Counter and List policies, as a pure function: so much free room in all servers together.
//! Must never know: what is counted, or how a server is ended.

use super::buffer::{BufferSize, Desired};
use super::decide::FleetView;
use super::review::AggregatedCounter;
use crate::proto::sdk::game_server::Status;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// A counter's count and capacity.
    Counter,
    /// A list's values and capacity.
    List,
}

/// Agones' policies "Counter" and "List".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedPolicy {
    /// Counter or list.
    pub kind: Counted,
    /// Its name.
    pub key: String,
    /// Room to keep free, absolute or as a share of all room.
    pub buffer: BufferSize,
    /// Never less room than this in all.
    pub min: i64,
    /// Never more room than this in all.
    pub max: i64,
}

/// How much of something one server holds, and how much it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    count: i64,
    capacity: i64,
}

impl Counted {
    /// The policy's name in Agones.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "Counter",
            Self::List => "List",
        }
    }

    fn held(self, key: &str, status: &Status) -> Option<Held> {
        match self {
            Self::Counter => status
                .counters
                .get(key)
                .map(|counter| Held { count: counter.count, capacity: counter.capacity }),
            Self::List => status.lists.get(key).map(|list| Held {
                count: i64::try_from(list.values.len()).unwrap_or(i64::MAX),
                capacity: list.capacity,
            }),
        }
    }
}

impl CountedPolicy {
    /// How many servers the fleet should have.
    ///
    /// # Errors
    /// One line: the servers do not count this, or another server would add no room.
    pub fn desired(&self, view: &FleetView) -> Result<Desired, String> {
        let Self { kind, key, min, max, .. } = self;
        let fresh = kind.held(key, &view.template);
        let fresh = fresh.ok_or_else(|| format!("{} {key} is not in the fleet's template", kind.name()))?;
        let sums = match kind {
            Counted::Counter => &view.status.counters,
            Counted::List => &view.status.lists,
        };
        let total = *sums.get(key).ok_or_else(|| format!("no server has a {} {key}", kind.name()))?;
        let replicas = view.status.replicas;
        let buffer = match self.buffer {
            BufferSize::Count(buffer) => i64::from(buffer),
            // With nothing allocated a share of it is nothing: one server is enough if it holds the minimum.
            BufferSize::Percent(_) if total.allocated_count <= 0 && fresh.capacity >= *min => {
                return Ok(Desired { replicas: 1, limited: true });
            }
            BufferSize::Percent(percent) => share(total.allocated_count, percent),
        };
        let available = total.capacity.saturating_sub(total.count);
        if total.capacity < *min {
            return grow_to(replicas, total.capacity, fresh.capacity, *min);
        }
        if total.capacity > *max && available <= buffer {
            return Ok(self.shrink_to_max(view, total.capacity));
        }
        if available < buffer {
            return self.grow(replicas, total, available, buffer, fresh);
        }
        if available > buffer {
            return Ok(self.shrink(view, total, buffer));
        }
        Ok(Desired { replicas, limited: false })
    }

    /// More servers until the buffer is there, or the maximum.
    fn grow(
        &self,
        replicas: u32,
        total: AggregatedCounter,
        available: i64,
        buffer: i64,
        fresh: Held,
    ) -> Result<Desired, String> {
        let gain = fresh.capacity.saturating_sub(fresh.count);
        if gain <= 0 {
            return Err(format!("another server adds no free {}", self.key));
        }
        let more = ceil_div(buffer.saturating_sub(available), gain);
        let grown = total.capacity.saturating_add(more.saturating_mul(fresh.capacity));
        let limited = grown > self.max;
        let more = if limited { (self.max - total.capacity) / fresh.capacity } else { more };
        Ok(Desired { replicas: plus(replicas, more), limited })
    }

    /// Fewer servers, in the order in which they would be ended, until the maximum is kept; one stays.
    fn shrink_to_max(&self, view: &FleetView, mut capacity: i64) -> Desired {
        let mut replicas = view.status.replicas;
        for server in &view.deletion_order {
            if capacity <= self.max {
                break;
            }
            let held = server.status.as_ref().and_then(|status| self.kind.held(&self.key, status));
            capacity -= held.map_or(0, |held| held.capacity);
            replicas = replicas.saturating_sub(1);
        }
        Desired { replicas: replicas.max(1), limited: true }
    }

    /// Fewer servers, in the order in which they would be ended, while buffer and minimum are kept; one stays.
    fn shrink(&self, view: &FleetView, total: AggregatedCounter, buffer: i64) -> Desired {
        let mut replicas = view.status.replicas;
        if total.capacity == self.min {
            return Desired { replicas, limited: true };
        }
        let (mut count, mut capacity) = (total.count, total.capacity);
        for server in &view.deletion_order {
            let before = replicas;
            replicas = replicas.saturating_sub(1);
            let held = server.status.as_ref().and_then(|status| self.kind.held(&self.key, status));
            let Some(held) = held else { continue };
            count -= held.count;
            capacity -= held.capacity;
            let available = capacity - count;
            if available < buffer {
                return Desired { replicas: before, limited: false };
            }
            if capacity < self.min {
                return Desired { replicas: before, limited: true };
            }
            if available == buffer {
                return Desired { replicas, limited: false };
            }
            if capacity == self.min {
                return Desired { replicas, limited: true };
            }
        }
        Desired { replicas: replicas.max(1), limited: false }
    }
}

/// More servers until the room in all is no less than `min`.
fn grow_to(replicas: u32, total: i64, each: i64, min: i64) -> Result<Desired, String> {
    if each <= 0 {
        return Err("another server adds no capacity".into());
    }
    Ok(Desired { replicas: plus(replicas, ceil_div(min - total, each)), limited: true })
}

/// Free room that is `percent` of all room when `used` is the rest of it.
fn share(used: i64, percent: u32) -> i64 {
    let others = i64::from(100 - percent.min(99));
    ceil_div(used.saturating_mul(100), others).saturating_sub(used)
}

/// Of numbers that are not negative.
fn ceil_div(value: i64, by: i64) -> i64 {
    value.saturating_add(by - 1) / by
}

fn plus(replicas: u32, more: i64) -> u32 {
    u32::try_from(i64::from(replicas).saturating_add(more).max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::review::FleetStatus;
    use super::*;
    use crate::proto::sdk::GameServer;
    use crate::proto::sdk::game_server::status::{CounterStatus, ListStatus};
    use crate::state::State;

    /// One server: whether it is allocated, its count, its capacity.
    type Row = (bool, i64, i64);

    fn status(kind: Counted, count: i64, capacity: i64) -> Status {
        let mut status = Status::default();
        match kind {
            Counted::Counter => {
                status.counters.insert("rooms".into(), CounterStatus { count, capacity });
            }
            Counted::List => {
                let values = (0..count).map(|value| value.to_string()).collect();
                status.lists.insert("rooms".into(), ListStatus { capacity, values });
            }
        }
        status
    }

    fn view(kind: Counted, fresh: (i64, i64), rows: &[Row]) -> FleetView {
        let servers: Vec<_> = rows
            .iter()
            .map(|&(allocated, count, capacity)| {
                let state = if allocated { State::Allocated } else { State::Ready };
                let mut status = status(kind, count, capacity);
                status.state = state.name().into();
                Arc::new(GameServer { status: Some(status), ..GameServer::default() })
            })
            .collect();
        FleetView {
            status: FleetStatus::of(&servers, 0),
            template: status(kind, fresh.0, fresh.1),
            deletion_order: servers,
        }
    }

    /// Both kinds follow the same rule. `limits` are minimum and maximum; rows come in deletion order.
    #[track_caller]
    fn check(buffer: &str, limits: (i64, i64), fresh: (i64, i64), rows: &[Row], expected: (u32, bool)) {
        for kind in [Counted::Counter, Counted::List] {
            let (min, max) = limits;
            let policy =
                CountedPolicy { kind, key: "rooms".into(), buffer: buffer.parse().unwrap(), min, max };
            let found = policy.desired(&view(kind, fresh, rows)).unwrap();
            assert_eq!((found.replicas, found.limited), expected, "{policy:?} {rows:?}");
        }
    }

    const IDLE: Row = (false, 0, 10);
    const FULL: Row = (true, 10, 10);
    const HALF: Row = (true, 5, 10);

    #[test]
    fn room_is_added_until_the_buffer_is_free() {
        check("10", (0, 100), (0, 10), &[FULL], (2, false));
        check("15", (0, 100), (0, 10), &[FULL, IDLE], (3, false));
        check("10", (0, 100), (0, 10), &[HALF, HALF], (2, false));
        // A new server is not empty: each brings 8.
        check("10", (0, 100), (2, 10), &[FULL], (3, false));
        // The maximum of 30 lets one more in, not two.
        check("20", (0, 30), (0, 10), &[FULL, FULL], (3, true));
        check("20", (0, 20), (0, 10), &[FULL, FULL], (2, true));
    }

    #[test]
    fn room_is_taken_away_in_the_order_of_deletion() {
        check("10", (0, 100), (0, 10), &[IDLE, IDLE, FULL], (2, false));
        check("15", (0, 100), (0, 10), &[IDLE, IDLE, FULL], (3, false));
        // The first one gone would leave 5 of the 10 asked for.
        check("10", (0, 100), (0, 10), &[IDLE, HALF], (2, false));
        // Minimum 20: one of three may go.
        check("5", (20, 100), (0, 10), &[IDLE, IDLE, IDLE], (2, true));
        check("5", (20, 100), (0, 10), &[IDLE, IDLE], (2, true));
        // One stays.
        check("1", (0, 100), (0, 10), &[IDLE], (1, false));
    }

    #[test]
    fn minimum_and_maximum_of_all_room_come_first() {
        check("5", (35, 100), (0, 10), &[IDLE], (4, true));
        check("30", (35, 100), (0, 10), &[FULL], (4, true));
        // 40 of at most 25, and no more than the buffer is free: two go.
        check("10", (0, 25), (0, 10), &[FULL, FULL, FULL, IDLE], (2, true));
        // More than the buffer is free: the buffer decides.
        check("5", (0, 25), (0, 10), &[IDLE, IDLE, IDLE], (1, false));
    }

    #[test]
    fn a_share_is_of_what_is_allocated() {
        // ceil(20 × 100 / 80) − 20 = 5 free.
        check("20%", (1, 100), (0, 10), &[FULL, FULL], (3, false));
        // ceil(5 × 100 / 50) − 5 = 5 free, and 5 are.
        check("50%", (1, 100), (0, 10), &[HALF], (1, false));
        check("50%", (10, 100), (0, 10), &[IDLE, IDLE], (1, true));
        // One server would not hold the minimum.
        check("50%", (20, 100), (0, 10), &[IDLE], (2, true));
    }

    #[test]
    fn what_cannot_be_counted_is_said() {
        let policy = |key: &str, buffer: u32| CountedPolicy {
            kind: Counted::Counter,
            key: key.into(),
            buffer: BufferSize::Count(buffer),
            min: 0,
            max: 100,
        };
        let none = policy("players", 5).desired(&view(Counted::Counter, (0, 10), &[IDLE]));
        assert!(none.unwrap_err().contains("players is not in the fleet's template"));
        let empty = policy("rooms", 5).desired(&view(Counted::Counter, (0, 10), &[]));
        assert!(empty.unwrap_err().contains("no server has"));
        let useless = policy("rooms", 50).desired(&view(Counted::Counter, (10, 10), &[IDLE]));
        assert!(useless.unwrap_err().contains("adds no free rooms"));
        let below = CountedPolicy { min: 50, ..policy("rooms", 5) };
        assert!(below.desired(&view(Counted::Counter, (0, 0), &[IDLE])).is_err());
    }
}
