//! Making good what a purge of a queue took with it, once SQS is certainly through with it.
//!
//! The operator puts batches back as soon as it has purged; what was sent while SQS was still at it, and what the operator
//! had no time for, is put back here, and sent by the next tick. Where this step fails, the next tick does the same again.

use crate::reap::{Reaper, Tick};
use granary_environment::Deadline;

impl Reaper {
    /// Puts back what noted purges took, and forgets the notes. What this tick has no time for is left to the next.
    pub(crate) async fn make_purges_good(&self, deadline: Deadline, tick: &mut Tick) -> anyhow::Result<()> {
        for note in self.ledger.noted_purges().await? {
            if !note.is_settled {
                continue;
            }
            loop {
                if deadline.is_near() {
                    return Ok(());
                }
                let batches = self.ledger.put_back(&note).await?;
                tick.put_back += batches;
                if batches == 0 {
                    break;
                }
            }
            self.ledger.forget_purge(&note).await?;
            tracing::info!(queue = note.queue.as_str(), "what a purge took is put back");
        }
        Ok(())
    }
}
