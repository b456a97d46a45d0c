//! Owns: one GameServer object and who may move its state where. Must never know: a clock, a socket, a process.

use std::time::{Duration, Instant};

use super::health::{HealthMonitor, HealthPolicy};
use super::refusal::Refusal;
use super::{capacity, names, stamp};
use crate::game_server::SDK_PREFIX;
use crate::proto::sdk::GameServer;
use crate::state::State;

/// Whose sidecar this imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// `sdk-server --local`: a developer's double. Nothing is judged, any state may follow any.
    Local,
    /// The sidecar in a pod, controller included: health is judged, final states stay.
    Managed,
}

/// The object, its timers, its health.
#[derive(Debug)]
pub(crate) struct Model {
    server: GameServer,
    manner: Manner,
    version: u64,
    reserved_until: Option<Instant>,
    publish_at: Option<Instant>,
    health: HealthMonitor,
    pings: u64,
}

impl Model {
    /// Takes the object as it is; health is judged from `now`.
    pub(crate) fn new(server: GameServer, manner: Manner, policy: HealthPolicy, now: Instant) -> Self {
        let policy = HealthPolicy { disabled: policy.disabled || manner == Manner::Local, ..policy };
        let health = HealthMonitor::new(policy, now);
        Self { server, manner, version: 1, reserved_until: None, publish_at: None, health, pings: 0 }
    }

    pub(crate) fn server(&self) -> &GameServer {
        &self.server
    }

