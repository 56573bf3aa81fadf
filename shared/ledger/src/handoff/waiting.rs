//! What waits at the end of the pipe: batches of a queue that no exporter claims, and a batch of the continuous migration
//! behind a backlog.
//!
//! A long backlog is not a fault: a batch may wait for days as long as others of its queue are claimed. So each tick of the
//! reaper puts on record since when something waits in a queue, one row in `control` for each, and a claim moves that
//! moment on. When a batch was sent says little: it is resent, unparked or resumed, and begins to wait anew.
//!
//! Not responsible for why nothing is claimed, nor for whom to alert (the reaper's `stalls.rs`). When the ledger fails, the
//! tick sees nothing, and the next one goes on from the same row.

use crate::db::connect::Doing;
use crate::db::error::During;
use crate::db::row::{Columns, Utc, at};
use crate::handoff::QueueLane;
use crate::handoff::outbox::SENDABLE;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, Priority};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, Value, params};
use std::time::Duration;

const OBSERVATION: &str = "waiting.";
/// Of so many observations in a row in which SQS failed: nothing could be claimed. One that failed by the way says nothing.
const FAILURES_MIN: u32 = 5;

/// Whether SQS takes what it is asked, as a tick found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueState {
    /// It does.
    Works,
    /// It refuses, or doesn't answer.
    Fails,
}

/// A batch that was sent and waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongWait {
    /// It.
    pub batch_id: BatchId,
    /// When it was sent.
    pub since: Timestamp,
    /// How long ago that is, by the database's clock.
    pub waited: Duration,
}

impl Ledger {
    /// Records whether a batch waits in this queue, sent or not: one that is due and not paused. Says for how long one has
    /// waited at each observation while no batch of the queue was claimed; `None`: nothing waits. When SQS works again after five
    /// observations in which it failed, all of them begin to wait anew: nothing could be claimed before.
    pub async fn observe_waiting(
        &self,
        queue: QueueLane,
        state: QueueState,
    ) -> Result<Option<Duration>, LedgerError> {
        self.change(Step::ObserveWaiting, |doing| {
            self.try_observe_waiting(doing, queue, state)
        })
        .await
    }

    async fn try_observe_waiting(
        &self,
        doing: Doing,
        queue: QueueLane,
        state: QueueState,
    ) -> Result<Option<Duration>, LedgerError> {
        let name = format!("{OBSERVATION}{}", queue.as_str());
        let priorities = priorities_of(queue);
        let mut conn = self.conn(doing).await?;
        let waits: Option<u8> = conn
            .exec_first(
                format!(
                    "SELECT 1 FROM batch b FORCE INDEX (batch_queue) JOIN migration m ON m.id = b.migration_id \
                     WHERE {SENDABLE} AND b.priority IN ({priorities}) LIMIT 1"
                ),
                (),
            )
            .await
            .during(doing)?;
        if waits.is_none() {
            conn.exec_drop("DELETE FROM control WHERE name = ?", (name,))
                .await
                .during(doing)?;
            return Ok(None);
        }
        let since: Option<Utc> = conn
            .exec_first("SELECT changed_at FROM control WHERE name = ?", (&name,))
            .await
            .during(doing)?;
        let since = since.map_or(Value::NULL, |Utc(since)| at(since));
        let claimed: Option<u8> = conn
            .exec_first(
                format!(
                    "SELECT 1 FROM batch FORCE INDEX (batch_queue) WHERE priority IN ({priorities}) AND claimed_at > ? \
                     AND status IN ('pending', 'in_progress', 'completed', 'failed', 'cancelled') LIMIT 1"
                ),
                (since,),
            )
            .await
            .during(doing)?;
        // The setting counts the observations in a row in which SQS failed. Assignments are made from left to right: the number
        // before is read, then replaced.
        conn.exec_drop(
            "INSERT INTO control (name, setting, changed_at, changed_by) \
             VALUES (:name, :fails, UTC_TIMESTAMP(6), 'reaper') ON DUPLICATE KEY UPDATE \
             changed_at = IF(:claimed OR (NOT :fails AND setting >= :least), VALUES(changed_at), changed_at), \
             setting = IF(:fails, setting + 1, 0)",
            params! {
                "name" => &name, "fails" => u8::from(state == QueueState::Fails), "claimed" => claimed.is_some(),
                "least" => FAILURES_MIN,
            },
        )
        .await
        .during(doing)?;
        let waited: Option<i64> = conn
            .exec_first(
                "SELECT TIMESTAMPDIFF(MICROSECOND, changed_at, UTC_TIMESTAMP(6)) FROM control WHERE name = ?",
                (&name,),
            )
            .await
            .during(doing)?;
        Ok(waited.map(elapsed))
    }

    /// A batch of the continuous migration that was sent `least` ago or more and still waits: the one with the lowest number.
    pub async fn continuous_waits(&self, least: Duration) -> Result<Option<LongWait>, LedgerError> {
        let query = &format!(
            "SELECT b.id, b.enqueued_at, TIMESTAMPDIFF(MICROSECOND, b.enqueued_at, UTC_TIMESTAMP(6)) AS waited \
             FROM migration m JOIN batch b FORCE INDEX (batch_migration) ON b.migration_id = m.id \
             WHERE m.only_one = 'continuous' AND {SENDABLE} \
             AND b.enqueued_at <= UTC_TIMESTAMP(6) - INTERVAL :least MICROSECOND ORDER BY b.id LIMIT 1"
        );
        self.read("look for a batch that waits long", |mut reader| async move {
            let row: Option<Row> = reader.first(query, params! { "least" => micros(least) }).await?;
            row.map(|mut row| {
                Ok(LongWait {
                    batch_id: row.batch_id("id")?,
                    since: row.instant("enqueued_at")?,
                    waited: elapsed(row.column("waited")?),
                })
            })
            .transpose()
        })
        .await
    }
}

/// The priorities that take a queue, one by one: an index finds each of them by itself.
fn priorities_of(queue: QueueLane) -> String {
    let (least, below) = queue.priorities();
    let priorities = (least..below.min(Priority::MAX + 1)).map(|priority| priority.to_string());
    priorities.collect::<Vec<_>>().join(", ")
}

fn elapsed(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_priority_takes_one_of_the_queues() {
        assert_eq!(priorities_of(QueueLane::Normal), "0, 1, 2, 3, 4");
        assert_eq!(priorities_of(QueueLane::Priority), "5, 6, 7, 8, 9");
    }
}
