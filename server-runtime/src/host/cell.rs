//! A room among others on one thread, and when it is its turn. Owns its deadlines, its rest while nobody is there, and its
//! end; must never know the other rooms.

use std::time::Duration;

use netcode_wire::Time;

use super::worker::Shared;
use crate::builder::ServerGame;
use crate::drive::sanction;
use crate::game_match::MatchSpec;
use crate::pacer::Pacer;
use crate::room::port::Port;
use crate::room::sessions::Sessions;
use crate::room::{Room, TickPanic};
use crate::status::Status;

/// What is to be played, and by whom.
#[derive(Debug)]
pub(super) struct Opening {
    /// The room's number.
    pub(super) slot: usize,
    pub(super) spec: MatchSpec,
    /// Nobody allocated it: whoever has a token for the match may join, and it goes when it is empty.
    pub(super) open: bool,
}

/// See the module's documentation.
pub(super) struct Cell<G: ServerGame> {
    pub(super) slot: usize,
    pub(super) match_id: u128,
    pub(super) room: Room<G>,
    pub(super) panicked: bool,
    pub(super) status_at: Time,
    pub(super) rates_at: Time,
    pacer: Pacer,
    /// Its place among the others within a tick, 0 to 1.
    phase: f64,
    /// While nobody is there: when to look again.
    look_at: Option<Time>,
    open: bool,
    /// When an open room goes for want of players; `None`: somebody is there.
    leave_at: Option<Time>,
    hold: Duration,
}

impl<G: ServerGame> Cell<G> {
    /// A new room.
    pub(super) fn open(shared: &Shared<G>, now: Time, opening: Opening) -> Self {
        let Opening { slot, spec, open } = opening;
        let builder = (shared.declare)();
        let hold = Duration::from_secs(u64::from(builder.options.seat_hold_seconds) + 1);
        let mut room = Room::with_sessions(builder, Sessions::Shared(Box::<Port>::default()));
        if shared.entrusted {
            room.entrust_states();
        }
        if let Some(balance) = shared.balance() {
            room.set_balance(&balance);
        }
        for (player, verdict) in shared.banned() {
            sanction(&mut room, &shared.clock, player, verdict);
        }
        let match_id = spec.match_id;
        if open {
            room.open_match(spec);
        } else {
            room.allocate(spec);
        }
        let phase = phase_of(slot);
        let mut pacer = Pacer::new(room.tick_hz(), now).catching_up(shared.catch_up);
        pacer.restart_in_phase(now, phase);
        Self {
            slot,
            match_id,
            room,
            panicked: false,
            status_at: now,
            rates_at: now,
            pacer,
            phase,
            look_at: None,
            open,
            leave_at: None,
            hold,
        }
    }

    /// When it wants to be served next.
    pub(super) fn due_at(&self) -> Time {
        self.look_at.unwrap_or_else(|| self.pacer.deadline())
    }

    /// Nothing more is to come of it.
    pub(super) fn is_over(&self) -> bool {
        self.panicked || self.room.is_closed()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.look_at.is_some()
    }

    /// Ticks if it is time to; says whether it did.
    ///
    /// # Errors
    /// A system panicked: the room has closed.
    pub(super) fn serve(&mut self, shared: &Shared<G>, now: Time) -> Result<bool, TickPanic> {
        if self.rests(shared, now) {
            return Ok(false);
        }
        let Some((due_at, lateness)) = self.pacer.claim(now) else { return Ok(false) };
        self.room.meter.late(lateness);
        if let Some(port) = self.room.port() {
            shared.exchange(now, self.slot, port);
        }
        let outcome = self.room.tick(shared.clock.now(), due_at);
        self.speak(shared);
        self.go_when_empty(shared.clock.now());
        outcome.map(|()| true)
    }

    /// Sends what the room has said.
    pub(super) fn speak(&mut self, shared: &Shared<G>) {
        if let Some(port) = self.room.port() {
            shared.front().carry_out(shared.clock.now(), port);
        }
    }

    /// A room without anybody does not tick: it is looked after now and then.
    fn rests(&mut self, shared: &Shared<G>, now: Time) -> bool {
        if self.look_at.is_some_and(|at| now < at) {
            return true;
        }
        let rested = self.look_at.is_some();
        let (has_news, is_awake) = if self.room.is_idle() {
            let mut front = shared.front();
            front.look(now);
            (front.has_news(self.slot), front.is_awake(now))
        } else {
            (true, true)
        };
        self.look_at =
            (!has_news).then(|| now.saturating_add(if is_awake { AWAKE_PERIOD } else { IDLE_PERIOD }));
        if rested && has_news {
            // The pause is no overrun, and the first tick is due at once, for once out of phase.
            self.pacer.restart_in_phase(now, self.phase);
        }
        !has_news
    }

    fn go_when_empty(&mut self, now: Time) {
        if !self.open {
            return;
        }
        let is_empty = self.room.port().is_none_or(|port| port.is_empty());
        match (is_empty, self.leave_at) {
            (false, _) => self.leave_at = None,
            (true, None) => self.leave_at = Some(now.saturating_add(self.hold)),
            (true, Some(at)) if at <= now => self.room.drain(now),
            (true, Some(_)) => {}
        }
    }

    /// Ends the room when a drain has waited long enough, or for nobody.
    pub(super) fn enforce_drain(&mut self, now: Time, by: Time) {
        if by <= now {
            self.room.void(now, "drained before the match was over");
        } else if self.room.is_deserted() {
            self.room.void(now, "drained after everybody had left");
        }
    }

    pub(super) fn status(&mut self, now: Time) -> Status {
        let mut status = self.room.status(now);
        status.overruns = self.pacer.overruns();
        status.skipped_ticks = self.pacer.skipped();
        status
    }
}

/// Places for any number of rooms that are far from each other: the golden ratio's multiples, less what is whole.
fn phase_of(slot: usize) -> f64 {
    (slot as f64 * 0.618_033_988_749_895).fract()
}

/// How often a room without anybody is looked after, and how often while someone may be on the way. A look costs less than a
/// microsecond, so 20 a second are a fifty-thousandth of a core.
const IDLE_PERIOD: Duration = Duration::from_millis(50);
const AWAKE_PERIOD: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_tick_far_from_each_other() {
        for count in [2, 3, 8, 50] {
            let mut phases: Vec<f64> = (0..count).map(phase_of).collect();
            phases.sort_by(f64::total_cmp);
            let gaps = phases.windows(2).map(|pair| pair[1] - pair[0]).chain([1.0 - phases[count - 1]]);
            let least = gaps.fold(f64::INFINITY, f64::min);
            assert!(least > 0.35 / count as f64, "{count} rooms: {least}");
        }
    }
}
