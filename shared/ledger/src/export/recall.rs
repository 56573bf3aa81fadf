//! Recalling exceptions: messages that a batch was completed without get another export, in a batch of their own.
//!
//! The batch that they leave stays completed, with its object. Its row counts what it still owns, and `recalled` counts the
//! exceptions that its manifest names and that it no longer owns. Where all of a batch's messages are exceptions there is
//! no object to keep: that batch itself is re-exported. So a message that is really gone makes one more batch, and no
//! more.
//!
//! Asking is fenced and holds for the batch as the caller saw it; asking twice is asking once, since the first time leaves
//! no exceptions. What was recalled is in the audit, written in the same transaction.
//!
//! Not here: which messages are worth another export (the operator and `granary-verify` decide). **When it fails**,
//! nothing was changed.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::ids::IN_BATCH;
use crate::db::row::{Columns, LOOKED_UP_KEYS_MAX, at, uuid};
use crate::db::shape::List;
use crate::export::ReExport;
use crate::export::re_export::{inherit, re_export_locked};
use crate::harvest::recount::recount;
use crate::integrity::RepairMigration;
use crate::integrity::sealed::{Gate, come_to_the_gate};
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, BatchStatus, Fence, Hour, MessageId, MigrationId, Outcome};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Params, Row, Value, params};
use serde_json::json;

/// Exceptions that are to be recalled.
#[derive(Debug, Clone, Copy)]
pub struct Recall<'a> {
    /// Whose they are.
    pub batch: BatchId,
    /// Its fence, as the caller saw it.
    pub fence: Fence,
    /// Which of its exceptions.
    pub which: WhichExceptions<'a>,
    /// Why, for people.
    pub reason: &'a str,
    /// Who takes the messages over where their migration was cancelled. `requested_by` is who asks.
    pub heir: &'a RepairMigration,
}

/// Which exceptions of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichExceptions<'a> {
    /// All.
    All,
    /// Those of one outcome.
    Of(Outcome),
    /// Those of these messages.
    These(&'a [MessageId]),
}

/// What asking for a recall came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recalled {
    /// The messages wait for another export.
    Asked {
        /// The batch that they are in now.
        batch: BatchId,
        /// How many of them were missing.
        missing: u64,
        /// How many were quarantined.
        quarantined: u64,
    },
    /// The batch has none of these exceptions: the same was asked before, or they never were.
    NothingLeft,
    /// The batch isn't completed any more, or not as the caller saw it, or its hour is sealed, or its migration and the
    /// heir are both cancelled.
    Changed,
}

/// A completed batch that has exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchWithExceptions {
    /// Which one.
    pub batch: BatchId,
    /// Its fence.
    pub fence: Fence,
    /// The hour of all its messages.
    pub hour: Hour,
    /// Its messages that were gone at the source.
    pub missing: u64,
    /// Its messages that can't be exported.
    pub quarantined: u64,
}

/// Which batches with exceptions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExceptionFilter {
    /// Those with messages of this outcome.
    pub outcome: Option<Outcome>,
    /// Those of this migration.
    pub migration: Option<MigrationId>,
    /// Those of hours of event time from the one on in which this instant lies.
    pub from: Option<Timestamp>,
    /// Those of hours of event time that begin before this instant.
    pub to: Option<Timestamp>,
}

impl WhichExceptions<'_> {
    /// Conditions on messages with their values, each of which selects others.
    fn conditions(&self) -> Vec<(String, Vec<Value>)> {
        match self {
            Self::All => vec![("outcome IS NOT NULL".to_owned(), Vec::new())],
            Self::Of(outcome) => vec![("outcome = ?".to_owned(), vec![outcome.as_str().into()])],
            Self::These(ids) => ids
                .chunks(LOOKED_UP_KEYS_MAX)
                .map(|chunk| {
                    let list = List::of(chunk.iter().map(MessageId::as_str));
                    let condition = format!("outcome IS NOT NULL AND message_id IN ({list})");
                    (condition, list.into_values())
                })
                .collect(),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::These([]))
    }
}

impl Ledger {
    /// Moves exceptions of a completed batch to a pending batch of their own, in one transaction.
    pub async fn recall(&self, wanted: &Recall<'_>) -> Result<Recalled, LedgerError> {
        if wanted.which.is_empty() {
            return Ok(Recalled::NothingLeft);
        }
        self.change(Step::RecallExceptions, |doing| self.try_recall(doing, wanted))
            .await
    }

