//! What time alone does: silence, keep-alives, lapsed handshakes, expired tokens. Must never know a message.

use std::time::Duration;

use netcode_wire::Time;

use super::Server;
use super::admit::Pending;
use super::deadlines::{LATEST, SOONEST};
use crate::session::phase::{ServerCause, ServerPhase};
use crate::session::{ClientId, DisconnectReason};

impl Server {
    /// Does what is due. Call it once a tick, before [`Server::poll_event`].
    pub fn step(&mut self, now: Time) {
        self.now = now;
        if !self.farewells.is_empty() {
            self.farewells.retain(|_, farewell| !farewell.told);
        }
        while let Some(client) = self.deadlines.pop(now) {
            self.step_session(now, client);
        }
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP_INTERVAL;
            self.sweep(now);
        }
    }

    fn step_session(&mut self, now: Time, client: ClientId) {
        let keep_alive = self.config.keep_alive;
        let Some(session) = self.sessions.get(client) else { return };
        if session.peer.is_silent(now) {
            self.close(now, client, ServerCause::Silence, DisconnectReason::TimedOut);
        } else if session.needs_keep_alive(now, keep_alive) {
            self.send_keep_alive(now, client);
        }
        if let Some(session) = self.sessions.get(client) {
            let at = session.due_at(keep_alive).clamp(now + SOONEST, now + LATEST);
            self.deadlines.push(at, client);
        }
    }

    fn sweep(&mut self, now: Time) {
        self.tokens.sweep(self.unix_s(now));
        let stays = |pending: &Pending| {
            let after = pending.has_lapsed(now).then(|| ServerPhase::Challenged.after(ServerCause::Lapse));
            after.flatten() != Some(ServerPhase::Absent)
        };
        self.pending.retain(|_, pending| stays(pending));
        self.resuming.retain(|_, attempt| stays(&attempt.pending));
        // A rush that is over gives its room back: 170 bytes for each that shook hands at once.
        if self.pending.is_empty() && self.pending.capacity() > KEEP_PLACES {
            self.pending.shrink_to(KEEP_PLACES);
        }
        if self.resuming.is_empty() && self.resuming.capacity() > KEEP_PLACES {
            self.resuming.shrink_to(KEEP_PLACES);
        }
        if self.events.is_empty() && self.events.capacity() > KEEP_PLACES {
            self.events.shrink_to(KEEP_PLACES);
        }
    }
}

/// Capacity that empty tables keep.
const KEEP_PLACES: usize = 16;
// Lapsed handshakes and expired tokens do no harm before they are swept: they are only refused later.
const SWEEP_INTERVAL: Duration = Duration::from_millis(250);
