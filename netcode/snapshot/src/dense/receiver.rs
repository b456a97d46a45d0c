//! The client's half: bits become frames again. Must never know what a frame is shown as.

use netcode_wire::{BitReader, Tick};

use super::flight::Flight;
use super::mix::Model;
use super::range::Decoder;
use super::scribe::Scribe;
use super::symbol;
use super::world::{World, components};
use super::{EPOCH_BITS, place};
use crate::record::Action;
use crate::{Ack, Frame, RECEIVER_TICKS, ReceiverLimits, Schema, SnapshotError, SnapshotHeader};

/// The frames a client decoded last: the dense counterpart of [`Receiver`](crate::Receiver).
#[derive(Debug)]
pub struct DenseReceiver {
    model: Model,
    world: World,
    epoch: Option<u8>,
    flights: Vec<Flight>,
    /// Flights that have come to an end: their memory serves the next ones.
    spare: Vec<Flight>,
    frames: Vec<Option<Frame>>,
    scratch: Frame,
    /// Memory of the snapshot that is decoded, and of its bytes.
    coming: Flight,
    bytes: Vec<u8>,
    order: Vec<usize>,
    ack: Option<Ack>,
    limits: ReceiverLimits,
}

impl DenseReceiver {
    /// A receiver that holds nothing yet.
    #[must_use]
    pub fn new(schema: &Schema, limits: ReceiverLimits) -> Self {
        Self {
            model: Model::new(schema.dense_columns()),
            world: World::default(),
            epoch: None,
            flights: std::iter::repeat_with(Flight::default).take(RECEIVER_TICKS).collect(),
            spare: Vec::new(),
            frames: std::iter::repeat_with(|| None).take(RECEIVER_TICKS).collect(),
            scratch: Frame::default(),
            coming: Flight::default(),
            bytes: Vec::new(),
            order: Vec::new(),
            ack: None,
            limits,
        }
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
        if self.ack.is_some_and(|ack| ack.newest >= header.tick) {
            return Err(SnapshotError::Stale(header.tick));
        }
        let epoch = from.read_bits(EPOCH_BITS)? as u8;
        self.bytes.clear();
        while from.remaining_bits() >= 8 {
            self.bytes.push(from.read_bits(8)? as u8);
        }
        self.catch_up(epoch, header.baseline)?;
        self.coming.clear(header.tick, epoch, header.complete);
        let mut decoder = Decoder::new(&self.bytes);
        Scribe::new(schema, &self.model, &self.world, &mut decoder, &mut self.coming).run(
            std::iter::empty(),
            std::iter::empty(),
            false,
            self.limits.entities_max,
        )?;
        self.show(schema, header)?;
        let next = self.spare.pop().unwrap_or_default();
        let told = std::mem::replace(&mut self.coming, next);
        let old = std::mem::replace(&mut self.flights[place(header.tick)], told);
        self.spare.extend((old.bytes() > 0).then_some(old));
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
        self.frames[place(tick)].as_ref().filter(|frame| frame.tick() == tick)
    }

    /// Bytes held beside the frames: model, confirmed world, snapshots not confirmed yet.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let flights = self.flights.iter().chain(&self.spare).chain([&self.coming]);
        self.model.bytes() + self.world.bytes() + flights.map(Flight::bytes).sum::<usize>()
    }

    /// Brings model and world to the baseline: what was decoded up to there, and nothing else, in its order.
    fn catch_up(&mut self, epoch: u8, baseline: Option<Tick>) -> Result<(), SnapshotError> {
        if self.epoch != Some(epoch) {
            if let Some(baseline) = baseline {
                return Err(SnapshotError::UnknownBaseline(baseline));
            }
            self.epoch = Some(epoch);
            self.model.clear();
            self.world.clear();
            return Ok(());
        }
        let newest = self.world.newest();
        let Some(baseline) = baseline else {
            return newest.map_or(Ok(()), |newest| Err(SnapshotError::UnknownBaseline(newest)));
        };
        if newest == Some(baseline) {
            return Ok(());
        }
        let is_held = |flight: &Flight, tick| flight.tick == tick && flight.epoch == epoch;
        let goes_back = newest.is_some_and(|newest| newest > baseline);
        if goes_back || self.frame(baseline).is_none() || !is_held(&self.flights[place(baseline)], baseline) {
            return Err(SnapshotError::UnknownBaseline(baseline));
        }
        let oldest = baseline.offset(1 - RECEIVER_TICKS as i32);
        let first = newest.map_or(oldest, |newest| newest.next().max(oldest));
        for tick in (first.0..=baseline.0).map(Tick) {
            let flight = &mut self.flights[place(tick)];
            if is_held(flight, tick) && self.frames[place(tick)].as_ref().is_some_and(|it| it.tick() == tick)
            {
                self.world.apply(flight);
                flight.symbols.iter().for_each(|symbol| symbol::train(&mut self.model, symbol));
                self.spare.push(std::mem::take(flight));
            }
        }
        Ok(())
    }

    /// Makes the frame: where everything was told, the confirmed world with the news; else the newest frame with them.
    fn show(&mut self, schema: &Schema, header: SnapshotHeader) -> Result<(), SnapshotError> {
        let mut next = std::mem::take(&mut self.scratch);
        next.clear(header.tick);
        self.order.clear();
        self.order.extend(0..self.coming.mentions.len());
        self.order.sort_unstable_by_key(|at| self.coming.mentions[*at].id);
        let mentions = self.order.iter().map(|at| &self.coming.mentions[*at]);
        let mut kept = Kept { place: 0, latest: if header.complete { None } else { self.latest() } };
        for mention in mentions {
            kept.copy(schema, &self.world, header, mention.id.0.into(), &mut next);
            if mention.action == Action::Gone {
                continue;
            }
            push(schema, &mut next, mention.id, header.tick, mention.mask, self.coming.columns(mention).0);
        }
        kept.copy(schema, &self.world, header, u64::MAX, &mut next);
        let (limit, shown) = (self.limits.entities_max, next.len());
        if shown > limit {
            self.scratch = next;
            return Err(SnapshotError::TooManyEntities(limit));
        }
        self.scratch = self.frames[place(header.tick)].replace(next).unwrap_or_default();
        Ok(())
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
                push(schema, next, track.id, header.tick, track.mask, world.past(track, 0).1);
            }
            self.place += below + usize::from(tracks.get(below).is_some_and(|it| u64::from(it.id.0) == id));
        }
    }
}

fn push(schema: &Schema, next: &mut Frame, id: crate::NetId, stamp: Tick, mask: u64, columns: &[u32]) {
    let (first_part, mut first) = (next.next_part(), 0);
    for component in components(mask) {
        let len = schema.fields(component).len();
        next.add_part(component, len).copy_from_slice(&columns[first..first + len]);
        first += len;
    }
    next.seal(id, stamp, first_part);
}
