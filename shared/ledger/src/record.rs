//! Recording a page of ids: every hit gets an owner, or a column in the account that says why not.
//!
//! The common page is new as a whole and costs one INSERT for its batches, one INSERT IGNORE for each 5,000 messages and
//! one UPDATE of the window. Only where rows were ignored is it asked why: known and owned by nobody (adopted),
//! owned by another window, or a second document with the same id. What is in a sealed hour isn't recorded again:
//! it is owned elsewhere, by the sealed row.

use crate::connect::Doing;
use crate::error::During;
use crate::plan::{PlannedBatch, PlannedRow, distinct, folds, plan};
use crate::rescan::note_late;
use crate::row::{Columns, ROWS_PER_STATEMENT_MAX, at, placeholders, uuid};
use crate::sealed::{closed_hours, without_closed};
use crate::window::micros;
use crate::{LeasedWindow, Ledger, LedgerError};
use granary_domain::{BatchId, MessageId, Tally, WindowId};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Params, Row, Transaction, Value, params, prelude::Queryable};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// A message as the source showed it.
#[derive(Debug, Clone)]
pub struct SeenMessage {
    /// Its id.
    pub message_id: MessageId,
    /// The document's `_id`; `None`: the same as the message's id.
    pub doc_id: Option<String>,
    /// The concrete index.
    pub index: Arc<str>,
    /// Custom routing, if any.
    pub routing: Option<String>,
    /// Its event time.
    pub event_time: Timestamp,
}

/// A page of hits, in the order in which the source showed them.
#[derive(Debug)]
pub struct PageOfMessages<'a> {
    /// Hits with a usable id.
    pub messages: &'a [SeenMessage],
    /// Hits without one.
    pub without_id: u64,
    /// What became of the window's hits before this page.
    pub tally_before: Tally,
    /// Where the reading goes on after this page.
    pub bookmark: &'a str,
}

/// What became of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Everything stands in the ledger.
    Done {
        /// The window's account after the page.
        tally: Tally,
        /// Batches that were made and now wait to be sent.
        batches: u32,
    },
    /// The window belongs to somebody else now: nothing was written.
    Refused,
}

const OPERATION: &str = Step::RecordPage.operation();

impl Ledger {
    /// Records one page of a held window and moves its bookmark, in one transaction. The lease is renewed with it.
    pub async fn record_page(
        &self,
        window: &LeasedWindow,
        page: &PageOfMessages<'_>,
        lease: Duration,
    ) -> Result<Recorded, LedgerError> {
        self.change(Step::RecordPage, |doing| {
            self.try_record_page(doing, window, page, lease)
        })
        .await
    }

    async fn try_record_page(
        &self,
        doing: Doing,
        window: &LeasedWindow,
        page: &PageOfMessages<'_>,
        lease: Duration,
    ) -> Result<Recorded, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let recorded = match lock_window(&mut transaction, window).await? {
            WindowNow::Lost => Recorded::Refused,
            WindowNow::AfterThisPage { tally } => Recorded::Done { tally, batches: 0 },
            WindowNow::BeforeThisPage { batches } => {
                let closed = closed_hours(&mut transaction, window, doing).await?;
                let kept = without_closed(page.messages, &closed);
                let messages = kept.as_ref().map_or(page.messages, |(open, _)| open);
                let in_closed_hours = kept.as_ref().map_or(0, |(_, left_out)| *left_out);
                let accounted = record_messages(&mut transaction, window, messages, batches).await?;
                let tally = page.tally_before
                    + Tally {
                        found: page.messages.len() as u64 + page.without_id,
                        without_id: page.without_id,
                        owned_elsewhere: accounted.tally.owned_elsewhere + in_closed_hours,
                        ..accounted.tally
                    };
                let tally = tally
                    .balanced()
                    .map_err(|mismatch| LedgerError::inconsistent(doing, mismatch.to_string()))?;
                move_bookmark(
                    &mut transaction,
                    window,
                    page,
                    tally,
                    (accounted.batches_planned, lease),
                )
                .await?;
                Recorded::Done {
                    tally,
                    batches: accounted.batches_kept,
                }
            }
        };
        transaction.commit().await.during(doing)?;
        Ok(recorded)
    }
}

