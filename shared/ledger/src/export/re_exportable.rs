//! Which batches a person means who wants them exported anew: those of a list, of a migration or of some hours that can
//! be, being completed or parked.
//!
//! They are only found here, with the fence under which they were seen: [`Ledger::re_export`] holds for that fence
//! alone. **When it fails**, nothing was changed.

use crate::db::row::{Columns, at, uuid};
use crate::db::shape::List;
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, Fence, Hour, MigrationId, TimeRange};
use jiff::Timestamp;
use mysql_async::{Params, Row, Value};
use serde::{Deserialize, Serialize};

/// Which batches are to be exported anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReExportSelection {
    /// These, at most 5,000.
    Batches(Vec<BatchId>),
    /// Those that this migration recorded.
    Migration(MigrationId),
    /// Those of the hours that begin in this range, and of the one that its start lies in.
    Hours(TimeRange),
}

/// A batch that can be exported anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReExportable {
    /// Which one.
    pub batch: BatchId,
    /// Its fence.
    pub fence: Fence,
    /// Messages in it.
    pub messages: u64,
    /// Bytes of the object that it has on record.
    pub bytes_stored: u64,
}

/// What sealed hours have is no batch's any more.
const CAN_BE: &str = "(b.status = 'completed' OR (b.status = 'failed' AND b.parked_at IS NOT NULL)) AND NOT EXISTS \
     (SELECT 1 FROM sealed_range s WHERE s.range_from = b.hour_start AND b.id <= s.last_batch_id)";

impl ReExportSelection {
    /// A condition on `b`, and its values.
    fn condition(&self) -> (String, Vec<Value>) {
        match self {
            Self::Batches(batches) => {
                let list = List::of(batches.iter().map(|batch| batch.0));
                (format!("b.id IN ({list})"), list.into_values())
            }
            Self::Migration(migration) => ("b.migration_id = ?".to_owned(), vec![uuid(*migration)]),
            Self::Hours(range) => (
                "b.hour_start >= ? AND b.hour_start < ?".to_owned(),
                vec![at(Hour::of(range.from()).start()), at(range.to())],
            ),
        }
    }

    /// A list of nothing can't be written in SQL.
    fn is_empty(&self) -> bool {
        matches!(self, Self::Batches(batches) if batches.is_empty())
    }
}

impl Ledger {
    /// The whole hours in which all batches lie that are meant. `None`: there are none.
    pub async fn hours_to_re_export(
        &self,
        selection: &ReExportSelection,
    ) -> Result<Option<TimeRange>, LedgerError> {
        let bounds = match selection {
            ReExportSelection::Batches(batches) => self.bounds_of_batches(batches).await?,
            ReExportSelection::Migration(migration) => self
                .migration(*migration)
                .await?
                .map(|migration| (migration.from, migration.to.unwrap_or(migration.harvested_to))),
            ReExportSelection::Hours(range) => Some((range.from(), range.to())),
        };
        Ok(bounds.and_then(|(from, to)| {
            let end = Hour::of(to);
            let end = if end.start() == to { end } else { end.next() };
            TimeRange::new(Hour::of(from).start(), end.start()).ok()
        }))
    }

    async fn bounds_of_batches(
        &self,
        batches: &[BatchId],
    ) -> Result<Option<(Timestamp, Timestamp)>, LedgerError> {
        if batches.is_empty() {
            return Ok(None);
        }
        // By their numbers: the index by hour covers the question, and would be read from end to end.
        let list = &List::of(batches.iter().map(|batch| batch.0));
        let query = &format!(
            "SELECT MIN(hour_start) AS first_hour, MAX(hour_start) AS last_hour FROM batch FORCE INDEX (PRIMARY) \
             WHERE id IN ({list})"
        );
        self.read("look for the hours of batches", |mut reader| async move {
            let row: Option<Row> = reader.first(query, list.params()).await?;
            let Some(mut row) = row else { return Ok(None) };
            let first = row.instant_or_null("first_hour")?;
            let last = row.instant_or_null("last_hour")?;
            Ok(first.zip(last.map(|last| Hour::of(last).next().start())))
        })
        .await
    }

    /// Batches that can be exported anew, in the order of their numbers, from above `after` on.
    pub async fn batches_to_re_export(
        &self,
        selection: &ReExportSelection,
        after: BatchId,
        limit: u32,
    ) -> Result<Vec<ReExportable>, LedgerError> {
        if selection.is_empty() {
            return Ok(Vec::new());
        }
        let (condition, mut values) = selection.condition();
        values.push(after.0.into());
        let query = &format!(
            "SELECT b.id, b.fence, b.message_count, COALESCE(b.bytes_stored, 0) AS bytes_stored FROM batch b \
             WHERE {condition} AND b.id > ? AND {CAN_BE} ORDER BY b.id LIMIT {limit}"
        );
        let values = &values;
        self.read("list batches to export anew", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, Params::Positional(values.clone())).await?;
            rows.into_iter().map(re_exportable_of).collect()
        })
        .await
    }
}

fn re_exportable_of(mut row: Row) -> Result<ReExportable, LedgerError> {
    Ok(ReExportable {
        batch: row.batch_id("id")?,
        fence: Fence(row.column("fence")?),
        messages: row.column("message_count")?,
        bytes_stored: row.column("bytes_stored")?,
    })
}
