//! What becomes of the messages of a page: batches for what is new, a reason for everything else.
//!
//! Where every row is new nothing is asked. Rows that were ignored are looked up: nobody's are adopted, this window's own
//! count as recorded, others' are owned elsewhere, and batches that lose messages by it are folded together or vanish.
//!
//! Not here: the window's row and its bookmark (`record.rs`). All of it happens within the caller's transaction, so an
//! error leaves nothing behind.

use crate::LedgerError;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::{BY_KEY, Columns, LOOKED_UP_KEYS_MAX, at, uuid};
use crate::db::shape::{List, in_sizes, padded, row_placeholders};
use crate::harvest::LeasedWindow;
use crate::harvest::SeenMessage;
use crate::harvest::plan::{PlannedBatch, PlannedRow, distinct, folds, plan};
use crate::harvest::rescan::note_late;
use granary_domain::{BatchId, IdDigest, Tally, WindowId};
use granary_steps::Step;
use mysql_async::{Params, Row, Value};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

const OPERATION: &str = Step::RecordPage.operation();

/// What became of some messages.
pub(crate) struct Accounted {
    pub(crate) tally: Tally,
    pub(crate) batches_planned: u32,
    pub(crate) batches_kept: u32,
}

/// Records messages in batches of a window, the first of which gets the number `ordinal` there. `numbers` are at least as
/// many as there are batches.
pub(crate) async fn record_messages(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    messages: &[SeenMessage],
    (ordinal, numbers): (u32, Range<u64>),
) -> Result<Accounted, LedgerError> {
    if messages.is_empty() {
        return Ok(Accounted {
            tally: Tally::default(),
            batches_planned: 0,
            batches_kept: 0,
        });
    }
    let (mut rows, duplicates) = distinct(messages);
    let mut batches = plan(&mut rows, window.batch_size);
    if (batches.len() as u64) > numbers.end - numbers.start {
        let reason = format!(
            "{} batches are planned, {numbers:?} are their numbers",
            batches.len()
        );
        return Err(LedgerError::inconsistent(OPERATION, reason));
    }
    for (batch, number) in batches.iter_mut().zip(numbers) {
        batch.id = BatchId(number);
    }
    insert_batches(transaction, window, &batches, ordinal).await?;
    let ignored = insert_messages(transaction, &mut rows, &batches).await?;
    if window.scan.is_again() && ignored < rows.len() as u64 {
        note_late(transaction, window, &batches).await?;
    }
    let mut tally = Tally {
        duplicate: duplicates,
        ..Tally::default()
    };
    tally.recorded = rows.len() as u64 - ignored;
    batches.iter_mut().for_each(|batch| batch.kept = batch.planned);
    if ignored > 0 {
        account_for_known(transaction, window, &rows, &mut batches, &mut tally).await?;
        fold_batches(transaction, &mut batches, window.batch_size).await?;
        keep_what_was_filled(transaction, &batches).await?;
    }
    let batches_kept = batches.iter().filter(|batch| batch.kept > 0).count();
    Ok(Accounted {
        tally,
        batches_planned: batches.len() as u32,
        batches_kept: batches_kept as u32,
    })
}

/// Makes the rows of the planned batches.
async fn insert_batches(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    batches: &[PlannedBatch],
    first_ordinal: u32,
) -> Result<(), LedgerError> {
    let mut ordinals = first_ordinal..;
    for chunk in in_sizes(batches) {
        let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * 7);
        for (batch, ordinal) in chunk.iter().zip(&mut ordinals) {
            values.extend([
                batch.id.0.into(),
                uuid(window.migration_id),
                window.id.0.into(),
                ordinal.into(),
                at(batch.hour.start()),
                u8::from(window.priority).into(),
                batch.planned.into(),
            ]);
        }
        let rows = vec!["(?,?,?,?,?,?,?,UTC_TIMESTAMP(6))"; chunk.len()].join(",");
        let statement = format!(
            "INSERT INTO batch (id, migration_id, window_id, window_ordinal, hour_start, priority, message_count, \
             created_at) VALUES {rows}"
        );
        transaction
            .exec_drop(statement, Params::Positional(values))
            .await
            .during(OPERATION)?;
    }
    Ok(())
}

