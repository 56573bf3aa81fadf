//! What a verification needs of the ledger: digests, standings and objects on record.
//!
//! Read from what batches say of their messages and from what settled batches name; from message rows where a batch has exceptions.
//! That a batch says what its rows hold is an invariant (`invariants.rs`), which a verification checks as well.

use crate::db::ids::{BY_HASH, Ids};
use crate::db::row::{Columns, LOOKED_UP_KEYS_MAX, at, unreadable};
use crate::db::shape::List;
use crate::integrity::Digests;
use crate::{Ledger, LedgerError};
use granary_domain::{
    BatchId, BatchStatus, Fence, Generation, Hour, IdDigest, MessageId, MigrationId, ObjectKey, Part,
    TimeRange, WindowId,
};
use mysql_async::{Row, params};
use std::collections::HashMap;

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// In the object that its batch has on record.
    OnRecord,
    /// Gone at the source before it could be exported.
    Missing,
    /// Can't be exported.
    Quarantined,
    /// Its batch was never completed.
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

/// A batch that is exported again is on record by its old object until the new one is settled, so what tells is that it
/// was settled once. A batch that isn't there owns nothing.
pub(crate) const STANDING: &str = "CASE WHEN b.id IS NULL OR b.status = 'cancelled' THEN 'released' \
     WHEN b.settled_at IS NULL THEN 'open' ELSE COALESCE(m.outcome, 'on_record') END";

/// The same two sums as [`IdDigest`], of the halves that are stored with each id. Their sum is a DECIMAL, which doesn't
/// overflow.
pub(crate) const DIGEST: &str = "COUNT(*) AS ids, CAST(COALESCE(SUM(m.hash_high), 0) AS CHAR) AS high, \
    CAST(COALESCE(SUM(m.hash_low), 0) AS CHAR) AS low";

/// Of a batch: its object has all of its messages, or will have, as far as is known.
const HAS_NO_EXCEPTION: &str = "b.status = 'completed' AND b.missing = 0 AND b.quarantined = 0";

/// Where a message's document was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentPlace {
    /// The concrete index.
    pub index: String,
    /// The document's `_id`; `None`: the same as the message's id.
    pub doc_id: Option<String>,
    /// Custom routing, if any.
    pub routing: Option<String>,
}

/// An hour of event time that has batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourOfLedger {
    /// The hour.
    pub hour: Hour,
    /// Messages in its batches.
    pub messages: u64,
}

/// An object that a batch has on record.
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
    /// Its fence.
    pub fence: Fence,
    /// Which export the batch is at: the object's, unless it is being replaced.
    pub generation: Generation,
    /// Whether the batch is being exported again. Until that is over, this is on record.
    pub is_being_replaced: bool,
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
    /// Exceptions that its manifest names and that left for a batch of their own.
    pub recalled: u32,
}

/// The objects that a batch accounts for, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchObjects {
    /// The object that its row names.
    pub named: Option<ObjectKey>,
    /// The generation whose object a worker may have put already, or be about to put; `None` once it is settled.
    pub in_the_making: Option<Generation>,
    /// Objects that were replaced and are kept, since they hold messages that are on record nowhere else.
    pub kept: Vec<ObjectKey>,
}

