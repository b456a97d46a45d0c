//! Owns: how many servers there should be and from which template, how many there are, and which of them end first.
//! Must never know: how a server is started, or who asked for a size.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::FleetConfig;
use super::order;
use super::report::Census;
use super::roll::Counts;
use super::roster::{Member, Roster, lock};
use super::scale::{Answers, Autoscaler, Decision, FleetStatus, FleetView, NoDecision, Sync, decide};
use super::template::{Generation, Template};
use crate::proto::sdk::GameServer;
use crate::sidecar::unix_now;
use crate::state::State;

/// What the fleet has been told, and what follows from it.
#[derive(Debug)]
pub(super) struct Size {
    autoscaler: Arc<Autoscaler>,
    generation: Generation,
    desired: u32,
    /// What decided last.
    applied: Option<Decision>,
    /// Why nothing could decide since.
    fault: Option<String>,
}

impl Size {
    pub(super) fn new(config: &FleetConfig) -> Self {
        Self {
            autoscaler: Arc::new(config.autoscaler.clone()),
            generation: Generation { number: 1, template: Arc::new(config.template.clone()) },
            desired: match config.autoscaler.sync {
                // The policy is asked before the first server is started.
                Sync::EveryChange => 0,
                Sync::Every(_) => config.replicas.clamp(*config.limits.start(), *config.limits.end()),
            },
            applied: None,
            fault: None,
        }
    }
}

impl Roster {
    pub(super) fn autoscaler(&self) -> Arc<Autoscaler> {
        lock(&self.size).autoscaler.clone()
    }

    pub(super) fn generation(&self) -> Generation {
        lock(&self.size).generation.clone()
    }

    pub(super) fn desired(&self) -> u32 {
        lock(&self.size).desired
    }

    /// Another policy from now on.
    pub(super) fn retell(&self, autoscaler: Autoscaler) {
        lock(&self.size).autoscaler = Arc::new(autoscaler);
        self.retold.notify_one();
        self.changed.notify_one();
    }

    /// Another template from now on; the same again changes nothing.
    pub(super) fn roll(&self, template: Template) {
        let mut size = lock(&self.size);
        if *size.generation.template != template {
            let number = size.generation.number + 1;
            tracing::info!(fleet = self.config.name, generation = number, "rolling update");
            size.generation = Generation { number, template: Arc::new(template) };
            drop(size);
            self.changed.notify_one();
        }
    }

    /// Asks a policy that is asked at every change.
    pub(super) fn ask_at_change(&self) {
        let autoscaler = self.autoscaler();
        if autoscaler.sync != Sync::EveryChange {
            return;
        }
        let view = self.view();
        match decide(&autoscaler.policy, &view, unix_now(), &Answers::new()) {
            Ok(decision) => self.resize(&decision, &view),
            Err(NoDecision::Fault(why)) => self.keep_size(&why),
            Err(NoDecision::Inactive) => self.keep_size("the schedule is not active"),
            // Such an autoscaler is refused before it gets here.
            Err(NoDecision::Ask(_)) => self.keep_size("a webhook is asked at fixed intervals only"),
        }
    }

    /// The fleet as a policy sees it.
    pub(super) fn view(&self) -> FleetView {
        let template = self.generation().template.status();
        let (newborn, servers) = {
            let servers = lock(&self.servers);
            (servers.newborn.len(), self.in_deletion_order(servers.members.values()))
        };
        let servers: Vec<_> = servers.into_iter().map(|(_, server)| server).collect();
        let mut status = FleetStatus::of(&servers, self.allocations.load(Ordering::Relaxed));
        status.replicas += u32::try_from(newborn).unwrap_or(u32::MAX);
        FleetView { status, template, deletion_order: servers }
    }

