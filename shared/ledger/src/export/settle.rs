//! Ending an attempt: settled, failed, deferred or handed back. Each is one conditional UPDATE of the batch and its
//! attempt together, and is refused where the fence is not the newest one.

use crate::db::connect::Doing;
use crate::db::error::During;
use crate::db::ids::{IN_BATCH, Ids};
use crate::db::row::LOOKED_UP_KEYS_MAX;
use crate::export::ClaimedBatch;
use crate::export::excepted::raise_exceptions;
use crate::export::storm::raise_parked;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::{Failure, Generation, MessageId, ObjectKey, Outcome};
use granary_steps::Step;
use mysql_async::{Params, params};
use std::collections::BTreeMap;
use std::time::Duration;

/// Whether a write that carries a fence took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fenced {
    /// It did, now or when it was tried before.
    Done,
    /// The row belongs to somebody else now.
    Refused,
}

impl Fenced {
    pub(crate) fn by(affected_rows: u64) -> Self {
        if affected_rows > 0 {
            Self::Done
        } else {
            Self::Refused
        }
    }
}

/// What a completed batch has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The object; `None` where no message was left to write.
    pub object: Option<ObjectKey>,
    /// Its SHA-256.
    pub sha256: Option<[u8; 32]>,
    /// Bytes before compression.
    pub bytes_raw: u64,
    /// Bytes of the object.
    pub bytes_stored: u64,
    /// Messages in it.
    pub exported: u32,
    /// Messages that were gone at the source.
    pub missing: u32,
    /// Messages that can't be exported.
    pub quarantined: u32,
    /// Milliseconds by phase, a JSON object.
    pub timings: String,
}

/// A message that isn't in its batch's object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// Its id.
    pub message_id: MessageId,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, for people.
    pub reason: String,
}

const TEXT_CHARS_MAX: usize = 1_000;
const REASON_CHARS_MAX: usize = 500;

/// A text as long as its column.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

impl Ledger {
    /// Writes down which messages of a batch are not in its object, in place of what earlier attempts found.
    pub async fn record_exceptions(
        &self,
        batch: &ClaimedBatch,
        exceptions: &[Exception],
    ) -> Result<Fenced, LedgerError> {
        self.change(Step::RecordExceptions, |doing| {
            self.try_record_exceptions(doing, batch, exceptions)
        })
        .await
    }