/// Inserts what is new, in the order of the primary key, and counts the rest. INSERT IGNORE would hide a value that
/// was cut or changed, too: every row must be inserted or a duplicate, and there may be no other warning.
async fn insert_messages(
    transaction: &mut Transaction,
    rows: &mut [PlannedRow<'_>],
    batches: &[PlannedBatch],
) -> Result<u64, LedgerError> {
    rows.sort_unstable_by(|left, right| left.message.message_id.cmp(&right.message.message_id));
    let mut ignored = 0;
    for chunk in in_sizes(rows) {
        let statement = format!(
            "INSERT IGNORE INTO message ({MESSAGE_COLUMNS}) VALUES {}",
            row_placeholders(chunk.len(), MESSAGE_COLUMNS_COUNT)
        );
        let values = message_values(chunk.iter(), batches);
        transaction
            .exec_drop(statement, Params::Positional(values))
            .await
            .during(OPERATION)?;
        let duplicates = chunk.len() as u64 - transaction.affected_rows();
        let warnings = u64::from(transaction.get_warnings());
        if warnings != duplicates {
            let reason = format!(
                "{duplicates} of {} rows were known but there are {warnings} warnings",
                chunk.len()
            );
            return Err(LedgerError::inconsistent(OPERATION, reason));
        }
        ignored += duplicates;
    }
    Ok(ignored)
}

const MESSAGE_COLUMNS: &str =
    "message_id, doc_id, index_name, routing, event_time, batch_id, hash_high, hash_low";
const MESSAGE_COLUMNS_COUNT: usize = 8;

fn message_values<'a>(
    rows: impl Iterator<Item = &'a PlannedRow<'a>>,
    batches: &[PlannedBatch],
) -> Vec<Value> {
    rows.flat_map(|row| {
        let message = row.message;
        let (high, low) = IdDigest::halves(message.message_id.as_str().as_bytes());
        [
            message.message_id.as_str().into(),
            message.doc_id.as_deref().into(),
            (*message.index).into(),
            message.routing.as_deref().into(),
            at(message.event_time),
            batches[row.batch].id.0.into(),
            high.into(),
            low.into(),
        ]
    })
    .collect()
}

/// A row that was there before this page.
struct KnownRow {
    doc_id: Option<String>,
    index: String,
    owner: Option<BatchId>,
}

