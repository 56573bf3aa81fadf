//! The pace in a range of event time: how much of its messages was settled in each of the last minutes, whoever owns them.
//!
//! For people who ask how long a migration will take; nothing is decided by it. Read by the time of settlement, an index of
//! its own. **When it fails**, nothing was changed.

use crate::db::row::{Columns, at};
use crate::reports::SettledMinute;
use crate::{Ledger, LedgerError};
use granary_domain::{Hour, TimeRange};
use jiff::Timestamp;
use mysql_async::{Row, params};

/// What was settled of a range lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangePace {
    /// Now, by the database's clock.
    pub now: Timestamp,
    /// Minutes in which something was settled, the oldest first.
    pub minutes: Vec<SettledMinute>,
}

const SECS_PER_MINUTE: i64 = 60;
const OPERATION: &str = "count what was settled of a range";

impl Ledger {
    /// What was settled within the last `minutes` of the hours that a range lies in.
    pub async fn pace_of(&self, range: TimeRange, minutes: u32) -> Result<RangePace, LedgerError> {
        self.read(OPERATION, |mut reader| async move {
            let now: Option<Row> = reader.first("SELECT UTC_TIMESTAMP(6) AS now_utc", ()).await?;
            let now = now
                .ok_or_else(|| LedgerError::inconsistent(OPERATION, "no answer"))?
                .instant("now_utc")?;
            let rows: Vec<(i64, u64, u64)> = reader
                .rows(
                    "SELECT CAST(FLOOR(UNIX_TIMESTAMP(settled_at) / 60) AS SIGNED) AS minute_number, COUNT(*), \
                     CAST(COALESCE(SUM(exported), 0) AS UNSIGNED) FROM batch \
                     WHERE settled_at > UTC_TIMESTAMP(6) - INTERVAL :minutes MINUTE \
                     AND hour_start >= :from AND hour_start < :to GROUP BY minute_number ORDER BY minute_number",
                    params! {
                        "minutes" => minutes, "from" => at(Hour::of(range.from()).start()), "to" => at(range.to()),
                    },
                )
                .await?;
            let minutes = rows.into_iter().map(minute_of).collect::<Result<_, _>>()?;
            Ok(RangePace { now, minutes })
        })
        .await
    }
}

fn minute_of((minute, batches, messages): (i64, u64, u64)) -> Result<SettledMinute, LedgerError> {
    let at = Timestamp::from_second(minute * SECS_PER_MINUTE)
        .map_err(|error| LedgerError::inconsistent(OPERATION, error.to_string()))?;
    Ok(SettledMinute {
        at,
        batches,
        messages,
    })
}
