//! What a batch row says about its messages: how many it owns, the digest of their ids, and their first and last event time.
//!
//! Every transaction that changes the owner of messages counts the batches again that it took them from, and those that it gave
//! them to. So the rows of a batch need not be read to know whether a set of ids is the batch's.

use crate::LedgerError;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::LOOKED_UP_KEYS_MAX;
use crate::db::shape::List;
use granary_domain::BatchId;

/// 2^64: the sums of a digest wrap.
const WRAP: &str = "18446744073709551616";

/// Has these batches say what their message rows hold now.
pub(crate) async fn recount(
    transaction: &mut Transaction,
    operation: impl Into<&'static str>,
    batches: &[BatchId],
) -> Result<(), LedgerError> {
    let operation = operation.into();
    for chunk in batches.chunks(LOOKED_UP_KEYS_MAX) {
        let list = List::of(chunk.iter().map(|batch| batch.0));
        // Another transaction may be moving messages of the same batch: what it left is counted, not what it found.
        let query = format!("SELECT id FROM batch WHERE id IN ({list}) ORDER BY id FOR UPDATE");
        let _locked: Vec<u64> = transaction.exec(query, list.params()).await.during(operation)?;
        let statement = format!(
            "UPDATE batch b LEFT JOIN (SELECT batch_id, COUNT(*) AS owned, \
             CAST(SUM(hash_high) % {WRAP} AS UNSIGNED) AS high, CAST(SUM(hash_low) % {WRAP} AS UNSIGNED) AS low, \
             MIN(event_time) AS earliest, MAX(event_time) AS latest \
             FROM message WHERE batch_id IN ({list}) GROUP BY batch_id) m ON m.batch_id = b.id \
             SET b.message_count = COALESCE(m.owned, 0), b.digest_high = COALESCE(m.high, 0), \
             b.digest_low = COALESCE(m.low, 0), b.time_from = m.earliest, b.time_to = m.latest WHERE b.id IN ({list})"
        );
        transaction
            .exec_drop(statement, list.params_twice())
            .await
            .during(operation)?;
    }
    Ok(())
}
