//! What an earlier attempt at a batch said of messages that are gone: where it was more than half of them, it deferred the
//! batch, and the next one only confirms it. Not here: what counts as gone (the source decides).

use crate::export::ClaimedBatch;
use crate::{Ledger, LedgerError};
use granary_domain::Cause;

impl Ledger {
    /// Whether an attempt of this generation was deferred because most messages were missing. Its row was written with
    /// its fence, and its delay is over: the batch was claimed again.
    pub async fn was_mostly_missing(&self, batch: &ClaimedBatch) -> Result<bool, LedgerError> {
        self.read("read what an earlier attempt missed", |mut reader| async move {
            let rows: Vec<u8> = reader
                .rows(
                    "SELECT 1 FROM attempt WHERE batch_id = ? AND generation = ? AND error_code = ? LIMIT 1",
                    (batch.id.0, batch.generation.0, Cause::MostlyMissing.as_str()),
                )
                .await?;
            Ok(!rows.is_empty())
        })
        .await
    }
}
