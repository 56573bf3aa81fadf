//! Unowned messages: a cancellation released them, and no migration has met them since. Their batch is cancelled; its row counts
//! what is left of them.
//!
//! They are only found here; [`Ledger::record_found`] gives them to a batch. Hours go by event time, so that what is
//! found lies in as few batches as possible.
//!
//! **When it fails**, nothing was changed.

use crate::db::connect::Reader;
use crate::db::row::{Columns, unreadable};
use crate::harvest::SeenMessage;
use crate::harvest::span::{IS_IN, TOUCHING, WITHIN, span};
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, Hour, IdDigest, MessageId, TimeRange};
use jiff::Timestamp;
use mysql_async::Row;

/// Of a batch: its messages are unowned, and it has some.
pub(crate) const UNOWNED: &str = "status = 'cancelled' AND message_count > 0";

/// A message that is unowned.
#[derive(Debug, Clone)]
pub struct UnownedMessage {
    /// The cancelled batch that it was in.
    pub batch: BatchId,
    /// The message, as it was recorded.
    pub message: SeenMessage,
}

impl Ledger {
    /// The whole hours from the first unowned message to the last one, of event times from `from` on and before
    /// `to`. `None`: there is none.
    pub async fn hours_of_unowned(
        &self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Option<TimeRange>, LedgerError> {
        let operation = "look for messages that are unowned";
        let ever = TimeRange::EVER;
        let Ok(range) = TimeRange::new(from.unwrap_or(ever.from()), to.unwrap_or(ever.to())) else {
            return Ok(None);
        };
        let (first, last) = (
            self.edge_of_unowned(range, "ASC").await?,
            self.edge_of_unowned(range, "DESC").await?,
        );
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(None);
        };
        TimeRange::new(first.start(), last.next().start())
            .map(Some)
            .map_err(|error| LedgerError::inconsistent(operation, error.to_string()))
    }

    /// The first hour of a range that has an unowned message in it.
    pub async fn first_unowned(&self, range: TimeRange) -> Result<Option<Hour>, LedgerError> {
        self.edge_of_unowned(range, "ASC").await
    }

    async fn edge_of_unowned(
        &self,
        range: TimeRange,
        order: &'static str,
    ) -> Result<Option<Hour>, LedgerError> {
        // A batch that lies in the range as a whole has one, and of others, which reach over an edge, there are few.
        let query = &format!(
            "SELECT b.hour_start FROM batch b FORCE INDEX (batch_open_hour) WHERE {UNOWNED} \
             AND {TOUCHING} AND ({WITHIN} OR EXISTS (SELECT 1 FROM message m WHERE m.batch_id = b.id AND {IS_IN})) \
             ORDER BY b.hour_start {order} LIMIT 1"
        );
        self.read("look for a message that is unowned", |mut reader| async move {
            let row: Option<Row> = reader.first(query, span(range, [])).await?;
            row.map(|mut row| Ok(Hour::of(row.instant("hour_start")?)))
                .transpose()
        })
        .await
    }

    /// How many messages of a range are unowned.
    pub async fn count_unowned(&self, range: TimeRange) -> Result<u64, LedgerError> {
        let query = &format!(
            "SELECT CAST(COALESCE(SUM(IF({WITHIN}, b.message_count, \
             (SELECT COUNT(*) FROM message m WHERE m.batch_id = b.id AND {IS_IN}))), 0) AS UNSIGNED) \
             FROM batch b WHERE {UNOWNED} AND {TOUCHING}"
        );
        self.read("count messages that are unowned", |mut reader| async move {
            let count: Option<u64> = reader.first(query, span(range, [])).await?;
            Ok(count.unwrap_or(0))
        })
        .await
    }

    /// Unowned messages of a range, by their batches, then by the hashes of their ids, from after `after` on.
    pub async fn unowned_in(
        &self,
        range: TimeRange,
        after: Option<(BatchId, &MessageId)>,
        limit: u32,
    ) -> Result<Vec<UnownedMessage>, LedgerError> {
        self.read("list messages that are unowned", |mut reader| async move {
            let mut messages = Vec::new();
            let first = after.map_or(BatchId(0), |(batch, _)| batch);
            for batch in batches_with_unowned(&mut reader, range, first).await? {
                let after = after.filter(|(last, _)| *last == batch).map(|(_, id)| id);
                let room = limit as usize - messages.len();
                messages.extend(unowned_of(&mut reader, range, (batch, after), room).await?);
                if messages.len() >= limit as usize {
                    break;
                }
            }
            Ok(messages)
        })
        .await
    }
}

async fn batches_with_unowned(
    reader: &mut Reader,
    range: TimeRange,
    first: BatchId,
) -> Result<Vec<BatchId>, LedgerError> {
    let query =
        format!("SELECT b.id FROM batch b WHERE {UNOWNED} AND {TOUCHING} AND b.id >= :first ORDER BY b.id");
    let ids: Vec<u64> = reader
        .rows(query, span(range, [("first", first.0.into())]))
        .await?;
    Ok(ids.into_iter().map(BatchId).collect())
}

async fn unowned_of(
    reader: &mut Reader,
    range: TimeRange,
    (batch, after): (BatchId, Option<&MessageId>),
    limit: usize,
) -> Result<Vec<UnownedMessage>, LedgerError> {
    let later = match after {
        None => "",
        Some(_) => "AND (m.hash_high > :high OR (m.hash_high = :high AND m.hash_low > :low))",
    };
    let query = format!(
        "SELECT m.message_id, m.doc_id, i.name AS index_name, m.routing, m.event_time FROM message m \
         JOIN source_index i ON i.id = m.index_id WHERE m.batch_id = :batch AND {IS_IN} \
         {later} ORDER BY m.hash_high, m.hash_low LIMIT {limit}"
    );
    let (high, low) = IdDigest::halves(after.map_or("", MessageId::as_str).as_bytes());
    let others = [
        ("batch", batch.0.into()),
        ("high", high.into()),
        ("low", low.into()),
    ];
    let rows: Vec<Row> = reader.rows(query, span(range, others)).await?;
    rows.into_iter()
        .map(|row| {
            Ok(UnownedMessage {
                batch,
                message: message_of(row)?,
            })
        })
        .collect()
}

fn message_of(mut row: Row) -> Result<SeenMessage, LedgerError> {
    let message_id = row
        .text("message_id")?
        .try_into()
        .map_err(|error| unreadable("message_id", &error))?;
    Ok(SeenMessage {
        message_id,
        doc_id: row.text_or_null("doc_id")?,
        index: row.text("index_name")?.into(),
        routing: row.text_or_null("routing")?,
        event_time: row.instant("event_time")?,
    })
}
