//! The frames a client decoded last, each in the place of its tick. Owns their memory; must never know how they were
//! coded.

use netcode_wire::Tick;

use crate::{Frame, RECEIVER_TICKS};

/// Frames that span a fixed number of ticks; those that are dropped lend their memory to new ones.
#[derive(Debug)]
pub(crate) struct FrameRing {
    frames: Vec<Option<Frame>>,
    spare: Frame,
}

impl FrameRing {
    pub(crate) fn new() -> Self {
        let frames = std::iter::repeat_with(|| None).take(RECEIVER_TICKS).collect();
        Self { frames, spare: Frame::default() }
    }

    /// The frame of a tick, while it is held.
    pub(crate) fn get(&self, tick: Tick) -> Option<&Frame> {
        self.frames[place(tick)].as_ref().filter(|frame| frame.tick() == tick)
    }

    pub(crate) fn get_mut(&mut self, tick: Tick) -> Option<&mut Frame> {
        self.frames[place(tick)].as_mut().filter(|frame| frame.tick() == tick)
    }

    /// Memory to build a frame in: of any content.
    pub(crate) fn take_spare(&mut self) -> Frame {
        std::mem::take(&mut self.spare)
    }

    /// Takes back memory that no frame came of.
    pub(crate) fn give_back(&mut self, spare: Frame) {
        self.spare = spare;
    }

    /// Holds a frame, in the place of the one that had it.
    pub(crate) fn put(&mut self, frame: Frame) {
        self.spare = self.frames[place(frame.tick())].replace(frame).unwrap_or_default();
    }
}

pub(crate) fn place(tick: Tick) -> usize {
    tick.0 as usize % RECEIVER_TICKS
}
