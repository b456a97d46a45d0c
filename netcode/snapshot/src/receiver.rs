//! The client's half: bits become frames again. Must never know what a frame is shown as.

use netcode_wire::{BitReader, Tick};

use crate::record::{Action, IdReader};
use crate::{Ack, ENTITIES_MAX, Frame, NetId, RECEIVER_TICKS, Schema, SnapshotError, SnapshotHeader, codec};

/// What a receiver lets a server make it keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiverLimits {
    /// Entities in one frame.
    pub entities_max: usize,
}

/// The frames a client decoded last, each in the place of its tick.
#[derive(Debug)]
pub struct Receiver {
    frames: Vec<Option<Frame>>,
    scratch: Frame,
    ack: Option<Ack>,
    limits: ReceiverLimits,
}

impl Default for ReceiverLimits {
    fn default() -> Self {
        Self { entities_max: ENTITIES_MAX }
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new(ReceiverLimits::default())
    }
}

impl Receiver {
    /// A receiver that holds nothing yet.
    #[must_use]
    pub fn new(limits: ReceiverLimits) -> Self {
        let frames = std::iter::repeat_with(|| None).take(RECEIVER_TICKS).collect();
        Self { frames, scratch: Frame::default(), ack: None, limits }
    }

    /// Takes one snapshot: what [`ClientView::encode`](crate::ClientView::encode) wrote. The new frame is the
    /// newest frame with the snapshot's changes applied.
    ///
    /// # Errors
    /// See [`SnapshotError`]; nothing has changed then.
    pub fn decode(
        &mut self,
        schema: &Schema,
        from: &mut BitReader<'_>,
    ) -> Result<SnapshotHeader, SnapshotError> {
        let header = SnapshotHeader::decode(from)?;
        if self.ack.is_some_and(|ack| ack.newest >= header.tick) {
            return Err(SnapshotError::Stale(header.tick));
        }
        let mut next = std::mem::take(&mut self.scratch);
        let applied = self.apply(schema, header, from, &mut next);
        if applied.is_ok() {
            let dropped = self.frames[place(header.tick)].replace(next);
            self.scratch = dropped.unwrap_or_default();
            self.ack = Some(self.ack.map_or(Ack::only(header.tick), |ack| ack.advance(header.tick)));
        } else {
            self.scratch = next;
        }
        applied.map(|()| header)
    }

    /// Which snapshots were decoded: goes into every [`InputPacket`](crate::InputPacket).
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

    /// The frames still held, oldest first: what interpolation looks through.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = &Frame> {
        let newest = self.ack.map_or(Tick(0), |ack| ack.newest);
        (0..RECEIVER_TICKS as i32).rev().filter_map(move |age| {
            let tick = newest.0.checked_sub(age as u32)?;
            self.frame(Tick(tick))
        })
    }

    fn apply(
        &self,
        schema: &Schema,
        header: SnapshotHeader,
        from: &mut BitReader<'_>,
        next: &mut Frame,
    ) -> Result<(), SnapshotError> {
        let baseline = match header.baseline {
            Some(tick) => Some(self.frame(tick).ok_or(SnapshotError::UnknownBaseline(tick))?),
            None => None,
        };
        next.clear(header.tick);
        let mut kept = Kept { latest: self.latest(), place: 0 };
        let mut ids = IdReader::default();
        while let Some((id, action)) = ids.decode(from)? {
            kept.copy_before(id, next);
            self.hold_limit(next, 1)?;
            let first_part = next.next_part();
            match action {
                Action::Gone => continue,
                Action::Whole => codec::decode_whole(schema, next, from)?,
                Action::Change => {
                    let before = baseline.and_then(|frame| frame.find(id));
                    let before = before.ok_or(SnapshotError::UnknownEntity(id))?;
                    codec::decode_change(schema, &before, next, from)?;
                }
            }
            next.seal(id, header.tick, first_part);
        }
        kept.copy_rest(next);
        self.hold_limit(next, 0)
    }

    fn hold_limit(&self, next: &Frame, more: usize) -> Result<(), SnapshotError> {
        let limit = self.limits.entities_max;
        if next.len() + more > limit { Err(SnapshotError::TooManyEntities(limit)) } else { Ok(()) }
    }
}

/// What the newest frame shows and the snapshot does not mention.
struct Kept<'a> {
    latest: Option<&'a Frame>,
    place: usize,
}

impl Kept<'_> {
    /// Copies the entities below `id`, and passes over `id` itself.
    fn copy_before(&mut self, id: NetId, next: &mut Frame) {
        let Some(latest) = self.latest else { return };
        let rows = &latest.rows()[self.place..];
        let below = rows.iter().take_while(|row| row.id < id).count();
        latest.copy_rows(&rows[..below], next);
        self.place += below + usize::from(rows.get(below).is_some_and(|row| row.id == id));
    }

    fn copy_rest(&mut self, next: &mut Frame) {
        let Some(latest) = self.latest else { return };
        latest.copy_rows(&latest.rows()[self.place..], next);
    }
}

fn place(tick: Tick) -> usize {
    tick.0 as usize % RECEIVER_TICKS
}