    /// Takes over what a policy wants, within the fleet's own limits, and says why.
    pub(super) fn resize(&self, decision: &Decision, view: &FleetView) {
        let wanted = decision.replicas.clamp(*self.config.limits.start(), *self.config.limits.end());
        let limited = decision.limited || wanted != decision.replicas;
        let mut size = lock(&self.size);
        let from = size.desired;
        let before = size.applied.replace(Decision { replicas: wanted, limited, ..decision.clone() });
        let known =
            |old: &Decision| (&old.applied, &old.passed_over) == (&decision.applied, &decision.passed_over);
        let is_news = size.fault.take().is_some() || !before.is_some_and(|old| known(&old));
        size.desired = wanted;
        drop(size);
        let passed_over = decision.passed_over.join("; ");
        if is_news && !passed_over.is_empty() {
            tracing::warn!(
                fleet = self.config.name,
                passed_over,
                applied = decision.applied,
                "autoscaler fell back"
            );
        }
        if from != wanted {
            tracing::info!(
                fleet = self.config.name,
                from,
                to = wanted,
                allocated = view.status.allocated_replicas,
                ready = view.status.ready_replicas,
                limited,
                applied = decision.applied,
                "fleet size"
            );
            self.changed.notify_one();
        }
    }

    /// Nothing could decide: the size stays as it is. Said once for each reason.
    pub(super) fn keep_size(&self, why: &str) {
        let mut size = lock(&self.size);
        let is_news = size.fault.as_deref() != Some(why);
        size.fault = Some(why.to_owned());
        if is_news {
            tracing::warn!(fleet = self.config.name, size = size.desired, why, "fleet keeps its size");
        }
    }

    /// Retires up to `newest` servers of the newest template and `old` of older ones that nobody uses, in the order
    /// of deletion. Not while somebody allocates.
    pub(super) fn retire(&self, newest: u32, old: u32) {
        let number = self.generation().number;
        let servers = lock(&self.servers);
        let mut left = [newest, old];
        for (member, _) in self.in_deletion_order(servers.members.values()) {
            let left = &mut left[usize::from(member.generation != number)];
            if *left > 0 && member.sidecar.retire() {
                *left -= 1;
            }
        }
        let [newest, old] = [newest - left[0], old - left[1]];
        tracing::debug!(newest, old, "servers retired");
    }

    /// Servers that are not ending, of the newest template and of older ones.
    pub(super) fn counts(&self) -> (Counts, Counts) {
        let number = self.generation().number;
        let servers = lock(&self.servers);
        let mut counts = [Counts::default(); 2];
        for generation in &servers.newborn {
            counts[usize::from(*generation != number)].starting += 1;
        }
        for member in servers.members.values() {
            let counts = &mut counts[usize::from(member.generation != number)];
            match member.sidecar.state() {
                State::Ready => counts.ready += 1,
                State::Allocated | State::Reserved => counts.busy += 1,
                state if state.is_final() => {}
                _ => counts.starting += 1,
            }
        }
        counts.into()
    }

    pub(super) fn census(&self) -> Census {
        let servers = lock(&self.servers);
        let mut census = Census {
            desired: self.desired(),
            starting: u32::try_from(servers.newborn.len()).unwrap_or(u32::MAX),
            crashes: self.crashes.load(Ordering::Relaxed),
            ..Census::default()
        };
        for member in servers.members.values() {
            let count = match member.sidecar.state() {
                State::Ready => &mut census.ready,
                State::Reserved => &mut census.reserved,
                State::Allocated => &mut census.allocated,
                state if state.is_final() => &mut census.ending,
                _ => &mut census.starting,
            };
            *count += 1;
        }
        census
    }

    /// What decided the size, for the pages: `{"applied","replicas","limited","passed_over":[…],"fault"|null}`.
    pub(super) fn autoscaling(&self) -> Value {
        let size = lock(&self.size);
        let applied = size.applied.as_ref();
        json!({
            "applied": applied.map(|decision| &decision.applied),
            "limited": applied.is_some_and(|decision| decision.limited),
            "passed_over": applied.map_or(&[][..], |decision| &decision.passed_over),
            "fault": size.fault,
        })
    }

    fn in_deletion_order<'a>(
        &self,
        members: impl Iterator<Item = &'a Arc<Member>>,
    ) -> Vec<(Arc<Member>, Arc<GameServer>)> {
        let mut servers: Vec<_> = members
            .map(|member| (member.clone(), member.sidecar.game_server()))
            .filter(|(_, server)| !server.state().is_some_and(State::is_final))
            .collect();
        let config = &self.config;
        order::to_end(config.scheduling, &config.priorities, &mut servers, |member| member.started);
        servers
    }
}
