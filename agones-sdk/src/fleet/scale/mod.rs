//! Owns: how many servers a fleet should have: Agones' FleetAutoscaler policies, and who asks them when.
//! Must never know: how a server is started or ended.
//!
//! | file | takes → gives |
//! |---|---|
//! | `spec` | a FleetAutoscaler as JSON or YAML → an [`Autoscaler`], checked by Agones' own rules |
//! | `buffer`, `counted`, `schedule` | one policy and a [`FleetView`] → a size; pure |
//! | `decide` | any policy, the view, the time, what webhooks have answered → a [`Decision`], or a webhook to ask; pure |
//! | `review` | the JSON that a webhook is asked and answers |
//! | `webhook` | a question → an answer, over HTTP or HTTPS |
//! | `rounds` | asks in time, calls the webhooks, and says why a size changed |

mod buffer;
mod counted;
mod decide;
mod review;
pub(super) mod rounds;
mod schedule;
mod spec;
mod webhook;

use std::time::Duration;

pub use self::buffer::{BufferError, BufferPolicy, BufferSize, Desired};
pub use self::counted::{Counted, CountedPolicy};
pub use self::decide::{Answers, Decision, FleetView, NoDecision, decide};
pub use self::review::{
    AggregatedCounter, FleetAutoscaleRequest, FleetAutoscaleResponse, FleetAutoscaleReview, FleetStatus,
};
pub use self::schedule::Schedule;
pub use self::spec::PolicyError;
pub use self::webhook::Webhook;

/// What a FleetAutoscaler object says.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaler {
    /// How many servers there should be.
    pub policy: Policy,
    /// When the policy is asked.
    pub sync: Sync,
}

/// When a policy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Whenever a server changes its state: quicker than a cluster; not for policies that ask a webhook.
    EveryChange,
    /// At fixed intervals, as Agones does (its default is 30 s).
    Every(Duration),
}

/// Agones' FleetAutoscaler policies (`spec.policy`).
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// So many Ready servers beside the allocated ones.
    Buffer(BufferPolicy),
    /// So much free room in the counters or lists of all servers.
    Counted(CountedPolicy),
    /// As many as somebody else says.
    Webhook(Webhook),
    /// A policy that applies at certain times.
    Schedule(Box<Schedule>),
    /// The first of these that applies.
    Chain(Vec<ChainEntry>),
}

/// One link of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainEntry {
    /// Its name in logs; unique in its chain.
    pub id: String,
    /// What it wants.
    pub policy: Policy,
}

impl Policy {
    /// The name that Agones gives this kind of policy.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Buffer(_) => "Buffer",
            Self::Counted(policy) => policy.kind.name(),
            Self::Webhook(_) => "Webhook",
            Self::Schedule(_) => "Schedule",
            Self::Chain(_) => "Chain",
        }
    }

    /// Every webhook that this policy may ask.
    pub fn webhooks(&self) -> Vec<&Webhook> {
        match self {
            Self::Webhook(webhook) => vec![webhook],
            Self::Schedule(schedule) => schedule.policy.webhooks(),
            Self::Chain(entries) => entries.iter().flat_map(|entry| entry.policy.webhooks()).collect(),
            Self::Buffer(_) | Self::Counted(_) => Vec::new(),
        }
    }
}

impl From<BufferPolicy> for Autoscaler {
    /// A buffer that is kept full at every change.
    fn from(policy: BufferPolicy) -> Self {
        Self { policy: Policy::Buffer(policy), sync: Sync::EveryChange }
    }
}
