//! Which region a match is played in: the one whose worst latency over all its players is least, among those within
//! the limit; a region without a ready server comes after all that have one. A region without a name is everywhere.
//! Pure.

use std::collections::BTreeMap;

/// A region as a match sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Its place in the list that was ranked.
    pub index: usize,
    /// Milliseconds of the player who is furthest away; `None` if somebody did not measure it.
    pub worst_ms: Option<u32>,
}

/// The regions that a match may be played in, best first. `latencies` has one map for each player; `has_room` says
/// whether a region has a ready server now.
///
/// A region that somebody did not measure comes after all that everybody measured; if there is a limit, it is left
/// out, since nobody can say that it holds. Where no player measured anything at all, every region will do, in the
/// order given. Ties keep the order given.
pub fn rank(
    regions: &[&str],
    latencies: &[BTreeMap<String, u32>],
    latency_max_ms: Option<u32>,
    has_room: impl Fn(usize) -> bool,
) -> Vec<Ranked> {
    let measured = latencies.iter().any(|map| !map.is_empty());
    let worst = |region: &str| {
        latencies.iter().map(|map| map.get(region).copied()).try_fold(0, |worst, ms| Some(worst.max(ms?)))
    };
    let ranked = regions.iter().enumerate().map(|(index, region)| {
        let worst_ms = if measured { worst(region) } else { None };
        Ranked { index, worst_ms }
    });
    let everywhere = |ranked: &Ranked| regions[ranked.index].is_empty();
    let within = |ranked: &Ranked| match (measured, latency_max_ms) {
        (true, Some(max)) => everywhere(ranked) || ranked.worst_ms.is_some_and(|worst| worst <= max),
        _ => true,
    };
    let mut ranked: Vec<Ranked> = ranked.filter(within).collect();
    ranked.sort_by_key(|ranked| (!has_room(ranked.index), ranked.worst_ms.unwrap_or(u32::MAX), ranked.index));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, u32)]) -> BTreeMap<String, u32> {
        pairs.iter().map(|(region, ms)| ((*region).to_owned(), *ms)).collect()
    }

    #[track_caller]
    fn check(latencies: &[BTreeMap<String, u32>], max: Option<u32>, full: &[usize], expected: &[usize]) {
        let ranked = rank(&["eu", "us", "ap"], latencies, max, |index| !full.contains(&index));
        assert_eq!(ranked.iter().map(|ranked| ranked.index).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_worst_player_decides() {
        let pair =
            [map(&[("eu", 10), ("us", 90), ("ap", 200)]), map(&[("eu", 110), ("us", 80), ("ap", 210)])];
        check(&pair, None, &[], &[1, 0, 2]);
        check(&pair, Some(100), &[], &[1]);
        check(&pair, Some(50), &[], &[]);
    }

    #[test]
    fn a_region_without_a_ready_server_comes_last() {
        let one = [map(&[("eu", 10), ("us", 90), ("ap", 200)])];
        check(&one, None, &[0], &[1, 2, 0]);
        check(&one, Some(50), &[0], &[0]);
        check(&one, None, &[0, 1, 2], &[0, 1, 2]);
    }

    #[test]
    fn what_was_not_measured_comes_last_and_passes_no_limit() {
        let pair = [map(&[("us", 90), ("ap", 200)]), map(&[("eu", 1), ("us", 95)])];
        check(&pair, None, &[], &[1, 0, 2]);
        check(&pair, Some(100), &[], &[1]);
        check(&[map(&[]), map(&[])], Some(1), &[], &[0, 1, 2]);
        check(&[], Some(1), &[1], &[0, 2, 1]);
    }

    #[test]
    fn a_region_without_a_name_is_everywhere() {
        let ranked = rank(&[""], &[map(&[("eu", 300)])], Some(100), |_| true);
        assert_eq!(ranked.iter().map(|ranked| ranked.index).collect::<Vec<_>>(), [0]);
    }
}
