//! Purging: the rows of sealed hours are taken away.
//!
//! In chunks of whole batches, each one transaction: a purge that dies anywhere is gone on with by the next one. Numbers
//! of batches are never used again. What is left of an hour is its seal (`sealed.rs`).
//!
//! Not responsible for when an hour may be sealed (`seal.rs`), nor for the objects, which stay.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::{Columns, at};
use crate::db::shape::List;
use crate::{Ledger, LedgerError};
use granary_domain::{Hour, TimeRange};
use granary_steps::Step;
use mysql_async::{Row, Value, params};

/// What one chunk took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Batches.
    pub batches: u64,
    /// Messages.
    pub messages: u64,
    /// Attempts.
    pub attempts: u64,
}

/// A chunk has at most so many messages, or one batch.
const MESSAGES_PER_CHUNK_MAX: u64 = 10_000;
const BATCHES_PER_CHUNK_MAX: u32 = 500;

impl Ledger {
    /// The first hour in a range that has batches, whatever their status.
    pub async fn next_hour_to_purge(&self, range: TimeRange) -> Result<Option<Hour>, LedgerError> {
        self.read("look for an hour to purge", |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT hour_start FROM batch WHERE hour_start >= :from AND hour_start < :to \
                     ORDER BY hour_start LIMIT 1",
                    params! { "from" => at(range.from()), "to" => at(range.to()) },
                )
                .await?;
            row.map(|mut row| Ok(Hour::of(row.instant("hour_start")?)))
                .transpose()
        })
        .await
    }

    /// Takes the next rows of a sealed hour away. `None`: nothing of it is left.
    pub async fn purge_batches(&self, hour: Hour) -> Result<Option<Purged>, LedgerError> {
        self.change(Step::PurgeBatches, |doing| self.try_purge_batches(doing, hour))
            .await
    }

    async fn try_purge_batches(&self, doing: Doing, hour: Hour) -> Result<Option<Purged>, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let chunk = next_chunk(&mut transaction, doing, hour).await?;
        if chunk.is_empty() {
            transaction
                .exec_drop(
                    "UPDATE sealed_range SET purged_at = UTC_TIMESTAMP(6) WHERE range_from = ? AND purged_at IS NULL",
                    (at(hour.start()),),
                )
                .await
                .during(doing)?;
            transaction.commit().await.during(doing)?;
            return Ok(None);
        }
        let list = List::of(chunk);
        let mut gone = [0; 5];
        let statements = [
            format!("DELETE FROM message WHERE batch_id IN ({list})"),
            format!("DELETE FROM attempt WHERE batch_id IN ({list})"),
            format!("DELETE FROM batch WHERE id IN ({list})"),
            format!("DELETE FROM suspect WHERE batch_id IN ({list})"),
            format!("DELETE FROM superseded_object WHERE batch_id IN ({list})"),
        ];
        for (statement, gone) in statements.iter().zip(&mut gone) {
            transaction
                .exec_drop(statement, list.params())
                .await
                .during(doing)?;
            *gone = transaction.affected_rows();
        }
        transaction.commit().await.during(doing)?;
        let [messages, attempts, batches, ..] = gone;
        Ok(Some(Purged {
            batches,
            messages,
            attempts,
        }))
    }
}

/// Batches of a sealed hour, whole ones, as many as one transaction may take away.
async fn next_chunk(
    transaction: &mut Transaction,
    doing: Doing,
    hour: Hour,
) -> Result<Vec<Value>, LedgerError> {
    let rows: Vec<(u64, u64)> = transaction
        .exec(
            "SELECT b.id, b.message_count FROM batch b \
             WHERE b.hour_start = :hour AND b.status IN ('completed', 'cancelled') AND b.id <= \
             (SELECT COALESCE(MAX(s.last_batch_id), 0) FROM sealed_range s WHERE s.range_from = :hour) \
             ORDER BY b.id LIMIT :most FOR UPDATE",
            params! { "hour" => at(hour.start()), "most" => BATCHES_PER_CHUNK_MAX },
        )
        .await
        .during(doing)?;
    let mut messages = 0;
    let fits = |(at, (_, count)): &(usize, (u64, u64))| {
        messages += count;
        *at == 0 || messages <= MESSAGES_PER_CHUNK_MAX
    };
    let chunk = rows.into_iter().enumerate().take_while(fits);
    Ok(chunk.map(|(_, (id, _))| id.into()).collect())
}
