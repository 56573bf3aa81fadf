//! Whether the ledger's rows contradict each other: the part of [`Invariant`]'s list that it can see by itself.
//!
//! Each check is one SELECT, which sees one moment; and every change of the ledger is one transaction. So a batch that
//! somebody works on meanwhile never looks broken. Nothing is locked, and nothing is repaired: a violation is a defect or
//! a tampered row, and a person has to look.
//!
//! What is looked at is bounded by the caller's [`BatchSlice`]. Rows of sealed hours are being taken away; they are left out.

use crate::db::row::{Columns, unreadable};
use crate::harvest::window::micros;
use crate::integrity::BatchSlice;
use crate::integrity::evidence::digest_of;
use crate::{Ledger, LedgerError};
use granary_domain::{BatchStatus, IdDigest, Invariant, MessageId, Subject, Violation, WindowId};
use jiff::Timestamp;
use mysql_async::Row;
use std::time::Duration;

/// What the ledger can't know by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// `GRANARY_MAX_ATTEMPTS`; `None`: only the log of attempts bounds them.
    pub attempts_max: Option<u32>,
    /// A batch that was parked less long ago than this may be without an alert: the reaper's next tick raises it.
    pub untold_max: Duration,
}

const OPERATION: &str = "check its invariants";
/// Strays of one slice; there are none, so more say no more.
const STRAYS_MAX: u32 = 100;
const BATCH_NOT_SEALED: &str = "NOT EXISTS (SELECT 1 FROM sealed_range s WHERE s.range_from = b.hour_start \
    AND b.id <= s.last_batch_id)";
const MESSAGE_NOT_SEALED: &str = "NOT EXISTS (SELECT 1 FROM sealed_range s WHERE s.range_from <= m.event_time \
    AND s.range_to > m.event_time AND m.batch_id <= s.last_batch_id)";

impl Ledger {
    /// What doesn't hold for a slice's batches, their messages, attempts, alerts and windows.
    pub async fn violations_in(
        &self,
        slice: &BatchSlice,
        bounds: &Bounds,
    ) -> Result<Vec<Violation>, LedgerError> {
        if slice.is_empty() {
            return Ok(Vec::new());
        }
        let mut violations = self.miscounted(slice).await?;
        violations.extend(self.strays(slice).await?);
        violations.extend(self.unbounded(slice, bounds).await?);
        violations.extend(self.in_wrong_hands(slice).await?);
        violations.extend(self.completed_by_a_stale_fence(slice).await?);
        violations.extend(self.without_a_whole_record(slice).await?);
        violations.extend(self.untold(slice, bounds).await?);
        violations.extend(self.windows_that_do_not_add_up(slice).await?);
        Ok(violations)
    }

    /// [`Invariant::CountsAreRows`].
    async fn miscounted(&self, slice: &BatchSlice) -> Result<Vec<Violation>, LedgerError> {
        let query = format!(
            "SELECT b.id, b.status, b.message_count, b.exported, b.missing, b.quarantined, b.time_from, b.time_to, \
             CAST(b.digest_high AS CHAR) AS batch_high, CAST(b.digest_low AS CHAR) AS batch_low, \
             COUNT(m.message_id) AS ids, CAST(COALESCE(SUM(m.hash_high), 0) AS CHAR) AS high, \
             CAST(COALESCE(SUM(m.hash_low), 0) AS CHAR) AS low, MIN(m.event_time) AS first_time, MAX(m.event_time) AS last_time, \
             CAST(COALESCE(SUM(m.outcome = 'missing'), 0) AS UNSIGNED) AS rows_missing, \
             CAST(COALESCE(SUM(m.outcome = 'quarantined'), 0) AS UNSIGNED) AS rows_quarantined \
             FROM batch b LEFT JOIN message m ON m.batch_id = b.id \
             WHERE {} AND {BATCH_NOT_SEALED} GROUP BY b.id",
            slice.holds("b.id")
        );
        let mut violations = Vec::new();
        for row in self.found(&query).await? {
            let counted = Counted::of(row)?;
            let text = counted.contradiction();
            violations
                .extend(text.map(|text| Violation::new(Invariant::CountsAreRows, counted.subject, text)));
        }
        Ok(violations)
    }