    /// Goes up with every change of the object.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn pings(&self) -> u64 {
        self.pings
    }

    /// The largest list capacity. The real local server takes it from its fixture (an upstream bug, kept).
    pub(crate) fn list_capacity_max(&self) -> i64 {
        match self.manner {
            Manner::Local => 100,
            Manner::Managed => capacity::LIST_CAPACITY_MAX,
        }
    }

    /// Moves to `state` and ends a reservation; a final state stays where health is judged. False: it stayed.
    pub(crate) fn set_state(&mut self, state: State) -> bool {
        let is_final = self.server.state().is_some_and(State::is_final);
        if is_final && self.manner == Manner::Managed {
            return false;
        }
        self.reserved_until = None;
        state.name().clone_into(&mut self.server.status_mut().state);
        self.bump();
        true
    }

    /// The server's own allocation; `unix` (time since the epoch) is stamped on it.
    pub(crate) fn allocate(&mut self, unix: Duration) -> bool {
        let allocated = self.set_state(State::Allocated);
        if allocated && self.manner == Manner::Managed {
            let stamp = stamp::rfc3339(unix);
            self.server.meta_mut().annotations.insert("agones.dev/last-allocated".into(), stamp);
        }
        allocated
    }

    /// Reserves for `seconds`; 0 is for ever.
    pub(crate) fn reserve(&mut self, seconds: i64, now: Instant) -> Result<(), Refusal> {
        let seconds = u64::try_from(seconds).map_err(|_| {
            Refusal::Invalid(format!("reserve seconds must not be negative, found {seconds}"))
        })?;
        if self.set_state(State::Reserved) && seconds > 0 {
            // A length that the clock cannot hold is for ever in effect.
            self.reserved_until = now.checked_add(Duration::from_secs(seconds));
        }
        Ok(())
    }

    /// Sets the server's own label. The local manner takes any key, as the real one does.
    pub(crate) fn set_label(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        let key = format!("{SDK_PREFIX}{key}");
        if self.manner == Manner::Managed {
            names::check_key(&key)?;
            names::check_label_value(value)?;
        }
        self.server.meta_mut().labels.insert(key, value.to_owned());
        self.bump();
        Ok(())
    }

    /// Sets the server's own annotation. The local manner takes any key, as the real one does.
    pub(crate) fn set_annotation(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        let key = format!("{SDK_PREFIX}{key}");
        if self.manner == Manner::Managed {
            names::check_key(&key)?;
            names::check_room(&self.server.meta_mut().annotations, &key, value)?;
        }
        self.server.meta_mut().annotations.insert(key, value.to_owned());
        self.bump();
        Ok(())
    }

    /// Any look at or change of the object; only a change makes a new version.
    pub(crate) fn edit<R>(&mut self, change: impl FnOnce(&mut GameServer) -> R) -> R {
        let before = self.server.clone();
        let result = change(&mut self.server);
        if self.server != before {
            self.bump();
        }
        result
    }

    /// Puts another object in this one's place; its version goes on from here.
    pub(crate) fn replace(&mut self, server: GameServer) {
        self.server = server;
        self.reserved_until = None;
        self.bump();
    }

    pub(crate) fn handle_ping(&mut self) {
        self.pings += 1;
        self.health.handle_ping();
    }

    /// Ends reservations and judges health.
    pub(crate) fn step(&mut self, now: Instant) {
        if self.reserved_until.is_some_and(|until| now >= until) {
            self.set_state(State::Ready);
        }
        if self.health.step(now) {
            self.set_state(State::Unhealthy);
        }
    }

    /// When [`Model::step`] or a publication has something to do next; no more than that once the state is final.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.manner == Manner::Managed && self.server.state().is_some_and(State::is_final) {
            return self.publish_at;
        }
        self.reserved_until.into_iter().chain(self.health.due()).chain(self.publish_at).min()
    }

    /// Others are to see the object as it is now within this time; an earlier promise stays.
    pub(crate) fn publish_within(&mut self, now: Instant, within: Duration) {
        self.publish_at.get_or_insert(now + within);
    }

    /// Whether others are to see the object now.
    pub(crate) fn take_publication(&mut self, now: Instant) -> bool {
        self.publish_at.take_if(|at| *at <= now).is_some()
    }

    fn bump(&mut self) {
        self.version += 1;
        let version = format!("v{}", self.version);
        self.server.meta_mut().resource_version = version;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(manner: Manner, now: Instant) -> Model {
        let mut server = GameServer::default();
        server.status_mut().state = State::Scheduled.name().into();
        Model::new(server, manner, HealthPolicy::default(), now)
    }

    #[test]
    fn a_reservation_ends_in_ready_unless_another_call_came_first() {
        let now = Instant::now();
        let mut model = model(Manner::Managed, now);
        model.reserve(2, now).unwrap();
        model.step(now + Duration::from_secs(1));
        assert_eq!(model.server().state(), Some(State::Reserved));
        model.step(now + Duration::from_secs(2));
        assert_eq!(model.server().state(), Some(State::Ready));
        model.reserve(2, now).unwrap();
        assert!(model.allocate(Duration::ZERO));
        model.step(now + Duration::from_secs(3));
        assert_eq!(model.server().state(), Some(State::Allocated));
        model.reserve(0, now).unwrap();
        model.step(now + Duration::from_secs(4));
        assert_eq!(model.server().state(), Some(State::Reserved));
        assert!(model.reserve(-1, now).is_err());
        assert!(model.reserve(i64::MAX, now).is_ok());
    }

    #[test]
    fn changes_are_gathered_and_then_shown_together() {
        let now = Instant::now();
        let mut model = model(Manner::Managed, now);
        let half = Duration::from_millis(500);
        model.publish_within(now, half);
        model.publish_within(now + half / 2, half);
        assert!(!model.take_publication(now + half / 2));
        assert!(model.set_state(State::Shutdown));
        assert_eq!(model.due(), Some(now + half), "a final state is shown as well");
        assert!(model.take_publication(now + half) && !model.take_publication(now + half));
        assert_eq!(model.due(), None);
    }

    #[test]
    fn nothing_leaves_unhealthy() {
        let now = Instant::now();
        let mut model = model(Manner::Managed, now);
        assert!(model.set_state(State::Ready));
        model.step(now + Duration::from_secs(60));
        assert_eq!(model.server().state(), Some(State::Unhealthy));
        assert!(!model.set_state(State::Ready));
        assert_eq!((model.server().state(), model.due()), (Some(State::Unhealthy), None));
    }

    #[test]
    fn keys_that_kubernetes_would_refuse_are_refused_where_it_rules() {
        let mut managed = model(Manner::Managed, Instant::now());
        assert!(managed.set_annotation("tickwright.dev/admin", "x").is_err());
        assert!(managed.set_label("mode", "not a label value").is_err());
        assert!(managed.set_annotation("admin", "any text").is_ok());
        let mut local = model(Manner::Local, Instant::now());
        assert!(local.set_annotation("tickwright.dev/admin", "x").is_ok());
    }

    #[test]
    fn the_local_manner_judges_nothing() {
        let now = Instant::now();
        let mut model = model(Manner::Local, now);
        model.set_state(State::Shutdown);
        model.step(now + Duration::from_secs(600));
        assert!(model.set_state(State::Ready));
        assert_eq!(model.due(), None);
    }

    #[test]
    fn every_change_is_a_new_version() {
        let mut model = model(Manner::Managed, Instant::now());
        let first = model.version();
        model.set_label("a", "b").unwrap();
        model.set_annotation("c", "d").unwrap();
        assert_eq!(model.version(), first + 2);
        assert_eq!(
            (model.server().own_label("a"), model.server().own_annotation("c")),
            (Some("b"), Some("d"))
        );
        model.handle_ping();
        assert_eq!((model.version(), model.pings()), (first + 2, 1));
    }
}
