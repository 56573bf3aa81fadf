//! What went wrong, by cause: batches that failed, and messages that are in no object because they can't be.
//!
//! What is deferred is in `export/deferral.rs`. Counts come from batch rows that an index names (failed ones by their status, those
//! with exceptions by their counts), never from message rows, of which only a few are read as samples. Batches whose rows were
//! purged aren't among them. **When it fails**, nothing was changed.

use crate::db::row::{Columns, unreadable};
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, BatchStatus, Hour, MessageId, Outcome};
use jiff::Timestamp;
use mysql_async::Row;

/// Batches that have failed for one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedGroup {
    /// The cause, by its name.
    pub cause: String,
    /// Batches without an attempt left.
    pub parked: Counted,
    /// Batches that are tried again by themselves.
    pub retrying: Counted,
    /// When the attempt began that is the newest of the batch that has been failed longest.
    pub first_seen: Timestamp,
    /// When the newest of all these attempts began.
    pub last_seen: Timestamp,
    /// When the first of them is tried again. It may be past: then it is on its way.
    pub next_try: Option<Timestamp>,
}

/// Batches, and the messages in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Batches.
    pub batches: u64,
    /// Messages in them.
    pub messages: u64,
}

/// One batch that failed, or was deferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureSample {
    /// The cause, by its name.
    pub cause: String,
    /// It.
    pub batch: BatchId,
    /// Where it stands.
    pub status: BatchStatus,
    /// Whether no attempt is left.
    pub is_parked: bool,
    /// Attempts begun since it last became fresh.
    pub attempts: u32,
    /// Messages in it.
    pub messages: u32,
    /// The hour of all its messages.
    pub hour: Hour,
    /// What its newest attempt met, for people.
    pub error: Option<String>,
    /// When that attempt began.
    pub seen_at: Timestamp,
}

/// Messages of completed batches that are not in their objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionGroup {
    /// What became of them.
    pub outcome: Outcome,
    /// Batches that have such messages.
    pub batches: u64,
    /// The messages.
    pub messages: u64,
    /// When the first of these batches was settled.
    pub first_seen: Option<Timestamp>,
    /// When the last of them was.
    pub last_seen: Option<Timestamp>,
}

/// One message that is in no object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExceptionSample {
    /// It.
    pub message: MessageId,
    /// Whose it is.
    pub batch: BatchId,
    /// Its event time.
    pub event_time: Timestamp,
    /// Why it isn't in the object, for people.
    pub reason: String,
}

/// There are as many as `Cause` has, twice; a bound all the same.
const GROUPS_MAX: u32 = 64;
const FAILED: &str = "status = 'failed'";
const DEFERRED: &str = "deferred_since IS NOT NULL AND status IN ('pending', 'in_progress')";