    async fn try_record_exceptions(
        &self,
        doing: Doing,
        batch: &ClaimedBatch,
        exceptions: &[Exception],
    ) -> Result<Fenced, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let held: Option<u8> = transaction
            .exec_first(
                "SELECT 1 FROM batch WHERE id = ? AND fence = ? AND status = 'in_progress' FOR UPDATE",
                (batch.id.0, batch.fence.0),
            )
            .await
            .during(doing)?;
        if held.is_none() {
            transaction.rollback().await.during(doing)?;
            return Ok(Fenced::Refused);
        }
        transaction
            .exec_drop(
                "UPDATE message SET outcome = NULL, reason = NULL WHERE batch_id = ? AND outcome IS NOT NULL",
                (batch.id.0,),
            )
            .await
            .during(doing)?;
        let mut alike: BTreeMap<(&str, String), Vec<&MessageId>> = BTreeMap::new();
        for exception in exceptions {
            let reason = exception.reason.chars().take(REASON_CHARS_MAX).collect();
            alike
                .entry((exception.outcome.as_str(), reason))
                .or_default()
                .push(&exception.message_id);
        }
        for ((outcome, reason), ids) in &alike {
            for chunk in ids.chunks(LOOKED_UP_KEYS_MAX) {
                let ids = Ids::of(chunk.iter().copied());
                let statement = format!(
                    "UPDATE message m {IN_BATCH} SET m.outcome = ?, m.reason = ? WHERE m.batch_id = ? AND {}",
                    ids.are_meant()
                );
                let params = ids.params_after([(*outcome).into(), reason.into(), batch.id.0.into()]);
                transaction.exec_drop(statement, params).await.during(doing)?;
            }
        }
        transaction.commit().await.during(doing)?;
        Ok(Fenced::Done)
    }

    /// Completes a batch: from now on its object is on record. One that ends with exceptions raises an alert in the same
    /// transaction.
    pub async fn settle(&self, batch: &ClaimedBatch, settlement: &Settlement) -> Result<Fenced, LedgerError> {
        let has_object = settlement.object.is_some();
        self.end_attempt(
                Step::SettleBatch,
                batch,
                "completed",
                "b.recalled = 0, b.status = 'completed', b.settled_at = UTC_TIMESTAMP(6), b.object_key = :key, b.sha256 = :sha256, \
                 b.bytes_raw = :bytes_raw, b.bytes_stored = :bytes_stored, b.exported = :exported, \
                 b.missing = :missing, b.quarantined = :quarantined, b.deferrals = 0, b.deferred_since = NULL, \
                 b.error_code = NULL, b.error_text = NULL, a.timings = :timings",
                params! {
                    "key" => settlement.object.as_ref().map(ObjectKey::as_str),
                    "sha256" => settlement.sha256.map(Vec::from),
                    "bytes_raw" => has_object.then_some(settlement.bytes_raw),
                    "bytes_stored" => has_object.then_some(settlement.bytes_stored),
                    "exported" => settlement.exported, "missing" => settlement.missing,
                    "quarantined" => settlement.quarantined, "timings" => &settlement.timings,
                },
            )
            .await
    }

    /// Ends an attempt that failed through the batch's own fault. It may be tried again after `delay`; with no attempt
    /// left it is parked.
    pub async fn fail(
        &self,
        batch: &ClaimedBatch,
        failure: &Failure,
        delay: Duration,
        attempts_max: u32,
    ) -> Result<Fenced, LedgerError> {
        self.end_attempt(
            Step::FailBatch,
            batch,
            "failed",
            "b.status = 'failed', b.not_before = UTC_TIMESTAMP(6) + INTERVAL :delay MICROSECOND, \
             b.deferrals = 0, b.deferred_since = NULL, \
             b.parked_at = IF(b.attempts >= :attempts_max, UTC_TIMESTAMP(6), NULL), \
             b.error_code = :code, b.error_text = :text, \
             a.error_code = :code, a.error_text = :text",
            params! {
                "delay" => micros(delay),
                "attempts_max" => attempts_max, "code" => failure.cause.as_str(), "text" => shortened(&failure.text),
            },
        )
        .await
    }

    /// Ends an attempt that the platform broke off: it doesn't count, and the batch is sent again after `delay`.
    pub async fn defer(
        &self,
        batch: &ClaimedBatch,
        failure: &Failure,
        delay: Duration,
    ) -> Result<Fenced, LedgerError> {
        self.end_without_counting(Step::DeferBatch, "deferred", batch, (failure, delay))
            .await
    }

    /// Gives a batch back that didn't fit into its worker's time: it counts as a deferral, not as an attempt, and is sent
    /// again after `delay`.
    pub async fn defer_unfinished(
        &self,
        batch: &ClaimedBatch,
        failure: &Failure,
        delay: Duration,
    ) -> Result<Fenced, LedgerError> {
        self.end_without_counting(Step::HandBackBatch, "handed_back", batch, (failure, delay))
            .await
    }

    async fn end_without_counting(
        &self,
        step: Step,
        outcome: &'static str,
        batch: &ClaimedBatch,
        (failure, delay): (&Failure, Duration),
    ) -> Result<Fenced, LedgerError> {
        self.end_attempt(
            step,
            batch,
            outcome,
            "b.status = 'pending', b.attempts = b.attempts - 1, b.enqueued_at = NULL, \
             b.not_before = UTC_TIMESTAMP(6) + INTERVAL :delay MICROSECOND, b.deferrals = b.deferrals + 1, \
             b.deferred_since = COALESCE(b.deferred_since, UTC_TIMESTAMP(6)), \
             b.error_code = :code, b.error_text = :text, \
             a.error_code = :code, a.error_text = :text",
            params! {
                "delay" => micros(delay),
                "code" => failure.cause.as_str(), "text" => shortened(&failure.text),
            },
        )
        .await
    }

    /// Gives a batch back because the worker is being shut down: it doesn't count, neither as an attempt nor as a
    /// deferral, and the batch is sent again at once.
    pub async fn hand_back(&self, batch: &ClaimedBatch, failure: &Failure) -> Result<Fenced, LedgerError> {
        self.end_attempt(
            Step::HandBackBatch,
            batch,
            "handed_back",
            "b.status = 'pending', b.attempts = b.attempts - 1, b.enqueued_at = NULL, b.not_before = NULL, \
             a.error_code = :code, a.error_text = :text",
            params! {
                "code" => failure.cause.as_str(), "text" => shortened(&failure.text),
            },
        )
        .await
    }

    /// Moves a held batch to its next generation: what stands at the current one's key isn't this batch.
    pub async fn next_generation(&self, batch: &ClaimedBatch) -> Result<Option<Generation>, LedgerError> {
        let next = batch.generation.0 + 1;
        self.change(Step::NextGeneration, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "UPDATE batch SET generation = ? WHERE id = ? AND fence = ? AND status = 'in_progress'",
                (next, batch.id.0, batch.fence.0),
            )
            .await
            .during(doing)?;
            let held: Option<u8> = conn
                .exec_first(
                    "SELECT 1 FROM batch WHERE id = ? AND fence = ? AND status = 'in_progress' AND generation = ?",
                    (batch.id.0, batch.fence.0, next),
                )
                .await
                .during(doing)?;
            Ok(held.map(|_| Generation(next)))
        })
        .await
    }

    /// Ends the attempt whose fence is given, also where somebody took its row away. Where a repetition after a lost answer finds it ended already, with the
    /// same outcome, that is as good as having ended it.
    async fn end_attempt(
        &self,
        step: Step,
        batch: &ClaimedBatch,
        outcome: &'static str,
        changes: &str,
        params: Params,
    ) -> Result<Fenced, LedgerError> {
        let statement = &format!(
            "UPDATE batch b LEFT JOIN attempt a ON a.batch_id = b.id AND a.number = b.fence \
             SET {changes}, a.outcome = '{outcome}', b.holder = NULL, b.lease_until = NULL, a.ended_at = UTC_TIMESTAMP(6) \
             WHERE b.id = {} AND b.fence = {} AND b.status = 'in_progress'",
            batch.id, batch.fence
        );
        let params = &params;
        self.change(step, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            transaction
                .exec_drop(statement, params.clone())
                .await
                .during(doing)?;
            if transaction.affected_rows() > 0 {
                if step == Step::SettleBatch {
                    raise_exceptions(&mut transaction, doing, batch.id).await?;
                }
                if step == Step::FailBatch {
                    raise_parked(&mut transaction, doing, &[batch.id.0]).await?;
                }
                transaction.commit().await.during(doing)?;
                return Ok(Fenced::Done);
            }
            let ended: Option<u8> = transaction
                .exec_first(
                    "SELECT 1 FROM attempt WHERE batch_id = ? AND number = ? AND outcome = ?",
                    (batch.id.0, batch.fence.0, outcome),
                )
                .await
                .during(doing)?;
            transaction.rollback().await.during(doing)?;
            Ok(if ended.is_some() {
                Fenced::Done
            } else {
                Fenced::Refused
            })
        })
        .await
    }
}
