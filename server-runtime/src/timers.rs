//! What a game wants to happen later: events that come back after so many ticks, once or again and again. Owns the waiting
//! list; must never know what an event means, nor read a clock: time is ticks, so the same match has the same events in the
//! same order every time, in a replay too.

use std::collections::BTreeMap;

use bevy_ecs::message::Message;
use bevy_ecs::prelude::*;
use netcode_wire::Tick;

use crate::player::CurrentTick;

/// Events of type `E` that are to come. Declared with [`Setup::add_timer`](crate::Setup::add_timer) or
/// [`ServerBuilder::timer`](crate::ServerBuilder::timer).
///
/// One that is due is there for all systems of its tick, from [`Stage::Receive`](crate::Stage::Receive) on. Several that are
/// due at one tick come in the order in which they were asked for.
///
/// ```
/// use server_runtime::prelude::*;
///
/// #[derive(Event, Clone)]
/// struct Respawn(PlayerId);
///
/// #[derive(Event, Clone)]
/// struct RoundEnds;
///
/// fn begin(mut started: EventReader<MatchStarted>, mut rounds: ResMut<Timers<RoundEnds>>) {
///     for _ in started.read() {
///         rounds.every(60 * 60, RoundEnds); // each minute at 60 Hz
///     }
/// }
///
/// fn knocked_out(player: PlayerId, respawns: &mut Timers<Respawn>) {
///     respawns.after(3 * 60, Respawn(player));
/// }
///
/// fn respawn(mut due: EventReader<Respawn>) {
///     for Respawn(player) in due.read() {
///         println!("{player:?} is back");
///     }
/// }
///
/// let builder = Server::builder("rounds")
///     .timer::<Respawn>()
///     .timer::<RoundEnds>()
///     .add_systems(Stage::Receive, (begin, respawn));
/// # drop(builder);
/// ```
#[derive(Resource, Debug)]
pub struct Timers<E> {
    now: Tick,
    asked: u64,
    waiting: BTreeMap<(Tick, TimerId), Waiting<E>>,
}

/// Names a timer, to cancel it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(u64);

#[derive(Debug)]
struct Waiting<E> {
    event: E,
    /// Ticks from one to the next; `None`: it comes once.
    every: Option<u32>,
}

impl<E> Default for Timers<E> {
    fn default() -> Self {
        Self { now: Tick(0), asked: 0, waiting: BTreeMap::new() }
    }
}

impl<E> Timers<E> {
    /// `event` comes once, `ticks` ticks after this one; after 0 ticks it comes with the next one.
    pub fn after(&mut self, ticks: u32, event: E) -> TimerId {
        self.add(ticks, event, None)
    }

    /// `event` comes after each `ticks` ticks (at least 1) until it is cancelled.
    pub fn every(&mut self, ticks: u32, event: E) -> TimerId {
        self.add(ticks, event, Some(ticks.max(1)))
    }

    fn add(&mut self, ticks: u32, event: E, every: Option<u32>) -> TimerId {
        let id = TimerId(self.asked);
        self.asked += 1;
        self.waiting.insert((Tick(self.now.0.saturating_add(ticks.max(1))), id), Waiting { event, every });
        id
    }

    /// It is not to come any more; gives the event back. `None`: it has come, or was cancelled.
    pub fn cancel(&mut self, id: TimerId) -> Option<E> {
        let key = *self.waiting.keys().find(|(_, waiting)| *waiting == id)?;
        self.waiting.remove(&key).map(|waiting| waiting.event)
    }

    /// Nothing is to come any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// How many are to come.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// None is to come.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl<E: Clone> Timers<E> {
    /// The next event that is due at `now`.
    fn poll(&mut self, now: Tick) -> Option<E> {
        self.now = now;
        let first = self.waiting.first_entry().filter(|first| first.key().0 <= now)?;
        let ((due, id), waiting) = first.remove_entry();
        let Some(every) = waiting.every else { return Some(waiting.event) };
        let again = Waiting { event: waiting.event.clone(), every: Some(every) };
        self.waiting.insert((Tick(due.0.saturating_add(every)), id), again);
        Some(waiting.event)
    }
}

/// Hands the events that are due to the systems of this tick.
pub(crate) fn ring<E: Message + Clone>(world: &mut World) {
    let now = world.resource::<CurrentTick>().0;
    while let Some(event) = world.resource_mut::<Timers<E>>().bypass_change_detection().poll(now) {
        world.write_message(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(timers: &mut Timers<&'static str>, tick: u32) -> Vec<&'static str> {
        std::iter::from_fn(|| timers.poll(Tick(tick))).collect()
    }

    #[test]
    fn timers_come_at_their_tick_in_the_order_they_were_asked_for() {
        let mut timers = Timers::default();
        assert_eq!(due(&mut timers, 10), [""; 0]);
        timers.after(5, "late");
        timers.every(2, "often");
        timers.after(4, "between");
        timers.after(0, "soon");
        let cancelled = timers.after(3, "never");
        assert_eq!(timers.cancel(cancelled), Some("never"));
        assert_eq!(timers.cancel(cancelled), None);
        let all: Vec<_> = (11..=16).map(|tick| due(&mut timers, tick)).collect();
        let none: Vec<&str> = Vec::new();
        let expected = [
            vec!["soon"],
            vec!["often"],
            none.clone(),
            vec!["often", "between"],
            vec!["late"],
            vec!["often"],
        ];
        assert_eq!(all, expected);
        assert_eq!(timers.len(), 1);
        timers.clear();
        assert!(timers.is_empty() && due(&mut timers, 99).is_empty());
    }

    #[test]
    fn ticks_that_were_skipped_lose_no_event() {
        let mut timers = Timers::default();
        timers.every(2, "often");
        assert_eq!(due(&mut timers, 5), ["often", "often"]);
        assert_eq!(due(&mut timers, 6), ["often"]);
    }
}
