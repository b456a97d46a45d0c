//! What goes out: the handshake's steps, bodies, keep-alives, goodbyes. Must never know what came in.

use netcode_wire::Time;

use super::Client;
use crate::session::extension::Offer;
use crate::session::packet::{PacketType, keep_alive_text};
use crate::session::phase::{ClientCause, ClientPhase};
use crate::session::{DisconnectReason, Transmit};
use crate::{ChannelId, SendError};

impl Client {
    /// Queues a message to the server. Before the handshake is over, messages wait.
    ///
    /// # Errors
    /// As the link says: the channel is full or absent, or the message too long.
    pub fn send(&mut self, now: Time, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        self.peer.link.send(now, channel, message)
    }

    /// Composes what the server is due: one datagram, more only where the budget needs it, none where nothing
    /// waits or the session does not stand. Where [`Client::release`] was called since the last time, further datagrams
    /// wait for it.
    pub fn flush(&mut self, now: Time) {
        let spread = std::mem::take(&mut self.released);
        self.flush_with(now, spread);
    }

    /// Sends what of the last flush has its turn by `now`: second and further datagrams leave one after the other, at
    /// the rate of the send budget. Call it between flushes, at [`Client::poll_timeout`] or in every frame without a
    /// tick. What nobody asks for leaves with the next flush.
    pub fn release(&mut self, now: Time) {
        self.released = true;
        if self.phase == ClientPhase::Connected {
            let server = self.server();
            self.peer.release(now, &mut self.wire, server);
        }
    }

    /// When [`Client::release`] has something to send; `None`: nothing before the next flush.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.peer.link.release_at().filter(|_| self.phase == ClientPhase::Connected)
    }

    fn flush_with(&mut self, now: Time, spread: bool) {
        if self.phase == ClientPhase::Connected {
            let server = self.server();
            self.peer.flush(now, &mut self.wire, server, spread);
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.wire.poll()
    }

    /// Ends the session: what the link has ready goes out once more, then ten disconnect packets.
    pub fn disconnect(&mut self, now: Time) {
        self.flush_with(now, false);
        self.leave(now, ClientCause::HostDisconnect, DisconnectReason::ByUs(0));
    }

    /// Ends the session by our own decision; a server that may hold a slot for us is told.
    pub(super) fn leave(&mut self, now: Time, cause: ClientCause, reason: DisconnectReason) {
        let may_have_slot = matches!(self.phase, ClientPhase::Responding | ClientPhase::Connected);
        if self.advance(now, cause, reason) && may_have_slot {
            let server = self.server();
            self.peer.send_disconnects(now, &mut self.wire, server);
        }
    }

    /// Sends this step of the handshake.
    pub(super) fn ask(&mut self, now: Time) {
        self.asked_at = now;
        let server = self.server();
        match self.phase {
            ClientPhase::Requesting => self.wire.send_clear(server, &self.request),
            ClientPhase::Responding => {
                self.peer.send(now, &mut self.wire, server, PacketType::Response, self.challenge.as_slice());
            }
            ClientPhase::Connected | ClientPhase::Disconnected => {}
        }
    }

    /// Whether we would have more than the standard and the server has not agreed yet.
    pub(super) fn may_offer(&self) -> bool {
        self.config.extensions.enabled && self.peer.is_standard()
    }

    /// A keep-alive from a client says its slot for form's sake: a plain server looks at nothing in it. So it can
    /// carry our offer.
    pub(super) fn send_keep_alive(&mut self, now: Time) {
        let mut offer = 0;
        if self.may_offer() {
            offer = Offer::of(self.config.extensions).encode();
            self.offered_at = now;
            self.offers = self.offers.saturating_add(1);
        }
        let text = keep_alive_text(self.index.unwrap_or(0), offer);
        let server = self.server();
        self.peer.send(now, &mut self.wire, server, PacketType::KeepAlive, &text);
    }
}