    /// [`Invariant::OneStanding`]: messages of batches that don't exist. The owners are read off the index, one by one; their
    /// messages are counted only where there is no such batch.
    async fn strays(&self, slice: &BatchSlice) -> Result<Vec<Violation>, LedgerError> {
        let query = format!(
            "SELECT owner.id, COUNT(*) AS owned FROM (SELECT DISTINCT batch_id AS id FROM message WHERE {}) owner \
             LEFT JOIN batch b ON b.id = owner.id JOIN message m ON m.batch_id = owner.id \
             WHERE b.id IS NULL AND {MESSAGE_NOT_SEALED} GROUP BY owner.id LIMIT {STRAYS_MAX}",
            slice.holds("batch_id")
        );
        let mut violations = Vec::new();
        for mut row in self.found(&query).await? {
            let (batch, owned) = (row.batch_id("id")?, row.column("owned")?);
            let ids = self.ids_where(&format!("m.batch_id = {batch}")).await?;
            let text = format!("it doesn't exist, and owns {owned} messages");
            let violation = Violation::new(Invariant::OneStanding, Subject::Batch(batch), text);
            violations.push(violation.of_messages(ids, owned));
        }
        Ok(violations)
    }

    /// [`Invariant::AttemptsAreBounded`]. Attempts that didn't count are in the log all the same; what is over may have had
    /// more, from before the setting was lowered.
    async fn unbounded(&self, slice: &BatchSlice, bounds: &Bounds) -> Result<Vec<Violation>, LedgerError> {
        let attempts_max = bounds.attempts_max.unwrap_or(u32::MAX);
        let query = format!(
            "SELECT b.id, b.attempts, b.status, b.parked_at, COUNT(a.number) AS counted FROM batch b LEFT JOIN attempt a \
             ON a.batch_id = b.id AND (a.outcome IS NULL OR a.outcome NOT IN ('deferred', 'handed_back')) \
             WHERE {} AND {BATCH_NOT_SEALED} GROUP BY b.id \
             HAVING b.attempts > counted OR (b.attempts > {attempts_max} \
             AND (b.status = 'in_progress' OR (b.status = 'failed' AND b.parked_at IS NULL)))",
            slice.holds("b.id")
        );
        self.each(&query, Invariant::AttemptsAreBounded, |row| {
            let (attempts, counted): (u32, u64) = (row.column("attempts")?, row.column("counted")?);
            Ok(if attempts > attempts_max {
                format!("it has {attempts} attempts, {attempts_max} at most are allowed")
            } else {
                format!("it counts {attempts} attempts, the log shows {counted}")
            })
        })
        .await
    }

    /// [`Invariant::OneWorker`].
    async fn in_wrong_hands(&self, slice: &BatchSlice) -> Result<Vec<Violation>, LedgerError> {
        let query = format!(
            "SELECT b.id, b.status, b.fence, COUNT(a.number) AS open_attempts, \
             CAST(COALESCE(SUM(a.number = b.fence), 0) AS UNSIGNED) AS of_fence \
             FROM batch b LEFT JOIN attempt a ON a.batch_id = b.id AND a.ended_at IS NULL \
             WHERE {} AND {BATCH_NOT_SEALED} GROUP BY b.id \
             HAVING open_attempts <> (b.status = 'in_progress') OR of_fence <> (b.status = 'in_progress')",
            slice.holds("b.id")
        );
        self.each(&query, Invariant::OneWorker, |row| {
            let (status, fence): (String, u32) = (row.column("status")?, row.column("fence")?);
            let (open, current): (u64, u64) = (row.column("open_attempts")?, row.column("of_fence")?);
            Ok(format!(
                "it is {status} under fence {fence}, with {open} open attempts, {current} of them that fence's"
            ))
        })
        .await
    }

