//! What time alone does: silence, keep-alives, lapsed handshakes, expired tokens. Must never know a message.

use std::time::Duration;

use netcode_wire::Time;

use super::Server;
use crate::session::DisconnectReason;
use crate::session::phase::{ServerCause, ServerPhase};

impl Server {
    /// Does what is due. Call it once a tick, before [`Server::poll_event`].
    pub fn step(&mut self, now: Time) {
        self.now = now;
        self.farewells.retain(|_, farewell| !farewell.told);
        for slot in 0..self.sessions.slots_len() {
            self.step_slot(now, slot);
        }
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP_INTERVAL;
            self.sweep(now);
        }
    }

    fn step_slot(&mut self, now: Time, slot: u16) {
        let Some(client) = self.sessions.id_in(slot) else { return };
        let Some(session) = self.sessions.get(client) else { return };
        if session.peer.is_silent(now) {
            self.close(now, client, ServerCause::Silence, DisconnectReason::TimedOut);
        } else if session.needs_keep_alive(now, self.config.keep_alive) {
            self.send_keep_alive(now, client);
        }
    }

    fn sweep(&mut self, now: Time) {
        self.tokens.sweep(self.unix_s(now));
        self.pending.retain(|_, pending| {
            let after = pending.has_lapsed(now).then(|| ServerPhase::Challenged.after(ServerCause::Lapse));
            after.flatten() != Some(ServerPhase::Absent)
        });
    }
}

// Lapsed handshakes and expired tokens do no harm before they are swept: they are only refused later.
const SWEEP_INTERVAL: Duration = Duration::from_millis(250);