impl Ledger {
    /// Batches that have failed, by cause.
    pub async fn failed_by_cause(&self) -> Result<Vec<FailedGroup>, LedgerError> {
        self.read("group what has failed", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    format!(
                        "SELECT error_code AS cause, parked_at IS NOT NULL AS is_parked, COUNT(*) AS batches, \
                         CAST(SUM(message_count) AS UNSIGNED) AS messages, \
                         MIN(COALESCE(claimed_at, created_at)) AS first_seen, \
                         MAX(COALESCE(claimed_at, created_at)) AS last_seen, \
                         MIN(IF(parked_at IS NULL, COALESCE(not_before, UTC_TIMESTAMP(6)), NULL)) AS next_try \
                         FROM batch WHERE {FAILED} GROUP BY error_code, is_parked LIMIT {GROUPS_MAX}"
                    ),
                    (),
                )
                .await?;
            let mut groups: Vec<FailedGroup> = Vec::new();
            for row in rows {
                add(&mut groups, row)?;
            }
            Ok(groups)
        })
        .await
    }

    /// Of each cause the batches whose attempts began last, failed ones and deferred ones.
    pub async fn failure_samples(&self, per_cause: u32) -> Result<Vec<FailureSample>, LedgerError> {
        self.read("read samples of what has failed", |mut reader| async move {
            let mut samples = Vec::new();
            for group in [FAILED, DEFERRED] {
                // Rows are read once it is known which ones.
                let rows: Vec<Row> = reader
                    .rows(
                        format!(
                            "SELECT COALESCE(b.error_code, '') AS cause, b.id, b.status, b.parked_at IS NOT NULL AS is_parked, \
                             b.attempts, b.message_count, b.hour_start, b.error_text, \
                             COALESCE(b.claimed_at, b.created_at) AS seen_at FROM (SELECT id AS picked_id, \
                             ROW_NUMBER() OVER (PARTITION BY error_code ORDER BY claimed_at DESC, id DESC) AS place \
                             FROM batch WHERE {group}) picked JOIN batch b ON b.id = picked.picked_id \
                             WHERE picked.place <= ? ORDER BY cause, picked.place"
                        ),
                        (per_cause,),
                    )
                    .await?;
                for row in rows {
                    samples.push(sample_of(row)?);
                }
            }
            Ok(samples)
        })
        .await
    }

    /// Messages of batches that were completed that are not in their objects, counted.
    pub async fn exceptions(&self) -> Result<Vec<ExceptionGroup>, LedgerError> {
        self.read("count exceptions", |mut reader| async move {
            let mut groups = Vec::new();
            for outcome in [Outcome::Quarantined, Outcome::Missing] {
                let row: Option<Row> = reader
                    .first(
                        format!(
                            "SELECT COUNT(*) AS batches, CAST(COALESCE(SUM({outcome}), 0) AS UNSIGNED) AS messages, \
                             MIN(settled_at) AS first_seen, MAX(settled_at) AS last_seen FROM batch WHERE {outcome} > 0"
                        ),
                        (),
                    )
                    .await?;
                let Some(mut row) = row else { continue };
                groups.push(ExceptionGroup {
                    outcome,
                    batches: row.column("batches")?,
                    messages: row.column("messages")?,
                    first_seen: row.instant_or_null("first_seen")?,
                    last_seen: row.instant_or_null("last_seen")?,
                });
            }
            Ok(groups)
        })
        .await
    }

    /// A few messages of one outcome, of the batches that were settled last.
    pub async fn exception_samples(
        &self,
        outcome: Outcome,
        limit: u32,
    ) -> Result<Vec<ExceptionSample>, LedgerError> {
        self.read("read samples of exceptions", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    format!(
                        "SELECT m.message_id, m.batch_id, m.event_time, COALESCE(m.reason, '') AS reason \
                         FROM (SELECT id AS picked_id, settled_at FROM batch WHERE {outcome} > 0 \
                         ORDER BY settled_at DESC LIMIT ?) picked JOIN message m ON m.batch_id = picked.picked_id \
                         AND m.outcome = ? ORDER BY picked.settled_at DESC, m.message_id LIMIT ?"
                    ),
                    (limit, outcome.as_str(), limit),
                )
                .await?;
            rows.into_iter().map(exception_of).collect()
        })
        .await
    }
}

/// Parked batches and those with attempts left are one group where they have one cause.
fn add(groups: &mut Vec<FailedGroup>, mut row: Row) -> Result<(), LedgerError> {
    let (cause, is_parked): (Option<String>, bool) = (row.column("cause")?, row.column("is_parked")?);
    let cause = cause.unwrap_or_default();
    let counted = Counted {
        batches: row.column("batches")?,
        messages: row.column("messages")?,
    };
    let more = FailedGroup {
        cause,
        parked: if is_parked { counted } else { Counted::default() },
        retrying: if is_parked { Counted::default() } else { counted },
        first_seen: row.instant("first_seen")?,
        last_seen: row.instant("last_seen")?,
        next_try: row.instant_or_null("next_try")?,
    };
    match groups.iter_mut().find(|known| known.cause == more.cause) {
        None => groups.push(more),
        Some(known) => {
            if is_parked {
                known.parked = more.parked;
            } else {
                known.retrying = more.retrying;
            }
            known.first_seen = known.first_seen.min(more.first_seen);
            known.last_seen = known.last_seen.max(more.last_seen);
            known.next_try = known.next_try.or(more.next_try);
        }
    }
    Ok(())
}

fn sample_of(mut row: Row) -> Result<FailureSample, LedgerError> {
    Ok(FailureSample {
        cause: row.column("cause")?,
        batch: row.batch_id("id")?,
        status: row.parsed("status")?,
        is_parked: row.column("is_parked")?,
        attempts: row.column("attempts")?,
        messages: row.column("message_count")?,
        hour: Hour::of(row.instant("hour_start")?),
        error: row.column("error_text")?,
        seen_at: row.instant("seen_at")?,
    })
}

fn exception_of(mut row: Row) -> Result<ExceptionSample, LedgerError> {
    Ok(ExceptionSample {
        message: row
            .text("message_id")?
            .try_into()
            .map_err(|error| unreadable("message_id", &error))?,
        batch: row.batch_id("batch_id")?,
        event_time: row.instant("event_time")?,
        reason: row.column("reason")?,
    })
}
