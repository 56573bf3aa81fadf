//! The messages of a rebuilt batch: each row goes to the batch, or to the list of those that another batch owns.

use super::OwnedElsewhere;
use crate::LedgerError;
use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::ids::BY_HASH;
use crate::db::indices::Indices;
use crate::db::row::{Columns, at};
use crate::db::shape::{List, in_sizes, row_placeholders};
use crate::harvest::SeenMessage;
use granary_domain::{BatchId, IdDigest, MessageId};
use mysql_async::{Params, Row, Value};
use std::collections::HashMap;

const MESSAGE_COLUMNS: &str =
    "batch_id, hash_high, hash_low, message_id, doc_id, index_id, routing, event_time";
const MESSAGE_COLUMNS_COUNT: usize = 8;

/// A message with the halves of its id's hash.
pub(super) struct HashedRow<'a> {
    pub(super) hash: (u64, u64),
    pub(super) message: &'a SeenMessage,
}

/// The rows in the order of the primary key, and those messages that the object holds twice.
pub(super) fn hashed(batch: BatchId, messages: &[SeenMessage]) -> (Vec<HashedRow<'_>>, Vec<OwnedElsewhere>) {
    let mut rows: Vec<HashedRow<'_>> = messages
        .iter()
        .map(|message| HashedRow {
            hash: IdDigest::halves(message.message_id.as_str().as_bytes()),
            message,
        })
        .collect();
    rows.sort_by_key(|row| row.hash);
    let mut twice = Vec::new();
    rows.dedup_by(|later, first| {
        let is_same = later.message.message_id == first.message.message_id;
        if is_same {
            twice.push(owned_by(batch, later));
        }
        is_same
    });
    (rows, twice)
}

fn owned_by(owner: BatchId, row: &HashedRow<'_>) -> OwnedElsewhere {
    OwnedElsewhere {
        message_id: row.message.message_id.clone(),
        owner,
    }
}

/// Inserts what no other batch owns. INSERT IGNORE would hide a value that was cut or changed, too: every row must be inserted
/// or a duplicate, and there may be no other warning.
pub(super) async fn insert_messages<'a>(
    transaction: &mut Transaction,
    doing: Doing,
    batch: BatchId,
    rows: Vec<HashedRow<'a>>,
) -> Result<(Vec<HashedRow<'a>>, Vec<OwnedElsewhere>), LedgerError> {
    let names = rows.iter().map(|row| &*row.message.index);
    let indices = Indices::of(transaction, doing, names).await?;
    let mut owners: HashMap<(u64, u64), BatchId> = HashMap::new();
    for chunk in in_sizes(&rows) {
        let statement = format!(
            "INSERT IGNORE INTO message ({MESSAGE_COLUMNS}) VALUES {}",
            row_placeholders(chunk.len(), MESSAGE_COLUMNS_COUNT)
        );
        let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * MESSAGE_COLUMNS_COUNT);
        for HashedRow { hash, message } in chunk {
            values.extend([
                batch.0.into(),
                hash.0.into(),
                hash.1.into(),
                message.message_id.as_str().into(),
                message.doc_id.as_deref().into(),
                indices.number(&message.index).into(),
                message.routing.as_deref().into(),
                at(message.event_time),
            ]);
        }
        transaction
            .exec_drop(statement, Params::Positional(values))
            .await
            .during(doing)?;
        let known = chunk.len() as u64 - transaction.affected_rows();
        let warnings = u64::from(transaction.get_warnings());
        if warnings != known {
            let reason = format!(
                "{known} of {} rows were known but there are {warnings} warnings",
                chunk.len()
            );
            return Err(LedgerError::inconsistent(doing, reason));
        }
        if known > 0 {
            owners.extend(other_owners(transaction, doing, batch, chunk).await?);
        }
    }
    let (mut kept, mut elsewhere) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        match owners.get(&row.hash) {
            Some(owner) => elsewhere.push(owned_by(*owner, &row)),
            None => kept.push(row),
        }
    }
    Ok((kept, elsewhere))
}

/// Who owns those rows of a chunk that were there before.
async fn other_owners(
    transaction: &mut Transaction,
    doing: Doing,
    batch: BatchId,
    chunk: &[HashedRow<'_>],
) -> Result<HashMap<(u64, u64), BatchId>, LedgerError> {
    let asked: HashMap<(u64, u64), &MessageId> = chunk
        .iter()
        .map(|row| (row.hash, &row.message.message_id))
        .collect();
    let list = List::of(chunk.iter().map(|row| row.hash.0));
    let statement = format!(
        "SELECT hash_high, hash_low, message_id, batch_id FROM message {BY_HASH} \
         WHERE hash_high IN ({list})"
    );
    let rows: Vec<Row> = transaction.exec(statement, list.params()).await.during(doing)?;
    let mut owners = HashMap::new();
    for mut row in rows {
        let hash = (row.column("hash_high")?, row.column("hash_low")?);
        let owner = row.batch_id("batch_id")?;
        let Some(id) = asked.get(&hash).filter(|_| owner != batch) else {
            continue;
        };
        let known = row.text("message_id")?;
        if known != id.as_str() {
            return Err(LedgerError::collision(doing, id.as_str(), &known));
        }
        owners.insert(hash, owner);
    }
    Ok(owners)
}
