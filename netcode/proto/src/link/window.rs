//! A set of recent packet numbers, counted back from a newest one. Pure bits; knows no packet.

/// Bit `i` stands for the number `newest − 1 − i`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Window([u64; WORDS]);

impl Window {
    pub(super) const fn get(&self, index: u64) -> bool {
        index < WINDOW && self.0[(index / 64) as usize] >> (index % 64) & 1 == 1
    }

    pub(super) const fn set(&mut self, index: u64) {
        if index < WINDOW {
            self.0[(index / 64) as usize] |= 1 << (index % 64);
        }
    }

    /// Makes room for `by` newer numbers: bit `i` becomes bit `i + by`.
    #[inline]
    pub(super) fn age(&mut self, by: u64) {
        if by == 1 {
            // The usual case, three times a packet.
            let [a, b, c, d] = self.0;
            self.0 = [a << 1, b << 1 | a >> 63, c << 1 | b >> 63, d << 1 | c >> 63];
        } else if by > 0 {
            self.age_far(by);
        }
    }

    fn age_far(&mut self, by: u64) {
        let old = std::mem::take(&mut self.0);
        let (words, bits) = ((by / 64) as usize, by % 64);
        for (index, word) in self.0.iter_mut().enumerate().skip(words.min(WORDS)) {
            let from = index - words;
            *word = old[from] << bits;
            if bits > 0 && from > 0 {
                *word |= old[from - 1] >> (64 - bits);
            }
        }
    }

    /// Sets the bits `from..to`.
    pub(super) fn fill(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        for (word, bits) in (0..).zip(&mut self.0) {
            let (start, end) = (64 * word, 64 * word + 64);
            if from < end && to > start {
                // At least one bit of this word is meant, so no shift reaches 64.
                let ones = u64::MAX >> (64 - (to.min(end) - from.max(start)));
                *bits |= ones << (from.max(start) - start);
            }
        }
    }

    /// How many bits from 0 up are set without a gap.
    pub(super) fn run(&self) -> u64 {
        let mut run = 0;
        for word in self.0 {
            let ones = u64::from(word.trailing_ones());
            run += ones;
            if ones < 64 {
                break;
            }
        }
        run
    }

    /// Whether a bit is set here but not in `of`.
    pub(super) fn exceeds(&self, of: &Self) -> bool {
        self.0.iter().zip(of.0).any(|(mine, theirs)| mine & !theirs != 0)
    }
}

const WORDS: usize = 4;
/// Numbers that a window covers beside its newest: as many as the session's replay window.
pub(super) const WINDOW: u64 = 64 * WORDS as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ageing_moves_every_bit_by_the_same_distance() {
        for start in [0, 1, 63, 64, 130, 255] {
            for by in [0, 1, 5, 63, 64, 65, 128, 200, 255, 256, 1000, u64::MAX / 2] {
                let mut window = Window::default();
                window.set(start);
                window.age(by);
                let set: Vec<u64> = (0..WINDOW).filter(|index| window.get(*index)).collect();
                let expected: Vec<u64> = Some(start + by).filter(|at| *at < WINDOW).into_iter().collect();
                assert_eq!(set, expected, "start {start} by {by}");
            }
        }
    }

    #[test]
    fn filling_sets_what_lies_between() {
        for (from, to) in [(0, 0), (5, 5), (9, 3), (0, 1), (3, 64), (64, 65), (60, 130), (200, 256), (0, 999)]
        {
            let (mut filled, mut set) = (Window::default(), Window::default());
            filled.fill(from, to);
            (from..to).for_each(|index| set.set(index));
            assert_eq!(filled, set, "{from}..{to}");
        }
    }

    #[test]
    fn runs_and_excess() {
        let mut window = Window::default();
        assert_eq!(window.run(), 0);
        window.fill(0, 100);
        assert_eq!(window.run(), 100);
        let mut more = window;
        more.set(101);
        assert_eq!(more.run(), 100);
        assert!(more.exceeds(&window) && !window.exceeds(&more));
        window.fill(0, 300);
        assert_eq!(window.run(), WINDOW);
    }
}