/// Says of every ignored row why it was known. The rows are locked, so that what nobody owns stays so until it is
/// adopted, and an owner can't be cancelled unseen. They are locked by their keys and in their order: harvesters whose
/// pages have no id in common don't wait for each other.
async fn account_for_known(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    rows: &[PlannedRow<'_>],
    batches: &mut [PlannedBatch],
    tally: &mut Tally,
) -> Result<(), LedgerError> {
    let made_here: HashSet<BatchId> = batches.iter().map(|batch| batch.id).collect();
    for chunk in rows.chunks(LOOKED_UP_KEYS_MAX) {
        let mut known = known_rows(transaction, chunk).await?;
        known.retain(|_, row| row.owner.is_none_or(|owner| !made_here.contains(&owner)));
        let windows = windows_of_owners(transaction, known.values().filter_map(|row| row.owner)).await?;
        let mut adopted: Vec<&PlannedRow<'_>> = Vec::new();
        for row in chunk {
            let Some(earlier) = known.get(row.message.message_id.as_str()) else {
                continue;
            };
            let same_document = *earlier.index == *row.message.index && earlier.doc_id == row.message.doc_id;
            match earlier.owner.map(|owner| windows.get(&owner) == Some(&window.id)) {
                None => {
                    adopted.push(row);
                    tally.adopted += 1;
                    continue;
                }
                // Read again after a lost point in time or a restart: this window recorded it before.
                Some(true) if same_document => tally.recorded += 1,
                Some(false) if same_document => tally.owned_elsewhere += 1,
                Some(_) => tally.duplicate += 1,
            }
            batches[row.batch].kept -= 1;
        }
        adopt(transaction, &adopted, batches).await?;
    }
    Ok(())
}

async fn known_rows(
    transaction: &mut Transaction,
    chunk: &[PlannedRow<'_>],
) -> Result<HashMap<String, KnownRow>, LedgerError> {
    let list = List::of(chunk.iter().map(|row| row.message.message_id.as_str()));
    let statement = format!(
        "SELECT message_id, doc_id, index_name, batch_id FROM message {BY_KEY} WHERE message_id IN ({list}) FOR UPDATE"
    );
    let rows: Vec<Row> = transaction
        .exec(statement, list.params())
        .await
        .during(OPERATION)?;
    rows.into_iter()
        .map(|mut row| {
            let known = KnownRow {
                doc_id: row.text_or_null("doc_id")?,
                index: row.text("index_name")?,
                owner: row.column::<Option<u64>>("batch_id")?.map(BatchId),
            };
            Ok((row.text("message_id")?, known))
        })
        .collect()
}

async fn windows_of_owners(
    transaction: &mut Transaction,
    owners: impl Iterator<Item = BatchId>,
) -> Result<HashMap<BatchId, WindowId>, LedgerError> {
    let owners: HashSet<BatchId> = owners.collect();
    if owners.is_empty() {
        return Ok(HashMap::new());
    }
    let list = List::of(owners.into_iter().map(|id| id.0));
    let statement = format!("SELECT id, window_id FROM batch WHERE id IN ({list})");
    let rows: Vec<(u64, u64)> = transaction
        .exec(statement, list.params())
        .await
        .during(OPERATION)?;
    Ok(rows
        .into_iter()
        .map(|(batch, window)| (BatchId(batch), WindowId(window)))
        .collect())
}

/// Gives messages that nobody owns to this window's batches, as the source shows them now.
async fn adopt(
    transaction: &mut Transaction,
    rows: &[&PlannedRow<'_>],
    batches: &[PlannedBatch],
) -> Result<(), LedgerError> {
    for chunk in in_sizes(rows) {
        let statement = format!(
            "INSERT INTO message ({MESSAGE_COLUMNS}) VALUES {} ON DUPLICATE KEY UPDATE doc_id = VALUES(doc_id), \
             index_name = VALUES(index_name), routing = VALUES(routing), event_time = VALUES(event_time), \
             batch_id = VALUES(batch_id), outcome = NULL, reason = NULL",
            row_placeholders(chunk.len(), MESSAGE_COLUMNS_COUNT)
        );
        let values = message_values(chunk.iter().copied(), batches);
        transaction
            .exec_drop(statement, Params::Positional(values))
            .await
            .during(OPERATION)?;
    }
    Ok(())
}

/// Where most of a page was known, what is left is spread thinly over the planned batches: neighbours of one hour
/// that fit into one batch become one, so that a second reading doesn't make many small objects.
async fn fold_batches(
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

/// Makes each batch as large as what it was given, and removes those that were given nothing. The caller's
/// transaction made them, so nobody has seen them.
async fn keep_what_was_filled(
    transaction: &mut Transaction,
    batches: &[PlannedBatch],
) -> Result<(), LedgerError> {
    let (empty, filled): (Vec<_>, Vec<_>) = batches.iter().partition(|batch| batch.kept == 0);
    for chunk in empty.chunks(LOOKED_UP_KEYS_MAX) {
        let list = List::of(chunk.iter().map(|batch| batch.id.0));
        let statement = format!("DELETE FROM batch WHERE id IN ({list})");
        transaction
            .exec_drop(statement, list.params())
            .await
            .during(OPERATION)?;
    }
    let shrunk: Vec<_> = filled
        .into_iter()
        .filter(|batch| batch.kept != batch.planned)
        .collect();
    for chunk in shrunk.chunks(LOOKED_UP_KEYS_MAX) {
        let chunk = padded(chunk.to_vec());
        let list = List::of(chunk.iter().map(|batch| batch.id.0));
        let cases = "WHEN ? THEN ? ".repeat(chunk.len());
        let statement = format!("UPDATE batch SET message_count = CASE id {cases} END WHERE id IN ({list})");
        let mut values: Vec<Value> = chunk
            .iter()
            .flat_map(|batch| [Value::from(batch.id.0), Value::from(batch.kept)])
            .collect();
        values.extend(list.into_values());
        transaction
            .exec_drop(statement, Params::Positional(values))
            .await
            .during(OPERATION)?;
    }
    Ok(())
}
