//! `FleetAutoscaleReview`, as Agones sends it and wants it back (`autoscaling.agones.dev/v1`, webhook policy). Owns the
//! JSON and nothing else. Unknown fields are ignored: newer Agones may say more.

use std::collections::BTreeMap;

use scaling::{Decision, Seen};
use serde::{Deserialize, Serialize};

/// The whole body, both ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetAutoscaleReview {
    /// What is asked; sent back as it came.
    pub request: Option<FleetAutoscaleRequest>,
    /// What is answered; `null` in the question.
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
    /// The fleet's labels; absent without the feature gate FleetAutoscaleRequestMetaData.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Its annotations, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// A fleet's counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetStatus {
    /// Servers that it wants to have.
    pub replicas: i32,
    /// Free.
    pub ready_replicas: i32,
    /// Out of the pool by their own wish.
    #[serde(default)]
    pub reserved_replicas: i32,
    /// In use.
    pub allocated_replicas: i32,
    /// Allocations since the fleet began; Agones before 1.59 does not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocations: Option<i64>,
    /// Sums of the servers' counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<BTreeMap<String, AggregatedCounter>>,
    /// Sums of the servers' lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<BTreeMap<String, AggregatedCounter>>,
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
    /// The question's.
    pub uid: String,
    /// False: leave it as it is.
    pub scale: bool,
    /// How many.
    pub replicas: i32,
}

/// A question that cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewFault {
    /// There is no question.
    #[error("the review has no request")]
    NoRequest,
    /// A count below zero.
    #[error("{0} is negative")]
    Negative(&'static str),
    /// A name that Kubernetes would not give.
    #[error("fleet name or namespace is empty or too long")]
    Name,
}

/// Kubernetes' limit for names.
const NAME_MAX: usize = 253;

impl FleetAutoscaleReview {
    /// What is asked, checked.
    ///
    /// # Errors
    /// It is no question about a fleet.
    pub fn question(&self) -> Result<(&FleetAutoscaleRequest, Seen), ReviewFault> {
        let request = self.request.as_ref().ok_or(ReviewFault::NoRequest)?;
        if [&request.name, &request.namespace].iter().any(|name| name.is_empty() || name.len() > NAME_MAX) {
            return Err(ReviewFault::Name);
        }
        let status = &request.status;
        let count = |count: i32, name| u32::try_from(count).map_err(|_| ReviewFault::Negative(name));
        let allocations = status
            .allocations
            .map(|all| u64::try_from(all).map_err(|_| ReviewFault::Negative("allocations")));
        let seen = Seen {
            replicas: count(status.replicas, "replicas")?,
            ready: count(status.ready_replicas, "readyReplicas")?,
            reserved: count(status.reserved_replicas, "reservedReplicas")?,
            allocated: count(status.allocated_replicas, "allocatedReplicas")?,
            allocations: allocations.transpose()?,
        };
        Ok((request, seen))
    }

    /// The same review with this answer.
    pub fn answered(self, decision: Decision) -> Self {
        let Some(request) = &self.request else { return self };
        let replicas = i32::try_from(decision.replicas).unwrap_or(i32::MAX);
        let (uid, scale) = (request.uid.clone(), replicas != request.status.replicas);
        Self { response: Some(FleetAutoscaleResponse { uid, scale, replicas }), ..self }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_recorded_question_is_read_and_answered() {
        let question = json!({"request":{"uid":"4e4d8f0a","name":"fleet","namespace":"default",
           "status":{"replicas":10,"readyReplicas":3,"reservedReplicas":0,"allocatedReplicas":7,"allocations":42,
             "counters":{"rooms":{"allocatedCount":7,"allocatedCapacity":70,"count":7,"capacity":100}}},
           "labels":{},"annotations":{}},"response":null});
        let review: FleetAutoscaleReview =
            serde_json::from_value(question.clone()).expect("as in the contract");
        let (_, seen) = review.question().expect("a question");
        let expected = Seen { replicas: 10, ready: 3, reserved: 0, allocated: 7, allocations: Some(42) };
        assert_eq!(seen, expected);
        let decision = Decision { replicas: 12, limited: false, rate: 0.0, expected_rate: 0.0, spare: 5 };
        let answer = serde_json::to_value(review.clone().answered(decision)).expect("JSON");
        assert_eq!(answer["request"], question["request"], "echoed as it came");
        assert_eq!(answer["response"], json!({"uid":"4e4d8f0a","scale":true,"replicas":12}));
        let same = review.answered(Decision { replicas: 10, ..decision });
        assert_eq!(same.response.map(|response| response.scale), Some(false));
    }

    #[test]
    fn older_and_newer_questions_are_read() {
        let old = json!({"request":{"uid":"1","name":"f","namespace":"n","future":1,
            "status":{"replicas":1,"readyReplicas":1,"allocatedReplicas":0,"players":{"count":1}}},"response":null});
        let review: FleetAutoscaleReview = serde_json::from_value(old).expect("fewer and more fields");
        assert_eq!(review.question().expect("a question").1.allocations, None);
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let status = FleetStatus { replicas: 1, ready_replicas: 1, ..FleetStatus::default() };
        let request = FleetAutoscaleRequest {
            uid: String::new(),
            name: "f".to_owned(),
            namespace: "n".to_owned(),
            status,
            labels: None,
            annotations: None,
        };
        let fault = |request: Option<FleetAutoscaleRequest>| {
            FleetAutoscaleReview { request, response: None }.question().map(|_| ())
        };
        assert_eq!(fault(None), Err(ReviewFault::NoRequest));
        assert_eq!(
            fault(Some(FleetAutoscaleRequest { name: String::new(), ..request.clone() })),
            Err(ReviewFault::Name)
        );
        let negative = FleetStatus { ready_replicas: -1, ..request.status.clone() };
        let negative = FleetAutoscaleRequest { status: negative, ..request };
        assert_eq!(fault(Some(negative)), Err(ReviewFault::Negative("readyReplicas")));
    }
}
