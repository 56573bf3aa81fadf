//! How late documents come, and how many never can: what re-scans and counts at the source have found.
//!
//! Kept as a few numbers for each window and for the source, never as a row for a message. Nobody decides anything by
//! them; people are told.

use crate::connect::Doing;
use crate::error::During;
use crate::row::{Columns, uuid};
use crate::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::MigrationId;
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, Value, params, prelude::Queryable};
use serde::Serialize;
use std::time::Duration;

/// What re-scans of the last stretch of time have found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lateness {
    /// Windows that were looked at again.
    pub windows: u64,
    /// Messages in them.
    pub messages: u64,
    /// Of those, the ones that no first reading has seen.
    pub late: u64,
    /// The latest of them became visible at least so many seconds after its event time.
    pub at_least_seconds: u64,
    /// And at most so many. A lag of so many seconds would have been enough for all.
    pub at_most_seconds: u64,
}

/// The largest `GRANARY_HARVEST_LAG_SECONDS`.
const LAG_SECS_MAX: u64 = 86_400;
const SECS_PER_MINUTE: u64 = 60;

impl Lateness {
    /// The lag that would have been enough, in whole minutes, and never less than the one that is set. What comes later
    /// than a day is for the re-scans.
    pub fn recommended_lag(&self, lag: Duration) -> Duration {
        if self.late == 0 {
            return lag;
        }
        let enough = self.at_most_seconds.div_ceil(SECS_PER_MINUTE) * SECS_PER_MINUTE;
        lag.max(Duration::from_secs(enough.min(LAG_SECS_MAX)))
    }

    /// Late messages by all messages, 0.0 to 1.0.
    pub fn ratio(&self) -> f64 {
        if self.messages == 0 {
            0.0
        } else {
            self.late as f64 / self.messages as f64
        }
    }
}

/// Documents of the source that are in no range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WithoutTime {
    /// Without an event time that can be read.
    pub documents: u64,
    /// Of those, the ones that have something else in its place.
    pub malformed: u64,
    /// When they were counted.
    pub counted_at: Timestamp,
}

const WITHOUT_TIME: &str = "source.without_time";
const MALFORMED_TIME: &str = "source.malformed_time";

impl Ledger {
    /// What re-scans of the last `stretch` have found, of one migration or of all.
    pub async fn lateness(
        &self,
        stretch: Duration,
        migration: Option<MigrationId>,
    ) -> Result<Lateness, LedgerError> {
        self.read("measure how late messages come", |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT COUNT(*) AS windows, CAST(COALESCE(SUM(w.found), 0) AS UNSIGNED) AS messages, \
                     CAST(COALESCE(SUM(s.late_count), 0) AS UNSIGNED) AS late, \
                     COALESCE(MAX(s.late_secs_low), 0) AS at_least, COALESCE(MAX(s.late_secs), 0) AS at_most \
                     FROM window_scan s JOIN harvest_window w ON w.id = s.window_id \
                     WHERE s.started_at >= UTC_TIMESTAMP(6) - INTERVAL :stretch MICROSECOND \
                     AND (:migration IS NULL OR w.migration_id = :migration)",
                    params! {
                        "stretch" => micros(stretch), "migration" => migration.map_or(Value::NULL, uuid),
                    },
                )
                .await?;
            row.map_or(Ok(Lateness::default()), lateness_of)
        })
        .await
    }

    /// What was counted last of documents that are in no range. `None`: nothing was counted yet.
    pub async fn without_time(&self) -> Result<Option<WithoutTime>, LedgerError> {
        self.read("look at what was counted", |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT a.amount AS documents, m.amount AS malformed, a.measured_at AS counted_at \
                     FROM measurement a JOIN measurement m ON m.name = ? WHERE a.name = ?",
                    (MALFORMED_TIME, WITHOUT_TIME),
                )
                .await?;
            let Some(mut row) = row else { return Ok(None) };
            Ok(Some(WithoutTime {
                documents: row.column("documents")?,
                malformed: row.column("malformed")?,
                counted_at: row.instant("counted_at")?,
            }))
        })
        .await
    }

    /// Whether what was counted last is older than `age`, or nothing was.
    pub async fn is_count_older(&self, age: Duration) -> Result<bool, LedgerError> {
        self.read("look at when was counted", |mut reader| async move {
            let young: Option<u8> = reader
                .first(
                    "SELECT 1 FROM measurement WHERE name = ? \
                     AND measured_at > UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND",
                    (WITHOUT_TIME, micros(age)),
                )
                .await?;
            Ok(young.is_none())
        })
        .await
    }

    /// Puts on record how many documents of the source are in no range: without an event time that can be read, and of
    /// those, with something else in its place.
    pub async fn record_without_time(&self, (documents, malformed): (u64, u64)) -> Result<(), LedgerError> {
        self.change(Step::RecordMeasurement, |doing| {
            self.try_record_without_time(doing, (documents, malformed))
        })
        .await
    }

    async fn try_record_without_time(
        &self,
        doing: Doing,
        (documents, malformed): (u64, u64),
    ) -> Result<(), LedgerError> {
        let mut conn = self.conn(doing).await?;
        conn.exec_drop(
            "INSERT INTO measurement (name, amount, measured_at) \
             VALUES (?, ?, UTC_TIMESTAMP(6)), (?, ?, UTC_TIMESTAMP(6)) \
             ON DUPLICATE KEY UPDATE amount = VALUES(amount), measured_at = VALUES(measured_at)",
            (WITHOUT_TIME, documents, MALFORMED_TIME, malformed),
        )
        .await
        .during(doing)
    }
}

fn lateness_of(mut row: Row) -> Result<Lateness, LedgerError> {
    Ok(Lateness {
        windows: row.column("windows")?,
        messages: row.column("messages")?,
        late: row.column("late")?,
        at_least_seconds: row.column("at_least")?,
        at_most_seconds: row.column("at_most")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h8_the_recommended_lag_is_enough_for_all_that_came_late_and_never_less_than_the_one_that_is_set() {
        let late = |late, at_most_seconds| Lateness {
            late,
            at_most_seconds,
            ..Lateness::default()
        };
        let recommended = |lateness: Lateness| lateness.recommended_lag(Duration::from_secs(120)).as_secs();
        assert_eq!(recommended(late(0, 0)), 120);
        assert_eq!(recommended(late(3, 30)), 120);
        assert_eq!(recommended(late(3, 1_021)), 1_080);
        assert_eq!(recommended(late(3, 1_080)), 1_080);
        assert_eq!(
            recommended(late(3, 900_000)),
            86_400,
            "the rest is for the re-scans"
        );
    }
}
