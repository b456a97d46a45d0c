//! The server's last frames: what deltas are taken against. Must never know a client.

use netcode_wire::Tick;

use crate::{Frame, HISTORY_TICKS};

/// A ring of the last frames, each in the place of its tick; it spans a fixed number of ticks, and frames that
/// it drops lend their memory to new ones.
#[derive(Debug)]
pub struct History {
    frames: Vec<Option<Frame>>,
    newest: Option<Tick>,
    /// How often the list of entities has changed.
    layouts: u32,
}

impl History {
    /// A ring that spans `ticks` ticks, or the next power of two.
    ///
    /// # Panics
    /// When `ticks` is less than 2.
    #[must_use]
    pub fn new(ticks: usize) -> Self {
        assert!(ticks >= 2, "a history spans at least two ticks");
        let ticks = ticks.next_power_of_two();
        Self { frames: std::iter::repeat_with(|| None).take(ticks).collect(), newest: None, layouts: 0 }
    }

    /// Takes the world at `tick`: `fill` pushes every entity into an empty frame, which is then sorted,
    /// compared with the frame before (so that each entity knows since when it is as it is), and kept.
    ///
    /// # Panics
    /// When `tick` is not later than the newest frame's.
    pub fn extract(&mut self, tick: Tick, fill: impl FnOnce(&mut Frame)) -> &Frame {
        assert!(self.newest.is_none_or(|newest| newest < tick), "frames come in ascending ticks");
        let place = self.place(tick);
        let mut frame = self.frames[place].take().unwrap_or_default();
        frame.clear(tick);
        fill(&mut frame);
        frame.finish();
        let before = self.newest();
        if let Some(before) = before {
            frame.hold_back(before);
            frame.inherit_stamps(before);
        }
        if !before.is_some_and(|before| before.same_entities(&frame)) {
            self.layouts = self.layouts.wrapping_add(1).max(1);
        }
        frame.set_layout(self.layouts);
        self.newest = Some(tick);
        self.frames[place].insert(frame)
    }

    /// As [`History::extract`], from the newest frame on: `change` sets what changed ([`Frame::set`]) in a copy of it.
    /// The entities and their components stay the same.
    ///
    /// # Panics
    /// When `tick` is not later than the newest frame's, or there is none.
    pub fn update(&mut self, tick: Tick, change: impl FnOnce(&mut Frame)) -> &Frame {
        assert!(self.newest.is_some_and(|newest| newest < tick), "frames come in ascending ticks");
        let place = self.place(tick);
        let mut frame = self.frames[place].take().unwrap_or_default();
        let before = self.newest().expect("the newest frame is held: a history spans two ticks");
        let before_tick = before.tick();
        frame.copy_from(before, tick);
        frame.set_layout(self.layouts);
        change(&mut frame);
        frame.catch_up(before_tick);
        self.newest = Some(tick);
        self.frames[place].insert(frame)
    }

    /// The newest frame.
    #[must_use]
    pub fn newest(&self) -> Option<&Frame> {
        self.frame(self.newest?)
    }

    /// The frame of a tick, while it is held.
    #[must_use]
    pub fn frame(&self, tick: Tick) -> Option<&Frame> {
        self.frames[self.place(tick)].as_ref().filter(|frame| frame.tick() == tick)
    }

    fn place(&self, tick: Tick) -> usize {
        // A remainder, since the length is a power of two: it is looked up once an entity and client.
        tick.0 as usize & (self.frames.len() - 1)
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new(HISTORY_TICKS)
    }
}
