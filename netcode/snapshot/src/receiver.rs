//! The client's half: bits become frames again. Must never know what a frame is shown as.

use netcode_wire::{BitReader, Tick};

use crate::dense::DenseReader;
use crate::record::{Action, IdReader};
use crate::ring::FrameRing;
use crate::{Ack, ENTITIES_MAX, Frame, NetId, RECEIVER_TICKS, Schema, SnapshotError, SnapshotHeader, codec};

/// What a receiver lets a server make it keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiverLimits {
    /// Entities in one frame.
    pub entities_max: usize,
}

/// The frames a client decoded last, each in the place of its tick.
///
/// A snapshot may come in parts, in any order. The newest frame takes parts in until all are there, or until a part of a
/// newer one comes: from then on it stays as it is, is acknowledged, and can be built on.
///
/// Each snapshot says which codec wrote it; the dense one's memory is taken with its first.
#[derive(Debug)]
pub struct Receiver {
    ring: FrameRing,
    /// What one message says.
    news: News,
    dense: Option<Box<DenseReader>>,
    open: Option<Open>,
    ack: Option<Ack>,
    limits: ReceiverLimits,
}

/// The newest frame, while parts of it may still come.
#[derive(Debug, Clone, Copy)]
struct Open {
    tick: Tick,
    parts: u64,
    /// The number of the last part, once it has come.
    last: Option<u8>,
}

