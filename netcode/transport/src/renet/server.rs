//! The server's half over renet: any number of clients, at most 1024. Must never know a game.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use ::renet::RenetServer;
use netcode_proto::{
    Bytes, ChannelId, ClientId, Counters, DisconnectReason, LinkError, LinkStats, Request, SendError,
    ServerConfig, ServerEvent, ServerSession, Transmit,
    channels::{ChannelKind, ChannelSet},
};
use netcode_wire::Time;
use renetcode::{NetcodeServer, ServerAuthentication, ServerConfig as NetcodeConfig, ServerResult};

use super::{Watch, connection_config, has_room, shape};
use crate::foreign::{Claim, Door, GOODBYES, Mark, Order, Outgoing, Seat, Seats, admit, contained};

/// The most clients that renetcode takes.
pub const RENET_CLIENTS_MAX: usize = 1024;

/// The sessions of a renet server.
#[derive(Debug)]
pub struct RenetServerSession {
    netcode: NetcodeServer,
    hall: Hall,
    watch: Watch,
    sweep_at: Time,
}

/// What is kept of a client beside what renet keeps.
#[derive(Debug)]
struct Member {
    order: Order,
    traffic: LinkStats,
}

/// Everything but the netcode layer, which lends out its buffer while this works.
#[derive(Debug)]
struct Hall {
    channels: ChannelSet,
    renet: RenetServer,
    door: Door,
    /// What was last shown from where, until its session begins.
    shown: HashMap<SocketAddr, (Mark, u64)>,
    seats: Seats<Member>,
    events: VecDeque<ServerEvent>,
    outgoing: Outgoing,
    scratch: Vec<u8>,
}

impl RenetServerSession {
    /// A server without clients. Of `config` count: protocol id, key, addresses, clients, the wall clock, channels.
    /// Its `public_addresses` must not be empty: renet admits only by addresses that it knows.
    ///
    /// # Panics
    /// When `clients_max` is not in `1..=1024`.
    #[must_use]
    pub fn new(config: &ServerConfig) -> Self {
        let allowed = 1..=RENET_CLIENTS_MAX;
        assert!(allowed.contains(&config.clients_max), "renet takes 1 to {RENET_CLIENTS_MAX} clients");
        let netcode = NetcodeServer::new(NetcodeConfig {
            current_time: Duration::from_secs(config.unix_at_zero_s),
            max_clients: config.clients_max,
            protocol_id: config.protocol_id,
            public_addresses: config.public_addresses.clone(),
            authentication: ServerAuthentication::Secure { private_key: *config.private_key.as_bytes() },
        });
        let hall = Hall {
            channels: config.channels.clone(),
            renet: RenetServer::new(connection_config(&config.channels)),
            door: Door::new(config),
            shown: HashMap::new(),
            seats: Seats::new(config.clients_max),
            events: VecDeque::new(),
            outgoing: Outgoing::default(),
            scratch: Vec::new(),
        };
        Self { netcode, hall, watch: Watch(Time::ZERO), sweep_at: Time::ZERO }
    }

    fn lap(&mut self, now: Time, least: Duration) {
        if let Some(past) = self.watch.lap(now, least) {
            self.netcode.update(past);
            self.hall.renet.update(past);
        }
    }

    /// Whether a request may go on to renetcode; ends the session that it replaces.
    fn let_in(&mut self, now: Time, from: SocketAddr, request: &[u8]) -> bool {
        let mut copy = [0; netcode_proto::REQUEST_BYTES];
        copy.copy_from_slice(request);
        let hall = &mut self.hall;
        let counters = &mut hall.outgoing.counters;
        let Some(visitor) = hall.door.read(now, &mut copy, counters) else { return false };
        if hall.door.claim(&visitor, from) == Claim::Refused {
            counters.requests_reused += 1;
            return false;
        }
        hall.shown.insert(from, (visitor.mark, visitor.expire_unix_s));
        let earlier = hall.seats.of_player(visitor.player);
        if let Some(earlier) = earlier
            && hall.seats.get(earlier).is_some_and(|seat| seat.expire_unix_s < visitor.expire_unix_s)
        {
            self.close(earlier, DisconnectReason::Superseded);
        }
        true
    }