impl Ledger {
    /// The first hour of a range that has batches.
    pub async fn first_hour_of(&self, range: TimeRange) -> Result<Option<Hour>, LedgerError> {
        self.read("look for the first hour of a range", |mut reader| async move {
            let row: Option<Row> = reader
                .first(
                    "SELECT hour_start FROM batch WHERE hour_start >= :from AND hour_start < :to \
                     AND status <> 'cancelled' ORDER BY hour_start LIMIT 1",
                    params! { "from" => at(Hour::of(range.from()).start()), "to" => at(range.to()) },
                )
                .await?;
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
        for chunk in batches.chunks(LOOKED_UP_KEYS_MAX) {
            let list = &List::of(chunk.iter().map(|id| id.0));
            let query = &format!(
                "SELECT id, object_key, IF(status = 'completed', NULL, generation) AS in_the_making FROM batch \
                 WHERE id IN ({list}) AND status <> 'cancelled'"
            );
            let rows = self
                .read("look batches up", |mut reader| async move {
                    let rows: Vec<Row> = reader.rows(query, list.params()).await?;
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
                        kept: Vec::new(),
                    },
                );
            }
            for (batch, key) in self.kept_of(chunk).await? {
                if let Some(objects) = objects.get_mut(&batch) {
                    objects.kept.push(key);
                }
            }
        }
        Ok(objects)
    }

    /// The hours of a range that have batches, in order of time.
    pub async fn hours_of(&self, range: TimeRange) -> Result<Vec<HourOfLedger>, LedgerError> {
        self.read("list the hours of a range", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT hour_start, CAST(SUM(message_count) AS UNSIGNED) AS messages FROM batch \
                     WHERE hour_start >= :from AND hour_start < :to AND status <> 'cancelled' \
                     GROUP BY hour_start ORDER BY hour_start",
                    params! { "from" => at(Hour::of(range.from()).start()), "to" => at(range.to()) },
                )
                .await?;
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
    pub async fn digests_of(&self, range: TimeRange) -> Result<Digests, LedgerError> {
        self.digests_of_part(&Part::of(range)).await
    }

    /// The digest of the ids that each batch's object should hold.
    pub async fn digests_of_batches(
        &self,
        batches: &[BatchId],
    ) -> Result<HashMap<BatchId, IdDigest>, LedgerError> {
        if batches.is_empty() {
            return Ok(HashMap::new());
        }
        let list = &List::of(batches.iter().map(|id| id.0));
        let query = &format!(
            "SELECT b.id AS batch_id, b.message_count AS ids, CAST(b.digest_high AS CHAR) AS high, CAST(b.digest_low AS CHAR) AS low \
             FROM batch b WHERE b.id IN ({list}) AND {HAS_NO_EXCEPTION} UNION ALL \
             SELECT m.batch_id, {DIGEST} FROM batch b STRAIGHT_JOIN message m ON m.batch_id = b.id \
             WHERE b.id IN ({list}) AND NOT ({HAS_NO_EXCEPTION}) AND m.outcome IS NULL GROUP BY m.batch_id"
        );
        self.read("digest batches", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, list.params_twice()).await?;
            rows.into_iter()
                .map(|mut row| Ok((row.batch_id("batch_id")?, digest_of(&mut row)?)))
                .collect()
        })
        .await
    }

    /// How given ids stand. An id that the ledger doesn't know isn't in the answer.
    pub async fn standings_of_ids(
        &self,
        ids: &[&MessageId],
    ) -> Result<Vec<(MessageId, Standing)>, LedgerError> {
        let mut standings = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(LOOKED_UP_KEYS_MAX) {
            let ids = &Ids::of(chunk.iter().copied());
            let query = &format!(
                "SELECT m.message_id, {STANDING} AS standing FROM message m {BY_HASH} LEFT JOIN batch b ON b.id = m.batch_id \
                 WHERE {}",
                ids.are_meant()
            );
            let rows = self
                .read("look ids up", |mut reader| async move {
                    let rows: Vec<Row> = reader.rows(query, ids.params()).await?;
                    Ok(rows)
                })
                .await?;
            for row in rows {
                standings.push(id_and_standing_of(row)?);
            }
        }
        Ok(standings)
    }

    /// Where the documents of given ids were seen. An id that the ledger doesn't know isn't in the answer.
    pub async fn places_of_ids(
        &self,
        ids: &[&MessageId],
    ) -> Result<HashMap<MessageId, DocumentPlace>, LedgerError> {
        let mut places = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(LOOKED_UP_KEYS_MAX) {
            let ids = &Ids::of(chunk.iter().copied());
            let query = &format!(
                "SELECT m.message_id, i.name AS index_name, m.doc_id, m.routing FROM message m {BY_HASH} \
                 JOIN source_index i ON i.id = m.index_id WHERE {}",
                ids.are_meant()
            );
            let rows = self
                .read("look places up", |mut reader| async move {
                    let rows: Vec<Row> = reader.rows(query, ids.params()).await?;
                    Ok(rows)
                })
                .await?;
            for row in rows {
                let (id, place) = place_of(row)?;
                places.insert(id, place);
            }
        }
        Ok(places)
    }