    /// [`Invariant::NoStaleCompletion`]. An attempt's generation is the one that it was claimed with, which is that of
    /// no earlier completion; settled it may be under a later one.
    async fn completed_by_a_stale_fence(&self, slice: &BatchSlice) -> Result<Vec<Violation>, LedgerError> {
        let query = format!(
            "SELECT b.id, b.status, b.fence, COUNT(a.number) AS completions, \
             COUNT(DISTINCT a.generation) AS generations, \
             CAST(COALESCE(SUM(a.number = b.fence), 0) AS UNSIGNED) AS by_fence, \
             CAST(COALESCE(SUM(a.generation >= b.generation AND NOT (b.status = 'completed' AND a.number = b.fence)), 0) \
             AS UNSIGNED) AS stale \
             FROM batch b LEFT JOIN attempt a ON a.batch_id = b.id AND a.outcome = 'completed' \
             WHERE {} AND {BATCH_NOT_SEALED} GROUP BY b.id \
             HAVING completions <> generations OR stale > 0 OR (b.status = 'completed' AND by_fence <> 1)",
            slice.holds("b.id")
        );
        self.each(&query, Invariant::NoStaleCompletion, |row| {
            let (status, fence): (String, u32) = (row.column("status")?, row.column("fence")?);
            let (completions, current): (u64, u64) = (row.column("completions")?, row.column("by_fence")?);
            Ok(format!(
                "it is {status} under fence {fence}, with {completions} attempts that completed it, \
                 {current} of them that fence's"
            ))
        })
        .await
    }

    /// [`Invariant::RecordIsWhole`]. CHECK constraints hold most of it, where the server enforces them.
    async fn without_a_whole_record(&self, slice: &BatchSlice) -> Result<Vec<Violation>, LedgerError> {
        let query = format!(
            "SELECT b.id, b.generation, b.object_key FROM batch b WHERE {} AND b.status = 'completed' AND NOT COALESCE( \
             b.settled_at IS NOT NULL AND b.exported + b.missing + b.quarantined = b.message_count \
             AND (b.exported = 0) = (b.object_key IS NULL) AND (b.object_key IS NULL OR (b.sha256 IS NOT NULL \
             AND b.bytes_raw IS NOT NULL AND b.bytes_stored IS NOT NULL AND INSTR(b.object_key, CONCAT('/dt=', \
             DATE_FORMAT(b.hour_start, '%Y-%m-%d/hour=%H'), '/batch-', b.id, '-g', b.generation, '.')) > 0)), FALSE)",
            slice.holds("b.id")
        );
        self.each(&query, Invariant::RecordIsWhole, |row| {
            let generation: u32 = row.column("generation")?;
            let key: Option<String> = row.column("object_key")?;
            let key = key.unwrap_or_else(|| "no object".to_owned());
            Ok(format!(
                "it is completed in generation {generation}, and names {key}"
            ))
        })
        .await
    }

    /// [`Invariant::ParkedIsTold`].
    async fn untold(&self, slice: &BatchSlice, bounds: &Bounds) -> Result<Vec<Violation>, LedgerError> {
        let query = format!(
            "SELECT b.id, b.error_code FROM batch b WHERE {} AND b.status = 'failed' \
             AND b.parked_at <= UTC_TIMESTAMP(6) - INTERVAL {} MICROSECOND \
             AND NOT EXISTS (SELECT 1 FROM alert a WHERE a.kind = 'parked' AND a.subject_key = b.error_code)",
            slice.holds("b.id"),
            micros(bounds.untold_max)
        );
        self.each(&query, Invariant::ParkedIsTold, |row| {
            let cause: String = row.column("error_code")?;
            Ok(format!("it is parked ({cause}), and no alert says so"))
        })
        .await
    }

    /// [`Invariant::WindowsAddUp`]. A CHECK constraint holds it, where the server enforces them.
    async fn windows_that_do_not_add_up(&self, slice: &BatchSlice) -> Result<Vec<Violation>, LedgerError> {
        let query = format!(
            "SELECT w.id, w.found, w.recorded + w.adopted + w.owned_elsewhere + w.duplicates + w.without_id AS accounted \
             FROM harvest_window w WHERE w.id IN (SELECT b.window_id FROM batch b WHERE {}) \
             AND w.found <> w.recorded + w.adopted + w.owned_elsewhere + w.duplicates + w.without_id",
            slice.holds("b.id")
        );
        let rows = self.found(&query).await?;
        rows.into_iter()
            .map(|mut row| {
                let window = WindowId(row.column("id")?);
                let (found, accounted): (u64, u64) = (row.column("found")?, row.column("accounted")?);
                let text = format!("it found {found} messages, and accounts for {accounted}");
                Ok(Violation::new(
                    Invariant::WindowsAddUp,
                    Subject::Window(window),
                    text,
                ))
            })
            .collect()
    }

