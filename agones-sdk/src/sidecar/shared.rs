//! Owns: the one model that gRPC, HTTP and the timers share, and the publishing of its changes.
//! Must never know: how a change was asked for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, watch};

use super::gates::FeatureGates;
use super::health::HealthPolicy;
use super::model::{Manner, Model};
use super::refusal::Refusal;
use super::{SidecarConfig, conformance};
use crate::proto::sdk::GameServer;
use crate::proto::sdk::game_server::{Status, spec};
use crate::state::State;

/// The model behind its lock, and who is told of changes.
#[derive(Debug)]
pub(super) struct Shared {
    model: Mutex<Model>,
    published: watch::Sender<Arc<GameServer>>,
    timers: Notify,
    stop: watch::Sender<bool>,
    calls: Mutex<BTreeSet<&'static str>>,
    gates: FeatureGates,
    /// Changes are gathered for so long before they are published; zero: none is.
    gather: Duration,
    pub(super) strict_errors: bool,
}

impl Shared {
    pub(super) fn new(config: SidecarConfig) -> Self {
        let mut server = config.game_server;
        server.spec.get_or_insert_default().health = Some(health_spec(config.health));
        if config.gates.player_tracking {
            server.status_mut().players.get_or_insert_default();
        }
        let gather =
            if config.manner == Manner::Managed { config.request_rate_limit } else { Duration::ZERO };
        let published = watch::Sender::new(Arc::new(server.clone()));
        Self {
            model: Mutex::new(Model::new(server, config.manner, config.health, Instant::now())),
            published,
            timers: Notify::new(),
            stop: watch::Sender::new(false),
            calls: Mutex::default(),
            gates: config.gates,
            gather,
            strict_errors: config.strict_errors,
        }
    }

    /// Runs `change` alone with the model; publishes the object if it became another, at once or with what else changes
    /// while changes are gathered.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut Model, Instant) -> R) -> R {
        // A panic inside a change leaves a model that is whole: every rule assigns last.
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let version = model.version();
        let now = Instant::now();
        let result = change(&mut model, now);
        let changed = model.version() != version;
        if changed {
            model.publish_within(now, self.gather);
            self.timers.notify_one();
        }
        if model.take_publication(now) {
            // Published under the lock, so that versions are seen in their order.
            let mut shown = model.server().clone();
            if !self.gather.is_zero() && self.is_first_ready(&shown) {
                // As on a cluster: the sidecar writes RequestReady, and a controller follows with Ready.
                shown.status_mut().state = State::RequestReady.name().into();
                model.publish_within(now, self.gather);
                self.timers.notify_one();
            }
            self.published.send_replace(Arc::new(shown));
        }
        result
    }

    /// Whether the object is Ready and neither that nor the request for it has been shown.
    fn is_first_ready(&self, server: &GameServer) -> bool {
        let shown = self.published.borrow().state();
        server.state() == Some(State::Ready) && !matches!(shown, Some(State::Ready | State::RequestReady))
    }

    /// Runs a rule of counters and lists, which is given the largest capacity of a list.
    pub(super) fn capacity_call<T>(
        &self,
        rule: impl FnOnce(&mut Status, i64) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.gates.check_counts_and_lists()?;
        self.change(|model, _| {
            let capacity_max = model.list_capacity_max();
            model.edit(|server| rule(server.status_mut(), capacity_max))
        })
    }

    /// Runs a rule of player tracking; notes `call`, made for the player `id`, where it counts.
    pub(super) fn players_call<T>(
        &self,
        call: &'static str,
        id: &str,
        rule: impl FnOnce(&mut Status) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.gates.check_player_tracking()?;
        self.change(|model, _| {
            let found = model.edit(|server| rule(server.status_mut()))?;
            let players = model.server().status.as_ref().and_then(|status| status.players.as_ref());
            let here = players.map_or(&[][..], |players| &players.ids);
            conformance::of_players(call, id, here).into_iter().for_each(|call| self.note(call));
            Ok(found)
        })
    }

    /// Notes that a call was made; `call` is its name in the conformance mode.
    pub(super) fn note(&self, call: &'static str) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).insert(call);
    }

    /// Notes `setlabel` or `setannotation`, which count with the one value that proves that the object was read.
    pub(super) fn note_metadata(&self, call: &'static str, value: &str) {
        let server = self.current();
        let proof = if call == "setlabel" {
            server.creation_timestamp().to_string()
        } else {
            server.uid().to_owned()
        };
        if value == proof {
            self.note(call);
        } else {
            tracing::debug!(call, value, proof, "not counted");
        }
    }

    pub(super) fn calls(&self) -> BTreeSet<&'static str> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn current(&self) -> Arc<GameServer> {
        self.published.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<GameServer>> {
        self.published.subscribe()
    }

    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Resolves once [`Shared::stop`] was called.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move {
            // An error means that the sender is gone, and with it the sidecar.
            let _ = stop.wait_for(|&stop| stop).await;
        }
    }
}

/// Ends reservations and judges health until the sidecar stops.
pub(super) async fn keep_time(shared: Arc<Shared>) {
    let stopped = shared.stopped();
    tokio::pin!(stopped);
    loop {
        let due = shared.change(|model, now| {
            model.step(now);
            model.due()
        });
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => {}
            () = shared.timers.notified() => {}
            () = &mut stopped => return,
        }
    }
}

/// Time since the Unix epoch; zero if the clock is before it.
pub(crate) fn unix_now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// As the object says it: whole seconds, rounded up.
fn health_spec(policy: HealthPolicy) -> spec::Health {
    let seconds = |duration: Duration| i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
    spec::Health {
        disabled: policy.disabled,
        period_seconds: seconds(policy.period),
        failure_threshold: i32::try_from(policy.failure_threshold).unwrap_or(i32::MAX),
        initial_delay_seconds: seconds(policy.initial_delay),
    }
}
