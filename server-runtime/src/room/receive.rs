//! Everything that comes in: sessions into seats, inputs into rings, messages into events. Nothing a client
//! sends can do more than fill its own ring, its own telemetry and its own events.

use std::net::SocketAddr;

use netcode_proto::{Bytes, ChannelId, ClientId, DisconnectReason, ServerEvent, ServerSession, channels};
use netcode_snapshot::{Control, InputPacket, Telemetry};
use netcode_token::Seat;
use netcode_wire::{BitReader, Ecn, Tick, Time, WireError};

use super::players::{Sample, SeatState, TELEMETRY_MAX};
use super::{Room, codes, inbound};
use crate::builder::ServerGame;
use crate::game_match::Phase;
use crate::input_ring::Arrival;
use crate::player::{CurrentTick, PlayerDropped, PlayerId, PlayerJoined, PlayerLeft, PlayerResumed};

/// Messages taken from one client between two ticks; the rest waits in the link, which pushes back.
const MESSAGES_PER_TICK_MAX: usize = 256;

/// Connections that may wait for the news of their match, and how long.
pub(super) const WAITING_ROOM_MAX: usize = 64;
const WAITING_ROOM_US: u64 = 5_000_000;

/// A verified connection whose match this server has not heard of yet.
#[derive(Debug)]
pub(super) struct Early {
    client: ClientId,
    seat: Seat,
    until: Time,
}

