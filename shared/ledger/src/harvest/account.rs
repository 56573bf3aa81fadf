//! What becomes of the messages of a page: batches for what is new, a reason for everything else.
//!
//! What the ledger shows to be known by its digests isn't looked at (`known.rs`). What else may be known is looked up, and so is
//! what an insertion ignored: unowned messages are adopted, this window's own count as recorded, others' are owned elsewhere, and
//! batches that lose messages by it are folded together or vanish.
//!
//! Not here: the window's row and its bookmark (`record.rs`). All of it happens within the caller's transaction, so an
//! error leaves nothing behind.

use crate::LedgerError;
use crate::db::connections::Transaction;
use crate::db::indices::Indices;
use crate::db::row::LOOKED_UP_KEYS_MAX;
use crate::harvest::batches::{fold_batches, insert_batches, join_unsent, remove_empty};
use crate::harvest::known::{Rest, take_known};
use crate::harvest::messages::{KnownRow, adopt, insert_messages, known_rows};
use crate::harvest::plan::{PlannedBatch, PlannedRow, distinct, plan};
use crate::harvest::recount::recount;
use crate::harvest::rescan::note_late;
use crate::harvest::{LeasedWindow, SeenMessage};
use granary_domain::{BatchId, Tally};
use granary_steps::Step;
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

const OPERATION: &str = Step::RecordPage.operation();

/// What became of some messages.
#[derive(Debug, Default)]
pub(crate) struct Accounted {
    pub(crate) tally: Tally,
    /// New batches that were planned: they have the window's next ordinals, also where they vanished.
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
    let (mut rows, duplicates) = distinct(messages);
    let mut tally = Tally {
        duplicate: duplicates,
        ..Tally::default()
    };
    let rest = take_known(transaction, window, &mut rows, &mut tally).await?;
    let names = rows.iter().map(|row| &*row.message.index);
    let indices = Indices::of(transaction, OPERATION, names).await?;
    if rest == Rest::PerhapsKnown || window.scan.is_again() {
        take_owned(transaction, window, &mut rows, (&indices, &mut tally)).await?;
    }
    if rows.is_empty() {
        return Ok(Accounted {
            tally,
            ..Accounted::default()
        });
    }
    let mut batches = numbered(plan(&mut rows, window.batch_size), numbers)?;
    if window.scan.is_again() {
        join_unsent(transaction, window, &mut batches).await?;
    }
    insert_batches(transaction, window, &batches, ordinal).await?;
    let ignored = insert_messages(transaction, OPERATION, &mut rows, &batches, &indices).await?;
    let mut changed: BTreeSet<BatchId> = joined(&batches).collect();
    let mut known = HashSet::new();
    if ignored > 0 {
        let found =
            account_for_known(transaction, window, &rows, (&mut batches, &indices, &mut tally)).await?;
        if found.known.len() as u64 != ignored {
            let reason = format!("{ignored} rows were known, and {} were found", found.known.len());
            return Err(LedgerError::inconsistent(OPERATION, reason));
        }
        fold_batches(transaction, &mut batches, window.batch_size).await?;
        remove_empty(transaction, &batches).await?;
        changed.extend(
            batches
                .iter()
                .filter(|batch| batch.kept > 0)
                .map(|batch| batch.id),
        );
        changed.extend(found.losing);
        known = found.known;
    }
    recount(transaction, OPERATION, &Vec::from_iter(changed)).await?;
    tally.recorded += (rows.len() - known.len()) as u64;
    if window.scan.is_again() {
        let new = rows.iter().filter(|row| !known.contains(&row.hash));
        note_late(transaction, window, new.map(|row| row.message.event_time)).await?;
    }
    Ok(Accounted {
        tally,
        batches_planned: (batches.len() - joined(&batches).count()) as u32,
        batches_kept: batches.iter().filter(|batch| batch.kept > 0).count() as u32,
    })
}

fn numbered(mut batches: Vec<PlannedBatch>, numbers: Range<u64>) -> Result<Vec<PlannedBatch>, LedgerError> {
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
    Ok(batches)
}

fn joined(batches: &[PlannedBatch]) -> impl Iterator<Item = BatchId> {
    batches
        .iter()
        .filter(|batch| batch.is_joined)
        .map(|batch| batch.id)
}

/// Takes what is owned from `rows`, and counts it.
async fn take_owned(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    rows: &mut Vec<PlannedRow<'_>>,
    (indices, tally): (&Indices, &mut Tally),
) -> Result<(), LedgerError> {
    let mut owned = HashSet::new();
    for chunk in rows.chunks(LOOKED_UP_KEYS_MAX) {
        let chunk: Vec<&PlannedRow<'_>> = chunk.iter().collect();
        let known = known_rows(transaction, OPERATION, &chunk, false).await?;
        for row in chunk {
            if let Some(earlier) = known.get(&row.hash)
                && count(window, row, earlier, (indices, tally))
            {
                owned.insert(row.hash);
            }
        }
    }
    rows.retain(|row| !owned.contains(&row.hash));
    Ok(())
}

/// What an insertion ignored.
struct Found {
    /// By their hashes.
    known: HashSet<u128>,
    /// Batches that adopted messages were taken from.
    losing: BTreeSet<BatchId>,
}

/// Says of every ignored row why it was known.
async fn account_for_known(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    rows: &[PlannedRow<'_>],
    (batches, indices, tally): (&mut [PlannedBatch], &Indices, &mut Tally),
) -> Result<Found, LedgerError> {
    let made_here: HashSet<BatchId> = batches.iter().map(|batch| batch.id).collect();
    let mut found = Found {
        known: HashSet::new(),
        losing: BTreeSet::new(),
    };
    for chunk in rows.chunks(LOOKED_UP_KEYS_MAX) {
        let chunk: Vec<&PlannedRow<'_>> = chunk.iter().collect();
        let mut known = known_rows(transaction, OPERATION, &chunk, true).await?;
        known.retain(|_, row| !made_here.contains(&row.batch));
        let mut adopted: Vec<&PlannedRow<'_>> = Vec::new();
        for row in chunk {
            let Some(earlier) = known.get(&row.hash) else {
                continue;
            };
            found.known.insert(row.hash);
            if count(window, row, earlier, (indices, tally)) {
                batches[row.batch].kept -= 1;
            } else {
                tally.adopted += 1;
                found.losing.insert(earlier.batch);
                adopted.push(row);
            }
        }
        adopt(transaction, OPERATION, &adopted, batches, indices).await?;
    }
    Ok(found)
}

/// Counts a row that is owned. `false`: it is unowned.
fn count(
    window: &LeasedWindow,
    row: &PlannedRow<'_>,
    earlier: &KnownRow,
    (indices, tally): (&Indices, &mut Tally),
) -> bool {
    let Some(owner) = earlier.window else { return false };
    if !earlier.is_of(row, indices) {
        tally.duplicate += 1;
    } else if owner == window.id {
        // Read again after a lost point in time or a restart: this window recorded it before.
        tally.recorded += 1;
    } else {
        tally.owned_elsewhere += 1;
    }
    true
}
