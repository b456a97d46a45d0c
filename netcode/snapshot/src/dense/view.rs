//! The server's half: one client's confirmed world, what it must be told, and what of it fits. Must never know how
//! snapshots travel, nor why an entity is relevant.

mod groups;
mod handover;

use std::cmp::Reverse;
use std::num::NonZeroU32;

use netcode_wire::{BitWriter, Tick};

use self::groups::Groups;
use super::flight::Flight;
use super::mix::Model;
use super::range::Encoder;
use super::scribe::{News, Scribe};
use super::symbol;
use super::world::{World, components};
use super::{EPOCH_BITS, place};
use crate::far::Class;
use crate::record::Action;
use crate::{
    Ack, ENTITIES_MAX, Fate, Feedback, Frame, History, NetId, RECEIVER_TICKS, Schema, SnapshotHeader,
    SnapshotStats,
};

/// What the server knows of one client, and writes its snapshots from: the dense counterpart of
/// [`ClientView`](crate::ClientView).
#[derive(Debug)]
pub struct DenseView {
    model: Model,
    world: World,
    epoch: u8,
    /// The first snapshot of the epoch.
    epoch_first: Option<Tick>,
    flights: Vec<Flight>,
    /// Flights that have come to an end: their memory serves the next ones.
    spare: Vec<Flight>,
    newest_sent: Option<Tick>,
    newest_ack: Option<Tick>,
    /// Who the client may still show from before the epoch, ascending: what does not come into view again is to be taken
    /// away, although the confirmed world lacks it.
    ghosts: Vec<NetId>,
    entities_max: usize,
    /// Mean bits of a change: what is chosen by before its exact size is known.
    change_bits: f32,
    visible: Vec<(NetId, f32)>,
    /// Who waits, and for how much: ascending.
    waits: Vec<(NetId, f32)>,
    candidates: Vec<Candidate>,
    order: Vec<usize>,
    truth: Vec<u32>,
    /// Who was told of by snapshots on their way; for counting.
    told: Vec<NetId>,
    groups: Groups,
    encoder: Encoder,
}

/// An entity that the client does not surely hold as it is.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: NetId,
    action: Action,
    mask: u64,
    class: Class,
    columns: (usize, usize),
    is_active: bool,
    score: f32,
    /// With whom it appears, while the client is not known to show it.
    group: Option<NonZeroU32>,
    is_chosen: bool,
}

