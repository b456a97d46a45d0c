//! A room's end of sessions that are shared with other rooms: what its clients said lies here before a tick, and what it
//! has to say to them after it. Owns both piles; must never know a socket, a lock, nor another room's clients.
//!
//! Whoever holds the sessions fills one pile ([`Port::take_in`]) and empties the other ([`Port::orders`]); between the two the
//! room ticks as with sessions of its own. What a client may be sent was true when the pile was filled.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use netcode_proto::{
    Bytes, ChannelId, ClientId, Counters, DisconnectReason, LinkStats, SendError, SendRoom, ServerEvent,
    ServerSession, Transmit,
};
use netcode_wire::Time;

/// What clients of one room said, in the order in which it came.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// Who came and who went.
    pub(crate) events: VecDeque<ServerEvent>,
    heard: Vec<Heard>,
    bytes: Vec<u8>,
}

/// One message: who, when, by which channel, and where its bytes end; they begin where the last one's end.
#[derive(Clone, Copy, Debug)]
struct Heard {
    client: ClientId,
    at: Time,
    channel: ChannelId,
    end: usize,
}

impl Inbox {
    /// Adds a message of `client`, which arrived at `at`.
    pub(crate) fn push(&mut self, at: Time, client: ClientId, channel: ChannelId, message: &[u8]) {
        self.bytes.extend_from_slice(message);
        self.heard.push(Heard { client, at, channel, end: self.bytes.len() });
    }

    /// Whether as much waits as may: the rest stays with the sessions, which push back.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= INBOX_BYTES_MAX || self.heard.len() >= INBOX_MESSAGES_MAX
    }

    /// Nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.heard.is_empty()
    }

    fn clear(&mut self) {
        self.heard.clear();
        self.bytes.clear();
    }
}

/// A word of the room to whoever holds the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order<'a> {
    /// A message.
    Send(ClientId, ChannelId, &'a [u8]),
    /// Compose what the client is due.
    Flush(ClientId),
    /// End its session, with this code.
    Disconnect(ClientId, u8),
}

#[derive(Clone, Copy, Debug)]
enum Word {
    Send(ClientId, ChannelId, usize),
    Flush(ClientId),
    Disconnect(ClientId, u8),
}

/// A client as it stood when the port was filled.
#[derive(Debug)]
struct Guest {
    room: SendRoom,
    stats: Box<LinkStats>,
    /// Flushed since the last orders were taken.
    flushed: bool,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Port {
    inbox: Inbox,
    /// Messages handed out so far, and where the next one's bytes begin.
    read: usize,
    begin: usize,
    /// Whose turn it is to be read, and of which moment.
    turn: Option<(ClientId, Time)>,
    /// What was said by those who had no seat yet.
    kept: HashMap<ClientId, Vec<(ChannelId, Vec<u8>)>>,
    guests: HashMap<ClientId, Guest>,
    words: Vec<Word>,
    bytes: Vec<u8>,
}

impl Port {
    /// Takes what waits in `inbox`; what was said is to be heard before more is taken.
    pub(crate) fn take_in(&mut self, inbox: &mut Inbox) {
        debug_assert!(self.read == self.inbox.heard.len(), "a room hears all there is in every tick");
        self.inbox.clear();
        (self.read, self.begin, self.turn) = (0, 0, None);
        std::mem::swap(&mut self.inbox.heard, &mut inbox.heard);
        std::mem::swap(&mut self.inbox.bytes, &mut inbox.bytes);
        self.inbox.events.append(&mut inbox.events);
        for event in &self.inbox.events {
            if let ServerEvent::Connected { client, .. } = event {
                let guest = Guest { room: SendRoom::default(), stats: Box::default(), flushed: false };
                self.guests.insert(*client, guest);
            }
        }
    }

    /// Nobody is here, and nobody comes.
    pub(crate) fn is_empty(&self) -> bool {
        self.guests.is_empty()
    }

    /// Notes how much each client may be sent.
    pub(crate) fn note_rooms(&mut self, look: impl Fn(ClientId) -> SendRoom) {
        self.guests.iter_mut().for_each(|(client, guest)| guest.room = look(*client));
    }

    /// Notes what the sessions measure.
    pub(crate) fn note_stats(&mut self, look: impl Fn(ClientId) -> Option<LinkStats>) {
        for (client, guest) in &mut self.guests {
            if let Some(stats) = look(*client) {
                *guest.stats = stats;
            }
        }
    }

