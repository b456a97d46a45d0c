//! What laminar hands over: datagrams to send, packets received. Must never know a session.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::laminar::{Config, ConnectionMessenger, Packet, SocketEvent};
use netcode_wire::Time;

use crate::foreign::Outgoing;

/// The surroundings that laminar's connections are driven in.
#[derive(Debug)]
pub(super) struct Post {
    config: Config,
    /// laminar takes moments of this clock; only their distances count, so any start serves for [`Time::ZERO`].
    zero: Instant,
    pub(super) outgoing: Outgoing,
    /// Packets that the last datagram held.
    pub(super) arrived: Vec<Packet>,
}

impl Post {
    pub(super) fn new() -> Self {
        let config = Config {
            // Messages are cut here, since what laminar cuts comes in any order.
            fragment_size: PACKET_BYTES_MAX,
            receive_buffer_max_size: usize::from(PACKET_BYTES_MAX),
            heartbeat_interval: None,
            ..Config::default()
        };
        Self { config, zero: Instant::now(), outgoing: Outgoing::default(), arrived: Vec::new() }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn at(&self, now: Time) -> Instant {
        self.zero + Duration::from_micros(now.as_micros())
    }
}

impl ConnectionMessenger<SocketEvent> for Post {
    fn config(&self) -> &Config {
        &self.config
    }

    fn send_event(&mut self, _: &SocketAddr, event: SocketEvent) {
        // When a connection stands and falls is decided here, not by laminar.
        if let SocketEvent::Packet(packet) = event {
            self.arrived.push(packet);
        }
    }

    fn send_packet(&mut self, to: &SocketAddr, datagram: &[u8]) {
        self.outgoing.push(*to, datagram);
    }
}

/// The longest payload of one laminar packet, bytes. With laminar's heads (at most 5 + 8 + 3) it stays within the 1200
/// bytes that pass everywhere.
pub(super) const PACKET_BYTES_MAX: u16 = 1184;
