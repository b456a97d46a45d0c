//! Which two frames the shown moment lies between. Must never know how that moment was chosen, nor what entities are.

use netcode_snapshot::{Frame, Receiver, ViewTime};
use netcode_wire::Tick;

/// Two frames and where between them: `t` is 0 at `from`, 1 at `to`, more when movement is continued past `to`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Between<'a> {
    pub(crate) from: &'a Frame,
    pub(crate) to: &'a Frame,
    pub(crate) t: f32,
}

impl<'a> Between<'a> {
    /// The frames around `time`: the nearest at or before it and the nearest after it. Past the newest frame, the
    /// last two; before the oldest, that one. `None` while there is no frame.
    pub(crate) fn find(receiver: &'a Receiver, time: ViewTime) -> Option<Self> {
        let mut frames = receiver.frames().rev();
        let newest = frames.next()?;
        if newest.tick() <= time.tick {
            let before = frames.next().unwrap_or(newest);
            return Some(Self::new(before, newest, time));
        }
        let mut after = newest;
        for frame in frames {
            if frame.tick() <= time.tick {
                return Some(Self::new(frame, after, time));
            }
            after = frame;
        }
        Some(Self { from: after, to: after, t: 0.0 })
    }

    /// The frame that says which entities are there.
    pub(crate) fn base(&self) -> &'a Frame {
        if self.t < 1.0 { self.from } else { self.to }
    }

    fn new(from: &'a Frame, to: &'a Frame, time: ViewTime) -> Self {
        let span = to.tick().since(from.tick());
        if span <= 0 {
            return Self { from, to, t: 1.0 };
        }
        let passed = time.tick.since(from.tick()) as f32 + f32::from(time.fraction) / 256.0;
        Self { from, to, t: passed / span as f32 }
    }
}

/// A position in ticks as the wire says it, rounded down: what is shown is exactly what the server is told.
pub(crate) fn view_time(position: f64) -> ViewTime {
    let position = position.clamp(0.0, f64::from(u32::MAX));
    let tick = position as u32;
    let fraction = ((position - f64::from(tick)) * 256.0) as u8;
    ViewTime { tick: Tick(tick), fraction }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_time_is_a_tick_and_256ths() {
        assert_eq!(view_time(7.5), ViewTime { tick: Tick(7), fraction: 128 });
        assert_eq!(view_time(-3.0), ViewTime { tick: Tick(0), fraction: 0 });
        assert_eq!(view_time(9.999), ViewTime { tick: Tick(9), fraction: 255 });
        assert_eq!(view_time(f64::INFINITY), ViewTime { tick: Tick(u32::MAX), fraction: 0 });
    }

    #[test]
    fn the_moment_lies_between_its_frames() {
        let (a, b) = (Frame::new(Tick(10)), Frame::new(Tick(12)));
        let t = |tick, fraction| Between::new(&a, &b, ViewTime { tick: Tick(tick), fraction }).t;
        assert_eq!((t(10, 0), t(11, 0), t(11, 128), t(12, 0), t(13, 0)), (0.0, 0.5, 0.75, 1.0, 1.5));
        assert_eq!(Between::new(&a, &b, ViewTime { tick: Tick(13), fraction: 0 }).base().tick(), Tick(12));
        assert_eq!(Between::new(&a, &a, ViewTime { tick: Tick(11), fraction: 0 }).t, 1.0);
    }
}