    /// Hands what the room said to `obey`, in order, and forgets it.
    pub(crate) fn orders(&mut self, mut obey: impl FnMut(Order<'_>)) {
        let mut begin = 0;
        for word in self.words.drain(..) {
            obey(match word {
                Word::Send(client, channel, end) => {
                    let message = &self.bytes[begin..end];
                    begin = end;
                    Order::Send(client, channel, message)
                }
                Word::Flush(client) => Order::Flush(client),
                Word::Disconnect(client, code) => Order::Disconnect(client, code),
            });
        }
        self.bytes.clear();
        self.guests.values_mut().for_each(|guest| guest.flushed = false);
    }

    /// The next client to be heard, and when what it said arrived.
    pub(crate) fn next_heard(&mut self) -> Option<(Time, ClientId)> {
        // Who was not read has no seat yet: it waits as in a link.
        if let Some((client, _)) = self.turn {
            let Self { kept, .. } = self;
            let kept = kept.entry(client).or_default();
            let mut rest = Vec::new();
            std::mem::swap(&mut rest, kept);
            while let Some((channel, begin, end)) = self.advance() {
                rest.push((channel, self.inbox.bytes[begin..end].to_vec()));
            }
            match rest.is_empty() {
                true => drop(self.kept.remove(&client)),
                false => drop(self.kept.insert(client, rest)),
            }
        }
        let next = self.inbox.heard.get(self.read)?;
        self.turn = Some((next.client, next.at));
        Some((next.at, next.client))
    }

    /// The next message of whoever has the turn: channel and place.
    fn advance(&mut self) -> Option<(ChannelId, usize, usize)> {
        let heard = *self.inbox.heard.get(self.read)?;
        if self.turn != Some((heard.client, heard.at)) {
            return None;
        }
        let begin = std::mem::replace(&mut self.begin, heard.end);
        self.read += 1;
        Some((heard.channel, begin, heard.end))
    }

    fn forget(&mut self, client: ClientId) {
        self.guests.remove(&client);
        self.kept.remove(&client);
    }
}

impl ServerSession for Port {
    /// Deliberate: no datagram comes this way.
    fn handle_datagram(&mut self, _: Time, _: SocketAddr, _: &mut [u8]) {}

    fn step(&mut self, _: Time) {}

    fn poll_event(&mut self) -> Option<ServerEvent> {
        let event = self.inbox.events.pop_front()?;
        if let ServerEvent::Disconnected { client, .. } = event {
            self.forget(client);
        }
        Some(event)
    }

    fn poll_message(&mut self, client: ClientId) -> Option<(ChannelId, Bytes)> {
        let mut found = None;
        self.read_messages(client, &mut |channel, bytes| {
            found = Some((channel, Bytes::copy_from_slice(bytes)));
            false
        });
        found
    }

    fn poll_ready(&mut self) -> Option<ClientId> {
        None
    }

    fn read_messages(&mut self, client: ClientId, accept: &mut dyn FnMut(ChannelId, &[u8]) -> bool) {
        if let Some(kept) = self.kept.get_mut(&client) {
            let mut read = 0;
            let goes_on = kept.iter().all(|(channel, bytes)| {
                read += 1;
                accept(*channel, bytes)
            });
            kept.drain(..read);
            if !goes_on {
                return;
            }
            self.kept.remove(&client);
        }
        if self.turn.is_none_or(|(turn, _)| turn != client) {
            return;
        }
        while let Some((channel, begin, end)) = self.advance() {
            if !accept(channel, &self.inbox.bytes[begin..end]) {
                return;
            }
        }
    }

    fn send(
        &mut self,
        _: Time,
        client: ClientId,
        channel: ChannelId,
        message: &[u8],
    ) -> Result<(), SendError> {
        if self.guests.contains_key(&client) {
            self.bytes.extend_from_slice(message);
            self.words.push(Word::Send(client, channel, self.bytes.len()));
        }
        Ok(())
    }

    fn flush(&mut self, now: Time) {
        self.guests.values_mut().for_each(|guest| guest.flushed = false);
        self.flush_rest(now);
    }

    fn flush_client(&mut self, _: Time, client: ClientId) {
        let Some(guest) = self.guests.get_mut(&client) else { return };
        guest.flushed = true;
        self.words.push(Word::Flush(client));
    }

