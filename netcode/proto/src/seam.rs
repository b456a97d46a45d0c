//! The seam between sessions and what stands on them: the verbs that a client's and a server's upper half ask of any
//! session, ours or another library's. Owns the contract; must never know who keeps it.
//!
//! Both halves stay machines without IO: time and datagrams are arguments, what is to be sent is polled. The bytes of a
//! datagram are the session's own affair, so two ends must hold sessions of one kind, with equal channel sets.
//!
//! `netcode/transport/tests/contract.rs` holds every kind to what stands here.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use netcode_wire::{Ecn, Time};

use crate::{
    ChannelId, Client, ClientId, ClientState, Counters, LinkStats, SendError, SendRoom, Server, ServerEvent,
    Transmit,
};

/// A client's session with one server, whatever it is made of.
///
/// A tick of its owner: every received datagram to [`handle_datagram`](Self::handle_datagram); [`step`](Self::step);
/// [`poll_message`](Self::poll_message) until empty; [`send`](Self::send); [`flush`](Self::flush);
/// [`poll_transmit`](Self::poll_transmit) until empty. Time never runs backwards.
pub trait ClientSession: fmt::Debug {
    /// Takes in a datagram, which may be decrypted in place. Whatever is wrong with it, nothing worse happens than
    /// that the session ends with a reason.
    fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]);

    /// [`handle_datagram`](Self::handle_datagram) for who knows the datagram's congestion mark. A session that does not
    /// answer marks leaves it at that.
    fn handle_arrival(&mut self, now: Time, from: SocketAddr, ecn: Ecn, datagram: &mut [u8]) {
        let _ = ecn;
        self.handle_datagram(now, from, datagram);
    }

    /// Does what time alone makes due.
    fn step(&mut self, now: Time);

    /// The next message from the server, in the order that its channel promises.
    fn poll_message(&mut self) -> Option<(ChannelId, Bytes)>;

    /// Queues a message. Before the session stands, messages wait.
    ///
    /// # Errors
    /// The channel is full or absent, or the message too long; the session stands, and nothing was queued.
    fn send(&mut self, now: Time, channel: ChannelId, message: &[u8]) -> Result<(), SendError>;

    /// Composes what the server is due.
    fn flush(&mut self, now: Time);

    /// Sends what of the last flush has its turn by `now`. Call it between flushes; what nobody asks for leaves with the
    /// next one. A session that does not spread its datagrams has nothing to do here.
    fn release(&mut self, now: Time) {
        let _ = now;
    }

    /// The next datagram to send; to be polled until there is none, after every call that takes the time.
    fn poll_transmit(&mut self) -> Option<Transmit<'_>>;

    /// Says goodbye, after what waits to be sent.
    fn disconnect(&mut self, now: Time);

    /// Where the session stands; once disconnected, for ever and with the first reason.
    fn state(&self) -> ClientState;

    /// What the session measures; fields that this kind does not measure are zero.
    fn stats(&self) -> LinkStats;

    /// The server that is being tried, or that answered.
    fn server(&self) -> SocketAddr;
}

