//! Event time: half-open UTC ranges and the hours that name an object's partition.

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::fmt;

const SECONDS_PER_HOUR: i64 = 3_600;

/// A half-open range of event time, `from <= t < to`, in UTC, on whole microseconds (the ledger's resolution).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    from: Timestamp,
    to: Timestamp,
}

/// A range that ends before it starts, or where it starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`from` ({from}) must be before `to` ({to})")]
pub struct InvalidRange {
    /// Where it was to start.
    pub from: Timestamp,
    /// Where it was to end.
    pub to: Timestamp,
}

impl TimeRange {
    /// All event times that the ledger and an object's key can name: from the year 1, where DATETIME begins, to 9999-12-30
    /// 22:00, where instants end. Elasticsearch's dates reach further on both sides.
    pub const EVER: Self = Self {
        from: Timestamp::constant(-62_135_596_800, 0),
        to: Timestamp::constant(253_402_207_200, 0),
    };

    /// The range from `from` up to, but without, `to`. Both are cut to whole microseconds.
    pub fn new(from: Timestamp, to: Timestamp) -> Result<Self, InvalidRange> {
        let (from, to) = (whole_micros(from), whole_micros(to));
        if from < to {
            Ok(Self { from, to })
        } else {
            Err(InvalidRange { from, to })
        }
    }

    /// The first instant inside.
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// The first instant after it.
    pub fn to(&self) -> Timestamp {
        self.to
    }

    /// Whether an instant lies inside.
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.from <= instant && instant < self.to
    }

    /// What two ranges share, if anything.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        Self::new(self.from.max(other.from), self.to.min(other.to)).ok()
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.from, self.to)
    }
}

/// Floors an instant to whole microseconds, before 1970 too.
fn whole_micros(instant: Timestamp) -> Timestamp {
    let floored = instant.as_nanosecond().div_euclid(1_000) * 1_000;
    Timestamp::from_nanosecond(floored).unwrap_or(instant)
}

/// One UTC hour of event time, by its first instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hour(Timestamp);

impl Hour {
    /// The hour that an instant lies in.
    pub fn of(instant: Timestamp) -> Self {
        let seconds = instant.as_nanosecond().div_euclid(1_000_000_000) as i64;
        let start = seconds - seconds.rem_euclid(SECONDS_PER_HOUR);
        Self(Timestamp::from_second(start).unwrap_or(instant))
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        self.0
    }

    /// The hour after it.
    pub fn next(self) -> Self {
        Self(Timestamp::from_second(self.0.as_second() + SECONDS_PER_HOUR).unwrap_or(Timestamp::MAX))
    }

    /// From its first instant to the next hour's.
    pub fn range(self) -> TimeRange {
        TimeRange {
            from: self.0,
            to: self.next().0,
        }
    }

    /// `YYYY-MM-DD`, the value of the `dt` partition.
    pub fn date(self) -> String {
        self.0.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string()
    }

    /// `HH`, the value of the `hour` partition.
    pub fn hour_of_day(self) -> String {
        self.0.to_zoned(TimeZone::UTC).strftime("%H").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_must_end_after_it_starts() {
        assert!(TimeRange::new(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")).is_err());
        assert!(
            TimeRange::new(
                at("2026-01-01T00:00:00.0000001Z"),
                at("2026-01-01T00:00:00.0000009Z")
            )
            .is_err()
        );
    }

    #[test]
    fn a_range_holds_its_start_and_not_its_end() {
        let range = TimeRange::new(at("2026-01-01T00:00:00Z"), at("2026-01-01T01:00:00Z")).unwrap();
        assert!(range.contains(range.from()) && !range.contains(range.to()));
    }

    #[test]
    fn h19_all_event_times_are_whole_hours_from_the_year_1_on() {
        let TimeRange { from, to } = TimeRange::EVER;
        assert_eq!(
            (from, to),
            (at("0001-01-01T00:00:00Z"), at("9999-12-30T22:00:00Z"))
        );
        assert_eq!((Hour::of(from).start(), Hour::of(to).start()), (from, to));
        assert_eq!(Hour::of(from).date(), "0001-01-01");
    }

    #[test]
    fn an_hour_floors_instants_before_1970_too() {
        assert_eq!(
            Hour::of(at("1969-12-31T23:59:59.999Z")).start(),
            at("1969-12-31T23:00:00Z")
        );
        let hour = Hour::of(at("2026-03-29T01:59:59.999999999Z"));
        assert_eq!(
            (hour.date().as_str(), hour.hour_of_day().as_str()),
            ("2026-03-29", "01")
        );
        assert_eq!(hour.next().start(), at("2026-03-29T02:00:00Z"));
    }
}
