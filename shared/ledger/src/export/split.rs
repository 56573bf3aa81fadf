//! Splitting a batch that is too large: it ran out of its worker's time or temp directory twice, so its messages become two
//! batches.
//!
//! The first half keeps the batch's number under its next generation, so that neither half has the key under which a worker
//! of the whole batch may have written, or may still write. Such an object is on record as superseded: it stays until it
//! was read and all that it holds is on record in the objects of the halves (`superseded.rs`). The second half is a new
//! batch beside it, so each message has one owner at any time. The attempt's row and the audit say so, in the same
//! transaction.
//!
//! Not split are:
//!
//! - A batch of one message: it is deferred, and the alert about deferrals names the remedy.
//! - A batch that ran out of time while its messages were fetched one by one: it continues from there (`suspect.rs`).
//! - A batch that is re-exported while its old object is on record: that object holds all of its messages.
//!
//! **When it fails**, nothing was changed, and the batch's lease runs out.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::Columns;
use crate::export::settle::shortened;
use crate::export::{ClaimedBatch, Fenced};
use crate::harvest::recount::recount;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, Cause, Failure, ObjectKey};
use granary_steps::Step;
use mysql_async::{Row, params};
use serde_json::json;
use std::time::Duration;

/// Attempts of one generation that a batch may be too large for, before it is split.
const ATTEMPTS_TOO_LARGE_FOR: u64 = 2;
const MESSAGES_MIN: u64 = 2;

impl Ledger {
    /// Ends an attempt that the batch was too large for. It doesn't count. The batch is sent again after `delay`, and from the
    /// second time on it is split in two, which are sent at once. `object` is where the attempt may have written.
    pub async fn defer_too_large(
        &self,
        batch: &ClaimedBatch,
        failure: &Failure,
        delay: Duration,
        object: &ObjectKey,
    ) -> Result<Fenced, LedgerError> {
        let ended = self
            .change(Step::SplitBatch, |doing| {
                self.try_defer_too_large(doing, batch, failure, (delay, object))
            })
            .await;
        match ended {
            // No number is left for the other half until the reaper's next tick reserves some: it is split the next time.
            Err(LedgerError::OutOfNumbers { .. }) => self.defer(batch, failure, delay).await,
            ended => ended,
        }
    }

    async fn try_defer_too_large(
        &self,
        doing: Doing,
        batch: &ClaimedBatch,
        failure: &Failure,
        (delay, object): (Duration, &ObjectKey),
    ) -> Result<Fenced, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let Some(held) = Held::of(&mut transaction, doing, batch).await? else {
            let ended = ended_before(&mut transaction, doing, batch, failure).await?;
            transaction.rollback().await.during(doing)?;
            return Ok(ended);
        };
        if held.is_to_be_split(failure.cause) {
            supersede(&mut transaction, doing, batch, object).await?;
            let split = split(self, &mut transaction, doing, (batch, held.messages)).await?;
            let text = format!(
                "{}; the batch is split: its last {} messages are batch {}",
                failure.text, split.moved, split.into
            );
            end_attempt(&mut transaction, doing, batch, (failure.cause, &text)).await?;
            write_audit(&mut transaction, doing, batch, (failure.cause, &split)).await?;
        } else {
            end_attempt(&mut transaction, doing, batch, (failure.cause, &failure.text)).await?;
            defer(&mut transaction, doing, batch, delay).await?;
        }
        transaction.commit().await.during(doing)?;
        Ok(Fenced::Done)
    }
}

/// A batch that this worker holds, locked until the end of the transaction.
struct Held {
    messages: u64,
    /// Its attempts of this generation that it was too large for, this one included.
    too_large_for: u64,
    is_careful: bool,
    has_object: bool,
}

impl Held {
    async fn of(
        transaction: &mut Transaction,
        doing: Doing,
        batch: &ClaimedBatch,
    ) -> Result<Option<Self>, LedgerError> {
        let row: Option<Row> = transaction
            .exec_first(
                "SELECT b.message_count, b.object_key IS NOT NULL AS has_object, \
                 EXISTS (SELECT 1 FROM suspect s JOIN attempt a ON a.batch_id = s.batch_id AND a.number = s.fence \
                  WHERE s.batch_id = b.id AND a.generation = b.generation) AS is_careful, \
                 (SELECT COUNT(*) FROM attempt a WHERE a.batch_id = b.id AND a.generation = b.generation \
                  AND a.outcome IN ('handed_back', 'deferred') AND a.error_code IN (:deadline, :spool)) AS earlier \
                 FROM batch b WHERE b.id = :id AND b.fence = :fence AND b.status = 'in_progress' FOR UPDATE",
                params! {
                    "deadline" => Cause::Deadline.as_str(), "spool" => Cause::Spool.as_str(),
                    "id" => batch.id.0, "fence" => batch.fence.0,
                },
            )
            .await
            .during(doing)?;
        row.map(|mut row| {
            Ok(Self {
                messages: row.column("message_count")?,
                too_large_for: row.column::<u64>("earlier")? + 1,
                is_careful: row.column("is_careful")?,
                has_object: row.column("has_object")?,
            })
        })
        .transpose()
    }

    fn is_to_be_split(&self, cause: Cause) -> bool {
        let goes_on = self.is_careful && cause == Cause::Deadline;
        self.too_large_for >= ATTEMPTS_TOO_LARGE_FOR
            && self.messages >= MESSAGES_MIN
            && !goes_on
            && !self.has_object
    }
}

