//! What a tick would do now: how many batches wait to be sent, to be taken back, to be tried again. For people who ask
//! before they have it done; whoever does it (`handoff/outbox.rs`, `export/reap.rs`) finds by itself what is due then.
//!
//! **When it fails**, nothing was changed. Only batches that are open are read, by their status.

use crate::db::row::Columns;
use crate::handoff::outbox::SENDABLE;
use crate::{Ledger, LedgerError};
use granary_domain::BatchId;
use mysql_async::Row;
use serde::Serialize;

/// Batches for which something is due, and failed ones for which nothing is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DueWork {
    /// Pending, due, not paused, and not sent.
    pub unsent: u64,
    /// In progress, and their worker's lease is over.
    pub dead_workers: u64,
    /// Failed, with an attempt left that is due.
    pub failed_due: u64,
    /// Failed, with an attempt left that isn't due yet.
    pub failed_waiting: u64,
    /// Failed, and no attempt is left: a person has to send them again.
    pub parked: u64,
}

impl Ledger {
    /// Counts what is due.
    pub async fn due_work(&self) -> Result<DueWork, LedgerError> {
        let unsent = &format!(
            "SELECT COUNT(*) FROM batch b JOIN migration m ON m.id = b.migration_id \
             WHERE {SENDABLE} AND b.enqueued_at IS NULL"
        );
        self.read("count what is due", |mut reader| async move {
            let unsent: Option<u64> = reader.first(unsent, ()).await?;
            let dead: Option<u64> = reader
                .first(
                    "SELECT COUNT(*) FROM batch WHERE status = 'in_progress' AND lease_until < UTC_TIMESTAMP(6)",
                    (),
                )
                .await?;
            let failed: Option<Row> = reader
                .first(
                    "SELECT CAST(COALESCE(SUM(parked_at IS NOT NULL), 0) AS UNSIGNED) AS parked, \
                     CAST(COALESCE(SUM(parked_at IS NULL AND not_before > UTC_TIMESTAMP(6)), 0) AS UNSIGNED) AS waiting, \
                     COUNT(*) AS failed FROM batch WHERE status = 'failed'",
                    (),
                )
                .await?;
            let mut due = DueWork {
                unsent: unsent.unwrap_or(0),
                dead_workers: dead.unwrap_or(0),
                ..DueWork::default()
            };
            if let Some(mut row) = failed {
                let failed: u64 = row.column("failed")?;
                due.parked = row.column("parked")?;
                due.failed_waiting = row.column("waiting")?;
                due.failed_due = failed.saturating_sub(due.parked + due.failed_waiting);
            }
            Ok(due)
        })
        .await
    }

    /// Batches whose worker's lease is over, the longest first.
    pub async fn dead_batches(&self, limit: u32) -> Result<Vec<BatchId>, LedgerError> {
        self.read("list what dead workers hold", |mut reader| async move {
            let ids: Vec<u64> = reader
                .rows(
                    "SELECT id FROM batch WHERE status = 'in_progress' AND lease_until < UTC_TIMESTAMP(6) \
                     ORDER BY lease_until LIMIT ?",
                    (limit,),
                )
                .await?;
            Ok(ids.into_iter().map(BatchId).collect())
        })
        .await
    }
}
