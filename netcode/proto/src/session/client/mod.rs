//! The client's half of a session.
use super::{ClientConfig, ClientState, ConnectError, Counters, Transmit};
use crate::{ChannelId, LinkStats, SendError};
use bytes::Bytes;
use netcode_wire::Time;
use std::net::SocketAddr;

/// A netcode 1.02 client: one session with one of a token's servers.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
}

#[allow(missing_docs, clippy::unimplemented, unused_variables, reason = "the shape, published first")]
impl Client {
    pub fn connect(now: Time, token: &[u8], config: ClientConfig) -> Result<Self, ConnectError> {
        Ok(Self { config })
    }
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        let _ = &self.config;
        unimplemented!()
    }
    pub fn step(&mut self, now: Time) {
        unimplemented!()
    }
    #[must_use]
    pub fn state(&self) -> ClientState {
        unimplemented!()
    }
    /// Before the handshake is over, messages wait.
    pub fn send(&mut self, now: Time, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        unimplemented!()
    }
    pub fn poll_message(&mut self) -> Option<(ChannelId, Bytes)> {
        unimplemented!()
    }
    pub fn flush(&mut self, now: Time) {
        unimplemented!()
    }
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        unimplemented!()
    }
    pub fn disconnect(&mut self, now: Time) {
        unimplemented!()
    }
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        unimplemented!()
    }
    #[must_use]
    pub fn counters(&self) -> &Counters {
        unimplemented!()
    }
    /// The slot that the server gave; `None` before the session stands.
    #[must_use]
    pub fn client_index(&self) -> Option<u32> {
        unimplemented!()
    }
    /// The server that is being tried, or that answered.
    #[must_use]
    pub fn server(&self) -> SocketAddr {
        unimplemented!()
    }
}