enum WindowNow {
    Lost,
    BeforeThisPage {
        batches: u32,
    },
    /// This page was committed, and the answer was lost.
    AfterThisPage {
        tally: Tally,
    },
}

/// Locks the window's row for the rest of the transaction, so that whoever takes the window over waits for it.
async fn lock_window(
    transaction: &mut Transaction<'_>,
    window: &LeasedWindow,
) -> Result<WindowNow, LedgerError> {
    let row: Option<Row> = transaction
        .exec_first(
            "SELECT pages, batches, found, recorded, adopted, owned_elsewhere, duplicates, without_id \
             FROM harvest_window WHERE id = ? AND fence = ? AND state = 'harvesting' FOR UPDATE",
            (window.id.0, window.fence.0),
        )
        .await
        .during(OPERATION)?;
    let Some(mut row) = row else {
        return Ok(WindowNow::Lost);
    };
    let pages: u32 = row.column("pages")?;
    if pages == window.pages {
        Ok(WindowNow::BeforeThisPage {
            batches: row.column("batches")?,
        })
    } else if pages == window.pages + 1 {
        Ok(WindowNow::AfterThisPage {
            tally: crate::window::tally_of(&mut row)?,
        })
    } else {
        let reason = format!(
            "window {} is at page {pages}, its harvester at {}",
            window.id, window.pages
        );
        Err(LedgerError::inconsistent(OPERATION, reason))
    }
}

async fn move_bookmark(
    transaction: &mut Transaction<'_>,
    window: &LeasedWindow,
    page: &PageOfMessages<'_>,
    tally: Tally,
    (batches_planned, lease): (u32, Duration),
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "UPDATE harvest_window SET found = :found, recorded = :recorded, adopted = :adopted, \
             owned_elsewhere = :owned_elsewhere, duplicates = :duplicates, without_id = :without_id, \
             bookmark = :bookmark, pages = pages + 1, batches = batches + :batches, \
             lease_until = UTC_TIMESTAMP(6) + INTERVAL :lease MICROSECOND WHERE id = :id",
            params! {
                "found" => tally.found, "recorded" => tally.recorded, "adopted" => tally.adopted,
                "owned_elsewhere" => tally.owned_elsewhere, "duplicates" => tally.duplicate,
                "without_id" => tally.without_id, "bookmark" => page.bookmark, "batches" => batches_planned,
                "lease" => micros(lease), "id" => window.id.0,
            },
        )
        .await
        .during(OPERATION)
}

pub(crate) struct Accounted {
    pub(crate) tally: Tally,
    pub(crate) batches_planned: u32,
    batches_kept: u32,
}

