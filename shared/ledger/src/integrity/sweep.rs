//! What the sweep needs of the ledger: what it knows of the batches that keys name, and when a sweep is due.

use crate::db::row::{Columns, LOOKED_UP_KEYS_MAX};
use crate::db::shape::List;
use crate::harvest::window::micros;
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, BatchStatus, Generation, Hour, ObjectKey};
use mysql_async::{Row, params};
use std::collections::HashMap;
use std::time::Duration;

/// A batch that a key names, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchAtKey {
    /// Its hour.
    pub hour: Hour,
    /// Where it stands.
    pub status: BatchStatus,
    /// Its generation: no worker writes an earlier one any more.
    pub generation: Generation,
    /// The object that its row names, whatever its status.
    pub named: Option<ObjectKey>,
    /// Exports of it that were replaced and whose objects aren't removed: they may hold messages that no other has.
    pub replaced: Vec<Generation>,
    /// Whether a worker's lease on it runs.
    pub is_held: bool,
}

impl Ledger {
    /// What the ledger knows of batches. One that it doesn't know isn't in the answer.
    pub async fn batches_at_keys(
        &self,
        batches: &[BatchId],
    ) -> Result<HashMap<BatchId, BatchAtKey>, LedgerError> {
        let mut known = HashMap::with_capacity(batches.len());
        for chunk in batches.chunks(LOOKED_UP_KEYS_MAX) {
            let list = &List::of(chunk.iter().map(|id| id.0));
            let query = &format!(
                "SELECT id, hour_start, status, generation, object_key, \
                 status = 'in_progress' AND lease_until >= UTC_TIMESTAMP(6) AS is_held \
                 FROM batch WHERE id IN ({list})"
            );
            let rows: Vec<Row> = self
                .read("look up what keys name", |mut reader| async move {
                    reader.rows(query, list.params()).await
                })
                .await?;
            for mut row in rows {
                let named = row.column::<Option<String>>("object_key")?;
                let batch = BatchAtKey {
                    hour: Hour::of(row.instant("hour_start")?),
                    status: row.parsed("status")?,
                    generation: Generation(row.column("generation")?),
                    named: named.map(ObjectKey::from_record),
                    replaced: Vec::new(),
                    is_held: row.column::<Option<bool>>("is_held")?.unwrap_or(false),
                };
                known.insert(row.batch_id("id")?, batch);
            }
            for (id, generation) in self.replaced_of(chunk).await? {
                if let Some(batch) = known.get_mut(&id) {
                    batch.replaced.push(generation);
                }
            }
        }
        Ok(known)
    }

    /// Whether the schedule is to ask for an operation of a kind: none of that kind is under way, the schedule's last
    /// one is longer ago than `every`, and so is the oldest migration, so that a new deployment has something to look at.
    pub async fn is_operation_due(
        &self,
        kind: &str,
        requested_by: &str,
        every: Duration,
    ) -> Result<bool, LedgerError> {
        let due: Option<bool> = self
            .read("ask whether an operation is due", |mut reader| async move {
                reader
                    .first(
                        "SELECT EXISTS (SELECT 1 FROM migration \
                         WHERE created_at < UTC_TIMESTAMP(6) - INTERVAL :every MICROSECOND) \
                         AND NOT EXISTS (SELECT 1 FROM operation WHERE kind = :kind AND (state IN ('waiting', 'running') \
                         OR (requested_by = :by AND created_at >= UTC_TIMESTAMP(6) - INTERVAL :every MICROSECOND)))",
                        params! { "every" => micros(every), "kind" => kind, "by" => requested_by },
                    )
                    .await
            })
            .await?;
        Ok(due.unwrap_or(false))
    }
}
