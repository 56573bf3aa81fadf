//! Removing test data. Only seeding's clear uses it, and only for batches all of whose messages were seeded.

use crate::db::error::During;
use crate::db::row::{BY_KEY, Columns, LOOKED_UP_KEYS_MAX};
use crate::db::shape::List;
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, Generation, Hour, MessageId, ObjectKey};
use granary_steps::Step;
use mysql_async::Row;
use std::collections::BTreeMap;

/// A batch that owns some of the given messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeededBatch {
    /// Its number.
    pub batch_id: BatchId,
    /// Its hour.
    pub hour: Hour,
    /// Which export.
    pub generation: Generation,
    /// Its object on record.
    pub object: Option<ObjectKey>,
    /// Messages in it, seeded or not.
    pub message_count: u32,
}

impl Ledger {
    /// The batches that own any of these messages.
    pub async fn owners_of(&self, ids: &[MessageId]) -> Result<Vec<SeededBatch>, LedgerError> {
        let mut owners: BTreeMap<BatchId, SeededBatch> = BTreeMap::new();
        for chunk in ids.chunks(LOOKED_UP_KEYS_MAX) {
            let list = &List::of(chunk.iter().map(MessageId::as_str));
            let query = &format!(
                "SELECT STRAIGHT_JOIN b.id, b.hour_start, b.generation, b.object_key, b.message_count \
                 FROM message m {BY_KEY} JOIN batch b ON b.id = m.batch_id WHERE m.message_id IN ({list})"
            );
            let rows = self
                .read("look for owners", |mut reader| async move {
                    let rows: Vec<Row> = reader.rows(query, list.params()).await?;
                    rows.into_iter().map(owner_of).collect::<Result<Vec<_>, _>>()
                })
                .await?;
            owners.extend(rows.into_iter().map(|owner| (owner.batch_id, owner)));
        }
        Ok(owners.into_values().collect())
    }

    /// How many messages whose ids begin with `prefix` the ledger has, by status.
    pub async fn seeded_by_status(&self, prefix: &str) -> Result<BTreeMap<String, u64>, LedgerError> {
        self.read("count seeded messages", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT status, COUNT(*) AS messages FROM message_status \
                     WHERE message_id LIKE CONCAT(?, '%') GROUP BY status",
                    (prefix,),
                )
                .await?;
            rows.into_iter()
                .map(|mut row| Ok((row.text("status")?, row.column("messages")?)))
                .collect()
        })
        .await
    }

    /// Removes a batch with its messages and attempts, as if it had never been. Its objects are gone already.
    pub async fn forget_batch(&self, batch: BatchId) -> Result<u64, LedgerError> {
        self.change(Step::ForgetBatch, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            transaction
                .exec_drop("DELETE FROM message WHERE batch_id = ?", (batch.0,))
                .await
                .during(doing)?;
            let messages = transaction.affected_rows();
            transaction
                .exec_drop("DELETE FROM attempt WHERE batch_id = ?", (batch.0,))
                .await
                .during(doing)?;
            transaction
                .exec_drop("DELETE FROM suspect WHERE batch_id = ?", (batch.0,))
                .await
                .during(doing)?;
            transaction
                .exec_drop("DELETE FROM batch WHERE id = ?", (batch.0,))
                .await
                .during(doing)?;
            transaction.commit().await.during(doing)?;
            Ok(messages)
        })
        .await
    }

    /// Removes messages that nobody owns.
    pub async fn forget_unowned(&self, ids: &[MessageId]) -> Result<u64, LedgerError> {
        if ids.is_empty() {
            return Ok(0);
        }
        self.change(Step::ForgetUnowned, |doing| async move {
            let mut conn = self.conn(doing).await?;
            let mut forgotten = 0;
            for chunk in ids.chunks(LOOKED_UP_KEYS_MAX) {
                let list = List::of(chunk.iter().map(MessageId::as_str));
                let statement = format!(
                    "DELETE m FROM message m {BY_KEY} WHERE m.batch_id IS NULL AND m.message_id IN ({list})"
                );
                conn.exec_drop(statement, list.params()).await.during(doing)?;
                forgotten += conn.affected_rows();
            }
            Ok(forgotten)
        })
        .await
    }
}

fn owner_of(mut row: Row) -> Result<SeededBatch, LedgerError> {
    Ok(SeededBatch {
        batch_id: row.batch_id("id")?,
        hour: Hour::of(row.instant("hour_start")?),
        generation: Generation(row.column("generation")?),
        object: row
            .column::<Option<String>>("object_key")?
            .map(ObjectKey::from_record),
        message_count: row.column("message_count")?,
    })
}
