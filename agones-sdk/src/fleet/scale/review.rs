//! Owns: the JSON between Agones and an autoscaling webhook, as the asking side writes and reads it.
//! Must never know: a policy, a socket.
//!
//! ```json
//! {"request":{"uid":"…","name":"fleet","namespace":"default",
//!   "status":{"replicas":10,"readyReplicas":3,"reservedReplicas":0,"allocatedReplicas":7,"allocations":42,
//!             "counters":{"rooms":{"allocatedCount":7,"allocatedCapacity":70,"count":7,"capacity":100}}},
//!   "labels":{},"annotations":{}},"response":null}
//! {"request":{…},"response":{"uid":"…","scale":true,"replicas":12}}
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::proto::sdk::GameServer;
use crate::state::State;

/// What Agones posts, and what it reads from the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetAutoscaleReview {
    /// The question; an answer need not repeat it.
    #[serde(default)]
    pub request: Option<FleetAutoscaleRequest>,
    /// The answer; `null` in the question.
    pub response: Option<FleetAutoscaleResponse>,
}

/// The fleet as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetAutoscaleRequest {
    /// Of this question.
    pub uid: String,
    /// The fleet's name.
    pub name: String,
    /// The fleet's namespace.
    pub namespace: String,
    /// How many servers in which state.
    pub status: FleetStatus,
    /// The fleet's labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The fleet's annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// A fleet's `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FleetStatus {
    /// All servers that are not ending.
    pub replicas: u32,
    /// Free.
    pub ready_replicas: u32,
    /// Out of the pool by their own wish.
    pub reserved_replicas: u32,
    /// In use.
    pub allocated_replicas: u32,
    /// Allocations since the fleet began.
    pub allocations: u64,
    /// Sums of the servers' counters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, AggregatedCounter>,
    /// Sums of the servers' lists; the count is that of their values, doubles included.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lists: BTreeMap<String, AggregatedCounter>,
}

/// A counter or list summed over a fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AggregatedCounter {
    /// On allocated servers.
    pub allocated_count: i64,
    /// On allocated servers.
    pub allocated_capacity: i64,
    /// On all servers.
    pub count: i64,
    /// On all servers.
    pub capacity: i64,
}

/// How many servers there should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetAutoscaleResponse {
    /// The question's; Agones does not look at it.
    #[serde(default)]
    pub uid: String,
    /// False: as many as there are.
    pub scale: bool,
    /// How many.
    pub replicas: i32,
}

impl FleetStatus {
    /// Counts servers; those that are ending are left out.
    pub fn of(servers: &[Arc<GameServer>], allocations: u64) -> Self {
        let mut status = Self { allocations, ..Self::default() };
        for server in servers.iter().filter(|server| !server.state().is_some_and(State::is_final)) {
            status.replicas += 1;
            match server.state() {
                Some(State::Ready) => status.ready_replicas += 1,
                Some(State::Reserved) => status.reserved_replicas += 1,
                Some(State::Allocated) => status.allocated_replicas += 1,
                _ => {}
            }
            let allocated = server.state() == Some(State::Allocated);
            let Some(own) = &server.status else { continue };
            for (name, counter) in &own.counters {
                let sum = status.counters.entry(name.clone()).or_default();
                sum.add(counter.count, counter.capacity, allocated);
            }
            for (name, list) in &own.lists {
                let count = i64::try_from(list.values.len()).unwrap_or(i64::MAX);
                status.lists.entry(name.clone()).or_default().add(count, list.capacity, allocated);
            }
        }
        status
    }
}

impl AggregatedCounter {
    fn add(&mut self, count: i64, capacity: i64, allocated: bool) {
        self.count = self.count.saturating_add(count);
        self.capacity = self.capacity.saturating_add(capacity);
        if allocated {
            self.allocated_count = self.allocated_count.saturating_add(count);
            self.allocated_capacity = self.allocated_capacity.saturating_add(capacity);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::proto::sdk::game_server::status::{CounterStatus, ListStatus};

    #[test]
    fn the_question_is_the_recorded_one() {
        let rooms = AggregatedCounter { allocated_count: 7, allocated_capacity: 70, count: 7, capacity: 100 };
        let status = FleetStatus {
            replicas: 10,
            ready_replicas: 3,
            allocated_replicas: 7,
            allocations: 42,
            counters: [("rooms".to_owned(), rooms)].into(),
            ..FleetStatus::default()
        };
        let request = FleetAutoscaleRequest {
            uid: "4e4d8f0a".into(),
            name: "fleet".into(),
            namespace: "default".into(),
            status,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        };
        let review = FleetAutoscaleReview { request: Some(request), response: None };
        let expected = json!({"request":{"uid":"4e4d8f0a","name":"fleet","namespace":"default",
            "status":{"replicas":10,"readyReplicas":3,"reservedReplicas":0,"allocatedReplicas":7,"allocations":42,
              "counters":{"rooms":{"allocatedCount":7,"allocatedCapacity":70,"count":7,"capacity":100}}},
            "labels":{},"annotations":{}},"response":null});
        assert_eq!(serde_json::to_value(&review).unwrap(), expected);
        assert_eq!(serde_json::from_value::<FleetAutoscaleReview>(expected).unwrap(), review);
    }

    #[test]
    fn an_answer_need_not_repeat_the_question() {
        let answer: FleetAutoscaleReview =
            serde_json::from_value(json!({"response":{"uid":"1","scale":true,"replicas":12}})).unwrap();
        assert_eq!(answer.response.map(|response| response.replicas), Some(12));
        let none: FleetAutoscaleReview = serde_json::from_value(json!({"request":null})).unwrap();
        assert_eq!(none.response, None);
    }

    #[test]
    fn sums_are_over_all_servers_that_stay() {
        let server = |state: State, count: i64| {
            let mut server = GameServer::default();
            state.name().clone_into(&mut server.status_mut().state);
            server.status_mut().counters.insert("rooms".into(), CounterStatus { count, capacity: 10 });
            let players = ListStatus { capacity: 5, values: vec!["a".into(); 2] };
            server.status_mut().lists.insert("players".into(), players);
            Arc::new(server)
        };
        let servers = [
            server(State::Scheduled, 0),
            server(State::Ready, 1),
            server(State::Reserved, 0),
            server(State::Allocated, 4),
            server(State::Shutdown, 9),
        ];
        let status = FleetStatus::of(&servers, 3);
        let counts =
            (status.replicas, status.ready_replicas, status.reserved_replicas, status.allocated_replicas);
        assert_eq!(counts, (4, 1, 1, 1));
        let rooms = AggregatedCounter { allocated_count: 4, allocated_capacity: 10, count: 5, capacity: 40 };
        let players = AggregatedCounter { allocated_count: 2, allocated_capacity: 5, count: 8, capacity: 20 };
        assert_eq!((status.counters["rooms"], status.lists["players"]), (rooms, players));
    }
}
