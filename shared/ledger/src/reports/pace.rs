//! The pace: how much was settled in each minute, and how long the oldest batch has been waiting to be sent.
//!
//! Read from attempts and batches, for people who look on; nothing is decided by it.

use crate::db::row::{Columns, at};
use crate::{Ledger, LedgerError};
use granary_domain::BatchId;
use jiff::{SignedDuration, Timestamp};
use mysql_async::{Row, params};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

const SECS_PER_MINUTE: i64 = 60;

/// What was settled within one minute of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SettledMinute {
    /// Its beginning.
    pub at: Timestamp,
    /// Batches.
    pub batches: u64,
    /// Messages in them.
    pub messages: u64,
}

/// The batch that has been waiting longest to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldestUnsent {
    /// It.
    pub batch_id: BatchId,
    /// Since when it could have been sent.
    pub since: Timestamp,
    /// How long that is.
    pub age: Duration,
}

impl Ledger {
    /// What was settled in each of the last minutes, the oldest first, those without anything included. The last of them
    /// isn't over yet.
    pub async fn settled_by_minute(&self, minutes: u32) -> Result<Vec<SettledMinute>, LedgerError> {
        let now = self.now().await?;
        let this_minute = now.as_second().div_euclid(SECS_PER_MINUTE);
        let first_minute = this_minute + 1 - i64::from(minutes);
        let operation = "count what was settled by the minute";
        let start_of = |minute: i64| {
            Timestamp::from_second(minute * SECS_PER_MINUTE)
                .map_err(|error| LedgerError::inconsistent(operation, error.to_string()))
        };
        let since = start_of(first_minute)?;
        let settled = self
            .read(operation, |mut reader| async move {
                let rows: Vec<(i64, u64, u64)> = reader
                    .rows(
                        "SELECT CAST(FLOOR(UNIX_TIMESTAMP(a.ended_at) / 60) AS SIGNED) AS minute_number, COUNT(*), \
                         CAST(SUM(b.message_count) AS UNSIGNED) FROM attempt a JOIN batch b ON b.id = a.batch_id \
                         WHERE a.ended_at >= :since AND a.outcome = 'completed' GROUP BY minute_number",
                        params! { "since" => at(since) },
                    )
                    .await?;
                Ok(rows)
            })
            .await?;
        let settled: BTreeMap<i64, (u64, u64)> = settled
            .into_iter()
            .map(|(minute, batches, messages)| (minute, (batches, messages)))
            .collect();
        (first_minute..=this_minute)
            .map(|minute| {
                let (batches, messages) = settled.get(&minute).copied().unwrap_or_default();
                Ok(SettledMinute {
                    at: start_of(minute)?,
                    batches,
                    messages,
                })
            })
            .collect()
    }

    /// The batch that has been waiting longest to be sent, paused or not: one that was never delayed by its number, one
    /// that was by when its delay was over.
    pub async fn oldest_unsent(&self) -> Result<Option<OldestUnsent>, LedgerError> {
        self.read("look for the oldest unsent batch", |mut reader| async move {
            // An attempt since then means that it was sent, and came back.
            let never_delayed: Option<Row> = reader
                .first(
                    "SELECT b.id, CAST(GREATEST(b.created_at, COALESCE((SELECT MAX(a.ended_at) FROM attempt a \
                     WHERE a.batch_id = b.id), b.created_at)) AS DATETIME(6)) AS since, UTC_TIMESTAMP(6) AS now \
                     FROM batch b WHERE b.status = 'pending' AND b.enqueued_at IS NULL AND b.not_before IS NULL \
                     ORDER BY b.id LIMIT 1",
                    (),
                )
                .await?;
            let delayed: Option<Row> = reader
                .first(
                    "SELECT id, not_before AS since, UTC_TIMESTAMP(6) AS now FROM batch WHERE status = 'pending' \
                     AND enqueued_at IS NULL AND not_before <= UTC_TIMESTAMP(6) ORDER BY not_before LIMIT 1",
                    (),
                )
                .await?;
            let found: Result<Vec<OldestUnsent>, LedgerError> =
                [never_delayed, delayed].into_iter().flatten().map(unsent_of).collect();
            Ok(found?.into_iter().min_by_key(|unsent| unsent.since))
        })
        .await
    }
}

fn unsent_of(mut row: Row) -> Result<OldestUnsent, LedgerError> {
    let since = row.instant("since")?;
    let age = row
        .instant("now")?
        .duration_since(since)
        .max(SignedDuration::ZERO);
    Ok(OldestUnsent {
        batch_id: row.batch_id("id")?,
        since,
        age: age.unsigned_abs(),
    })
}
