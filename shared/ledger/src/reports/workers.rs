//! Workers: attempts that are in flight by their lease, and how attempts ended since a moment.
//!
//! Nothing is counted along the way: both are read from rows that are there anyway, and the counter is no more than the
//! moment from which on attempts are counted. Where it can't be read, nobody's work is kept up.

use crate::db::error::During;
use crate::db::row::Columns;
use crate::settings::Stage;
use crate::settings::control::NO_REASON;
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, Fence};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};
use serde::Serialize;
use std::collections::BTreeMap;

/// Without a reset, attempts of so many days are counted.
const COUNTED_DAYS_DEFAULT: u32 = 1;
/// However long ago the reset was.
const COUNTED_DAYS_MAX: u32 = 30;
const COUNTER: &str = "workers.counter";

/// An attempt that somebody is at work on, or was when he was last heard of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptInFlight {
    /// Its batch.
    pub batch_id: BatchId,
    /// Who: the request's and the message's id.
    pub worker: String,
    /// The how-manieth attempt it is.
    pub attempt: u32,
    /// Its number in the batch's log.
    pub fence: Fence,
    /// Messages in the batch.
    pub messages: u32,
    /// When it began.
    pub since: Timestamp,
    /// Until when its worker need not be heard of.
    pub lease_until: Timestamp,
    /// Whether that is over: its worker is dead, and the reaper takes the batch back.
    pub is_overdue: bool,
}

/// How many attempts are in flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InFlight {
    /// By a lease that lasts.
    pub in_flight: u64,
    /// Those whose lease is over.
    pub overdue: u64,
    /// When the oldest of them all began.
    pub oldest_since: Option<Timestamp>,
}

/// How attempts ended since a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptCounter {
    /// The moment.
    pub since: Timestamp,
    /// Who set it; `None`: nobody did.
    pub reset_by: Option<String>,
    /// Attempts by outcome. What no attempt had isn't there.
    pub outcomes: BTreeMap<String, u64>,
}

/// Somebody paused a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PausedStage {
    /// Since when.
    pub since: Timestamp,
    /// Who.
    pub by: String,
    /// Why, where somebody said so.
    pub reason: Option<String>,
}

impl Ledger {
    /// Attempts in flight, by the numbers of their batches, from after `after` on.
    pub async fn attempts_in_flight(
        &self,
        after: BatchId,
        limit: u32,
    ) -> Result<Vec<AttemptInFlight>, LedgerError> {
        self.read("list attempts in flight", |mut reader| async move {
            // There are a few among very many batches: by their status they are found, by their numbers they aren't.
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT id, holder, attempts, fence, message_count, claimed_at, lease_until, \
                     lease_until < UTC_TIMESTAMP(6) AS is_overdue FROM batch FORCE INDEX (batch_lease) \
                     WHERE status = 'in_progress' AND id > ? ORDER BY id LIMIT ?",
                    (after.0, limit),
                )
                .await?;
            rows.into_iter().map(attempt_of).collect()
        })
        .await
    }

    /// How many attempts are in flight.
    pub async fn in_flight(&self) -> Result<InFlight, LedgerError> {
        self.read("count attempts in flight", |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT CAST(COALESCE(SUM(lease_until >= UTC_TIMESTAMP(6)), 0) AS UNSIGNED) AS alive, \
                     CAST(COALESCE(SUM(lease_until < UTC_TIMESTAMP(6)), 0) AS UNSIGNED) AS overdue, \
                     MIN(claimed_at) AS oldest FROM batch WHERE status = 'in_progress'",
                    (),
                )
                .await?;
            let Some(mut row) = row else {
                return Ok(InFlight::default());
            };
            Ok(InFlight {
                in_flight: row.column("alive")?,
                overdue: row.column("overdue")?,
                oldest_since: row.instant_or_null("oldest")?,
            })
        })
        .await
    }

    /// How attempts ended since the counter was reset; since a day ago where nobody did, and 30 days at most.
    pub async fn attempt_counter(&self) -> Result<AttemptCounter, LedgerError> {
        let operation = "count attempts by outcome";
        self.read(operation, |mut reader| async move {
            let moment = format!(
                "SELECT CAST(COALESCE(GREATEST(MAX(changed_at), UTC_TIMESTAMP(6) - INTERVAL {COUNTED_DAYS_MAX} DAY), \
                 UTC_TIMESTAMP(6) - INTERVAL {COUNTED_DAYS_DEFAULT} DAY) AS DATETIME(6)) AS since, \
                 MAX(changed_by) AS reset_by FROM control WHERE name = ?"
            );
            let row: Option<Row> = reader.first(moment, (COUNTER,)).await?;
            let mut row = row.ok_or_else(|| LedgerError::inconsistent(operation, "no answer"))?;
            let since = row.instant("since")?;
            let outcomes: Vec<(String, u64)> = reader
                .rows(
                    "SELECT outcome, COUNT(*) FROM attempt WHERE ended_at >= ? AND outcome IS NOT NULL GROUP BY outcome",
                    (crate::db::row::at(since),),
                )
                .await?;
            Ok(AttemptCounter {
                since,
                reset_by: row.column("reset_by")?,
                outcomes: outcomes.into_iter().collect(),
            })
        })
        .await
    }

    /// Has attempts counted from now on.
    pub async fn reset_attempt_counter(&self, who: &str) -> Result<(), LedgerError> {
        self.change(Step::ResetCounter, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "INSERT INTO control (name, setting, changed_at, changed_by) \
                 VALUES (:name, 'reset', UTC_TIMESTAMP(6), :who) \
                 ON DUPLICATE KEY UPDATE changed_at = VALUES(changed_at), changed_by = VALUES(changed_by)",
                params! { "name" => COUNTER, "who" => who },
            )
            .await
            .during(doing)
        })
        .await
    }

    /// Whether a stage is paused, since when, by whom and why.
    pub async fn pause_of(&self, stage: Stage) -> Result<Option<PausedStage>, LedgerError> {
        self.read("ask whether a stage is paused", |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT setting, changed_at, changed_by FROM control WHERE name = ?",
                    (stage.control(),),
                )
                .await?;
            row.map(|mut row| {
                Ok(PausedStage {
                    since: row.instant("changed_at")?,
                    by: row.column("changed_by")?,
                    reason: Some(row.column::<String>("setting")?).filter(|reason| reason != NO_REASON),
                })
            })
            .transpose()
        })
        .await
    }
}

fn attempt_of(mut row: Row) -> Result<AttemptInFlight, LedgerError> {
    Ok(AttemptInFlight {
        batch_id: row.batch_id("id")?,
        worker: row.column::<Option<String>>("holder")?.unwrap_or_default(),
        attempt: row.column("attempts")?,
        fence: Fence(row.column("fence")?),
        messages: row.column("message_count")?,
        since: row.instant("claimed_at")?,
        lease_until: row.instant("lease_until")?,
        is_overdue: row.column("is_overdue")?,
    })
}
