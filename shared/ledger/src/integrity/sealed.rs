//! Sealed hours: what is left of them in the ledger, and what that keeps others from doing.
//!
//! An hour is sealed by [`Ledger::seal_hour`](crate::Ledger::seal_hour): from then on its counts and the digest of its
//! ids stand in one row, and its batches and messages are taken away. Their objects stay, and stay on record: **a batch
//! that the ledger doesn't know is no sign of an orphan in a sealed hour**, if its number isn't above
//! [`sealed_up_to`](crate::Ledger::sealed_up_to).
//!
//! Whoever reads the source over a sealed hour again would find nothing but new messages. So a page's messages of
//! sealed hours are owned elsewhere, by the sealed row, unless their migration was allowed to export them again.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::{Columns, at, uuid};
use crate::harvest::{LeasedWindow, SeenMessage};
use crate::integrity::Verification;
use crate::integrity::accepted::are_accepted_still;
use crate::integrity::differing::forget_differences;
use crate::integrity::proof::write_proven;
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, Hour, IdDigest, MigrationId, TimeRange};
use granary_steps::Step;
use jiff::{SignedDuration, Timestamp};
use mysql_async::{Row, params};
use serde::Serialize;
use std::collections::HashSet;

/// An hour of event time whose rows were taken away, or are being taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedRange {
    /// The hour.
    pub range: TimeRange,
    /// Its batches up to this number are sealed. Later ones are as if the hour weren't.
    pub last_batch: BatchId,
    /// Messages in it: exported, missing and quarantined ones.
    pub messages: u64,
    /// Messages in its objects.
    pub exported: u64,
    /// Messages that were gone at the source before they could be exported.
    pub missing: u64,
    /// Messages that couldn't be exported.
    pub quarantined: u64,
    /// Completed batches.
    pub batches: u64,
    /// Their objects.
    pub objects: u64,
    /// The objects' bytes.
    pub bytes_stored: u64,
    /// Of the exported ids, as the message rows had them.
    pub id_digest: IdDigest,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// Who asked for it.
    pub sealed_by: String,
    /// When the last of its rows was taken away.
    pub purged_at: Option<Timestamp>,
}

const COLUMNS: &str = "range_from, range_to, last_batch_id, messages, exported, missing, quarantined, batches, objects, \
     bytes_stored, digest_high, digest_low, sealed_at, sealed_by, purged_at";

/// A sealed row is one hour long, so those that overlap a range begin less than an hour before it.
const OVERLAPS: &str = "range_from > :from - INTERVAL 1 HOUR AND range_from < :to";

impl Ledger {
    /// What is sealed of a range, in order of time, with every hour that overlaps it. An hour that was exported again
    /// and sealed again is there twice.
    pub async fn sealed_ranges(&self, range: TimeRange, limit: u32) -> Result<Vec<SealedRange>, LedgerError> {
        let query = format!(
            "SELECT {COLUMNS} FROM sealed_range WHERE {OVERLAPS} ORDER BY range_from, last_batch_id LIMIT {limit}"
        );
        let query = &query;
        self.read("list sealed hours", |mut reader| async move {
            let range = params! { "from" => at(range.from()), "to" => at(range.to()) };
            let rows: Vec<Row> = reader.rows(query, range).await?;
            rows.into_iter().map(sealed_of).collect()
        })
        .await
    }

    /// The number up to which an hour's batches are sealed: an object of such a batch is on record, also where the
    /// ledger no longer knows the batch. `None`: the hour isn't sealed.
    pub async fn sealed_up_to(&self, hour: Hour) -> Result<Option<BatchId>, LedgerError> {
        self.read("ask whether an hour is sealed", |mut reader| async move {
            let last: Option<Option<u64>> = reader
                .first(
                    "SELECT MAX(last_batch_id) FROM sealed_range WHERE range_from = ?",
                    (at(hour.start()),),
                )
                .await?;
            Ok(last.flatten().map(BatchId))
        })
        .await
    }

    /// Whether an hour is sealed.
    pub async fn is_sealed(&self, hour: Hour) -> Result<bool, LedgerError> {
        Ok(self.sealed_up_to(hour).await?.is_some())
    }

    /// The first sealed hour that overlaps a range.
    pub async fn first_sealed_hour_of(&self, range: TimeRange) -> Result<Option<Hour>, LedgerError> {
        let first = self.sealed_ranges(range, 1).await?.pop();
        Ok(first.map(|sealed| Hour::of(sealed.range.from())))
    }

