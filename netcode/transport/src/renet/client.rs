//! The client's half over renet. Must never know a game.

use std::net::SocketAddr;
use std::time::Duration;

use ::renet::RenetClient;
use netcode_proto::{
    Bytes, ChannelId, ClientConfig, ClientSession, ClientState, ConnectError, DisconnectReason, LinkError,
    LinkStats, SendError, Transmit,
    channels::{ChannelKind, ChannelSet},
};
use netcode_token::{PublicToken, VERSION};
use netcode_wire::Time;
use renetcode::{ClientAuthentication, ConnectToken, DisconnectReason as NetcodeReason, NetcodeClient};

use super::{Watch, connection_config, has_room, shape};
use crate::foreign::{GOODBYES, Order, Outgoing, admit, contained};

/// A session with a renet server.
#[derive(Debug)]
pub struct RenetClientSession {
    channels: ChannelSet,
    netcode: NetcodeClient,
    renet: RenetClient,
    order: Order,
    outgoing: Outgoing,
    traffic: LinkStats,
    watch: Watch,
    ended: Option<DisconnectReason>,
    scratch: Vec<u8>,
}

impl RenetClientSession {
    /// Begins a session with a connect token (2048 bytes). Of `config`, protocol id and channels count.
    ///
    /// # Errors
    /// The token cannot be read, or is for another protocol.
    pub fn connect(now: Time, token: &[u8], config: &ClientConfig) -> Result<Self, ConnectError> {
        let token = PublicToken::decode(token)?;
        if token.protocol_id != config.protocol_id {
            return Err(ConnectError::WrongProtocol { token: token.protocol_id, ours: config.protocol_id });
        }
        let authentication = ClientAuthentication::Secure { connect_token: translate(&token) };
        let netcode = NetcodeClient::new(Duration::from_micros(now.as_micros()), authentication)
            .expect("a token that is given is not minted");
        let mut session = Self {
            netcode,
            renet: RenetClient::new(connection_config(&config.channels)),
            order: Order::new(&config.channels),
            channels: config.channels.clone(),
            outgoing: Outgoing::default(),
            traffic: LinkStats::default(),
            watch: Watch(now),
            ended: None,
            scratch: Vec::new(),
        };
        session.turn(Duration::ZERO);
        Ok(session)
    }

    /// Lets `past` go by, and queues what the netcode layer has to say of itself.
    fn turn(&mut self, past: Duration) {
        if let Some((datagram, to)) = self.netcode.update(past) {
            self.outgoing.push(to, datagram);
        }
        self.renet.update(past);
        self.settle();
    }

    /// Brings the two layers into step.
    fn settle(&mut self) {
        if self.ended.is_some() {
            return;
        }
        if let Some(reason) = self.netcode.disconnect_reason() {
            self.ended = Some(reason_of(reason));
            self.renet.disconnect_due_to_transport();
        } else if self.renet.is_disconnected() {
            self.leave(DisconnectReason::Misbehaved(LinkError::Malformed("renet ended the session")));
        } else if self.netcode.is_connected() && !self.renet.is_connected() {
            self.renet.set_connected();
        }
    }

    fn leave(&mut self, reason: DisconnectReason) {
        self.ended = Some(reason);
        let was_connected = self.netcode.is_connected();
        // A session that never stood has nobody to say goodbye to.
        if let Ok((to, datagram)) = self.netcode.disconnect()
            && was_connected
        {
            for _ in 0..GOODBYES {
                self.outgoing.push(to, datagram);
            }
        }
        self.renet.disconnect();
    }
}

