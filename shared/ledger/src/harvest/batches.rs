//! The batch rows of a page: made as planned, joined where one of the hour wasn't sent yet, folded and removed where most of what was
//! planned turned out to be known. The caller's transaction made them, so no other has seen them.

use crate::LedgerError;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::{LOOKED_UP_KEYS_MAX, at, uuid};
use crate::db::shape::{List, in_sizes};
use crate::harvest::LeasedWindow;
use crate::harvest::plan::{PlannedBatch, folds};
use granary_domain::BatchId;
use granary_steps::Step;
use mysql_async::{Params, Value, params};
use std::collections::BTreeSet;

const OPERATION: &str = Step::RecordPage.operation();

/// What a re-scan found in an hour goes into a batch of the window and that hour which no worker has seen, if there is one with room:
/// the pages of a re-scan would make an object each otherwise. Such a batch isn't sent before the re-scan is over (`outbox.rs`).
pub(crate) async fn join_unsent(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    batches: &mut [PlannedBatch],
) -> Result<(), LedgerError> {
    let mut joined: BTreeSet<BatchId> = BTreeSet::new();
    for batch in batches.iter_mut() {
        let unsent: Option<u64> = transaction
            .exec_first(
                "SELECT id FROM batch FORCE INDEX (batch_open_hour) WHERE status = 'pending' AND hour_start = :hour \
                 AND window_id = :window AND fence = 0 AND enqueued_at IS NULL AND settled_at IS NULL \
                 AND message_count <= :room ORDER BY id DESC LIMIT 1 FOR UPDATE",
                params! {
                    "hour" => at(batch.hour.start()), "window" => window.id.0,
                    "room" => window.batch_size.saturating_sub(batch.planned),
                },
            )
            .await
            .during(OPERATION)?;
        let Some(id) = unsent.map(BatchId).filter(|id| joined.insert(*id)) else {
            continue;
        };
        batch.id = id;
        batch.is_joined = true;
    }
    Ok(())
}

/// Makes the rows of the planned batches that are new.
pub(crate) async fn insert_batches(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    batches: &[PlannedBatch],
    first_ordinal: u32,
) -> Result<(), LedgerError> {
    let new: Vec<&PlannedBatch> = batches.iter().filter(|batch| !batch.is_joined).collect();
    let mut ordinals = first_ordinal..;
    for chunk in in_sizes(&new) {
        let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * 11);
        for (batch, ordinal) in chunk.iter().zip(&mut ordinals) {
            let (high, low) = batch.digest.sums();
            values.extend([
                batch.id.0.into(),
                uuid(window.migration_id),
                window.id.0.into(),
                ordinal.into(),
                at(batch.hour.start()),
                u8::from(window.priority).into(),
                batch.planned.into(),
                high.into(),
                low.into(),
                at(batch.time_from),
                at(batch.time_to),
            ]);
        }
        let rows = vec!["(?,?,?,?,?,?,?,?,?,?,?,UTC_TIMESTAMP(6))"; chunk.len()].join(",");
        let statement = format!(
            "INSERT INTO batch (id, migration_id, window_id, window_ordinal, hour_start, priority, message_count, \
             digest_high, digest_low, time_from, time_to, created_at) VALUES {rows}"
        );
        transaction
            .exec_drop(statement, Params::Positional(values))
            .await
            .during(OPERATION)?;
    }
    Ok(())
}

/// Where most of a page was known, what is left is spread thinly over the planned batches: neighbours of one hour
/// that fit into one batch become one, so that a second reading doesn't make many small objects.
pub(crate) async fn fold_batches(
    transaction: &mut Transaction,
    batches: &mut [PlannedBatch],
    batch_size: u32,
) -> Result<(), LedgerError> {
    for (into, from) in folds(batches, batch_size) {
        let list = List::of(from.into_iter().map(|id| id.0));
        let statement = format!("UPDATE message SET batch_id = ? WHERE batch_id IN ({list})");
        transaction
            .exec_drop(statement, list.params_after([into.0.into()]))
            .await
            .during(OPERATION)?;
    }
    Ok(())
}

/// Removes the new ones that were given nothing.
pub(crate) async fn remove_empty(
    transaction: &mut Transaction,
    batches: &[PlannedBatch],
) -> Result<(), LedgerError> {
    let empty: Vec<BatchId> = batches
        .iter()
        .filter(|batch| batch.kept == 0 && !batch.is_joined)
        .map(|batch| batch.id)
        .collect();
    for chunk in empty.chunks(LOOKED_UP_KEYS_MAX) {
        let list = List::of(chunk.iter().map(|batch| batch.0));
        let statement = format!("DELETE FROM batch WHERE id IN ({list})");
        transaction
            .exec_drop(statement, list.params())
            .await
            .during(OPERATION)?;
    }
    Ok(())
}
