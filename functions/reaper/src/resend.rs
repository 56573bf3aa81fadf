//! Resending batches whose messages are lost or hidden.
//!
//! A batch that was sent and not claimed for long waits in the queue behind a backlog, or its message is lost (purged,
//! expired, swallowed), or the queue hides it: its worker died between delivery and claim. Resending all of them every tick
//! would multiply the backlog; resending none would lose a batch for ever. So each queue is asked for itself, since a backlog
//! in one doesn't show that the other was emptied:
//!
//! - Lost: where a queue holds clearly fewer messages than the ledger believes, its old batches are resent. What is older
//!   than the queues' retention is resent in any case.
//! - Hidden: where a queue has shown no visible message for two minutes, the oldest batches are resent, at most as many as
//!   it hides beyond the batches in progress. A second message is harmless: its claim is lost.
//!
//! When a queue or the ledger doesn't answer, nothing is resent; the next tick asks again.

use crate::reap::{Reaper, Tick};
use granary_handoff::{Lane, QueueDepth, send};
use granary_ledger::handoff::Unsent;
use std::time::Duration;

const RESEND_AFTER: Duration = Duration::from_secs(600);
const BATCHES_PER_QUEUE_MAX: u32 = 1_000;
/// SQS counts approximately: fewer by a tenth, and by this many, is clearly fewer.
const DIFFERENCE_MIN: u64 = 1;

impl Reaper {
    /// Resends what is lost or hidden. A queue that can't be asked doesn't keep the other from it.
    pub(crate) async fn resend_lost(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let lost = self.ledger.surely_lost(BATCHES_PER_QUEUE_MAX).await?;
        self.resend(&lost, "their messages are lost", tick).await?;
        let mut first_error = None;
        for lane in Lane::ALL {
            if let Err(error) = self.resend_to(lane, tick).await {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Resends batches of one queue. It is observed even where nothing waits in it by the ledger's account, so that two
    /// idle minutes may be over when something does; then its silence is no error.
    async fn resend_to(&self, lane: Lane, tick: &mut Tick) -> anyhow::Result<()> {
        let believed = self.ledger.believed_in(lane.into()).await?;
        let depth = match self.handoff.depth_of(lane).await {
            Ok(depth) => depth,
            Err(error) if believed == 0 => {
                tracing::debug!(%error, "an idle queue is not observed");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        self.ledger.observe_queue(lane.into(), depth.visible).await?;
        if believed == 0 {
            return Ok(());
        }
        if clearly_fewer(depth.held(), believed) {
            let lost = self
                .ledger
                .perhaps_lost(lane.into(), RESEND_AFTER, BATCHES_PER_QUEUE_MAX)
                .await?;
            if !lost.is_empty() {
                return self.resend(&lost, "their messages are lost", tick).await;
            }
        }
        let hidden = self.hidden_in(lane, depth).await?;
        self.resend(&hidden, "the queue hides their messages", tick).await
    }

    /// The oldest batches of an idle queue, as many as it hides beyond those in progress.
    async fn hidden_in(&self, lane: Lane, depth: QueueDepth) -> anyhow::Result<Vec<Unsent>> {
        if depth.visible > 0 || depth.in_flight == 0 {
            return Ok(Vec::new());
        }
        let in_progress = self.ledger.in_progress_from(lane.into()).await?;
        let hidden = depth.in_flight.saturating_sub(in_progress);
        let most = u32::try_from(hidden)
            .unwrap_or(u32::MAX)
            .min(BATCHES_PER_QUEUE_MAX);
        if most == 0 {
            return Ok(Vec::new());
        }
        Ok(self.ledger.perhaps_hidden(lane.into(), most).await?)
    }

    async fn resend(&self, batches: &[Unsent], why: &'static str, tick: &mut Tick) -> anyhow::Result<()> {
        if batches.is_empty() {
            return Ok(());
        }
        let sending = send(&self.ledger, &self.handoff, batches).await?;
        tracing::warn!(batches = sending.sent, why, "batches resent");
        tick.resent += sending.sent;
        tick.queue_error = tick.queue_error.take().or(sending.error);
        Ok(())
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
