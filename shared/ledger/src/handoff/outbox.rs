//! The outbox: batches that are recorded but not sent, and those that were sent and got lost.
//!
//! The batch row itself is the outbox. Sending first and marking afterwards means that a crash between the two
//! sends twice, which is harmless; the other order would lose.

use crate::db::error::During;
use crate::db::row::Columns;
use crate::db::shape::List;
use crate::handoff::QueueLane;
use crate::harvest::migration::priority_of;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, Fence, MigrationId, Priority};
use granary_steps::Step;
use mysql_async::{Params, Row, params};
use std::collections::BTreeMap;
use std::time::Duration;

/// A batch to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Unsent {
    /// Its number.
    pub batch_id: BatchId,
    /// Whose it is.
    pub migration_id: MigrationId,
    /// How urgent it is.
    pub priority: Priority,
    /// Its fence, as it was read: a later one says that it was claimed since.
    pub fence: Fence,
    /// How often it was sent since it was last claimed, as it was read.
    pub sends: u32,
}

/// Not while paused: the pause of everything, or of the migration.
pub(crate) const SENDABLE: &str = "b.status = 'pending' AND (b.not_before IS NULL OR b.not_before <= UTC_TIMESTAMP(6)) \
     AND m.paused_at IS NULL AND NOT EXISTS (SELECT 1 FROM control WHERE name = 'export.paused')";

/// What a re-scan finds late goes into one batch of an hour, as long as that wasn't sent: it waits until the re-scan is over, or its
/// harvester gone.
const IS_COMPLETE: &str = "NOT (b.fence = 0 AND EXISTS (SELECT 1 FROM harvest_window w WHERE w.id = b.window_id \
     AND w.state = 'harvesting' AND w.recorded_at IS NOT NULL AND w.lease_until > UTC_TIMESTAMP(6)))";

pub(crate) const BATCH_TO_SEND: &str = "b.id, b.migration_id, b.priority, b.fence, b.sends";

/// Where SQS forgets a message at the latest.
const QUEUE_RETENTION: Duration = Duration::from_secs(14 * 24 * 3_600);
pub(crate) const RESEND_AFTER_MAX: Duration = Duration::from_secs(12 * 3_600);

impl Ledger {
    /// Batches of this queue that are due and not sent, the most urgent first, then the oldest. `None`: of both queues.
    pub async fn unsent(&self, queue: Option<QueueLane>, limit: u32) -> Result<Vec<Unsent>, LedgerError> {
        let (least, below) = queue.map_or((0, u8::MAX), QueueLane::priorities);
        let query = &format!(
            "SELECT {BATCH_TO_SEND} FROM batch b JOIN migration m ON m.id = b.migration_id \
             WHERE {SENDABLE} AND b.enqueued_at IS NULL AND {IS_COMPLETE} AND b.priority >= {least} AND b.priority < {below} \
             ORDER BY b.priority DESC, b.id LIMIT {limit}"
        );
        self.batches_to_send(query, Params::Empty).await
    }

    /// Writes down that batches were sent: those that are as they were read. An exporter may have had a message in hand
    /// before its batch is marked. Then the batch is claimed and left alone, or it has to be sent again, and stays so.
    pub async fn mark_sent(&self, batches: &[Unsent]) -> Result<(), LedgerError> {
        if batches.is_empty() {
            return Ok(());
        }
        let mut alike: BTreeMap<(u32, u32), Vec<u64>> = BTreeMap::new();
        for batch in batches {
            let as_read = (batch.fence.0, batch.sends);
            alike.entry(as_read).or_default().push(batch.batch_id.0);
        }
        let alike: &Vec<((u32, u32), List)> = &alike
            .into_iter()
            .map(|(as_read, ids)| (as_read, List::of(ids)))
            .collect();
        self.change(Step::MarkSent, |doing| async move {
            let mut conn = self.conn(doing).await?;
            for ((fence, sends), list) in alike {
                let statement = format!(
                    "UPDATE batch SET enqueued_at = UTC_TIMESTAMP(6), sends = sends + 1 \
                     WHERE status = 'pending' AND fence = ? AND sends = ? AND id IN ({list})"
                );
                let params = list.params_after([(*fence).into(), (*sends).into()]);
                conn.exec_drop(statement, params).await.during(doing)?;
            }
            Ok(())
        })
        .await
    }

    /// Writes down that a batch has to be sent (again): its message was acknowledged too early to act on it. Where that
    /// message wasn't marked as sent yet it is counted here, so that the late mark doesn't find the batch as it was read.
    pub async fn mark_unsent(&self, batch: BatchId) -> Result<(), LedgerError> {
        self.change(Step::MarkUnsent, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "UPDATE batch SET sends = sends + (enqueued_at IS NULL), enqueued_at = NULL \
                 WHERE id = ? AND status = 'pending'",
                (batch.0,),
            )
            .await
            .during(doing)
        })
        .await
    }

    /// Batches that were sent to this queue so long ago that their message may be lost: longer than `resend_after`,
    /// doubled for each time it was sent since it was last claimed, at most 12 h.
    pub async fn perhaps_lost(
        &self,
        queue: QueueLane,
        resend_after: Duration,
        limit: u32,
    ) -> Result<Vec<Unsent>, LedgerError> {
        let (least, below) = queue.priorities();
        let query = &format!(
            "SELECT {BATCH_TO_SEND} FROM batch b JOIN migration m ON m.id = b.migration_id \
             WHERE {SENDABLE} AND b.priority >= :least AND b.priority < :below \
             AND b.enqueued_at < UTC_TIMESTAMP(6) - INTERVAL \
             LEAST(:most, :first * POW(2, LEAST(GREATEST(b.sends, 1) - 1, 30))) MICROSECOND \
             ORDER BY b.enqueued_at LIMIT {limit}"
        );
        self.batches_to_send(
            query,
            params! {
                "least" => least, "below" => below, "most" => micros(RESEND_AFTER_MAX), "first" => micros(resend_after),
            },
        )
        .await
    }

    /// Batches whose message the queue has forgotten by now, whatever it counts.
    pub async fn surely_lost(&self, limit: u32) -> Result<Vec<Unsent>, LedgerError> {
        let query = &format!(
            "SELECT {BATCH_TO_SEND} FROM batch b JOIN migration m ON m.id = b.migration_id \
             WHERE {SENDABLE} AND b.enqueued_at < UTC_TIMESTAMP(6) - INTERVAL :retention MICROSECOND \
             ORDER BY b.enqueued_at LIMIT {limit}"
        );
        self.batches_to_send(query, params! { "retention" => micros(QUEUE_RETENTION) })
            .await
    }

    pub(crate) async fn batches_to_send(
        &self,
        query: &str,
        params: impl Into<Params>,
    ) -> Result<Vec<Unsent>, LedgerError> {
        let params = &params.into();
        self.read("look for batches to send", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, params.clone()).await?;
            rows.into_iter()
                .map(|mut row| {
                    Ok(Unsent {
                        batch_id: row.batch_id("id")?,
                        migration_id: row.migration_id("migration_id")?,
                        priority: priority_of(&mut row)?,
                        fence: Fence(row.column("fence")?),
                        sends: row.column("sends")?,
                    })
                })
                .collect()
        })
        .await
    }
}
