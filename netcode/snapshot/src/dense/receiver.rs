//! The client's half: bits become frames again. Must never know what a frame is shown as, nor what other codec there is.

use netcode_wire::{BitReader, Tick, WireError};

use super::flight::Flight;
use super::mix::Model;
use super::range::Decoder;
use super::scribe::Scribe;
use super::symbol;
use super::world::{World, components};
use super::{EPOCH_BITS, place};
use crate::record::Action;
use crate::ring::FrameRing;
use crate::{Ack, Frame, RECEIVER_TICKS, ReceiverLimits, Schema, SnapshotError, SnapshotHeader};

/// What a client keeps to read dense snapshots with; the frames are its owner's.
#[derive(Debug)]
pub(crate) struct DenseReader {
    model: Model,
    world: World,
    /// The epoch of the newest snapshot; `None`: there was none, or another codec's came after it.
    epoch: Option<u8>,
    flights: Vec<Flight>,
    /// Flights that have come to an end: their memory serves the next ones.
    spare: Vec<Flight>,
    /// Memory of the snapshot that is decoded, and of its bytes.
    coming: Flight,
    bytes: Vec<u8>,
    order: Vec<usize>,
}

/// A client of dense snapshots alone: what [`DenseView`](super::DenseView) writes. (A [`Receiver`](crate::Receiver) reads
/// both codecs.)
#[derive(Debug)]
pub struct DenseReceiver {
    reader: DenseReader,
    ring: FrameRing,
    ack: Option<Ack>,
    limits: ReceiverLimits,
}

impl DenseReceiver {
    /// A receiver that holds nothing yet.
    #[must_use]
    pub fn new(schema: &Schema, limits: ReceiverLimits) -> Self {
        Self { reader: DenseReader::new(schema), ring: FrameRing::new(), ack: None, limits }
    }

    /// Takes one snapshot: what [`DenseView::encode`](super::DenseView::encode) wrote, to the end of `from`.
    ///
    /// # Errors
    /// See [`SnapshotError`]; the frames are as they were then.
    pub fn decode(
        &mut self,
        schema: &Schema,
        from: &mut BitReader<'_>,
    ) -> Result<SnapshotHeader, SnapshotError> {
        let header = SnapshotHeader::decode(from)?;
        if !header.dense {
            return Err(WireError::Malformed("codec of a snapshot").into());
        }
        let latest = self.ack.map(|ack| ack.newest);
        if latest.is_some_and(|newest| newest >= header.tick) {
            return Err(SnapshotError::Stale(header.tick));
        }
        self.reader.decode(schema, header, from, (&mut self.ring, latest), self.limits)?;
        self.ack = Some(self.ack.map_or(Ack::only(header.tick), |ack| ack.advance(header.tick, None)));
        Ok(header)
    }

    /// Which snapshots were decoded.
    #[must_use]
    pub fn ack(&self) -> Option<Ack> {
        self.ack
    }

    /// The newest frame.
    #[must_use]
    pub fn latest(&self) -> Option<&Frame> {
        self.frame(self.ack?.newest)
    }

    /// The frame of a tick, when it was decoded and is still held.
    #[must_use]
    pub fn frame(&self, tick: Tick) -> Option<&Frame> {
        self.ring.get(tick)
    }

    /// Bytes held beside the frames: model, confirmed world, snapshots not confirmed yet.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.reader.bytes()
    }
}

