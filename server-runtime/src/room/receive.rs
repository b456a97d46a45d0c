//! Everything that comes in: sessions into seats; what they say is for `hear`. Owns admission and the seats' fate; must
//! never know a message.

use std::net::SocketAddr;

use netcode_proto::{ClientId, DisconnectReason, ServerEvent, ServerSession};
use netcode_snapshot::{Control, inputs_hash};
use netcode_token::Seat;
use netcode_wire::{Ecn, Time};

use super::players::SeatState;
use super::{Room, codes};
use crate::builder::ServerGame;
use crate::game_match::Phase;
use crate::player::{CurrentTick, PlayerDropped, PlayerId, PlayerJoined, PlayerLeft, PlayerResumed};
use crate::record::Cue;

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
        // Asked at once, whose state is at hand and when it came is known.
        while let Some(client) = self.net.poll_ready() {
            self.hear(now, client);
        }
    }

    /// Sessions that came and went, held seats that ran out, and whatever messages are left.
    pub(super) fn receive(&mut self, now: Time) {
        while let Some((at, client)) = self.net.next_heard() {
            self.hear(at, client);
        }
        self.take_events(now);
        for client in std::mem::take(&mut self.unheard) {
            self.hear(now, client);
        }
        self.release_held_seats(now);
        self.settle_waiting_room(now);
        self.settle_custody(now);
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
    pub(super) fn admit(&mut self, now: Time, client: ClientId, seat: Seat) {
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
        if let Some(code) = self.bars.code(PlayerId(seat.player), now) {
            return self.refuse(now, client, code);
        }
        if !self.is_expected(&seat) {
            return self.refuse(now, client, codes::NOT_YOUR_MATCH);
        }
        if self.has_state(now, client, &seat) {
            self.sit_down(now, client, &seat);
        }
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
        let id = PlayerId(seat.player);
        self.despawn_if_departed(id);
        self.awaited.remove(&id);
        self.custody.iter_mut().for_each(|custody| custody.note_seated(id));
        let player = self.players.seat(id, &seat.name, seat.team);
        let before = player.state;
        player.connect(client, now);
        let number = player.number;
        self.players.link(client, id);
        // What it has said before it had a seat.
        self.unheard.push(client);
        self.send_control(now, client, &self.welcome(id));
        match before {
            SeatState::Left => {
                let (name, team) = (seat.name.clone(), seat.team);
                self.note(&Cue::Joined { player: id.0, name: name.as_str().into(), team, seat: number });
                self.world.write_message(PlayerJoined { player: id, name, team, seat: number });
            }
            SeatState::Held { .. } | SeatState::Here(_) => {
                self.note(&Cue::Resumed(id.0));
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
            inputs_hash: inputs_hash::<G::Input>(),
            player: player.0,
        }
    }

    pub(super) fn refuse(&mut self, now: Time, client: ClientId, code: u8) {
        self.counts.refused += 1;
        self.say_goodbye(now, client, code);
    }

    /// A connection is gone: by choice the seat is free at once, otherwise it is held.
    fn lose(&mut self, now: Time, client: ClientId, reason: DisconnectReason) {
        self.early.retain(|early| early.client != client);
        self.custody.iter_mut().for_each(|custody| custody.note_lost(client));
        let Some(id) = self.players.unlink(client) else { return };
        let (until, barred) = (self.held_until(now), self.bars.code(id, now).is_some());
        let Some(player) = self.players.get_mut(id).filter(|player| player.client() == Some(client)) else {
            return;
        };
        let by_choice = matches!(reason, DisconnectReason::ByPeer);
        let for_good = by_choice || barred;
        player.disconnect(if for_good { SeatState::Left } else { SeatState::Held { until } });
        if for_good {
            return self.depart(id, by_choice);
        }
        if !matches!(reason, DisconnectReason::Superseded | DisconnectReason::ByUs(_)) {
            self.counts.disconnects += 1;
        }
        self.custody.iter_mut().for_each(|custody| custody.note_dropped(id));
        self.note(&Cue::Dropped(id.0));
        self.world.write_message(PlayerDropped { player: id });
    }

    /// The player's connections that wait for a seat; they wait no more.
    pub(super) fn waiting_clients(&mut self, player: PlayerId) -> Vec<ClientId> {
        let of_player = |early: &mut Early| early.seat.player == player.0;
        let mut clients: Vec<ClientId> =
            self.early.extract_if(.., of_player).map(|early| early.client).collect();
        clients.extend(self.custody.iter_mut().flat_map(|custody| custody.drop_waiting(player)));
        clients
    }

    /// The player is gone for good; what is the player's goes at the end of the tick.
    pub(super) fn depart(&mut self, id: PlayerId, by_choice: bool) {
        self.players.note_left(id);
        self.vacate(id);
        self.custody.iter_mut().for_each(|custody| custody.note_left(id));
        self.note(&Cue::Left { player: id.0, by_choice });
        self.world.write_message(PlayerLeft { player: id, by_choice });
        self.departed.push(id);
    }

    /// Until when a seat is held whose player is not there from `now` on.
    pub(super) fn held_until(&self, now: Time) -> Time {
        Time::from_micros(now.as_micros() + self.seat_hold_us)
    }

    fn release_held_seats(&mut self, now: Time) {
        while let Some(id) = self.awaited.iter().find(|(_, until)| **until <= now).map(|(id, _)| *id) {
            self.awaited.remove(&id);
            self.vacate(id);
        }
        for player in self.players.iter_mut() {
            if matches!(player.state, SeatState::Held { until } if until <= now) {
                player.state = SeatState::Left;
                self.released.push(player.id);
            }
        }
        while let Some(id) = self.released.pop() {
            self.depart(id, false);
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

    /// The phase the match is in.
    pub fn phase(&mut self) -> Phase {
        self.current_match().phase
    }

    /// The tick to be shown to systems.
    pub(super) fn publish_tick(&mut self) {
        self.world.insert_resource(CurrentTick(self.tick));
    }
}
