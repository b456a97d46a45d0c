//! Growth at once, shrinking only after the need has been lower for a while: the largest wish of the last `hold_s` is
//! what counts. Between a growth and the shrinking that follows lie at least `hold_s`, whatever the wishes are.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Wishes that are remembered at most; between two, a larger one stands for both.
const WISHES_MAX: usize = 4096;

/// The wishes of the last while. Holds only those that no later one exceeds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calm {
    /// (when, how many): times grow, numbers shrink.
    wishes: VecDeque<(u64, u32)>,
}

impl Calm {
    /// Takes a wish and gives the number that counts.
    pub fn settle(&mut self, wish: u32, now_s: u64, hold_s: u64) -> u32 {
        while self.wishes.back().is_some_and(|(_, earlier)| *earlier <= wish) {
            self.wishes.pop_back();
        }
        if self.wishes.len() == WISHES_MAX {
            self.wishes.pop_back();
        }
        self.wishes.push_back((now_s, wish));
        while self.wishes.front().is_some_and(|(at, _)| at.saturating_add(hold_s) < now_s) {
            self.wishes.pop_front();
        }
        self.wishes.front().map_or(wish, |(_, largest)| *largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_largest_of_the_window() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..200 {
            let hold_s = rng.u64(1..100);
            let (mut calm, mut all, mut now_s) = (Calm::default(), Vec::new(), 1000);
            for _ in 0..200 {
                now_s += rng.u64(..40);
                let wish = rng.u32(..30);
                all.push((now_s, wish));
                let window = all.iter().filter(|(at, _)| at + hold_s >= now_s).map(|(_, wish)| *wish);
                assert_eq!(Some(calm.settle(wish, now_s, hold_s)), window.max());
            }
        }
    }

    /// The law of no flapping: whatever is wished for, nothing shrinks within the hold after it has grown.
    #[test]
    fn nothing_shrinks_soon_after_it_has_grown() {
        let mut rng = fastrand::Rng::with_seed(5);
        for _ in 0..200 {
            let hold_s = rng.u64(1..300);
            let (mut calm, mut now_s, mut last, mut grown_s) = (Calm::default(), 0, None::<u32>, None::<u64>);
            for _ in 0..500 {
                now_s += rng.u64(..30);
                let settled = calm.settle(rng.u32(..50), now_s, hold_s);
                if last.is_some_and(|last| settled < last) {
                    assert!(
                        grown_s.is_none_or(|grown| now_s - grown > hold_s),
                        "shrunk {now_s} after {grown_s:?}"
                    );
                }
                if last.is_none_or(|last| settled > last) {
                    grown_s = Some(now_s);
                }
                last = Some(settled);
            }
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut calm = Calm::default();
        for step in 0..10_000_u32 {
            calm.settle(20_000 - step, u64::from(step), u64::MAX);
        }
        assert!(calm.wishes.len() <= WISHES_MAX);
        assert_eq!(calm.settle(1, 10_001, u64::MAX), 20_000);
    }
}
