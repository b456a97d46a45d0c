//! Everyone who ever had a seat: the table of players and what the room keeps of each. Must never know packets
//! beyond the view they are encoded from.

use std::collections::{BTreeMap, VecDeque};

use netcode_proto::{ClientId, LinkStats};
use netcode_snapshot::{AdaptiveView, CodecChoice, NetId, Telemetry};
use netcode_wire::{Tick, Time};

use crate::input_ring::InputRing;
use crate::lag::Judge;
use crate::player::PlayerId;
use crate::scene::Shape;
use crate::suspicion::{Bucket, Suspicion, Suspicions};

/// Players remembered at most. Beyond it, those who left longest ago are forgotten; their sums stay counted.
pub(crate) const PLAYERS_REMEMBERED_MAX: usize = 4096;

/// Accounts of the future that are kept until the server gets there: half a second of lead at ten a second.
pub(crate) const TELEMETRY_MAX: usize = 8;

/// One tick's input as the ring holds it: the input and the circumstances it was given in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample<I> {
    pub(crate) input: I,
    /// Ticks between what the player saw and what the input is for.
    pub(crate) rewind_ticks: f32,
    /// How long before it was due the first datagram with it came, in 1/16 ticks.
    pub(crate) margin_sixteenths: i32,
}

/// What becomes of a player's seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeatState {
    /// Connected.
    Here(ClientId),
    /// Dropped; the seat is kept until then.
    Held { until: Time },
    /// Gone.
    Left,
}

/// A player and everything the room keeps of one.
#[derive(Debug)]
pub(crate) struct Player<I> {
    pub(crate) id: PlayerId,
    pub(crate) name: String,
    pub(crate) team: u8,
    pub(crate) number: usize,
    pub(crate) state: SeatState,
    pub(crate) ring: InputRing<Sample<I>>,
    pub(crate) previous: I,
    pub(crate) view: AdaptiveView,
    /// Its build is another one, and it was told how our columns lie.
    pub(crate) schema_described: bool,
    pub(crate) judge: Judge,
    /// What it was shown last, ascending.
    pub(crate) shown: Vec<NetId>,
    pub(crate) owns: Option<NetId>,
    /// That of the input that was simulated last.
    pub(crate) margin_sixteenths: i32,
    /// That of the latest one of those that came too late since the last snapshot.
    pub(crate) late_sixteenths: Option<i32>,
    pub(crate) margin_ticks: f64,
    pub(crate) newest_input: Option<Tick>,
    pub(crate) simulated_input: Option<Tick>,
    pub(crate) late_reported: u64,
    pub(crate) telemetry: VecDeque<Telemetry>,
    pub(crate) lens: Lens,
    pub(crate) totals: Totals,
    pub(crate) since: Time,
    /// What the room itself counts; what ring and judge count is theirs.
    pub(crate) offences: Suspicions,
    pub(crate) inputs_in: Bucket,
    pub(crate) messages_in: Bucket,
}

/// The client's view against the server's truth, for the live view.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lens {
    pub(crate) ghost: Option<Shape>,
    pub(crate) truth: Option<Shape>,
    pub(crate) error: f32,
}

/// One player's sums: past connections, and the present one's last reading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) past: Sums,
    pub(crate) now: Sums,
    pub(crate) link: LinkStats,
    /// Views of past connections that could not be true.
    pub(crate) views_refused: u64,
    /// Bytes (down, up) at the last reading of rates.
    pub(crate) mark: (u64, u64),
    /// Bytes a second (down, up).
    pub(crate) rate: (f64, f64),
}

/// What is summed over connections.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) bytes_down: u64,
    pub(crate) bytes_up: u64,
    pub(crate) packets_down: u64,
    pub(crate) packets_up: u64,
    pub(crate) packets_lost: u64,
    pub(crate) mispredictions: u64,
    pub(crate) connected_us: u64,
}

impl Sums {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            bytes_down: self.bytes_down + other.bytes_down,
            bytes_up: self.bytes_up + other.bytes_up,
            packets_down: self.packets_down + other.packets_down,
            packets_up: self.packets_up + other.packets_up,
            packets_lost: self.packets_lost + other.packets_lost,
            mispredictions: self.mispredictions + other.mispredictions,
            connected_us: self.connected_us + other.connected_us,
        }
    }
}