struct Split {
    into: BatchId,
    moved: u64,
}

/// What the attempt may have written isn't this batch's object any more, and goes only when all of it is on record.
async fn supersede(
    transaction: &mut Transaction,
    doing: Doing,
    batch: &ClaimedBatch,
    object: &ObjectKey,
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "INSERT INTO superseded_object (batch_id, fence, generation, hour_start, object_key, exported, reason, asked_at) \
             SELECT id, fence, generation, hour_start, ?, message_count, 'the batch is split', UTC_TIMESTAMP(6) \
             FROM batch WHERE id = ?",
            (object.as_str(), batch.id.0),
        )
        .await
        .during(doing)
}

/// Moves the last half of a batch's messages, in the order of their hashes, to a batch beside it.
async fn split(
    ledger: &Ledger,
    transaction: &mut Transaction,
    doing: Doing,
    (batch, messages): (&ClaimedBatch, u64),
) -> Result<Split, LedgerError> {
    let moved = messages / 2;
    let kept = messages - moved;
    let into = ledger
        .make_batch_beside(transaction, doing, batch.id, moved)
        .await?;
    let first_moved: Option<(u64, u64)> = transaction
        .exec_first(
            "SELECT hash_high, hash_low FROM message WHERE batch_id = ? ORDER BY hash_high, hash_low LIMIT 1 OFFSET ?",
            (batch.id.0, kept),
        )
        .await
        .during(doing)?;
    let (high, low) = first_moved.unwrap_or_default();
    transaction
        .exec_drop(
            "UPDATE message SET batch_id = :into, outcome = NULL, reason = NULL WHERE batch_id = :batch \
             AND (hash_high > :high OR (hash_high = :high AND hash_low >= :low))",
            params! { "into" => into.0, "batch" => batch.id.0, "high" => high, "low" => low },
        )
        .await
        .during(doing)?;
    if transaction.affected_rows() != moved {
        let reason = format!(
            "batch {} counts {messages} messages, and {} of its last {moved} were there",
            batch.id,
            transaction.affected_rows()
        );
        return Err(LedgerError::inconsistent(doing, reason));
    }
    transaction
        .exec_drop(
            "UPDATE batch SET status = 'pending', attempts = attempts - 1, holder = NULL, lease_until = NULL, \
             generation = generation + 1, enqueued_at = NULL, sends = 0, not_before = NULL, \
             deferrals = 0, deferred_since = NULL, error_code = NULL, error_text = NULL WHERE id = ?",
            (batch.id.0,),
        )
        .await
        .during(doing)?;
    recount(transaction, doing, &[batch.id, into]).await?;
    Ok(Split { into, moved })
}

async fn defer(
    transaction: &mut Transaction,
    doing: Doing,
    batch: &ClaimedBatch,
    delay: Duration,
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "UPDATE batch b LEFT JOIN attempt a ON a.batch_id = b.id AND a.number = b.fence \
             SET b.status = 'pending', b.attempts = b.attempts - 1, b.holder = NULL, b.lease_until = NULL, \
             b.enqueued_at = NULL, b.not_before = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND, b.deferrals = b.deferrals + 1, \
             b.deferred_since = COALESCE(b.deferred_since, UTC_TIMESTAMP(6)), \
             b.error_code = a.error_code, b.error_text = a.error_text WHERE b.id = ?",
            (micros(delay), batch.id.0),
        )
        .await
        .during(doing)
}

async fn end_attempt(
    transaction: &mut Transaction,
    doing: Doing,
    batch: &ClaimedBatch,
    (cause, text): (Cause, &str),
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "UPDATE attempt SET outcome = :outcome, ended_at = UTC_TIMESTAMP(6), error_code = :code, error_text = :text \
             WHERE batch_id = :id AND number = :fence",
            params! {
                "outcome" => outcome_of(cause), "code" => cause.as_str(), "text" => shortened(text),
                "id" => batch.id.0, "fence" => batch.fence.0,
            },
        )
        .await
        .during(doing)
}

/// As a deferral of the same cause ends: what ran out of time is handed back.
fn outcome_of(cause: Cause) -> &'static str {
    if cause == Cause::Deadline {
        "handed_back"
    } else {
        "deferred"
    }
}

/// A repetition after a lost answer finds the attempt ended.
async fn ended_before(
    transaction: &mut Transaction,
    doing: Doing,
    batch: &ClaimedBatch,
    failure: &Failure,
) -> Result<Fenced, LedgerError> {
    let ended: Option<u8> = transaction
        .exec_first(
            "SELECT 1 FROM attempt WHERE batch_id = ? AND number = ? AND outcome = ?",
            (batch.id.0, batch.fence.0, outcome_of(failure.cause)),
        )
        .await
        .during(doing)?;
    Ok(ended.map_or(Fenced::Refused, |_| Fenced::Done))
}

async fn write_audit(
    transaction: &mut Transaction,
    doing: Doing,
    batch: &ClaimedBatch,
    (cause, split): (Cause, &Split),
) -> Result<(), LedgerError> {
    let arguments = json!({ "batch": batch.id.0, "cause": cause.as_str() }).to_string();
    let effect = json!({ "batch": split.into.0, "messages": split.moved }).to_string();
    transaction
        .exec_drop(
            "INSERT INTO audit (at, who, action, arguments, effect) \
             VALUES (UTC_TIMESTAMP(6), 'exporter', 'batch.split', ?, ?)",
            (arguments, effect),
        )
        .await
        .during(doing)
}
