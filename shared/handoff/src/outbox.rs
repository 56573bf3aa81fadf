//! Emptying the outbox: what the ledger holds for unsent goes to its queue.

use crate::{Handoff, Lane, Outgoing};
use granary_domain::BatchId;
use granary_ledger::{Ledger, LedgerError, Unsent};
use std::collections::HashSet;
use std::time::Instant;

const BATCHES_PER_ROUND_MAX: u32 = 1_000;

/// Sends what is recorded, due and not sent, until nothing is left or `stop` has come. Says how many were sent.
///
/// Sent first, marked afterwards: dying between the two sends twice, which is harmless. What SQS doesn't take stays
/// unsent for the next tick, so its errors end here, in the log.
pub async fn send_unsent(ledger: &Ledger, handoff: &Handoff, stop: Instant) -> Result<u64, LedgerError> {
    send_some(ledger, handoff, stop, u32::MAX).await
}

/// The same, for at most so many batches.
pub async fn send_some(
    ledger: &Ledger,
    handoff: &Handoff,
    stop: Instant,
    batches_max: u32,
) -> Result<u64, LedgerError> {
    let mut total = 0;
    let mut left = batches_max;
    while left > 0 && Instant::now() < stop {
        let asked = left.min(BATCHES_PER_ROUND_MAX);
        let unsent = ledger.unsent(asked).await?;
        let sent = send(ledger, handoff, &unsent).await?;
        total += sent;
        if sent < u64::from(asked) {
            break;
        }
        left -= asked;
    }
    Ok(total)
}

/// Sends these batches and marks those that SQS took, unless their messages were at work before the mark.
pub async fn send(ledger: &Ledger, handoff: &Handoff, batches: &[Unsent]) -> Result<u64, LedgerError> {
    if batches.is_empty() {
        return Ok(0);
    }
    let outgoing: Vec<Outgoing> = batches
        .iter()
        .map(|batch| Outgoing {
            batch_id: batch.batch_id,
            migration_id: batch.migration_id,
            lane: Lane::from(batch.priority),
        })
        .collect();
    let sent = match handoff.send(&outgoing).await {
        Ok(sent) => sent,
        Err(error) => {
            tracing::warn!(
                batches = batches.len(),
                "nothing was sent: {error}. {}",
                error.remedy()
            );
            return Ok(0);
        }
    };
    if let Some((batch, reason)) = sent.failed.first() {
        tracing::warn!(
            failed = sent.failed.len(),
            batch = batch.0,
            reason,
            "some batches were not sent"
        );
    }
    let taken: HashSet<BatchId> = sent.sent.into_iter().collect();
    let taken: Vec<Unsent> = batches
        .iter()
        .filter(|batch| taken.contains(&batch.batch_id))
        .copied()
        .collect();
    ledger.mark_sent(&taken).await?;
    Ok(taken.len() as u64)
}
