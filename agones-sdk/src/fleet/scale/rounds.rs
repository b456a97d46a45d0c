//! Owns: asking the policy in time, calling the webhooks that it needs, and saying why the size changed.
//! Must never know: what a policy wants before it says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use super::Sync;
use super::decide::{Answers, FleetView, NoDecision, decide};
use super::review::FleetAutoscaleRequest;
use super::webhook::Caller;
use crate::fleet::roster::Roster;
use crate::sidecar::unix_now;

/// Until the fleet stops. A policy that is asked at every change needs no rounds: the supervisor asks it.
pub(in crate::fleet) async fn run(roster: Arc<Roster>) {
    let stopped = roster.stopped();
    tokio::pin!(stopped);
    let mut caller = Caller::default();
    loop {
        let Sync::Every(every) = roster.autoscaler().sync else {
            tokio::select! {
                () = roster.retold.notified() => continue,
                () = &mut stopped => return,
            }
        };
        let mut ticks = interval(every);
        // A webhook that takes longer than a round delays the next one; rounds are not made up for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = roster.retold.notified() => break,
                () = &mut stopped => return,
            }
            tokio::select! {
                () = round(&roster, &mut caller) => {}
                () = &mut stopped => return,
            }
        }
    }
}

/// Asks once. A policy that cannot tell leaves the size as it is, and says so.
async fn round(roster: &Roster, caller: &mut Caller) {
    let autoscaler = roster.autoscaler();
    let mut answers = Answers::new();
    loop {
        let view = roster.view();
        match decide(&autoscaler.policy, &view, unix_now(), &answers) {
            Ok(decision) => return roster.resize(&decision, &view),
            Err(NoDecision::Ask(webhook)) => {
                let question = question(roster, &view);
                let answer = caller.ask(&webhook, question).await;
                answers.insert(webhook, answer);
            }
            Err(NoDecision::Inactive) => return roster.keep_size("the schedule is not active"),
            Err(NoDecision::Fault(why)) => return roster.keep_size(&why),
        }
    }
}

fn question(roster: &Roster, view: &FleetView) -> FleetAutoscaleRequest {
    FleetAutoscaleRequest {
        uid: crate::uid::random(),
        name: roster.config.name.clone(),
        namespace: "default".into(),
        status: view.status.clone(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }
}