impl DenseReader {
    pub(crate) fn new(schema: &Schema) -> Self {
        Self {
            model: Model::new(schema.dense_columns()),
            world: World::default(),
            epoch: None,
            flights: std::iter::repeat_with(Flight::default).take(RECEIVER_TICKS).collect(),
            spare: Vec::new(),
            coming: Flight::default(),
            bytes: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Reads what follows `header`, which is newer than `latest`, the newest frame in the ring; puts a frame there.
    ///
    /// # Errors
    /// See [`SnapshotError`]; the frames are as they were then.
    pub(crate) fn decode(
        &mut self,
        schema: &Schema,
        header: SnapshotHeader,
        from: &mut BitReader<'_>,
        (ring, latest): (&mut FrameRing, Option<Tick>),
        limits: ReceiverLimits,
    ) -> Result<(), SnapshotError> {
        let epoch = from.read_bits(EPOCH_BITS)? as u8;
        self.bytes.clear();
        while from.remaining_bits() >= 8 {
            self.bytes.push(from.read_bits(8)? as u8);
        }
        self.catch_up(epoch, header.baseline, ring)?;
        self.coming.clear(header.tick, epoch, header.complete);
        let mut decoder = Decoder::new(&self.bytes);
        Scribe::new(schema, &self.model, &self.world, &mut decoder, &mut self.coming).run(
            std::iter::empty(),
            std::iter::empty(),
            false,
            limits.entities_max,
        )?;
        let mut next = ring.take_spare();
        next.clear(header.tick);
        self.show(schema, header, latest.and_then(|latest| ring.get(latest)), &mut next);
        if next.len() > limits.entities_max {
            ring.give_back(next);
            return Err(SnapshotError::TooManyEntities(limits.entities_max));
        }
        ring.put(next);
        let next = self.spare.pop().unwrap_or_default();
        let told = std::mem::replace(&mut self.coming, next);
        let old = std::mem::replace(&mut self.flights[place(header.tick)], told);
        self.spare.extend(old.into_spare());
        Ok(())
    }

    /// Whether the newest snapshot was dense.
    pub(crate) fn is_in_use(&self) -> bool {
        self.epoch.is_some()
    }

    /// Another codec's snapshot has come: the frames since its baseline become what that codec takes them for, the
    /// confirmed world at the baseline and each later snapshot's news on top of the one before. (Without a baseline that
    /// codec takes them for nothing.)
    ///
    /// # Errors
    /// The baseline is not known.
    pub(crate) fn leave(
        &mut self,
        schema: &Schema,
        baseline: Option<Tick>,
        ring: &mut FrameRing,
    ) -> Result<(), SnapshotError> {
        let Some(epoch) = self.epoch else { return Ok(()) };
        let Some(baseline) = baseline else {
            self.epoch = None;
            return Ok(());
        };
        self.catch_up(epoch, Some(baseline), ring)?;
        let mut now = self.world.frame(schema, baseline);
        ring.put(now.clone());
        let is_later = |flight: &&Flight| {
            flight.epoch == epoch && baseline < flight.tick && ring.get(flight.tick).is_some()
        };
        let mut later: Vec<&Flight> = self.flights.iter().filter(is_later).collect();
        later.sort_unstable_by_key(|flight| flight.tick);
        for flight in later {
            let mut shown = Frame::new(flight.tick);
            let mut gone = Vec::new();
            let mut mentions: Vec<_> = flight.mentions.iter().collect();
            mentions.sort_unstable_by_key(|mention| mention.id);
            for mention in mentions {
                match mention.action {
                    Action::Gone => gone.push(mention.id),
                    _ => push(
                        schema,
                        &mut shown,
                        (mention.id, flight.tick, mention.mask),
                        flight.columns(mention).0,
                    ),
                }
            }
            let mut next = ring.take_spare();
            next.copy_from(&now, flight.tick);
            next.apply(&shown, &gone);
            now = next.clone();
            ring.put(next);
        }
        self.epoch = None;
        self.world.clear();
        Ok(())
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let flights = self.flights.iter().chain(&self.spare).chain([&self.coming]);
        self.model.bytes() + self.world.bytes() + flights.map(Flight::bytes).sum::<usize>()
    }

    /// Brings model and world to the baseline: what was decoded up to there, and nothing else, in its order. An epoch that
    /// begins with a baseline begins with the frame that is held of it.
    fn catch_up(&mut self, epoch: u8, baseline: Option<Tick>, ring: &FrameRing) -> Result<(), SnapshotError> {
        if self.epoch != Some(epoch) {
            let seed = match baseline {
                Some(tick) => Some(ring.get(tick).ok_or(SnapshotError::UnknownBaseline(tick))?),
                None => None,
            };
            self.epoch = Some(epoch);
            self.model.clear();
            self.world.clear();
            seed.into_iter().for_each(|seed| self.world.seed(seed, &[]));
            return Ok(());
        }
        let newest = self.world.newest();
        let Some(baseline) = baseline else {
            return newest.map_or(Ok(()), |newest| Err(SnapshotError::UnknownBaseline(newest)));
        };
        if newest == Some(baseline) {
            return Ok(());
        }
        let is_held =
            |flight: &Flight, tick| flight.tick == tick && flight.epoch == epoch && ring.get(tick).is_some();
        let goes_back = newest.is_some_and(|newest| newest > baseline);
        if goes_back || !is_held(&self.flights[place(baseline)], baseline) {
            return Err(SnapshotError::UnknownBaseline(baseline));
        }
        let oldest = baseline.offset(1 - RECEIVER_TICKS as i32);
        let first = newest.map_or(oldest, |newest| newest.next().max(oldest));
        for tick in (first.0..=baseline.0).map(Tick) {
            let flight = &mut self.flights[place(tick)];
            if is_held(flight, tick) {
                self.world.apply(flight);
                flight.symbols.iter().for_each(|symbol| symbol::train(&mut self.model, symbol));
                self.spare.extend(std::mem::take(flight).into_spare());
            }
        }
        Ok(())
    }

    /// Makes the frame: where everything was told, the confirmed world with the news; else the newest frame with them.
    fn show(&mut self, schema: &Schema, header: SnapshotHeader, latest: Option<&Frame>, next: &mut Frame) {
        self.order.clear();
        self.order.extend(0..self.coming.mentions.len());
        self.order.sort_unstable_by_key(|at| self.coming.mentions[*at].id);
        let mentions = self.order.iter().map(|at| &self.coming.mentions[*at]);
        let mut kept = Kept { place: 0, latest: latest.filter(|_| !header.complete) };
        for mention in mentions {
            kept.copy(schema, &self.world, header, mention.id.0.into(), next);
            if mention.action == Action::Gone {
                continue;
            }
            let columns = self.coming.columns(mention).0;
            push(schema, next, (mention.id, header.tick, mention.mask), columns);
        }
        kept.copy(schema, &self.world, header, u64::MAX, next);
    }
}

/// What the snapshot does not mention, in the order of ids.
struct Kept<'a> {
    place: usize,
    /// `None`: the confirmed world stands.
    latest: Option<&'a Frame>,
}

impl Kept<'_> {
    /// Copies who comes before `id`, and passes over `id` itself.
    fn copy(&mut self, schema: &Schema, world: &World, header: SnapshotHeader, id: u64, next: &mut Frame) {
        if let Some(latest) = self.latest {
            let rows = &latest.rows()[self.place..];
            let below = rows.iter().take_while(|row| u64::from(row.id.0) < id).count();
            for row in &rows[..below] {
                let first_part = next.next_part();
                for (component, columns) in latest.entity(row).parts() {
                    next.add_part(component, columns.len()).copy_from_slice(columns);
                }
                next.seal(row.id, row.stamp, first_part);
            }
            self.place += below + usize::from(rows.get(below).is_some_and(|row| u64::from(row.id.0) == id));
        } else if header.complete {
            let tracks = &world.tracks()[self.place..];
            let below = tracks.iter().take_while(|track| u64::from(track.id.0) < id).count();
            for track in &tracks[..below] {
                push(schema, next, (track.id, header.tick, track.mask), world.past(track, 0).1);
            }
            self.place += below + usize::from(tracks.get(below).is_some_and(|it| u64::from(it.id.0) == id));
        }
    }
}

/// Adds an entity: its name, the tick that it was so, and its components, with all their columns.
pub(super) fn push(
    schema: &Schema,
    next: &mut Frame,
    (id, stamp, mask): (crate::NetId, Tick, u64),
    columns: &[u32],
) {
    let (first_part, mut first) = (next.next_part(), 0);
    for component in components(mask) {
        let len = schema.fields(component).len();
        next.add_part(component, len).copy_from_slice(&columns[first..first + len]);
        first += len;
    }
    next.seal(id, stamp, first_part);
}