    async fn try_recall(&self, doing: Doing, wanted: &Recall<'_>) -> Result<Recalled, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        // First of all, so that what is read afterwards is what the last seal left.
        come_to_the_gate(&mut transaction, doing, Gate::Shared).await?;
        let recalled = recall_in(self, &mut transaction, doing, wanted).await?;
        match recalled {
            Recalled::Asked { .. } => transaction.commit().await.during(doing)?,
            Recalled::NothingLeft | Recalled::Changed => transaction.rollback().await.during(doing)?,
        }
        Ok(recalled)
    }

    /// Completed batches that have exceptions and aren't sealed, by their numbers, from above `after` on.
    pub async fn batches_with_exceptions(
        &self,
        filter: &ExceptionFilter,
        after: BatchId,
        limit: u32,
    ) -> Result<Vec<BatchWithExceptions>, LedgerError> {
        let mut batches: Vec<BatchWithExceptions> = Vec::new();
        for outcome in [Outcome::Missing, Outcome::Quarantined] {
            if filter.outcome.is_none_or(|wanted| wanted == outcome) {
                batches.extend(self.batches_with(outcome, filter, after, limit).await?);
            }
        }
        batches.sort_by_key(|found| found.batch);
        batches.dedup_by_key(|found| found.batch);
        batches.truncate(limit as usize);
        Ok(batches)
    }

    async fn batches_with(
        &self,
        outcome: Outcome,
        filter: &ExceptionFilter,
        after: BatchId,
        limit: u32,
    ) -> Result<Vec<BatchWithExceptions>, LedgerError> {
        // By the index of those that have any: they are few, and all others would be read for the sake of the order.
        let query = &format!(
            "SELECT b.id, b.fence, b.hour_start, b.missing, b.quarantined FROM batch b FORCE INDEX (batch_{outcome}) \
             WHERE b.{outcome} > 0 AND b.status = 'completed' AND b.id > :after \
             AND (:migration IS NULL OR b.migration_id = :migration) \
             AND (:from IS NULL OR b.hour_start >= :from) AND (:to IS NULL OR b.hour_start < :to) \
             AND NOT EXISTS (SELECT 1 FROM sealed_range s WHERE s.range_from = b.hour_start AND b.id <= s.last_batch_id) \
             ORDER BY b.id LIMIT :limit"
        );
        let params = &params! {
            "after" => after.0, "limit" => limit, "migration" => filter.migration.map(uuid),
            "from" => filter.from.map(|from| at(Hour::of(from).start())), "to" => filter.to.map(at),
        };
        self.read("list batches with exceptions", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, params.clone()).await?;
            rows.into_iter()
                .map(|mut row| {
                    Ok(BatchWithExceptions {
                        batch: row.batch_id("id")?,
                        fence: Fence(row.column("fence")?),
                        hour: Hour::of(row.instant("hour_start")?),
                        missing: row.column("missing")?,
                        quarantined: row.column("quarantined")?,
                    })
                })
                .collect()
        })
        .await
    }
}

async fn recall_in(
    ledger: &Ledger,
    transaction: &mut Transaction,
    doing: Doing,
    wanted: &Recall<'_>,
) -> Result<Recalled, LedgerError> {
    let Some(exported) = exported_of(transaction, doing, wanted).await? else {
        return Ok(Recalled::Changed);
    };
    let conditions = wanted.which.conditions();
    let (missing, quarantined, owned) = count(transaction, doing, wanted.batch, &conditions).await?;
    let moved = missing + quarantined;
    if moved == 0 {
        return Ok(Recalled::NothingLeft);
    }
    let re_export = ReExport {
        batch: wanted.batch,
        fence: wanted.fence,
        reason: wanted.reason,
        heir: wanted.heir,
    };
    let batch = if exported == 0 && moved == owned {
        if !inherit(transaction, doing, wanted.batch, wanted.heir).await? {
            return Ok(Recalled::Changed);
        }
        re_export_locked(transaction, doing, &re_export).await?;
        wanted.batch
    } else {
        let made = ledger
            .make_batch_beside(transaction, doing, wanted.batch, moved)
            .await?;
        if !inherit(transaction, doing, made, wanted.heir).await? {
            return Ok(Recalled::Changed);
        }
        move_to(transaction, doing, (wanted.batch, made), &conditions).await?;
        leave(transaction, doing, wanted.batch, (missing, quarantined)).await?;
        recount(transaction, doing, &[wanted.batch, made]).await?;
        made
    };
    write_audit(transaction, doing, wanted, (batch, missing, quarantined)).await?;
    Ok(Recalled::Asked {
        batch,
        missing,
        quarantined,
    })
}

