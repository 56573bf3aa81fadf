//! Claiming a batch: one conditional UPDATE decides who exports it.

use crate::db::connect::Doing;
use crate::db::error::During;
use crate::db::row::{Columns, unreadable};
use crate::export::Fenced;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::{
    BatchId, BatchStatus, Fence, Generation, Hour, MessageId, MigrationId, ObjectKey, Outcome, WindowId,
};
use granary_steps::Step;
use mysql_async::{Row, params};
use std::time::Duration;

/// What a claim came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The batch is this worker's.
    Won(Box<ClaimedBatch>),
    /// It is not, and the message in hand is done with: whatever has to happen next stands in the ledger.
    Lost(NotClaimed),
}

/// Why a batch was not claimed. None is an error: each is what a second delivery looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotClaimed {
    /// Completed, or cancelled.
    Over(BatchStatus),
    /// Another worker holds it, or its retry is not due yet: the reaper sees to it.
    Elsewhere(BatchStatus),
    /// It is pending, but too early or paused. It will be sent again.
    NotDue,
    /// The ledger has no such batch.
    Unknown,
}

/// A batch in a worker's hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedBatch {
    /// Its number.
    pub id: BatchId,
    /// Whose it is.
    pub migration_id: MigrationId,
    /// The window that it was harvested in.
    pub window_id: WindowId,
    /// The hour of all its messages.
    pub hour: Hour,
    /// Messages in it.
    pub message_count: u32,
    /// The worker's fence: the attempt's number, too.
    pub fence: Fence,
    /// Attempts begun, this one included.
    pub attempts: u32,
    /// Which export this is.
    pub generation: Generation,
    /// How often in a row it was deferred.
    pub deferrals: u32,
    /// The object that a person had adopted, whose lines are to be exported; `None`: the source has the documents.
    pub copied_from: Option<ObjectKey>,
}

/// A message of a claimed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedMessage {
    /// Its id.
    pub message_id: MessageId,
    /// The document's `_id`; `None`: the same.
    pub doc_id: Option<String>,
    /// The concrete index it was seen in.
    pub index: String,
    /// Its routing, if any.
    pub routing: Option<String>,
    /// What an earlier attempt found instead of a document, and the reason.
    pub exception: Option<(Outcome, String)>,
}

impl Ledger {
    /// Takes a batch that is pending, due and not paused, for as long as `lease`. `worker` is unique to this delivery:
    /// a claim whose answer was lost is found again when it is repeated.
    pub async fn claim(&self, batch: BatchId, worker: &str, lease: Duration) -> Result<Claim, LedgerError> {
        self.change(Step::ClaimBatch, |doing| {
            self.try_claim(doing, batch, worker, lease)
        })
        .await
    }

