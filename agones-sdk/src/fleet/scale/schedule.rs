//! Owns: Agones' Schedule policy: when another policy applies. Must never know: a clock; the time is an argument.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;

use super::Policy;

/// A period counts as begun this long before its cron tick, as in Agones (a reserve for daylight saving).
const AHEAD: TimeDelta = TimeDelta::seconds(90);

/// A policy and the times at which it applies.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Not before this.
    pub start: Option<DateTime<Utc>>,
    /// Not after this.
    pub end: Option<DateTime<Utc>>,
    /// Again and again in between; always if `None`.
    pub period: Option<Period>,
    /// What applies then.
    pub policy: Policy,
}

/// Times that come again.
#[derive(Clone, Debug)]
pub struct Period {
    cron: Box<Cron>,
    text: String,
    zone: Tz,
    length: Option<TimeDelta>,
}

impl PartialEq for Period {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.zone, self.length) == (&other.text, other.zone, other.length)
    }
}

impl Period {
    /// From a cron expression of five fields, an IANA time zone (empty: UTC), and a length such as `1h30m`
    /// (empty: without end).
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn new(cron: &str, zone: &str, length: &str) -> Result<Self, String> {
        if cron.contains("TZ") {
            return Err("startCron takes no time zone; timezone does".into());
        }
        if !cron.starts_with('@') && cron.split_whitespace().count() != 5 {
            return Err(format!("startCron {cron:?} has not five fields"));
        }
        let parsed = Cron::from_str(cron).map_err(|error| format!("startCron {cron:?}: {error}"))?;
        let zone = match zone {
            "" => Tz::UTC,
            name => name.parse().map_err(|_| format!("timezone {name:?} is not known"))?,
        };
        let length = (!length.is_empty()).then(|| parse_duration(length)).transpose()?;
        Ok(Self { cron: Box::new(parsed), text: cron.to_owned(), zone, length })
    }

    fn is_active(&self, now: DateTime<Utc>) -> bool {
        // A period without end has begun for ever.
        let Some(length) = self.length else { return true };
        let Some(earliest) = now.checked_sub_signed(length) else { return true };
        // The first tick whose period can still be running.
        let Ok(begin) = self.cron.find_next_occurrence(&earliest.with_timezone(&self.zone), false) else {
            return false;
        };
        let begin = begin.with_timezone(&Utc);
        now > begin - AHEAD && now < begin + length
    }
}

impl Schedule {
    /// Whether the policy applies at `now`, time since the Unix epoch.
    pub fn is_active(&self, now: Duration) -> bool {
        let now = i64::try_from(now.as_millis()).ok().and_then(DateTime::from_timestamp_millis);
        let now = now.unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.start.is_none_or(|start| now >= start)
            && self.end.is_none_or(|end| now <= end)
            && self.period.as_ref().is_none_or(|period| period.is_active(now))
    }
}

/// A length of time as Go writes it: `1h30m`, `90s`, `1.5h`, `250ms`.
fn parse_duration(text: &str) -> Result<TimeDelta, String> {
    const UNITS: [(&str, f64); 7] =
        [("h", 3600.0), ("ms", 1e-3), ("m", 60.0), ("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("s", 1.0)];
    let error = || format!("duration {text:?} is not a length of time such as 1h30m");
    let (mut seconds, mut rest) = (0.0, text);
    if text == "0" {
        return Ok(TimeDelta::zero());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(error)?;
        let number: f64 = rest[..digits].parse().map_err(|_| error())?;
        rest = &rest[digits..];
        let (unit, scale) = UNITS.into_iter().find(|(unit, _)| rest.starts_with(unit)).ok_or_else(error)?;
        rest = &rest[unit.len()..];
        seconds += number * scale;
    }
    let whole = Duration::try_from_secs_f64(seconds).map_err(|_| error())?;
    match TimeDelta::from_std(whole) {
        Ok(delta) if !text.is_empty() => Ok(delta),
        _ => Err(error()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BufferPolicy, BufferSize};
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().into()
    }

    fn schedule(period: Option<Period>) -> Schedule {
        let buffer = BufferPolicy { buffer: BufferSize::Count(1), min: 0, max: 9 };
        Schedule { start: None, end: None, period, policy: Policy::Buffer(buffer) }
    }

    #[track_caller]
    fn check(schedule: &Schedule, now: &str, expected: bool) {
        let now_ms = u64::try_from(at(now).timestamp_millis()).unwrap();
        assert_eq!(schedule.is_active(Duration::from_millis(now_ms)), expected, "at {now}");
    }

    #[test]
    fn a_period_begins_with_its_cron_tick_and_a_bit_before() {
        let daily = schedule(Some(Period::new("0 14 * * *", "", "1h").unwrap()));
        check(&daily, "2026-08-01T13:58:30Z", false);
        check(&daily, "2026-08-01T13:58:31Z", true);
        check(&daily, "2026-08-01T14:30:00Z", true);
        check(&daily, "2026-08-01T14:59:59Z", true);
        check(&daily, "2026-08-01T15:00:00Z", false);
        let weekend = schedule(Some(Period::new("0 0 * * 6", "", "48h").unwrap()));
        check(&weekend, "2026-08-02T23:00:00Z", true);
        check(&weekend, "2026-08-03T00:00:01Z", false);
    }

    #[test]
    fn the_clock_on_the_wall_is_that_of_the_time_zone() {
        let evening = schedule(Some(Period::new("0 18 * * *", "America/New_York", "30m").unwrap()));
        // Summer: UTC−4. Winter: UTC−5.
        check(&evening, "2026-07-01T22:10:00Z", true);
        check(&evening, "2026-07-01T23:10:00Z", false);
        check(&evening, "2026-12-01T23:10:00Z", true);
        check(&evening, "2026-12-01T22:10:00Z", false);
    }

    #[test]
    fn outside_of_its_dates_nothing_applies() {
        let mut launch = schedule(None);
        check(&launch, "2026-01-01T00:00:00Z", true);
        launch.start = Some(at("2026-02-01T00:00:00Z"));
        launch.end = Some(at("2026-02-02T00:00:00Z"));
        check(&launch, "2026-01-31T23:59:59Z", false);
        check(&launch, "2026-02-01T00:00:00Z", true);
        check(&launch, "2026-02-02T00:00:00Z", true);
        check(&launch, "2026-02-02T00:00:01Z", false);
        launch.period = Some(Period::new("0 3 * * *", "", "").unwrap());
        check(&launch, "2026-02-01T01:00:00Z", true);
    }

    #[test]
    fn lengths_are_written_as_in_go() {
        let check = |text: &str, ms: i64| assert_eq!(parse_duration(text), Ok(TimeDelta::milliseconds(ms)));
        check("1h30m", 5_400_000);
        check("90s", 90_000);
        check("1.5h", 5_400_000);
        check("250ms", 250);
        for wrong in ["", "1", "h", "1x", "-1h", "1e9h", "9999999999999999999h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_period_is_said() {
        let refused = |cron: &str, zone: &str, length: &str| Period::new(cron, zone, length).unwrap_err();
        assert!(refused("0 14 * *", "", "1h").contains("five fields"));
        assert!(refused("99 14 * * *", "", "1h").contains("startCron"));
        assert!(refused("TZ=UTC 0 1 * * *", "", "1h").contains("timezone does"));
        assert!(refused("0 14 * * *", "Atlantis", "1h").contains("Atlantis"));
        assert!(refused("0 14 * * *", "", "soon").contains("duration"));
    }
}
