//! What a verification needs of the ledger: digests, standings and objects on record.
//!
//! Read from message rows and from what settled batches name, never from counters.

use crate::connect::repeated;
use crate::error::During;
use crate::row::{Columns, at, placeholders, unreadable};
use crate::{Ledger, LedgerError};
use granary_domain::{
    BatchId, Generation, Hour, IdDigest, MessageId, MigrationId, ObjectKey, TimeRange, WindowId,
};
use mysql_async::{Params, Row, Value, params, prelude::Queryable};
use std::collections::HashMap;

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// In the object that its completed batch names.
    OnRecord,
    /// Gone at the source before it could be exported.
    Missing,
    /// Can't be exported.
    Quarantined,
    /// Its batch isn't completed.
    Open,
    /// Nobody owns it.
    Released,
}

impl Standing {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "on_record" => Self::OnRecord,
            "missing" => Self::Missing,
            "quarantined" => Self::Quarantined,
            "open" => Self::Open,
            "released" => Self::Released,
            _ => return None,
        })
    }
}

const STANDING: &str = "CASE WHEN m.batch_id IS NULL THEN 'released' WHEN b.status <> 'completed' THEN 'open' \
                        ELSE COALESCE(m.outcome, 'on_record') END";

/// The same two sums as [`IdDigest`]. Summed as DECIMAL, so that they don't overflow on the way.
const DIGEST: &str = "COUNT(*) AS ids, \
    CAST(COALESCE(SUM(CAST(CONV(SUBSTR(MD5(m.message_id), 1, 16), 16, 10) AS UNSIGNED)), 0) AS CHAR) AS high, \
    CAST(COALESCE(SUM(CAST(CONV(SUBSTR(MD5(m.message_id), 17, 16), 16, 10) AS UNSIGNED)), 0) AS CHAR) AS low";

/// An hour of event time that has batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourOfLedger {
    /// The hour.
    pub hour: Hour,
    /// Messages in its batches.
    pub messages: u64,
}

/// An object that a completed batch names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectOnRecord {
    /// The batch.
    pub batch_id: BatchId,
    /// Its migration.
    pub migration_id: MigrationId,
    /// Its window.
    pub window_id: WindowId,
    /// Its hour.
    pub hour: Hour,
    /// Which export.
    pub generation: Generation,
    /// The object; `None` where no message was left to write.
    pub object: Option<ObjectKey>,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: Option<String>,
    /// Its size in bytes.
    pub bytes_stored: u64,
    /// Messages in the batch.
    pub message_count: u32,
    /// Messages in the object.
    pub exported: u32,
}

/// The objects that a batch accounts for, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchObjects {
    /// The object that its row names.
    pub named: Option<ObjectKey>,
    /// The generation whose object a worker may have put already, or be about to put; `None` once it is settled.
    pub in_the_making: Option<Generation>,
}

impl Ledger {
    /// The first hour of a range that has batches.
    pub async fn first_hour_of(&self, range: TimeRange) -> Result<Option<Hour>, LedgerError> {
        repeated(|| async {
            let mut conn = self.conn("connect").await?;
            let row: Option<Row> = conn
                .exec_first(
                    "SELECT hour_start FROM batch WHERE hour_start >= :from AND hour_start < :to \
                     AND status <> 'cancelled' ORDER BY hour_start LIMIT 1",
                    params! { "from" => at(Hour::of(range.from()).start()), "to" => at(range.to()) },
                )
                .await
                .during("look for the first hour of a range")?;
            row.map(|mut row| Ok(Hour::of(row.instant("hour_start")?)))
                .transpose()
        })
        .await
    }