    /// Ends a session by our own decision.
    fn close(&mut self, client: ClientId, reason: DisconnectReason) {
        let Some(player) = self.hall.seats.get(client).map(|seat| seat.player) else { return };
        self.compose_for(client);
        let result = self.netcode.disconnect(player);
        self.hall.settle(result, reason);
    }

    fn compose_for(&mut self, client: ClientId) {
        let Self { netcode, hall, .. } = self;
        let Some(seat) = hall.seats.get_mut(client) else { return };
        let Ok(packets) = hall.renet.get_packets_to_send(seat.player) else { return };
        for packet in packets {
            // Longer than the layer below takes is none of renet's packets.
            let Ok((to, datagram)) = netcode.generate_payload_packet(seat.player, &packet) else { continue };
            seat.session.traffic.packets_sent += 1;
            seat.session.traffic.bytes_sent += datagram.len() as u64;
            hall.outgoing.push(to, datagram);
        }
    }
}

impl Hall {
    /// Does what the netcode layer says. `reason` counts where that ends a session.
    fn settle(&mut self, result: ServerResult<'_, '_>, reason: DisconnectReason) {
        match result {
            ServerResult::None => {}
            ServerResult::PacketToSend { addr, payload } => self.outgoing.push(addr, payload),
            ServerResult::Payload { client_id, payload } => {
                let client = self.seats.of_player(client_id);
                client.inspect(|client| self.seats.note_ready(*client));
                if let Some(seat) = client.and_then(|client| self.seats.get_mut(client)) {
                    seat.session.traffic.packets_received += 1;
                    seat.session.traffic.bytes_received += payload.len() as u64;
                }
                if contained(|| self.renet.process_packet_from(payload, client_id)).is_none() {
                    self.renet.remove_connection(client_id);
                }
            }
            ServerResult::ClientConnected { client_id, addr, user_data, payload } => {
                self.outgoing.push(addr, payload);
                self.seat(client_id, addr, user_data);
            }
            ServerResult::ClientDisconnected { client_id, addr, payload } => {
                if let Some(payload) = payload {
                    for _ in 0..GOODBYES {
                        self.outgoing.push(addr, payload);
                    }
                }
                self.unseat(client_id, reason);
            }
        }
    }

    fn seat(&mut self, player: u64, address: SocketAddr, user_data: Box<[u8; netcode_token::USER_DATA_LEN]>) {
        let shown = self.shown.remove(&address);
        if let Some((mark, _)) = &shown {
            self.door.spend(mark);
        }
        let expire_unix_s = shown.map_or(0, |(_, expire_unix_s)| expire_unix_s);
        let session = Member { order: Order::new(&self.channels), traffic: LinkStats::default() };
        let seat = Seat { player, address, expire_unix_s, session };
        // renetcode has as many slots as we.
        let Some(client) = self.seats.insert(seat) else { return };
        self.renet.add_connection(player);
        self.outgoing.counters.connected += 1;
        self.events.push_back(ServerEvent::Connected { client, player, user_data });
    }

    fn unseat(&mut self, player: u64, reason: DisconnectReason) {
        self.renet.remove_connection(player);
        let Some(client) = self.seats.of_player(player) else { return };
        self.seats.remove(client);
        self.outgoing.counters.disconnected += 1;
        self.events.push_back(ServerEvent::Disconnected { client, reason });
    }
}

