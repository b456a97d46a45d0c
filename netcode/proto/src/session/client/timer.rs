//! What time alone does: repeats, timeouts, keep-alives. Must never know a message.

use std::time::Duration;

use netcode_wire::Time;

use super::Client;
use crate::session::phase::{ClientCause, ClientPhase};
use crate::session::{DisconnectReason, HANDSHAKE_INTERVAL};

impl Client {
    /// Does what is due. Call it once a tick.
    pub fn step(&mut self, now: Time) {
        match self.phase {
            ClientPhase::Requesting => self.step_handshake(now, DisconnectReason::RequestTimedOut),
            ClientPhase::Responding => self.step_handshake(now, DisconnectReason::ResponseTimedOut),
            ClientPhase::Connected => self.step_connected(now),
            ClientPhase::Disconnected => {}
        }
    }

    fn step_handshake(&mut self, now: Time, reason: DisconnectReason) {
        if now.since(self.began_at) >= self.token_life {
            self.leave(now, ClientCause::Expiry, DisconnectReason::TokenExpired);
            return;
        }
        if self.peer.is_silent_since(self.phase_at, now) {
            let cause =
                if self.has_next_server() { ClientCause::SilenceTryNext } else { ClientCause::Silence };
            self.advance(now, cause, reason);
            self.ask(now);
        } else if now.since(self.asked_at) >= HANDSHAKE_INTERVAL {
            self.ask(now);
        }
    }

    fn step_connected(&mut self, now: Time) {
        if self.peer.is_silent(now) {
            self.advance(now, ClientCause::Silence, DisconnectReason::TimedOut);
        } else if self.peer.is_quiet(now, self.config.keep_alive) || self.must_offer_again(now) {
            self.send_keep_alive(now);
        }
    }

    /// Whether an offer is due although payloads keep the keep-alives away: often at first, then now and then for as
    /// long as nobody accepts. A path that was dead for all of the first ones would otherwise leave a session that
    /// never rests where it cannot move.
    fn must_offer_again(&self, now: Time) -> bool {
        let interval = if self.offers < OFFERS_OFTEN { HANDSHAKE_INTERVAL } else { OFFER_INTERVAL };
        now.since(self.offered_at) >= interval && self.may_offer()
    }
}

// Ten are lost once in 10^5 at 30 % loss: a server that answers none is most probably a plain one.
const OFFERS_OFTEN: u32 = 10;
// What a plain server is sent beside the payloads for it: 34 bytes a second.
const OFFER_INTERVAL: Duration = Duration::from_secs(1);