/// A server's sessions with all its clients, whatever they are made of.
///
/// A tick of its owner: every received datagram to [`handle_datagram`](Self::handle_datagram); [`step`](Self::step);
/// [`poll_event`](Self::poll_event) and [`poll_message`](Self::poll_message) until empty; [`send`](Self::send);
/// [`flush`](Self::flush); [`poll_transmit`](Self::poll_transmit) until empty. Time never runs backwards.
///
/// Where there are hundreds of clients, each walk over all of them finds their state cold again. Then rather, after each
/// datagram, [`poll_ready`](Self::poll_ready) and [`read_messages`](Self::read_messages); for each client in turn `send` all
/// that it gets and [`flush_client`](Self::flush_client); at the end [`flush_rest`](Self::flush_rest).
///
/// Whoever connects has shown a connect token that this server's key opens, that has not expired, and that names this
/// server; a token admits once.
pub trait ServerSession: fmt::Debug {
    /// Takes in a datagram, which may be decrypted in place. Whatever is wrong with it, no other client notices.
    fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]);

    /// [`handle_datagram`](Self::handle_datagram) for who knows the datagram's congestion mark. A session that does not
    /// answer marks leaves it at that.
    fn handle_arrival(&mut self, now: Time, from: SocketAddr, ecn: Ecn, datagram: &mut [u8]) {
        let _ = ecn;
        self.handle_datagram(now, from, datagram);
    }

    /// Does what time alone makes due.
    fn step(&mut self, now: Time);

    /// The next thing that happened: for every client one [`ServerEvent::Connected`], later one
    /// [`ServerEvent::Disconnected`] with a reason.
    fn poll_event(&mut self) -> Option<ServerEvent>;

    /// The next message of `client`, in the order that its channel promises. Of one that is gone nothing need be left.
    fn poll_message(&mut self, client: ClientId) -> Option<(ChannelId, Bytes)>;

    /// The next client that has said something since it was last named here; each once. Asked right after a datagram was
    /// taken in, it names whose that was, while its state is still at hand. A client may be named without need, but
    /// none of those that stand and have spoken is left out.
    fn poll_ready(&mut self) -> Option<ClientId>;

    /// Hands the messages of `client` to `accept` as [`poll_message`](Self::poll_message) would give them, until there are
    /// none or `accept` gives `false`: what is left then stays, for when it is asked for again.
    fn read_messages(&mut self, client: ClientId, accept: &mut dyn FnMut(ChannelId, &[u8]) -> bool) {
        while let Some((channel, message)) = self.poll_message(client) {
            if !accept(channel, &message) {
                return;
            }
        }
    }

    /// Queues a message to `client`. One that is gone takes nothing and fails nothing.
    ///
    /// # Errors
    /// The channel is full or absent, or the message too long; the session stands, and nothing was queued.
    fn send(
        &mut self,
        now: Time,
        client: ClientId,
        channel: ChannelId,
        message: &[u8],
    ) -> Result<(), SendError>;

    /// Composes what every client is due.
    fn flush(&mut self, now: Time);

    /// Composes what `client` is due, when all that it gets in this tick was handed over: its state is still at hand. A tick
    /// of these, all at one `now`, ends with [`flush_rest`](Self::flush_rest). A kind that cannot leaves it to that.
    fn flush_client(&mut self, now: Time, client: ClientId) {
        let _ = (now, client);
    }

    /// Composes what everybody is due who was not flushed alone at this `now`.
    fn flush_rest(&mut self, now: Time) {
        self.flush(now);
    }

    /// Sends what of the last flush has its turn by `now`. Call it between flushes, at
    /// [`poll_timeout`](Self::poll_timeout) or every millisecond or so; what nobody asks for leaves with the next flush. A
    /// session that does not spread its datagrams has nothing to do here.
    fn release(&mut self, now: Time) {
        let _ = now;
    }

    /// When [`release`](Self::release) has something to send; `None`: nothing before the next flush.
    fn poll_timeout(&self) -> Option<Time> {
        None
    }

    /// The next datagram to send; to be polled until there is none, after every call that takes the time.
    fn poll_transmit(&mut self) -> Option<Transmit<'_>>;

    /// Ends a session, after what waits to be sent. `code` comes back in the event; the other end need not learn it.
    fn disconnect(&mut self, now: Time, client: ClientId, code: u8);

    /// How many are connected.
    fn clients_len(&self) -> usize;

    /// Where a connected client is.
    fn address(&self, client: ClientId) -> Option<SocketAddr>;

    /// What the session with a connected client measures; fields that this kind does not measure are zero.
    fn stats(&self, client: ClientId) -> Option<LinkStats>;

    /// What came, went and was dropped; fields that this kind does not count are zero.
    fn counters(&self) -> Counters;

    /// Bytes of state that may well be sent to `client` in this tick, beside what is queued; 0 when it is gone.
    fn budget_bytes(&self, client: ClientId) -> usize;

    /// The same where a tick's state may go as several messages, each uncut. A kind that cannot tell offers one.
    fn room(&self, client: ClientId) -> SendRoom {
        let bytes = self.budget_bytes(client);
        SendRoom { first_bytes: bytes, part_bytes: 0, total_bytes: bytes }
    }
}

