//! The messages of a rebuilt batch: each row goes to the batch, or to the list of those that another batch owns.

use super::OwnedElsewhere;
use crate::LedgerError;
use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::indices::Indices;
use crate::db::row::LOOKED_UP_KEYS_MAX;
use crate::harvest::SeenMessage;
use crate::harvest::messages::{insert_messages, rows_by_hash};
use crate::harvest::plan::{PlannedBatch, PlannedRow, distinct};
use granary_domain::{BatchId, MessageId};
use std::collections::{HashMap, HashSet};

/// Inserts what no other batch owns. Says what the batch's row has to say of it, and what is left out: the messages of other batches,
/// and those that the object holds a second time. `None`: the batch owns nothing.
pub(super) async fn insert_unowned(
    transaction: &mut Transaction,
    doing: Doing,
    batch: BatchId,
    messages: &[SeenMessage],
) -> Result<(Option<PlannedBatch>, Vec<OwnedElsewhere>), LedgerError> {
    let operation = doing.into();
    let (mut rows, _) = distinct(messages);
    let Some(planned) = PlannedBatch::of(batch, &rows) else {
        return Ok((None, Vec::new()));
    };
    let mut elsewhere = held_twice(batch, messages);
    let names = rows.iter().map(|row| &*row.message.index);
    let indices = Indices::of(transaction, operation, names).await?;
    let ignored = insert_messages(transaction, operation, &mut rows, &[planned], &indices).await?;
    if ignored == 0 {
        return Ok((Some(planned), elsewhere));
    }
    let mut owners: HashMap<u128, BatchId> = HashMap::new();
    for chunk in rows.chunks(LOOKED_UP_KEYS_MAX) {
        let chunk: Vec<&PlannedRow<'_>> = chunk.iter().collect();
        let known = rows_by_hash(transaction, operation, &chunk, false).await?;
        let owned = known.into_iter().map(|(hash, row)| (hash, row.batch));
        owners.extend(owned.filter(|(_, owner)| *owner != batch));
    }
    rows.retain(|row| {
        let owner = owners.get(&row.hash);
        elsewhere.extend(owner.map(|owner| owned_by(*owner, &row.message.message_id)));
        owner.is_none()
    });
    Ok((PlannedBatch::of(batch, &rows), elsewhere))
}

fn held_twice(batch: BatchId, messages: &[SeenMessage]) -> Vec<OwnedElsewhere> {
    let mut seen = HashSet::with_capacity(messages.len());
    let ids = messages.iter().map(|message| &message.message_id);
    let again = ids.filter(|id| !seen.insert(id.as_str()));
    again.map(|id| owned_by(batch, id)).collect()
}

fn owned_by(owner: BatchId, message: &MessageId) -> OwnedElsewhere {
    OwnedElsewhere {
        message_id: message.clone(),
        owner,
    }
}
