//! Taking back what dead workers held, and giving failed batches another attempt.

use crate::db::connect::Doing;
use crate::db::error::During;
use crate::db::shape::List;
use crate::export::storm::raise_parked;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::{Backoff, BatchId, Cause};
use granary_steps::Step;
use mysql_async::params;

/// Batches that were taken back from dead workers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reaped {
    /// Their numbers.
    pub batches: Vec<BatchId>,
}

/// Batches changed by one statement at most.
const BATCHES_PER_STEP_MAX: u32 = 500;

/// A number of batches that one step may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtMost(pub u32);

/// Which failed batches with an attempt left are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retryable {
    /// Those whose delay is over.
    Due,
    /// All of them, also those whose delay isn't over.
    All,
}

impl AtMost {
    /// As many as one step can change.
    pub const STEP: Self = Self(BATCHES_PER_STEP_MAX);

    fn limit(self) -> u32 {
        self.0.min(BATCHES_PER_STEP_MAX)
    }
}

impl Ledger {
    /// Takes back up to 500 batches whose lease is over, by the database's clock. Their workers' fences are stale from
    /// here on. The attempt counted when it was claimed; with none left the batch is parked.
    ///
    /// The lease was wait enough for the first time: that batch is due at once, so that the tick that takes it back sends
    /// it as well. One that lost a worker before waits, since it may be what its workers die of.
    pub async fn reap_dead(&self, backoff: Backoff, attempts_max: u32) -> Result<Reaped, LedgerError> {
        self.reap_some(backoff, attempts_max, AtMost::STEP).await
    }

    /// The same for a smaller number of batches, those first whose lease is over for the longest time.
    pub async fn reap_some(
        &self,
        backoff: Backoff,
        attempts_max: u32,
        at_most: AtMost,
    ) -> Result<Reaped, LedgerError> {
        self.change(Step::ReapDead, |doing| {
            self.try_reap_dead(doing, backoff, attempts_max, at_most)
        })
        .await
    }

    async fn try_reap_dead(
        &self,
        doing: Doing,
        backoff: Backoff,
        attempts_max: u32,
        at_most: AtMost,
    ) -> Result<Reaped, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let dead: Vec<u64> = transaction
            .exec(
                "SELECT id FROM batch WHERE status = 'in_progress' AND lease_until < UTC_TIMESTAMP(6) \
                 ORDER BY lease_until LIMIT ? FOR UPDATE SKIP LOCKED",
                (at_most.limit(),),
            )
            .await
            .during(doing)?;
        if dead.is_empty() {
            transaction.rollback().await.during(doing)?;
            return Ok(Reaped::default());
        }
        // Where the attempt's row was deleted by hand, the batch is taken back all the same.
        let list = List::of(dead.iter().copied());
        let statement = format!(
            "UPDATE batch b LEFT JOIN attempt a ON a.batch_id = b.id AND a.number = b.fence \
             SET a.outcome = 'reaped', a.ended_at = UTC_TIMESTAMP(6), a.error_code = ?, a.error_text = ?, \
             b.status = 'failed', b.fence = b.fence + 1, b.error_code = ?, b.error_text = ?, b.holder = NULL, \
             b.lease_until = NULL, b.deferrals = 0, b.deferred_since = NULL, \
             b.parked_at = IF(b.attempts >= ?, UTC_TIMESTAMP(6), NULL), \
             b.not_before = UTC_TIMESTAMP(6) + INTERVAL RAND() * LEAST(?, ? * (POW(2, LEAST(b.attempts, 30) - 1) - 1)) \
             MICROSECOND WHERE b.id IN ({list})"
        );
        let (code, text) = (
            Cause::WorkerDied.as_str(),
            "the worker stopped renewing its lease",
        );
        let params = list.params_after([
            code.into(),
            text.into(),
            code.into(),
            text.into(),
            attempts_max.into(),
            micros(backoff.ceiling).into(),
            micros(backoff.first).into(),
        ]);
        transaction.exec_drop(statement, params).await.during(doing)?;
        raise_parked(&mut transaction, doing, &dead).await?;
        transaction.commit().await.during(doing)?;
        Ok(Reaped {
            batches: dead.into_iter().map(BatchId).collect(),
        })
    }

    /// Gives failed batches that are due another attempt: they are pending and to be sent. Says how many.
    pub async fn retry_failed(&self) -> Result<u64, LedgerError> {
        self.retry_some(Retryable::Due, AtMost::STEP).await
    }

    /// The same for a smaller number of batches, or before their delay is over. Attempts and parked batches stay as they are.
    pub async fn retry_some(&self, which: Retryable, at_most: AtMost) -> Result<u64, LedgerError> {
        let due = match which {
            Retryable::Due => "AND (not_before IS NULL OR not_before <= UTC_TIMESTAMP(6)) ",
            Retryable::All => "",
        };
        let statement = &format!(
            "UPDATE batch SET status = 'pending', enqueued_at = NULL, not_before = NULL \
             WHERE status = 'failed' AND parked_at IS NULL {due}LIMIT :most"
        );
        self.change(Step::RetryFailed, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(statement, params! { "most" => at_most.limit() })
                .await
                .during(doing)?;
            Ok(conn.affected_rows())
        })
        .await
    }
}
