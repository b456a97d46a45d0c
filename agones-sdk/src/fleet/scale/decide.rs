//! Owns: what a policy of any kind wants, given the fleet, the time, and what webhooks have answered; pure.
//! Must never know: a socket, a clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::buffer::Desired;
use super::review::FleetStatus;
use super::{Policy, Webhook};
use crate::proto::sdk::GameServer;
use crate::proto::sdk::game_server::Status;

/// What a policy may look at.
#[derive(Clone, Debug, Default)]
pub struct FleetView {
    /// The fleet's counts.
    pub status: FleetStatus,
    /// Counters and lists of a server that begins; the rest of it is not looked at.
    pub template: Status,
    /// Every server that is not ending, in the order in which they would be ended.
    pub deletion_order: Vec<Arc<GameServer>>,
}

/// What webhooks have answered in this round: how many servers (`None`: as many as there are), or why none.
pub type Answers = BTreeMap<Webhook, Result<Option<u32>, String>>;

/// What a policy wants, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// How many servers.
    pub replicas: u32,
    /// Whether a limit decided.
    pub limited: bool,
    /// What applied, as Agones' `lastAppliedPolicy` says it: `Buffer`, or `Chain:<id>:<type>`.
    pub applied: String,
    /// What was passed over on the way here: failed webhooks, schedules that do not apply.
    pub passed_over: Vec<String>,
}

/// Why there is no size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoDecision {
    /// The policy is a schedule that does not apply now.
    Inactive,
    /// This webhook must be asked first.
    Ask(Webhook),
    /// It cannot be told; the fleet stays as it is.
    Fault(String),
}

/// How many servers there should be at `now`, time since the Unix epoch.
///
/// # Errors
/// There is no size, or a webhook must be asked first; then call again with its answer.
pub fn decide(
    policy: &Policy,
    view: &FleetView,
    now: Duration,
    answers: &Answers,
) -> Result<Decision, NoDecision> {
    let sized = |desired: Desired| Decision {
        replicas: desired.replicas,
        limited: desired.limited,
        applied: policy.kind().to_owned(),
        passed_over: Vec::new(),
    };
    match policy {
        Policy::Buffer(buffer) => Ok(sized(buffer.desired(view.status.allocated_replicas))),
        Policy::Counted(counted) => counted.desired(view).map(sized).map_err(NoDecision::Fault),
        Policy::Webhook(webhook) => match answers.get(webhook) {
            None => Err(NoDecision::Ask(webhook.clone())),
            Some(Ok(answer)) => {
                let replicas = answer.unwrap_or(view.status.replicas);
                Ok(sized(Desired { replicas, limited: false }))
            }
            Some(Err(fault)) => Err(NoDecision::Fault(fault.clone())),
        },
        Policy::Schedule(schedule) if schedule.is_active(now) => {
            let inner = decide(&schedule.policy, view, now, answers)?;
            Ok(Decision { applied: policy.kind().to_owned(), ..inner })
        }
        Policy::Schedule(_) => Err(NoDecision::Inactive),
        Policy::Chain(entries) => {
            let mut passed_over = Vec::new();
            for entry in entries {
                let kind = entry.policy.kind();
                match decide(&entry.policy, view, now, answers) {
                    Ok(decision) => {
                        passed_over.extend(decision.passed_over);
                        let applied = format!("Chain:{}:{kind}", entry.id);
                        return Ok(Decision { applied, passed_over, ..decision });
                    }
                    // Nobody behind it is looked at before it has had its say.
                    Err(NoDecision::Ask(webhook)) => return Err(NoDecision::Ask(webhook)),
                    Err(NoDecision::Inactive) => passed_over.push(format!("{} is not active", entry.id)),
                    Err(NoDecision::Fault(fault)) => passed_over.push(format!("{}: {fault}", entry.id)),
                }
            }
            Err(NoDecision::Fault(format!("no entry of the chain applies ({})", passed_over.join("; "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::Schedule;
    use super::super::{BufferPolicy, BufferSize, ChainEntry};
    use super::*;

    fn webhook(port: u16) -> Webhook {
        Webhook::new(&format!("http://127.0.0.1:{port}/scale"), None).unwrap()
    }

    fn buffer(size: u32) -> Policy {
        Policy::Buffer(BufferPolicy { buffer: BufferSize::Count(size), min: 0, max: 100 })
    }

    fn entry(id: &str, policy: Policy) -> ChainEntry {
        ChainEntry { id: id.into(), policy }
    }

    fn never() -> Policy {
        // Over since 1970.
        let end = chrono::DateTime::from_timestamp(1, 0);
        Policy::Schedule(Box::new(Schedule { start: None, end, period: None, policy: buffer(50) }))
    }

    fn run(policy: &Policy, answers: &Answers) -> Result<(u32, String), NoDecision> {
        let status = FleetStatus { replicas: 7, allocated_replicas: 3, ..FleetStatus::default() };
        let view = FleetView { status, ..FleetView::default() };
        let now = Duration::from_secs(1_000_000_000);
        decide(policy, &view, now, answers).map(|decision| (decision.replicas, decision.applied))
    }

    #[test]
    fn a_webhook_is_asked_once_and_then_believed() {
        let policy = Policy::Webhook(webhook(1));
        assert_eq!(run(&policy, &Answers::new()), Err(NoDecision::Ask(webhook(1))));
        let answered = |answer| Answers::from([(webhook(1), answer)]);
        assert_eq!(run(&policy, &answered(Ok(Some(12)))), Ok((12, "Webhook".into())));
        // It does not want to scale: as many as there are.
        assert_eq!(run(&policy, &answered(Ok(None))), Ok((7, "Webhook".into())));
        let fault = run(&policy, &answered(Err("status 500".into())));
        assert_eq!(fault, Err(NoDecision::Fault("status 500".into())));
    }

    #[test]
    fn the_first_entry_that_applies_wins() {
        let chain = Policy::Chain(vec![
            entry("launch", never()),
            entry("predict", Policy::Webhook(webhook(1))),
            entry("spare", buffer(2)),
        ]);
        assert_eq!(run(&chain, &Answers::new()), Err(NoDecision::Ask(webhook(1))));
        let answered = |answer| Answers::from([(webhook(1), answer)]);
        assert_eq!(run(&chain, &answered(Ok(Some(9)))), Ok((9, "Chain:predict:Webhook".into())));
        assert_eq!(run(&chain, &answered(Err("gone".into()))), Ok((5, "Chain:spare:Buffer".into())));
        let Policy::Chain(mut entries) = chain else { unreachable!() };
        entries.pop();
        let nothing = run(&Policy::Chain(entries), &answered(Err("gone".into()))).unwrap_err();
        let said = "no entry of the chain applies (launch is not active; predict: gone)";
        assert_eq!(nothing, NoDecision::Fault(said.into()));
    }

    #[test]
    fn a_schedule_alone_applies_or_does_not() {
        let always = Schedule { start: None, end: None, period: None, policy: buffer(4) };
        assert_eq!(run(&Policy::Schedule(Box::new(always)), &Answers::new()), Ok((7, "Schedule".into())));
        assert_eq!(run(&never(), &Answers::new()), Err(NoDecision::Inactive));
    }
}
