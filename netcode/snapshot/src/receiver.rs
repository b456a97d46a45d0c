//! The client's half: bits become frames again. Must never know what a frame is shown as.

use netcode_wire::{BitReader, Tick};

use crate::{Ack, ENTITIES_MAX, Frame, RECEIVER_TICKS, Schema, SnapshotError, SnapshotHeader, codec};

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
        let _ = (schema, from, codec::decode_whole, codec::decode_change, &self.scratch, self.limits);
        unimplemented!()
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
        self.frames[tick.0 as usize % RECEIVER_TICKS].as_ref().filter(|frame| frame.tick() == tick)
    }

    /// The frames still held, oldest first: what interpolation looks through.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = &Frame> {
        let newest = self.ack.map_or(Tick(0), |ack| ack.newest);
        (0..RECEIVER_TICKS as i32).rev().filter_map(move |age| {
            let tick = newest.0.checked_sub(age as u32)?;
            self.frame(Tick(tick))
        })
    }
}
