//! The sessions below a room: ours, another library's behind a pointer, or a share of those of all rooms. Owns the choice; must never know a player.

use std::net::SocketAddr;

use netcode_proto::{
    Bytes, ChannelId, ChannelStats, ClientId, Counters, LinkConfig, LinkStats, SendError, SendRoom,
    ServerConfig, ServerEvent, ServerSession, Transmit,
};
use netcode_token::{Key, aead::has_aes_hardware};
use netcode_wire::{Ecn, Time};

use super::port::Port;
use crate::drive::RunError;
use crate::options::ServerOptions;
use crate::transport::Transport;

/// What a room talks to its clients through. Ours are called directly; the branch costs nothing beside what follows it.
#[derive(Debug)]
pub(crate) enum Sessions {
    /// Our own, over whatever carries datagrams.
    Ours(Box<netcode_proto::Server>),
    /// Another library's.
    #[cfg_attr(
        not(any(feature = "renet", feature = "laminar")),
        expect(dead_code, reason = "made where a feature brings one")
    )]
    Foreign(Box<dyn ServerSession + Send>),
    /// Those of the process, which has other rooms too.
    Shared(Box<Port>),
}

impl Sessions {
    /// The sessions that `options` ask for. `addresses`: by which tokens may name the server, any when empty.
    pub(crate) fn open(
        options: &ServerOptions,
        addresses: &[SocketAddr],
        unix_at_zero_s: u64,
    ) -> Result<Self, RunError> {
        let config = session_config(options, addresses, unix_at_zero_s)?;
        Ok(match options.transport.require()? {
            Transport::Udp | Transport::WebSocket => Self::Ours(Box::new(netcode_proto::Server::new(config))),
            #[cfg(feature = "renet")]
            Transport::Renet => Self::Foreign(Box::new(netcode_transport::RenetServerSession::new(&config))),
            #[cfg(feature = "laminar")]
            Transport::Laminar => {
                Self::Foreign(Box::new(netcode_transport::LaminarServerSession::new(&config)))
            }
            #[cfg(not(all(feature = "renet", feature = "laminar")))]
            left_out => unreachable!("{left_out} is not in this build, as was asked above"),
        })
    }

    /// What one channel of a connected client holds; `None` for other libraries' sessions, which do not tell.
    pub(crate) fn channel_stats(&self, client: ClientId, channel: ChannelId) -> Option<ChannelStats> {
        match self {
            Self::Ours(session) => session.channel_stats(client, channel),
            Self::Foreign(_) | Self::Shared(_) => None,
        }
    }
}

impl Sessions {
    /// The next client to be heard of those that say nothing on arrival: shared sessions keep it for the room's tick.
    pub(crate) fn next_heard(&mut self) -> Option<(Time, ClientId)> {
        match self {
            Self::Shared(port) => port.next_heard(),
            Self::Ours(_) | Self::Foreign(_) => None,
        }
    }
}

fn session_config(
    options: &ServerOptions,
    addresses: &[SocketAddr],
    unix_at_zero_s: u64,
) -> Result<ServerConfig, RunError> {
    let mut config = ServerConfig::new(options.protocol_id, options.private_key()?);
    config.challenge_key = Key::generate();
    config.public_addresses = addresses.to_vec();
    config.clients_max = usize::from(options.clients_max);
    config.unix_at_zero_s = unix_at_zero_s;
    config.link = LinkConfig::default();
    config.extensions.aes_hardware = has_aes_hardware();
    config.seed = u64::from_le_bytes(Key::generate().as_bytes()[..8].try_into().expect("a key has 32 bytes"));
    Ok(config)
}

/// Calls the same verb of whichever session there is.
macro_rules! either {
    ($self:ident, $session:ident => $call:expr) => {
        match $self {
            Sessions::Ours($session) => $call,
            Sessions::Foreign($session) => $call,
            Sessions::Shared($session) => $call,
        }
    };
}

impl ServerSession for Sessions {
    fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        either!(self, session => session.handle_datagram(now, from, datagram));
    }

    fn handle_arrival(&mut self, now: Time, from: SocketAddr, ecn: Ecn, datagram: &mut [u8]) {
        either!(self, session => session.handle_arrival(now, from, ecn, datagram));
    }

    fn step(&mut self, now: Time) {
        either!(self, session => session.step(now));
    }

    fn poll_event(&mut self) -> Option<ServerEvent> {
        either!(self, session => session.poll_event())
    }

    fn poll_message(&mut self, client: ClientId) -> Option<(ChannelId, Bytes)> {
        either!(self, session => session.poll_message(client))
    }

    fn poll_ready(&mut self) -> Option<ClientId> {
        either!(self, session => session.poll_ready())
    }

    fn read_messages(&mut self, client: ClientId, accept: &mut dyn FnMut(ChannelId, &[u8]) -> bool) {
        either!(self, session => session.read_messages(client, accept));
    }

    fn send(
        &mut self,
        now: Time,
        client: ClientId,
        channel: ChannelId,
        message: &[u8],
    ) -> Result<(), SendError> {
        either!(self, session => session.send(now, client, channel, message))
    }

    fn flush(&mut self, now: Time) {
        either!(self, session => session.flush(now));
    }

    fn flush_client(&mut self, now: Time, client: ClientId) {
        either!(self, session => session.flush_client(now, client));
    }

    fn flush_rest(&mut self, now: Time) {
        either!(self, session => session.flush_rest(now));
    }

    fn release(&mut self, now: Time) {
        either!(self, session => session.release(now));
    }

    fn poll_timeout(&self) -> Option<Time> {
        either!(self, session => session.poll_timeout())
    }

    fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        either!(self, session => session.poll_transmit())
    }

    fn disconnect(&mut self, now: Time, client: ClientId, code: u8) {
        either!(self, session => session.disconnect(now, client, code));
    }

    fn clients_len(&self) -> usize {
        either!(self, session => session.clients_len())
    }

    fn address(&self, client: ClientId) -> Option<SocketAddr> {
        either!(self, session => session.address(client))
    }

    fn stats(&self, client: ClientId) -> Option<LinkStats> {
        either!(self, session => session.stats(client))
    }

    fn counters(&self) -> Counters {
        // Ours lends its own, others' are copies.
        match self {
            Self::Ours(session) => *session.counters(),
            Self::Foreign(session) => session.counters(),
            Self::Shared(port) => port.counters(),
        }
    }

    fn budget_bytes(&self, client: ClientId) -> usize {
        either!(self, session => session.budget_bytes(client))
    }

    fn room(&self, client: ClientId) -> SendRoom {
        either!(self, session => session.room(client))
    }
}
