//! A message's rows, for whoever asks what became of it: its own, its window's, and the exports that were replaced.
//!
//! Its batch and that batch's attempts are in `batches.rs`. A handful of rows, each found by a key. Not here: what stands in the
//! archive and at the source. A message of a purged hour has no row any more, and neither has one that no window has met.

use crate::db::row::{Columns, unreadable};
use crate::{Ledger, LedgerError};
use granary_domain::{
    BatchId, Generation, IdDigest, MessageId, MigrationId, MigrationKind, MigrationState, ObjectKey, Outcome,
    TimeRange, WindowId, WindowState,
};
use jiff::Timestamp;
use mysql_async::Row;

/// A message's own row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// The document's `_id`; `None`: the same as the message's.
    pub doc_id: Option<String>,
    /// The concrete index it was seen in.
    pub index: String,
    /// Its routing, if it has one of its own.
    pub routing: Option<String>,
    /// Its event time.
    pub event_time: Timestamp,
    /// Whose it is; `None`: nobody's.
    pub batch: Option<BatchId>,
    /// What was found instead of it, and why.
    pub exception: Option<(Outcome, String)>,
}

/// A window, with the migration that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowOfMigration {
    /// Its number.
    pub id: WindowId,
    /// What it covers.
    pub range: TimeRange,
    /// How far it is.
    pub state: WindowState,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When every hit of it was accounted for.
    pub recorded_at: Option<Timestamp>,
    /// When the last full verification of it that was COMPLETE began.
    pub verified_at: Option<Timestamp>,
    /// Whose it is.
    pub migration_id: MigrationId,
    /// Why that one exists.
    pub kind: MigrationKind,
    /// How far that one is.
    pub migration_state: MigrationState,
    /// Who asked for it.
    pub requested_by: String,
}

/// An export of a batch that was replaced, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacedExport {
    /// Which export it was.
    pub generation: Generation,
    /// Its object; `None`: it had none.
    pub object: Option<ObjectKey>,
    /// Messages in it.
    pub exported: u32,
    /// Why a new one was asked for.
    pub reason: String,
    /// When.
    pub asked_at: Timestamp,
    /// When it was taken away.
    pub removed_at: Option<Timestamp>,
    /// When it was kept instead.
    pub kept_at: Option<Timestamp>,
}

const REPLACED_EXPORTS_MAX: u32 = 100;

impl Ledger {
    /// One message.
    pub async fn message(&self, id: &MessageId) -> Result<Option<MessageRow>, LedgerError> {
        let (high, low) = IdDigest::halves(id.as_str().as_bytes());
        self.read("read a message", |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT m.doc_id, i.name AS index_name, m.routing, m.event_time, b.id AS batch_id, m.outcome, m.reason \
                     FROM message m JOIN source_index i ON i.id = m.index_id \
                     LEFT JOIN batch b ON b.id = m.batch_id AND b.status <> 'cancelled' \
                     WHERE m.hash_high = ? AND m.hash_low = ? AND m.message_id = ?",
                    (high, low, id.as_str()),
                )
                .await?;
            row.map(message_of).transpose()
        })
        .await
    }

    /// One window.
    pub async fn window(&self, id: WindowId) -> Result<Option<WindowOfMigration>, LedgerError> {
        self.read("read a window", |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT w.id, w.range_from, w.range_to, w.state, w.created_at, w.recorded_at, w.verified_at, \
                     w.migration_id, m.kind, m.state AS migration_state, m.requested_by \
                     FROM harvest_window w JOIN migration m ON m.id = w.migration_id WHERE w.id = ?",
                    (id.0,),
                )
                .await?;
            row.map(window_of).transpose()
        })
        .await
    }

    /// The exports of a batch that were replaced, or are to be, the oldest first.
    pub async fn replaced_exports_of(&self, batch: BatchId) -> Result<Vec<ReplacedExport>, LedgerError> {
        self.read("list replaced exports", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT generation, object_key, exported, reason, asked_at, removed_at, kept_at \
                     FROM superseded_object WHERE batch_id = ? ORDER BY fence LIMIT ?",
                    (batch.0, REPLACED_EXPORTS_MAX),
                )
                .await?;
            rows.into_iter().map(replaced_of).collect()
        })
        .await
    }
}

fn message_of(mut row: Row) -> Result<MessageRow, LedgerError> {
    let (outcome, reason): (Option<String>, Option<String>) = (row.column("outcome")?, row.column("reason")?);
    let outcome: Option<Outcome> = outcome
        .map(|name| name.parse())
        .transpose()
        .map_err(|error| unreadable("outcome", &error))?;
    Ok(MessageRow {
        doc_id: row.text_or_null("doc_id")?,
        index: row.text("index_name")?,
        routing: row.text_or_null("routing")?,
        event_time: row.instant("event_time")?,
        batch: row.column::<Option<u64>>("batch_id")?.map(BatchId),
        exception: outcome.map(|outcome| (outcome, reason.unwrap_or_default())),
    })
}

fn window_of(mut row: Row) -> Result<WindowOfMigration, LedgerError> {
    let range = TimeRange::new(row.instant("range_from")?, row.instant("range_to")?);
    Ok(WindowOfMigration {
        id: WindowId(row.column("id")?),
        range: range.map_err(|error| unreadable("range_from", &error))?,
        state: row.parsed("state")?,
        created_at: row.instant("created_at")?,
        recorded_at: row.instant_or_null("recorded_at")?,
        verified_at: row.instant_or_null("verified_at")?,
        migration_id: row.migration_id("migration_id")?,
        kind: row.parsed("kind")?,
        migration_state: row.parsed("migration_state")?,
        requested_by: row.column("requested_by")?,
    })
}

fn replaced_of(mut row: Row) -> Result<ReplacedExport, LedgerError> {
    Ok(ReplacedExport {
        generation: Generation(row.column("generation")?),
        object: row
            .column::<Option<String>>("object_key")?
            .map(ObjectKey::from_record),
        exported: row.column("exported")?,
        reason: row.column("reason")?,
        asked_at: row.instant("asked_at")?,
        removed_at: row.instant_or_null("removed_at")?,
        kept_at: row.instant_or_null("kept_at")?,
    })
}
