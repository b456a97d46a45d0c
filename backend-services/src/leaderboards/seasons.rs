//! When a board starts anew. A season is named by the moment at which it began, so nothing has to happen for it
//! to begin: a score belongs to the season of its own moment, on every node alike, and a process that slept
//! through three resets wakes in the fourth season. Pure; UTC.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use croner::Cron;

use crate::clock::UnixMs;

/// The season of boards that never start anew.
pub const ENDLESS: i64 = 0;

/// When seasons begin.
#[derive(Clone, Debug)]
pub enum Calendar {
    /// Never: there is one.
    Endless,
    /// At these moments.
    Cron(Box<Cron>),
}

impl Calendar {
    /// From five cron fields; `None` if they are not, or never come true.
    pub fn of(cron: Option<&str>) -> Option<Self> {
        let Some(fields) = cron else { return Some(Self::Endless) };
        if fields.split_ascii_whitespace().count() != 5 {
            return None;
        }
        let calendar = Self::Cron(Box::new(Cron::from_str(fields).ok()?));
        // A moment of our days from which the search can go either way.
        let probe = UnixMs(1_700_000_000_000);
        (calendar.next(probe).is_some() && calendar.season_of(probe) != ENDLESS).then_some(calendar)
    }

    /// The season of this moment: when it began, milliseconds since 1970.
    pub fn season_of(&self, now: UnixMs) -> i64 {
        let Self::Cron(cron) = self else { return ENDLESS };
        let found = moment(now).and_then(|now| cron.find_previous_occurrence(&now, true).ok());
        found.map_or(ENDLESS, |began| began.timestamp_millis())
    }

    /// When the season after this moment begins.
    pub fn next(&self, now: UnixMs) -> Option<UnixMs> {
        let Self::Cron(cron) = self else { return None };
        let next = cron.find_next_occurrence(&moment(now)?, false).ok()?;
        Some(UnixMs(next.timestamp_millis()))
    }
}

/// Whole seconds: cron knows no finer.
fn moment(at: UnixMs) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.0.div_euclid(1000), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONDAY: i64 = 345_600_000;
    const WEEK: i64 = 7 * 24 * 3600 * 1000;

    #[test]
    fn a_season_begins_at_its_moment_and_not_before() {
        let weekly = Calendar::of(Some("0 0 * * 1")).expect("cron");
        for (now, season) in [
            (MONDAY, MONDAY),
            (MONDAY + 1, MONDAY),
            (MONDAY + WEEK - 1, MONDAY),
            (MONDAY + WEEK, MONDAY + WEEK),
            (MONDAY + 5 * WEEK + 3, MONDAY + 5 * WEEK),
        ] {
            assert_eq!(weekly.season_of(UnixMs(now)), season, "{now}");
        }
        assert_eq!(weekly.next(UnixMs(MONDAY)), Some(UnixMs(MONDAY + WEEK)));
        assert_eq!(weekly.next(UnixMs(MONDAY - 1)), Some(UnixMs(MONDAY)));
    }

    #[test]
    fn seasons_tile_time() {
        for cron in ["0 0 * * *", "*/7 3-5 * * *", "30 6 1 * *", "0 0 29 2 *", "0 12 * * 6,0"] {
            let calendar = Calendar::of(Some(cron)).expect("cron");
            let mut random = fastrand::Rng::with_seed(5);
            for _ in 0..200 {
                let now = UnixMs(1_700_000_000_000 + random.i64(0..100_000_000_000));
                let season = calendar.season_of(now);
                let next = calendar.next(now).expect("another season");
                assert!(season <= now.0 && now.0 < next.0, "{cron} {now:?}");
                assert_eq!(calendar.season_of(UnixMs(next.0 - 1)), season, "{cron} {now:?}");
                assert_eq!(calendar.season_of(next), next.0, "{cron} {now:?}");
            }
        }
    }

    #[test]
    fn what_is_no_calendar_is_refused() {
        for cron in ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 31 2 *", "@weekly", "a b c d e"] {
            assert!(Calendar::of(Some(cron)).is_none(), "{cron}");
        }
        assert_eq!(Calendar::of(None).expect("endless").season_of(UnixMs(5)), ENDLESS);
    }
}