impl<G: ServerGame> Room<G> {
    /// Takes a datagram that arrived at `now`. Call it with the moment of arrival: round-trip times and input
    /// margins are measured by it.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &mut [u8]) {
        self.handle_arrival(now, from, Ecn::NotCapable, datagram);
    }

    /// [`Room::handle_datagram`] for who knows what routers marked in its IP header.
    pub fn handle_arrival(&mut self, now: Time, from: SocketAddr, ecn: Ecn, datagram: &mut [u8]) {
        self.net.handle_arrival(now, from, ecn, datagram);
        if let Some(client) = self.players.client_at(&from) {
            self.receive_from(now, client);
        }
    }

    /// Sessions that came and went, held seats that ran out, and whatever messages are left.
    pub(super) fn receive(&mut self, now: Time) {
        self.take_events(now);
        let clients: Vec<ClientId> = self.players.iter().filter_map(super::players::Player::client).collect();
        for client in clients {
            self.receive_from(now, client);
        }
        self.release_held_seats(now);
        self.settle_waiting_room(now);
    }

    /// Sessions that came and went.
    pub(super) fn take_events(&mut self, now: Time) {
        while let Some(event) = self.net.poll_event() {
            match event {
                ServerEvent::Connected { client, player, user_data } => {
                    match Seat::decode(&user_data).ok().filter(|seat| seat.player == player) {
                        Some(seat) => self.admit(now, client, seat),
                        None => self.refuse(now, client, codes::BAD_SEAT),
                    }
                }
                ServerEvent::Disconnected { client, reason } => self.lose(now, client, reason),
            }
        }
    }

    /// Seats a verified connection, lets it wait, or sends it away.
    fn admit(&mut self, now: Time, client: ClientId, seat: Seat) {
        if self.draining || self.phase() >= Phase::Ended {
            return self.refuse(now, client, codes::NOT_OPEN);
        }
        if self.phase() == Phase::Idle {
            // The matchmaker told the player before Agones told us: a matter of milliseconds.
            if self.early.len() >= WAITING_ROOM_MAX {
                return self.refuse(now, client, codes::NOT_OPEN);
            }
            let until = Time::from_micros(now.as_micros() + WAITING_ROOM_US);
            return self.early.push(Early { client, seat, until });
        }
        if !self.is_expected(&seat) {
            return self.refuse(now, client, codes::NOT_YOUR_MATCH);
        }
        self.sit_down(now, client, &seat);
    }

    /// Whether the seat is for this match. Without a roster, anyone with a valid token is.
    fn is_expected(&mut self, seat: &Seat) -> bool {
        let current = self.current_match();
        if current.roster.is_empty() {
            return true;
        }
        seat.match_id == current.id
            && current.roster.iter().any(|entry| entry.player == seat.player)
            && !self.vacated.contains(&PlayerId(seat.player))
    }

    fn sit_down(&mut self, now: Time, client: ClientId, seat: &Seat) {
        let address = self.net.address(client);
        let id = PlayerId(seat.player);
        if self.departed.contains(&id) {
            // Left and back within one tick: what was theirs goes first, or the new things would go with it.
            self.despawn_departed();
        }
        let player = self.players.seat(id, &seat.name, seat.team);
        let before = player.state;
        player.connect(client, now);
        let number = player.number;
        self.players.link(client, id, address);
        self.send_control(now, client, &self.welcome(id));
        match before {
            SeatState::Left => {
                let (name, team) = (seat.name.clone(), seat.team);
                self.world.write_message(PlayerJoined { player: id, name, team, seat: number });
            }
            SeatState::Held { .. } | SeatState::Here(_) => {
                self.world.write_message(PlayerResumed { player: id });
            }
        }
    }

    fn welcome(&self, player: PlayerId) -> Control {
        Control::Welcome {
            tick_hz: self.tick_hz,
            snapshot_every: 1,
            tick: self.tick,
            schema_hash: self.schema.hash(),
            messages_hash: self.messages_hash,
            player: player.0,
        }
    }

    pub(super) fn refuse(&mut self, now: Time, client: ClientId, code: u8) {
        self.counts.refused += 1;
        self.net.disconnect(now, client, code);
    }

    /// A connection is gone: by choice the seat is free at once, otherwise it is held.
    fn lose(&mut self, now: Time, client: ClientId, reason: DisconnectReason) {
        self.early.retain(|early| early.client != client);
        let Some(id) = self.players.unlink(client) else { return };
        let seat_hold_us = self.seat_hold_us;
        let Some(player) = self.players.get_mut(id).filter(|player| player.client() == Some(client)) else {
            return;
        };
        let by_choice = matches!(reason, DisconnectReason::ByPeer);
        let until = Time::from_micros(now.as_micros() + seat_hold_us);
        player.disconnect(if by_choice { SeatState::Left } else { SeatState::Held { until } });
        if by_choice {
            self.players.note_left(id);
            self.vacate(id);
            self.world.write_message(PlayerLeft { player: id, by_choice });
            self.departed.push(id);
            return;
        }
        if !matches!(reason, DisconnectReason::Superseded | DisconnectReason::ByUs(_)) {
            self.counts.disconnects += 1;
        }
        self.world.write_message(PlayerDropped { player: id });
    }

    fn release_held_seats(&mut self, now: Time) {
        for player in self.players.iter_mut() {
            if matches!(player.state, SeatState::Held { until } if until <= now) {
                player.state = SeatState::Left;
                self.departed.push(player.id);
                self.released.push(player.id);
            }
        }
        while let Some(id) = self.released.pop() {
            self.players.note_left(id);
            self.vacate(id);
            self.world.write_message(PlayerLeft { player: id, by_choice: false });
        }
    }

    fn settle_waiting_room(&mut self, now: Time) {
        if self.early.is_empty() {
            return;
        }
        let open = self.phase() != Phase::Idle;
        for early in std::mem::take(&mut self.early) {
            if open {
                self.admit(now, early.client, early.seat);
            } else if early.until <= now {
                self.refuse(now, early.client, codes::NOT_OPEN);
            } else {
                self.early.push(early);
            }
        }
    }

    /// Takes a client's messages, up to the limit.
    fn receive_from(&mut self, now: Time, client: ClientId) {
        let Some(id) = self.players.of_client(client) else { return };
        for _ in 0..MESSAGES_PER_TICK_MAX {
            let Some((channel, bytes)) = self.net.poll_message(client) else { return };
            if self.take_message(now, id, channel, &bytes).is_err() {
                self.counts.malformed += 1;
                self.net.disconnect(now, client, codes::MALFORMED);
                return;
            }
        }
    }

    fn take_message(
        &mut self,
        now: Time,
        id: PlayerId,
        channel: ChannelId,
        bytes: &Bytes,
    ) -> Result<(), WireError> {
        match channel {
            channels::STATE => self.take_inputs(now, id, bytes),
            channels::CONTROL => self.take_telemetry(now, id, bytes),
            _ => inbound::deliver(&self.inbound, &mut self.world, id, channel, bytes),
        }
    }

    fn take_inputs(&mut self, now: Time, id: PlayerId, bytes: &Bytes) -> Result<(), WireError> {
        let packet = InputPacket::<G::Input>::decode(&mut BitReader::new(bytes))?;
        let upcoming = self.tick.next();
        let margin = self.margin_sixteenths(now, packet.newest);
        let Some(player) = self.players.get_mut(id) else { return Ok(()) };
        if let Some(ack) = packet.ack {
            player.view.ack(ack);
        }
        // The view runs in step with the inputs, so one distance holds for all of the packet's.
        let seen = f64::from(packet.view.tick.0) + f64::from(packet.view.fraction) / 256.0;
        let rewind_ticks = (f64::from(packet.newest.0) - seen) as f32;
        for (tick, input) in packet.ticks() {
            let sample = Sample { input: input.clone(), rewind_ticks };
            let arrival = player.ring.insert(tick, sample, upcoming);
            if arrival == Arrival::TooEarly {
                break;
            }
        }
        if player.newest_input.is_none_or(|newest| packet.newest.since(newest) > 0) {
            player.newest_input = Some(packet.newest);
            player.margin_sixteenths = margin;
            // An average over about a second at 60 Hz.
            player.margin_ticks += (f64::from(margin) / 16.0 - player.margin_ticks) / 32.0;
        }
        Ok(())
    }

    /// How long before its tick is due something arrived, in 1/16 ticks.
    fn margin_sixteenths(&self, now: Time, tick: Tick) -> i32 {
        let period_us = 1_000_000.0 / f64::from(self.tick_hz);
        let since_tick_us = now.as_micros() as f64 - self.tick_at.as_micros() as f64;
        let ticks = f64::from(tick.since(self.tick)) - since_tick_us / period_us;
        // Saturates: a `f64` out of range becomes the range's end.
        (ticks * 16.0).round() as i32
    }

    fn take_telemetry(&mut self, now: Time, id: PlayerId, bytes: &Bytes) -> Result<(), WireError> {
        let telemetry = Telemetry::decode(&mut BitReader::new(bytes))?;
        let Some(player) = self.players.get_mut(id) else { return Ok(()) };
        let heard = Control::Heard { sent_us: telemetry.sent_us, server_us: now.as_micros() };
        player.totals.now.mispredictions = u64::from(telemetry.mispredictions);
        if player.telemetry.len() >= TELEMETRY_MAX {
            player.telemetry.pop_front();
        }
        player.telemetry.push_back(telemetry);
        let client = player.client();
        if let Some(client) = client {
            self.send_control(now, client, &heard);
        }
        Ok(())
    }

    /// The phase the match is in.
    pub fn phase(&mut self) -> Phase {
        self.current_match().phase
    }

    /// The tick to be shown to systems.
    pub(super) fn publish_tick(&mut self) {
        self.world.insert_resource(CurrentTick(self.tick));
    }
}
