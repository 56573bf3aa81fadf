//! Message rows: inserted, looked up by their hashes, and given to another batch.

use crate::LedgerError;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::ids::BY_HASH;
use crate::db::indices::Indices;
use crate::db::row::{Columns, at};
use crate::db::shape::{List, in_sizes, row_placeholders};
use crate::harvest::plan::{PlannedBatch, PlannedRow};
use granary_domain::{BatchId, WindowId};
use mysql_async::{Params, Row, Value};
use std::collections::{HashMap, HashSet};

const COLUMNS: &str = "batch_id, hash_high, hash_low, message_id, doc_id, index_id, routing, event_time";
const COLUMNS_COUNT: usize = 8;

/// Inserts what is new, in the order of the hashes, and counts the rest. INSERT IGNORE would hide a value that
/// was cut or changed, too: every row must be inserted or a duplicate, and there may be no other warning.
pub(crate) async fn insert_messages(
    transaction: &mut Transaction,
    operation: &'static str,
    rows: &mut [PlannedRow<'_>],
    batches: &[PlannedBatch],
    indices: &Indices,
) -> Result<u64, LedgerError> {
    rows.sort_unstable_by_key(|row| row.hash);
    let mut ignored = 0;
    for chunk in in_sizes(rows) {
        let statement = format!(
            "INSERT IGNORE INTO message ({COLUMNS}) VALUES {}",
            row_placeholders(chunk.len(), COLUMNS_COUNT)
        );
        let values = values_of(chunk.iter(), batches, indices);
        transaction
            .exec_drop(statement, Params::Positional(values))
            .await
            .during(operation)?;
        let duplicates = chunk.len() as u64 - transaction.affected_rows();
        let warnings = u64::from(transaction.get_warnings());
        if warnings != duplicates {
            let reason = format!(
                "{duplicates} of {} rows were known but there are {warnings} warnings",
                chunk.len()
            );
            return Err(LedgerError::inconsistent(operation, reason));
        }
        ignored += duplicates;
    }
    Ok(ignored)
}

/// Gives messages that are unowned to this window's batches, as the source shows them now.
pub(crate) async fn adopt(
    transaction: &mut Transaction,
    operation: &'static str,
    rows: &[&PlannedRow<'_>],
    batches: &[PlannedBatch],
    indices: &Indices,
) -> Result<(), LedgerError> {
    for chunk in in_sizes(rows) {
        let statement = format!(
            "INSERT INTO message ({COLUMNS}) VALUES {} ON DUPLICATE KEY UPDATE doc_id = VALUES(doc_id), \
             index_id = VALUES(index_id), routing = VALUES(routing), event_time = VALUES(event_time), \
             batch_id = VALUES(batch_id), outcome = NULL, reason = NULL",
            row_placeholders(chunk.len(), COLUMNS_COUNT)
        );
        let values = values_of(chunk.iter().copied(), batches, indices);
        transaction
            .exec_drop(statement, Params::Positional(values))
            .await
            .during(operation)?;
    }
    Ok(())
}

fn values_of<'a>(
    rows: impl Iterator<Item = &'a PlannedRow<'a>>,
    batches: &[PlannedBatch],
    indices: &Indices,
) -> Vec<Value> {
    rows.flat_map(|row| {
        let message = row.message;
        [
            batches[row.batch].id.0.into(),
            ((row.hash >> 64) as u64).into(),
            (row.hash as u64).into(),
            message.message_id.as_str().into(),
            message.doc_id.as_deref().into(),
            indices.number(&message.index).into(),
            message.routing.as_deref().into(),
            at(message.event_time),
        ]
    })
    .collect()
}

/// A row that was there before this page.
pub(crate) struct KnownRow {
    doc_id: Option<String>,
    index: u32,
    pub(crate) batch: BatchId,
    /// Of its owner; `None`: its batch is cancelled, or isn't there, so that it is unowned.
    pub(crate) window: Option<WindowId>,
}

impl KnownRow {
    /// Whether it is the document that the page shows.
    pub(crate) fn is_of(&self, row: &PlannedRow<'_>, indices: &Indices) -> bool {
        self.index == indices.number(&row.message.index) && self.doc_id == row.message.doc_id
    }
}

/// Of these messages, those that the ledger has, by their hashes, each with the window that owns it.
pub(crate) async fn known_rows(
    transaction: &mut Transaction,
    operation: &'static str,
    rows: &[&PlannedRow<'_>],
    lock: bool,
) -> Result<HashMap<u128, KnownRow>, LedgerError> {
    let mut known = rows_by_hash(transaction, operation, rows, lock).await?;
    let batches = known.values().map(|row| row.batch);
    let windows = windows_of_owners(transaction, operation, batches).await?;
    for row in known.values_mut() {
        row.window = windows.get(&row.batch).copied();
    }
    Ok(known)
}

/// The same, whoever owns them. Two ids with one hash can't both be in the ledger: that is an error, and names them.
///
/// `lock`: the rows stay as they are until the end of the transaction. They are locked by their keys and in their order: harvesters
/// whose pages have no id in common don't wait for each other.
pub(crate) async fn rows_by_hash(
    transaction: &mut Transaction,
    operation: &'static str,
    rows: &[&PlannedRow<'_>],
    lock: bool,
) -> Result<HashMap<u128, KnownRow>, LedgerError> {
    let list = List::of(rows.iter().map(|row| (row.hash >> 64) as u64));
    let lock = if lock { " FOR UPDATE" } else { "" };
    let query = format!(
        "SELECT hash_high, hash_low, message_id, doc_id, index_id, batch_id FROM message {BY_HASH} \
         WHERE hash_high IN ({list}){lock}"
    );
    let found: Vec<Row> = transaction.exec(query, list.params()).await.during(operation)?;
    let ids: HashMap<u128, &str> = rows
        .iter()
        .map(|row| (row.hash, row.message.message_id.as_str()))
        .collect();
    let mut known = HashMap::with_capacity(found.len());
    for mut row in found {
        let (high, low): (u64, u64) = (row.column("hash_high")?, row.column("hash_low")?);
        let hash = u128::from(high) << 64 | u128::from(low);
        let Some(wanted) = ids.get(&hash) else { continue };
        let id = row.text("message_id")?;
        if id != *wanted {
            return Err(LedgerError::collision(operation, wanted, &id));
        }
        let row = KnownRow {
            doc_id: row.text_or_null("doc_id")?,
            index: row.column("index_id")?,
            batch: row.batch_id("batch_id")?,
            window: None,
        };
        known.insert(hash, row);
    }
    Ok(known)
}

/// The windows of the batches that own something. A cancellation waits until the page is recorded: it locks the windows first.
async fn windows_of_owners(
    transaction: &mut Transaction,
    operation: &'static str,
    batches: impl Iterator<Item = BatchId>,
) -> Result<HashMap<BatchId, WindowId>, LedgerError> {
    let batches: HashSet<BatchId> = batches.collect();
    if batches.is_empty() {
        return Ok(HashMap::new());
    }
    let list = List::of(batches.into_iter().map(|id| id.0));
    let query = format!("SELECT id, window_id FROM batch WHERE id IN ({list}) AND status <> 'cancelled'");
    let rows: Vec<(u64, u64)> = transaction.exec(query, list.params()).await.during(operation)?;
    Ok(rows
        .into_iter()
        .map(|(batch, window)| (BatchId(batch), WindowId(window)))
        .collect())
}
