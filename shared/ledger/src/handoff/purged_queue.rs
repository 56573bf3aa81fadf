//! Purged queues: what was in one has to be sent again, and nothing of it may be lost.
//!
//! A purge takes SQS up to a minute, and what is sent meanwhile may go with it. So it is noted before it is asked for, the
//! batches that wait in the queue by the ledger's account are put back to unsent at once, and once more by the reaper when
//! the minute is long over: those, too, that were sent since the note, whatever became of their messages. Then the note
//! is forgotten. Whoever dies in between leaves a note that the reaper makes good, even where nothing was purged: a
//! second message is harmless. Two cracks are left to the outbox (`perhaps_lost`): a batch that was sent before the note and
//! marked as sent two minutes after it, and one that was lifted to another queue between its sending and its mark.
//!
//! Not responsible for the queue itself (`granary-handoff`).

use crate::db::error::During;
use crate::db::row::{Columns, at};
use crate::db::shape::List;
use crate::handoff::QueueLane;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::BatchId;
use granary_steps::Step;
use jiff::{SignedDuration, Timestamp};
use mysql_async::{Row, params};
use std::time::Duration;

/// After so long nothing that is sent goes with a purge any more: twice what SQS says, since the note is older than
/// the purge.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);
const BATCHES_PER_STEP_MAX: u32 = 5_000;
const NOTE: &str = "purge.";

/// A queue that was purged, or was to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgeNote {
    /// Which.
    pub queue: QueueLane,
    /// Since when.
    pub noted_at: Timestamp,
    /// Whether the purge is over for certain.
    pub is_settled: bool,
}

impl Ledger {
    /// Notes that a queue is about to be purged. A queue that was noted before is noted anew.
    pub async fn note_purge(&self, queue: QueueLane, who: &str) -> Result<(), LedgerError> {
        self.change(Step::NotePurge, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "INSERT INTO control (name, setting, changed_at, changed_by) \
                 VALUES (:name, 'noted', UTC_TIMESTAMP(6), :who) \
                 ON DUPLICATE KEY UPDATE changed_at = VALUES(changed_at), changed_by = VALUES(changed_by)",
                params! { "name" => note_of(queue), "who" => who },
            )
            .await
            .during(doing)
        })
        .await
    }

    /// The queues that are noted.
    pub async fn noted_purges(&self) -> Result<Vec<PurgeNote>, LedgerError> {
        self.read("list noted purges", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT name, changed_at, changed_at < UTC_TIMESTAMP(6) - INTERVAL :settles MICROSECOND AS is_settled \
                     FROM control WHERE name IN (:normal, :priority)",
                    params! {
                        "settles" => micros(SETTLES_WITHIN), "normal" => note_of(QueueLane::Normal),
                        "priority" => note_of(QueueLane::Priority),
                    },
                )
                .await?;
            rows.into_iter()
                .map(|mut row| {
                    let name: String = row.column("name")?;
                    Ok(PurgeNote {
                        queue: QueueLane::parse(name.trim_start_matches(NOTE))?,
                        noted_at: row.instant("changed_at")?,
                        is_settled: row.column("is_settled")?,
                    })
                })
                .collect()
        })
        .await
    }

    /// How many batches wait in a queue, by the ledger's account.
    pub async fn believed_in(&self, queue: QueueLane) -> Result<u64, LedgerError> {
        let (least, below) = queue.priorities();
        self.read("count what is in a queue", |mut reader| async move {
            let batches: Option<u64> = reader
                .first(
                    "SELECT COUNT(*) FROM batch WHERE status = 'pending' AND enqueued_at IS NOT NULL \
                     AND priority >= ? AND priority < ?",
                    (least, below),
                )
                .await?;
            Ok(batches.unwrap_or(0))
        })
        .await
    }

    /// Puts up to 5,000 batches back to unsent that may have gone with a purge. Says how many; 0: that was all.
    pub async fn put_back(&self, note: &PurgeNote) -> Result<u64, LedgerError> {
        let (least, below) = note.queue.priorities();
        let settles = SignedDuration::try_from(SETTLES_WITHIN).unwrap_or_default();
        let until = note.noted_at.checked_add(settles).unwrap_or(note.noted_at);
        self.change(Step::PutBack, |doing| async move {
            // Rows that are looked at and not changed must not stay locked.
            let mut transaction = self.begin(doing).await?;
            transaction
                .exec_drop(
                    "UPDATE batch SET enqueued_at = NULL WHERE status = 'pending' AND enqueued_at <= :until \
                     AND priority >= :least AND priority < :below LIMIT :most",
                    params! {
                        "until" => at(until), "least" => least, "below" => below, "most" => BATCHES_PER_STEP_MAX,
                    },
                )
                .await
                .during(doing)?;
            let batches = transaction.affected_rows();
            transaction.commit().await.during(doing)?;
            Ok(batches)
        })
        .await
    }

    /// Puts these batches back to unsent, those that are pending. Says how many were taken for sent.
    pub async fn put_back_batches(&self, batches: &[BatchId]) -> Result<u64, LedgerError> {
        if batches.is_empty() {
            return Ok(0);
        }
        let list = &List::of(batches.iter().map(|id| id.0));
        let statement = &format!(
            "UPDATE batch SET enqueued_at = NULL WHERE status = 'pending' AND enqueued_at IS NOT NULL AND id IN ({list})"
        );
        self.change(Step::PutBack, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(statement, list.params()).await.during(doing)?;
            Ok(conn.affected_rows())
        })
        .await
    }

    /// Forgets a note that was made good, unless the queue was noted anew.
    pub async fn forget_purge(&self, note: &PurgeNote) -> Result<(), LedgerError> {
        self.change(Step::ForgetPurge, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "DELETE FROM control WHERE name = :name AND changed_at = :noted",
                params! { "name" => note_of(note.queue), "noted" => at(note.noted_at) },
            )
            .await
            .during(doing)
        })
        .await
    }
}

fn note_of(queue: QueueLane) -> String {
    format!("{NOTE}{}", queue.as_str())
}