    /// The objects that given batches account for. A batch that was cancelled or isn't known has none.
    pub async fn objects_of_batches(
        &self,
        batches: &[BatchId],
    ) -> Result<HashMap<BatchId, BatchObjects>, LedgerError> {
        let mut objects = HashMap::with_capacity(batches.len());
        for chunk in batches.chunks(crate::row::ROWS_PER_STATEMENT_MAX) {
            let query = format!(
                "SELECT id, object_key, IF(status = 'completed', NULL, generation) AS in_the_making FROM batch \
                 WHERE id IN ({}) AND status <> 'cancelled'",
                placeholders(chunk.len())
            );
            let rows = repeated(|| async {
                let mut conn = self.conn("connect").await?;
                let ids = chunk.iter().map(|id| Value::from(id.0)).collect();
                let rows: Vec<Row> = conn
                    .exec(&query, Params::Positional(ids))
                    .await
                    .during("look batches up")?;
                Ok(rows)
            })
            .await?;
            for mut row in rows {
                let named = row.column::<Option<String>>("object_key")?;
                let in_the_making = row.column::<Option<u32>>("in_the_making")?;
                objects.insert(
                    row.batch_id("id")?,
                    BatchObjects {
                        named: named.map(ObjectKey::from_record),
                        in_the_making: in_the_making.map(Generation),
                    },
                );
            }
        }
        Ok(objects)
    }

    /// The hours of a range that have batches, in order of time.
    pub async fn hours_of(&self, range: TimeRange) -> Result<Vec<HourOfLedger>, LedgerError> {
        repeated(|| async {
            let mut conn = self.conn("connect").await?;
            let rows: Vec<Row> = conn
                .exec(
                    "SELECT hour_start, CAST(SUM(message_count) AS UNSIGNED) AS messages FROM batch \
                     WHERE hour_start >= :from AND hour_start < :to AND status <> 'cancelled' \
                     GROUP BY hour_start ORDER BY hour_start",
                    params! { "from" => at(Hour::of(range.from()).start()), "to" => at(range.to()) },
                )
                .await
                .during("list the hours of a range")?;
            rows.into_iter()
                .map(|mut row| {
                    let hour = Hour::of(row.instant("hour_start")?);
                    Ok(HourOfLedger {
                        hour,
                        messages: row.column("messages")?,
                    })
                })
                .collect()
        })
        .await
    }

    /// The digest of a range's message ids, by standing.
    pub async fn digests_of(&self, range: TimeRange) -> Result<HashMap<Standing, IdDigest>, LedgerError> {
        let query = format!(
            "SELECT {STANDING} AS standing, {DIGEST} FROM message m LEFT JOIN batch b ON b.id = m.batch_id \
             WHERE m.event_time >= :from AND m.event_time < :to GROUP BY standing"
        );
        repeated(|| async {
            let mut conn = self.conn("connect").await?;
            let rows: Vec<Row> = conn
                .exec(
                    &query,
                    params! { "from" => at(range.from()), "to" => at(range.to()) },
                )
                .await
                .during("digest a range")?;
            rows.into_iter()
                .map(|mut row| Ok((standing_of(&mut row)?, digest_of(&mut row)?)))
                .collect()
        })
        .await
    }

    /// The digest of the ids that each batch's object should hold.
    pub async fn digests_of_batches(
        &self,
        batches: &[BatchId],
    ) -> Result<HashMap<BatchId, IdDigest>, LedgerError> {
        if batches.is_empty() {
            return Ok(HashMap::new());
        }
        let query = format!(
            "SELECT m.batch_id, {DIGEST} FROM message m WHERE m.batch_id IN ({}) AND m.outcome IS NULL \
             GROUP BY m.batch_id",
            placeholders(batches.len())
        );
        repeated(|| async {
            let mut conn = self.conn("connect").await?;
            let ids = batches.iter().map(|id| Value::from(id.0)).collect();
            let rows: Vec<Row> = conn
                .exec(&query, Params::Positional(ids))
                .await
                .during("digest batches")?;
            rows.into_iter()
                .map(|mut row| Ok((row.batch_id("batch_id")?, digest_of(&mut row)?)))
                .collect()
        })
        .await
    }