impl DenseView {
    /// The view of a client that holds nothing yet.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        Self::with_limit(schema, ENTITIES_MAX)
    }

    /// As `new`, for a client that takes at most `entities_max` entities.
    #[must_use]
    pub fn with_limit(schema: &Schema, entities_max: usize) -> Self {
        Self {
            model: Model::new(schema.dense_columns()),
            world: World::default(),
            epoch: 0,
            epoch_first: None,
            flights: std::iter::repeat_with(Flight::default).take(RECEIVER_TICKS).collect(),
            spare: Vec::new(),
            newest_sent: None,
            newest_ack: None,
            ghosts: Vec::new(),
            entities_max,
            change_bits: CHANGE_BITS_START,
            visible: Vec::new(),
            waits: Vec::new(),
            candidates: Vec::new(),
            order: Vec::new(),
            truth: Vec::new(),
            told: Vec::new(),
            groups: Groups::default(),
            encoder: Encoder::new(),
        }
    }

    /// Writes the snapshot of the newest frame in `history`, in at most `budget_bits` (but never less than a header
    /// and an empty body: under 150 bits). The arguments are those of [`ClientView::encode`](crate::ClientView::encode);
    /// the snapshot must end its message.
    ///
    /// # Panics
    /// When `history` is empty, or the frame is not newer than the last one sent.
    pub fn encode(
        &mut self,
        schema: &Schema,
        history: &History,
        relevant: &[(NetId, f32)],
        feedback: Feedback,
        budget_bits: usize,
        out: &mut BitWriter,
    ) -> SnapshotStats {
        let frame = history.newest().expect("a frame is extracted before it is sent");
        let tick = frame.tick();
        assert!(self.newest_sent.is_none_or(|newest| newest < tick), "a frame is sent once");
        if self.world.newest().is_some_and(|newest| tick.since(newest) >= RECEIVER_TICKS as i32) {
            self.begin_epoch();
        }
        self.epoch_first.get_or_insert(tick);
        self.newest_sent = Some(tick);
        let refused = self.gather(frame, relevant);

        let Feedback { input_tick, input_margin, late_inputs } = feedback;
        let baseline = self.world.newest();
        let header = SnapshotHeader {
            tick,
            baseline,
            older: None,
            complete: true,
            dense: true,
            input_tick,
            input_margin,
            late_inputs,
            missing: 0,
            part: None,
        };
        let start = out.bit_len();
        self.give_up(tick);
        self.begin_groups(frame, tick);
        let mut room = self.choose(schema, budget_bits, refused == 0);
        let missing = loop {
            let complete = refused == 0 && self.candidates.iter().all(|candidate| candidate.is_chosen);
            out.truncate(start);
            let missing = if complete { 0 } else { refused + self.untold() };
            SnapshotHeader { complete, missing: missing as u32, ..header }.encode(out);
            out.write_bits(u64::from(self.epoch), EPOCH_BITS);
            let body = out.bit_len();
            self.write(schema, tick, complete, out);
            let chosen = self.candidates.iter().filter(|candidate| candidate.is_chosen).count();
            if out.bit_len() - start <= budget_bits || chosen == 0 {
                self.learn(out.bit_len() - body, chosen);
                break missing;
            }
            // Longer than expected: by as much fewer, and one at least.
            let taken = (out.bit_len() - body).max(1);
            let left = budget_bits.saturating_sub(body - start);
            room = (room.min(chosen) * left / taken).min(chosen - 1);
            self.keep(room);
        };
        let torn = self.end_groups(tick);
        SnapshotStats { missing, refused, torn, ..self.note(out.bit_len() - start) }
    }

    /// How many in view the client was never told of, and is not now. (What is told of again counts as told.)
    fn untold(&mut self) -> usize {
        let is_waiting = |it: &&Candidate| !it.is_chosen && it.action == Action::Whole;
        if !self.candidates.iter().any(|it| is_waiting(&it)) {
            return 0;
        }
        let (flights, epoch) = (&self.flights, self.epoch);
        let newer = |flight: &&Flight| flight.epoch == epoch && Some(flight.tick) > self.world.newest();
        self.told.clear();
        self.told.extend(flights.iter().filter(newer).flat_map(|it| &it.mentions).map(|mention| mention.id));
        self.told.sort_unstable();
        let waiting = self.candidates.iter().filter(is_waiting);
        waiting.filter(|it| self.told.binary_search(&it.id).is_err()).count()
    }

    /// Takes what the client says it decoded. What was never sent, or is older than what is known, is ignored.
    pub fn ack(&mut self, ack: Ack) {
        let sent = self.flights[place(ack.newest)].tick == ack.newest
            && self.newest_sent.is_some_and(|sent| sent >= ack.newest);
        if !sent || self.newest_ack.is_some_and(|newest| newest >= ack.newest) {
            return;
        }
        self.newest_ack = Some(ack.newest);
        let Some(first) = self.epoch_first else { return };
        let first = self.world.newest().map_or(first, Tick::next);
        // A snapshot of this epoch of which neither side can tell the other's knowledge: both begin anew.
        let oldest = self.newest_sent.map_or(first, |newest| newest.offset(1 - RECEIVER_TICKS as i32));
        let told = (first.0..=ack.newest.0).rev().map(Tick).take_while(|tick| decoded(&ack, *tick).is_some());
        let known_from = told.last().unwrap_or(ack.newest);
        let is_ours = |flight: &Flight, tick: Tick| flight.tick == tick && flight.epoch == self.epoch;
        let unknown = (first.max(oldest).0..known_from.0).map(Tick);
        let (epoch, flights) = (self.epoch, &self.flights);
        if first < oldest || unknown.into_iter().any(|tick| is_ours(&flights[place(tick)], tick)) {
            // Only when the client may have decoded something of this epoch.
            if first <= ack.newest {
                self.begin_epoch();
            }
            return;
        }
        for tick in (known_from.max(first).0..=ack.newest.0).map(Tick) {
            let flight = &mut self.flights[place(tick)];
            if flight.tick != tick || flight.epoch != epoch {
                continue;
            }
            if decoded(&ack, tick) == Some(true) {
                if flight.complete {
                    // The client shows what is in view, and nothing of old.
                    self.ghosts.clear();
                } else if !self.ghosts.is_empty() {
                    let told = |ghost: &NetId| flight.mentions.iter().any(|mention| mention.id == *ghost);
                    self.ghosts.retain(|ghost| !told(ghost));
                }
                self.world.apply(flight);
                flight.symbols.iter().for_each(|symbol| symbol::train(&mut self.model, symbol));
            }
            self.spare.extend(std::mem::take(flight).into_spare());
        }
    }

    /// The newest snapshot that the client is known to hold.
    #[must_use]
    pub fn newest_ack(&self) -> Option<Tick> {
        self.newest_ack
    }

    /// Bytes held for this client: model, confirmed world, snapshots on their way.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let flights = self.flights.iter().chain(&self.spare);
        self.model.bytes() + self.world.bytes() + flights.map(Flight::bytes).sum::<usize>()
    }

    /// Lists what the client does not surely hold as it is, ascending; gives how many were refused.
    fn gather(&mut self, frame: &Frame, relevant: &[(NetId, f32)]) -> usize {
        self.visible.clear();
        self.visible.extend_from_slice(relevant);
        if !self.visible.is_sorted_by_key(|(id, _)| id.row()) {
            // Near before far, where it is listed as both.
            self.visible.sort_unstable_by_key(|(id, _)| (id.row(), id.is_far()));
        }
        self.visible.dedup_by_key(|(id, _)| id.row());
        self.candidates.clear();
        self.truth.clear();
        let mut room = self.entities_max.saturating_sub(self.world.tracks().len());
        let mut refused = 0;
        let mut tracks = self.world.tracks().iter().peekable();
        let gone = |track: &super::world::Track, world: &World| Candidate {
            id: track.id,
            action: Action::Gone,
            mask: 0,
            class: Class::Near,
            columns: (0, 0),
            is_active: world.is_active(track),
            score: 8.0,
            group: None,
            is_chosen: true,
        };
        for (listed, priority) in &self.visible {
            let (id, class) = (listed.row(), Class::of(listed.is_far()));
            let Some(row) = frame.row_of(id) else { continue };
            let entity = frame.entity_as(&frame.rows()[row], class);
            while let Some(track) = tracks.next_if(|track| track.id < id) {
                self.candidates.push(gone(track, &self.world));
            }
            let first = self.truth.len();
            entity.parts().for_each(|(_, columns)| self.truth.extend_from_slice(columns));
            let (mask, columns) = (entity.mask(), (first, self.truth.len()));
            let (action, weight, is_active) = match tracks.next_if(|track| track.id == id) {
                Some(track) => {
                    if track.mask == mask && self.world.past(track, 0).1 == &self.truth[first..] {
                        self.truth.truncate(first);
                        continue;
                    }
                    (Action::Change, 1.0, self.world.is_active(track))
                }
                None if room == 0 => {
                    self.truth.truncate(first);
                    refused += 1;
                    continue;
                }
                None => {
                    room -= 1;
                    (Action::Whole, 4.0, false)
                }
            };
            let score = weight * sane(*priority);
            self.candidates.push(Candidate {
                id,
                action,
                mask,
                class,
                columns,
                is_active,
                score,
                group: frame.rows()[row].group,
                is_chosen: true,
            });
        }
        self.candidates.extend(tracks.map(|track| gone(track, &self.world)));
        self.gather_ghosts(frame);
        self.wait();
        refused
    }

    /// Adds what each candidate has waited for.
    fn wait(&mut self) {
        let mut waits = self.waits.iter().peekable();
        for candidate in &mut self.candidates {
            while waits.next_if(|(id, _)| *id < candidate.id).is_some() {}
            if let Some((_, waited)) = waits.next_if(|(id, _)| *id == candidate.id) {
                candidate.score += waited;
            }
        }
    }

    /// Marks what is expected to fit; gives how many that are.
    fn choose(&mut self, schema: &Schema, budget_bits: usize, may_be_complete: bool) -> usize {
        let bits = |candidate: &Candidate| match candidate.action {
            Action::Gone if candidate.is_active => 4.0,
            Action::Gone => 16.0,
            Action::Change if candidate.is_active => self.change_bits,
            Action::Change => self.change_bits + 12.0,
            Action::Whole => {
                let fields = components(candidate.mask).flat_map(|component| schema.fields(component));
                12.0 + schema.len() as f32 + fields.map(|field| f32::from(field.bits)).sum::<f32>()
            }
        };
        let left = budget_bits as f32 - HEAD_BITS;
        let all = self.candidates.iter().map(bits).sum::<f32>();
        if all <= left || may_be_complete && all <= left * 1.2 {
            return self.candidates.len();
        }
        order(&self.candidates, &mut self.order);
        let (mut left, mut room) = (left, 0);
        for at in &self.order {
            left -= bits(&self.candidates[*at]);
            if left < 0.0 {
                break;
            }
            room += 1;
        }
        self.keep(room);
        room
    }

    /// Leaves the `room` candidates that have waited most; groups as a whole or not.
    fn keep(&mut self, room: usize) {
        order(&self.candidates, &mut self.order);
        for (rank, at) in self.order.iter().enumerate() {
            self.candidates[*at].is_chosen = rank < room;
        }
        if self.groups.any() {
            self.groups.keep(&mut self.candidates, &self.order, room);
        }
    }

    /// Writes what is chosen.
    fn write(&mut self, schema: &Schema, tick: Tick, complete: bool, out: &mut BitWriter) {
        let (candidates, truth) = (&self.candidates, &self.truth);
        let told = candidates.iter().filter(|it| it.is_chosen && it.is_active).count();
        let active = self.world.tracks().iter().filter(|track| self.world.is_active(track)).count();
        // A flag each costs what is told, and about as much again for each that is not, once that is rare.
        let by_flags = told * NAMED_RATIO >= active;
        let news = |flagged: bool| {
            let is_here = move |it: &&Candidate| it.is_chosen && (it.is_active && by_flags) == flagged;
            let chosen = candidates.iter().filter(is_here);
            chosen.map(|it| {
                let Candidate { id, action, mask, class, columns, .. } = *it;
                News { id, action, mask, class, columns: &truth[columns.0..columns.1] }
            })
        };
        self.encoder.clear();
        let flight = &mut self.flights[place(tick)];
        flight.clear(tick, self.epoch, complete);
        Scribe::new(schema, &self.model, &self.world, &mut self.encoder, flight)
            .run(news(false), news(true), by_flags, usize::MAX)
            .expect("what a frame holds can be written");
        out.write_bytes(self.encoder.finish());
    }

    fn learn(&mut self, bits: usize, chosen: usize) {
        if chosen > 0 {
            self.change_bits += (bits as f32 / chosen as f32 - self.change_bits) / 8.0;
        }
    }

    /// Notes who waits on, and counts what was told.
    fn note(&mut self, bits: usize) -> SnapshotStats {
        let mut stats = SnapshotStats { bits, parts: 1, dense: true, ..SnapshotStats::default() };
        self.waits.clear();
        for candidate in &self.candidates {
            match candidate.action {
                _ if !candidate.is_chosen => {
                    stats.deferred += 1;
                    self.waits.push((candidate.id, candidate.score));
                }
                Action::Change => stats.updates += 1,
                Action::Whole => stats.spawns += 1,
                Action::Gone => stats.despawns += 1,
            }
        }
        stats
    }
}

