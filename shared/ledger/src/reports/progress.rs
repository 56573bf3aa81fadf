//! How far things are, in messages and batches.
//!
//! Counted from batch rows, a thousand times fewer than messages; only the hours that a range cuts in two are
//! counted by message.

use crate::db::connect::Reader;
use crate::db::row::{Columns, at};
use crate::harvest::span::{IS_IN, TOUCHING, WITHIN, span};
use crate::{Ledger, LedgerError};
use granary_domain::{BatchStatus, Hour, TimeRange};
use jiff::Timestamp;
use mysql_async::{Row, params};
use serde::Serialize;

/// The messages of a range of event time, whoever owns them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// In the ledger, and owned: the sum of the following.
    pub known: u64,
    /// Waiting for a worker.
    pub pending: u64,
    /// In a worker's hands.
    pub processing: u64,
    /// In an object on record.
    pub success: u64,
    /// In a batch whose last attempt failed.
    pub failed: u64,
    /// Gone at the source before they could be exported.
    pub missing: u64,
    /// Can't be exported.
    pub quarantined: u64,
}

/// Batches without an attempt left: they wait for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ParkedCount {
    /// Batches.
    pub batches: u64,
    /// Messages in them.
    pub messages: u64,
}

impl Progress {
    /// Messages that are not yet done with.
    pub fn open(&self) -> u64 {
        self.pending + self.processing + self.failed
    }

    fn count(&mut self, status: BatchStatus, messages: u64, missing: u64, quarantined: u64) {
        self.known += messages;
        match status {
            BatchStatus::Pending => self.pending += messages,
            BatchStatus::InProgress => self.processing += messages,
            BatchStatus::Failed => self.failed += messages,
            BatchStatus::Completed => {
                self.success += messages - missing - quarantined;
                self.missing += missing;
                self.quarantined += quarantined;
            }
            BatchStatus::Cancelled => self.known -= messages,
        }
    }
}

/// The batches of one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusCount {
    /// The status.
    pub status: BatchStatus,
    /// Batches.
    pub batches: u64,
    /// Messages in them.
    pub messages: u64,
    /// Of the batches, those without an attempt left.
    pub parked: u64,
    /// Messages in those.
    pub parked_messages: u64,
    /// Bytes of their objects.
    pub bytes_stored: u64,
}

impl Ledger {
    /// How far the messages of a range are.
    pub async fn progress_of(&self, range: TimeRange) -> Result<Progress, LedgerError> {
        self.read("count a range's messages", |mut reader| async move {
            let mut progress = Progress::default();
            let first_whole = match Hour::of(range.from()) {
                hour if hour.start() == range.from() => hour,
                hour => hour.next(),
            };
            let last_whole = Hour::of(range.to());
            if first_whole > last_whole {
                count_messages(&mut reader, (range.from(), range.to()), &mut progress).await?;
            } else {
                count_messages(&mut reader, (range.from(), first_whole.start()), &mut progress).await?;
                count_batches(
                    &mut reader,
                    (first_whole.start(), last_whole.start()),
                    &mut progress,
                )
                .await?;
                count_sealed(
                    &mut reader,
                    (first_whole.start(), last_whole.start()),
                    &mut progress,
                )
                .await?;
                count_messages(&mut reader, (last_whole.start(), range.to()), &mut progress).await?;
            }
            Ok(progress)
        })
        .await
    }

    /// What is parked of the hours that a range lies in. (A count of its own: failed batches are few, and the index that
    /// counts a range's messages has no such column.)
    pub async fn parked_in(&self, range: TimeRange) -> Result<ParkedCount, LedgerError> {
        self.read("count parked batches", |mut reader| async move {
            let counted: Option<(u64, u64)> = reader
                .first(
                    "SELECT COUNT(*), CAST(COALESCE(SUM(message_count), 0) AS UNSIGNED) FROM batch \
                     WHERE status = 'failed' AND parked_at IS NOT NULL AND hour_start >= :from AND hour_start < :to",
                    params! { "from" => at(Hour::of(range.from()).start()), "to" => at(range.to()) },
                )
                .await?;
            let (batches, messages) = counted.unwrap_or_default();
            Ok(ParkedCount { batches, messages })
        })
        .await
    }

