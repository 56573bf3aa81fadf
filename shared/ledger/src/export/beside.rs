//! A new batch beside another one: of the same window, hour, migration and priority. Messages that leave a batch go there,
//! so that each has one owner at any time and the window's account stays as it is.
//!
//! Not here: which messages leave, and what becomes of the batch that they leave (`recall.rs`, `split.rs`). All of it is
//! within the caller's transaction, so an error leaves nothing behind.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::{Ledger, LedgerError};
use granary_domain::BatchId;
use mysql_async::params;

impl Ledger {
    /// Makes a pending batch for so many messages beside a batch whose row the caller has locked. The caller moves them, and counts both
    /// batches again.
    /// The window's row is locked
    /// until the end of the transaction: a page that is recorded meanwhile gets the ordinals after it.
    /// [`LedgerError::OutOfNumbers`]: a block of numbers has to be reserved first.
    pub(crate) async fn make_batch_beside(
        &self,
        transaction: &mut Transaction,
        doing: Doing,
        batch: BatchId,
        messages: u64,
    ) -> Result<BatchId, LedgerError> {
        let place: Option<(u64, u32)> = transaction
            .exec_first(
                "SELECT w.id, w.batches FROM batch b JOIN harvest_window w ON w.id = b.window_id \
                 WHERE b.id = ? FOR UPDATE",
                (batch.0,),
            )
            .await
            .during(doing)?;
        let Some((window, ordinal)) = place else {
            return Err(LedgerError::inconsistent(
                doing,
                format!("batch {batch} has no window"),
            ));
        };
        let made = self.take_number_within(transaction, doing).await?;
        transaction
            .exec_drop(
                "INSERT INTO batch (id, migration_id, window_id, window_ordinal, hour_start, priority, message_count, digest_high, digest_low, \
                 time_from, time_to, copied_from, created_at) SELECT :made, migration_id, window_id, :ordinal, hour_start, priority, \
                 :messages, 0, 0, time_from, time_to, copied_from, UTC_TIMESTAMP(6) \
                 FROM batch WHERE id = :batch",
                params! { "made" => made.0, "ordinal" => ordinal, "messages" => messages, "batch" => batch.0 },
            )
            .await
            .during(doing)?;
        transaction
            .exec_drop(
                "UPDATE harvest_window SET batches = batches + 1 WHERE id = ?",
                (window,),
            )
            .await
            .during(doing)?;
        Ok(made)
    }
}
