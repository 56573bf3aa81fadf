//! Emptying the outbox: what the ledger holds for unsent goes to its queue.

use crate::{Handoff, HandoffError, Lane, Outgoing};
use granary_domain::BatchId;
use granary_ledger::handoff::Unsent;
use granary_ledger::{Ledger, LedgerError};
use std::collections::HashSet;
use std::ops::AddAssign;
use std::time::Instant;

const BATCHES_PER_ROUND_MAX: u32 = 1_000;

/// How sending went.
#[derive(Debug, Clone, Default)]
pub struct Sending {
    /// Batches that were sent.
    pub sent: u64,
    /// Why others were not. They stay unsent for the next tick.
    pub error: Option<HandoffError>,
}

impl Sending {
    /// Whether SQS is out of reach or doesn't answer: nothing else is worth sending before the next tick.
    pub fn is_hopeless(&self) -> bool {
        self.error.as_ref().is_some_and(HandoffError::is_platforms)
    }
}

impl AddAssign for Sending {
    fn add_assign(&mut self, more: Self) {
        self.sent += more.sent;
        self.error = self.error.take().or(more.error);
    }
}

/// Sends what is recorded, due and not sent, until nothing is left that SQS takes, SQS doesn't answer, or `stop` has come.
///
/// Sent first, marked afterwards: dying between the two sends twice, which is harmless. What SQS doesn't take stays
/// unsent for the next tick, so its errors are none of this call's.
pub async fn send_unsent(ledger: &Ledger, handoff: &Handoff, stop: Instant) -> Result<Sending, LedgerError> {
    send_some(ledger, handoff, stop, u32::MAX).await
}

/// The same, for at most so many batches.
pub async fn send_some(
    ledger: &Ledger,
    handoff: &Handoff,
    stop: Instant,
    batches_max: u32,
) -> Result<Sending, LedgerError> {
    let mut total = Sending::default();
    // The urgent ones first, and each queue by itself: one that SQS refuses doesn't keep the other from being served.
    for lane in [Lane::Priority, Lane::Normal] {
        while !total.is_hopeless() && Instant::now() < stop {
            let sent = u32::try_from(total.sent).unwrap_or(u32::MAX);
            let asked = batches_max.saturating_sub(sent).min(BATCHES_PER_ROUND_MAX);
            if asked == 0 {
                break;
            }
            let unsent = ledger.unsent(Some(lane.into()), asked).await?;
            let sending = send(ledger, handoff, &unsent).await?;
            let is_last = unsent.len() < asked as usize || sending.sent == 0 || sending.is_hopeless();
            total += sending;
            if is_last {
                break;
            }
        }
    }
    Ok(total)
}

/// Sends these batches and marks those that SQS took, unless their messages were at work before the mark.
pub async fn send(ledger: &Ledger, handoff: &Handoff, batches: &[Unsent]) -> Result<Sending, LedgerError> {
    if batches.is_empty() {
        return Ok(Sending::default());
    }
    let outgoing: Vec<Outgoing> = batches
        .iter()
        .map(|batch| Outgoing {
            batch_id: batch.batch_id,
            migration_id: batch.migration_id,
            lane: Lane::from(batch.priority),
        })
        .collect();
    let outcome = handoff.send(&outgoing).await;
    if let Some(error) = &outcome.error {
        let (sent, remedy) = (outcome.sent.len(), error.remedy());
        tracing::warn!(
            batches = batches.len(),
            sent,
            "not all was sent: {error}. {remedy}"
        );
    }
    let taken: HashSet<BatchId> = outcome.sent.into_iter().collect();
    let taken: Vec<Unsent> = batches
        .iter()
        .filter(|batch| taken.contains(&batch.batch_id))
        .copied()
        .collect();
    ledger.mark_sent(&taken).await?;
    Ok(Sending {
        sent: taken.len() as u64,
        error: outcome.error,
    })
}
