//! Sending a batch again because somebody asked: its object is to be written anew, or it was parked.
//!
//! A batch that is exported anew goes on to its next generation. Its old object stays on record, readable and named by
//! the row, until the new one is settled; from then on it is superseded (`superseded.rs`). Asking is fenced: it holds for the batch as the caller saw it, so asking twice is asking once.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::ids::{BY_HASH, Ids};
use crate::db::row::{Columns, LOOKED_UP_KEYS_MAX, uuid};
use crate::db::shape::List;
use crate::harvest::recount::recount;
use crate::integrity::RepairMigration;
use crate::integrity::repair::ensure_migration;
use crate::integrity::sealed::{Gate, come_to_the_gate};
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, BatchStatus, Fence, MessageId, MigrationState};
use granary_steps::Step;
use mysql_async::Row;
use std::collections::BTreeMap;

const REASON_CHARS_MAX: usize = 500;

/// A batch that is to be exported anew.
#[derive(Debug, Clone, Copy)]
pub struct ReExport<'a> {
    /// Which one.
    pub batch: BatchId,
    /// Its fence, as the caller saw it.
    pub fence: Fence,
    /// Why, for people.
    pub reason: &'a str,
    /// Who takes the batch over where its own migration was cancelled: a cancelled migration's batches are given up.
    pub heir: &'a RepairMigration,
}

/// What asking for a new export came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReExported {
    /// It is pending, under its next generation.
    Asked,
    /// The same was asked before, and isn't over yet.
    UnderWay,
    /// It isn't completed or parked any more, or not as the caller saw it, or its hour is sealed, or its migration and
    /// the heir are both cancelled.
    Changed,
}

impl Ledger {
    /// Has a completed or a parked batch exported anew: it is pending, under its next generation, with all its attempts.
    /// It counts the messages that it owns by now.
    pub async fn re_export(&self, wanted: &ReExport<'_>) -> Result<ReExported, LedgerError> {
        self.change(Step::ReExportBatch, |doing| self.try_re_export(doing, wanted))
            .await
    }

    async fn try_re_export(&self, doing: Doing, wanted: &ReExport<'_>) -> Result<ReExported, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        // First of all, so that what is read afterwards is what the last seal left.
        come_to_the_gate(&mut transaction, doing, Gate::Shared).await?;
        let standing = standing_of(&mut transaction, doing, wanted).await?;
        if standing != ReExported::Asked {
            transaction.rollback().await.during(doing)?;
            return Ok(standing);
        }
        if !inherit(&mut transaction, doing, wanted.batch, wanted.heir).await? {
            transaction.rollback().await.during(doing)?;
            return Ok(ReExported::Changed);
        }
        re_export_locked(&mut transaction, doing, wanted).await?;
        transaction.commit().await.during(doing)?;
        Ok(ReExported::Asked)
    }

    /// Gives parked batches all their attempts again, under the same generation. Says how many.
    pub async fn unpark(&self, batches: &[BatchId]) -> Result<u64, LedgerError> {
        if batches.is_empty() {
            return Ok(0);
        }
        let list = &List::of(batches.iter().map(|id| id.0));
        let statement = &format!(
            "UPDATE batch SET status = 'pending', attempts = 0, retry_count = retry_count + 1, \
             retried_at = UTC_TIMESTAMP(6), parked_at = NULL, enqueued_at = NULL, sends = 0, not_before = NULL \
             WHERE status = 'failed' AND parked_at IS NOT NULL AND id IN ({list})"
        );
        self.change(Step::UnparkBatches, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(statement, list.params()).await.during(doing)?;
            Ok(conn.affected_rows())
        })
        .await
    }

    /// The completed batches that own some of these messages, with their fences.
    pub async fn completed_owners_of(&self, ids: &[MessageId]) -> Result<Vec<(BatchId, Fence)>, LedgerError> {
        let mut owners: BTreeMap<BatchId, Fence> = BTreeMap::new();
        for chunk in ids.chunks(LOOKED_UP_KEYS_MAX) {
            let ids = &Ids::of(chunk.iter());
            let query = &format!(
                "SELECT STRAIGHT_JOIN b.id, b.fence FROM message m {BY_HASH} \
                 JOIN batch b ON b.id = m.batch_id WHERE b.status = 'completed' AND {}",
                ids.are_meant()
            );
            let rows = self
                .read("look for owners", |mut reader| async move {
                    let rows: Vec<(u64, u32)> = reader.rows(query, ids.params()).await?;
                    Ok(rows)
                })
                .await?;
            owners.extend(
                rows.into_iter()
                    .map(|(batch, fence)| (BatchId(batch), Fence(fence))),
            );
        }
        Ok(owners.into_iter().collect())
    }
}

