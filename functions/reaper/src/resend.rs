//! Sending again what was sent and got lost.
//!
//! A batch that was sent and not claimed for long is either still waiting in the queue, behind a backlog, or its
//! message is gone (purged, expired, swallowed). Sending all of them again every tick would multiply the backlog; sending
//! none would lose a batch for ever. So each queue is asked: only where it holds clearly fewer messages than the ledger
//! believes are its old batches sent again. Each for itself, since a backlog in one would hide that the other was emptied.
//! What is older than the queues' retention is sent whatever they say.

use crate::reap::Reaper;
use granary_handoff::{Lane, send};
use granary_ledger::Unsent;
use std::time::Duration;

const RESEND_AFTER: Duration = Duration::from_secs(600);
const BATCHES_PER_QUEUE_MAX: u32 = 1_000;
/// SQS counts approximately: fewer by a tenth, and by this many, is clearly fewer.
const DIFFERENCE_MIN: u64 = 1;

impl Reaper {
    /// Sends again what is lost. Says how many.
    pub(crate) async fn resend_lost(&self) -> anyhow::Result<u64> {
        let mut lost = self.ledger.surely_lost(BATCHES_PER_QUEUE_MAX).await?;
        if lost.is_empty() {
            for lane in Lane::ALL {
                lost.extend(self.lost_from(lane).await?);
            }
        }
        if lost.is_empty() {
            return Ok(0);
        }
        let sent = send(&self.ledger, &self.handoff, &lost).await?;
        tracing::warn!(batches = sent, "sent again: their messages got lost");
        Ok(sent)
    }

    /// Old batches of one queue, if it lacks messages.
    async fn lost_from(&self, lane: Lane) -> anyhow::Result<Vec<Unsent>> {
        let candidates = self
            .ledger
            .perhaps_lost(lane.into(), RESEND_AFTER, BATCHES_PER_QUEUE_MAX)
            .await?;
        if candidates.is_empty() || !self.lacks_messages(lane).await? {
            return Ok(Vec::new());
        }
        Ok(candidates)
    }

    async fn lacks_messages(&self, lane: Lane) -> anyhow::Result<bool> {
        let believed = self.ledger.believed_in(lane.into()).await?;
        let held = self.handoff.depth_of(lane).await?.held();
        Ok(clearly_fewer(held, believed))
    }
}

fn clearly_fewer(held: u64, believed: u64) -> bool {
    let difference = believed.saturating_sub(held);
    difference >= DIFFERENCE_MIN && difference * 10 > believed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_holds_nearly_what_is_believed_lacks_nothing() {
        assert!(!clearly_fewer(100, 100));
        assert!(!clearly_fewer(95, 100));
        assert!(!clearly_fewer(120, 100));
        assert!(clearly_fewer(80, 100));
        assert!(clearly_fewer(0, 1));
    }
}
