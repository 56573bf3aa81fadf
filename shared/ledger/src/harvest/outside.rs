//! How many documents of the source lie outside of every window, as they were counted last.
//!
//! The harvester counts, everybody else reads. **When it fails**, the counts of before stay.

use crate::db::connect::Doing;
use crate::db::error::During;
use crate::db::row::Columns;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::Row;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Documents of the source that are in no window, so that nothing of them is archived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutsideCounts {
    /// Without an event time that can be read.
    pub without_time: u64,
    /// Of those, the ones that have something else in its place.
    pub malformed: u64,
    /// With an event time before the first window.
    pub before_first_window: u64,
    /// With an event time in the future.
    pub in_future: u64,
}

const WITHOUT_TIME: &str = "source.without_time";
const MALFORMED_TIME: &str = "source.malformed_time";
const BEFORE_FIRST_WINDOW: &str = "source.before_first_window";
const IN_FUTURE: &str = "source.in_future";

impl Ledger {
    /// What was counted last, and when. `None`: nothing was counted yet.
    pub async fn outside(&self) -> Result<Option<(OutsideCounts, Timestamp)>, LedgerError> {
        self.read("look at what was counted", |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT a.amount AS without_time, m.amount AS malformed, b.amount AS before_first, \
                     f.amount AS in_future, a.measured_at AS counted_at FROM measurement a \
                     JOIN measurement m ON m.name = ? JOIN measurement b ON b.name = ? \
                     JOIN measurement f ON f.name = ? WHERE a.name = ?",
                    (MALFORMED_TIME, BEFORE_FIRST_WINDOW, IN_FUTURE, WITHOUT_TIME),
                )
                .await?;
            let Some(mut row) = row else { return Ok(None) };
            let counts = OutsideCounts {
                without_time: row.column("without_time")?,
                malformed: row.column("malformed")?,
                before_first_window: row.column("before_first")?,
                in_future: row.column("in_future")?,
            };
            Ok(Some((counts, row.instant("counted_at")?)))
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

    /// Where the first window begins, or will: that of no filter, whose migration wasn't cancelled.
    pub async fn first_window_from(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.read("look at where the first window begins", |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT MIN(range_from) AS first_from FROM migration \
                     WHERE state <> 'cancelled' AND kind <> 'selection' AND source_filter IS NULL",
                    (),
                )
                .await?;
            row.map_or(Ok(None), |mut row| row.instant_or_null("first_from"))
        })
        .await
    }

    /// Puts on record how many documents of the source are in no window.
    pub async fn record_outside(&self, counts: OutsideCounts) -> Result<(), LedgerError> {
        self.change(Step::RecordMeasurement, |doing| {
            self.try_record_outside(doing, counts)
        })
        .await
    }

    async fn try_record_outside(&self, doing: Doing, counts: OutsideCounts) -> Result<(), LedgerError> {
        let mut conn = self.conn(doing).await?;
        let (timeless, malformed) = (counts.without_time, counts.malformed);
        conn.exec_drop(
            "INSERT INTO measurement (name, amount, measured_at) VALUES (?, ?, UTC_TIMESTAMP(6)), \
             (?, ?, UTC_TIMESTAMP(6)), (?, ?, UTC_TIMESTAMP(6)), (?, ?, UTC_TIMESTAMP(6)) \
             ON DUPLICATE KEY UPDATE amount = VALUES(amount), measured_at = VALUES(measured_at)",
            (
                WITHOUT_TIME,
                timeless,
                MALFORMED_TIME,
                malformed,
                BEFORE_FIRST_WINDOW,
                counts.before_first_window,
                IN_FUTURE,
                counts.in_future,
            ),
        )
        .await
        .during(doing)
    }
}