    /// A violation for each row, about the batch that its `id` names.
    async fn each(
        &self,
        query: &str,
        invariant: Invariant,
        text_of: impl Fn(&mut Row) -> Result<String, LedgerError>,
    ) -> Result<Vec<Violation>, LedgerError> {
        let rows = self.found(query).await?;
        rows.into_iter()
            .map(|mut row| {
                let text = text_of(&mut row)?;
                Ok(Violation::new(
                    invariant,
                    Subject::Batch(row.batch_id("id")?),
                    text,
                ))
            })
            .collect()
    }

    /// The first few messages of which a condition holds.
    async fn ids_where(&self, condition: &str) -> Result<Vec<MessageId>, LedgerError> {
        let query = format!(
            "SELECT m.message_id FROM message m WHERE {condition} LIMIT {}",
            Violation::IDS_NAMED_MAX
        );
        let rows = self.found(&query).await?;
        rows.into_iter()
            .map(|mut row| {
                let id = row.text("message_id")?;
                id.try_into().map_err(|error| unreadable("message_id", &error))
            })
            .collect()
    }

    async fn found(&self, query: &str) -> Result<Vec<Row>, LedgerError> {
        self.read(
            OPERATION,
            |mut reader| async move { reader.rows(query, ()).await },
        )
        .await
    }
}

/// What a batch says of its messages, and what there is.
struct Counted {
    subject: Subject,
    status: BatchStatus,
    /// As the batch has it.
    digest: IdDigest,
    /// The first and the last event time, as the batch has them.
    times: (Option<Timestamp>, Option<Timestamp>),
    /// Exported, missing and quarantined, as the batch counts them.
    settled: [Option<u32>; 3],
    /// The same three, as the rows have them.
    rows_digest: IdDigest,
    rows_times: (Option<Timestamp>, Option<Timestamp>),
    rows: [u64; 3],
}

impl Counted {
    fn of(mut row: Row) -> Result<Self, LedgerError> {
        let rows_digest = digest_of(&mut row)?;
        let (missing, quarantined): (u64, u64) =
            (row.column("rows_missing")?, row.column("rows_quarantined")?);
        Ok(Self {
            subject: Subject::Batch(row.batch_id("id")?),
            status: row.parsed("status")?,
            digest: IdDigest::from_sums(
                u64::from(row.column::<u32>("message_count")?),
                row.parsed("batch_high")?,
                row.parsed("batch_low")?,
            ),
            times: (row.instant_or_null("time_from")?, row.instant_or_null("time_to")?),
            settled: [
                row.column("exported")?,
                row.column("missing")?,
                row.column("quarantined")?,
            ],
            rows: [
                rows_digest.count.saturating_sub(missing + quarantined),
                missing,
                quarantined,
            ],
            rows_digest,
            rows_times: (
                row.instant_or_null("first_time")?,
                row.instant_or_null("last_time")?,
            ),
        })
    }

    fn contradiction(&self) -> Option<String> {
        let (counted, owned) = (self.digest.count, self.rows_digest.count);
        let is_settled = self.status == BatchStatus::Completed;
        if owned != counted {
            Some(format!("it counts {counted} messages, and owns {owned}"))
        } else if self.digest != self.rows_digest {
            Some("the digest that it has of its messages' ids isn't that of its rows".to_owned())
        } else if self.times != self.rows_times {
            Some("the event times that it has of its messages aren't those of its rows".to_owned())
        } else if is_settled && self.settled != self.rows.map(|count| u32::try_from(count).ok()) {
            Some(format!(
                "it counts {:?} exported, missing and quarantined messages, its rows are {:?}",
                self.settled.map(Option::unwrap_or_default),
                self.rows
            ))
        } else {
            None
        }
    }
}