    /// All batches, by status.
    pub async fn batches_by_status(&self) -> Result<Vec<StatusCount>, LedgerError> {
        self.read("count batches", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT status, COUNT(*) AS batches, CAST(SUM(message_count) AS UNSIGNED) AS messages, \
                     CAST(SUM(parked_at IS NOT NULL) AS UNSIGNED) AS parked, \
                     CAST(SUM(IF(parked_at IS NULL, 0, message_count)) AS UNSIGNED) AS parked_messages, \
                     CAST(COALESCE(SUM(bytes_stored), 0) AS UNSIGNED) AS bytes_stored FROM batch GROUP BY status",
                    (),
                )
                .await?;
            rows.into_iter()
                .map(|mut row| {
                    Ok(StatusCount {
                        status: row.parsed("status")?,
                        batches: row.column("batches")?,
                        messages: row.column("messages")?,
                        parked: row.column("parked")?,
                        parked_messages: row.column("parked_messages")?,
                        bytes_stored: row.column("bytes_stored")?,
                    })
                })
                .collect()
        })
        .await
    }
}

async fn count_batches(
    reader: &mut Reader,
    (from, to): (Timestamp, Timestamp),
    progress: &mut Progress,
) -> Result<(), LedgerError> {
    if from >= to {
        return Ok(());
    }
    let rows: Vec<Row> = reader
        .rows(
            "SELECT status, CAST(SUM(message_count) AS UNSIGNED) AS messages, \
             CAST(COALESCE(SUM(missing), 0) AS UNSIGNED) AS missing, \
             CAST(COALESCE(SUM(quarantined), 0) AS UNSIGNED) AS quarantined \
             FROM batch WHERE hour_start >= :from AND hour_start < :to GROUP BY status",
            params! { "from" => at(from), "to" => at(to) },
        )
        .await?;
    add_rows(rows, progress)
}

async fn count_messages(
    reader: &mut Reader,
    (from, to): (Timestamp, Timestamp),
    progress: &mut Progress,
) -> Result<(), LedgerError> {
    let Ok(range) = TimeRange::new(from, to) else {
        return Ok(());
    };
    // A batch that lies in the range as a whole says it all.
    let query = format!(
        "SELECT status, CAST(SUM(messages) AS UNSIGNED) AS messages, CAST(SUM(missing) AS UNSIGNED) AS missing, \
         CAST(SUM(quarantined) AS UNSIGNED) AS quarantined FROM \
         (SELECT b.status, b.message_count AS messages, COALESCE(b.missing, 0) AS missing, \
          COALESCE(b.quarantined, 0) AS quarantined FROM batch b WHERE {TOUCHING} AND {WITHIN} UNION ALL \
          SELECT b.status, 1, COALESCE(m.outcome = 'missing', 0), COALESCE(m.outcome = 'quarantined', 0) \
          FROM batch b STRAIGHT_JOIN message m ON m.batch_id = b.id \
          WHERE {TOUCHING} AND NOT {WITHIN} AND {IS_IN}) part GROUP BY status"
    );
    let rows: Vec<Row> = reader.rows(query, span(range, [])).await?;
    add_rows(rows, progress)
}

/// Hours whose rows were taken away are counted by what their seals say, where they lie in the range as a whole.
async fn count_sealed(
    reader: &mut Reader,
    (from, to): (Timestamp, Timestamp),
    progress: &mut Progress,
) -> Result<(), LedgerError> {
    let sums: Option<(u64, u64, u64, u64)> = reader
        .first(
            "SELECT CAST(COALESCE(SUM(messages), 0) AS UNSIGNED), CAST(COALESCE(SUM(exported), 0) AS UNSIGNED), \
             CAST(COALESCE(SUM(missing), 0) AS UNSIGNED), CAST(COALESCE(SUM(quarantined), 0) AS UNSIGNED) \
             FROM sealed_range WHERE range_from >= :from AND range_from < :to AND purged_at IS NOT NULL",
            params! { "from" => at(from), "to" => at(to) },
        )
        .await?;
    let (messages, exported, missing, quarantined) = sums.unwrap_or_default();
    progress.known += messages;
    progress.success += exported;
    progress.missing += missing;
    progress.quarantined += quarantined;
    Ok(())
}

fn add_rows(rows: Vec<Row>, progress: &mut Progress) -> Result<(), LedgerError> {
    for mut row in rows {
        let (missing, quarantined) = (row.column("missing")?, row.column("quarantined")?);
        progress.count(
            row.parsed("status")?,
            row.column("messages")?,
            missing,
            quarantined,
        );
    }
    Ok(())
}
