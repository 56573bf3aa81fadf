//! How late documents come: what re-scans have found.
//!
//! Kept as a few numbers for each window, never as a row for a message. Nothing is decided by them.

use crate::db::row::{Columns, uuid};
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::MigrationId;
use mysql_async::{Row, Value, params};
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
