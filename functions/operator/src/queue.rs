//! `GET /queue/stats`: batches by status, and what the queues hold.

use crate::answer::Answer;
use crate::problem::Problem;
use crate::services::Services;
use axum::extract::State;
use granary_domain::BatchStatus;
use granary_handoff::{Depth, QueueDepth};
use granary_ledger::StatusCount;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Batches and messages by status, and what waits by cause, from the ledger; the depths of the four queues, as SQS counts them.
pub(crate) async fn stats(State(services): State<Arc<Services>>) -> Result<Answer, Problem> {
    let ledger = services.ledger().await?;
    let counts = ledger.batches_by_status().await?;
    let deferrals = ledger.deferrals().await?;
    let depth = services.handoff.depth().await?;
    let dead_letters = match &services.dead_letters {
        Some(queues) => Some(queues.depth().await?),
        None => None,
    };
    Ok(Answer::ok(json!({
        "batches": by_status(&counts, |count| count.batches),
        "messages": by_status(&counts, |count| count.messages),
        "parked": counts.iter().map(|count| count.parked).sum::<u64>(),
        "bytesStored": counts.iter().map(|count| count.bytes_stored).sum::<u64>(),
        "deferrals": deferrals,
        "queues": queues(depth, dead_letters),
    })))
}

/// The names that clients of this API know.
fn name_of(status: BatchStatus) -> &'static str {
    match status {
        BatchStatus::Pending => "pending",
        BatchStatus::InProgress => "processing",
        BatchStatus::Completed => "success",
        BatchStatus::Failed => "failed",
        BatchStatus::Cancelled => "cancelled",
    }
}

/// Every status is there, also one that no batch has.
fn by_status(counts: &[StatusCount], number: fn(&StatusCount) -> u64) -> Value {
    let of = |status: BatchStatus| {
        counts
            .iter()
            .find(|count| count.status == status)
            .map_or(0, number)
    };
    let named = |status: BatchStatus| (name_of(status).to_owned(), of(status).into());
    Value::Object(BatchStatus::ALL.map(named).into_iter().collect::<Map<_, _>>())
}

fn queues(depth: Depth, dead_letters: Option<Depth>) -> Value {
    json!({
        "batches": shown(depth.normal),
        "batchesPriority": shown(depth.priority),
        "batchesDeadLetters": dead_letters.map(|depth| shown(depth.normal)),
        "batchesPriorityDeadLetters": dead_letters.map(|depth| shown(depth.priority)),
    })
}

fn shown(depth: QueueDepth) -> Value {
    json!({ "waiting": depth.visible, "inFlight": depth.in_flight, "delayed": depth.delayed })
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
            bytes_stored: 9,
        };
        assert_eq!(
            by_status(&[completed], |count| count.batches),
            json!({"pending": 0, "processing": 0, "success": 3, "failed": 0, "cancelled": 0})
        );
    }
}
