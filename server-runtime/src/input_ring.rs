//! One player's inputs, by tick. Owns lateness and what to play when an input is missing; must never know
//! what an input means, nor how it arrived.

use netcode_wire::Tick;

/// Ticks ahead of the server that are kept. At 128 Hz this is half a second of lead.
pub const RING_TICKS: usize = 64;

/// Missing inputs that are covered by repeating the last one. At 60 Hz a tenth of a second: long enough to
/// ride out a lost packet, too short to fly on for ever.
pub const REPEAT_TICKS_MAX: u32 = 6;

/// A ring of inputs keyed by the tick they are for.
#[derive(Clone, Debug)]
pub struct InputRing<I> {
    slots: Vec<Option<(Tick, I)>>,
    last: I,
    repeated: u32,
    taken: Option<Tick>,
    started: bool,
    late: u64,
    missed: u64,
    early: u64,
}

/// What became of an arriving input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Stored; its tick is still to come.
    Stored,
    /// Known already: clients send every unacknowledged input again.
    Duplicate,
    /// Its tick has been simulated without it. Counted.
    Late,
    /// Further ahead than the ring holds. Dropped and counted.
    TooEarly,
}

/// The input to simulate a tick with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The player's own, on time.
    Fresh,
    /// Missing: the last one again.
    Repeated,
    /// Missing for too long: neutral (the input's default).
    Neutral,
}

impl<I: Clone + Default> Default for InputRing<I> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I: Clone + Default> InputRing<I> {
    /// An empty ring: neutral input until the first arrives.
    pub fn new() -> Self {
        Self {
            slots: (0..RING_TICKS).map(|_| None).collect(),
            last: I::default(),
            repeated: REPEAT_TICKS_MAX,
            taken: None,
            started: false,
            late: 0,
            missed: 0,
            early: 0,
        }
    }

    /// Offers the input for `tick`, while the server is about to simulate `upcoming`.
    pub fn insert(&mut self, tick: Tick, input: I, upcoming: Tick) -> Arrival {
        self.started = true;
        let ahead = tick.since(upcoming);
        if ahead < 0 {
            return self.insert_late(tick);
        }
        if ahead.unsigned_abs() as usize >= RING_TICKS {
            self.early += 1;
            return Arrival::TooEarly;
        }
        let slot = &mut self.slots[tick.0 as usize % RING_TICKS];
        if slot.as_ref().is_some_and(|(held, _)| *held == tick) {
            return Arrival::Duplicate;
        }
        *slot = Some((tick, input));
        Arrival::Stored
    }

    /// An input whose tick is over: a resend of one that was used, or news that comes too late. Only a miss is
    /// late: its slot was emptied by nobody. Counting each missed tick once keeps resends from counting again.
    fn insert_late(&mut self, tick: Tick) -> Arrival {
        let slot = &mut self.slots[tick.0 as usize % RING_TICKS];
        match slot {
            Some((held, _)) if *held == tick => Arrival::Duplicate,
            Some((held, _)) if held.since(tick) > 0 => Arrival::Duplicate,
            _ if self.taken.is_none_or(|taken| tick.since(taken) > 0) => Arrival::Duplicate,
            _ => {
                *slot = Some((tick, I::default()));
                self.late += 1;
                Arrival::Late
            }
        }
    }

    /// The input to simulate `tick` with. Ticks are taken in order.
    pub fn take(&mut self, tick: Tick) -> (I, Taken) {
        self.taken = Some(tick);
        let slot = &self.slots[tick.0 as usize % RING_TICKS];
        if let Some((held, input)) = slot
            && *held == tick
        {
            self.last = input.clone();
            self.repeated = 0;
            return (self.last.clone(), Taken::Fresh);
        }
        // Deliberate: a player who has sent nothing yet is still loading, not losing inputs.
        self.missed += u64::from(self.started);
        if self.repeated >= REPEAT_TICKS_MAX {
            self.last = I::default();
            return (I::default(), Taken::Neutral);
        }
        self.repeated += 1;
        (self.last.clone(), Taken::Repeated)
    }

    /// Forgets everything but the counters: the player dropped, and whoever comes back starts neutral.
    pub fn reset(&mut self) {
        self.slots.iter_mut().for_each(|slot| *slot = None);
        self.last = I::default();
        self.repeated = REPEAT_TICKS_MAX;
        self.taken = None;
        self.started = false;
    }

    /// Inputs that arrived after their tick was simulated without them, ever.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Ticks simulated without the player's own input, ever.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Inputs dropped for being further ahead than [`RING_TICKS`], ever.
    pub fn too_early(&self) -> u64 {
        self.early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_come_out_at_their_tick() {
        let mut ring = InputRing::<u8>::new();
        assert_eq!(ring.insert(Tick(10), 7, Tick(9)), Arrival::Stored);
        assert_eq!(ring.insert(Tick(10), 8, Tick(9)), Arrival::Duplicate);
        assert_eq!(ring.insert(Tick(9), 6, Tick(9)), Arrival::Stored);
        assert_eq!(ring.take(Tick(9)), (6, Taken::Fresh));
        assert_eq!(ring.take(Tick(10)), (7, Taken::Fresh));
        assert_eq!(ring.missed(), 0);
    }

    #[test]
    fn a_missing_input_repeats_then_goes_neutral() {
        let mut ring = InputRing::<u8>::new();
        ring.insert(Tick(0), 5, Tick(0));
        assert_eq!(ring.take(Tick(0)), (5, Taken::Fresh));
        for tick in 1..=REPEAT_TICKS_MAX {
            assert_eq!(ring.take(Tick(tick)), (5, Taken::Repeated));
        }
        assert_eq!(ring.take(Tick(REPEAT_TICKS_MAX + 1)), (0, Taken::Neutral));
        assert_eq!(ring.missed(), u64::from(REPEAT_TICKS_MAX) + 1);
    }

    #[test]
    fn a_late_input_counts_once_and_a_resend_never() {
        let mut ring = InputRing::<u8>::new();
        ring.insert(Tick(1), 5, Tick(1));
        ring.take(Tick(1));
        ring.take(Tick(2));
        assert_eq!(ring.insert(Tick(1), 5, Tick(3)), Arrival::Duplicate, "used already");
        assert_eq!(ring.insert(Tick(2), 6, Tick(3)), Arrival::Late);
        assert_eq!(ring.insert(Tick(2), 6, Tick(3)), Arrival::Duplicate, "counted already");
        assert_eq!(ring.late(), 1);
    }

    #[test]
    fn inputs_from_before_the_first_tick_are_no_news() {
        let mut ring = InputRing::<u8>::new();
        assert_eq!(ring.insert(Tick(3), 1, Tick(9)), Arrival::Duplicate);
        assert_eq!(ring.late(), 0);
    }

    #[test]
    fn the_ring_is_bounded() {
        let mut ring = InputRing::<u8>::new();
        let far = Tick(u32::try_from(RING_TICKS).unwrap());
        assert_eq!(ring.insert(far, 1, Tick(0)), Arrival::TooEarly);
        assert_eq!(ring.too_early(), 1);
        assert_eq!(ring.take(Tick(0)), (0, Taken::Neutral));
    }
}
