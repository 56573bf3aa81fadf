//! Batches that a queue hides: a worker received the message and died before its claim, so the queue hides it for the
//! whole visibility timeout.
//!
//! A message that waits behind a backlog looks the same in the ledger. So a batch counts as hidden only where the reaper
//! has seen its queue without a visible message for two minutes. What each tick sees is on record, one row in `control`
//! for each queue.
//!
//! Not responsible for asking the queue, nor for how many batches it hides (the reaper's `resend.rs`). When the ledger
//! fails, the tick sees nothing, and a gap between two observations starts the two minutes again.

use crate::db::error::During;
use crate::handoff::QueueLane;
use crate::handoff::Unsent;
use crate::handoff::outbox::{BATCH_TO_SEND, RESEND_AFTER_MAX, SENDABLE};
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_steps::Step;
use mysql_async::params;
use std::time::Duration;

/// For how long a queue shows no visible message before a batch counts as hidden, and how long ago the batch was sent.
/// Two minutes, less what the reaper's schedule is early.
const IDLE_MIN: Duration = Duration::from_secs(115);
/// Observations further apart than this don't show what was between them. The reaper looks every minute.
const BETWEEN_OBSERVATIONS_MAX: Duration = Duration::from_secs(150);
const OBSERVATION: &str = "idle.";

impl Ledger {
    /// Records whether a queue shows visible messages now. Without one it is idle, since the first observation in a row.
    pub async fn observe_queue(&self, queue: QueueLane, visible: u64) -> Result<(), LedgerError> {
        let name = &observation_of(queue);
        self.change(Step::ObserveQueue, |doing| async move {
            let mut conn = self.conn(doing).await?;
            if visible > 0 {
                return conn
                    .exec_drop("DELETE FROM control WHERE name = ?", (name,))
                    .await
                    .during(doing);
            }
            // Assignments are made from left to right: the time of the observation before is read, then replaced.
            conn.exec_drop(
                "INSERT INTO control (name, setting, changed_at, changed_by) \
                 VALUES (:name, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), 'reaper') ON DUPLICATE KEY UPDATE \
                 changed_at = IF(CAST(setting AS DATETIME(6)) < UTC_TIMESTAMP(6) - INTERVAL :gap MICROSECOND, \
                 UTC_TIMESTAMP(6), changed_at), setting = VALUES(setting)",
                params! { "name" => name, "gap" => micros(BETWEEN_OBSERVATIONS_MAX) },
            )
            .await
            .during(doing)
        })
        .await
    }

    /// Batches that this queue may hide, the oldest first; none unless it is idle for two minutes. Each was sent two minutes
    /// ago or more, doubled for each time it was sent since it was last claimed, at most 12 h.
    pub async fn perhaps_hidden(&self, queue: QueueLane, limit: u32) -> Result<Vec<Unsent>, LedgerError> {
        let (least, below) = queue.priorities();
        let query = &format!(
            "SELECT {BATCH_TO_SEND} FROM batch b JOIN migration m ON m.id = b.migration_id \
             WHERE {SENDABLE} AND b.priority >= :least AND b.priority < :below \
             AND b.enqueued_at < UTC_TIMESTAMP(6) - INTERVAL \
             LEAST(:most, :first * POW(2, LEAST(GREATEST(b.sends, 1) - 1, 30))) MICROSECOND \
             AND EXISTS (SELECT 1 FROM control c WHERE c.name = :observation \
             AND c.changed_at <= UTC_TIMESTAMP(6) - INTERVAL :first MICROSECOND) \
             ORDER BY b.enqueued_at, b.id LIMIT {limit}"
        );
        let params = params! {
            "least" => least, "below" => below, "most" => micros(RESEND_AFTER_MAX), "first" => micros(IDLE_MIN),
            "observation" => observation_of(queue),
        };
        self.batches_to_send(query, params).await
    }

    /// How many batches that took this queue are in progress.
    pub async fn in_progress_from(&self, queue: QueueLane) -> Result<u64, LedgerError> {
        let (least, below) = queue.priorities();
        self.read("count batches in progress", |mut reader| async move {
            let batches: Option<u64> = reader
                .first(
                    "SELECT COUNT(*) FROM batch WHERE status = 'in_progress' AND priority >= ? AND priority < ?",
                    (least, below),
                )
                .await?;
            Ok(batches.unwrap_or(0))
        })
        .await
    }
}

fn observation_of(queue: QueueLane) -> String {
    format!("{OBSERVATION}{}", queue.as_str())
}