impl ClientSession for RenetClientSession {
    fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.outgoing.note_received(datagram.len());
        if from != self.netcode.server_addr() || self.ended.is_some() {
            self.outgoing.counters.dropped_unknown += 1;
            return;
        }
        if !shape::is_packet(datagram) {
            self.outgoing.counters.dropped_malformed += 1;
            return;
        }
        if let Some(past) = self.watch.lap(now, Duration::ZERO) {
            self.turn(past);
        }
        if let Some(packet) = self.netcode.process_packet(datagram) {
            self.traffic.packets_received += 1;
            self.traffic.bytes_received += packet.len() as u64;
            if contained(|| self.renet.process_packet(packet)).is_none() {
                self.renet = RenetClient::new(connection_config(&self.channels));
                self.renet.disconnect();
            }
        }
        self.settle();
    }

    fn step(&mut self, now: Time) {
        if let Some(past) = self.watch.lap(now, Duration::ZERO) {
            self.turn(past);
        }
    }

    fn poll_message(&mut self) -> Option<(ChannelId, Bytes)> {
        for channel in 0..self.channels.kinds().len() as u8 {
            while let Some(message) = self.renet.receive_message(channel) {
                if let Some(message) = self.order.accept(ChannelId(channel), message) {
                    return Some((ChannelId(channel), message));
                }
            }
        }
        None
    }

    fn send(&mut self, _: Time, channel: ChannelId, message: &[u8]) -> Result<(), SendError> {
        let kind = admit(&self.channels, channel, message.len())?;
        if self.ended.is_some() {
            return Ok(());
        }
        if !has_room(&self.channels, self.renet.channel_available_memory(channel.0), message.len()) {
            return Err(SendError::ChannelFull);
        }
        if kind == ChannelKind::UnreliableSequenced {
            self.scratch.clear();
            self.order.number(channel, &mut self.scratch);
            self.scratch.extend_from_slice(message);
            self.renet.send_message(channel.0, Bytes::copy_from_slice(&self.scratch));
        } else {
            self.renet.send_message(channel.0, Bytes::copy_from_slice(message));
        }
        Ok(())
    }

    fn flush(&mut self, now: Time) {
        self.step(now);
        if !self.netcode.is_connected() {
            return;
        }
        for packet in self.renet.get_packets_to_send() {
            // Longer than the layer below takes is none of renet's packets.
            let Ok((to, datagram)) = self.netcode.generate_payload_packet(&packet) else { continue };
            self.traffic.packets_sent += 1;
            self.traffic.bytes_sent += datagram.len() as u64;
            self.outgoing.push(to, datagram);
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.outgoing.poll()
    }

    fn disconnect(&mut self, now: Time) {
        if self.ended.is_none() {
            self.flush(now);
            self.leave(DisconnectReason::ByUs(0));
        }
    }

    fn state(&self) -> ClientState {
        match self.ended {
            Some(reason) => ClientState::Disconnected(reason),
            None if self.netcode.is_connected() => ClientState::Connected,
            None => ClientState::Connecting,
        }
    }

    fn stats(&self) -> LinkStats {
        let rtt_us = (self.renet.rtt() * 1e6) as u64;
        LinkStats { rtt_us, rtt_min_us: rtt_us, loss: self.renet.packet_loss() as f32, ..self.traffic }
    }

    fn server(&self) -> SocketAddr {
        self.netcode.server_addr()
    }
}

/// The same token in renet's own words. Its `client_id` is not in the standard's public part and never travels.
fn translate(token: &PublicToken) -> ConnectToken {
    let mut server_addresses = [None; 32];
    for (place, server) in server_addresses.iter_mut().zip(&token.servers) {
        *place = Some(*server);
    }
    ConnectToken {
        client_id: 0,
        version_info: VERSION,
        protocol_id: token.protocol_id,
        create_timestamp: token.create_unix_s,
        expire_timestamp: token.expire_unix_s,
        xnonce: token.nonce,
        server_addresses,
        client_to_server_key: *token.client_to_server.as_bytes(),
        server_to_client_key: *token.server_to_client.as_bytes(),
        private_data: *token.private,
        timeout_seconds: token.timeout_s,
    }
}

fn reason_of(reason: NetcodeReason) -> DisconnectReason {
    match reason {
        NetcodeReason::ConnectTokenExpired => DisconnectReason::TokenExpired,
        NetcodeReason::ConnectionTimedOut => DisconnectReason::TimedOut,
        NetcodeReason::ConnectionResponseTimedOut => DisconnectReason::ResponseTimedOut,
        NetcodeReason::ConnectionRequestTimedOut => DisconnectReason::RequestTimedOut,
        NetcodeReason::ConnectionDenied => DisconnectReason::Denied,
        NetcodeReason::DisconnectedByClient => DisconnectReason::ByUs(0),
        NetcodeReason::DisconnectedByServer => DisconnectReason::ByPeer,
    }
}