    /// The ids of a range with their standing, in order of id, from after `after` on.
    pub async fn standings_of(
        &self,
        range: TimeRange,
        after: Option<&MessageId>,
        limit: u32,
    ) -> Result<Vec<(MessageId, Standing)>, LedgerError> {
        let query = format!(
            "SELECT m.message_id, {STANDING} AS standing FROM message m LEFT JOIN batch b ON b.id = m.batch_id \
             WHERE m.event_time >= :from AND m.event_time < :to AND (:after IS NULL OR m.message_id > :after) \
             ORDER BY m.message_id LIMIT {limit}"
        );
        repeated(|| async {
            let mut conn = self.conn("connect").await?;
            let after = after.map(MessageId::as_str);
            let rows: Vec<Row> = conn
                .exec(
                    &query,
                    params! { "from" => at(range.from()), "to" => at(range.to()), "after" => after },
                )
                .await
                .during("list the ids of a range")?;
            rows.into_iter().map(id_and_standing_of).collect()
        })
        .await
    }

    /// How given ids stand. An id that the ledger doesn't know isn't in the answer.
    pub async fn standings_of_ids(
        &self,
        ids: &[&MessageId],
    ) -> Result<Vec<(MessageId, Standing)>, LedgerError> {
        let mut standings = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(crate::row::ROWS_PER_STATEMENT_MAX) {
            let query = format!(
                "SELECT m.message_id, {STANDING} AS standing FROM message m LEFT JOIN batch b ON b.id = m.batch_id \
                 WHERE m.message_id IN ({})",
                placeholders(chunk.len())
            );
            let rows = repeated(|| async {
                let mut conn = self.conn("connect").await?;
                let values = chunk.iter().map(|id| Value::from(id.as_str())).collect();
                let rows: Vec<Row> = conn
                    .exec(&query, Params::Positional(values))
                    .await
                    .during("look ids up")?;
                Ok(rows)
            })
            .await?;
            for row in rows {
                standings.push(id_and_standing_of(row)?);
            }
        }
        Ok(standings)
    }

    /// The objects on record of one hour, by batch number, from after `after` on.
    pub async fn objects_of_hour(
        &self,
        hour: Hour,
        after: BatchId,
        limit: u32,
    ) -> Result<Vec<ObjectOnRecord>, LedgerError> {
        repeated(|| async {
            let mut conn = self.conn("connect").await?;
            let rows: Vec<Row> = conn
                .exec(
                    "SELECT id, migration_id, window_id, hour_start, generation, object_key, LOWER(HEX(sha256)) AS sha256, \
                     COALESCE(bytes_stored, 0) AS bytes_stored, message_count, exported FROM batch \
                     WHERE hour_start = :hour AND status = 'completed' AND id > :after ORDER BY id LIMIT :limit",
                    params! { "hour" => at(hour.start()), "after" => after.0, "limit" => limit },
                )
                .await
                .during("list objects on record")?;
            rows.into_iter().map(object_of).collect()
        })
        .await
    }
}

fn object_of(mut row: Row) -> Result<ObjectOnRecord, LedgerError> {
    Ok(ObjectOnRecord {
        batch_id: row.batch_id("id")?,
        migration_id: row.migration_id("migration_id")?,
        window_id: WindowId(row.column("window_id")?),
        hour: Hour::of(row.instant("hour_start")?),
        generation: Generation(row.column("generation")?),
        object: row
            .column::<Option<String>>("object_key")?
            .map(ObjectKey::from_record),
        sha256: row.column("sha256")?,
        bytes_stored: row.column("bytes_stored")?,
        message_count: row.column("message_count")?,
        exported: row.column("exported")?,
    })
}

fn id_and_standing_of(mut row: Row) -> Result<(MessageId, Standing), LedgerError> {
    let id = row
        .text("message_id")?
        .try_into()
        .map_err(|error| unreadable("message_id", &error))?;
    Ok((id, standing_of(&mut row)?))
}

fn standing_of(row: &mut Row) -> Result<Standing, LedgerError> {
    let name: String = row.column("standing")?;
    Standing::parse(&name).ok_or_else(|| unreadable("standing", &name))
}

fn digest_of(row: &mut Row) -> Result<IdDigest, LedgerError> {
    let half = |row: &mut Row, name| -> Result<u64, LedgerError> {
        let sum: u128 = row.parsed(name)?;
        // Wrapping, as the digest's own sums do.
        Ok(sum as u64)
    };
    Ok(IdDigest::from_sums(
        row.column("ids")?,
        half(row, "high")?,
        half(row, "low")?,
    ))
}
