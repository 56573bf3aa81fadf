//! Removing test data. Only seeding's clear uses it, and only for batches all of whose messages were seeded.

use crate::db::connect::Doing;
use crate::db::error::During;
use crate::db::ids::{BY_HASH, Ids};
use crate::db::row::{Columns, LOOKED_UP_KEYS_MAX};
use crate::harvest::recount::recount;
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
            let ids = &Ids::of(chunk.iter());
            let query = &format!(
                "SELECT STRAIGHT_JOIN b.id, b.hour_start, b.generation, b.object_key, b.message_count \
                 FROM message m {BY_HASH} JOIN batch b ON b.id = m.batch_id WHERE b.status <> 'cancelled' AND {}",
                ids.are_meant()
            );
            let rows = self
                .read("look for owners", |mut reader| async move {
                    let rows: Vec<Row> = reader.rows(query, ids.params()).await?;
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

    /// Removes messages that are unowned.
    pub async fn forget_unowned(&self, ids: &[MessageId]) -> Result<u64, LedgerError> {
        self.change(Step::ForgetUnowned, |doing| async move {
            let mut forgotten = 0;
            for chunk in ids.chunks(LOOKED_UP_KEYS_MAX) {
                forgotten += self.try_forget_unowned(doing, chunk).await?;
            }
            Ok(forgotten)
        })
        .await
    }

    async fn try_forget_unowned(&self, doing: Doing, ids: &[MessageId]) -> Result<u64, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let ids = Ids::of(ids.iter());
        let unowned = format!(
            "FROM message m {BY_HASH} LEFT JOIN batch b ON b.id = m.batch_id \
             WHERE (b.id IS NULL OR b.status = 'cancelled') AND {}",
            ids.are_meant()
        );
        let batches: Vec<u64> = transaction
            .exec(format!("SELECT DISTINCT m.batch_id {unowned}"), ids.params())
            .await
            .during(doing)?;
        transaction
            .exec_drop(format!("DELETE m {unowned}"), ids.params())
            .await
            .during(doing)?;
        let forgotten = transaction.affected_rows();
        let batches: Vec<BatchId> = batches.into_iter().map(BatchId).collect();
        recount(&mut transaction, doing, &batches).await?;
        transaction.commit().await.during(doing)?;
        Ok(forgotten)
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