    /// Lets a migration record messages of sealed hours again: each gets a new batch and a new object, beside the one
    /// that it has. Comes before the migration is made, so that no harvester meets it without.
    pub async fn allow_re_export(&self, migration: MigrationId, who: &str) -> Result<(), LedgerError> {
        self.change(Step::AllowReExport, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "INSERT INTO re_export (migration_id, allowed_by, allowed_at) VALUES (?, ?, UTC_TIMESTAMP(6)) \
                 ON DUPLICATE KEY UPDATE migration_id = VALUES(migration_id)",
                (uuid(migration), who),
            )
            .await
            .during(doing)
        })
        .await
    }

    /// Writes down that a full verification was COMPLETE: all windows that lie in its range are verified and proven, and no
    /// hour of it differs. Writes nothing where an operator accepts less by now than the verification relies on.
    pub async fn mark_verified(&self, verification: &Verification) -> Result<u64, LedgerError> {
        let Verification { range, as_of, .. } = *verification;
        self.change(Step::MarkVerified, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            if !are_accepted_still(&mut transaction, doing, &verification.accepted).await? {
                transaction.rollback().await.during(doing)?;
                return Ok(0);
            }
            transaction.exec_drop(
                "UPDATE harvest_window w JOIN migration m ON m.id = w.migration_id \
                 SET w.state = 'verified', w.verified_at = :as_of \
                 WHERE w.state IN ('recorded', 'verified') AND m.state <> 'cancelled' AND w.recorded_at <= :as_of \
                 AND w.range_from >= :from AND w.range_from < :to AND w.range_to <= :to",
                params! { "as_of" => at(as_of), "from" => at(range.from()), "to" => at(range.to()) },
            )
            .await
            .during(doing)?;
            let windows = transaction.affected_rows();
            // A message that only moved makes two hours differ, and the range as a whole is complete all the same.
            let found_by_now = as_of + SignedDuration::from_micros(1);
            forget_differences(&mut transaction, range, found_by_now).await.during(doing)?;
            write_proven(&mut transaction, doing, verification).await?;
            transaction.commit().await.during(doing)?;
            Ok(windows)
        })
        .await
    }
}

/// The sealed hours of these messages that a window's harvester may not record in: a document with several event times
/// may be filed outside of the window. Shares the gate until the end of the transaction: no hour becomes sealed meanwhile.
pub(crate) async fn closed_hours(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    messages: &[SeenMessage],
    doing: Doing,
) -> Result<HashSet<Hour>, LedgerError> {
    let times = messages.iter().map(|message| message.event_time);
    let rows: Vec<Row> = transaction
        .exec(
            "SELECT s.range_from FROM control g LEFT JOIN sealed_range s ON s.range_from > :from - INTERVAL 1 HOUR \
             AND s.range_from <= :to AND NOT EXISTS (SELECT 1 FROM re_export r WHERE r.migration_id = :migration) \
             WHERE g.name = 'seal.gate' LOCK IN SHARE MODE",
            params! {
                "from" => times.clone().min().map(at), "to" => times.max().map(at),
                "migration" => uuid(window.migration_id),
            },
        )
        .await
        .during(doing)?;
    if rows.is_empty() {
        return Err(without_gate(doing));
    }
    let starts = rows.into_iter().map(|mut row| row.instant_or_null("range_from"));
    let starts: Result<Vec<Option<Timestamp>>, LedgerError> = starts.collect();
    Ok(starts?.into_iter().flatten().map(Hour::of).collect())
}

/// How a transaction comes to the gate of the seals, until its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// No hour is sealed while one of its batches becomes pending.
    Shared,
    /// Nobody records a page, or has a batch exported again.
    Alone,
}

pub(crate) async fn come_to_the_gate(
    transaction: &mut Transaction,
    doing: Doing,
    gate: Gate,
) -> Result<(), LedgerError> {
    let query = match gate {
        Gate::Shared => "SELECT 1 FROM control WHERE name = 'seal.gate' LOCK IN SHARE MODE",
        Gate::Alone => "SELECT 1 FROM control WHERE name = 'seal.gate' FOR UPDATE",
    };
    let found: Option<u8> = transaction.query_first(query).await.during(doing)?;
    found.map(|_| ()).ok_or_else(|| without_gate(doing))
}

fn without_gate(doing: Doing) -> LedgerError {
    LedgerError::inconsistent(doing, "the gate of the seals isn't there (control: seal.gate)")
}

/// A page without the messages of closed hours, and how many those are. `None`: all of it.
pub(crate) fn without_closed(
    messages: &[SeenMessage],
    closed: &HashSet<Hour>,
) -> Option<(Vec<SeenMessage>, u64)> {
    if closed.is_empty() {
        return None;
    }
    let is_open = |message: &&SeenMessage| !closed.contains(&Hour::of(message.event_time));
    let open: Vec<SeenMessage> = messages.iter().filter(is_open).cloned().collect();
    let left_out = (messages.len() - open.len()) as u64;
    Some((open, left_out))
}

fn sealed_of(mut row: Row) -> Result<SealedRange, LedgerError> {
    let range = TimeRange::new(row.instant("range_from")?, row.instant("range_to")?);
    let exported = row.column("exported")?;
    Ok(SealedRange {
        range: range.map_err(|error| crate::db::row::unreadable("range_from", &error))?,
        last_batch: row.batch_id("last_batch_id")?,
        messages: row.column("messages")?,
        exported,
        missing: row.column("missing")?,
        quarantined: row.column("quarantined")?,
        batches: row.column("batches")?,
        objects: row.column("objects")?,
        bytes_stored: row.column("bytes_stored")?,
        id_digest: IdDigest::from_sums(exported, row.column("digest_high")?, row.column("digest_low")?),
        sealed_at: row.instant("sealed_at")?,
        sealed_by: row.column("sealed_by")?,
        purged_at: row.instant_or_null("purged_at")?,
    })
}
