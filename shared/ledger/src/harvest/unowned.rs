//! Messages that the ledger knows and that nobody owns: a cancellation released them, and nobody has asked for them
//! since.
//!
//! They are only found here; [`Ledger::record_found`] gives them to a batch. Hours go by event time, so that what is
//! found lies in as few batches as possible.
//!
//! **When it fails**, nothing was changed.

use crate::db::row::{Columns, at, unreadable};
use crate::harvest::SeenMessage;
use crate::{Ledger, LedgerError};
use granary_domain::{Hour, IdDigest, MessageId, TimeRange};
use jiff::Timestamp;
use mysql_async::{Row, params};

/// Messages without an owner are neighbours in one index, in order of event time. The first and the last of them are read
/// there without reading any message that has an owner.
pub(crate) const UNOWNED: &str =
    "message FORCE INDEX (message_batch) WHERE batch_id IS NULL AND outcome IS NULL";

impl Ledger {
    /// The whole hours from the first message that nobody owns to the last one, of event times from `from` on and before
    /// `to`. `None`: somebody owns every one.
    pub async fn hours_of_unowned(
        &self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Option<TimeRange>, LedgerError> {
        let operation = "look for messages that nobody owns";
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
        TimeRange::new(Hour::of(first).start(), Hour::of(last).next().start())
            .map(Some)
            .map_err(|error| LedgerError::inconsistent(operation, error.to_string()))
    }

    /// The first event time in a range of a message that nobody owns.
    pub async fn first_unowned(&self, range: TimeRange) -> Result<Option<Timestamp>, LedgerError> {
        self.edge_of_unowned(range, "ASC").await
    }

    async fn edge_of_unowned(
        &self,
        range: TimeRange,
        order: &'static str,
    ) -> Result<Option<Timestamp>, LedgerError> {
        let query = &format!(
            "SELECT event_time FROM {UNOWNED} AND event_time >= :from AND event_time < :to \
             ORDER BY event_time {order} LIMIT 1"
        );
        self.read("look for a message that nobody owns", |mut reader| async move {
            let range = params! { "from" => at(range.from()), "to" => at(range.to()) };
            let row: Option<Row> = reader.first(query, range).await?;
            row.map(|mut row| row.instant("event_time")).transpose()
        })
        .await
    }

    /// How many messages of a range nobody owns.
    pub async fn count_unowned(&self, range: TimeRange) -> Result<u64, LedgerError> {
        self.read("count messages that nobody owns", |mut reader| async move {
            let count: Option<u64> = reader
                .first(
                    format!("SELECT COUNT(*) FROM {UNOWNED} AND event_time >= :from AND event_time < :to"),
                    params! { "from" => at(range.from()), "to" => at(range.to()) },
                )
                .await?;
            Ok(count.unwrap_or(0))
        })
        .await
    }

    /// Messages of a range that nobody owns, by event time, then by the hashes of their ids, from after `after` on.
    pub async fn unowned_in(
        &self,
        range: TimeRange,
        after: Option<(Timestamp, &MessageId)>,
        limit: u32,
    ) -> Result<Vec<SeenMessage>, LedgerError> {
        // The order of the index, so that nothing is sorted, and each way of coming later is a stretch of it.
        let (later, (time, id)) = match after {
            None => ("event_time >= :time AND event_time < :to", (range.from(), "")),
            Some((time, id)) => (
                "((event_time = :time AND hash_high = :high AND hash_low = :low AND message_id > :id) \
                 OR (event_time = :time AND hash_high = :high AND hash_low > :low) \
                 OR (event_time = :time AND hash_high > :high) OR (event_time > :time AND event_time < :to))",
                (time, id.as_str()),
            ),
        };
        let query = &format!(
            "SELECT message_id, doc_id, index_name, routing, event_time FROM {UNOWNED} AND {later} \
             ORDER BY event_time, hash_high, hash_low, message_id LIMIT :limit"
        );
        let (high, low) = IdDigest::halves(id.as_bytes());
        self.read("list messages that nobody owns", |mut reader| async move {
            let params = params! {
                "time" => at(time), "to" => at(range.to()), "high" => high, "low" => low, "id" => id,
                "limit" => limit,
            };
            let rows: Vec<Row> = reader.rows(query, params).await?;
            rows.into_iter().map(message_of).collect()
        })
        .await
    }
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