    async fn try_claim(
        &self,
        doing: Doing,
        batch: BatchId,
        worker: &str,
        lease: Duration,
    ) -> Result<Claim, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        transaction
            .exec_drop(
                "UPDATE batch b JOIN migration m ON m.id = b.migration_id \
                 SET b.status = 'in_progress', b.attempts = b.attempts + 1, b.fence = b.fence + 1, \
                 b.sends = 0, b.holder = :worker, b.claimed_at = UTC_TIMESTAMP(6), \
                 b.lease_until = UTC_TIMESTAMP(6) + INTERVAL :lease MICROSECOND \
                 WHERE b.id = :id AND b.status = 'pending' AND (m.state <> 'cancelled' OR b.settled_at IS NOT NULL) AND m.paused_at IS NULL \
                 AND (b.not_before IS NULL OR b.not_before <= UTC_TIMESTAMP(6)) \
                 AND NOT EXISTS (SELECT 1 FROM control WHERE name = 'export.paused')",
                params! { "worker" => worker, "lease" => micros(lease), "id" => batch.0 },
            )
            .await
            .during(doing)?;
        if transaction.affected_rows() > 0 {
            transaction
                .exec_drop(
                    "INSERT INTO attempt (batch_id, number, generation, worker, started_at) \
                     SELECT id, fence, generation, holder, claimed_at FROM batch WHERE id = ?",
                    (batch.0,),
                )
                .await
                .during(doing)?;
        }
        let row: Option<Row> = transaction
            .exec_first(
                "SELECT migration_id, window_id, hour_start, message_count, fence, attempts, generation, deferrals, \
                 copied_from, status, holder FROM batch WHERE id = ?",
                (batch.0,),
            )
            .await
            .during(doing)?;
        transaction.commit().await.during(doing)?;
        row.map_or(Ok(Claim::Lost(NotClaimed::Unknown)), |row| {
            claim_of(batch, row, worker)
        })
    }

    /// The messages of a batch, in the order of their ids: the order of their lines in the object.
    pub async fn messages_of(&self, batch: BatchId) -> Result<Vec<OwnedMessage>, LedgerError> {
        self.read("read a batch's messages", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT m.message_id, m.doc_id, i.name AS index_name, m.routing, m.outcome, m.reason FROM message m \
                     JOIN source_index i ON i.id = m.index_id WHERE m.batch_id = ?",
                    (batch.0,),
                )
                .await?;
            let messages: Result<Vec<OwnedMessage>, LedgerError> =
                rows.into_iter().map(owned_message_of).collect();
            let mut messages = messages?;
            messages.sort_unstable_by(|one, other| one.message_id.cmp(&other.message_id));
            Ok(messages)
        })
        .await
    }

    /// Renews a worker's lease: the heartbeat. Refused: the batch is somebody else's now.
    pub async fn renew_lease(
        &self,
        batch: BatchId,
        fence: Fence,
        lease: Duration,
    ) -> Result<Fenced, LedgerError> {
        self.change(Step::RenewLease, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "UPDATE batch SET lease_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND \
                 WHERE id = ? AND fence = ? AND status = 'in_progress'",
                (micros(lease), batch.0, fence.0),
            )
            .await
            .during(doing)?;
            Ok(Fenced::by(conn.affected_rows()))
        })
        .await
    }
}

fn claim_of(id: BatchId, mut row: Row, worker: &str) -> Result<Claim, LedgerError> {
    let status: BatchStatus = row.parsed("status")?;
    let holder: Option<String> = row.column("holder")?;
    let not_claimed = match status {
        BatchStatus::InProgress if holder.as_deref() == Some(worker) => {
            return Ok(Claim::Won(Box::new(ClaimedBatch {
                id,
                migration_id: row.migration_id("migration_id")?,
                window_id: WindowId(row.column("window_id")?),
                hour: Hour::of(row.instant("hour_start")?),
                message_count: row.column("message_count")?,
                fence: Fence(row.column("fence")?),
                attempts: row.column("attempts")?,
                generation: Generation(row.column("generation")?),
                deferrals: row.column("deferrals")?,
                copied_from: row
                    .column::<Option<String>>("copied_from")?
                    .map(ObjectKey::from_record),
            })));
        }
        BatchStatus::InProgress | BatchStatus::Failed => NotClaimed::Elsewhere(status),
        BatchStatus::Completed | BatchStatus::Cancelled => NotClaimed::Over(status),
        BatchStatus::Pending => NotClaimed::NotDue,
    };
    Ok(Claim::Lost(not_claimed))
}

fn owned_message_of(mut row: Row) -> Result<OwnedMessage, LedgerError> {
    let message_id = row.text("message_id")?;
    let outcome: Option<String> = row.column("outcome")?;
    let outcome: Option<Outcome> = outcome
        .map(|name| name.parse())
        .transpose()
        .map_err(|error| unreadable("outcome", &error))?;
    let reason: Option<String> = row.column("reason")?;
    Ok(OwnedMessage {
        message_id: message_id
            .try_into()
            .map_err(|error| unreadable("message_id", &error))?,
        doc_id: row.text_or_null("doc_id")?,
        index: row.text("index_name")?,
        routing: row.text_or_null("routing")?,
        exception: outcome.map(|outcome| (outcome, reason.unwrap_or_default())),
    })
}