    fn flush_rest(&mut self, _: Time) {
        for (client, guest) in &mut self.guests {
            if !std::mem::replace(&mut guest.flushed, true) {
                self.words.push(Word::Flush(*client));
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        None
    }

    fn disconnect(&mut self, _: Time, client: ClientId, code: u8) {
        if self.guests.contains_key(&client) {
            self.forget(client);
            self.words.push(Word::Disconnect(client, code));
            let reason = DisconnectReason::ByUs(code);
            self.inbox.events.push_back(ServerEvent::Disconnected { client, reason });
        }
    }

    fn clients_len(&self) -> usize {
        self.guests.len()
    }

    fn address(&self, _: ClientId) -> Option<SocketAddr> {
        None
    }

    fn stats(&self, client: ClientId) -> Option<LinkStats> {
        self.guests.get(&client).map(|guest| *guest.stats)
    }

    /// The process's, not a room's.
    fn counters(&self) -> Counters {
        Counters::default()
    }

    fn budget_bytes(&self, client: ClientId) -> usize {
        self.room(client).first_bytes
    }

    fn room(&self, client: ClientId) -> SendRoom {
        self.guests.get(&client).map_or(SendRoom::default(), |guest| guest.room)
    }
}

/// What waits for one room at most; beyond it messages wait in their links, which push back. A tick of 64 clients that say
/// all they may is a quarter of it.
const INBOX_BYTES_MAX: usize = 1 << 20;
const INBOX_MESSAGES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: ClientId = ClientId::new(1, 0);
    const THERE: ClientId = ClientId::new(2, 0);
    const CHANNEL: ChannelId = ChannelId(3);

    fn at(us: u64) -> Time {
        Time::from_micros(us)
    }

    fn connected(client: ClientId) -> ServerEvent {
        ServerEvent::Connected { client, player: 1, user_data: Box::new([0; 256]) }
    }

    fn read(port: &mut Port, client: ClientId) -> Vec<u8> {
        let mut all = Vec::new();
        port.read_messages(client, &mut |_, bytes| {
            all.extend_from_slice(bytes);
            true
        });
        all
    }

    #[test]
    fn each_is_heard_at_its_moment_and_who_has_no_seat_later() {
        let (mut port, mut inbox) = (Port::default(), Inbox::default());
        inbox.push(at(1), HERE, CHANNEL, b"a");
        inbox.push(at(1), HERE, CHANNEL, b"b");
        inbox.push(at(2), THERE, CHANNEL, b"x");
        inbox.push(at(3), HERE, CHANNEL, b"c");
        inbox.push(at(4), THERE, CHANNEL, b"y");
        port.take_in(&mut inbox);
        assert!(inbox.is_empty());
        assert_eq!(port.next_heard(), Some((at(1), HERE)));
        assert_eq!(read(&mut port, HERE), b"ab");
        assert_eq!(port.next_heard(), Some((at(2), THERE)), "who is not read");
        assert_eq!(port.next_heard(), Some((at(3), HERE)));
        assert_eq!(read(&mut port, HERE), b"c");
        assert_eq!(port.next_heard(), Some((at(4), THERE)));
        assert_eq!(port.next_heard(), None);
        assert_eq!(read(&mut port, THERE), b"xy", "loses nothing of it");
        assert_eq!(read(&mut port, THERE), b"");
    }

    #[test]
    fn orders_come_in_order_and_once() {
        let (mut port, mut inbox) = (Port::default(), Inbox::default());
        inbox.events.extend([connected(HERE), connected(THERE)]);
        port.take_in(&mut inbox);
        assert_eq!(port.clients_len(), 2);
        port.send(at(0), HERE, CHANNEL, b"one").unwrap();
        port.flush_client(at(0), HERE);
        port.send(at(0), THERE, CHANNEL, b"two").unwrap();
        port.flush_rest(at(0));
        port.disconnect(at(0), THERE, 9);
        port.send(at(0), THERE, CHANNEL, b"gone").unwrap();
        let mut said = Vec::new();
        port.orders(|order| said.push(format!("{order:?}")));
        let order = |order: Order<'_>| format!("{order:?}");
        let expected = [
            order(Order::Send(HERE, CHANNEL, b"one")),
            order(Order::Flush(HERE)),
            order(Order::Send(THERE, CHANNEL, b"two")),
            order(Order::Flush(THERE)),
            order(Order::Disconnect(THERE, 9)),
        ];
        assert_eq!(said, expected);
        port.orders(|order| panic!("{order:?} twice"));
        assert_eq!(port.clients_len(), 1);
        while let Some(event) = port.poll_event() {
            if let ServerEvent::Disconnected { client, reason } = event {
                assert_eq!((client, reason), (THERE, DisconnectReason::ByUs(9)));
            }
        }
    }
}
