//! What goes out: bodies, keep-alives, goodbyes. Must never know why a session ends.

use netcode_wire::Time;

use super::{Farewell, Server};
use crate::session::packet::{PacketType, keep_alive_text};
use crate::session::phase::{ServerCause, ServerPhase};
use crate::session::{ClientId, DisconnectReason, ServerEvent, Transmit};
use crate::{ChannelId, SendError};

impl Server {
    /// Queues a message to `client`. A client that is gone takes nothing and fails nothing: its
    /// [`ServerEvent::Disconnected`] tells.
    ///
    /// # Errors
    /// As the link says: the channel is full or absent, or the message too long.
    pub fn send(
        &mut self,
        now: Time,
        client: ClientId,
        channel: ChannelId,
        message: &[u8],
    ) -> Result<(), SendError> {
        match self.sessions.get_mut(client) {
            Some(session) => session.peer.link.send(now, channel, message),
            None => Ok(()),
        }
    }

    /// Composes what every client is due: one datagram each, more only where the budget needs it, none where
    /// nothing waits. Call it once a tick. Where [`Server::release`] was called since the last time, the further
    /// datagrams of a client wait for it.
    pub fn flush(&mut self, now: Time) {
        self.begin_flush(now);
        for (client, session) in self.sessions.iter_mut() {
            session.peer.flush(now, &mut self.wire, session.address, self.spread);
            if self.spread
                && let Some(at) = session.peer.link.release_at()
            {
                self.releasing.push((client, at));
            }
        }
    }

    /// Sends what of the last flush has its turn by `now`: a client's second and further datagrams leave one after the
    /// other, at the rate of its send budget, instead of as a burst into some bottleneck's queue. Call it between flushes,
    /// at [`Server::poll_timeout`] or every millisecond or so. What nobody asks for leaves with the next flush.
    pub fn release(&mut self, now: Time) {
        (self.now, self.released) = (now, true);
        let Self { releasing, sessions, wire, .. } = self;
        releasing.retain_mut(|(client, at)| {
            if *at > now {
                return true;
            }
            let Some(session) = sessions.get_mut(*client) else { return false };
            let next = session.peer.release(now, wire, session.address);
            *at = next.unwrap_or(*at);
            next.is_some()
        });
    }

    /// When [`Server::release`] has something to send; `None`: nothing before the next flush.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.releasing.iter().map(|(_, at)| *at).min()
    }

    /// Composes what `client` is due, as [`Server::flush`] does for everybody: who has just sent to it finds its state at
    /// hand. In one tick it is either this for each client, all at the same `now`, or `flush`; a client to which nothing
    /// was sent is due an acknowledgement or a resend all the same.
    pub fn flush_client(&mut self, now: Time, client: ClientId) {
        self.begin_flush(now);
        let Some(session) = self.sessions.get_mut(client) else { return };
        if session.flushed != self.flushes {
            session.flushed = self.flushes;
            self.flushed_len += 1;
        }
        session.peer.flush(now, &mut self.wire, session.address, self.spread);
        if self.spread
            && let Some(at) = session.peer.link.release_at()
        {
            self.releasing.push((client, at));
        }
    }

    /// Ends a tick of [`Server::flush_client`]: composes, at the same `now`, what everybody is due who was left out. Costs
    /// nothing where nobody was.
    pub fn flush_rest(&mut self, now: Time) {
        self.begin_flush(now);
        if self.flushed_len == self.sessions.len() {
            return;
        }
        let flushes = self.flushes;
        let left_out = self.sessions.iter().filter(|(_, session)| session.flushed != flushes);
        let left_out: Vec<ClientId> = left_out.map(|(client, _)| client).collect();
        for client in left_out {
            self.flush_client(now, client);
        }
    }

    /// A tick's flush begins with its first client.
    fn begin_flush(&mut self, now: Time) {
        self.now = now;
        if self.flush_at != Some(now) {
            self.flush_at = Some(now);
            self.flushes = self.flushes.wrapping_add(1);
            self.flushed_len = 0;
            self.spread = std::mem::take(&mut self.released);
            self.releasing.clear();
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.wire.poll()
    }

    /// Ends a session: what its link has ready goes out once more, then ten disconnect packets. `code` comes back
    /// in the event; the other end learns it only from a message sent before.
    pub fn disconnect(&mut self, now: Time, client: ClientId, code: u8) {
        if let Some(session) = self.sessions.get_mut(client) {
            session.peer.flush(now, &mut self.wire, session.address, false);
            self.close(now, client, ServerCause::HostDisconnect, DisconnectReason::ByUs(code));
        }
    }

    pub(super) fn send_keep_alive(&mut self, now: Time, client: ClientId) {
        let text = keep_alive_text(client.index() as u32, self.config.clients_max as u32);
        if let Some(session) = self.sessions.get_mut(client) {
            session.keep_alive_at = now;
            session.peer.send(now, &mut self.wire, session.address, PacketType::KeepAlive, &text);
        }
    }

    /// Ends a session if its phase lets `cause` end it. The peer is told unless it said so itself or is silent.
    pub(super) fn close(
        &mut self,
        now: Time,
        client: ClientId,
        cause: ServerCause,
        reason: DisconnectReason,
    ) {
        let phase = self.sessions.get(client).and_then(|session| session.phase.after(cause));
        if phase != Some(ServerPhase::Absent) {
            return;
        }
        let Some(mut session) = self.sessions.remove(client) else { return };
        if session.flushed == self.flushes {
            self.flushed_len = self.flushed_len.saturating_sub(1);
        }
        if cause != ServerCause::Silence {
            self.tokens.end(&session.mark);
        }
        if !matches!(cause, ServerCause::PeerDisconnect | ServerCause::Silence) {
            session.peer.send_disconnects(now, &mut self.wire, session.address);
        }
        self.wire.counters.disconnected += 1;
        self.events.push_back(ServerEvent::Disconnected { client, reason });
        let (player, link) = (session.player, session.peer.link);
        self.farewells.insert(client, Farewell { player, link, told: false });
    }
}