    /// How given ids stand, each with the batch that has it on record; `None` where that batch isn't completed now. An id
    /// that the ledger doesn't know isn't in the answer.
    pub async fn owners_on_record(
        &self,
        ids: &[&MessageId],
    ) -> Result<Vec<(Standing, Option<BatchId>)>, LedgerError> {
        let mut owners = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(LOOKED_UP_KEYS_MAX) {
            let ids = &Ids::of(chunk.iter().copied());
            let query = &format!(
                "SELECT {STANDING} AS standing, IF(b.status = 'completed', b.id, NULL) AS owner \
                 FROM message m {BY_HASH} LEFT JOIN batch b ON b.id = m.batch_id WHERE {}",
                ids.are_meant()
            );
            let rows = self
                .read("look owners up", |mut reader| async move {
                    let rows: Vec<Row> = reader.rows(query, ids.params()).await?;
                    Ok(rows)
                })
                .await?;
            for mut row in rows {
                let owner = row.column::<Option<u64>>("owner")?.map(BatchId);
                owners.push((standing_of(&mut row)?, owner));
            }
        }
        Ok(owners)
    }

    /// The objects on record of one hour, by batch number, from after `after` on.
    pub async fn objects_of_hour(
        &self,
        hour: Hour,
        after: BatchId,
        limit: u32,
    ) -> Result<Vec<ObjectOnRecord>, LedgerError> {
        let query = &format!(
            "SELECT {OBJECT} FROM batch WHERE hour_start = :hour AND {HAS_RECORD} AND id > :after \
             ORDER BY id LIMIT :limit"
        );
        self.read("list objects on record", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    query,
                    params! { "hour" => at(hour.start()), "after" => after.0, "limit" => limit },
                )
                .await?;
            rows.into_iter().map(object_of).collect()
        })
        .await
    }
}

/// What [`object_of`] reads.
pub(crate) const OBJECT: &str = "id, migration_id, window_id, hour_start, fence, generation, status, object_key, \
     LOWER(HEX(sha256)) AS sha256, COALESCE(bytes_stored, 0) AS bytes_stored, message_count, \
     COALESCE(exported, 0) AS exported, recalled";
/// A batch that has something on record, also while it is exported again.
pub(crate) const HAS_RECORD: &str = "settled_at IS NOT NULL AND status <> 'cancelled'";

pub(crate) fn object_of(mut row: Row) -> Result<ObjectOnRecord, LedgerError> {
    Ok(ObjectOnRecord {
        batch_id: row.batch_id("id")?,
        migration_id: row.migration_id("migration_id")?,
        window_id: WindowId(row.column("window_id")?),
        hour: Hour::of(row.instant("hour_start")?),
        fence: Fence(row.column("fence")?),
        generation: Generation(row.column("generation")?),
        is_being_replaced: row.parsed::<BatchStatus>("status")? != BatchStatus::Completed,
        object: row
            .column::<Option<String>>("object_key")?
            .map(ObjectKey::from_record),
        sha256: row.column("sha256")?,
        bytes_stored: row.column("bytes_stored")?,
        message_count: row.column("message_count")?,
        exported: row.column("exported")?,
        recalled: row.column("recalled")?,
    })
}

pub(crate) fn id_and_standing_of(mut row: Row) -> Result<(MessageId, Standing), LedgerError> {
    let id = row
        .text("message_id")?
        .try_into()
        .map_err(|error| unreadable("message_id", &error))?;
    Ok((id, standing_of(&mut row)?))
}

fn place_of(mut row: Row) -> Result<(MessageId, DocumentPlace), LedgerError> {
    let id = row
        .text("message_id")?
        .try_into()
        .map_err(|error| unreadable("message_id", &error))?;
    let place = DocumentPlace {
        index: row.text("index_name")?,
        doc_id: row.text_or_null("doc_id")?,
        routing: row.text_or_null("routing")?,
    };
    Ok((id, place))
}

pub(crate) fn standing_of(row: &mut Row) -> Result<Standing, LedgerError> {
    let name: String = row.column("standing")?;
    Standing::parse(&name).ok_or_else(|| unreadable("standing", &name))
}

pub(crate) fn digest_of(row: &mut Row) -> Result<IdDigest, LedgerError> {
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
