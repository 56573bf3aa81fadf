//! Batches as people look at them: lists by what they have in common, one of them in full, and the log of its attempts.
//!
//! Nothing here decides anything: whoever acts on what is listed finds it changed or not when it acts.
//!
//! **When it fails**, nothing was changed. A list reads batch rows, by their numbers or by an index, never messages.

use crate::db::connect::Reader;
use crate::db::row::{Columns, at, unreadable, uuid};
use crate::harvest::migration::priority_of;
use crate::{Ledger, LedgerError};
use granary_domain::{
    BatchId, BatchStatus, Cause, Fence, Generation, Hour, MigrationId, MigrationKind, ObjectKey, Priority,
    WindowId,
};
use jiff::Timestamp;
use mysql_async::{Params, Row, Value};
use std::time::Duration;

/// Which batches are meant. What is left out doesn't matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchFilter {
    /// In this status.
    pub status: Option<BatchStatus>,
    /// Whether an attempt is left.
    pub parked: Parked,
    /// Of migrations of this kind.
    pub kind: Option<MigrationKind>,
    /// Of this migration.
    pub migration: Option<MigrationId>,
    /// Of hours of event time from the one on in which this instant lies.
    pub from: Option<Timestamp>,
    /// Of hours of event time that begin before this instant.
    pub to: Option<Timestamp>,
    /// Whose newest error is this one.
    pub cause: Option<Cause>,
}

/// Whether a batch's attempts matter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Parked {
    /// They don't.
    #[default]
    OrNot,
    /// None is left.
    Only,
}

/// A batch's row in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRow {
    /// Its number.
    pub id: BatchId,
    /// Whose it is.
    pub migration_id: MigrationId,
    /// Why that migration exists.
    pub kind: MigrationKind,
    /// The window that it was harvested in.
    pub window_id: WindowId,
    /// The hour of all its messages.
    pub hour: Hour,
    /// Where it stands.
    pub status: BatchStatus,
    /// How urgent it is.
    pub priority: Priority,
    /// Messages in it.
    pub messages: u32,
    /// Attempts begun since it last became fresh.
    pub attempts: u32,
    /// The number of its newest attempt, as far as nobody was fenced off since.
    pub fence: Fence,
    /// Which export it is at.
    pub generation: Generation,
    /// Who holds it.
    pub holder: Option<String>,
    /// When it was last claimed.
    pub claimed_at: Option<Timestamp>,
    /// Until when it is held.
    pub lease_until: Option<Timestamp>,
    /// Before when nobody may claim it.
    pub not_before: Option<Timestamp>,
    /// When it was sent; `None`: it is to be sent, where it is pending.
    pub enqueued_at: Option<Timestamp>,
    /// How often it was sent since it was last claimed.
    pub sends: u32,
    /// How often in a row the platform broke it off.
    pub deferrals: u32,
    /// Since when the platform has broken it off.
    pub deferred_since: Option<Timestamp>,
    /// How often an operator sent it again.
    pub retry_count: u32,
    /// When an operator last did.
    pub retried_at: Option<Timestamp>,
    /// Since when it is without an attempt left.
    pub parked_at: Option<Timestamp>,
    /// The object on record.
    pub object: Option<ObjectOfBatch>,
    /// Messages in the object.
    pub exported: Option<u32>,
    /// Messages that were gone at the source.
    pub missing: Option<u32>,
    /// Messages that can't be exported.
    pub quarantined: Option<u32>,
    /// The cause of its newest error.
    pub error_code: Option<String>,
    /// The error, for people.
    pub error_text: Option<String>,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When it was last completed.
    pub settled_at: Option<Timestamp>,
    /// How long its newest attempt took, or has taken so far.
    pub processing: Option<Duration>,
}

/// The object that a batch has on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectOfBatch {
    /// Where it is.
    pub key: ObjectKey,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: Option<String>,
    /// Bytes before compression.
    pub bytes_raw: u64,
    /// Bytes of the object.
    pub bytes_stored: u64,
}