/// Whether it can be asked for, with the batch's row locked until the end of the transaction.
async fn standing_of(
    transaction: &mut Transaction,
    doing: Doing,
    wanted: &ReExport<'_>,
) -> Result<ReExported, LedgerError> {
    let row: Option<Row> = transaction
        .exec_first(
            "SELECT b.status, b.fence, b.parked_at IS NOT NULL AS is_parked FROM batch b WHERE b.id = ? AND NOT EXISTS \
             (SELECT 1 FROM sealed_range s WHERE s.range_from = b.hour_start AND b.id <= s.last_batch_id) FOR UPDATE",
            (wanted.batch.0,),
        )
        .await
        .during(doing)?;
    let Some(mut row) = row else {
        return Ok(ReExported::Changed);
    };
    let asked: Option<u8> = transaction
        .exec_first(
            "SELECT 1 FROM superseded_object WHERE batch_id = ? AND fence = ?",
            (wanted.batch.0, wanted.fence.0),
        )
        .await
        .during(doing)?;
    let status: BatchStatus = row.parsed("status")?;
    let is_parked: bool = row.column("is_parked")?;
    let as_seen = Fence(row.column("fence")?) == wanted.fence;
    Ok(match status {
        BatchStatus::Completed if as_seen => ReExported::Asked,
        BatchStatus::Failed if as_seen && is_parked => ReExported::Asked,
        BatchStatus::Pending | BatchStatus::InProgress | BatchStatus::Failed if asked.is_some() => {
            ReExported::UnderWay
        }
        BatchStatus::Pending
        | BatchStatus::InProgress
        | BatchStatus::Failed
        | BatchStatus::Completed
        | BatchStatus::Cancelled => ReExported::Changed,
    })
}

/// Re-exports a batch whose row is locked and which can be re-exported.
pub(crate) async fn re_export_locked(
    transaction: &mut Transaction,
    doing: Doing,
    wanted: &ReExport<'_>,
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "INSERT INTO superseded_object (batch_id, fence, generation, hour_start, object_key, exported, reason, asked_at) \
             SELECT id, fence, generation, hour_start, object_key, COALESCE(exported, 0), ?, UTC_TIMESTAMP(6) FROM batch WHERE id = ?",
            (shortened(wanted.reason), wanted.batch.0),
        )
        .await
        .during(doing)?;
    transaction
        .exec_drop(
            "UPDATE batch SET status = 'pending', attempts = 0, generation = generation + 1, parked_at = NULL, \
             enqueued_at = NULL, sends = 0, not_before = NULL, deferrals = 0, deferred_since = NULL, \
             error_code = NULL, error_text = NULL WHERE id = ?",
            (wanted.batch.0,),
        )
        .await
        .during(doing)?;
    recount(transaction, doing, &[wanted.batch]).await
}

/// A batch of a cancelled migration would be given up as soon as it is pending: it goes to the heir. `false`: the heir is
/// cancelled, too.
pub(crate) async fn inherit(
    transaction: &mut Transaction,
    doing: Doing,
    batch: BatchId,
    heir: &RepairMigration,
) -> Result<bool, LedgerError> {
    let state: Option<String> = transaction
        .exec_first(
            "SELECT m.state FROM batch b JOIN migration m ON m.id = b.migration_id WHERE b.id = ?",
            (batch.0,),
        )
        .await
        .during(doing)?;
    if state.as_deref() != Some(MigrationState::Cancelled.as_str()) {
        return Ok(true);
    }
    if !ensure_migration(transaction, doing, heir).await? {
        return Ok(false);
    }
    transaction
        .exec_drop(
            "UPDATE batch SET migration_id = ? WHERE id = ?",
            (uuid(heir.id), batch.0),
        )
        .await
        .during(doing)?;
    Ok(true)
}

fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}
