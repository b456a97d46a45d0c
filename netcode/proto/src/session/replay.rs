//! Which of the last 256 sequences were seen. Must never know a packet or a key.

/// How far behind the newest sequence a packet may be and still be taken.
pub(crate) const WINDOW: u64 = 256;

/// The replay window: a bit for each of the last [`WINDOW`] sequences.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReplayWindow {
    /// One more than the newest sequence seen; 0 before the first. Saturates: the last sequence ends a session.
    end: u64,
    seen: [u64; (WINDOW / 64) as usize],
}

impl ReplayWindow {
    /// Whether `sequence` was not seen yet and is not too old. Asked before the packet is opened.
    pub(crate) fn is_fresh(&self, sequence: u64) -> bool {
        // The distance is subtracted: `sequence + WINDOW` would wrap near the end and let old packets in.
        sequence >= self.end || (self.end - 1 - sequence < WINDOW && !self.bit(sequence))
    }

    /// Whether `sequence` is newer than all that were seen.
    pub(crate) const fn is_newest(&self, sequence: u64) -> bool {
        sequence >= self.end
    }

    /// Whether every sequence below `bound` is too old by now, seen or not.
    pub(crate) const fn has_left_behind(&self, bound: u64) -> bool {
        self.end > WINDOW && self.end - WINDOW >= bound
    }

    /// Marks `sequence`, which was fresh and whose packet proved authentic.
    pub(crate) fn mark(&mut self, sequence: u64) {
        if sequence >= self.end {
            self.forget(sequence);
            self.end = sequence.saturating_add(1);
        }
        let (word, bit) = place(sequence);
        self.seen[word] |= bit;
    }

    /// Clears the bits of the sequences between the newest one and `sequence`.
    fn forget(&mut self, sequence: u64) {
        if sequence - self.end >= WINDOW {
            self.seen = Default::default();
            return;
        }
        for skipped in self.end..=sequence {
            let (word, bit) = place(skipped);
            self.seen[word] &= !bit;
        }
    }

    fn bit(&self, sequence: u64) -> bool {
        let (word, bit) = place(sequence);
        self.seen[word] & bit != 0
    }
}

fn place(sequence: u64) -> (usize, u64) {
    let slot = sequence % WINDOW;
    ((slot / 64) as usize, 1 << (slot % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_ends_of_the_sequence_space() {
        let mut window = ReplayWindow::default();
        assert!(window.is_fresh(0) && window.is_fresh(u64::MAX));
        window.mark(0);
        assert!(!window.is_fresh(0));
        window.mark(u64::MAX - 1);
        assert!(!window.is_fresh(0) && !window.is_fresh(u64::MAX - 1) && window.is_fresh(u64::MAX));
        assert!(window.is_fresh(u64::MAX - 256) && !window.is_fresh(u64::MAX - 257));
    }

    #[test]
    fn exactly_the_last_256_are_remembered() {
        let mut window = ReplayWindow::default();
        window.mark(1000);
        assert!(window.is_fresh(745) && !window.is_fresh(744));
        window.mark(745);
        assert!(!window.is_fresh(745));
        window.mark(1001);
        assert!(!window.is_fresh(745), "now too old");
        assert!(!window.is_fresh(1000) && window.is_fresh(999) && window.is_fresh(1002));
    }

    #[test]
    fn what_lies_behind_is_never_fresh() {
        let mut window = ReplayWindow::default();
        assert!(!window.has_left_behind(0) && window.is_newest(0));
        window.mark(9);
        assert!(window.is_newest(10) && !window.is_newest(9) && !window.is_newest(8));
        window.mark(265);
        assert!(window.has_left_behind(10) && !window.has_left_behind(11));
        assert!(!window.is_fresh(9) && window.is_fresh(10));
    }

    proptest! {
        #[test]
        fn nothing_is_taken_twice_and_nothing_young_refused(steps in prop::collection::vec((any::<bool>(), 0u64..700), 1..400)) {
            let (mut window, mut taken, mut newest) = (ReplayWindow::default(), HashSet::new(), 0u64);
            for (forward, distance) in steps {
                let sequence = if forward { newest + distance } else { newest.saturating_sub(distance) };
                let young = sequence + WINDOW > newest;
                prop_assert_eq!(window.is_fresh(sequence), young && !taken.contains(&sequence));
                if window.is_fresh(sequence) {
                    window.mark(sequence);
                    taken.insert(sequence);
                    newest = newest.max(sequence);
                }
            }
        }
    }
}
