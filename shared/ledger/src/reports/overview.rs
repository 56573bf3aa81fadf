//! How things go, at a glance: what was settled lately, and what has waited longest.
//!
//! Read from batch rows by the time they were settled, an index of its own; nothing is decided by it. An export that was
//! asked for again counts when it is settled again. **When it fails**, nothing was changed.

use crate::db::row::Columns;
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, Hour};
use jiff::Timestamp;
use mysql_async::{Row, params};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was settled within a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settled {
    /// Batches.
    pub batches: u64,
    /// Messages in their objects.
    pub messages: u64,
    /// Bytes of their objects.
    pub bytes: u64,
}

/// What was settled from one instant on, up to the next bucket's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ThroughputBucket {
    /// Its beginning: a multiple of its length since 1970.
    pub at: Timestamp,
    /// What was settled.
    #[serde(flatten)]
    pub settled: Settled,
}

/// What was settled lately, by the database's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throughput {
    /// Now.
    pub now: Timestamp,
    /// What was settled in the last 15 minutes.
    pub quarter_of_an_hour: Settled,
    /// What was settled in the last 60 minutes.
    pub hour: Settled,
    /// The oldest first, those without anything included. The last of them isn't over yet.
    pub buckets: Vec<ThroughputBucket>,
}

/// The batch that is to be exported and whose hour is the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldestOpen {
    /// It.
    pub batch: BatchId,
    /// The hour of all its messages.
    pub hour: Hour,
    /// The event time of its first message. Another open batch of that hour may have one that is older, by less than an hour.
    pub event_time: Option<Timestamp>,
}

/// 1970, as TO_SECONDS counts. Whole numbers alone: what is counted here are all the batches of a day.
const EPOCH_SECS: i64 = 62_167_219_200;
const OPERATION: &str = "count what was settled lately";

impl Ledger {
    /// What was settled in the last `buckets` stretches of `length` (whole seconds), and in the last quarter of an hour and
    /// hour.
    pub async fn throughput(&self, length: Duration, buckets: u32) -> Result<Throughput, LedgerError> {
        let length = i64::try_from(length.as_secs().max(1)).unwrap_or(i64::MAX);
        let (recent, counted) = self
            .read(OPERATION, |mut reader| async move {
                let rows: Vec<Row> = reader
                    .rows(
                        "SELECT (TO_SECONDS(settled_at) - :epoch) DIV :length AS bucket, \
                         COUNT(*) AS batches, CAST(COALESCE(SUM(exported), 0) AS UNSIGNED) AS messages, \
                         CAST(COALESCE(SUM(bytes_stored), 0) AS UNSIGNED) AS bytes FROM batch \
                         WHERE settled_at > UTC_TIMESTAMP(6) - INTERVAL :span SECOND GROUP BY bucket",
                        params! { "epoch" => EPOCH_SECS, "length" => length, "span" => length.saturating_mul(i64::from(buckets)) },
                    )
                    .await?;
                let recent: Option<Row> = reader
                    .first(
                        "SELECT UTC_TIMESTAMP(6) AS now, COUNT(*) AS batches_60, \
                         CAST(COALESCE(SUM(exported), 0) AS UNSIGNED) AS messages_60, \
                         CAST(COALESCE(SUM(bytes_stored), 0) AS UNSIGNED) AS bytes_60, \
                         CAST(COALESCE(SUM(settled_at > UTC_TIMESTAMP(6) - INTERVAL 15 MINUTE), 0) AS UNSIGNED) AS batches_15, \
                         CAST(COALESCE(SUM(IF(settled_at > UTC_TIMESTAMP(6) - INTERVAL 15 MINUTE, exported, 0)), 0) \
                           AS UNSIGNED) AS messages_15, \
                         CAST(COALESCE(SUM(IF(settled_at > UTC_TIMESTAMP(6) - INTERVAL 15 MINUTE, bytes_stored, 0)), 0) \
                           AS UNSIGNED) AS bytes_15 \
                         FROM batch WHERE settled_at > UTC_TIMESTAMP(6) - INTERVAL 60 MINUTE",
                        (),
                    )
                    .await?;
                let recent = recent.ok_or_else(|| LedgerError::inconsistent(OPERATION, "no answer"))?;
                Ok((recent, rows))
            })
            .await?;
        throughput_of(recent, counted, (length, buckets))
    }

    /// The batch that waits, is being worked on or has failed, and whose hour is the oldest, of those that were never
    /// exported.
    pub async fn oldest_open(&self) -> Result<Option<OldestOpen>, LedgerError> {
        self.read("look for the oldest open batch", |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT id, hour_start, time_from FROM batch WHERE status IN ('pending', 'in_progress', 'failed') \
                     AND settled_at IS NULL ORDER BY hour_start, id LIMIT 1",
                    (),
                )
                .await?;
            let Some(mut row) = row else { return Ok(None) };
            Ok(Some(OldestOpen {
                batch: row.batch_id("id")?,
                hour: Hour::of(row.instant("hour_start")?),
                event_time: row.instant_or_null("time_from")?,
            }))
        })
        .await
    }
}

fn throughput_of(
    mut recent: Row,
    counted: Vec<Row>,
    (length, buckets): (i64, u32),
) -> Result<Throughput, LedgerError> {
    let now = recent.instant("now")?;
    let mut by_number: BTreeMap<i64, Settled> = BTreeMap::new();
    for mut row in counted {
        let settled = Settled {
            batches: row.column("batches")?,
            messages: row.column("messages")?,
            bytes: row.column("bytes")?,
        };
        by_number.insert(row.column("bucket")?, settled);
    }
    let last = now.as_second().div_euclid(length);
    let first = last + 1 - i64::from(buckets);
    let buckets = (first..=last).map(|number| {
        let at = Timestamp::from_second(number.saturating_mul(length))
            .map_err(|error| LedgerError::inconsistent(OPERATION, error.to_string()))?;
        let settled = by_number.get(&number).copied().unwrap_or_default();
        Ok(ThroughputBucket { at, settled })
    });
    Ok(Throughput {
        now,
        quarter_of_an_hour: Settled {
            batches: recent.column("batches_15")?,
            messages: recent.column("messages_15")?,
            bytes: recent.column("bytes_15")?,
        },
        hour: Settled {
            batches: recent.column("batches_60")?,
            messages: recent.column("messages_60")?,
            bytes: recent.column("bytes_60")?,
        },
        buckets: buckets.collect::<Result<_, LedgerError>>()?,
    })
}