impl ClientSession for Client {
    fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.handle_datagram(now, from, datagram);
    }

    fn handle_arrival(&mut self, now: Time, from: SocketAddr, ecn: Ecn, datagram: &mut [u8]) {
        self.handle_arrival(now, from, ecn, datagram);
    }

    fn step(&mut self, now: Time) {
        self.step(now);
    }

    fn poll_message(&mut self) -> Option<(ChannelId, Bytes)> {
        self.poll_message()
    }

    fn send(&mut self, now: Time, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        self.send(now, channel, message)
    }

    fn flush(&mut self, now: Time) {
        self.flush(now);
    }

    fn release(&mut self, now: Time) {
        self.release(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.poll_transmit()
    }

    fn disconnect(&mut self, now: Time) {
        self.disconnect(now);
    }

    fn state(&self) -> ClientState {
        self.state()
    }

    fn stats(&self) -> LinkStats {
        self.stats()
    }

    fn server(&self) -> SocketAddr {
        self.server()
    }
}

impl ServerSession for Server {
    fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.handle_datagram(now, from, datagram);
    }

    fn handle_arrival(&mut self, now: Time, from: SocketAddr, ecn: Ecn, datagram: &mut [u8]) {
        self.handle_arrival(now, from, ecn, datagram);
    }

    fn step(&mut self, now: Time) {
        self.step(now);
    }

    fn poll_event(&mut self) -> Option<ServerEvent> {
        self.poll_event()
    }

    fn poll_message(&mut self, client: ClientId) -> Option<(ChannelId, Bytes)> {
        self.poll_message(client)
    }

    fn poll_ready(&mut self) -> Option<ClientId> {
        self.poll_ready()
    }

    fn read_messages(&mut self, client: ClientId, accept: &mut dyn FnMut(ChannelId, &[u8]) -> bool) {
        self.read_messages(client, accept);
    }

    fn send(
        &mut self,
        now: Time,
        client: ClientId,
        channel: ChannelId,
        message: &[u8],
    ) -> Result<(), SendError> {
        self.send(now, client, channel, message)
    }

    fn flush(&mut self, now: Time) {
        self.flush(now);
    }

    fn flush_client(&mut self, now: Time, client: ClientId) {
        self.flush_client(now, client);
    }

    fn flush_rest(&mut self, now: Time) {
        self.flush_rest(now);
    }

    fn release(&mut self, now: Time) {
        self.release(now);
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.poll_timeout()
    }

    fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.poll_transmit()
    }

    fn disconnect(&mut self, now: Time, client: ClientId, code: u8) {
        self.disconnect(now, client, code);
    }

    fn clients_len(&self) -> usize {
        self.clients_len()
    }

    fn address(&self, client: ClientId) -> Option<SocketAddr> {
        self.address(client)
    }

    fn stats(&self, client: ClientId) -> Option<LinkStats> {
        self.stats(client)
    }

    fn counters(&self) -> Counters {
        *self.counters()
    }

    fn budget_bytes(&self, client: ClientId) -> usize {
        self.budget_bytes(client)
    }

    fn room(&self, client: ClientId) -> SendRoom {
        self.room(client)
    }
}

/// A session chosen at run time.
impl<S: ClientSession + ?Sized> ClientSession for Box<S> {
    fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        (**self).handle_datagram(now, from, datagram);
    }

    fn handle_arrival(&mut self, now: Time, from: SocketAddr, ecn: Ecn, datagram: &mut [u8]) {
        (**self).handle_arrival(now, from, ecn, datagram);
    }

    fn step(&mut self, now: Time) {
        (**self).step(now);
    }

    fn poll_message(&mut self) -> Option<(ChannelId, Bytes)> {
        (**self).poll_message()
    }

    fn send(&mut self, now: Time, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        (**self).send(now, channel, message)
    }

    fn flush(&mut self, now: Time) {
        (**self).flush(now);
    }

    fn release(&mut self, now: Time) {
        (**self).release(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        (**self).poll_transmit()
    }

    fn disconnect(&mut self, now: Time) {
        (**self).disconnect(now);
    }

    fn state(&self) -> ClientState {
        (**self).state()
    }

    fn stats(&self) -> LinkStats {
        (**self).stats()
    }

    fn server(&self) -> SocketAddr {
        (**self).server()
    }
}