pub(crate) async fn record_messages(
    transaction: &mut Transaction<'_>,
    window: &LeasedWindow,
    messages: &[SeenMessage],
    ordinal: u32,
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
    insert_batches(transaction, window, &mut batches, ordinal).await?;
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

/// Makes the rows of the planned batches and learns their numbers. They are read back by their ordinal: whether
/// auto-increment numbers of one statement are consecutive depends on the server's settings.
async fn insert_batches(
    transaction: &mut Transaction<'_>,
    window: &LeasedWindow,
    batches: &mut [PlannedBatch],
    first_ordinal: u32,
) -> Result<(), LedgerError> {
    for (chunk_at, chunk) in batches.chunks(ROWS_PER_STATEMENT_MAX).enumerate() {
        let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * 6);
        for (at_in_chunk, batch) in chunk.iter().enumerate() {
            let ordinal = first_ordinal as usize + chunk_at * ROWS_PER_STATEMENT_MAX + at_in_chunk;
            values.extend([
                uuid(window.migration_id),
                window.id.0.into(),
                ordinal.into(),
                at(batch.hour.start()),
                u8::from(window.priority).into(),
                batch.planned.into(),
            ]);
        }
        let rows = vec!["(?,?,?,?,?,?,UTC_TIMESTAMP(6))"; chunk.len()].join(",");
        let statement = format!(
            "INSERT INTO batch (migration_id, window_id, window_ordinal, hour_start, priority, message_count, \
             created_at) VALUES {rows}"
        );
        transaction
            .exec_drop(statement, Params::Positional(values))
            .await
            .during(OPERATION)?;
    }
    let ids: Vec<u64> = transaction
        .exec(
            "SELECT id FROM batch WHERE window_id = ? AND window_ordinal >= ? ORDER BY window_ordinal",
            (window.id.0, first_ordinal),
        )
        .await
        .during(OPERATION)?;
    if ids.len() != batches.len() {
        let reason = format!("{} batches were made but {} are there", batches.len(), ids.len());
        return Err(LedgerError::inconsistent(OPERATION, reason));
    }
    batches
        .iter_mut()
        .zip(ids)
        .for_each(|(batch, id)| batch.id = BatchId(id));
    Ok(())
}

