//! When to ask again: contention is asked again at once, with a growing pause of random length, until the deadline.
//! Pure: the clock and the dice are arguments.

use std::time::Duration;

/// Longest pause after the first try; it doubles with each.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The pause after `tries` lost races, drawn evenly from nothing to the longest ("full jitter"); `unit` is random
/// in 0..1. `None` if it would not end before the deadline.
pub(super) fn pause(tries: u32, unit: f64, left: Duration) -> Option<Duration> {
    let longest = PAUSE_FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(PAUSE_MAX);
    let pause = longest.mul_f64(unit);
    (pause < left).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_limit_and_end_with_the_deadline() {
        let long = Duration::from_secs(60);
        let longest = |tries| pause(tries, 1.0, long).expect("long before the deadline");
        assert_eq!([1, 2, 3].map(longest), [10, 20, 40].map(Duration::from_millis));
        assert_eq!(longest(40), PAUSE_MAX);
        assert_eq!(pause(9, 0.0, long), Some(Duration::ZERO));
        assert_eq!(pause(3, 1.0, Duration::from_millis(40)), None);
        assert_eq!(pause(3, 0.5, Duration::from_millis(40)), Some(Duration::from_millis(20)));
    }
}
