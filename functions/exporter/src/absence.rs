//! A batch most of which is missing: it is deferred once, with an alert, and looked for once more before it is
//! completed without those messages. An index that is being restored or recreated looks like one that was deleted for good.
//!
//! Not here: the proof that a single message is missing (the source's), nor the alert (the reaper raises it for the cause).

use crate::export::Exporter;
use crate::failure::ledger_failure;
use granary_domain::{Cause, Failure, Outcome};
use granary_ledger::export::{ClaimedBatch, Exception};

impl Exporter {
    /// An error: more than half of the batch is missing, and this is the first attempt that finds it so.
    pub(crate) async fn confirm_absence(
        &self,
        batch: &ClaimedBatch,
        exceptions: &[Exception],
    ) -> Result<(), Failure> {
        let is_missing = |exception: &&Exception| exception.outcome == Outcome::Missing;
        let missing = exceptions.iter().filter(is_missing).count();
        if missing * 2 <= batch.message_count as usize {
            return Ok(());
        }
        if self
            .ledger
            .was_mostly_missing(batch)
            .await
            .map_err(ledger_failure)?
        {
            return Ok(());
        }
        let reason = exceptions
            .iter()
            .find(is_missing)
            .map_or("", |exception| exception.reason.as_str());
        Err(Failure {
            cause: Cause::MostlyMissing,
            text: format!(
                "{missing} of {} messages are missing ({reason}); they are looked for once more in 15 minutes",
                batch.message_count
            ),
        })
    }
}
