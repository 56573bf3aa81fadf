//! A batch, and an attempt at it, as the API shows them everywhere. What they mean is the ledger's.

use crate::migrating::progress_shown::ShownKind;
use granary_domain::BatchStatus;
use granary_ledger::reports::{AttemptRow, BatchRow, ObjectOfBatch};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// A batch, which clients of this API know as a job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownBatch {
    /// Its number: later ones are higher.
    #[schema(minimum = 1, examples(7))]
    id: u64,
    /// The migration that owns it.
    migration_id: Uuid,
    /// The same, under the name that clients of this API know.
    parent_job_id: Uuid,
    /// Why that migration exists.
    job_type: ShownKind,
    /// The number of the window that it was harvested in.
    window_id: u64,
    /// The first instant of the UTC hour of event time that all its messages lie in.
    hour: Timestamp,
    /// Where it stands.
    status: ShownBatchStatus,
    /// Whether it failed and has no attempt left: a person has to send it again.
    parked: bool,
    /// How urgent it is, 0 to 9. From 5 on it takes the priority queue.
    #[schema(maximum = 9)]
    priority: u8,
    /// Messages in it.
    messages: u32,
    /// Attempts begun since it last became fresh.
    attempts: u32,
    /// How often an operator sent it again.
    retry_count: u32,
    /// When an operator last did.
    last_retry_at: Option<Timestamp>,
    /// The number under which its newest attempt holds it.
    fence: u32,
    /// Which export of its messages it is at: 1 is the first.
    generation: u32,
    /// The object on record; `null`: there is none.
    object: Option<ShownBatchObject>,
    /// Messages in the object.
    exported: Option<u32>,
    /// Messages that were gone at the source.
    missing: Option<u32>,
    /// Messages that can't be exported.
    quarantined: Option<u32>,
    /// Milliseconds that its newest attempt took, or has taken so far; `null`: it was never tried.
    processing_duration: Option<u64>,
    /// The path under which it is told with its attempts.
    #[schema(examples("/migrate/batch/7"))]
    status_url: String,
    /// How often it was sent to its queue since it was last claimed.
    sends: u32,
    /// Who holds it: a worker's request id.
    worker: Option<String>,
    /// When it was last claimed.
    claimed_at: Option<Timestamp>,
    /// Until when it is held, by the database's clock.
    lease_until: Option<Timestamp>,
    /// Before when nobody may claim it.
    not_before: Option<Timestamp>,
    /// When it was last sent to its queue; `null`: it is to be sent, where it is pending.
    enqueued_at: Option<Timestamp>,
    /// How often in a row the platform broke it off. None of these counts as an attempt.
    deferrals: u32,
    /// Since when the platform has broken it off.
    deferred_since: Option<Timestamp>,
    /// Since when it is without an attempt left.
    parked_at: Option<Timestamp>,
    /// The cause of its newest error.
    #[schema(examples("spool"))]
    error_code: Option<String>,
    /// That error, for people.
    error: Option<String>,
    /// When it was recorded.
    created_at: Timestamp,
    /// When it was last archived.
    settled_at: Option<Timestamp>,
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ShownBatchStatus {
    /// It waits for a worker.
    Pending,
    /// A worker has it in hand.
    Processing,
    /// Its object is on record.
    Success,
    /// Its last attempt failed; it is tried again, or it is parked.
    Failed,
    /// It was given up, and its messages were released.
    Cancelled,
}

/// The object that a batch has on record.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownBatchObject {
    /// Its key in the bucket.
    key: String,
    /// Its SHA-256, 64 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: Option<String>,
    /// Bytes before compression.
    bytes_raw: u64,
    /// Bytes of the object.
    bytes_stored: u64,
}

/// One try at a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownAttempt {
    /// The number under which it held the batch: later ones are higher.
    number: u32,
    /// Which export it was for: 1 is the first.
    generation: u32,
    /// Who tried: a worker's request id.
    worker: String,
    /// When it began.
    started_at: Timestamp,
    /// When it ended; `null`: it is in flight.
    ended_at: Option<Timestamp>,
    /// Milliseconds that it took, or has taken so far.
    duration_ms: u64,
    /// How it ended: completed, failed, deferred, handed_back, reaped or cancelled; `null`: it is in flight.
    #[schema(examples("completed"))]
    outcome: Option<String>,
    /// The cause, where it ended without an object.
    #[schema(examples("spool"))]
    error_code: Option<String>,
    /// The error, for people.
    error: Option<String>,
    /// Milliseconds by phase.
    #[schema(value_type = Option<Object>)]
    timings: Option<Value>,
}

impl From<&BatchRow> for ShownBatch {
    fn from(batch: &BatchRow) -> Self {
        Self {
            id: batch.id.0,
            migration_id: batch.migration_id.0,
            parent_job_id: batch.migration_id.0,
            job_type: batch.kind.into(),
            window_id: batch.window_id.0,
            hour: batch.hour.start(),
            status: batch.status.into(),
            parked: batch.parked_at.is_some(),
            priority: batch.priority.into(),
            messages: batch.messages,
            attempts: batch.attempts,
            retry_count: batch.retry_count,
            last_retry_at: batch.retried_at,
            fence: batch.fence.0,
            generation: batch.generation.0,
            object: batch.object.as_ref().map(ShownBatchObject::from),
            exported: batch.exported,
            missing: batch.missing,
            quarantined: batch.quarantined,
            processing_duration: batch.processing.map(milliseconds),
            status_url: url_of(batch),
            sends: batch.sends,
            worker: batch.holder.clone(),
            claimed_at: batch.claimed_at,
            lease_until: batch.lease_until,
            not_before: batch.not_before,
            enqueued_at: batch.enqueued_at,
            deferrals: batch.deferrals,
            deferred_since: batch.deferred_since,
            parked_at: batch.parked_at,
            error_code: batch.error_code.clone(),
            error: batch.error_text.clone(),
            created_at: batch.created_at,
            settled_at: batch.settled_at,
        }
    }
}

/// The path under which a batch is told with its attempts.
pub(crate) fn url_of(batch: &BatchRow) -> String {
    format!("/migrate/batch/{}", batch.id)
}

impl From<BatchStatus> for ShownBatchStatus {
    fn from(status: BatchStatus) -> Self {
        match status {
            BatchStatus::Pending => Self::Pending,
            BatchStatus::InProgress => Self::Processing,
            BatchStatus::Completed => Self::Success,
            BatchStatus::Failed => Self::Failed,
            BatchStatus::Cancelled => Self::Cancelled,
        }
    }
}

impl From<&ObjectOfBatch> for ShownBatchObject {
    fn from(object: &ObjectOfBatch) -> Self {
        Self {
            key: object.key.to_string(),
            sha256: object.sha256.clone(),
            bytes_raw: object.bytes_raw,
            bytes_stored: object.bytes_stored,
        }
    }
}

impl From<&AttemptRow> for ShownAttempt {
    fn from(attempt: &AttemptRow) -> Self {
        Self {
            number: attempt.number,
            generation: attempt.generation.0,
            worker: attempt.worker.clone(),
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
            duration_ms: milliseconds(attempt.took),
            outcome: attempt.outcome.clone(),
            error_code: attempt.error_code.clone(),
            error: attempt.error_text.clone(),
            timings: attempt.timings.clone(),
        }
    }
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrating::status_name::name_of;
    use serde_json::json;

    #[test]
    fn a_status_is_shown_under_the_name_that_it_is_asked_for() {
        for status in BatchStatus::ALL {
            assert_eq!(json!(ShownBatchStatus::from(status)), name_of(status));
        }
    }
}