/// One try at a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// The fence that it ran under.
    pub number: u32,
    /// Which export it was for.
    pub generation: Generation,
    /// Who tried.
    pub worker: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None`: it hasn't.
    pub ended_at: Option<Timestamp>,
    /// How long it took, or has taken so far.
    pub took: Duration,
    /// How it ended: completed, failed, deferred, handed_back, reaped or cancelled.
    pub outcome: Option<String>,
    /// The cause, where it ended without an object.
    pub error_code: Option<String>,
    /// The error, for people.
    pub error_text: Option<String>,
    /// Milliseconds by phase.
    pub timings: Option<serde_json::Value>,
}

/// The newest attempt of a batch is found by its key.
const COLUMNS: &str = "b.id, b.migration_id, m.kind, b.window_id, b.hour_start, b.status, b.priority, b.message_count, \
     b.attempts, b.fence, b.generation, b.holder, b.claimed_at, b.lease_until, b.not_before, b.enqueued_at, b.sends, \
     b.deferrals, b.deferred_since, b.retry_count, b.retried_at, b.parked_at, b.object_key, \
     LOWER(HEX(b.sha256)) AS sha256, COALESCE(b.bytes_raw, 0) AS bytes_raw, \
     COALESCE(b.bytes_stored, 0) AS bytes_stored, b.exported, b.missing, b.quarantined, b.error_code, b.error_text, \
     b.created_at, b.settled_at, \
     (SELECT TIMESTAMPDIFF(MICROSECOND, a.started_at, COALESCE(a.ended_at, UTC_TIMESTAMP(6))) FROM attempt a \
      WHERE a.batch_id = b.id ORDER BY a.number DESC LIMIT 1) AS processing_micros";

/// A batch without an error has none to look for: completed ones are left out by an index, not by reading them.
const MAY_HAVE_AN_ERROR: &str = "b.status IN ('pending', 'in_progress', 'failed', 'cancelled')";

impl BatchFilter {
    /// `b`, and `m` where it is needed.
    fn tables(&self) -> &'static str {
        if self.kind.is_some() {
            "batch b JOIN migration m ON m.id = b.migration_id"
        } else {
            "batch b"
        }
    }

    /// Conditions on `b`, a batch, and `m`, its migration, and their values.
    fn conditions(&self) -> (Vec<&'static str>, Vec<Value>) {
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        let mut must = |condition: &'static str, value: Value| {
            conditions.push(condition);
            values.push(value);
        };
        if let Some(status) = self.status {
            must("b.status = ?", status.as_str().into());
        }
        if let Some(kind) = self.kind {
            must("m.kind = ?", kind.as_str().into());
        }
        if let Some(migration) = self.migration {
            must("b.migration_id = ?", uuid(migration));
        }
        if let Some(from) = self.from {
            must("b.hour_start >= ?", at(Hour::of(from).start()));
        }
        if let Some(to) = self.to {
            must("b.hour_start < ?", at(to));
        }
        if let Some(cause) = self.cause {
            must("b.error_code = ?", cause.as_str().into());
        }
        if self.cause.is_some() && self.status.is_none() {
            conditions.push(MAY_HAVE_AN_ERROR);
        }
        if self.parked == Parked::Only {
            conditions.push("b.status = 'failed' AND b.parked_at IS NOT NULL");
        }
        (conditions, values)
    }
}

impl Ledger {
    /// Batches, the newest number first, from below `before` on.
    pub async fn batches(
        &self,
        filter: &BatchFilter,
        before: Option<BatchId>,
        limit: u32,
    ) -> Result<Vec<BatchRow>, LedgerError> {
        let (mut conditions, mut values) = filter.conditions();
        conditions.push("b.id < ?");
        values.push(before.map_or(u64::MAX, |batch| batch.0).into());
        // Rows are read once it is known which ones: sorting numbers is cheaper than sorting rows.
        let query = &format!(
            "SELECT {COLUMNS} FROM (SELECT b.id AS picked_id FROM {} WHERE {} ORDER BY b.id DESC LIMIT {limit}) picked \
             JOIN batch b ON b.id = picked.picked_id JOIN migration m ON m.id = b.migration_id ORDER BY b.id DESC",
            filter.tables(),
            conditions.join(" AND ")
        );
        let values = &values;
        self.read("list batches", |reader| async move {
            batches_of(reader, query, values.clone()).await
        })
        .await
    }

    /// The numbers of such batches, in their order, from above `after` on.
    pub async fn batch_numbers(
        &self,
        filter: &BatchFilter,
        after: BatchId,
        limit: u32,
    ) -> Result<Vec<BatchId>, LedgerError> {
        let (mut conditions, mut values) = filter.conditions();
        conditions.push("b.id > ?");
        values.push(after.0.into());
        let query = &format!(
            "SELECT b.id FROM {} WHERE {} ORDER BY b.id LIMIT {limit}",
            filter.tables(),
            conditions.join(" AND ")
        );
        let values = &values;
        self.read("list batches by number", |mut reader| async move {
            let ids: Vec<u64> = reader.rows(query, Params::Positional(values.clone())).await?;
            Ok(ids.into_iter().map(BatchId).collect())
        })
        .await
    }

    /// One batch.
    pub async fn batch(&self, id: BatchId) -> Result<Option<BatchRow>, LedgerError> {
        let query = &format!(
            "SELECT {COLUMNS} FROM batch b JOIN migration m ON m.id = b.migration_id WHERE b.id = ?"
        );
        let found = self
            .read("read a batch", |reader| async move {
                batches_of(reader, query, vec![id.0.into()]).await
            })
            .await?;
        Ok(found.into_iter().next())
    }

    /// The attempts at a batch, the newest first.
    pub async fn attempts_of(&self, batch: BatchId, limit: u32) -> Result<Vec<AttemptRow>, LedgerError> {
        self.read("read a batch's attempts", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT number, generation, worker, started_at, ended_at, outcome, error_code, error_text, timings, \
                     TIMESTAMPDIFF(MICROSECOND, started_at, COALESCE(ended_at, UTC_TIMESTAMP(6))) AS took_micros \
                     FROM attempt WHERE batch_id = ? ORDER BY number DESC LIMIT ?",
                    (batch.0, limit),
                )
                .await?;
            rows.into_iter().map(attempt_of).collect()
        })
        .await
    }
}

async fn batches_of(
    mut reader: Reader,
    query: &str,
    values: Vec<Value>,
) -> Result<Vec<BatchRow>, LedgerError> {
    let rows: Vec<Row> = reader.rows(query, Params::Positional(values)).await?;
    rows.into_iter().map(batch_of).collect()
}

fn batch_of(mut row: Row) -> Result<BatchRow, LedgerError> {
    Ok(BatchRow {
        id: row.batch_id("id")?,
        migration_id: row.migration_id("migration_id")?,
        kind: row.parsed("kind")?,
        window_id: WindowId(row.column("window_id")?),
        hour: Hour::of(row.instant("hour_start")?),
        status: row.parsed("status")?,
        priority: priority_of(&mut row)?,
        messages: row.column("message_count")?,
        attempts: row.column("attempts")?,
        fence: Fence(row.column("fence")?),
        generation: Generation(row.column("generation")?),
        holder: row.column("holder")?,
        claimed_at: row.instant_or_null("claimed_at")?,
        lease_until: row.instant_or_null("lease_until")?,
        not_before: row.instant_or_null("not_before")?,
        enqueued_at: row.instant_or_null("enqueued_at")?,
        sends: row.column("sends")?,
        deferrals: row.column("deferrals")?,
        deferred_since: row.instant_or_null("deferred_since")?,
        retry_count: row.column("retry_count")?,
        retried_at: row.instant_or_null("retried_at")?,
        parked_at: row.instant_or_null("parked_at")?,
        object: object_of(&mut row)?,
        exported: row.column("exported")?,
        missing: row.column("missing")?,
        quarantined: row.column("quarantined")?,
        error_code: row.column("error_code")?,
        error_text: row.column("error_text")?,
        created_at: row.instant("created_at")?,
        settled_at: row.instant_or_null("settled_at")?,
        processing: row.column::<Option<i64>>("processing_micros")?.map(micros),
    })
}

fn object_of(row: &mut Row) -> Result<Option<ObjectOfBatch>, LedgerError> {
    let (key, sha256): (Option<String>, Option<String>) = (row.column("object_key")?, row.column("sha256")?);
    let (bytes_raw, bytes_stored) = (row.column("bytes_raw")?, row.column("bytes_stored")?);
    Ok(key.map(|key| ObjectOfBatch {
        key: ObjectKey::from_record(key),
        sha256,
        bytes_raw,
        bytes_stored,
    }))
}

fn attempt_of(mut row: Row) -> Result<AttemptRow, LedgerError> {
    let timings: Option<String> = row.column("timings")?;
    let timings = timings.map(|text| serde_json::from_str(&text)).transpose();
    Ok(AttemptRow {
        number: row.column("number")?,
        generation: Generation(row.column("generation")?),
        worker: row.column("worker")?,
        started_at: row.instant("started_at")?,
        ended_at: row.instant_or_null("ended_at")?,
        took: micros(row.column("took_micros")?),
        outcome: row.column("outcome")?,
        error_code: row.column("error_code")?,
        error_text: row.column("error_text")?,
        timings: timings.map_err(|error| unreadable("timings", &error))?,
    })
}

/// The database's clock may be set back while somebody works.
fn micros(difference: i64) -> Duration {
    Duration::from_micros(u64::try_from(difference).unwrap_or(0))
}
