//! `GET /queue/stats`: batches by status, and what the queues hold.

use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::problem::Problem;
use axum::extract::State;
use granary_domain::{BatchStatus, Outcome};
use granary_handoff::{Depth, QueueDepth};
use granary_ledger::export::Deferral;
use granary_ledger::reports::{ExceptionGroup, StatusCount};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// What is in the ledger and in the queues.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueStats {
    /// How many batches have each status.
    batches: ByStatus,
    /// How many messages are in batches of each status.
    messages: ByStatus,
    /// Batches that nobody tries again by himself.
    parked: u64,
    /// Bytes of all objects on record, as they are stored.
    bytes_stored: u64,
    /// Messages of completed batches that are not in their objects.
    exceptions: ShownExceptions,
    /// What waits because a service is away, by cause.
    deferrals: Vec<ShownDeferral>,
    /// What the queues hold, by SQS's count.
    queues: QueueDepths,
}

/// Messages of completed batches that are not in their objects. `GET /failures` says why.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownExceptions {
    /// They were gone at the source.
    missing: u64,
    /// They can't be exported.
    quarantined: u64,
}

/// What waits because a service is away.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownDeferral {
    /// Why the last try came to nothing.
    #[schema(value_type = String, examples("es_unavailable"))]
    cause: Value,
    /// Batches that are to be exported.
    batches: u64,
    /// Messages in them.
    messages: u64,
    /// Ranges whose ids are to be read.
    windows: u64,
    /// Since when the oldest of these has been waiting.
    since: Timestamp,
    /// When the first of these is tried again. Where it is past, it is on its way.
    next_try: Option<Timestamp>,
    /// What one of these met last, for people.
    reason: String,
}

/// What the four queues hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueDepths {
    /// `batches`: priorities 0 to 4.
    batches: ShownDepth,
    /// `batches-priority`: priorities from 5 on.
    batches_priority: ShownDepth,
    /// `dead-letters`; `null`: this deployment doesn't say where it is.
    batches_dead_letters: Option<ShownDepth>,
    /// `dead-letters-priority`; `null`: this deployment doesn't say where it is.
    batches_priority_dead_letters: Option<ShownDepth>,
}

/// About how many messages a queue holds. SQS counts approximately, and is up to a minute late.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownDepth {
    /// Messages that wait.
    waiting: u64,
    /// Messages that were received and aren't acknowledged.
    in_flight: u64,
    /// Messages that were sent with a delay which isn't over.
    delayed: u64,
}

/// Batches by status, and what the queues hold
#[utoipa::path(get, path = "/queue/stats")]
pub(crate) async fn stats(State(services): State<Arc<Services>>) -> Result<Answer<QueueStats>, Problem> {
    let ledger = services.ledger().await?;
    let counts = ledger.batches_by_status().await?;
    let deferrals = ledger.deferrals().await?;
    let exceptions = ledger.exceptions().await?;
    let depth = services.handoff.depth().await?;
    let dead_letters = match &services.dead_letters {
        Some(queues) => Some(queues.depth().await?),
        None => None,
    };
    Ok(Answer::ok(QueueStats {
        batches: by_status(&counts, |count| count.batches),
        messages: by_status(&counts, |count| count.messages),
        parked: counts.iter().map(|count| count.parked).sum(),
        bytes_stored: counts.iter().map(|count| count.bytes_stored).sum(),
        exceptions: ShownExceptions::of(&exceptions),
        deferrals: deferrals.iter().map(ShownDeferral::from).collect(),
        queues: QueueDepths::of(depth, dead_letters),
    }))
}

/// A number for each status, also for one that no batch has.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ByStatus {
    /// Of batches that wait to be exported.
    pending: u64,
    /// Of batches that a worker has in hand.
    processing: u64,
    /// Of batches that are archived.
    success: u64,
    /// Of batches that failed and are tried again, or are parked.
    failed: u64,
    /// Of batches that were cancelled.
    cancelled: u64,
}

pub(crate) fn by_status(counts: &[StatusCount], number: fn(&StatusCount) -> u64) -> ByStatus {
    let of = |status: BatchStatus| {
        counts
            .iter()
            .find(|count| count.status == status)
            .map_or(0, number)
    };
    ByStatus {
        pending: of(BatchStatus::Pending),
        processing: of(BatchStatus::InProgress),
        success: of(BatchStatus::Completed),
        failed: of(BatchStatus::Failed),
        cancelled: of(BatchStatus::Cancelled),
    }
}

impl ShownExceptions {
    fn of(groups: &[ExceptionGroup]) -> Self {
        let messages = |outcome: Outcome| {
            let of_outcome = groups.iter().filter(|group| group.outcome == outcome);
            of_outcome.map(|group| group.messages).sum()
        };
        Self {
            missing: messages(Outcome::Missing),
            quarantined: messages(Outcome::Quarantined),
        }
    }
}

impl From<&Deferral> for ShownDeferral {
    fn from(deferral: &Deferral) -> Self {
        Self {
            cause: json!(deferral.cause),
            batches: deferral.batches,
            messages: deferral.messages,
            windows: deferral.windows,
            since: deferral.since,
            next_try: deferral.next_try,
            reason: deferral.reason.clone(),
        }
    }
}

impl QueueDepths {
    pub(crate) fn of(depth: Depth, dead_letters: Option<Depth>) -> Self {
        Self {
            batches: depth.normal.into(),
            batches_priority: depth.priority.into(),
            batches_dead_letters: dead_letters.map(|depth| depth.normal.into()),
            batches_priority_dead_letters: dead_letters.map(|depth| depth.priority.into()),
        }
    }
}

impl From<QueueDepth> for ShownDepth {
    fn from(depth: QueueDepth) -> Self {
        Self {
            waiting: depth.visible,
            in_flight: depth.in_flight,
            delayed: depth.delayed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_without_batches_is_a_zero_and_not_absent() {
        let completed = StatusCount {
            status: BatchStatus::Completed,
            batches: 3,
            messages: 1_200,
            parked: 0,
            parked_messages: 0,
            bytes_stored: 9,
        };
        assert_eq!(
            json!(by_status(&[completed], |count| count.batches)),
            json!({"pending": 0, "processing": 0, "success": 3, "failed": 0, "cancelled": 0})
        );
    }
}