impl Totals {
    /// Takes a reading of the present connection.
    pub(crate) fn read(&mut self, link: LinkStats, connected_us: u64) {
        self.link = link;
        self.now.bytes_down = link.bytes_sent;
        self.now.bytes_up = link.bytes_received;
        self.now.packets_down = link.packets_sent;
        self.now.packets_up = link.packets_received;
        self.now.packets_lost = link.packets_lost;
        self.now.connected_us = connected_us;
    }

    /// The present connection is over.
    pub(crate) fn close(&mut self) {
        self.past = self.sum();
        self.now = Sums::default();
    }

    /// Everything.
    pub(crate) fn sum(&self) -> Sums {
        self.past.plus(self.now)
    }

    /// Turns what was moved since the last call into rates.
    pub(crate) fn mark_rates(&mut self, seconds: f64) {
        let sum = self.sum();
        let down = sum.bytes_down.saturating_sub(self.mark.0);
        let up = sum.bytes_up.saturating_sub(self.mark.1);
        self.rate = (down as f64 / seconds, up as f64 / seconds);
        self.mark = (sum.bytes_down, sum.bytes_up);
    }
}

impl<I: Clone + Default> Player<I> {
    pub(crate) fn new(id: PlayerId, name: String, team: u8, number: usize) -> Self {
        Self {
            id,
            name,
            team,
            number,
            state: SeatState::Left,
            ring: InputRing::new(),
            previous: I::default(),
            view: AdaptiveView::new(CodecChoice::Shared),
            schema_described: false,
            judge: Judge::new(),
            shown: Vec::new(),
            owns: None,
            margin_sixteenths: 0,
            late_sixteenths: None,
            margin_ticks: 0.0,
            newest_input: None,
            simulated_input: None,
            late_reported: 0,
            telemetry: VecDeque::new(),
            lens: Lens::default(),
            totals: Totals::default(),
            since: Time::ZERO,
            offences: Suspicions::default(),
            inputs_in: Bucket::full(0),
            messages_in: Bucket::full(0),
        }
    }

    /// The player's connection, while there is one.
    pub(crate) fn client(&self) -> Option<ClientId> {
        match self.state {
            SeatState::Here(client) => Some(client),
            SeatState::Held { .. } | SeatState::Left => None,
        }
    }

    /// A new connection takes the seat: nothing of the last one's state holds.
    pub(crate) fn connect(&mut self, client: ClientId, now: Time) {
        self.state = SeatState::Here(client);
        self.since = now;
        self.ring.reset();
        self.previous = I::default();
        self.view = AdaptiveView::new(CodecChoice::Shared);
        self.schema_described = false;
        self.totals.views_refused += self.judge.refused();
        self.judge = Judge::new();
        self.shown.clear();
        self.owns = None;
        self.newest_input = None;
        self.simulated_input = None;
        self.margin_sixteenths = 0;
        self.late_sixteenths = None;
        self.margin_ticks = 0.0;
        self.telemetry.clear();
        self.lens = Lens::default();
    }

    /// Views that the client cannot have had, ever.
    pub(crate) fn views_refused(&self) -> u64 {
        self.totals.views_refused + self.judge.refused()
    }

    /// What it did that honest clients do not, ever.
    pub(crate) fn suspicions(&self) -> Suspicions {
        let mut all = self.offences;
        all.set(Suspicion::EarlyInput, self.ring.too_early());
        all.set(Suspicion::LateInput, self.ring.late());
        all.set(Suspicion::ViewRefused, self.views_refused());
        all
    }

