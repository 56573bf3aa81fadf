//! The ids of a part of the messages: digests of its pieces, and the ids themselves.
//!
//! What a verification compares with the source, piece by piece, until it comes to the ids. The ledger cuts as
//! [`Cut::piece_of`](granary_domain::Cut::piece_of) does.

use crate::db::row::{Columns, at, unreadable};
use crate::integrity::Standing;
use crate::integrity::evidence::{DIGEST, STANDING, digest_of, id_and_standing_of, standing_of};
use crate::{Ledger, LedgerError};
use granary_domain::{Cut, CutBy, Hour, IdDigest, MessageId, Part, TimeRange};
use mysql_async::{Params, Row, params};
use std::collections::HashMap;

/// The digests of a piece's ids, by standing.
pub type Digests = HashMap<Standing, IdDigest>;

impl Ledger {
    /// How many messages of a range the ledger has, whoever owns them.
    pub async fn count_messages_in(&self, range: TimeRange) -> Result<u64, LedgerError> {
        self.read("count a range's messages", |mut reader| async move {
            let count: Option<u64> = reader
                .first(
                    "SELECT COUNT(*) FROM message WHERE event_time >= ? AND event_time < ?",
                    (at(range.from()), at(range.to())),
                )
                .await?;
            Ok(count.unwrap_or(0))
        })
        .await
    }

    /// The digest of a part's message ids, by standing.
    pub async fn digests_of_part(&self, part: &Part) -> Result<Digests, LedgerError> {
        let query = &format!(
            "SELECT {STANDING} AS standing, {DIGEST} FROM message m LEFT JOIN batch b ON b.id = m.batch_id \
             WHERE {} GROUP BY standing",
            is_in(part)
        );
        self.read("digest a part", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, times_of(part)).await?;
            rows.into_iter()
                .map(|mut row| Ok((standing_of(&mut row)?, digest_of(&mut row)?)))
                .collect()
        })
        .await
    }

    /// The digests of a part's pieces, by number and by standing. A piece that the ledger has nothing in is left out.
    pub async fn digests_of_pieces(&self, cut: &Cut) -> Result<HashMap<usize, Digests>, LedgerError> {
        let part = &cut.part();
        let query = &format!(
            "SELECT {} AS piece, {STANDING} AS standing, {DIGEST} FROM message m LEFT JOIN batch b ON b.id = m.batch_id \
             WHERE {} GROUP BY piece, standing",
            piece_of(cut),
            is_in(part)
        );
        self.read("digest the pieces of a part", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, times_of(part)).await?;
            let mut pieces: HashMap<usize, Digests> = HashMap::new();
            for mut row in rows {
                let digests = pieces.entry(row.column("piece")?).or_default();
                digests.insert(standing_of(&mut row)?, digest_of(&mut row)?);
            }
            Ok(pieces)
        })
        .await
    }

    /// Up to `limit` ids of a part with their standing, in no order.
    pub async fn ids_of_part(
        &self,
        part: &Part,
        limit: u64,
    ) -> Result<Vec<(MessageId, Standing)>, LedgerError> {
        let query = &format!(
            "SELECT m.message_id, {STANDING} AS standing FROM message m LEFT JOIN batch b ON b.id = m.batch_id \
             WHERE {} LIMIT {limit}",
            is_in(part)
        );
        self.read("list the ids of a part", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, times_of(part)).await?;
            rows.into_iter().map(id_and_standing_of).collect()
        })
        .await
    }

    /// Ids on record in an hour whose batch is another hour's: its object isn't looked for here. 1,000 at most.
    pub async fn misplaced_in(&self, hour: Hour) -> Result<Vec<MessageId>, LedgerError> {
        self.read("look for misplaced messages", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT STRAIGHT_JOIN m.message_id FROM message m FORCE INDEX (message_event_time) \
                     JOIN batch b ON b.id = m.batch_id WHERE m.event_time >= :from AND m.event_time < :to AND m.outcome IS NULL \
                     AND b.settled_at IS NOT NULL AND b.status <> 'cancelled' AND b.hour_start <> :from LIMIT 1000",
                    params! { "from" => at(hour.start()), "to" => at(hour.next().start()) },
                )
                .await?;
            let id = |mut row: Row| {
                let text = row.text("message_id")?;
                text.try_into().map_err(|error| unreadable("message_id", &error))
            };
            rows.into_iter().map(id).collect()
        })
        .await
    }
}

fn times_of(part: &Part) -> Params {
    params! { "from" => at(part.range().from()), "to" => at(part.range().to()) }
}

fn is_in(part: &Part) -> String {
    let times = "m.event_time >= :from AND m.event_time < :to";
    match part.hashes() {
        Some((first, last)) => format!("{times} AND m.hash_high BETWEEN {first} AND {last}"),
        None => times.to_owned(),
    }
}

/// The number of the piece that a row is in. `DIV` cuts whole numbers as the domain does: none of them is negative.
fn piece_of(cut: &Cut) -> String {
    let part = cut.part();
    match cut.by() {
        CutBy::Time { begins, width_micros } => {
            let before = part.range().from().as_microsecond() - begins;
            format!("(TIMESTAMPDIFF(MICROSECOND, :from, m.event_time) + {before}) DIV {width_micros}")
        }
        CutBy::Hash { width } => {
            let first = part.hashes().map_or(0, |(first, _)| first);
            format!("(m.hash_high - {first}) DIV {width}")
        }
    }
}
