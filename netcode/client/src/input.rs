//! The player's last inputs, by tick. Owns the ring; must never know when inputs are sent, or what they do.

use std::collections::VecDeque;

use netcode_wire::Tick;

/// Inputs of consecutive ticks, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct InputRing<I> {
    inputs: VecDeque<I>,
    newest: Tick,
}

impl<I: Clone + Default> InputRing<I> {
    pub(crate) fn new() -> Self {
        Self { inputs: VecDeque::with_capacity(INPUTS_KEPT), newest: Tick(0) }
    }

    /// Keeps the input of `tick`; the oldest leaves when the ring is full. A gap empties the ring: what lies before
    /// it is no use any more.
    pub(crate) fn push(&mut self, tick: Tick, input: I) {
        if tick != self.newest.next() {
            self.inputs.clear();
        }
        if self.inputs.len() == INPUTS_KEPT {
            self.inputs.pop_front();
        }
        self.inputs.push_back(input);
        self.newest = tick;
    }

    /// Forgets the inputs after `newest`: those ticks will be played again.
    pub(crate) fn rewind(&mut self, newest: Tick) {
        while self.newest > newest && self.inputs.pop_back().is_some() {
            self.newest = self.newest.offset(-1);
        }
        self.newest = self.newest.min(newest);
    }

    /// The newest input, or the neutral one where there is none.
    pub(crate) fn latest(&self) -> I {
        self.inputs.back().cloned().unwrap_or_default()
    }

    /// The input of `tick`. Where it is not known, what the server does then: the nearest earlier one, and the
    /// neutral one before all.
    pub(crate) fn at(&self, tick: Tick) -> I {
        let back = self.newest.since(tick).max(0) as usize;
        let place = self.inputs.len().checked_sub(1 + back);
        place.map_or_else(I::default, |place| self.inputs[place].clone())
    }

    /// The newest inputs after `after`, at most `count_max`, oldest first.
    pub(crate) fn after(&self, after: Tick, count_max: usize) -> impl ExactSizeIterator<Item = &I> + '_ {
        let wanted = (self.newest.since(after).max(0) as usize).min(count_max).min(self.inputs.len());
        self.inputs.range(self.inputs.len() - wanted..)
    }

    /// The tick of the newest input; `None` while there is none.
    pub(crate) fn newest(&self) -> Option<Tick> {
        (!self.inputs.is_empty()).then_some(self.newest)
    }
}

/// Inputs kept: twice what is predicted at most, so that every replay finds its own.
pub(crate) const INPUTS_KEPT: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ticks: std::ops::RangeInclusive<u32>) -> InputRing<u32> {
        let mut ring = InputRing::new();
        ticks.for_each(|tick| ring.push(Tick(tick), tick));
        ring
    }

    fn after(ring: &InputRing<u32>, after: u32, max: usize) -> Vec<u32> {
        ring.after(Tick(after), max).copied().collect()
    }

    #[test]
    fn only_the_unacked_are_given_and_never_too_many() {
        let ring = ring(10..=20);
        assert_eq!(after(&ring, 17, 32), [18, 19, 20]);
        assert_eq!(after(&ring, 3, 4), [17, 18, 19, 20]);
        assert_eq!(after(&ring, 3, 32).len(), 11);
        assert_eq!(after(&ring, 25, 32), []);
    }

    #[test]
    fn an_unknown_tick_repeats_the_one_before() {
        let ring = ring(10..=20);
        assert_eq!((ring.at(Tick(15)), ring.at(Tick(23)), ring.at(Tick(9))), (15, 20, 0));
    }

    #[test]
    fn a_gap_empties_the_ring() {
        let mut ring = ring(1..=5);
        ring.push(Tick(9), 9);
        assert_eq!(after(&ring, 0, 32), [9]);
    }

    #[test]
    fn rewinding_forgets_the_newest() {
        let mut ring = ring(1..=9);
        ring.rewind(Tick(6));
        assert_eq!(ring.newest(), Some(Tick(6)));
        assert_eq!(after(&ring, 3, 32), [4, 5, 6]);
        ring.push(Tick(7), 70);
        assert_eq!(after(&ring, 5, 32), [6, 70]);
        ring.rewind(Tick(0));
        assert_eq!(ring.newest(), None);
        ring.push(Tick(3), 3);
        assert_eq!(after(&ring, 0, 32), [3]);
    }

    #[test]
    fn memory_is_bounded() {
        let ring = ring(1..=1000);
        assert_eq!(after(&ring, 0, usize::MAX).len(), INPUTS_KEPT);
    }
}
