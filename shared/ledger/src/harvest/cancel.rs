//! Cancelling a migration: its batches end, its messages are released, and whoever relied on it reads again.
//!
//! A batch that is cancelled owns nothing: its messages are unowned from then on, and keep their rows under it until another batch
//! adopts them. Its row counts what is left.
//!
//! A message belongs to the source; a migration only asked for it. Another migration that met the message while this
//! one owned it counted it as owned elsewhere and went on: so those of its windows that overlap what is released
//! are read again, in the same transaction that releases.
//!
//! A batch that was completed before and is being exported again isn't the migration's to give up: its messages are on
//! record. It goes on to its end although its migration is cancelled.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::{Columns, uuid};
use crate::db::shape::List;
use crate::harvest::over::{is_over, range_and};
use crate::{Ledger, LedgerError};
use granary_domain::{MigrationId, TimeRange};
use granary_steps::Step;
use jiff::SignedDuration;
use mysql_async::Row;

/// What a step of a cancellation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cancelled {
    /// Batches that were cancelled.
    pub batches: u64,
    /// Messages that were released.
    pub messages: u64,
    /// Windows of other migrations that are read again.
    pub windows_reopened: u64,
}

impl std::ops::AddAssign for Cancelled {
    fn add_assign(&mut self, other: Self) {
        self.batches += other.batches;
        self.messages += other.messages;
        self.windows_reopened += other.windows_reopened;
    }
}

const BATCHES_PER_STEP_MAX: u32 = 20;

impl Ledger {
    /// Ends a migration: nothing is harvested for it any more, and a harvester at work for it is fenced off. Its
    /// batches end by [`release_cancelled`](Self::release_cancelled). Says whether it was open or draining.
    pub async fn cancel_migration(&self, id: MigrationId) -> Result<bool, LedgerError> {
        self.change(Step::CancelMigration, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            transaction
                .exec_drop(
                    "UPDATE migration SET state = 'cancelled', finished_at = UTC_TIMESTAMP(6) \
                     WHERE id = ? AND state IN ('open', 'draining') AND kind <> 'continuous'",
                    (uuid(id),),
                )
                .await
                .during(doing)?;
            let cancelled = transaction.affected_rows() > 0;
            transaction
                .exec_drop(
                    "UPDATE harvest_window SET state = 'open', fence = fence + 1, holder = NULL, lease_until = NULL \
                     WHERE migration_id = ? AND state = 'harvesting' AND ?",
                    (uuid(id), cancelled),
                )
                .await
                .during(doing)?;
            transaction
                .exec_drop(
                    "UPDATE harvest_window SET is_read_once = TRUE WHERE migration_id = ? AND ?",
                    (uuid(id), cancelled),
                )
                .await
                .during(doing)?;
            transaction.commit().await.during(doing)?;
            Ok(cancelled)
        })
        .await
    }

    /// Cancels up to 20 batches of cancelled migrations that were never completed, and releases their messages. `None`: nothing is left to do.
    pub async fn release_cancelled(&self) -> Result<Option<Cancelled>, LedgerError> {
        self.change(Step::ReleaseCancelled, |doing| self.try_release_cancelled(doing))
            .await
    }

    async fn try_release_cancelled(&self, doing: Doing) -> Result<Option<Cancelled>, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let mut rows: Vec<Row> = transaction
            .exec(
                "SELECT b.id, b.hour_start FROM migration m JOIN batch b ON b.migration_id = m.id \
                 WHERE m.state = 'cancelled' AND b.status IN ('pending', 'in_progress', 'failed') \
                 AND b.settled_at IS NULL LIMIT ?",
                (BATCHES_PER_STEP_MAX,),
            )
            .await
            .during(doing)?;
        let mut ids = Vec::with_capacity(rows.len());
        let mut hours = Vec::with_capacity(rows.len());
        for row in &mut rows {
            ids.push(row.batch_id("id")?);
            hours.push(row.instant("hour_start")?);
        }
        let (Some(first), Some(last)) = (hours.iter().min(), hours.iter().max()) else {
            transaction.rollback().await.during(doing)?;
            return Ok(None);
        };
        let hours = TimeRange::new(
            *first,
            last.saturating_add(SignedDuration::from_hours(1))
                .unwrap_or(*last),
        )
        .map_err(|error| LedgerError::inconsistent(doing, error.to_string()))?;
        wait_for_pages(&mut transaction, doing, hours).await?;
        let ids = List::of(ids.iter().map(|id| id.0));
        let (batches, messages) = cancel_batches(&mut transaction, doing, &ids).await?;
        let windows_reopened = reopen_windows(&mut transaction, doing, hours).await?;
        transaction.commit().await.during(doing)?;
        Ok(Some(Cancelled {
            batches,
            messages,
            windows_reopened,
        }))
    }
}

