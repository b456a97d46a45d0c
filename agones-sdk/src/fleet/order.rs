//! Owns: in which order servers are taken and in which they are ended, packed or distributed.
//! Must never know: which servers may be taken or ended at all.

use std::cmp::Ordering;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use crate::proto::allocation::allocation_request::SchedulingStrategy;
use crate::proto::allocation::{Priority, priority};
use crate::proto::sdk::GameServer;
use crate::sidecar::capacity;
use crate::state::State;

/// Whether a fleet fills what it has before it takes what is empty (`spec.scheduling`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheduling {
    /// Fill, so that machines become empty and can be given back.
    #[default]
    Packed,
    /// Spread.
    Distributed,
}

impl FromStr for Scheduling {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "packed" => Ok(Self::Packed),
            "distributed" => Ok(Self::Distributed),
            _ => Err("expected packed or distributed".into()),
        }
    }
}

/// Orders the servers that fit an allocation: the first is taken.
///
/// Packed, on one node: servers already allocated, then the priorities, then the name. Distributed: the priorities,
/// then the name; without priorities any order.
pub(super) fn to_take<M>(
    strategy: SchedulingStrategy,
    priorities: &[Priority],
    candidates: &mut [(M, Arc<GameServer>)],
) {
    let by_name =
        |a: &GameServer, b: &GameServer| by_priority(priorities, a, b).then_with(|| a.name().cmp(b.name()));
    let idle = |server: &GameServer| server.state() != Some(State::Allocated);
    match strategy {
        SchedulingStrategy::Packed => {
            candidates.sort_by(|(_, a), (_, b)| idle(a).cmp(&idle(b)).then_with(|| by_name(a, b)));
        }
        SchedulingStrategy::Distributed if priorities.is_empty() => fastrand::shuffle(candidates),
        SchedulingStrategy::Distributed => candidates.sort_by(|(_, a), (_, b)| by_name(a, b)),
    }
}

/// Orders servers as a fleet that shrinks ends them, with `started` telling when each was.
///
/// Packed, on one node: those that are not Ready yet, then the priorities, then the name. Distributed: the priorities,
/// then the oldest (as Agones sorts; its comment says the newest).
pub(super) fn to_end<M>(
    scheduling: Scheduling,
    priorities: &[Priority],
    servers: &mut [(M, Arc<GameServer>)],
    started: impl Fn(&M) -> Instant,
) {
    let is_up = |server: &GameServer| !server.state().is_some_and(State::is_starting);
    servers.sort_by(|(x, a), (y, b)| match scheduling {
        Scheduling::Packed => is_up(a)
            .cmp(&is_up(b))
            .then_with(|| by_priority(priorities, a, b))
            .then_with(|| a.name().cmp(b.name())),
        Scheduling::Distributed => by_priority(priorities, a, b).then_with(|| started(x).cmp(&started(y))),
    });
}

/// By available capacity; a server that lacks the key comes last in either order.
fn by_priority(priorities: &[Priority], a: &GameServer, b: &GameServer) -> Ordering {
    let orders = priorities.iter().map(|priority| match (available(priority, a), available(priority, b)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) if priority.order() == priority::Order::Descending => b.cmp(&a),
        (Some(a), Some(b)) => a.cmp(&b),
    });
    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn available(priority: &Priority, server: &GameServer) -> Option<i64> {
    let status = server.status.as_ref()?;
    match priority.r#type() {
        priority::Type::Counter => {
            status.counters.get(&priority.key).map(|counter| counter.capacity.saturating_sub(counter.count))
        }
        priority::Type::List => status.lists.get(&priority.key).map(capacity::available),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::proto::sdk::game_server::status::{CounterStatus, ListStatus};

    /// A server that began `age` seconds ago, with so many of so many rooms in use.
    fn server(name: &str, state: State, age: u64, rooms: Option<(i64, i64)>) -> (u64, Arc<GameServer>) {
        let mut server = GameServer::default();
        name.clone_into(&mut server.meta_mut().name);
        let status = server.status_mut();
        status.state = state.name().into();
        if let Some((count, capacity)) = rooms {
            status.counters.insert("rooms".into(), CounterStatus { count, capacity });
            let values = (0..count).map(|value| value.to_string()).collect();
            status.lists.insert("rooms".into(), ListStatus { capacity, values });
        }
        (age, Arc::new(server))
    }

    fn servers() -> Vec<(u64, Arc<GameServer>)> {
        vec![
            server("d", State::Ready, 4, None),
            server("c", State::Ready, 1, Some((1, 10))),
            server("b", State::Scheduled, 2, Some((8, 10))),
            server("a", State::Ready, 3, Some((1, 10))),
            server("z", State::Allocated, 5, None),
        ]
    }

    fn names(servers: &[(u64, Arc<GameServer>)]) -> String {
        servers.iter().map(|(_, server)| server.name()).collect()
    }

    fn by_rooms(order: priority::Order, kind: priority::Type) -> Vec<Priority> {
        vec![Priority { key: "rooms".into(), order: order.into(), r#type: kind.into() }]
    }

    #[test]
    fn packed_takes_allocated_then_priority_then_name() {
        let check = |priorities: &[Priority], expected: &str| {
            let mut servers = servers();
            to_take(SchedulingStrategy::Packed, priorities, &mut servers);
            assert_eq!(names(&servers), expected);
        };
        check(&[], "zabcd");
        for kind in [priority::Type::Counter, priority::Type::List] {
            check(&by_rooms(priority::Order::Ascending, kind), "zbacd");
            check(&by_rooms(priority::Order::Descending, kind), "zacbd");
        }
    }

    #[test]
    fn distributed_takes_by_priority_then_name_or_any() {
        let mut servers = servers();
        let rooms = by_rooms(priority::Order::Ascending, priority::Type::Counter);
        to_take(SchedulingStrategy::Distributed, &rooms, &mut servers);
        assert_eq!(names(&servers), "bacdz");
        let mut firsts = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            to_take(SchedulingStrategy::Distributed, &[], &mut servers);
            firsts.insert(servers[0].1.name().to_owned());
        }
        assert_eq!(firsts.len(), 5, "each comes first at times");
    }

    #[test]
    fn the_emptiest_promise_ends_first() {
        let now = Instant::now();
        let started = |age: &u64| now - Duration::from_secs(*age);
        let check = |scheduling: Scheduling, priorities: &[Priority], expected: &str| {
            let mut servers = servers();
            to_end(scheduling, priorities, &mut servers, started);
            assert_eq!(names(&servers), expected);
        };
        check(Scheduling::Packed, &[], "bacdz");
        check(Scheduling::Packed, &by_rooms(priority::Order::Descending, priority::Type::Counter), "bacdz");
        check(Scheduling::Distributed, &[], "zdabc");
        check(
            Scheduling::Distributed,
            &by_rooms(priority::Order::Descending, priority::Type::Counter),
            "acbzd",
        );
    }
}