/// Messages in the object of a batch that can be left, with its row locked until the end of the transaction.
async fn exported_of(
    transaction: &mut Transaction,
    doing: Doing,
    wanted: &Recall<'_>,
) -> Result<Option<u32>, LedgerError> {
    transaction
        .exec_first(
            "SELECT b.exported FROM batch b WHERE b.id = ? AND b.fence = ? AND b.status = ? AND NOT EXISTS \
             (SELECT 1 FROM sealed_range s WHERE s.range_from = b.hour_start AND b.id <= s.last_batch_id) FOR UPDATE",
            (wanted.batch.0, wanted.fence.0, BatchStatus::Completed.as_str()),
        )
        .await
        .during(doing)
}

/// How many of a batch's messages of these conditions are missing and quarantined, and how many messages it owns in all.
async fn count(
    transaction: &mut Transaction,
    doing: Doing,
    batch: BatchId,
    conditions: &[(String, Vec<Value>)],
) -> Result<(u64, u64, u64), LedgerError> {
    let owned: Option<u64> = transaction
        .exec_first("SELECT COUNT(*) FROM message WHERE batch_id = ?", (batch.0,))
        .await
        .during(doing)?;
    let (mut missing, mut quarantined) = (0, 0);
    for (condition, values) in conditions {
        let query = format!(
            "SELECT CAST(COALESCE(SUM(outcome = 'missing'), 0) AS UNSIGNED), \
             CAST(COALESCE(SUM(outcome = 'quarantined'), 0) AS UNSIGNED) \
             FROM message {IN_BATCH} WHERE batch_id = ? AND {condition}"
        );
        let mut all = vec![Value::from(batch.0)];
        all.extend(values.iter().cloned());
        let counts: Option<(u64, u64)> = transaction
            .exec_first(query, Params::Positional(all))
            .await
            .during(doing)?;
        let (more_missing, more_quarantined) = counts.unwrap_or_default();
        missing += more_missing;
        quarantined += more_quarantined;
    }
    let owned = owned.ok_or_else(|| LedgerError::inconsistent(doing, "no answer"))?;
    Ok((missing, quarantined, owned))
}

async fn move_to(
    transaction: &mut Transaction,
    doing: Doing,
    (from, to): (BatchId, BatchId),
    conditions: &[(String, Vec<Value>)],
) -> Result<(), LedgerError> {
    for (condition, values) in conditions {
        let statement = format!(
            "UPDATE message {IN_BATCH} SET batch_id = ?, outcome = NULL, reason = NULL \
             WHERE batch_id = ? AND {condition}"
        );
        let mut all = vec![Value::from(to.0), Value::from(from.0)];
        all.extend(values.iter().cloned());
        transaction
            .exec_drop(statement, Params::Positional(all))
            .await
            .during(doing)?;
    }
    Ok(())
}

/// The batch that exceptions left counts what it still owns.
async fn leave(
    transaction: &mut Transaction,
    doing: Doing,
    batch: BatchId,
    (missing, quarantined): (u64, u64),
) -> Result<(), LedgerError> {
    transaction
        .exec_drop(
            "UPDATE batch SET missing = missing - :missing, quarantined = quarantined - :quarantined, \
             message_count = message_count - :moved, recalled = recalled + :moved WHERE id = :id",
            params! {
                "missing" => missing, "quarantined" => quarantined, "moved" => missing + quarantined, "id" => batch.0,
            },
        )
        .await
        .during(doing)
}

async fn write_audit(
    transaction: &mut Transaction,
    doing: Doing,
    wanted: &Recall<'_>,
    (batch, missing, quarantined): (BatchId, u64, u64),
) -> Result<(), LedgerError> {
    let arguments = json!({ "batch": wanted.batch.0 }).to_string();
    let effect = json!({ "batch": batch.0, "missing": missing, "quarantined": quarantined }).to_string();
    transaction
        .exec_drop(
            "INSERT INTO audit (at, who, action, arguments, effect, reason) \
             VALUES (UTC_TIMESTAMP(6), :who, 'exceptions.recall', :arguments, :effect, LEFT(:reason, 500))",
            params! {
                "who" => &wanted.heir.requested_by, "arguments" => arguments, "effect" => effect,
                "reason" => wanted.reason,
            },
        )
        .await
        .during(doing)
}