/// One message's records.
#[derive(Debug, Default)]
struct News {
    shown: Frame,
    gone: Vec<NetId>,
    is_last: bool,
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
        Self { ring: FrameRing::new(), news: News::default(), dense: None, open: None, ack: None, limits }
    }

    /// Takes one message: what [`ClientView::encode`](crate::ClientView::encode) wrote, or one part of what
    /// [`ClientView::encode_parts`](crate::ClientView::encode_parts) or
    /// [`AdaptiveView::encode_parts`](crate::AdaptiveView::encode_parts) did. The newest frame is then the one before it with
    /// the message's changes applied. The header says `complete` once every part has come.
    ///
    /// # Errors
    /// See [`SnapshotError`]; nothing has changed then.
    pub fn decode(
        &mut self,
        schema: &Schema,
        from: &mut BitReader<'_>,
    ) -> Result<SnapshotHeader, SnapshotError> {
        let mut header = SnapshotHeader::decode(from)?;
        self.check_new(header)?;
        if header.dense {
            return self.decode_dense(schema, header, from);
        }
        if let Some(dense) = self.dense.as_mut().filter(|dense| dense.is_in_use()) {
            dense.leave(schema, header.baseline, &mut self.ring)?;
        }
        let mut news = std::mem::take(&mut self.news);
        let applied =
            self.read(schema, header, from, &mut news).and_then(|()| self.apply(header.tick, &news));
        let is_last = news.is_last;
        self.news = news;
        applied?;
        let is_whole = self.note(header, is_last);
        header.complete &= is_whole;
        Ok(header)
    }

    /// Which snapshots were decoded: goes into every [`InputPacket`](crate::InputPacket).
    #[must_use]
    pub fn ack(&self) -> Option<Ack> {
        self.ack
    }

    /// The newest frame.
    #[must_use]
    pub fn latest(&self) -> Option<&Frame> {
        self.frame(self.newest()?)
    }

    /// The frame of a tick, when it was decoded and is still held.
    #[must_use]
    pub fn frame(&self, tick: Tick) -> Option<&Frame> {
        self.ring.get(tick)
    }

    /// The frames still held, oldest first: what interpolation looks through.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = &Frame> {
        let newest = self.newest().unwrap_or(Tick(0));
        (0..RECEIVER_TICKS as i32).rev().filter_map(move |age| {
            let tick = newest.0.checked_sub(age as u32)?;
            self.frame(Tick(tick))
        })
    }

    fn newest(&self) -> Option<Tick> {
        self.open.map(|open| open.tick).or(self.ack.map(|ack| ack.newest))
    }

    fn check_new(&self, header: SnapshotHeader) -> Result<(), SnapshotError> {
        let stale = match (self.open, header.part) {
            (Some(open), Some(part)) if open.tick == header.tick => open.parts >> part & 1 == 1,
            _ => self.newest().is_some_and(|newest| newest >= header.tick),
        };
        if stale { Err(SnapshotError::Stale(header.tick)) } else { Ok(()) }
    }

    fn read(
        &self,
        schema: &Schema,
        header: SnapshotHeader,
        from: &mut BitReader<'_>,
        news: &mut News,
    ) -> Result<(), SnapshotError> {
        let baseline = match header.baseline {
            Some(tick) => Some(self.frame(tick).ok_or(SnapshotError::UnknownBaseline(tick))?),
            None => None,
        };
        let older = match header.older {
            Some(tick) => Some(self.frame(tick).ok_or(SnapshotError::UnknownBaseline(tick))?),
            None => None,
        };
        let (ahead, span) = header.ages();
        let News { shown, gone, is_last } = news;
        shown.clear(header.tick);
        gone.clear();
        let mut ids = IdReader::default();
        let mut guess = 0;
        while let Some((id, action)) = ids.decode(from)? {
            if shown.len() + gone.len() >= 2 * self.limits.entities_max {
                return Err(SnapshotError::TooManyEntities(self.limits.entities_max));
            }
            let first_part = shown.next_part();
            match action {
                Action::Gone => {
                    gone.push(id);
                    continue;
                }
                Action::Whole => codec::decode_whole(schema, shown, from)?,
                Action::Change => {
                    let known = baseline.and_then(|frame| Some((frame, frame.row_near(id, guess)?)));
                    let (frame, row) = known.ok_or(SnapshotError::UnknownEntity(id))?;
                    guess = row + 1;
                    let before = frame.entity(&frame.rows()[row]);
                    let older =
                        older.and_then(|frame| Some(frame.entity(&frame.rows()[frame.row_near(id, row)?])));
                    let older = older.map(|entity| codec::Older { entity, ahead, span });
                    codec::decode_change(schema, &before, older.as_ref(), shown, from)?;
                }
            }
            shown.seal(id, header.tick, first_part);
        }
        *is_last = header.part.is_none() || from.read_bool()?;
        self.check_parts(header, *is_last)
    }

    /// The parts of one snapshot must agree on which is the last.
    fn check_parts(&self, header: SnapshotHeader, is_last: bool) -> Result<(), SnapshotError> {
        let (Some(open), Some(part)) = (self.open.filter(|open| open.tick == header.tick), header.part)
        else {
            return Ok(());
        };
        let beyond = open.last.is_some_and(|last| part > last || is_last);
        if beyond || is_last && open.parts >> part > 1 {
            return Err(netcode_wire::WireError::Malformed("last part of a snapshot").into());
        }
        Ok(())
    }

    /// Puts the message's records into the frame of `tick`: the newest one, or the one that follows it.
    fn apply(&mut self, tick: Tick, news: &News) -> Result<(), SnapshotError> {
        let limit = self.limits.entities_max;
        let latest = self.latest();
        if latest.map_or(0, Frame::len) + news.shown.len() > limit
            && latest.map_or(news.shown.len(), |latest| latest.len_with(&news.shown, &news.gone)) > limit
        {
            return Err(SnapshotError::TooManyEntities(limit));
        }
        if latest.is_some_and(|latest| latest.tick() == tick) {
            let frame = self.ring.get_mut(tick).expect("it is the newest one");
            frame.apply(&news.shown, &news.gone);
            return Ok(());
        }
        let mut next = self.ring.take_spare();
        match self.latest() {
            Some(latest) => next.copy_from(latest, tick),
            None => next.clear(tick),
        }
        next.apply(&news.shown, &news.gone);
        self.ring.put(next);
        Ok(())
    }

    fn decode_dense(
        &mut self,
        schema: &Schema,
        header: SnapshotHeader,
        from: &mut BitReader<'_>,
    ) -> Result<SnapshotHeader, SnapshotError> {
        let latest = self.newest();
        let dense = self.dense.get_or_insert_with(|| Box::new(DenseReader::new(schema)));
        dense.decode(schema, header, from, (&mut self.ring, latest), self.limits)?;
        if let Some(before) = self.open.take() {
            self.acknowledge(before.tick, Some(before.parts));
        }
        self.acknowledge(header.tick, None);
        Ok(header)
    }

    /// Notes that a message was taken; gives whether its snapshot is whole now.
    fn note(&mut self, header: SnapshotHeader, is_last: bool) -> bool {
        let tick = header.tick;
        let mut open = match self.open.take() {
            Some(open) if open.tick == tick => open,
            before => {
                before.into_iter().for_each(|before| self.acknowledge(before.tick, Some(before.parts)));
                Open { tick, parts: 0, last: None }
            }
        };
        let part = header.part.unwrap_or(0);
        open.parts |= 1 << part;
        open.last = if is_last { Some(part) } else { open.last };
        // Bits 0 to `last`, all set.
        let is_whole = open.last.is_some_and(|last| open.parts == u64::MAX >> (63 - last));
        if is_whole {
            self.acknowledge(tick, None);
        } else {
            self.open = Some(open);
        }
        is_whole
    }

    /// Nothing more is decoded of the snapshot of `tick`; `parts` of it were, or all.
    fn acknowledge(&mut self, tick: Tick, parts: Option<u64>) {
        self.ack = Some(match (self.ack, parts) {
            (Some(ack), _) => ack.advance(tick, parts),
            (None, None) => Ack::only(tick),
            // As if after one that is out of reach.
            (None, Some(_)) => Ack::only(tick).advance(tick, parts),
        });
    }
}