impl Candidate {
    /// One that must be taken away although the confirmed world lacks it, but for its id.
    const GHOST: Self = Self {
        id: NetId(0),
        action: Action::Gone,
        mask: 0,
        class: Class::Near,
        columns: (0, 0),
        is_active: false,
        score: 8.0,
        group: None,
        is_chosen: true,
    };
}

/// The candidates by what they have waited for, the most first; equal ones by id, the same everywhere.
fn order(candidates: &[Candidate], order: &mut Vec<usize>) {
    order.clear();
    order.extend(0..candidates.len());
    // Scores are positive, so their bits order as they do.
    order.sort_unstable_by_key(|at| (Reverse(candidates[*at].score.to_bits()), *at));
}

/// Whether a snapshot was decoded; `None`: not known. A dense snapshot is one message: there are no parts of it.
fn decoded(ack: &Ack, tick: Tick) -> Option<bool> {
    match ack.fate(tick) {
        Fate::Whole => Some(true),
        Fate::Lost => Some(false),
        Fate::Parts(_) | Fate::Unknown => None,
    }
}

/// A priority that counts: positive, finite, so that every wait ends.
fn sane(priority: f32) -> f32 {
    // NaN fails the comparison and becomes the least.
    if priority > PRIORITY_MIN { priority.min(PRIORITY_MAX) } else { PRIORITY_MIN }
}

/// Of this many active entities one must have news for flags to be shorter than names.
const NAMED_RATIO: usize = 12;
const PRIORITY_MIN: f32 = 1.0 / 64.0;
const PRIORITY_MAX: f32 = 64.0;
/// A header and the end of the range coder's output.
const HEAD_BITS: f32 = 110.0;
/// What a change costs before any was written.
const CHANGE_BITS_START: f32 = 60.0;