/// Locks the windows over these hours until the end of the transaction. A page that is being recorded in one of them may just have met
/// a message that is about to be released: its account is to be seen. A page that comes later finds the message unowned.
async fn wait_for_pages(
    transaction: &mut Transaction,
    doing: Doing,
    hours: TimeRange,
) -> Result<(), LedgerError> {
    let query = format!("SELECT w.id FROM harvest_window w WHERE {} FOR UPDATE", is_over());
    let _locked: Vec<u64> = transaction
        .exec(query, range_and(hours, []))
        .await
        .during(doing)?;
    Ok(())
}

/// Says how many batches were cancelled, and how many messages are unowned by it. One that was completed a moment ago keeps its messages.
async fn cancel_batches(
    transaction: &mut Transaction,
    doing: Doing,
    ids: &List,
) -> Result<(u64, u64), LedgerError> {
    let statement = format!(
        "UPDATE attempt a JOIN batch b ON a.batch_id = b.id AND a.number = b.fence \
         SET a.outcome = 'cancelled', a.ended_at = UTC_TIMESTAMP(6) \
         WHERE b.id IN ({ids}) AND b.status = 'in_progress' AND b.settled_at IS NULL \
         AND a.ended_at IS NULL"
    );
    transaction
        .exec_drop(statement, ids.params())
        .await
        .during(doing)?;
    let statement = format!(
        "UPDATE batch SET status = 'cancelled', fence = fence + 1, holder = NULL, lease_until = NULL, \
         parked_at = NULL WHERE id IN ({ids}) AND status IN ('pending', 'in_progress', 'failed') AND settled_at IS NULL"
    );
    transaction
        .exec_drop(statement, ids.params())
        .await
        .during(doing)?;
    let batches = transaction.affected_rows();
    let query = format!(
        "SELECT CAST(COALESCE(SUM(message_count), 0) AS UNSIGNED) FROM batch WHERE id IN ({ids}) AND status = 'cancelled'"
    );
    let messages: Option<u64> = transaction.exec_first(query, ids.params()).await.during(doing)?;
    Ok((batches, messages.unwrap_or(0)))
}

/// Every window that met a message owned elsewhere in these hours is read again: a finished one from its start, one
/// that is being read as soon as it is finished. Of one that was recorded and is being read again, what it met before is
/// forgotten: it is taken to have met one, and counts as not recorded any more. A completed migration stays so: what its
/// re-scans met is left to the next night's.
async fn reopen_windows(
    transaction: &mut Transaction,
    doing: Doing,
    hours: TimeRange,
) -> Result<u64, LedgerError> {
    let over = is_over();
    let range = || range_and(hours, []);
    transaction
        .exec_drop(
            format!(
                "UPDATE harvest_window w JOIN migration m ON m.id = w.migration_id \
                 SET w.rescan = TRUE, w.recorded_at = NULL \
                 WHERE {over} AND m.state IN ('open', 'draining') AND w.state IN ('open', 'harvesting') \
                 AND (w.owned_elsewhere > 0 OR w.recorded_at IS NOT NULL)"
            ),
            range(),
        )
        .await
        .during(doing)?;
    let read_again = transaction.affected_rows();
    transaction
        .exec_drop(
            format!(
                "UPDATE harvest_window w JOIN migration m ON m.id = w.migration_id \
                 SET w.state = 'open', w.recorded_at = NULL, w.bookmark = NULL, w.found = 0, w.recorded = 0, \
                 w.adopted = 0, w.owned_elsewhere = 0, w.duplicates = 0, w.without_id = 0 \
                 WHERE {over} AND m.state IN ('open', 'draining') AND w.owned_elsewhere > 0 \
                 AND w.state IN ('recorded', 'verified')"
            ),
            range(),
        )
        .await
        .during(doing)?;
    let read_again = read_again + transaction.affected_rows();
    transaction
        .exec_drop(
            format!(
                "UPDATE harvest_window w JOIN migration m ON m.id = w.migration_id SET w.deep_at = NULL \
                 WHERE {over} AND m.state = 'completed' AND w.owned_elsewhere > 0"
            ),
            range(),
        )
        .await
        .during(doing)?;
    reopen_drained(transaction, doing).await?;
    Ok(read_again)
}

/// A migration that has a window to read isn't draining.
async fn reopen_drained(transaction: &mut Transaction, doing: Doing) -> Result<(), LedgerError> {
    transaction
        .query_drop(
            "UPDATE migration m JOIN (SELECT DISTINCT migration_id FROM harvest_window \
             WHERE state IN ('open', 'harvesting') AND recorded_at IS NULL) w ON w.migration_id = m.id \
             SET m.state = 'open' WHERE m.state = 'draining'",
        )
        .await
        .during(doing)
}
