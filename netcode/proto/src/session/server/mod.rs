//! The server's half of all sessions.
use super::{ClientId, Counters, ServerConfig, ServerEvent, Transmit};
use crate::{ChannelId, LinkStats, SendError};
use bytes::Bytes;
use netcode_wire::Time;
use std::net::SocketAddr;

/// A netcode 1.02 server: any number of clients behind one socket that it never sees.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
}

#[allow(missing_docs, clippy::unimplemented, unused_variables, reason = "the shape, published first")]
impl Server {
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        Self { config }
    }
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        let _ = &self.config;
        unimplemented!()
    }
    pub fn step(&mut self, now: Time) {
        unimplemented!()
    }
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        unimplemented!()
    }
    pub fn poll_message(&mut self, client: ClientId) -> Option<(ChannelId, Bytes)> {
        unimplemented!()
    }
    /// A client that is gone takes nothing and fails nothing: its Disconnected event tells.
    pub fn send(
        &mut self,
        now: Time,
        client: ClientId,
        channel: ChannelId,
        message: &[u8],
    ) -> Result<(), SendError> {
        unimplemented!()
    }
    pub fn flush(&mut self, now: Time) {
        unimplemented!()
    }
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        unimplemented!()
    }
    pub fn disconnect(&mut self, now: Time, client: ClientId, code: u8) {
        unimplemented!()
    }
    pub fn clients(&self) -> impl Iterator<Item = ClientId> + '_ {
        std::iter::empty()
    }
    #[must_use]
    pub fn clients_len(&self) -> usize {
        unimplemented!()
    }
    #[must_use]
    pub fn player(&self, client: ClientId) -> Option<u64> {
        unimplemented!()
    }
    #[must_use]
    pub fn client_of_player(&self, player: u64) -> Option<ClientId> {
        unimplemented!()
    }
    #[must_use]
    pub fn address(&self, client: ClientId) -> Option<SocketAddr> {
        unimplemented!()
    }
    #[must_use]
    pub fn stats(&self, client: ClientId) -> Option<LinkStats> {
        unimplemented!()
    }
    #[must_use]
    pub fn counters(&self) -> &Counters {
        unimplemented!()
    }
    /// Bytes of state that fit into this tick's datagram to `client`, beside what is queued.
    #[must_use]
    pub fn budget_bytes(&self, client: ClientId) -> usize {
        unimplemented!()
    }
}