/// Inserts what is new, in the order of the primary key, and counts the rest. INSERT IGNORE would hide a value that
/// was cut or changed, too: every row must be inserted or a duplicate, and there may be no other warning.
async fn insert_messages(
    transaction: &mut Transaction<'_>,
    rows: &mut [PlannedRow<'_>],
    batches: &[PlannedBatch],
) -> Result<u64, LedgerError> {
    rows.sort_unstable_by(|left, right| left.message.message_id.cmp(&right.message.message_id));
    let mut ignored = 0;
    for chunk in rows.chunks(ROWS_PER_STATEMENT_MAX) {
        let statement = format!(
            "INSERT IGNORE INTO message ({MESSAGE_COLUMNS}) VALUES {}",
            value_rows(chunk.len())
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

const MESSAGE_COLUMNS: &str = "message_id, doc_id, index_name, routing, event_time, batch_id";

fn value_rows(count: usize) -> String {
    vec!["(?,?,?,?,?,?)"; count].join(",")
}

fn message_values<'a>(
    rows: impl Iterator<Item = &'a PlannedRow<'a>>,
    batches: &[PlannedBatch],
) -> Vec<Value> {
    rows.flat_map(|row| {
        let message = row.message;
        [
            message.message_id.as_str().into(),
            message.doc_id.as_deref().into(),
            (*message.index).into(),
            message.routing.as_deref().into(),
            at(message.event_time),
            batches[row.batch].id.0.into(),
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
/// adopted, and an owner can't be cancelled unseen.
async fn account_for_known(
    transaction: &mut Transaction<'_>,
    window: &LeasedWindow,
    rows: &[PlannedRow<'_>],
    batches: &mut [PlannedBatch],
    tally: &mut Tally,
) -> Result<(), LedgerError> {
    let made_here: HashSet<BatchId> = batches.iter().map(|batch| batch.id).collect();
    for chunk in rows.chunks(ROWS_PER_STATEMENT_MAX) {
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
    transaction: &mut Transaction<'_>,
    chunk: &[PlannedRow<'_>],
) -> Result<HashMap<String, KnownRow>, LedgerError> {
    let statement = format!(
        "SELECT message_id, doc_id, index_name, batch_id FROM message WHERE message_id IN ({}) FOR UPDATE",
        placeholders(chunk.len())
    );
    let ids = chunk
        .iter()
        .map(|row| Value::from(row.message.message_id.as_str()))
        .collect();
    let rows: Vec<Row> = transaction
        .exec(statement, Params::Positional(ids))
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
    transaction: &mut Transaction<'_>,
    owners: impl Iterator<Item = BatchId>,
) -> Result<HashMap<BatchId, WindowId>, LedgerError> {
    let owners: HashSet<BatchId> = owners.collect();
    if owners.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = format!(
        "SELECT id, window_id FROM batch WHERE id IN ({})",
        placeholders(owners.len())
    );
    let ids = owners.iter().map(|id| Value::from(id.0)).collect();
    let rows: Vec<(u64, u64)> = transaction
        .exec(statement, Params::Positional(ids))
        .await
        .during(OPERATION)?;
    Ok(rows
        .into_iter()
        .map(|(batch, window)| (BatchId(batch), WindowId(window)))
        .collect())
}

/// Gives messages that nobody owns to this window's batches, as the source shows them now.
async fn adopt(
    transaction: &mut Transaction<'_>,
    rows: &[&PlannedRow<'_>],
    batches: &[PlannedBatch],
) -> Result<(), LedgerError> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement = format!(
        "INSERT INTO message ({MESSAGE_COLUMNS}) VALUES {} ON DUPLICATE KEY UPDATE doc_id = VALUES(doc_id), \
         index_name = VALUES(index_name), routing = VALUES(routing), event_time = VALUES(event_time), \
         batch_id = VALUES(batch_id), outcome = NULL, reason = NULL",
        value_rows(rows.len())
    );
    let values = message_values(rows.iter().copied(), batches);
    transaction
        .exec_drop(statement, Params::Positional(values))
        .await
        .during(OPERATION)
}

/// Where most of a page was known, what is left is spread thinly over the planned batches: neighbours of one hour
/// that fit into one batch become one, so that a second reading doesn't make many small objects.
async fn fold_batches(
    transaction: &mut Transaction<'_>,
    batches: &mut [PlannedBatch],
    batch_size: u32,
) -> Result<(), LedgerError> {
    for (into, from) in folds(batches, batch_size) {
        let statement = format!(
            "UPDATE message SET batch_id = ? WHERE batch_id IN ({})",
            placeholders(from.len())
        );
        let values = std::iter::once(into)
            .chain(from)
            .map(|id| Value::from(id.0))
            .collect();
        transaction
            .exec_drop(statement, Params::Positional(values))
            .await
            .during(OPERATION)?;
    }
    Ok(())
}

/// Makes each batch as large as what it was given, and removes those that were given nothing. The caller's
/// transaction made them, so nobody has seen them.
async fn keep_what_was_filled(
    transaction: &mut Transaction<'_>,
    batches: &[PlannedBatch],
) -> Result<(), LedgerError> {
    let (empty, filled): (Vec<_>, Vec<_>) = batches.iter().partition(|batch| batch.kept == 0);
    for chunk in empty.chunks(ROWS_PER_STATEMENT_MAX) {
        let statement = format!("DELETE FROM batch WHERE id IN ({})", placeholders(chunk.len()));
        let ids = chunk.iter().map(|batch| Value::from(batch.id.0)).collect();
        transaction
            .exec_drop(statement, Params::Positional(ids))
            .await
            .during(OPERATION)?;
    }
    let shrunk: Vec<_> = filled
        .into_iter()
        .filter(|batch| batch.kept != batch.planned)
        .collect();
    for chunk in shrunk.chunks(ROWS_PER_STATEMENT_MAX) {
        let cases = "WHEN ? THEN ? ".repeat(chunk.len());
        let list = placeholders(chunk.len());
        let statement = format!("UPDATE batch SET message_count = CASE id {cases} END WHERE id IN ({list})");
        let mut values: Vec<Value> = chunk
            .iter()
            .flat_map(|batch| [Value::from(batch.id.0), Value::from(batch.kept)])
            .collect();
        values.extend(chunk.iter().map(|batch| Value::from(batch.id.0)));
        transaction
            .exec_drop(statement, Params::Positional(values))
            .await
            .during(OPERATION)?;
    }
    Ok(())
}
