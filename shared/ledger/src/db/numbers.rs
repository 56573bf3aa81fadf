//! Batch numbers: the counter, the block that is open, and whether this is a restored ledger.
//!
//! Every batch gets its number here and nowhere else. A number is given out only from a block whose end is in the archive's
//! mark (`granary-numbering` sees to that), and only to a process that reserved a block itself since it started: what a
//! restored ledger believes of the numbers that were in use is not enough. Numbers that are taken and not used are left out.
//!
//! A ledger that is behind the mark, or behind what this very process was given, was restored from a backup or emptied. That
//! is written down (`control`), with an alert, until an operator confirms it.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::Columns;
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, NumberMark};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers that are reserved at once.
pub const NUMBERS_PER_BLOCK: u64 = 10_000;
const RESTORED: &str = "ledger.restored";
/// The kind of the alert about a restored ledger.
const RESTORED_ALERT: &str = "ledger_restored";

/// Numbers that were reserved together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberBlock {
    /// The first.
    pub first: BatchId,
    /// The last.
    pub last: BatchId,
}

/// That the ledger was restored from a backup or emptied, as long as no operator has confirmed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredLedger {
    /// When it was noticed.
    pub noticed_at: Timestamp,
    /// What was noticed, for people.
    pub text: String,
}

/// The first number that this process may be given; 0: it has reserved no block yet. In memory only, on purpose.
#[derive(Debug, Default)]
pub(crate) struct Floor(AtomicU64);

/// The counter's row, locked.
struct Counter {
    next: u64,
    block_end: u64,
    intended_to: u64,
}

impl Ledger {
    /// Takes so many consecutive numbers from the open block. [`LedgerError::OutOfNumbers`]: reserve another block first.
    pub(crate) async fn take_numbers(&self, count: usize) -> Result<Range<u64>, LedgerError> {
        let count = count as u64;
        if count == 0 {
            return Ok(0..0);
        }
        let floor = self.floor.0.load(Ordering::SeqCst);
        if floor == 0 {
            return Err(LedgerError::OutOfNumbers { needed: count });
        }
        let taken = self
            .change(Step::TakeNumbers, |doing| {
                self.try_take_numbers(doing, floor, count)
            })
            .await?;
        self.floor.0.fetch_max(taken.end, Ordering::SeqCst);
        Ok(taken)
    }