    /// The connection is gone; the seat is in `state` now.
    pub(crate) fn disconnect(&mut self, state: SeatState) {
        self.state = state;
        self.totals.close();
        self.ring.reset();
        self.previous = I::default();
        self.telemetry.clear();
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Players<I> {
    by_id: BTreeMap<PlayerId, Player<I>>,
    /// Who is connected, by the slot of the connection.
    by_slot: Vec<Option<(ClientId, PlayerId)>>,
    connected: usize,
    left: VecDeque<PlayerId>,
    forgotten: Sums,
    forgotten_inputs: (u64, u64),
    forgotten_views: u64,
    numbered: usize,
}

impl<I: Clone + Default> Players<I> {
    pub(crate) fn new() -> Self {
        Self {
            by_id: BTreeMap::new(),
            by_slot: Vec::new(),
            connected: 0,
            left: VecDeque::new(),
            forgotten: Sums::default(),
            forgotten_inputs: (0, 0),
            forgotten_views: 0,
            numbered: 0,
        }
    }

    /// The player of this id, made when unknown.
    pub(crate) fn seat(&mut self, id: PlayerId, name: &str, team: u8) -> &mut Player<I> {
        self.forget_beyond_limit();
        let numbered = &mut self.numbered;
        let player = self.by_id.entry(id).or_insert_with(|| {
            *numbered += 1;
            Player::new(id, String::new(), team, *numbered - 1)
        });
        name.clone_into(&mut player.name);
        player.team = team;
        player
    }

    /// Notes which connection is whose.
    pub(crate) fn link(&mut self, client: ClientId, id: PlayerId) {
        if self.by_slot.len() <= client.index() {
            self.by_slot.resize(client.index() + 1, None);
        }
        let before = self.by_slot[client.index()].replace((client, id));
        self.connected += usize::from(before.is_none());
    }

    /// Forgets a connection.
    pub(crate) fn unlink(&mut self, client: ClientId) -> Option<PlayerId> {
        let id = self.of_client(client)?;
        self.by_slot[client.index()] = None;
        self.connected -= 1;
        Some(id)
    }

    /// Notes that a player is gone for good.
    pub(crate) fn note_left(&mut self, id: PlayerId) {
        self.left.push_back(id);
    }

    pub(crate) fn get_mut(&mut self, id: PlayerId) -> Option<&mut Player<I>> {
        self.by_id.get_mut(&id)
    }

    pub(crate) fn of_client(&self, client: ClientId) -> Option<PlayerId> {
        let held = self.by_slot.get(client.index()).copied().flatten();
        held.filter(|(held, _)| *held == client).map(|(_, id)| id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Player<I>> {
        self.by_id.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Player<I>> {
        self.by_id.values_mut()
    }

    /// Players with a connection.
    pub(crate) fn connected(&self) -> usize {
        self.connected
    }

    /// Players with a connection whose snapshots the dense codec writes.
    pub(crate) fn dense(&self) -> usize {
        self.iter().filter(|player| player.client().is_some() && player.view.is_dense()).count()
    }

    /// Sums over everyone, the forgotten included.
    pub(crate) fn sums(&self) -> Sums {
        self.iter().fold(self.forgotten, |sum, player| sum.plus(player.totals.sum()))
    }

    /// Late and missed inputs of everyone, the forgotten included.
    pub(crate) fn inputs(&self) -> (u64, u64) {
        self.iter().fold(self.forgotten_inputs, |(late, missed), player| {
            (late + player.ring.late(), missed + player.ring.missed())
        })
    }

    /// Views that could not be true, of everyone, the forgotten included.
    pub(crate) fn views_refused(&self) -> u64 {
        self.iter().fold(self.forgotten_views, |sum, player| sum + player.views_refused())
    }

    fn forget_beyond_limit(&mut self) {
        while self.by_id.len() >= PLAYERS_REMEMBERED_MAX {
            let Some(id) = self.left.pop_front() else { return };
            // Someone who left and came back is listed, but not gone.
            if self.by_id.get(&id).is_none_or(|player| player.state != SeatState::Left) {
                continue;
            }
            if let Some(player) = self.by_id.remove(&id) {
                self.forgotten = self.forgotten.plus(player.totals.sum());
                self.forgotten_inputs.0 += player.ring.late();
                self.forgotten_inputs.1 += player.ring.missed();
                self.forgotten_views += player.views_refused();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_bounded_and_its_sums_are_not_lost() {
        let mut players = Players::<u8>::new();
        for id in 0..PLAYERS_REMEMBERED_MAX as u64 * 2 {
            let player = players.seat(PlayerId(id), "x", 0);
            player.totals.past.bytes_down = 1;
            player.state = SeatState::Left;
            players.note_left(PlayerId(id));
        }
        assert!(players.iter().count() <= PLAYERS_REMEMBERED_MAX);
        assert_eq!(players.sums().bytes_down, PLAYERS_REMEMBERED_MAX as u64 * 2);
    }
}
