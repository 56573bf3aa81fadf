//! Suspects: the message that a careful worker has in hand, put on record before it is touched.
//!
//! A message is a suspect if and only if it is on record for an attempt that was reaped: its worker died, or was silent
//! until it was taken for dead, with the message in hand. An attempt that ended in any other way leaves no suspect,
//! whatever it has on record, so nothing else has to clear anything. One that was handed back because its time was over
//! says how far it came instead. All of it belongs to a generation of its batch: a person who has it exported anew gives
//! each message another chance.
//!
//! Not here: what is done about a suspect (the exporter decides). When MySQL is away, the worker stops before it touches
//! the next message.

use crate::db::error::During;
use crate::db::row::{Columns, unreadable};
use crate::export::{ClaimedBatch, Fenced};
use crate::{Ledger, LedgerError};
use granary_domain::{Fence, MessageId};
use granary_steps::Step;
use mysql_async::{Row, params};

/// A message over which a worker died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Its id.
    pub message_id: MessageId,
    /// The newest attempt that died over it: its number in the execution log.
    pub attempt: Fence,
}

/// What earlier careful attempts at a batch have left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CarefulRecord {
    /// The messages over which a worker died.
    pub suspects: Vec<Suspect>,
    /// The messages that were in hand when a worker's time was over: all that came before them did no harm.
    pub reached: Vec<MessageId>,
}

impl Ledger {
    /// Puts the message that a worker is about to touch on record, in place of the one before. Refused: the batch is
    /// somebody else's now.
    pub async fn suspect(&self, batch: &ClaimedBatch, message: &MessageId) -> Result<Fenced, LedgerError> {
        self.change(Step::NameSuspect, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "INSERT INTO suspect (batch_id, fence, message_id, named_at) \
                 SELECT id, fence, :message, UTC_TIMESTAMP(6) FROM batch \
                 WHERE id = :id AND fence = :fence AND status = 'in_progress' \
                 ON DUPLICATE KEY UPDATE message_id = VALUES(message_id), named_at = VALUES(named_at)",
                params! { "message" => message.as_str(), "id" => batch.id.0, "fence" => batch.fence.0 },
            )
            .await
            .during(doing)?;
            Ok(Fenced::by(conn.affected_rows()))
        })
        .await
    }

    /// The worker is alive and has no message in hand any more. It needs no fence beside the one in the row's key: whoever
    /// says so didn't die, also where it was reaped meanwhile.
    pub async fn clear_suspect(&self, batch: &ClaimedBatch) -> Result<(), LedgerError> {
        self.change(Step::ClearSuspect, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "DELETE FROM suspect WHERE batch_id = ? AND fence = ?",
                (batch.id.0, batch.fence.0),
            )
            .await
            .during(doing)
        })
        .await
    }

    /// What careful attempts at a batch have left, while it was of the same generation.
    pub async fn careful_record_of(&self, batch: &ClaimedBatch) -> Result<CarefulRecord, LedgerError> {
        self.read("read a batch's suspects", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT s.message_id, MAX(s.fence) AS fence, a.outcome = 'reaped' AS is_suspect FROM suspect s \
                     JOIN attempt a ON a.batch_id = s.batch_id AND a.number = s.fence \
                     WHERE s.batch_id = ? AND a.outcome IN ('reaped', 'handed_back') AND a.generation = ? \
                     GROUP BY s.message_id, is_suspect",
                    (batch.id.0, batch.generation.0),
                )
                .await?;
            let mut record = CarefulRecord::default();
            for mut row in rows {
                let is_suspect: bool = row.column("is_suspect")?;
                let named = suspect_of(row)?;
                if is_suspect {
                    record.suspects.push(named);
                } else {
                    record.reached.push(named.message_id);
                }
            }
            Ok(record)
        })
        .await
    }
}

fn suspect_of(mut row: Row) -> Result<Suspect, LedgerError> {
    let message_id = row.text("message_id")?;
    Ok(Suspect {
        message_id: message_id
            .try_into()
            .map_err(|error| unreadable("message_id", &error))?,
        attempt: Fence(row.column("fence")?),
    })
}
