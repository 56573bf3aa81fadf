//! Which batches are looked at when invariants are checked: slices, and how far a round through all of them is.

use crate::db::error::During;
use crate::db::row::{Columns, at};
use crate::harvest::window::micros;
use crate::integrity::ObjectOnRecord;
use crate::integrity::evidence::{HAS_RECORD, OBJECT, object_of};
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, Hour};
use granary_steps::Step;
use mysql_async::{Row, params};
use std::time::Duration;

/// Some batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchSlice {
    /// These.
    These(Vec<BatchId>),
    /// All that there are, and messages of those that there aren't, from the number after `after` up to `up_to`.
    Between {
        /// The number before the first.
        after: BatchId,
        /// The last number.
        up_to: BatchId,
    },
}

impl BatchSlice {
    /// The last number that it reaches.
    pub fn last(&self) -> BatchId {
        match self {
            Self::These(batches) => batches.iter().max().copied().unwrap_or(BatchId(0)),
            Self::Between { up_to, .. } => *up_to,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::These(batches) if batches.is_empty())
    }

    /// The condition that a column holds a number of the slice.
    pub(crate) fn holds(&self, column: &str) -> String {
        match self {
            Self::These(batches) => {
                let list: Vec<String> = batches.iter().map(ToString::to_string).collect();
                format!("{column} IN ({})", list.join(","))
            }
            Self::Between { after, up_to } => format!("{column} > {after} AND {column} <= {up_to}"),
        }
    }
}

const CURSOR: &str = "invariants.cursor";

impl Ledger {
    /// The next `limit` batches after a number, as a slice that leaves no number out: behind the last batch it reaches to
    /// the last number there could be. `None` after that.
    pub async fn slice_after(&self, after: BatchId, limit: u32) -> Result<Option<BatchSlice>, LedgerError> {
        if after.0 == u64::MAX {
            return Ok(None);
        }
        let ids: Vec<u64> = self
            .read("list batches", |mut reader| async move {
                let query = "SELECT id FROM batch WHERE id > ? ORDER BY id LIMIT ?";
                reader.rows(query, (after.0, limit)).await
            })
            .await?;
        let is_last = ids.len() < limit as usize;
        let up_to = ids.last().filter(|_| !is_last).copied().unwrap_or(u64::MAX);
        let up_to = BatchId(up_to);
        Ok(Some(BatchSlice::Between { after, up_to }))
    }

    /// The batches whose attempts ended last, within a stretch of time.
    pub async fn slice_of_recent(&self, within: Duration, limit: u32) -> Result<BatchSlice, LedgerError> {
        let ids: Vec<u64> = self
            .read("list batches whose attempts ended", |mut reader| async move {
                reader
                    .rows(
                        "SELECT DISTINCT recent.batch_id FROM (SELECT batch_id FROM attempt \
                         WHERE ended_at >= UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND \
                         ORDER BY ended_at DESC LIMIT ?) recent",
                        (micros(within), limit),
                    )
                    .await
            })
            .await?;
        Ok(BatchSlice::These(ids.into_iter().map(BatchId).collect()))
    }

    /// The batches of an hour, cancelled ones too, from after a number on.
    pub async fn slice_of_hour(
        &self,
        hour: Hour,
        after: BatchId,
        limit: u32,
    ) -> Result<Vec<BatchId>, LedgerError> {
        let ids: Vec<u64> = self
            .read("list the batches of an hour", |mut reader| async move {
                reader
                    .rows(
                        "SELECT id FROM batch WHERE hour_start = :hour AND id > :after ORDER BY id LIMIT :limit",
                        params! { "hour" => at(hour.start()), "after" => after.0, "limit" => limit },
                    )
                    .await
            })
            .await?;
        Ok(ids.into_iter().map(BatchId).collect())
    }

    /// What the batches of a slice have on record.
    pub async fn objects_in(&self, slice: &BatchSlice) -> Result<Vec<ObjectOnRecord>, LedgerError> {
        if slice.is_empty() {
            return Ok(Vec::new());
        }
        let query = format!(
            "SELECT {OBJECT} FROM batch WHERE {} AND {HAS_RECORD} ORDER BY id",
            slice.holds("id")
        );
        let query = &query;
        self.read("list objects on record", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, ()).await?;
            rows.into_iter().map(object_of).collect()
        })
        .await
    }

    /// Up to which batch the round through all of them has come; 0 at its beginning.
    pub async fn inspected_up_to(&self) -> Result<BatchId, LedgerError> {
        self.read("read how far an inspection is", |mut reader| async move {
            let row: Option<Row> = reader
                .first("SELECT setting FROM control WHERE name = ?", (CURSOR,))
                .await?;
            match row {
                Some(mut row) => row.parsed("setting"),
                None => Ok(BatchId(0)),
            }
        })
        .await
    }

    /// Writes down up to which batch the round has come. Two reapers at once look at some batches twice, or leave some
    /// to the next round.
    pub async fn move_inspection(&self, to: BatchId) -> Result<(), LedgerError> {
        self.change(Step::MoveInspection, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "INSERT INTO control (name, setting, changed_at, changed_by) \
                 VALUES (:name, :to, UTC_TIMESTAMP(6), 'reaper') \
                 ON DUPLICATE KEY UPDATE setting = VALUES(setting), changed_at = VALUES(changed_at)",
                params! { "name" => CURSOR, "to" => to.to_string() },
            )
            .await
            .during(doing)
        })
        .await
    }
}
