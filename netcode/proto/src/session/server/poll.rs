//! What the owner asks for: events, and messages client by client, of whoever has one, or all at once. Must never know
//! how they came.

use bytes::Bytes;

use super::Server;
use crate::session::{ClientId, ServerEvent};
use crate::{ChannelId, Link};

impl Server {
    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        let event = self.events.pop_front()?;
        if let ServerEvent::Disconnected { client, .. } = &event
            && let Some(farewell) = self.farewells.get_mut(client)
        {
            farewell.told = true;
        }
        Some(event)
    }

    /// The next message of `client`; also of one that is gone, until the `step` after its end was polled.
    pub fn poll_message(&mut self, client: ClientId) -> Option<(ChannelId, Bytes)> {
        let slabs = &mut self.slabs;
        match self.sessions.get_mut(client) {
            Some(session) => session.peer.link.receive_from(slabs),
            None => self.farewells.get_mut(&client)?.link.receive_from(slabs),
        }
    }

    /// The next message of anybody, without asking each client: those of one client in order, and all that it has before
    /// the next one's. As [`Server::poll_message`] for those that are gone.
    pub fn poll_any_message(&mut self) -> Option<(ClientId, ChannelId, Bytes)> {
        loop {
            let client = self.ready.first()?;
            if let Some((channel, message)) = self.poll_message(client) {
                return Some((client, channel, message));
            }
            self.end_turn(client);
        }
    }

    /// Hands every message that waits to `accept`, in the order of [`Server::poll_any_message`], without copying it.
    pub fn poll_messages(&mut self, accept: &mut dyn FnMut(ClientId, ChannelId, &[u8])) {
        while let Some(client) = self.ready.first() {
            if let Some(link) = self.link_mut(client) {
                while link.receive_with(&mut |channel, message| accept(client, channel, message)) {}
            }
            self.end_turn(client);
        }
    }

    /// The next client that has said something since it was last named here: each once, in the order in which they spoke.
    /// Its messages wait for [`Server::read_messages`], also those of one that is gone, as
    /// [`Server::poll_message`] says. Who leaves some unread hears of the client again when more comes.
    pub fn poll_ready(&mut self) -> Option<ClientId> {
        let client = self.ready.first()?;
        self.end_turn(client);
        Some(client)
    }

    /// Hands the messages of `client` that wait to `accept`, in order and without copying them, until there are none or it
    /// gives `false`: what is left then stays.
    pub fn read_messages(&mut self, client: ClientId, accept: &mut dyn FnMut(ChannelId, &[u8]) -> bool) {
        let Some(link) = self.link_mut(client) else { return };
        let mut goes_on = true;
        while goes_on && link.receive_with(&mut |channel, message| goes_on = accept(channel, message)) {}
    }

    /// Notes that `client` has messages.
    pub(super) fn note_ready(&mut self, client: ClientId) {
        let Self { sessions, ready, farewells, .. } = self;
        let len = sessions.len();
        let Some(session) = sessions.get_mut(client) else { return };
        if !session.is_ready && session.peer.link.has_received() {
            session.is_ready = true;
            let is_gone = |other| sessions.get(other).is_none() && !farewells.contains_key(&other);
            ready.push(client, len, is_gone);
        }
    }

    fn end_turn(&mut self, client: ClientId) {
        self.ready.drop_first();
        if let Some(session) = self.sessions.get_mut(client) {
            session.is_ready = false;
        }
    }

    fn link_mut(&mut self, client: ClientId) -> Option<&mut Link> {
        match self.sessions.get_mut(client) {
            Some(session) => Some(&mut session.peer.link),
            None => Some(&mut self.farewells.get_mut(&client)?.link),
        }
    }
}