impl ServerSession for RenetServerSession {
    fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.hall.outgoing.note_received(datagram.len());
        self.lap(now, LAP_MIN);
        if !shape::is_packet(datagram) {
            self.hall.outgoing.counters.dropped_malformed += 1;
            return;
        }
        if Request::is_claimed(datagram) && !self.let_in(now, from, datagram) {
            return;
        }
        let result = self.netcode.process_packet(from, datagram);
        self.hall.settle(result, DisconnectReason::ByPeer);
    }

    fn step(&mut self, now: Time) {
        self.lap(now, Duration::ZERO);
        for slot in 0..self.hall.seats.slots_len() {
            let Some(client) = self.hall.seats.in_slot(slot) else { continue };
            let Some(player) = self.hall.seats.get(client).map(|seat| seat.player) else { continue };
            if !self.hall.renet.is_connected(player) {
                let what = LinkError::Malformed("renet ended the session");
                self.close(client, DisconnectReason::Misbehaved(what));
                continue;
            }
            let result = self.netcode.update_client(player);
            self.hall.settle(result, DisconnectReason::TimedOut);
        }
        // renet tells for itself what we have told already.
        while self.hall.renet.get_event().is_some() {}
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP_INTERVAL;
            self.hall.door.sweep(now);
            let unix_s = self.hall.door.unix_s(now);
            self.hall.shown.retain(|_, (_, expire_unix_s)| *expire_unix_s > unix_s);
        }
    }

    fn poll_event(&mut self) -> Option<ServerEvent> {
        self.hall.events.pop_front()
    }

    fn poll_message(&mut self, client: ClientId) -> Option<(ChannelId, Bytes)> {
        let hall = &mut self.hall;
        let seat = hall.seats.get_mut(client)?;
        for channel in 0..hall.channels.kinds().len() as u8 {
            while let Some(message) = hall.renet.receive_message(seat.player, channel) {
                if let Some(message) = seat.session.order.accept(ChannelId(channel), message) {
                    return Some((ChannelId(channel), message));
                }
            }
        }
        None
    }

    fn poll_ready(&mut self) -> Option<ClientId> {
        self.hall.seats.poll_ready()
    }

    fn send(
        &mut self,
        _: Time,
        client: ClientId,
        channel: ChannelId,
        message: &[u8],
    ) -> Result<(), SendError> {
        let hall = &mut self.hall;
        let kind = admit(&hall.channels, channel, message.len())?;
        let Some(seat) = hall.seats.get_mut(client) else { return Ok(()) };
        let available_bytes = hall.renet.channel_available_memory(seat.player, channel.0);
        if !has_room(&hall.channels, available_bytes, message.len()) {
            return Err(SendError::ChannelFull);
        }
        let mut bytes = message;
        if kind == ChannelKind::UnreliableSequenced {
            hall.scratch.clear();
            seat.session.order.number(channel, &mut hall.scratch);
            hall.scratch.extend_from_slice(message);
            bytes = &hall.scratch;
        }
        hall.renet.send_message(seat.player, channel.0, Bytes::copy_from_slice(bytes));
        Ok(())
    }

    fn flush(&mut self, now: Time) {
        self.lap(now, Duration::ZERO);
        for slot in 0..self.hall.seats.slots_len() {
            if let Some(client) = self.hall.seats.in_slot(slot) {
                self.compose_for(client);
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.hall.outgoing.poll()
    }

    fn disconnect(&mut self, _: Time, client: ClientId, code: u8) {
        self.close(client, DisconnectReason::ByUs(code));
    }

    fn clients_len(&self) -> usize {
        self.hall.seats.len()
    }

    fn address(&self, client: ClientId) -> Option<SocketAddr> {
        self.hall.seats.get(client).map(|seat| seat.address)
    }

    fn stats(&self, client: ClientId) -> Option<LinkStats> {
        let seat = self.hall.seats.get(client)?;
        let rtt_us = (self.hall.renet.rtt(seat.player) * 1e6) as u64;
        let loss = self.hall.renet.packet_loss(seat.player) as f32;
        Some(LinkStats { rtt_us, rtt_min_us: rtt_us, loss, ..seat.session.traffic })
    }

    fn counters(&self) -> Counters {
        self.hall.outgoing.counters
    }

    fn budget_bytes(&self, client: ClientId) -> usize {
        self.hall.seats.get(client).map_or(0, |_| STATE_BYTES)
    }
}

// renet walks all its clients when time moves on: not for every datagram, yet often enough to measure round trips.
const LAP_MIN: Duration = Duration::from_millis(4);
// Expired tokens are refused before they are swept.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
// 1150 = 1200 − 25 head and tag − 11 renet's head of a packet and its message, and some room to spare: renet has no
// congestion control to ask, and cuts what is longer than 1200 into slices that are lost together.
const STATE_BYTES: usize = 1150;
