//! Objects that were replaced: an export was asked for again and settled, and the old object is on record no more.
//!
//! Whoever removes one says so here, and so does who keeps one, because it holds messages that are on record nowhere
//! else. Not responsible for deciding which it is (`granary-verify` reads the object for that).

use crate::db::error::During;
use crate::db::row::Columns;
use crate::db::shape::List;
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, Fence, Generation, Hour, ObjectKey};
use granary_steps::Step;
use mysql_async::{Row, params};

/// An object that isn't on record any more, since its batch was exported anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    /// Whose it was.
    pub batch: BatchId,
    /// Under which fence the new export was asked for.
    pub fence: Fence,
    /// Which export it was.
    pub generation: Generation,
    /// The batch's hour.
    pub hour: Hour,
    /// It; `None`: there is a manifest at the most.
    pub object: Option<ObjectKey>,
    /// Messages in it, by the ledger.
    pub exported: u32,
    /// What the batch has on record instead; `None`: no message was left to write.
    pub replacement: Option<ObjectKey>,
    /// Messages in that.
    pub exported_anew: u32,
}

/// Of `superseded_object s` and its `batch b`: not removed, and the batch has another export on record. One that was
/// adopted again isn't among them.
pub(crate) const IS_SUPERSEDED: &str = "s.removed_at IS NULL AND b.status = 'completed' AND b.fence > s.fence \
     AND b.generation > s.generation AND NOT (b.object_key <=> s.object_key AND s.object_key IS NOT NULL)";

impl Ledger {
    /// Objects that are on record no more, by batch and fence, from after `after` on. One that was kept comes again
    /// after an hour: what it holds may be on record by then, or somebody may have taken it away.
    pub async fn superseded(
        &self,
        after: (BatchId, Fence),
        limit: u32,
    ) -> Result<Vec<Superseded>, LedgerError> {
        let query = &format!(
            "SELECT s.batch_id, s.fence, s.generation, s.hour_start, s.object_key, s.exported, \
             b.object_key AS replacement, b.exported AS exported_anew \
             FROM superseded_object s JOIN batch b ON b.id = s.batch_id WHERE {IS_SUPERSEDED} \
             AND (s.kept_at IS NULL OR s.kept_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR) \
             AND (s.batch_id > :batch OR (s.batch_id = :batch AND s.fence > :fence)) \
             ORDER BY s.batch_id, s.fence LIMIT :limit"
        );
        self.read("list superseded objects", |mut reader| async move {
            let after = params! { "batch" => after.0.0, "fence" => after.1.0, "limit" => limit };
            let rows: Vec<Row> = reader.rows(query, after).await?;
            rows.into_iter().map(superseded_of).collect()
        })
        .await
    }

    /// Writes down that a superseded object is gone.
    pub async fn forget_superseded(&self, batch: BatchId, fence: Fence) -> Result<(), LedgerError> {
        let statement = "UPDATE superseded_object SET removed_at = UTC_TIMESTAMP(6) \
             WHERE batch_id = ? AND fence = ? AND removed_at IS NULL";
        self.tick_off(statement, batch, fence).await
    }

    /// Writes down that an object is gone which was replaced, whenever that was; there may be none on record.
    pub async fn forget_superseded_object(
        &self,
        batch: BatchId,
        object: &ObjectKey,
    ) -> Result<(), LedgerError> {
        self.change(Step::ForgetSuperseded, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "UPDATE superseded_object SET removed_at = UTC_TIMESTAMP(6) \
                 WHERE batch_id = ? AND object_key = ? AND removed_at IS NULL",
                (batch.0, object.as_str()),
            )
            .await
            .during(doing)
        })
        .await
    }

    /// Writes down that a superseded object is kept, and that it was looked at now.
    pub async fn keep_superseded(&self, batch: BatchId, fence: Fence) -> Result<(), LedgerError> {
        let statement = "UPDATE superseded_object SET kept_at = UTC_TIMESTAMP(6) \
             WHERE batch_id = ? AND fence = ? AND removed_at IS NULL";
        self.tick_off(statement, batch, fence).await
    }

    async fn tick_off(
        &self,
        statement: &'static str,
        batch: BatchId,
        fence: Fence,
    ) -> Result<(), LedgerError> {
        self.change(Step::ForgetSuperseded, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(statement, (batch.0, fence.0)).await.during(doing)
        })
        .await
    }

    /// The exports of these batches that were replaced, or are being replaced, and weren't removed.
    pub(crate) async fn replaced_of(
        &self,
        batches: &[BatchId],
    ) -> Result<Vec<(BatchId, Generation)>, LedgerError> {
        let list = &List::of(batches.iter().map(|id| id.0));
        let query = &format!(
            "SELECT batch_id, generation FROM superseded_object WHERE removed_at IS NULL AND object_key IS NOT NULL \
             AND batch_id IN ({list})"
        );
        self.read("look for replaced objects", |mut reader| async move {
            let rows: Vec<(u64, u32)> = reader.rows(query, list.params()).await?;
            let replaced = rows.into_iter();
            Ok(replaced
                .map(|(batch, generation)| (BatchId(batch), Generation(generation)))
                .collect())
        })
        .await
    }

    /// The objects of these batches that were replaced and are kept.
    pub(crate) async fn kept_of(
        &self,
        batches: &[BatchId],
    ) -> Result<Vec<(BatchId, ObjectKey)>, LedgerError> {
        let list = &List::of(batches.iter().map(|id| id.0));
        let query = &format!(
            "SELECT batch_id, object_key FROM superseded_object WHERE removed_at IS NULL AND kept_at IS NOT NULL \
             AND object_key IS NOT NULL AND batch_id IN ({list})"
        );
        self.read("look for kept objects", |mut reader| async move {
            let rows: Vec<(u64, String)> = reader.rows(query, list.params()).await?;
            let kept = rows.into_iter();
            Ok(kept
                .map(|(batch, key)| (BatchId(batch), ObjectKey::from_record(key)))
                .collect())
        })
        .await
    }
}

fn superseded_of(mut row: Row) -> Result<Superseded, LedgerError> {
    let object: Option<String> = row.column("object_key")?;
    let replacement: Option<String> = row.column("replacement")?;
    Ok(Superseded {
        batch: row.batch_id("batch_id")?,
        fence: Fence(row.column("fence")?),
        generation: Generation(row.column("generation")?),
        hour: Hour::of(row.instant("hour_start")?),
        object: object.map(ObjectKey::from_record),
        exported: row.column("exported")?,
        replacement: replacement.map(ObjectKey::from_record),
        exported_anew: row.column("exported_anew")?,
    })
}