    async fn try_take_numbers(
        &self,
        doing: Doing,
        floor: u64,
        count: u64,
    ) -> Result<Range<u64>, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let counter = counter(&mut transaction, doing).await?;
        let taken = counter.next..counter.next.saturating_add(count);
        if counter.next < floor || taken.end > counter.block_end.saturating_add(1) {
            transaction.rollback().await.during(doing)?;
            return Err(LedgerError::OutOfNumbers { needed: count });
        }
        transaction
            .exec_drop(
                "UPDATE batch_number SET next_number = ? WHERE id = 1",
                (taken.end,),
            )
            .await
            .during(doing)?;
        transaction.commit().await.during(doing)?;
        Ok(taken)
    }

    /// Takes one number within the caller's transaction: it is taken when that is committed. A process that has reserved no
    /// block takes it from whichever is open.
    pub(crate) async fn take_number_within(
        &self,
        transaction: &mut Transaction,
        doing: Doing,
    ) -> Result<BatchId, LedgerError> {
        let floor = self.floor.0.load(Ordering::SeqCst);
        let counter = counter(transaction, doing).await?;
        if counter.next < floor || counter.next > counter.block_end {
            return Err(LedgerError::OutOfNumbers { needed: 1 });
        }
        transaction
            .exec_drop(
                "UPDATE batch_number SET next_number = ? WHERE id = 1",
                (counter.next + 1,),
            )
            .await
            .during(doing)?;
        Ok(BatchId(counter.next))
    }

    /// Notes which block is to be reserved, of 10,000 numbers or as many more as are needed: above the mark, and above everything that this ledger knows. Where the ledger is
    /// behind the mark, it notes that it was restored.
    pub async fn intend_block(&self, mark: NumberMark, needed: u64) -> Result<NumberBlock, LedgerError> {
        self.change(Step::IntendNumbers, |doing| {
            self.try_intend_block(doing, mark, needed)
        })
        .await
    }

    async fn try_intend_block(
        &self,
        doing: Doing,
        mark: NumberMark,
        needed: u64,
    ) -> Result<NumberBlock, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let counter = counter(&mut transaction, doing).await?;
        self.note_if_restored(&mut transaction, doing, (&counter, mark))
            .await?;
        let known = counter
            .intended_to
            .max(counter.block_end)
            .max(counter.next.saturating_sub(1));
        let first = known.max(mark.reserved_to.0).max(mark.used_to.0) + 1;
        let last = first + needed.max(1).next_multiple_of(NUMBERS_PER_BLOCK) - 1;
        transaction
            .exec_drop("UPDATE batch_number SET intended_to = ? WHERE id = 1", (last,))
            .await
            .during(doing)?;
        transaction.commit().await.during(doing)?;
        Ok(NumberBlock {
            first: BatchId(first),
            last: BatchId(last),
        })
    }

    /// Opens a block whose end is in the mark by now: this process may be given numbers from here on.
    pub async fn open_block(&self, block: NumberBlock) -> Result<(), LedgerError> {
        let (first, last) = (block.first.0, block.last.0);
        self.change(Step::OpenNumbers, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "UPDATE batch_number SET next_number = GREATEST(next_number, :first), \
                 block_end = GREATEST(block_end, :last) WHERE id = 1",
                params! { "first" => first, "last" => last },
            )
            .await
            .during(doing)
        })
        .await?;
        self.floor.0.fetch_max(first, Ordering::SeqCst);
        Ok(())
    }

    /// The last number that was given out; notes that the ledger was restored, where it is behind the mark.
    pub async fn compare_with_mark(&self, mark: NumberMark) -> Result<BatchId, LedgerError> {
        self.change(Step::CompareNumbers, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            let counter = counter(&mut transaction, doing).await?;
            self.note_if_restored(&mut transaction, doing, (&counter, mark))
                .await?;
            transaction.commit().await.during(doing)?;
            Ok(BatchId(counter.next.saturating_sub(1)))
        })
        .await
    }

    async fn note_if_restored(
        &self,
        transaction: &mut Transaction,
        doing: Doing,
        (counter, mark): (&Counter, NumberMark),
    ) -> Result<(), LedgerError> {
        let reserved = counter.block_end.max(counter.intended_to);
        let given = counter.next.saturating_sub(1);
        let floor = self.floor.0.load(Ordering::SeqCst);
        let known_to = mark.used_to.0.max(floor.saturating_sub(1));
        if mark.reserved_to.0 <= reserved && known_to <= given {
            return Ok(());
        }
        let text = format!(
            "the ledger was restored from a backup, or emptied: it knows batch numbers up to {given} of {reserved} that it \
             reserved, and the archive knows {known_to} of {}. Numbering continues above that; nothing is swept until an \
             operator confirms",
            mark.reserved_to
        );
        transaction
            .exec_drop(
                "INSERT INTO control (name, setting, changed_at, changed_by) \
                 VALUES (?, LEFT(?, 255), UTC_TIMESTAMP(6), 'granary') ON DUPLICATE KEY UPDATE name = VALUES(name)",
                (RESTORED, &text),
            )
            .await
            .during(doing)?;
        // What is given out from now on lies above whatever was given out before, and is noticed once.
        let above = mark.reserved_to.0.max(known_to);
        transaction
            .exec_drop(
                "UPDATE batch_number SET next_number = GREATEST(next_number, :next), \
                 intended_to = GREATEST(intended_to, :above) WHERE id = 1",
                params! { "next" => above + 1, "above" => above },
            )
            .await
            .during(doing)?;
        // One alert for each ledger that is behind this mark.
        let subject = format!("{}.{known_to}", mark.reserved_to);
        transaction
            .exec_drop(
                "INSERT INTO alert (kind, subject_key, cause, text, created_at) \
                 VALUES (:kind, :subject, :kind, :text, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE kind = alert.kind",
                params! { "kind" => RESTORED_ALERT, "subject" => subject, "text" => &text },
            )
            .await
            .during(doing)
    }

    /// Whether the ledger was restored, and nobody has confirmed it yet.
    pub async fn restored(&self) -> Result<Option<RestoredLedger>, LedgerError> {
        self.read("ask whether it was restored", |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT setting, changed_at FROM control WHERE name = ?",
                    (RESTORED,),
                )
                .await?;
            row.map(|mut row| {
                Ok(RestoredLedger {
                    noticed_at: row.instant("changed_at")?,
                    text: row.text("setting")?,
                })
            })
            .transpose()
        })
        .await
    }

    /// An operator knows that the ledger was restored: sweeps go on.
    pub async fn confirm_restored(&self) -> Result<(), LedgerError> {
        self.change(Step::ConfirmRestored, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop("DELETE FROM control WHERE name = ?", (RESTORED,))
                .await
                .during(doing)
        })
        .await
    }
}

/// The counter's row, made where there is none, and never behind a batch that is there: an earlier version numbered them
/// without it.
async fn counter(transaction: &mut Transaction, doing: Doing) -> Result<Counter, LedgerError> {
    let mut row = counter_row(transaction, doing).await?;
    if row.is_none() {
        // Only where there is no row: INSERT IGNORE takes a read lock on an existing one, and two transactions that both
        // upgrade it to a write lock deadlock.
        transaction
            .query_drop(
                "INSERT IGNORE INTO batch_number (id, next_number, block_end, intended_to) VALUES (1, 1, 0, 0)",
            )
            .await
            .during(doing)?;
        row = counter_row(transaction, doing).await?;
    }
    let (next, block_end, intended_to) =
        row.ok_or_else(|| LedgerError::inconsistent(doing, "the counter of batch numbers has no row"))?;
    let last: Option<u64> = transaction
        .query_first("SELECT id FROM batch ORDER BY id DESC LIMIT 1")
        .await
        .during(doing)?;
    Ok(Counter {
        next: next.max(last.unwrap_or(0).saturating_add(1)),
        block_end,
        intended_to,
    })
}

async fn counter_row(
    transaction: &mut Transaction,
    doing: Doing,
) -> Result<Option<(u64, u64, u64)>, LedgerError> {
    transaction
        .query_first("SELECT next_number, block_end, intended_to FROM batch_number WHERE id = 1 FOR UPDATE")
        .await
        .during(doing)
}
